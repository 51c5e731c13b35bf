"""The report measures what ships."""

from pathlib import Path

import pytest
import torch
from PIL import ImageChops
from torch import Tensor

from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.network.weights import Weights
from model.pictures.levels import to_tensor
from model.pictures.picture import load_picture
from model.styles.library import StyleLibrary
from model.training import appearance_judge, evaluation
from model.training.appearance import STRUCTURE_LAYER
from model.training.appearance_judge import AppearanceJudge
from model.training.crops import find_photos
from model.training.evaluation import BLEND_SHARES, Judge, Report, evaluate
from model.training.objective import Objective
from model.training.sheets import LABEL, render_comparison
from model.training.vgg19 import VGG19Features

OBJECTIVE = Objective(("relu1_2",), "relu2_1", pyramid_levels=1)


class Watched(Stylizer):
    """Notes whether autocast was on."""

    autocast = False

    def stylize_batch(self, photos: Tensor, looks: list[Look], *_: object) -> Tensor:  # type: ignore[override]
        self.autocast |= torch.is_autocast_enabled("cpu")
        return super().stylize_batch(photos, looks)


def test_the_stylizer_computes_as_it_ships(
    small_weights: Weights, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "choose_training_precision", lambda _: "bfloat16")
    styles = {path.stem: path for path in find_photos(pictures / "styles")}
    photos = torch.rand(3, 3, 32, 32)
    judge = Judge(photos, styles, VGG19Features(OBJECTIVE.layers), OBJECTIVE, 48, batch_size=2)
    stylizer = Watched(small_weights)
    content, losses = judge.judge(stylizer, Look(stylizer.original), list(styles))
    assert not stylizer.autocast
    assert content > 0
    assert len(losses) == len(styles)


def test_a_network_that_changes_nothing_looks_like_its_photos(pictures: Path) -> None:
    painting = to_tensor(load_picture(pictures / "styles" / "style-0.png").rgb)
    photos = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    judge = AppearanceJudge(photos, VGG19Features({STRUCTURE_LAYER}, pooling="max"))
    seen = judge.judge(lambda pictures: pictures, painting)
    assert seen.grain == pytest.approx(1)
    assert seen.gradient < 0.35
    assert seen.structure == pytest.approx(0, abs=1e-5)
    noisy = judge.judge(lambda pictures: (pictures + 0.3 * photos[:1]).clamp(0, 1), painting)
    assert noisy.grain > 10
    assert noisy.night > 5
    assert noisy.structure > seen.structure


def test_a_style_is_looked_at_beside_its_own_painting(
    small_weights_folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appearance_judge, "choose_training_precision", lambda _: "bfloat16")
    stylizer = Watched.load(small_weights_folder)
    code = StyleLibrary(small_weights_folder / "styles", stylizer.fingerprint)["amber"].code
    photos = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    judge = AppearanceJudge(photos, VGG19Features({STRUCTURE_LAYER}, pooling="max"))
    first, second = (
        judge.figures(stylizer, code, pictures / "styles" / f"style-{i}.png") for i in (0, 1)
    )
    assert first.weave != second.weave
    assert first.grain == second.grain > 0
    assert not stylizer.autocast


class Counting(Stylizer):
    """Counts the photos that it stylizes."""

    photos = 0

    def stylize_batch(self, photos: Tensor, looks: list[Look], *_: object) -> Tensor:  # type: ignore[override]
        self.photos += len(photos)
        return super().stylize_batch(photos, looks)


def test_blends_are_judged_between_their_ends(
    small_weights_folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "STYLE_SIZE", 48)
    stylizer = Counting.load(small_weights_folder, "cpu")
    library = StyleLibrary(small_weights_folder / "styles", stylizer.fingerprint)
    paintings = find_photos(pictures / "styles")
    paths = find_photos(pictures / "photos")

    def measure(pairs: list[tuple[str, str]]) -> tuple[Report, int]:
        before = stylizer.photos
        works = dict(zip(["amber", "birch"], paintings, strict=False))
        network = VGG19Features(Objective().layers)
        report = evaluate(stylizer, library, paths, works, network, size=32, blend_pairs=pairs)
        return report, stylizer.photos - before

    (report, count), (plain, fewer) = measure([("amber", "birch")]), measure([])
    (blend,) = report.blends
    assert not plain.blends
    assert count - fewer == len(BLEND_SHARES) * len(paths), "of few photos, every one"
    assert [blend.to_first[0], blend.to_second[-1]] == pytest.approx(
        [report.styles["amber"].style, report.styles["birch"].style], rel=1e-3
    )


def test_networks_side_by_side(small_weights_folder: Path, pictures: Path) -> None:
    stylizer = Stylizer.load(small_weights_folder, "cpu")
    library = StyleLibrary(small_weights_folder / "styles", stylizer.fingerprint)
    networks = {"before": (stylizer, library), "after": (stylizer, library)}
    paths = find_photos(pictures / "photos")[:2]
    sheet = render_comparison(networks, ["amber", "birch"], paths, 48)
    photo = load_picture(paths[0]).resized(48).rgb
    width, height = photo.size
    assert sheet.size == (4 * width, 2 * (height + LABEL))
    wanted = stylizer.stylize_image(photo, Look(library["birch"].code))
    top = height + 2 * LABEL
    for left in (0, width):  # the first photo, before and after, in the second style
        shown = sheet.crop((left, top, left + width, top + height))
        assert ImageChops.difference(shown, wanted).getbbox() is None
    with pytest.raises(ValueError, match="after has no style nowhere"):
        render_comparison({"after": (stylizer, library)}, ["nowhere"], paths, 48)
