"""Dimensions of the network."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from model.network.normalization import NormKind

Resampling = Literal["strided", "pooled", "unpooled"]
# Options that came later. At their defaults they are left out of all that describes a network, so
# that its fingerprint, its files and its training runs stay what they were.
LATER_OPTIONS = ("norm", "groups", "resampling")


@dataclass(frozen=True, repr=False)
class NetworkConfig:
    """Dimensions of a `StyleNetwork`; stored in its weight file.

    All but the dimensions is for comparison: `model.inference` takes networks with the defaults.

    Parameters
    ----------
    channels
        Width after the first convolution; it doubles at each of the two strided ones.
    residual_blocks
        Number of residual blocks between contraction and expansion.
    eps
        Added to every variance.
    norm
        What follows every convolution; see `model.network.normalization`.
    groups
        Of group normalization.
    resampling
        How the network gets to a quarter of the size and back: ``strided``, by convolutions of
        stride 2 and nearest-neighbour enlargement; ``pooled``, by max pooling after convolutions of
        stride 1, and the same enlargement; ``unpooled``, by max pooling and max unpooling, which
        puts every value where its maximum was (Zeiler and Fergus 2014).
    """

    channels: int = 32
    residual_blocks: int = 5
    eps: float = 1e-5
    norm: NormKind = "instance"
    groups: int = 4
    resampling: Resampling = "strided"

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ValueError(f"channels is {self.channels}, but must be at least 1")
        if self.residual_blocks < 0:
            raise ValueError(f"residual_blocks is {self.residual_blocks}, but must be 0 or more")
        if not self.eps > 0:
            raise ValueError(f"eps is {self.eps}, but must be above 0")
        if self.norm not in get_args(NormKind):
            raise ValueError(f"norm is {self.norm!r}, but must be among {get_args(NormKind)}")
        if self.groups < 1:
            raise ValueError(f"groups is {self.groups}, but must be at least 1")
        if self.resampling not in get_args(Resampling):
            allowed = get_args(Resampling)
            raise ValueError(f"resampling is {self.resampling!r}, but must be among {allowed}")

    @property
    def norm_channels(self) -> tuple[int, ...]:
        """Channels of every normalization layer, in network order."""
        c = self.channels
        return (c, 2 * c, 4 * c, *[4 * c] * (2 * self.residual_blocks), 2 * c, c, 3)

    @property
    def code_size(self) -> int:
        """P, how many numbers make a style: every layer's gamma, then every layer's beta."""
        return 2 * sum(self.norm_channels)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a weight file's metadata, `LATER_OPTIONS` where they are not default."""
        default = {f.name: f.default for f in fields(self) if f.name in LATER_OPTIONS}
        return {k: v for k, v in asdict(self).items() if k not in default or v != default[k]}

    def __repr__(self) -> str:
        """As a dataclass's, of `to_dict`: a network's fingerprint depends on it."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.to_dict().items())
        return f"{type(self).__name__}({values})"
