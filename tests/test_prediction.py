"""Training a style predictor: views of paintings, their bank, the task, its command."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from app.cli import app
from model.network.weights import load_weights
from model.perception.encoder import load_encoder
from model.perception.moments import Moments
from model.styles.predictor import PREDICTOR_FILE, PredictorConfig, load_predictor
from model.training.crops import find_photos
from model.training.loop import Loop, LoopConfig
from model.training.many_styles import StyleTask
from model.training.objective import Window, weigh
from model.training.painting_views import PaintingViews, split_paintings, turn_hue
from model.training.prediction import PredictionTask, export_predictor
from model.training.prediction_recipe import KnownStyles, PredictionRecipe
from model.training.style_recipe import StyleRecipe
from model.training.vgg19 import VGG19Features
from model.training.view_bank import ViewBank
from model.training.warm_start import ridge_rows

RECIPE = PredictionRecipe(
    styles=2,
    photo_size=32,
    context=8,
    view_size=32,
    views=6,
    warm_views=2,
    warm_steps=3,
    predictor=PredictorConfig(4, 8, 5),
)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of paintings and works (named as the small network's styles are), and photos."""
    root = tmp_path_factory.mktemp("gallery")
    rng = np.random.default_rng(3)
    names = {
        "paintings": [f"painting-{i}" for i in range(5)],
        "works": ["amber", "birch", "other"],
        "photos": ["one", "two"],
    }
    for folder, files in names.items():
        (root / folder).mkdir()
        for name in files:
            coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((72, 56), Image.Resampling.BICUBIC)
            image.save(root / folder / f"{name}.png")
    return root


def make_task(
    gallery: Path,
    weights: Path,
    bank: Path,
    recipe: PredictionRecipe = RECIPE,
    encoder_factor: float = 1,
) -> PredictionTask:
    encoder = load_encoder(weights / "perceptual.safetensors")
    for parameter in encoder.parameters():
        parameter.data *= encoder_factor
    paintings, held_out = split_paintings(find_photos(gallery / "paintings"), 1)
    photos = find_photos(gallery / "photos")
    task = PredictionTask(
        recipe,
        KnownStyles.load(weights, gallery / "works"),
        paintings,
        held_out,
        photos,
        photos,
        encoder,
        encoder,
        bank,
    )
    assert task.bank.fill()
    return task


def test_views_depend_on_their_position_alone(gallery: Path) -> None:
    paths = find_photos(gallery / "paintings")
    one, two = (PaintingViews(paths, paths[:1], 40, seed=3) for _ in range(2))
    late = one.view(17)
    for i in range(5):
        assert one.view(i).shape == (3, 40, 40)
    assert torch.equal(late, two.view(17))
    assert not torch.equal(late, two.view(18))
    assert not torch.equal(late, PaintingViews(paths, paths[:1], 40, seed=4).view(17))
    assert float(late.min()) >= 0
    assert float(late.max()) <= 1


def test_a_turned_hue_keeps_luminance_and_comes_back() -> None:
    picture = 0.35 + 0.3 * torch.rand(3, 8, 8)
    turned = turn_hue(picture, 0.7, 1.0)
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    torch.testing.assert_close((weights * turned).sum(0), (weights * picture).sum(0))
    assert not torch.allclose(turned, picture, atol=0.02)
    torch.testing.assert_close(turn_hue(turned, -0.7, 1.0), picture)


def test_held_out_paintings_are_spread_and_never_trained_on() -> None:
    paths = [Path(f"{name:03}.webp") for name in range(100)]
    train, held_out = split_paintings(paths[::-1], 10)
    assert len(held_out) == 10
    assert sorted(train + held_out) == paths
    assert split_paintings(paths, 10) == (train, held_out)
    gaps = np.diff([paths.index(path) for path in held_out])
    assert gaps.min() >= 5
    assert split_paintings(paths, 0) == (paths, [])
    with pytest.raises(ValueError, match="held out"):
        split_paintings(paths, 100)


def test_a_bank_keeps_what_was_measured(tmp_path: Path) -> None:
    asked: list[int] = []

    def measure(first: int, count: int) -> tuple[torch.Tensor, list[Moments]]:
        asked.append(first)
        generator = torch.Generator().manual_seed(first)
        mean = 100 * torch.rand(count, 4, generator=generator)
        root = torch.rand(count, 4, 4, generator=generator)
        gram = root @ root.transpose(1, 2) + mean[:, :, None] * mean[:, None, :]
        return mean + 1, [Moments(mean, gram)]

    bank = ViewBank(tmp_path, {"size": 1}, measure, 100)
    assert not bank.fill(should_stop=lambda: len(asked) > 0)
    assert bank.missing == [1]
    assert bank.fill()
    descriptors, (moments,) = bank.look_up([3, 70])
    wanted = measure(64, 36)[1][0]
    torch.testing.assert_close(moments.mean[1], wanted.mean[6])
    found = moments.shifted_gram(moments.mean)[1]
    torch.testing.assert_close(found, wanted.shifted_gram(wanted.mean)[6], rtol=1e-2, atol=5e-3)
    torch.testing.assert_close(descriptors[1], wanted.mean[6] + 1)
    assert bank.descriptors.shape == (100, 4)
    del asked[:]
    again = ViewBank(tmp_path, {"size": 1}, measure, 100)
    again.fill()
    assert asked == []
    assert torch.equal(again.look_up([70])[0], bank.look_up([70])[0])
    ViewBank(tmp_path, {"size": 2}, measure, 100).fill()
    assert asked == [0, 64]


def test_ridge_regression_gives_known_rows_back() -> None:
    examples, offsets = 300 * torch.randn(4, 40), torch.randn(4, 7)
    torch.testing.assert_close(
        ridge_rows(examples, offsets, examples), offsets, rtol=0.05, atol=0.02
    )
    assert float(ridge_rows(examples, offsets, torch.zeros(1, 40)).abs().max()) == 0


def test_a_wild_style_loss_does_not_outweigh_a_batch() -> None:
    style = torch.tensor([0.1, 50.0], requires_grad=True)
    weigh(torch.zeros(2), style).sum().backward()
    assert style.grad is not None
    assert style.grad[1] < 0.03 * style.grad[0]


def test_what_lies_around_a_crop_is_seen_and_not_judged(
    gallery: Path, learning_weights_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, context=32, view_size=48)
    task = make_task(gallery, learning_weights_folder, tmp_path / "bank", recipe)
    photos, _, *parts = task.batch(0)
    assert photos.shape == (2, 3, 96, 96)
    styles = [Moments(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]

    def judge_framed(width: int) -> list[float]:
        inner = (..., slice(width, -width), slice(width, -width))

        def draw_frames(pictures: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            framed = torch.rand_like(pictures)
            framed[inner] = pictures[inner]
            return framed

        monkeypatch.setattr(task.network, "stylize_aligned", draw_frames)
        content, _ = task.judge(photos, task.known.rows, styles)
        return content.tolist()

    assert judge_framed(8) == [0, 0]
    assert min(judge_framed(32)) > 0  # what is judged sees that far


@pytest.mark.parametrize("row_steps", [0, 2])
def test_training_lowers_the_loss_of_its_paintings(
    row_steps: int,
    gallery: Path,
    learning_weights_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = replace(RECIPE, row_steps=row_steps, row_rate=0.005, views=2)
    task = make_task(gallery, learning_weights_folder, tmp_path / "bank", recipe)
    task.begin()
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    batch = task.batch(0)
    monkeypatch.setattr(task, "batch", lambda _: batch)  # the same photos, for a smooth descent
    first = float(task.losses(*batch)["total"].detach())
    config = LoopConfig(12, 2e-4, 1, ema_decay=0, precision="float32", compile=False)
    assert Loop(task, config, tmp_path / "run", {}).run()
    losses = task.losses(*batch)
    assert float(losses["total"].detach()) < first
    assert ("later" in losses) == bool(row_steps)
    for name, value in task.network.state_dict().items():
        assert torch.equal(value, before[name])


def test_it_starts_near_the_known_rows_and_goes_on_from_a_file(
    gallery: Path, learning_weights_folder: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, warm_steps=200, predictor=PredictorConfig(4, 32, 12))
    task = make_task(gallery, learning_weights_folder, tmp_path / "bank", recipe)
    assert [path.stem for path in task.known.works] == ["amber", "birch"]  # no row of the other
    task.begin()
    export_predictor(tmp_path / PREDICTOR_FILE, task, {"steps": 0}, task.known.weights.fingerprint)
    other = make_task(gallery, learning_weights_folder, tmp_path / "bank", recipe)
    other.begin(tmp_path / PREDICTOR_FILE)
    inputs = task.bank.descriptors
    torch.testing.assert_close(other.module(inputs), task.module(inputs), atol=2e-2, rtol=1e-2)


def test_a_predictor_is_trained_with_its_network(
    gallery: Path, learning_weights_folder: Path, tmp_path: Path
) -> None:
    painted = make_task(gallery, learning_weights_folder, tmp_path / "bank")
    painted.begin()
    start = copy.deepcopy(painted.module.state_dict())
    works = {path.stem: path for path in painted.known.works}
    config = painted.known.weights.network.config
    recipe = StyleRecipe(32, 3, 1, context=8, style_size=32, network=config)
    photos = find_photos(gallery / "photos")
    task = StyleTask(recipe, works, photos, [], painted.loss_network, painted=painted)
    crops, rows, _, corner, *views = batch = task.batch(4)
    codes, wanted = task.styles_of(rows, views)
    torch.testing.assert_close(codes[:2], task.module.codes[rows])
    torch.testing.assert_close(codes[2:], painted.module(views[0]))
    (view,) = [
        i for i in range(RECIPE.views) if torch.equal(painted.bank.descriptors[i], views[0][0])
    ]
    torch.testing.assert_close(wanted[0].gram[2], painted.bank.look_up([view])[1][0].gram[0])
    pastiches = task.module.network.stylize_aligned(crops[:3], codes)
    _, style = task.measure(crops[:3], pastiches, wanted, Window(corner, task.window_side))
    losses = task.losses(*batch)
    torch.testing.assert_close(losses["style"], style[:2].mean())
    torch.testing.assert_close(losses["painted"], style[2])
    config = LoopConfig(3, 1e-3, 1, ema_decay=0, precision="float32", compile=False)
    loop = Loop(task, config, tmp_path / "run", {})
    assert loop.run()
    changed = {n for n, t in task.module.predictor.state_dict().items() if not t.equal(start[n])}
    assert changed == {name for name, _ in painted.module.named_parameters()}
    assert f"module.predictor.{min(changed)}" in load_file(loop.checkpoint_path)


def test_it_goes_on_under_an_encoder_that_was_trained_further(
    gallery: Path, learning_weights_folder: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, warm_steps=100, predictor=PredictorConfig(4, 32, 12))
    start = tmp_path / PREDICTOR_FILE
    task = make_task(gallery, learning_weights_folder, tmp_path / "bank", recipe)
    task.begin()
    export_predictor(start, task, {"steps": 0}, task.known.weights.fingerprint)
    other = make_task(gallery, learning_weights_folder, tmp_path / "bank", recipe, 1.05)
    before, after = task.bank.descriptors, other.bank.descriptors
    assert (before - after).abs().mean() > 0.05 * before.abs().mean()  # the bank is measured anew
    wanted = task.module(before)

    def error() -> float:
        return float((other.module(after) - wanted).square().mean().detach())

    other.begin(start)
    as_it_was = error()
    other.begin(start, task.encoder)
    assert error() < 0.5 * as_it_was


def test_the_command_stops_resumes_and_exports(
    gallery: Path, learning_weights_folder: Path, tmp_path: Path
) -> None:
    vgg = tmp_path / "vgg.safetensors"
    save_file(VGG19Features(("relu1_2", "relu2_2", "relu3_3")).state_dict(), vgg)
    weights = tmp_path / "weights"
    weights.mkdir()
    for path in learning_weights_folder.rglob("*.safetensors"):
        target = weights / path.relative_to(learning_weights_folder)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    arguments = [
        *("train-predictor", "--paintings", gallery / "paintings", "--held-out", 1),
        *("--styles", gallery / "works", "--photos", gallery / "photos", "--vgg", vgg),
        *("--weights-dir", weights, "-o", tmp_path / "run", "--export", weights / PREDICTOR_FILE),
        *("--steps", 2, "--views", 2, "--batch-size", 1, "--photo-size", 32, "--view-size", 64),
        *("--float32", "--device", "cpu"),
    ]
    network = load_weights(weights / "network.safetensors").fingerprint
    for minutes, steps in ((0, 0), (1, 2)):
        command = [*map(str, arguments), "--minutes", str(minutes)]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert result.exit_code == 0
        predictor = load_predictor(weights, network)
        assert predictor.training["steps"] == steps
        code = predictor.predict(Image.open(gallery / "works" / "amber.png").resize((80, 70)), 64)
        assert all(map(math.isfinite, code.tolist()))
    further = [*map(str, arguments), "-o", str(tmp_path / "further"), "--minutes", "0"]
    further += ["--start-encoder", str(weights / "perceptual.safetensors")]
    refused = CliRunner().invoke(app, further)  # of which predictor?
    assert refused.exit_code == 2
    assert "see --start" in refused.output
    further += ["--start", str(weights / PREDICTOR_FILE)]
    assert CliRunner().invoke(app, further, catch_exceptions=False).exit_code == 0
