"""The layout of a style code; ``original``, and how it is anchored in a photo's own colours."""

import torch
from torch import Tensor

from model.network.config import NetworkConfig

# Cut from both ends of [0, 1] before the logit. Half a level would keep it finite, but then pure
# black and white make up most of a photo's spread, and its middle tones come out too harsh:
# held-out photos came back at 23.4 dB with 1/512, at 24.2 dB with 1/32 (the same weights).
LOGIT_MARGIN = 1 / 32


def default_codes(config: NetworkConfig, styles: int) -> Tensor:
    """Style codes (S, P) of gamma = 1 and beta = 0: plain instance normalization."""
    half = config.code_size // 2
    return torch.cat([torch.ones(styles, half), torch.zeros(styles, half)], dim=1)


def anchor_original(
    codes: Tensor, pictures: Tensor, original_share: Tensor, config: NetworkConfig
) -> Tensor:
    """Give the share of ``original`` in each code its picture's own colours.

    The output layer's normalization removes a photo's mean and contrast. For its share of a blend
    ``original`` therefore adds, to the output layer's gamma and beta, the spread and mean of the
    photo under the logit, per colour channel. The network itself knows nothing of it.

    Parameters
    ----------
    codes
        (N, P), blended codes.
    pictures
        (N, 3, H, W) in [0, 1].
    original_share
        (N,), the weight of ``original`` in each blend, in [0, 1].
    config
        The network's dimensions.

    Returns
    -------
    Tensor
        (N, P), a new tensor; where the share is 0 the code is unchanged.
    """
    return shift_output(codes, original_share, *logit_moments(pictures), config)


def logit_moments(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of pictures under the logit, per colour channel.

    Parameters
    ----------
    pictures
        (N, 3, H, W): floats in [0, 1], or uint8, of which a large one costs no more memory.

    Returns
    -------
    mean, spread
        Each (N, 3), float32.
    """
    if pictures.dtype == torch.uint8:
        counts = torch.stack(
            [channel.flatten().bincount(minlength=256) for p in pictures for channel in p]
        )
        shares = counts.double() / counts.sum(1, keepdim=True)  # (3 N, 256)
        values = _logit(torch.arange(256, device=pictures.device) / 255).double()  # (256,)
        mean = shares @ values
        spread = (shares * (values - mean[:, None]).square()).sum(1).sqrt()
        return mean.float().view(-1, 3), spread.float().view(-1, 3)
    logits = _logit(pictures.float())
    return logits.mean(dim=(2, 3)), logits.std(dim=(2, 3), correction=0)


def _logit(values: Tensor) -> Tensor:
    return values.clamp(LOGIT_MARGIN, 1 - LOGIT_MARGIN).logit()


def shift_output(
    codes: Tensor, original_share: Tensor, mean: Tensor, spread: Tensor, config: NetworkConfig
) -> Tensor:
    """`anchor_original` for photos of which the moments under the logit are known, each (N, 3)."""
    share = original_share[:, None]  # (N, 1)
    half = config.code_size // 2
    gamma, beta = codes[:, :half], codes[:, half:]
    return torch.cat(
        [gamma[:, :-3], gamma[:, -3:] + share * spread, beta[:, :-3], beta[:, -3:] + share * mean],
        dim=1,
    )


def weaken(
    codes: Tensor, shares: Tensor, original: Tensor, pictures: Tensor, config: NetworkConfig
) -> Tensor:
    """Complete codes: each blended with ``original``, whose share is anchored in its picture.

    Parameters
    ----------
    codes
        (N, P), of the styles at full strength.
    shares
        (N,), of each style, 0 (the picture itself) to 1 (the full style).
    original
        (P,), the row ``original``.
    pictures
        (N, 3, H, W): floats in [0, 1], or uint8; on any device.
    config
        The network's dimensions.

    Returns
    -------
    Tensor
        (N, P), on the codes' device.
    """
    share = 1 - shares  # of `original`
    mixed = shares[:, None] * codes + share[:, None] * original
    mean, spread = (moment.to(codes.device) for moment in logit_moments(pictures))
    return shift_output(mixed, share, mean, spread, config)
