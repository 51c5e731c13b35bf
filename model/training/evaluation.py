"""The report: losses per style, blends, strength, how far styles are apart in pictures."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from model.inference.device import autocast, choose_training_precision
from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.perception.loss_network import LossNetwork
from model.perception.moments import Moments
from model.pictures.levels import to_tensor
from model.pictures.picture import load_picture
from model.pictures.style_picture import resize_short_side
from model.styles.library import StyleLibrary
from model.training.appearance import Appearance
from model.training.appearance_judge import AppearanceJudge
from model.training.crops import load_validation_batch
from model.training.losses import content_loss, gram_loss, style_loss
from model.training.objective import Objective, Observation

STYLE_SIZE = 384  # px, of the style pictures, whatever the training's: reports can be compared
BLEND_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
BLEND_PHOTOS = 20  # of fewer, a blend of near neighbours is a matter of chance


@dataclass(frozen=True)
class StyleFigures:
    """Means over the photos: relative squared distances, 0 is a perfect match."""

    content: float
    style: float
    gram: float
    """The style loss over plain Gram matrices, as the paper has it."""
    photo_style: float
    """Style loss of the untouched photos."""
    photo_gram: float


@dataclass(frozen=True)
class BlendFigures:
    """Style losses towards both ends at each share of the second style."""

    first: str
    second: str
    to_first: list[float]
    to_second: list[float]

    @property
    def monotone(self) -> bool:
        """Whether the loss to the first only rises, and to the second only falls."""
        rising = all(a <= b for a, b in itertools.pairwise(self.to_first))
        return rising and all(a >= b for a, b in itertools.pairwise(self.to_second))


@dataclass
class Report:
    """Everything `evaluate` measures."""

    photos: int
    size: int
    styles: dict[str, StyleFigures] = field(default_factory=dict)
    singles: dict[str, StyleFigures] = field(default_factory=dict)
    blends: list[BlendFigures] = field(default_factory=list)
    original_psnr: float = 0.0
    distances: list[tuple[float, str, str]] = field(default_factory=list)
    """Mean absolute difference in levels of 255 between two styles' pictures, nearest first."""
    appearance: dict[str, Appearance] = field(default_factory=dict)
    """What one sees, by style."""
    appearance_photos: int = 0


class Judge:
    """Measures pictures of held-out photos under the training losses.

    Parameters
    ----------
    photos
        (N, 3, size, size) in [0, 1].
    style_pictures
        Path of each style's picture, by id.
    loss_network
        With the recipe's layers.
    objective, style_size
        As in training.
    batch_size
        Pictures at a time.
    """

    def __init__(
        self,
        photos: Tensor,
        style_pictures: Mapping[str, Path],
        loss_network: LossNetwork,
        objective: Objective,
        style_size: int,
        batch_size: int = 10,
    ) -> None:
        self.photos = photos
        self.loss_network = loss_network.to(memory_format=torch.channels_last)
        self.objective = objective
        self.batch_size = batch_size
        self.styles = {
            id_: objective.style_target(
                to_tensor(resize_short_side(load_picture(path).rgb, style_size)), loss_network
            )
            for id_, path in style_pictures.items()
        }
        measured = [self.measure(batch) for batch in photos.split(batch_size)]
        self.photo_content = torch.cat([seen.content for seen in measured])
        self.photo_moments = [
            Moments(*map(torch.cat, zip(*layer, strict=True)))
            for layer in zip(*(seen.moments for seen in measured), strict=True)
        ]

    @torch.inference_mode()
    def measure(self, pictures: Tensor) -> Observation:
        """What the losses compare of pictures; in bfloat16 where that is faster."""
        with autocast("cpu", choose_training_precision(torch.device("cpu"))):
            return self.objective.observe(pictures, self.loss_network)

    def style_losses(self, moments: list[Moments], id_: str) -> Tensor:
        """Style loss and plain Gram loss of measured pictures towards a style: (2, N)."""
        count = len(moments[0].mean)
        wanted = [
            Moments(m.mean.expand(count, -1), m.gram.expand(count, -1, -1))
            for m in self.styles[id_]
        ]
        return torch.stack([style_loss(moments, wanted), gram_loss(moments, wanted)])

    def judge(
        self, stylizer: Stylizer, look: Look, ids: Sequence[str]
    ) -> tuple[float, list[list[float]]]:
        """Mean content loss, and for each of ``ids`` the mean style loss and plain Gram loss."""
        content, styles = [], []
        done = 0
        for batch in self.photos.split(self.batch_size):
            # Not under autocast: it is the stylizer's own arithmetic that ships.
            pastiches = stylizer.stylize_batch(batch, [look] * len(batch))
            features, moments = self.measure(pastiches)
            content.append(content_loss(features, self.photo_content[done : done + len(batch)]))
            styles.append(torch.stack([self.style_losses(moments, id_) for id_ in ids]))
            done += len(batch)
        return torch.cat(content).mean().item(), torch.cat(styles, 2).mean(2).tolist()

    def figures(self, stylizer: Stylizer, code: Tensor, id_: str) -> StyleFigures:
        """What a style's code is worth."""
        content, ((style, gram),) = self.judge(stylizer, Look(code), [id_])
        photo_style, photo_gram = self.style_losses(self.photo_moments, id_).mean(1).tolist()
        return StyleFigures(content, style, gram, photo_style, photo_gram)


def evaluate(
    stylizer: Stylizer,
    library: StyleLibrary,
    photo_paths: Sequence[Path],
    style_pictures: Mapping[str, Path],
    loss_network: LossNetwork,
    size: int = 192,
    singles: Mapping[str, tuple[Stylizer, StyleLibrary]] | None = None,
    blend_pairs: Sequence[tuple[str, str]] = (),
    appearance: AppearanceJudge | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure a network on held-out photos.

    Parameters
    ----------
    size
        Side of the photos' centre squares in px.
    singles
        By style, a network of that style alone, to compare.
    blend_pairs
        Pairs of ids.
    appearance
        Measures what one sees; none, and the report does without.
    on_step
        Told what is being measured.
    """
    photos = load_validation_batch(photo_paths, size)
    known = {id_: path for id_, path in style_pictures.items() if id_ in library}
    objective, style_size = Objective(), STYLE_SIZE
    judge = Judge(photos, known, loss_network, objective, style_size)
    report = Report(len(photos), size)
    for id_ in known:
        on_step(id_)
        report.styles[id_] = judge.figures(stylizer, library[id_].code, id_)
    for id_, (single, own) in (singles or {}).items():
        on_step(f"{id_} alone")
        report.singles[id_] = judge.figures(single, own[id_].code, id_)
    few = photos[:: max(1, len(photos) // BLEND_PHOTOS)]
    blend_judge = Judge(few, known, loss_network, objective, style_size)
    for first, second in blend_pairs:
        on_step(f"{first} to {second}")
        rows = []
        for share in BLEND_SHARES:
            code = library.mix({first: 1 - share, second: share})
            _, losses = blend_judge.judge(stylizer, Look(code), [first, second])
            rows.append([style for style, _ in losses])
        to_first, to_second = map(list, zip(*rows, strict=True))
        report.blends.append(BlendFigures(first, second, to_first, to_second))
    if appearance is not None:
        report.appearance_photos = len(appearance.photos)
        for id_, path in known.items():
            on_step(f"appearance of {id_}")
            report.appearance[id_] = appearance.figures(stylizer, library[id_].code, path)
    on_step("original")
    report.original_psnr = measure_original(stylizer, photo_paths)
    on_step("distances")
    report.distances = measure_distances(stylizer, library, photos[::25])
    return report


def measure_original(stylizer: Stylizer, photo_paths: Sequence[Path]) -> float:
    """Mean PSNR in dB of the network's own answer at strength 0, whole photos, float32."""
    ratios = []
    for path in photo_paths:
        photo = to_tensor(load_picture(path).rgb)[None]
        error = (stylizer.reconstruct(photo) - photo).square().mean().item()
        ratios.append(-10 * torch.tensor(error).log10().item())
    return mean(ratios)


def measure_distances(
    stylizer: Stylizer, library: StyleLibrary, photos: Tensor
) -> list[tuple[float, str, str]]:
    """How far the pictures of each two styles are apart, in levels of 255, nearest first."""
    pictures = {
        style.id: stylizer.stylize_batch(photos, [Look(style.code)] * len(photos))
        for style in library
    }
    return sorted(
        ((pictures[a] - pictures[b]).abs().mean().item() * 255, a, b)
        for a, b in itertools.combinations(pictures, 2)
    )
