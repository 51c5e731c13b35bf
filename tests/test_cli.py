"""The command line: what it does, how it fails, and that it leaves nothing half-written."""

import errno
import hashlib
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from app.cli import main
from app.commands.train import train
from model.inference.stylizer import Stylizer
from model.network.config import NetworkConfig
from model.network.weights import load_weights
from model.perception.encoder import load_encoder
from model.styles.library import StyleLibrary
from model.styles.predictor import load_predictor
from model.styles.style import Style
from model.styles.style_file import load_style, save_style
from model.training.objective import Objective
from model.training.style_recipe import StyleRecipe
from model.training.vgg19 import VGG19Features


@dataclass
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(
    small_weights_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """Run a command in an empty folder with the small network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PASTICHE_WEIGHTS_DIR", str(small_weights_folder))
    monkeypatch.setenv("PASTICHE_DATA_DIR", str(tmp_path / "no-data"))
    monkeypatch.setenv("COLUMNS", "200")

    def run_command(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["pastiche", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        assert isinstance(code, int)
        return Result(code, captured.out, captured.err)

    return run_command


def save_photo(path: Path, size: tuple[int, int] = (40, 28), **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)  # type: ignore[arg-type]
    return path


def leftovers(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_one_photo_to_a_file(run: Run, tmp_path: Path) -> None:
    save_photo(tmp_path / "photo.jpg")
    result = run("stylize", "photo.jpg", "--style", "amber", "-o", "out.png")
    assert result.code == 0, result.err
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == (40, 28)


def test_beside_the_photo_by_default(run: Run, tmp_path: Path) -> None:
    save_photo(tmp_path / "in" / "photo.webp")
    assert run("stylize", "in/photo.webp", "--style", "amber").code == 0
    assert leftovers(tmp_path) == ["in/photo-amber.webp", "in/photo.webp"]


def test_folders_and_patterns_into_a_folder(run: Run, tmp_path: Path) -> None:
    save_photo(tmp_path / "in" / "a.jpg")
    save_photo(tmp_path / "in" / "deep" / "b.PNG")
    save_photo(tmp_path / "c1.webp")
    save_photo(tmp_path / "c2.webp")
    (tmp_path / "in" / "notes.txt").write_text("no photo")
    result = run("stylize", "in", "c*.webp", "--mix", "amber=1,birch=3", "-o", "out")
    assert result.code == 0, result.err
    assert leftovers(tmp_path / "out") == ["a.jpg", "c1.webp", "c2.webp", "deep/b.png"]


def test_mix_strength_colour_side_and_format(run: Run, tmp_path: Path) -> None:
    save_photo(tmp_path / "photo.png", (60, 30))
    result = run(
        *("stylize", "photo.png", "--mix", "amber=0.6,birch=0.4", "--strength", "0.5"),
        *("--preserve-color", "--max-side", "20", "--format", "jpeg", "-o", "out"),
    )
    assert result.code == 0, result.err
    with Image.open(tmp_path / "out" / "photo.jpg") as picture:
        assert picture.format == "JPEG"
        assert picture.size == (20, 10)


def test_strength_zero_gives_the_photo_back(run: Run, tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "photo.png")
    assert run("stylize", "photo.png", "--style", "amber", "--strength", 0, "-o", "o.png").code == 0
    with Image.open(photo) as before, Image.open(tmp_path / "o.png") as after:
        assert before.tobytes() == after.convert("RGB").tobytes()


def test_large_photos_go_in_pieces(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photo(tmp_path / "photo.png", (60, 50))
    command = ["stylize", "photo.png", "--style", "amber", "-o"]
    assert run(*command, "whole.png").code == 0
    monkeypatch.setattr("model.inference.device.CPU_WHOLE_PIXELS", 1_000)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 2_000)  # of more it warns
    found = []
    for name, *options in (["exact.png"], ["quick.png", "--tiles", "quick"]):
        result = run(*command, name, *options)
        assert result.code == 0, result.err
        found.append(tmp_path / name)
    assert Image.MAX_IMAGE_PIXELS == 2_000
    monkeypatch.undo()
    whole, *others = (np.array(Image.open(p)).astype(int) for p in [tmp_path / "whole.png", *found])
    for other in others:  # quick ones too: this photo is small enough to be measured itself
        assert np.abs(other - whole).max() <= 1


def test_a_photo_without_room_does_not_cost_the_others(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("a", (40, 28)), ("b", (60, 50)), ("c", (40, 28))):
        save_photo(tmp_path / "in" / f"{name}.png", size)
    large = Stylizer.stylize_large

    def fail(self: Stylizer, levels: np.ndarray, *others: object) -> np.ndarray:
        if levels.shape[0] == 50:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")
        return large(self, levels, *others)  # type: ignore[arg-type]

    monkeypatch.setattr("model.inference.device.CPU_WHOLE_PIXELS", 1_000)
    monkeypatch.setattr(Stylizer, "stylize_large", fail)
    result = run("stylize", "in", "--style", "amber", "-o", "out")
    assert result.code == 1
    assert "b.png: too little memory, for 60 x 50 px in pieces" in result.err
    assert leftovers(tmp_path / "out") == ["a.png", "c.png"]


def test_precision_on_the_command_line(run: Run, tmp_path: Path) -> None:
    save_photo(tmp_path / "photo.png")
    command = ["stylize", "photo.png", "--style", "amber", "-o", "o.png", "--force"]
    for precision in ("auto", "float32", "bfloat16"):
        assert run(*command, "--precision", precision).code == 0
    assert run(*command, "--precision", "float8").code == 2
    refused = run(*command, "--precision", "float16", "--device", "cpu")
    assert refused.code == 1
    assert "float16" in refused.err


def test_styles_differ_on_the_command_line(run: Run, tmp_path: Path) -> None:
    save_photo(tmp_path / "photo.png")
    for style in ("amber", "birch"):
        assert run("stylize", "photo.png", "--style", style, "-o", f"{style}.png").code == 0
    assert (tmp_path / "amber.png").read_bytes() != (tmp_path / "birch.png").read_bytes()


def test_never_overwrites_without_force(run: Run, tmp_path: Path) -> None:
    save_photo(tmp_path / "photo.png")
    (tmp_path / "out.png").write_bytes(b"precious")
    result = run("stylize", "photo.png", "--style", "amber", "-o", "out.png")
    assert result.code == 1
    assert "--force" in result.err
    assert (tmp_path / "out.png").read_bytes() == b"precious"
    assert run("stylize", "photo.png", "--style", "amber", "-o", "out.png", "--force").code == 0
    assert (tmp_path / "out.png").read_bytes() != b"precious"


def test_one_bad_file_among_good_ones(run: Run, tmp_path: Path) -> None:
    good = save_photo(tmp_path / "in" / "good.jpg")
    (tmp_path / "in" / "cut.jpg").write_bytes(good.read_bytes()[:200])
    (tmp_path / "in" / "text.png").write_text("hello")
    (tmp_path / "in" / "empty.webp").write_bytes(b"")
    result = run("stylize", "in", "--style", "amber", "-o", "out")
    assert result.code == 1
    assert leftovers(tmp_path / "out") == ["good.jpg"]
    lines = result.err.strip().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("pastiche: in/") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["none.jpg", "--style", "amber"], "none.jpg"),
        (["photo.png"], "--style"),
        (["photo.png", "--style", "amber", "--mix", "birch=1"], "--style"),
        (["photo.png", "--style", "ambre"], "amber"),
        (["photo.png", "--style", "../amber"], "no style"),
        (["photo.png", "--mix", "amber=x"], "amber=x"),
        (["photo.png", "--mix", "amber=nan"], "amber=nan"),
        (["photo.png", "--mix", "amber=-1"], "amber=-1"),
        (["photo.png", "--mix", "amber=0"], "must not all be 0"),
        (["photo.png", "--mix", "amber=1,amber=2"], "twice"),
        (["photo.png", "--mix", ""], "--mix"),
        (["photo.png", "--style", "amber", "--strength", "2"], "--strength"),
        (["photo.png", "--style", "amber", "--strength", "nan"], "--strength"),
        (["photo.png", "--style", "amber", "--max-side", "0"], "--max-side"),
        (["photo.png", "--style", "amber", "--quality", "101"], "--quality"),
        (["photo.png", "--style", "amber", "--format", "bmp"], "bmp"),
        (["photo.png", "--style", "amber", "--format", "jpeg", "-o", "x.png"], "x.png"),
        (["photo.png", "--style", "amber", "-o", "photo.png", "--force"], "replaced"),
        (["a/p.png", "b/p.png", "--style", "amber", "-o", "out"], "both"),
        (["empty", "--style", "amber"], "empty"),
    ],
)
def test_wrong_usage(run: Run, tmp_path: Path, arguments: list[str], hint: str) -> None:
    for name in ("photo.png", "a/p.png", "b/p.png"):
        save_photo(tmp_path / name)
    (tmp_path / "empty").mkdir()
    before = leftovers(tmp_path)
    result = run("stylize", *arguments)
    assert result.code == 2
    assert hint in result.err
    assert leftovers(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--style", "amber", "--device", "cuda:99"], "cuda:99"),
        (["--style", "amber", "--weights-dir", "nowhere"], "nowhere"),
        (["--style", "amber", "-o", "photo.png/x.png"], "photo.png"),
    ],
)
def test_failures_are_one_line(run: Run, tmp_path: Path, arguments: list[str], hint: str) -> None:
    save_photo(tmp_path / "photo.png")
    result = run("stylize", "photo.png", *arguments)
    assert result.code == 1
    assert hint in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert leftovers(tmp_path) == ["photo.png"]


def test_damaged_network_is_one_line(run: Run, tmp_path: Path, small_weights_folder: Path) -> None:
    save_photo(tmp_path / "photo.png")
    (tmp_path / "w").mkdir()
    data = (small_weights_folder / "network.safetensors").read_bytes()
    (tmp_path / "w" / "network.safetensors").write_bytes(data[:-100])
    result = run("stylize", "photo.png", "--style", "amber", "--weights-dir", "w")
    assert result.code == 1
    assert len(result.err.strip().splitlines()) == 1


def test_styles_as_table_and_json(run: Run) -> None:
    table = run("styles")
    assert table.code == 0
    assert "attributed to An Artist, 1900" in table.out
    rows = json.loads(run("styles", "--json").out)
    assert [row["id"] for row in rows] == ["amber", "birch", "cobalt"]
    assert rows[0]["kind"] == "built-in"


def test_ids_are_whole_on_a_narrow_page_and_in_a_pipe(
    run: Run, tmp_path: Path, small_weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = Stylizer.load(small_weights_folder, "cpu").fingerprint
    code = torch.ones(NetworkConfig(channels=8, residual_blocks=1).code_size)
    id_ = "a-style-with-quite-a-long-name-0123456789"
    (tmp_path / "data" / "styles").mkdir(parents=True)
    style = Style(id_, "A title of many words " * 4, code, fingerprint, kind="custom")
    save_style(style, tmp_path / "data" / "styles" / f"{id_}.safetensors")
    monkeypatch.setenv("COLUMNS", "60")
    lines = run("styles", "--data-dir", "data").out.splitlines()
    assert len(lines) == 1 + 3 + 1, "in a pipe a style is a line"
    assert any(line.startswith(f"{id_} ") and "custom" in line for line in lines)


def test_stylize_names_what_it_wrote(run: Run, tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        save_photo(tmp_path / "in" / name)
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    result = run("stylize", "in", "--style", "amber", "-o", "out")
    assert result.code == 1
    assert result.out.splitlines() == ["out/a.png", "out/c.png"]
    assert [line for line in result.err.splitlines() if "in/b.png" in line]


def test_a_full_disk_ends_the_run_and_tells_what_is_left(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        save_photo(tmp_path / "in" / name)
    from model.storage import files

    write = files.write_atomically
    written = []

    def write_until_full(path: Path, data: bytes) -> None:
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        written.append(path)
        write(path, data)

    monkeypatch.setattr(files, "write_atomically", write_until_full)
    result = run("stylize", "in", "--style", "amber", "-o", "out")
    assert result.code == 1
    assert result.out.splitlines() == ["out/a.png"]
    assert result.err.count("No space left") == 1, "nothing more is tried"
    lines = [line.strip() for line in result.err.splitlines()]
    assert lines[-3:] == ["2 photos are not done:", "in/b.png", "in/c.png"]
    assert leftovers(tmp_path / "out") == ["a.png"]


@pytest.mark.parametrize("output", ["x.gif", "deep/x.tiff"])
def test_an_output_that_cannot_be_written_is_no_folder(
    run: Run, tmp_path: Path, output: str
) -> None:
    save_photo(tmp_path / "photo.png")
    result = run("stylize", "photo.png", "--style", "amber", "-o", output)
    assert result.code == 2
    assert ".webp" in result.err
    assert leftovers(tmp_path) == ["photo.png"]


def test_one_file_for_many_photos_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    save_photo(tmp_path / "a.png")
    save_photo(tmp_path / "b.png")
    assert run("stylize", "a.png", "b.png", "--style", "amber", "-o", "x.png").code == 2
    (tmp_path / "notes").write_text("a file")
    assert run("stylize", "a.png", "--style", "amber", "-o", "notes").code == 2
    assert leftovers(tmp_path) == ["a.png", "b.png", "notes"]


def test_retune_says_when_there_is_nothing_to_do(run: Run) -> None:
    result = run("styles", "retune")
    assert result.code == 0
    assert "No style needs a retune" in result.err


def test_doctor_tells_what_a_report_needs_and_nothing_private(
    run: Run, learning_weights_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PASTICHE_DATABASE_URL", "")
    result = run("doctor", "--weights-dir", learning_weights_folder, "--data-dir", tmp_path / "own")
    assert result.code == 0, result.out + result.err
    for words in ("precision", "fingerprint", "3 built-in", "GB free", "512 px in float32"):
        assert words in result.out
    digest = hashlib.sha256((learning_weights_folder / "network.safetensors").read_bytes())
    assert digest.hexdigest() in result.out
    assert str(tmp_path) not in result.out
    assert not (tmp_path / "own").exists(), "looking makes nothing"


def test_doctor_names_what_is_broken_and_goes_on(
    run: Run, learning_weights_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(learning_weights_folder, tmp_path / "w")
    path = tmp_path / "w" / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    (tmp_path / "w" / "perceptual.safetensors").unlink()
    result = run("doctor", "--weights-dir", "w", "--no-timed", "--device", "cuda:9")
    assert result.code == 1
    bad = [line.split()[1] for line in result.out.splitlines() if line.startswith("BAD")]
    assert bad == ["device", "weights", "predictor", "styles"]
    assert "data folder" in result.out


def test_a_custom_style_of_the_users(run: Run, tmp_path: Path, small_weights_folder: Path) -> None:
    from model.styles.library import StyleLibrary
    from model.styles.style import Style

    stylizer = Stylizer.load(small_weights_folder, "cpu")
    library = StyleLibrary(
        small_weights_folder / "styles", stylizer.fingerprint, tmp_path / "data" / "styles"
    )
    library.add(Style("mine", "Mine [bold]", stylizer.original, stylizer.fingerprint))
    save_photo(tmp_path / "photo.png")
    assert run("stylize", "photo.png", "--style", "mine", "--data-dir", "data").code == 0
    assert "Mine [bold]" in run("styles", "--data-dir", "data").out


def test_a_style_of_another_network_is_not_used(run: Run, tmp_path: Path) -> None:
    code = torch.ones(NetworkConfig(channels=8, residual_blocks=1).code_size)
    (tmp_path / "data" / "styles").mkdir(parents=True)
    style = Style("old", "Old", code, "0" * 16, kind="custom")
    save_style(style, tmp_path / "data" / "styles" / "old.safetensors")
    save_photo(tmp_path / "photo.png")
    result = run("stylize", "photo.png", "--style", "old", "--data-dir", "data")
    assert result.code == 2
    assert "pastiche styles retune" in " ".join(result.err.replace("│", " ").split())


def test_help_and_version(run: Run) -> None:
    assert "stylize" in run("--help").out
    assert run("--version").out.startswith("pastiche ")
    assert run("nonsense").code == 2


def test_train_evaluate_and_stylize(run: Run, tmp_path: Path) -> None:
    """A network from nothing to a report, small: the whole path that `weights/` came by."""
    for i in range(3):
        save_photo(tmp_path / "photos" / f"p{i}.png", (64, 64))
        save_photo(tmp_path / "styles" / f"style-{i}.png", (64, 64))
    save_file(VGG19Features(Objective().layers).state_dict(), tmp_path / "vgg.safetensors")
    common = ["--photos", "photos", "--styles", "styles", "--vgg", "vgg.safetensors"]
    options = ["--batch-size", 1, "--photo-size", 32, "--style-size", 32, "--no-compile"]
    result = run(
        *("train", *common, "-o", "run", *options, "--steps", 2, "--only", "style-0"),
        *("--only", "style-1", "--export", "weights", "--preview", "photos/p0.png"),
        *(
            "--original-steps",
            2,
            "--style-weight",
            4,
            "--style-weight",
            "style-1=2",
            "--validation",
            "photos",
        ),
    )
    assert result.code == 0, result.err
    assert leftovers(tmp_path / "weights") == [
        "network.safetensors",
        *(f"styles/style-{i}.{suffix}" for i in (0, 1) for suffix in ("safetensors", "webp")),
    ]
    again = ["--start", "weights", "--original-batch", 0, "--steps", 1]
    assert run("train", *common, "-o", "more", *options, *again).code == 0
    rows = ["--only", "style-0", "--only", "style-1", "--rows-only", "--export", "tuned"]
    result = run("train", *common, "-o", "rows", *options, *again, *rows)
    assert result.code == 0, result.err
    networks = [load_weights(tmp_path / f / "network.safetensors") for f in ("weights", "tuned")]
    assert networks[0].fingerprint == networks[1].fingerprint
    paintings = ["--paintings", "styles", "--held-out", 0, "--views", 2, "--batch-size", 2]
    painted = ["train", *common, "-o", "painted", *options, *again[2:], *rows[:4], *paintings]
    assert "see --start" in run(*painted).err
    result = run(*painted, "--start", "weights", "--export", "painted-weights")
    assert result.code == 0, result.err
    refused = run(*painted, "--start", "weights", "--views", 3)
    assert "other options" in refused.err
    later = load_weights(tmp_path / "painted-weights" / "network.safetensors")
    assert later.fingerprint != networks[0].fingerprint
    assert load_predictor(tmp_path / "painted-weights", later.fingerprint).training["steps"] == 1
    result = run("average", "weights", "painted-weights", "--share", 0.25, "-o", "average")
    assert result.code == 0, result.err
    both = [load_weights(tmp_path / f / "network.safetensors") for f in ("weights", "average")]
    assert result.out.strip() == both[1].fingerprint
    wanted = torch.lerp(both[0].original, later.original, 0.25)
    torch.testing.assert_close(both[1].original, wanted)
    library = StyleLibrary(tmp_path / "average" / "styles", both[1].fingerprint)
    assert [style.id for style in library] == ["style-0", "style-1"]
    misaligned = run("train", *common, "-o", "new", *options, "--context", 3)
    assert misaligned.code == 2
    assert "multiple of 4" in misaligned.err
    refused = run("train", *common, "-o", "run", *options, "--steps", 2)
    assert refused.code == 1
    assert "other options" in refused.err
    assert run("train", *common, "-o", "new", "--only", "style-9").code == 2
    assert run("train", *common, "-o", "new", "--style-weight", "x=0").code == 2

    result = run(
        *("evaluate", *common, "-o", "report", "--weights-dir", "weights", "--size", 64),
        *("--limit", 2, "--samples", "photos", "--single", "weights"),
        *("--appearance-photos", 1),
    )
    assert result.code == 0, result.err
    assert leftovers(tmp_path / "report") == [
        "report.json",
        "report.md",
        "strength.webp",
        "styles.webp",
    ]
    text = (tmp_path / "report" / "report.md").read_text()
    # Against itself: no difference, however small the network.
    assert "| **mean** | | | +0.0% | | | +0.0% |" in text
    assert "on 1 photos of 384 px" in text
    figures = json.loads((tmp_path / "report" / "report.json").read_text())
    assert set(figures["appearance"]) == {"style-0", "style-1"}
    assert figures["appearance"]["style-0"]["grain"] > 0


def save_painting(path: Path) -> Path:
    coarse = np.random.default_rng(8).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((90, 70), Image.Resampling.BICUBIC).save(path)
    return path


def test_a_new_style_from_a_picture(
    run: Run, tmp_path: Path, learning_weights_folder: Path
) -> None:
    save_painting(tmp_path / "my-painting.png")
    save_photo(tmp_path / "photo.png")
    options = ["--weights-dir", learning_weights_folder, "--data-dir", "data"]
    learning = ["--steps", 10, "--stroke-size", 64]
    result = run("finetune", "my-painting.png", *learning, *options, "-o", "mine.safetensors")
    assert result.code == 0, result.err
    id_ = result.out.strip()
    assert id_.startswith("my-painting-")
    # The style, its preview, the copy of its picture; nothing of the run is left.
    assert leftovers(tmp_path / "data") == [
        f"styles/{id_}.safetensors",
        f"styles/{id_}.webp",
        f"styles/sources/{id_}.webp",
    ]
    assert load_style(tmp_path / "mine.safetensors").title == "my painting"
    assert run("stylize", "photo.png", "--style", id_, *options).code == 0
    photos = tmp_path / "photos"
    photos.mkdir()
    save_photo(photos / "a.png", (64, 64))
    other = run("finetune", "my-painting.png", *learning, *options, "--photos", photos)
    assert other.code == 0, other.err
    assert other.out.strip() != id_


def test_an_interrupted_style_goes_on(
    run: Run, tmp_path: Path, learning_weights_folder: Path
) -> None:
    save_painting(tmp_path / "painting.png")
    options = ["--weights-dir", learning_weights_folder, "--data-dir", "data"]
    learning = ["finetune", "painting.png", "--stroke-size", 64, "--steps", 60, *options]
    program = [sys.executable, "-m", "app.cli", *map(str, learning)]
    process = subprocess.Popen(  # noqa: S603
        program, cwd=tmp_path, env=os.environ, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("data/finetuning/*/curve.csv")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    if process.returncode == 0:  # it was faster than the signal
        return
    assert process.returncode == 1
    assert b"the same command continues" in error
    assert b"Traceback" not in error
    result = run(*learning)
    assert result.code == 0, result.err
    assert "resumed at step" in result.err
    whole = run(*learning[:-1], "data-2")
    assert whole.code == 0, whole.err
    rows = [
        load_style(next((tmp_path / data / "styles").glob("*.safetensors"))).code
        for data in ("data", "data-2")
    ]
    assert torch.allclose(*rows, atol=1e-3)


@pytest.mark.parametrize(("size", "message"), [((20, 300), "20 x 300"), ((200, 200), "one colour")])
def test_pictures_without_a_style(
    run: Run, tmp_path: Path, learning_weights_folder: Path, size: tuple[int, int], message: str
) -> None:
    Image.new("RGB", size, (10, 90, 60)).save(tmp_path / "flat.png")
    result = run("finetune", "flat.png", "--weights-dir", learning_weights_folder)
    assert result.code == 1
    assert message in result.err
    assert result.err.count("\n") == 1
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    assert run("finetune", "broken.png", "--weights-dir", learning_weights_folder).code == 1
    assert run("finetune", "flat.png", "--steps", 1).code == 2


def test_distill(run: Run, tmp_path: Path) -> None:
    for name in ("photos/a.png", "photos/b.png", "styles/c.png"):
        save_photo(tmp_path / name, (64, 64))
    layers = ("relu1_2", "relu2_2", "relu3_2", "relu3_3")
    save_file(VGG19Features(layers).state_dict(), tmp_path / "vgg.safetensors")
    result = run(
        *("distill", "--photos", "photos", "--styles", "styles", "--vgg", "vgg.safetensors"),
        *("--validation", "photos", "-o", "run", "--export", "encoder.safetensors"),
        *("--steps", 1, "--batch-size", 4, "--widths", 4, 6, 8, "--no-compile"),
    )
    assert result.code == 0, result.err
    assert load_encoder(tmp_path / "encoder.safetensors").layers == layers
    result = run(
        *("distill", "--photos", "photos", "--styles", "styles", "--vgg", "vgg.safetensors"),
        *("--start", "encoder.safetensors", "-o", "further", "--export", "better.safetensors"),
        *("--steps", 1, "--batch-size", 4, "--widths", 4, 6, 8, "--no-compile", "--minutes", 1),
    )
    assert result.code == 0, result.err
    assert load_encoder(tmp_path / "better.safetensors").layers == layers


def test_interrupt_leaves_nothing_half_written(tmp_path: Path, small_weights_folder: Path) -> None:
    """Ctrl-C in the middle: no traceback, only whole pictures, no temporary file."""
    for i in range(30):
        save_photo(tmp_path / "in" / f"{i:02}.png", (400, 400))
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "stylize", "in", "--style", "amber", "-o", "out"],
        cwd=tmp_path,
        env=os.environ
        | {
            "PASTICHE_WEIGHTS_DIR": str(small_weights_folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list((tmp_path / "out").glob("*.png")):
        pass
    process.send_signal(2)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    for path in (tmp_path / "out").iterdir():
        with Image.open(path) as picture:
            picture.load()


def test_photos_in_the_style_of_pictures(
    run: Run, tmp_path: Path, predicting_weights_folder: Path
) -> None:
    weights = ["--weights-dir", predicting_weights_folder, "--stroke-size", 64]
    save_photo(tmp_path / "photo.png")
    for name in ("one.png", "other=2.png"):
        save_photo(tmp_path / name, (90, 80))

    def stylized(*options: object) -> bytes:
        result = run("stylize", "photo.png", *weights, *options, "-o", "out.png", "--force")
        assert result.code == 0, result.err
        return (tmp_path / "out.png").read_bytes()

    one, other = stylized("--style-image", "one.png"), stylized("--style-image", "other=2.png")
    assert one != other
    assert stylized("--style-image", "one.png", "--style-image", "other=2.png=0") == one
    both = stylized("--style-image", "one.png=3", "--style-image", "other=2.png=1")
    assert both not in (one, other)
    amber = stylized("--style", "amber")
    assert stylized("--style", "amber", "--style-image", "one.png=0") == amber
    mixed = stylized("--mix", "amber=0.5,birch=0.5", "--style-image", "one.png=0.5")
    assert mixed not in (one, amber)

    named = run("stylize", "photo.png", *weights, "--style", "amber", "--style-image", "one.png")
    assert named.out.strip() == "photo-amber-one.png"


def test_pictures_that_have_no_style_and_networks_without_a_predictor(
    run: Run, tmp_path: Path, predicting_weights_folder: Path
) -> None:
    save_photo(tmp_path / "photo.png")
    save_photo(tmp_path / "one.png", (90, 80))
    save_photo(tmp_path / "tiny.png", (20, 80))
    weights = ["--weights-dir", predicting_weights_folder]
    for picture, words in (("tiny.png", "tiny.png: the picture has"), ("none.png", "none.png")):
        result = run("stylize", "photo.png", *weights, "--style-image", picture)
        assert (result.code, words in result.err) == (1, True), result.err
    usages: list[list[object]] = [
        [],
        ["--style", "amber", "--mix", "amber=1"],
        ["--style-image", "one.png=0"],
        [*["--style-image", "one.png"] * 9],
        ["--style-image", "one.png", "--stroke-size", 63],
    ]
    for usage in usages:
        assert run("stylize", "photo.png", *weights, *usage).code == 2, usage
    result = run("stylize", "photo.png", "--style-image", "one.png")
    assert (result.code, "predictor" in result.err) == (1, True)
    assert "predictor" in run("doctor", "--no-timed").out
    assert not [path for path in leftovers(tmp_path) if path.startswith("photo-")]


def test_finetune_starts_from_the_prediction(
    run: Run, tmp_path: Path, predicting_weights_folder: Path, learning_weights_folder: Path
) -> None:
    save_photo(tmp_path / "painting.png", (90, 80))
    for weights, chosen, steps in (
        (predicting_weights_folder, [], 25),
        (learning_weights_folder, ["--steps", 10], 10),
    ):
        options = ["--weights-dir", weights, "--data-dir", "data", "--stroke-size", 64]
        result = run("finetune", "painting.png", *options, *chosen)
        assert result.code == 0, result.err
        style = load_style(tmp_path / "data" / "styles" / f"{result.out.strip()}.safetensors")
        assert style.training["steps"] == steps
        assert ("nearest styles" in result.err) == (weights == learning_weights_folder)


def test_the_training_s_defaults_are_the_recipe_s() -> None:
    recipe = asdict(StyleRecipe())
    options = inspect.signature(train).parameters
    shared = sorted(set(recipe) & set(options) - {"style_weight"})  # that one is a list of texts
    assert "wall_share" in shared
    assert {name: options[name].default for name in shared} == {n: recipe[n] for n in shared}
