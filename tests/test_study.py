"""The normalization study: what runs, that it continues, what it writes, that its page is true."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from app.cli import app, main
from app.commands.studypage import BEGIN, END, to_markdown
from model.network.code import default_codes
from model.network.config import NetworkConfig
from model.network.network import StyleNetwork
from model.network.normalization import NormKind
from model.study.study import batch_dependence, summarize
from model.study.variants import BASE, KINDS, StudySettings, list_runs, list_variants
from model.training.style_recipe import StyleRecipe
from model.training.vgg19 import VGG19Features

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "normalization.md"
SETTINGS = StudySettings(channels=4, residual_blocks=1, seeds=2)
RECIPE = StyleRecipe()
SOME = (
    *("instance", "batch", "layer", "conditional-lrn-within", "unpooled"),
    *("stochastic", "global", "single-style-0", "single-style-1"),
)

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def vgg(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = VGG19Features({*RECIPE.style_layers, RECIPE.content_layer})
    save_file(network.state_dict(), tmp_path / "vgg.safetensors")
    return tmp_path / "vgg.safetensors"


@pytest.fixture
def run(
    pictures: Path,
    learning_weights_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Run the study, tiny, in a folder with a page; the code and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PASTICHE_WEIGHTS_DIR", str(learning_weights_folder))
    (tmp_path / "page.md").write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nafter\n")

    def study(*arguments: object) -> tuple[int, str]:
        options = {
            "photos": pictures / "photos",
            "validation": pictures / "photos",
            "styles": pictures / "styles",
            "output": "out",
            "device": "cpu",
            "steps": 2,
            "photo-size": 32,
            "batch-size": 2,
            "channels": 4,
            "residual-blocks": 1,
            "seeds": 1,
        }
        words = [str(w) for name, value in options.items() for w in (f"--{name}", value)]
        words += [str(a) for a in arguments]
        monkeypatch.setattr(sys, "argv", ["pastiche", "study", "normalization", *words])
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        assert isinstance(code, int)
        return code, capfd.readouterr().err

    return study


def test_variants_differ_in_one_thing() -> None:
    variants = list_variants(SETTINGS, ["a", "b"], with_pooling=True)
    names = [v.name for v in variants]
    assert len(set(names)) == len(names) == len(KINDS) + 2 + 3 + 2
    base = variants[0]
    assert base.name == BASE
    for variant in variants[1:]:
        changed = [
            field
            for field in ("norm", "groups", "resampling", "channels", "residual_blocks")
            if getattr(variant.network, field) != getattr(base.network, field)
        ]
        changed += [
            field
            for field in ("pooling", "global_content", "style")
            if getattr(variant, field) != getattr(base, field)
        ]
        assert len(changed) == 1, variant
    assert len(list_variants(SETTINGS, ["a"], with_pooling=False)) == len(KINDS) + 2 + 1


def test_runs_go_seed_by_seed_and_single_styles_once() -> None:
    runs = list_runs(SETTINGS, list_variants(SETTINGS, ["a", "b"], with_pooling=False))
    assert [seed for _, seed in runs] == sorted(seed for _, seed in runs)
    assert [(v.style, seed) for v, seed in runs if v.style] == [("a", 0), ("b", 0)]
    assert len(runs) == 2 * (len(KINDS) + 2) + 2


@pytest.mark.parametrize("kind", ["instance", "batch"])
def test_batch_dependence_leaves_the_network_alone(kind: NormKind) -> None:
    torch.manual_seed(0)
    network = StyleNetwork(NetworkConfig(4, 1, norm=kind)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    photos = torch.rand(3, 3, 32, 32) * torch.tensor([1.0, 0.5, 0.1]).view(3, 1, 1, 1)
    codes = default_codes(network.config, 2)
    found = [batch_dependence(network, codes, photos, training) for training in (True, False)]
    assert (found[0] > 1) == (kind == "batch")
    assert found[1] < 0.1
    assert not network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_variants_of_all_parts_run_and_the_page_shows_them(
    run: Run, vgg: Path, tmp_path: Path
) -> None:
    only = [word for name in SOME for word in ("--only", name)]
    code, err = run("--vgg", vgg, "--page", "page.md", *only)
    assert code == 0, err
    record = json.loads((tmp_path / "out" / "study.json").read_text())
    assert set(record["runs"]) == {f"{name}/0" for name in SOME}
    base = record["runs"]["instance/0"]
    assert {*base["losses-average"]} == {"style-0", "style-1"}
    assert base["losses-average"] != base["losses-max"]
    single = record["runs"]["single-style-1/0"]
    assert {*single["losses-average"]} == {"style-1"}
    code_size = NetworkConfig(4, 1).code_size
    assert base["parameters"] - single["parameters"] == code_size
    assert [point[0] for point in base["curve"]] == [1, 2]
    dependence = {name: found["batch_levels"] for name, found in record["runs"].items()}
    assert max(dependence, key=dependence.__getitem__) == "batch/0"
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    for title in ("| layer |", "| max pooling, max unpooling |", "| stochastic |", "| 2 networks"):
        assert title in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
    for picture in re.findall(r"\]\(([^)]+)\)", text):
        with Image.open(tmp_path / picture) as image:
            assert image.format == "WEBP"

    # It continues: nothing is left to do, or only what was not done.
    code, err = run("--vgg", vgg, *only)
    assert (code, err) == (0, "")
    code, err = run("--vgg", vgg, "--seeds", 2, "--only", "layer")
    assert code == 0
    assert err.startswith("1/1 layer, seed 1:")
    code, err = run("--vgg", vgg, "--steps", 3)
    assert code == 1
    assert "other options" in err


def test_runs_side_by_side_come_to_the_same(run: Run, tmp_path: Path) -> None:
    """But for what threads do to the order of sums."""
    kept = []
    for jobs in (1, 2):
        options = ("--only", "group", "--seeds", 2, "--style", "style-1", "--jobs", jobs)
        code, err = run(*options, "--output", f"jobs-{jobs}")
        assert code == 0, err
        kept.append(json.loads((tmp_path / f"jobs-{jobs}" / "study.json").read_text()))
    one, two = kept
    assert "2 runs side by side" in two["machine"]
    assert set(one["runs"]) == set(two["runs"]) == {"group/0", "group/1"}
    for key, figures in one["runs"].items():
        ours = two["runs"][key]["losses-average"]["style-1"]
        assert figures["losses-average"]["style-1"] == pytest.approx(ours, rel=1e-3)


def test_the_encoder_serves_where_there_is_no_vgg(run: Run, tmp_path: Path) -> None:
    code, err = run("--only", "group", "--style", "style-1")
    assert code == 0, err
    record = json.loads((tmp_path / "out" / "study.json").read_text())
    assert record["common"]["loss_network"] == "the encoder"
    assert list(record["runs"]) == ["group/0"]
    text = "\n".join(to_markdown(record, {"group": [record["runs"]["group/0"]]}, "x"))
    assert "| group |" in text
    assert "pooling of the loss network" not in text
    assert "networks of one style" not in text
    (tmp_path / "out" / "study.json").write_text("{")
    code, err = run("--only", "group", "--style", "style-1")
    assert code == 1
    assert "cannot read" in err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--only", "nothing"), "no variant nothing"),
        (("--style", "nobody"), "no nobody"),
        (("--photo-size", "33"), "no multiple of 4"),
    ],
)
def test_wrong_usage(run: Run, options: tuple[str, str], complaint: str) -> None:
    code, err = run(*options)
    assert code == 2
    assert complaint in err


def test_a_page_without_marks_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("nothing")
    code, err = run("--page", "page.md")
    assert code == 1
    assert "has no lines" in err
    assert not (tmp_path / "out").exists()  # before anything is run


def test_a_variant_that_fails_is_said_to(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object) -> dict[str, torch.Tensor]:
        return {name: torch.tensor(torch.inf) for name in ("total", "content", "style")}

    with monkeypatch.context() as patch:
        patch.setattr("model.training.loop.Loop.advance", diverge)
        code, err = run("--only", "layer", "--page", "page.md")
    assert code == 0, err
    lines = (tmp_path / "page.md").read_text().splitlines()
    (failed,) = [line for line in lines if line.startswith("| layer | did not train")]
    (head,) = [line for line in lines if line.startswith("| normalization |")]
    assert failed.count("|") == head.count("|")


def test_summary_has_a_value_per_seed() -> None:
    def figures(content: float) -> dict[str, object]:
        losses = {
            id_: {"content": content + i, "style": 1.0, "photo_style": 2.0}
            for i, id_ in enumerate("ab")
        }
        timed = {
            "seconds": 3,
            "processor_seconds": 5,
            "batch_levels": 0.0,
            "batch_levels_inference": 0.0,
        }
        return {"losses-average": losses, **timed}

    found = summarize([figures(1.0), figures(2.0)])
    assert found["content"] == [1.5, 2.5]
    assert found["seconds"] == [3.0, 3.0]


def test_the_page_has_its_marks_and_its_command_its_options() -> None:
    text = PAGE.read_text("utf-8")
    assert text.index(BEGIN) < text.index(END)
    (command,) = re.findall(r"^ {4}(pastiche study [^#\n]*)", text.replace("\\\n", " "), re.M)
    words = shlex.split(command)[1:]
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, [*words[:2], "--help"])
    assert result.exit_code == 0
    for word in words[2:]:
        if word.startswith("-"):
            assert re.search(rf"{re.escape(word)}\b", result.output), word
