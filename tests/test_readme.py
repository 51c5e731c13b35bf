"""README tells the truth: its links, its commands, its Python."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from model.storage.assets import asset_folder

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "weights" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def commands() -> list[list[str]]:
    """Every ``pastiche ...`` of README, continued lines joined."""
    joined = README.replace("\\\n", " ")
    lines = re.findall(r"^ {4}(?:.*&& )?(pastiche [^#\n]*)", joined, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


def test_readme_shows_the_commands() -> None:
    shown = {command[0] for command in commands()}
    assert shown == {
        *("serve", "worker", "stylize", "styles"),
        *("finetune", "train", "average", "distill", "train-predictor", "evaluate", "doctor"),
    }


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_have_the_options_that_readme_gives_them(command: list[str]) -> None:
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, [command[0], "--help"])
    assert result.exit_code == 0
    for word in command[1:]:
        if word.startswith("-"):
            assert re.search(rf"{re.escape(word)}\b", result.output), word


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    sample = asset_folder("static") / "samples" / "chelsea.jpg"
    (tmp_path / "photo.jpg").write_bytes(sample.read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - what a reader would type
    assert (tmp_path / "out.png").stat().st_size > 10_000


def test_the_two_commands() -> None:
    assert "pip install . && pastiche serve" in README
    assert "pip install '.[test]' && pytest" in README
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(r"^pip install .*'\.\[test\]'\npytest$", script, re.MULTILINE)
