"""A new style from one picture: the row, the start, resuming, and pictures without a style."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from model.network.code import default_codes
from model.network.config import NetworkConfig
from model.network.network import StyleNetwork
from model.network.weights import Weights, save_weights
from model.perception.encoder import EncoderConfig, PerceptualEncoder
from model.training.convergence import WINDOW, has_converged
from model.training.crops import find_photos
from model.training.dead_leaves import LeavesCrops, draw_leaves
from model.training.distillation import EncoderInTraining
from model.training.finetune_recipe import FinetuneRecipe
from model.training.nearest import blend_nearest
from model.training.objective import NETWORK_OBJECTIVE
from model.training.one_style import (
    GROUP,
    FinetuneTask,
    Finetuning,
    sample_photos,
)

CONFIG = NetworkConfig(channels=8, residual_blocks=1)
RECIPE = FinetuneRecipe(stroke_size=64, steps=20, batch_size=2, crop_size=64, context=8)


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    """A small network of random weights."""
    torch.manual_seed(5)
    original = default_codes(CONFIG, 1)[0]
    return save_weights(tmp_path / "network.safetensors", StyleNetwork(CONFIG), original, {})


@pytest.fixture
def rows() -> Tensor:
    """Three rows of that network."""
    generator = torch.Generator().manual_seed(6)
    return default_codes(CONFIG, 3) + 0.3 * torch.randn(3, CONFIG.code_size, generator=generator)


@pytest.fixture
def encoder() -> PerceptualEncoder:
    """A small encoder of random weights: good enough for a loss."""
    torch.manual_seed(7)
    return EncoderInTraining(EncoderConfig((4, 6, 8))).fold()


def make_painting() -> Image.Image:
    coarse = np.random.default_rng(8).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((150, 120), Image.Resampling.BICUBIC)


Start = Callable[[Path], Finetuning]


@pytest.fixture
def start(weights: Weights, rows: Tensor, encoder: PerceptualEncoder) -> Start:
    """Starts or continues the one run in a folder."""
    return lambda folder: Finetuning(make_painting(), weights, rows, encoder, RECIPE, folder)


def test_only_the_row_moves(weights: Weights, start: Start, tmp_path: Path) -> None:
    before = {n: v.clone() for n, v in weights.network.state_dict().items()}
    run = start(tmp_path / "run")
    first = run.row
    losses: list[float] = []
    assert run.advance(on_progress=lambda report: losses.append(report.losses["total"]))
    assert run.finished
    assert run.step == RECIPE.steps == GROUP * len(losses)
    assert losses[-1] < losses[0]
    assert not torch.equal(run.row, first)
    for name, value in weights.network.state_dict().items():
        assert torch.equal(value, before[name]), name
    kept = load_file(tmp_path / "run" / "checkpoint.safetensors")
    assert {n for n in kept if n.startswith("module.")} == {"module.row"}


def test_pieces_equal_one_run(start: Start, tmp_path: Path) -> None:
    whole = start(tmp_path / "whole")
    assert whole.advance()
    reached = 0
    while True:
        run = start(tmp_path / "pieces")
        assert run.step == reached
        wanted = reached + GROUP
        done = run.advance(lambda: run.step >= wanted)  # noqa: B023, it does not outlive the turn
        reached = run.step
        if done:
            break
        assert reached == wanted
    assert torch.equal(run.row, whole.row)


def test_a_finished_run_stays_finished(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path)
    first.advance()
    again = start(tmp_path)
    assert again.finished
    assert again.advance()
    assert again.step == first.step
    assert torch.equal(again.row, first.row)


def test_a_checkpoint_of_another_picture_is_refused(
    weights: Weights, rows: Tensor, encoder: PerceptualEncoder, start: Start, tmp_path: Path
) -> None:
    start(tmp_path)
    other = make_painting().rotate(90, expand=True)
    with pytest.raises(ValueError, match="other options"):
        Finetuning(other, weights, rows, encoder, RECIPE, tmp_path)


def test_the_start_is_the_nearest_blend(
    weights: Weights, rows: Tensor, encoder: PerceptualEncoder
) -> None:
    photos = torch.rand(1, 3, 32, 32)
    picture = weights.network.stylize_aligned(photos, rows[1:2])[0]
    # A row's own picture of the same photo is as near as can be.
    target = NETWORK_OBJECTIVE.style_target(picture, encoder)
    found = blend_nearest(rows, target, NETWORK_OBJECTIVE, weights.network, encoder, photos)
    assert torch.equal(found, rows[1])


def test_without_rows_it_starts_from_the_original(
    weights: Weights, encoder: PerceptualEncoder, tmp_path: Path
) -> None:
    none = torch.empty(0, CONFIG.code_size)
    run = Finetuning(make_painting(), weights, none, encoder, RECIPE, tmp_path)
    assert torch.equal(run.row, weights.original)


@pytest.mark.parametrize(
    ("name", "value"), [("stroke_size", 63), ("style_weight", 11.0), ("steps", 9)]
)
def test_recipes_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        FinetuneRecipe(**{name: value})  # type: ignore[arg-type]


def test_content_is_samples_and_leaves(
    weights: Weights, encoder: PerceptualEncoder, pictures: Path
) -> None:
    assert [p.suffix for p in sample_photos()] == [".jpg"] * 4
    recipe = FinetuneRecipe(batch_size=8, crop_size=32)
    row = weights.original
    own = FinetuneTask(recipe, [], weights.network, row, encoder)
    leaves = LeavesCrops(recipe.cut_size, recipe.seed)
    drawn = [torch.equal(own.crop(i), leaves.crop(i)) for i in range(8)]
    assert sum(drawn) == 8 * recipe.leaves_share
    photos = find_photos(pictures / "photos")
    theirs = FinetuneTask(recipe, [], weights.network, row, encoder, photos)
    assert not any(torch.equal(theirs.crop(i), leaves.crop(i)) for i in range(8))


def test_leaves_are_drawn_by_position() -> None:
    first, again, other = (draw_leaves(48, 0, i) for i in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()
    levels = np.asarray(first, dtype=float)
    assert levels.std() > 10
    # Opaque shapes: most neighbours are alike, some are far apart.
    steps = np.abs(np.diff(levels.mean(axis=2), axis=1))
    assert np.median(steps) < 8 < 30 < steps.max()


def test_convergence_is_a_window_without_gain() -> None:
    count = 2 * WINDOW // GROUP
    falling = [2.0 * 0.97**i for i in range(count)]
    assert not has_converged(falling)
    assert not has_converged([1.0] * (count - 1))
    assert has_converged([1.0] * count)
    assert has_converged([*falling, *[1.0] * count])


def test_it_starts_from_the_row_it_is_given_and_tells_which_is_better(
    weights: Weights, rows: Tensor, encoder: PerceptualEncoder, tmp_path: Path
) -> None:
    # Larger crops: what is learned on ones of 32 px may be worse on photos of 128 px.
    recipe = replace(RECIPE, crop_size=96)
    run = Finetuning(
        make_painting(), weights, rows, encoder, recipe, tmp_path, start=rows[2].clone()
    )
    assert torch.equal(run.row, rows[2])
    assert run.seconds_per_step is None
    before, steps = run.measure(run.row), 0

    def count() -> None:
        nonlocal steps
        steps += 1

    run.advance(on_step=count)
    assert run.measure(run.row) < before == run.measure(rows[2])
    assert steps == RECIPE.steps, "before every one"
    assert run.seconds_per_step is not None
    assert run.seconds_per_step > 0
