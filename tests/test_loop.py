"""Training: it learns, it resumes exactly, it draws the same whatever happened before."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from model.inference.previews import render_previews
from model.network.config import NetworkConfig
from model.pictures.style_picture import resize_short_side
from model.styles.library import StyleLibrary
from model.training.checkpoint import CheckpointError, MovingAverage
from model.training.crops import (
    find_photos,
    load_style_pictures,
    load_validation_batch,
)
from model.training.export import export_table, start_from
from model.training.loop import Loop, LoopConfig
from model.training.many_styles import StyleTable, StyleTask
from model.training.objective import Window
from model.training.original import OriginalTask
from model.training.style_recipe import StyleRecipe
from model.training.vgg19 import VGG19Features

SMALL = NetworkConfig(channels=8, residual_blocks=1)
RECIPE = StyleRecipe(
    photo_size=32,
    batch_size=2,
    style_size=48,
    style_layers=("relu1_2", "relu2_1"),
    content_layer="relu2_1",
    pyramid_levels=2,
    original_batch=1,
    context=8,
    network=SMALL,
)
CONFIG = LoopConfig(
    steps=6,
    warmup_steps=2,
    precision="float32",
    compile=False,
    log_every=2,
    validate_every=3,
    ema_decay=0.9,
)


def make_task(pictures: Path, recipe: StyleRecipe = RECIPE, validation: int = 2) -> StyleTask:
    torch.manual_seed(11)
    photos = find_photos(pictures / "photos")
    return StyleTask(
        recipe,
        {entry["id"]: entry["path"] for entry in load_style_pictures(pictures / "styles")},
        photos,
        photos[:validation],
        VGG19Features({*recipe.style_layers, recipe.content_layer}),
    )


def test_training_lowers_the_loss(pictures: Path, tmp_path: Path) -> None:
    task = make_task(pictures, replace(RECIPE, original_batch=0), validation=0)
    loop = Loop(task, replace(CONFIG, steps=40, learning_rate=3e-3), tmp_path, {})
    reports: list[float] = []
    assert loop.run(lambda report: reports.append(report.losses["total"]))
    assert sum(reports[-4:]) < 0.8 * sum(reports[:4])


def test_resume_equals_uninterrupted_training(pictures: Path, tmp_path: Path) -> None:
    whole = Loop(make_task(pictures), CONFIG, tmp_path / "whole", RECIPE.to_dict())
    assert whole.run()

    first = Loop(make_task(pictures), CONFIG, tmp_path / "cut", RECIPE.to_dict())
    assert not first.run(should_stop=lambda: first.step == 3)
    second = Loop(make_task(pictures), CONFIG, tmp_path / "cut", RECIPE.to_dict())
    assert second.resume()
    assert second.step == 3
    assert second.run()

    expected = load_file(whole.checkpoint_path)
    actual = load_file(second.checkpoint_path)
    assert expected.keys() == actual.keys()
    assert any(name.startswith("adam.exp_avg_sq.") for name in expected)
    for name, tensor in expected.items():
        assert torch.equal(tensor, actual[name]), name
    for name in ("curve.csv", "validation.csv"):
        steps = [
            [row[0] for row in csv.reader((tmp_path / kind / name).read_text().splitlines())]
            for kind in ("whole", "cut")
        ]
        assert steps[0] == steps[1]


def test_rows_after_the_last_checkpoint_are_dropped(pictures: Path, tmp_path: Path) -> None:
    loop = Loop(make_task(pictures), replace(CONFIG, steps=4), tmp_path, {})
    loop.run()
    with (tmp_path / "curve.csv").open("a") as file:
        file.write("6,1.0,9,9,9,9\n")
    again = Loop(make_task(pictures), CONFIG, tmp_path, {})
    again.resume()
    assert "\n6," not in (tmp_path / "curve.csv").read_text()
    assert "\n4," in (tmp_path / "curve.csv").read_text()


def test_checkpoints_of_other_recipes_and_damaged_ones_are_refused(
    pictures: Path, tmp_path: Path
) -> None:
    loop = Loop(make_task(pictures), replace(CONFIG, steps=1), tmp_path, {"seed": 0})
    assert not loop.resume()
    loop.run()
    with pytest.raises(ValueError, match="other options"):
        Loop(make_task(pictures), CONFIG, tmp_path, {"seed": 1}).resume()
    loop.checkpoint_path.write_bytes(loop.checkpoint_path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot read"):
        loop.resume()


def test_a_checkpoint_with_a_flipped_bit_is_refused(pictures: Path, tmp_path: Path) -> None:
    loop = Loop(make_task(pictures), replace(CONFIG, steps=1), tmp_path, {})
    loop.run()
    data = bytearray(loop.checkpoint_path.read_bytes())
    data[-100] ^= 1
    loop.checkpoint_path.write_bytes(data)
    with pytest.raises(CheckpointError, match="checksum"):
        loop.resume()


def test_a_checkpoint_of_another_network_is_refused_as_such(pictures: Path, tmp_path: Path) -> None:
    Loop(make_task(pictures), replace(CONFIG, steps=1), tmp_path, {}).run()
    wider = replace(RECIPE, network=NetworkConfig(channels=12, residual_blocks=1))
    with pytest.raises(CheckpointError, match="cannot read"):
        Loop(make_task(pictures, wider), CONFIG, tmp_path, {}).resume()


def test_a_checkpoint_from_before_there_were_digests_is_taken_up(
    pictures: Path, tmp_path: Path
) -> None:
    loop = Loop(make_task(pictures), replace(CONFIG, steps=2), tmp_path, {"seed": 0})
    loop.run()
    metadata = {"step": "2", "seconds": "1.5", "recipe": '{"seed": 0}', "loop": "{}"}
    save_file(load_file(loop.checkpoint_path), loop.checkpoint_path, metadata)
    again = Loop(make_task(pictures), CONFIG, tmp_path, {"seed": 0})
    assert again.resume()
    assert (again.step, again.seconds) == (2, 1.5)


@pytest.mark.parametrize("left", ["", "step,seconds,tot", "6,1.0,9", "6,1.0,9,9,9,"])
def test_a_curve_that_a_full_disk_cut_short_is_mended(
    pictures: Path, tmp_path: Path, left: str
) -> None:
    loop = Loop(make_task(pictures), replace(CONFIG, steps=4), tmp_path, {})
    loop.run()
    curve = tmp_path / "curve.csv"
    whole = curve.read_text().splitlines()
    curve.write_text(left if not left[:1].isdecimal() else "\n".join([*whole, left]))
    again = Loop(make_task(pictures), CONFIG, tmp_path, {})
    assert again.resume()
    again.run()
    rows = list(csv.DictReader(curve.read_text().splitlines()))
    assert [row["step"] for row in rows] == (["2", "4", "6"] if left[:1].isdecimal() else ["6"])
    assert all(math.isfinite(float(row["total"])) for row in rows)


def test_without_a_compiler_training_runs_uncompiled(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def compile_nothing(_: object, **__: object) -> Callable[..., None]:
        def fail(*_: object) -> None:
            raise RuntimeError("Failed to find C compiler.\nA long story")

        return fail

    monkeypatch.setattr(torch, "compile", compile_nothing)
    rows = []
    for name, compiled in (("compiled", True), ("plain", False)):
        config = replace(CONFIG, steps=2, compile=compiled)
        loop = Loop(make_task(pictures), config, tmp_path / name, {})
        loop.run()
        rows.append(loop.task.module.state_dict()["codes"])
    assert torch.equal(*rows)
    assert [r.message for r in caplog.records] == [
        "not compiled: RuntimeError: Failed to find C compiler."
    ]


def test_a_loss_that_is_not_finite_stops_training(pictures: Path, tmp_path: Path) -> None:
    task = make_task(pictures)
    with torch.no_grad():
        task.module.codes.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite"):
        Loop(task, CONFIG, tmp_path, {}).run()
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_a_step_with_infinite_gradients_is_left_out(pictures: Path, tmp_path: Path) -> None:
    task = make_task(pictures)
    before = {name: value.clone() for name, value in task.module.state_dict().items()}
    loop = Loop(task, CONFIG, tmp_path, {})
    task.module.codes.register_hook(lambda gradient: gradient * torch.inf)
    loop.advance(task.batch(0))
    assert loop.step == 1
    for name, value in task.module.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_only_the_rows_of_a_batch_move(pictures: Path, tmp_path: Path) -> None:
    task = make_task(pictures)
    before = task.module.codes.detach().clone()
    photos, _, *others = task.batch(0)
    Loop(task, CONFIG, tmp_path, {}).advance((photos, torch.tensor([0, 0]), *others))
    assert not torch.equal(task.module.codes[0], before[0])
    assert torch.equal(task.module.codes[1], before[1])
    assert not torch.equal(task.module.codes[2], before[2])  # `original` is in every batch


def test_original_alone_gets_better_and_moves_nothing_else(pictures: Path, tmp_path: Path) -> None:
    table = make_task(pictures).module
    before = {name: value.clone() for name, value in table.state_dict().items()}
    photos = find_photos(pictures / "photos")
    task = OriginalTask(table, RECIPE, photos, photos[:2])
    psnr = task.validate()["original_psnr"]
    config = replace(CONFIG, steps=30, learning_rate=0.02, validate_every=0)
    Loop(task, config, tmp_path, {}).run()
    assert task.validate()["original_psnr"] > psnr + 1
    for name, value in table.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert [
        name for name in load_file(tmp_path / "checkpoint.safetensors") if "module" in name
    ] == ["module.row"]


def test_learning_rate_rises_and_falls() -> None:
    config = LoopConfig(steps=100, learning_rate=1.0, warmup_steps=10, final_share=0.1)
    rates = [config.rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.55, abs=0.01)
    assert rates[100] == pytest.approx(0.1)


def test_moving_average_swaps_back() -> None:
    module = torch.nn.Linear(2, 2)
    average = MovingAverage(module, 0.5)
    with torch.no_grad():
        module.weight.fill_(7)
    with average.in_place_of(module):
        assert not bool(module.weight.eq(7).any())
    assert bool(module.weight.eq(7).all())


def test_batches_depend_on_the_step_alone(pictures: Path) -> None:
    recipe = replace(RECIPE, stable_batch=1, full_share=0.5)
    task, again = make_task(pictures, recipe), make_task(pictures, recipe)
    for step in (5, 2, 5):
        photos, rows, grain, corner = task.batch(step)
        side = 32 + 2 * recipe.context
        # Two styled, one of them with grain, one original.
        assert photos.shape == (4, 3, side, side)
        assert rows.shape == (2,)
        assert grain.shape == (1,)
        assert corner.min() >= 0
        assert corner.max() <= 16
        for value, same in zip((photos, rows, grain, corner), again.batch(step), strict=True):
            assert torch.equal(value, same)
        assert (photos[2] - photos[0]).std() == pytest.approx(float(grain), rel=0.1)


def test_a_part_of_the_crop_trains_too(pictures: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, full_share=0.5, coarse=1.5)
    task = make_task(pictures, recipe)
    before = task.validate()
    Loop(task, replace(CONFIG, steps=30, validate_every=0), tmp_path, {}).run()
    assert task.validate()["style"] < before["style"]


def test_training_for_stability_makes_less_of_grain(pictures: Path, tmp_path: Path) -> None:
    changes = []
    for weight in (0.0, 10.0):
        recipe = replace(
            RECIPE,
            original_batch=0,
            stable_batch=2,
            stable_weight=weight,
            style_weight=0.01,
            muon_rate=0.0,
            smooth_share=0.0,
            wall_share=0.0,
        )
        task = make_task(pictures, recipe, validation=0)
        config = replace(CONFIG, steps=30, learning_rate=3e-3, validate_every=0)
        loop = Loop(task, config, tmp_path / str(weight), {})
        reports: list[float] = []
        loop.run(lambda report: reports.append(report.losses["stable"]))  # noqa: B023
        changes.append(reports[-1])
    assert changes[1] < 0.5 * changes[0]


def test_validation_squares_and_short_sides(pictures: Path) -> None:
    batch = load_validation_batch(find_photos(pictures / "photos")[:3], 24)
    assert batch.shape == (3, 3, 24, 24)
    assert resize_short_side(Image.new("RGB", (100, 50)), 25).size == (50, 25)


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no photos"):
        find_photos(tmp_path)
    (tmp_path / "styles.json").write_text('[{"id": "gone", "title": "Gone"}]')
    with pytest.raises(ValueError, match="gone"):
        load_style_pictures(tmp_path)


def test_export_makes_a_whole_weights_folder(pictures: Path, tmp_path: Path) -> None:
    task = make_task(pictures)
    entries = load_style_pictures(pictures / "styles")
    weights = export_table(task.module, entries, tmp_path, {"steps": 1})
    library = StyleLibrary(tmp_path / "styles", weights.fingerprint)
    assert [style.id for style in library] == ["style-0", "style-1"]
    assert library["style-0"].title == "Style 0"
    torch.testing.assert_close(library["style-1"].code, task.module.codes[1].detach())
    again = make_task(pictures, replace(RECIPE, seed=9)).module
    start_from(again, entries[::-1], tmp_path)
    torch.testing.assert_close(again.codes[0], task.module.codes[1])  # by id, not by place
    torch.testing.assert_close(again.codes[-1], task.module.codes[-1])
    torch.testing.assert_close(
        again.network.output.conv.weight,
        task.module.network.output.conv.weight,
        rtol=1e-3,
        atol=1e-4,
    )
    start_from(again, [entries[0], {"id": "new"}], tmp_path)
    torch.testing.assert_close(again.codes[1], task.module.codes[:2].mean(0))
    with pytest.raises(ValueError, match="other dimensions"):
        start_from(StyleTable(NetworkConfig(channels=4), 2), entries, tmp_path)
    previews = render_previews(tmp_path, pictures / "photos" / "photo-0.png")
    assert [path.name for path in previews] == ["style-0.webp", "style-1.webp"]
    with Image.open(previews[0]) as preview:
        assert preview.size == (256, 256)


def test_losses_are_of_what_has_context(pictures: Path) -> None:
    recipe = replace(RECIPE, original_batch=0, stable_batch=0)
    task = make_task(pictures, recipe, validation=0)
    photos, rows, grain, corner = task.batch(3)
    codes, wanted = task.styles_of(rows)
    whole = task.module.network.stylize_aligned(photos, codes)
    window = Window(corner, task.window_side)
    content, style = task.measure(photos, whole, wanted, window)
    found = task.losses(photos, rows, grain, corner)
    torch.testing.assert_close(found["content"], content.mean())
    torch.testing.assert_close(found["style"], style.mean())


def test_rows_alone_leave_the_network_as_it_is(pictures: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, original_batch=0, rows_only=True)
    task = make_task(pictures, recipe)
    before = {name: value.clone() for name, value in task.module.state_dict().items()}
    losses = task.validate()
    loop = Loop(task, replace(CONFIG, steps=30, learning_rate=3e-3), tmp_path, {})
    loop.run()
    with loop.average.in_place_of(task.module):
        after = task.module.state_dict()
        changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
        assert changed == {"codes"}
        assert torch.equal(after["codes"][-1], before["codes"][-1]), "`original` had no photos"
        assert task.validate()["style"] < losses["style"]
