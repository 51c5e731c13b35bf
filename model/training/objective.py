"""The training objective: what of pictures is compared, under which losses, weighed how.

Content and style loss are those of Dumoulin et al. 2017, section 2, each relative to its target
(see `model.training.losses`); the style loss is also taken at reduced sizes.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from model.perception.loss_network import LossNetwork, pyramid
from model.perception.moments import Moments, feature_moments
from model.training.losses import content_loss, gram_loss, style_loss


class Window(NamedTuple):
    """A square of the pictures."""

    corner: Tensor
    """(2,), int64: top and left, in px. A tensor, so that no other corner compiles anew."""
    side: int
    """Px."""


def draw_corner(rng: random.Random, side: int, size: int) -> Tensor:
    """The corner of a window of some side in pictures of some size, see `Window`.

    It is drawn as far as half its side beyond the pictures and pushed back into them. Drawn inside
    alone hardly a window would reach the outermost pixels, and what nobody judges becomes a frame.
    """
    last, over = size - side, side // 2
    return torch.tensor([min(max(0, rng.randint(-over, last + over)), last) for _ in range(2)])


class Observation(NamedTuple):
    """What the losses compare of N pictures."""

    content: Tensor
    """(N, C, H', W'): the content layer at full size."""
    moments: list[Moments]
    """One entry per pyramid level and style layer; N pictures each."""


@dataclass(frozen=True)
class Objective:
    """Content and style loss, and their weighted sum.

    Parameters
    ----------
    style_layers, content_layer
        Layers of the loss network.
    pyramid_levels
        The style loss is taken at full size, half, quarter, ...: the mean over so many.
    content_weight, style_weight
        Of the two losses.
    plain_weight
        Of plain Gram matrices in the style loss, beside those shifted by the style's mean. The
        shifted ones see a wrong mean only to the fourth order, so that colours drift.
    coarse
        How much more each reduced size weighs than the size before it. Above 1, strokes are worth
        more than grain: at full size a weave is the cheapest match.
    """

    style_layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3")
    content_layer: str = "relu3_2"
    pyramid_levels: int = 3
    content_weight: float = 1.0
    style_weight: float = 5.0
    plain_weight: float = 0.0
    coarse: float = 1.0

    @property
    def layers(self) -> frozenset[str]:
        """All layers that the loss network must have."""
        return frozenset({*self.style_layers, self.content_layer})

    @property
    def shares(self) -> list[float] | None:
        """Weight of each of an observation's moments in the style loss; None: all the same."""
        if self.coarse == 1:
            return None
        weights = [self.coarse**level for level in range(self.pyramid_levels)]
        layers = len(self.style_layers)
        return [w / sum(weights) / layers for w in weights for _ in range(layers)]

    def observe(
        self, pictures: Tensor, loss_network: LossNetwork, window: Window | None = None
    ) -> Observation:
        """What the losses compare of pictures (N, 3, H, W) in [0, 1].

        Parameters
        ----------
        pictures, loss_network
            As everywhere.
        window
            What is looked at in full size; all of it by default. Reduced sizes are seen whole. The
            full size is four fifths of the loss network's work.
        """
        full, *reduced = pyramid(pictures, self.pyramid_levels)
        found = [loss_network(scaled) for scaled in (cut(full, window), *reduced)]
        moments = [feature_moments(level[name]) for level in found for name in self.style_layers]
        return Observation(found[0][self.content_layer], moments)

    @torch.no_grad()
    def content_target(
        self, photos: Tensor, loss_network: LossNetwork, window: Window | None = None
    ) -> Tensor:
        """Content (N, C, H', W') of photos (N, 3, H, W), no deeper than it must be computed."""
        deep = self.content_layer
        found: Tensor = loss_network(cut(photos, window), depth=deep)[deep]
        return found

    @torch.no_grad()
    def style_target(self, picture: Tensor, loss_network: LossNetwork) -> list[Moments]:
        """Style of a picture (3, H, W) in [0, 1]: moments (1, ...) by level and layer."""
        return self.observe(picture[None], loss_network).moments

    def losses(
        self, seen: Observation, content: Tensor, style: Sequence[Moments]
    ) -> tuple[Tensor, Tensor]:
        """Content and style loss of every picture: (N,) each.

        Parameters
        ----------
        seen
            Of N pastiches.
        content
            Of their photos, see `content_target`.
        style
            Of their styles; see `style_target`.
        """
        style_losses = style_loss(seen.moments, style, self.shares)
        if self.plain_weight:
            plain = gram_loss(seen.moments, style, self.shares)
            style_losses = style_losses + self.plain_weight * plain
        return content_loss(seen.content, content), style_losses

    def measure(
        self,
        photos: Tensor,
        pastiches: Tensor,
        style: Sequence[Moments],
        loss_network: LossNetwork,
        window: Window | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`losses` of pastiches of photos, (N, 3, H, W) each, in full size of a window alone."""
        content = self.content_target(photos, loss_network, window)
        return self.losses(self.observe(pastiches, loss_network, window), content, style)

    def total(self, content: Tensor, style: Tensor, factor: Tensor | float = 1.0) -> Tensor:
        """The weighted sum of both losses; the style's weight is taken ``factor`` times."""
        return self.content_weight * content + self.style_weight * factor * style


NETWORK_OBJECTIVE = Objective(style_weight=12.0, plain_weight=1.0, coarse=1.5)
"""What the shipped network was trained under, and so every further row of it: a row trained under
less style would look faint beside the built-in ones. Reports measure by a plain `Objective`, so
that their figures can be compared whatever was trained under."""


def weigh(content: Tensor, style: Tensor) -> Tensor:
    """The weighted sum of both losses (N,), the style's by the logarithm of one more.

    Below 1, where the losses of most paintings lie, that is nearly the loss itself. A view with
    little in it has one of 10 or 100, and would outweigh all others of its batch.
    """
    return NETWORK_OBJECTIVE.total(content, style.log1p())


def cut(pictures: Tensor, window: Window | None) -> Tensor:
    """The window of pictures (N, 3, H, W): (N, 3, side, side); all of them where there is none."""
    if window is None:
        return pictures
    along = torch.arange(window.side, device=pictures.device)
    top, left = window.corner
    return pictures.index_select(2, top + along).index_select(3, left + along)
