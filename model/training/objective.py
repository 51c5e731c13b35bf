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

from model.inference.margin import trim, widen
from model.perception.loss_network import LossNetwork, pyramid
from model.perception.moments import Moments, feature_moments
from model.training.losses import content_loss, gram_loss, style_loss

WINDOW_BORDER = 16  # px around a window, where there are so many: see `Objective.margin`


class Window(NamedTuple):
    """A square of the pictures, or of what of them lies inside the margin."""

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
    margin
        Px at every edge of photos and pastiches that the loss network sees and no loss does. What
        it makes of pixels near an edge comes of the zeros that it pads with as well, at a quarter
        of a crop's size of nearly all pixels; a network that knows where the edge is learns to make
        up for them, with a frame.
    """

    style_layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3")
    content_layer: str = "relu3_2"
    pyramid_levels: int = 3
    content_weight: float = 1.0
    style_weight: float = 5.0
    plain_weight: float = 0.0
    coarse: float = 1.0
    margin: int = 0

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
        found = [self._look(full, window, loss_network)]
        for level, scaled in enumerate(reduced, 1):
            margin = -(-self.margin // 2**level)
            found.append(drop_edges(loss_network(scaled), scaled, margin))
        moments = [feature_moments(level[name]) for level in found for name in self.style_layers]
        return Observation(found[0][self.content_layer], moments)

    def _look(
        self,
        pictures: Tensor,
        window: Window | None,
        loss_network: LossNetwork,
        depth: str | None = None,
    ) -> dict[str, Tensor]:
        """Activations at full size of a window, all of what is inside the margin by default."""
        if window is None:
            return drop_edges(loss_network(pictures, depth=depth), pictures, self.margin)
        border = min(self.margin, WINDOW_BORDER)
        seen = cut(pictures, window, self.margin - border, border)
        return drop_edges(loss_network(seen, depth=depth), seen, border)

    @torch.no_grad()
    def content_target(
        self, photos: Tensor, loss_network: LossNetwork, window: Window | None = None
    ) -> Tensor:
        """Content (N, C, H', W') of photos (N, 3, H, W), no deeper than it must be computed."""
        deep = self.content_layer
        return self._look(photos, window, loss_network, deep)[deep]

    @torch.no_grad()
    def style_target(self, picture: Tensor, loss_network: LossNetwork) -> list[Moments]:
        """Style of a picture (3, H, W) in [0, 1]: moments (1, ...) by level and layer.

        It goes on mirrored over the margin: all of it counts.
        """
        return self.style_targets(picture[None], loss_network)

    def style_targets(self, pictures: Tensor, loss_network: LossNetwork) -> list[Moments]:
        """`style_target` of pictures (N, 3, H, W) of one size."""
        return self.observe(widen(pictures, self.margin), loss_network).moments

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


def cut(pictures: Tensor, window: Window, offset: int = 0, border: int = 0) -> Tensor:
    """The window of pictures (N, 3, H, W): (N, 3, side + 2 border, side + 2 border).

    Its corner is ``offset`` px further in than it says, and ``border`` px of the pictures lie
    around it.
    """
    along = offset + torch.arange(window.side + 2 * border, device=pictures.device)
    top, left = window.corner
    return pictures.index_select(2, top + along).index_select(3, left + along)


def drop_edges(activations: dict[str, Tensor], pictures: Tensor, margin: int) -> dict[str, Tensor]:
    """Activations (N, C, H', W') without those within some px of the edges of the pictures."""
    if not margin:
        return activations
    strides = {name: pictures.shape[2] // a.shape[2] for name, a in activations.items()}
    return {name: trim(a, -(-margin // strides[name])) for name, a in activations.items()}
