"""The recipe for the perceptual encoder: VGG-19's activations, distilled."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.network.network import StyleNetwork
from model.perception.encoder import EncoderConfig, EncoderTrunk, PerceptualEncoder
from model.perception.moments import feature_moments
from model.training.crops import PhotoCrops, cycle, load_validation_batch
from model.training.optimizers import ParameterGroup
from model.training.vgg19 import VGG19_CHANNELS, VGG19Features

START_BATCHES = 4


@dataclass(frozen=True)
class DistillRecipe:
    """What the encoder sees, and what it is held to.

    Parameters
    ----------
    crop_size
        Side of the crops in px.
    batch_size
        Crops a step.
    gram_weight
        Of the distance between shifted Gram matrices, beside the one between activations.
    row_noise
        Spread of the noise on the style codes of pastiches: the encoder must also judge pictures
        of rows that are still in training.
    min_share
        See `PhotoCrops`.
    seed
        Of the weights and of every draw.
    encoder
        Dimensions.
    """

    crop_size: int = 128
    batch_size: int = 8
    gram_weight: float = 0.1
    row_noise: float = 0.1
    min_share: float = 0.3
    seed: int = 0
    encoder: EncoderConfig = field(default_factory=EncoderConfig)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metadata."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


class EncoderInTraining(nn.Module):
    """A trunk with whole readouts: it predicts VGG-19's activations themselves.

    Parameters
    ----------
    config
        Dimensions.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.trunk = EncoderTrunk(config, normalized=True)
        self.readouts = nn.ModuleDict(
            {
                name: nn.Conv2d(c, VGG19_CHANNELS[name], 1, bias=False)
                for name, c in self.trunk.channels.items()
            }
        )
        for name, c in self.trunk.channels.items():  # of the rows of R, which has no other freedom
            self.register_buffer(f"signs_{name}", torch.ones(c))

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Predicted activations (N, C, H', W') by name."""
        return {name: self.readouts[name](f) for name, f in self.trunk(pictures).items()}

    @torch.no_grad()
    def fold(self) -> PerceptualEncoder:
        """The encoder: normalization folded into the convolutions, each readout A into its R."""
        trunk = copy.deepcopy(self.trunk).eval()
        encoder = PerceptualEncoder(EncoderTrunk(trunk.config))
        folded: dict[str, Tensor] = {}
        for i, (convolution, norm) in enumerate(zip(trunk.convolutions, trunk.norms, strict=True)):
            assert isinstance(convolution, nn.Conv2d)  # noqa: S101 - so they were made
            assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101
            fused = fuse_conv_bn_eval(convolution, norm)
            folded |= {f"convolutions.{i}.{n}": v.cpu() for n, v in fused.state_dict().items()}
        encoder.trunk.load_state_dict(folded)
        reduced = {}
        for name, readout in self.readouts.items():
            whole = readout.get_parameter("weight")[:, :, 0, 0].float().cpu()  # (C_vgg, C)
            found = torch.linalg.qr(whole).R  # (C, C)
            signs = self.get_buffer(f"signs_{name}").cpu() * signs_of(found)
            reduced[f"{name}.weight"] = (signs[:, None] * found)[:, :, None, None]
        encoder.readouts.load_state_dict(reduced)
        return encoder.requires_grad_(False).eval()

    @torch.no_grad()
    def unfold(
        self, encoder: PerceptualEncoder, pictures: Tensor, wanted: Mapping[str, Tensor]
    ) -> None:
        """Take over an encoder, as `fold` made it: on ``pictures`` its activations stay the same.

        The normalization was folded away, and of each readout A there is R alone. So it begins as
        what changes nothing of these pictures, and A as the map that comes nearest on them. The
        rows of R keep their signs: a style predictor reads R f, and may be trained further, too.

        Parameters
        ----------
        encoder
            Of the same dimensions.
        pictures
            (N, 3, H, W).
        wanted
            VGG-19's activations of them (N, C, H', W') by name, in the units to be predicted.

        Raises
        ------
        ValueError
            Other dimensions.
        """
        if encoder.trunk.config != self.trunk.config:
            raise ValueError(f"the encoder's widths are {encoder.trunk.config.widths}")
        self.trunk.convolutions.load_state_dict(encoder.trunk.convolutions.state_dict())

        def pass_unchanged(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
            variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3), correction=0)
            norm.running_mean, norm.running_var = mean.clone(), variance.clone()
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean)

        hooks = [norm.register_forward_pre_hook(pass_unchanged) for norm in self.trunk.norms]
        activations = self.trunk.eval()(pictures)
        self.train()
        for hook in hooks:
            hook.remove()
        for name, found in activations.items():
            inputs = found.double().movedim(1, 3).flatten(0, 2)  # (N H' W', C)
            outputs = wanted[name].double().movedim(1, 3).flatten(0, 2)  # (N H' W', C_vgg)
            gram = inputs.T @ inputs  # (C, C)
            gram.diagonal().add_(1e-4 * gram.diagonal().mean())  # a unit may be dead
            whole = torch.linalg.solve(gram, inputs.T @ outputs).T  # (C_vgg, C)
            self.readouts[name].load_state_dict({"weight": whole[:, :, None, None]})
            earlier = encoder.readouts[name].get_parameter("weight")[:, :, 0, 0]
            self.get_buffer(f"signs_{name}").copy_(signs_of(earlier))


def signs_of(triangular: Tensor) -> Tensor:
    """1 or -1 for each row (C,) of an upper triangular matrix, by its diagonal."""
    return torch.where(triangular.diagonal() < 0, -1.0, 1.0)


class DistillTask:
    """Trains an `EncoderInTraining` on photos, works of art and pastiches.

    Half of every batch are pastiches of the other half: the network's answers to random blends of
    its rows with noise, because that is what the encoder will have to judge.

    Parameters
    ----------
    recipe
        What and how.
    photos, paintings
        Training pictures; a quarter of the crops comes from ``paintings``.
    validation
        Held-out photos; none, no validation.
    teacher
        VGG-19 with the encoder's layers.
    network, rows
        A trained network and its rows (S, P).
    device
        A torch device.
    """

    def __init__(
        self,
        recipe: DistillRecipe,
        photos: Sequence[Path],
        paintings: Sequence[Path],
        validation: Sequence[Path],
        teacher: VGG19Features,
        network: StyleNetwork,
        rows: Tensor,
        device: str = "cpu",
    ) -> None:
        self.recipe = recipe
        self.device = device
        torch.manual_seed(recipe.seed)
        self.module = EncoderInTraining(recipe.encoder)
        self.module.to(device).to(memory_format=torch.channels_last)
        self.teacher = teacher.to(device).to(memory_format=torch.channels_last)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.rows = rows.to(device)
        self.photos, self.paintings = (
            PhotoCrops(
                paths, recipe.crop_size, recipe.min_share, seed=recipe.seed + i, device=device
            )
            for i, paths in enumerate((photos, paintings))
        )
        self.validation = (
            load_validation_batch(validation, recipe.crop_size).to(device) if validation else None
        )

        # VGG-19's activations are in the hundreds; the encoder is to be in units.
        with torch.no_grad():
            sample = self.teacher(self.photos.batch(0, recipe.batch_size).to(device))
        self.scales = {name: t.square().mean().sqrt().item() for name, t in sample.items()}

    @torch.no_grad()
    def begin(self, encoder: PerceptualEncoder) -> None:
        """Go on from an encoder of the same dimensions, by what it makes of some batches."""
        batches = [self.batch(step) for step in range(START_BATCHES)]
        pictures = torch.cat([self._pictures(*(t.to(self.device) for t in b)) for b in batches])
        self.module.unfold(encoder.to(self.device), pictures, self._wanted(pictures))

    def parameter_groups(self) -> list[ParameterGroup]:
        """The encoder."""
        return [ParameterGroup(list(self.module.parameters()))]

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Crops (N, 3, H, W) and, for the pastiches of the first half, codes (N // 2, P)."""
        recipe = self.recipe
        painted = recipe.batch_size // 4
        crops = [
            self.photos.batch(step, recipe.batch_size - painted),
            self.paintings.batch(step, painted),
        ]
        return torch.cat(crops), self.codes(step, recipe.batch_size // 2)

    def codes(self, step: int, count: int) -> Tensor:
        """Random blends of two rows each, with noise: (count, P)."""
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        share = torch.rand(count, 1, generator=generator)
        every = range(len(self.rows))
        first = [cycle(every, step * count + i, self.recipe.seed) for i in range(count)]
        second = [cycle(every, step * count + i, self.recipe.seed + 1) for i in range(count)]
        rows = self.rows.cpu()
        codes = share * rows[first] + (1 - share) * rows[second]
        return codes + self.recipe.row_noise * torch.randn(codes.shape, generator=generator)

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """Distances to VGG-19's activations: mean over pictures and layers."""
        return self.distances(self._pictures(*batch))

    @torch.no_grad()
    def _pictures(self, crops: Tensor, codes: Tensor) -> Tensor:
        """Crops, and pastiches of the first of them."""
        pastiches = self.network.stylize_aligned(crops[: len(codes)], codes)
        return torch.cat([crops, pastiches.to(crops.dtype)])

    @torch.no_grad()
    def _wanted(self, pictures: Tensor) -> dict[str, Tensor]:
        return {n: t.float() / self.scales[n] for n, t in self.teacher(pictures).items()}

    def distances(self, pictures: Tensor) -> dict[str, Tensor]:
        """Relative distance of activations and of shifted Gram matrices; (N, 3, H, W) pictures."""
        wanted = self._wanted(pictures)
        found = self.module(pictures)
        # Relative to the batch, not to single pictures: a flat crop has next to no activation and
        # would outweigh all others.
        terms, grams = [], []
        for name, target in wanted.items():
            terms.append((found[name].float() - target).square().mean() / target.square().mean())
            moments = feature_moments(target)
            gram = moments.shifted_gram(moments.mean)
            error = feature_moments(found[name]).shifted_gram(moments.mean) - gram
            grams.append(error.square().mean() / gram.square().mean())
        features, gram = torch.stack(terms).mean(), torch.stack(grams).mean()
        total = features + self.recipe.gram_weight * gram
        return {"total": total, "features": features, "gram": gram}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Both distances on held-out photos and on their pastiches."""
        if self.validation is None:
            return {}
        photos = self.validation
        codes = self.rows[torch.arange(len(photos), device=photos.device) % len(self.rows)]
        pastiches = self.network.stylize_aligned(photos, codes)
        figures: dict[str, float] = {}
        self.module.eval()
        for kind, pictures in (("photos", photos), ("pastiches", pastiches)):
            found = self.distances(pictures)
            figures |= {f"{kind}_{n}": found[n].item() for n in ("features", "gram")}
        self.module.train()
        return figures
