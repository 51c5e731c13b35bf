"""The house keeps its shape: import direction, version floors, shipped texts."""

import ast
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent

# Who may import whom inside `model`: a room sees only those before it.
MODEL = ("storage", "pictures", "network", "styles", "inference", "training", "study")
# What only a training process loads.
TRAINING = ("model.training.", "model.study.", "app.jobs.learner", "app.jobs.worker")


def imports(path: Path) -> set[str]:
    """Modules that a file imports, functions' own imports and type checking ones included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", sources("model"), ids=lambda path: str(path.relative_to(ROOT)))
def test_model_imports_one_way(path: Path) -> None:
    found = imports(path)
    assert not any(name.split(".")[0] in ("app", "fastapi", "starlette") for name in found)
    room = path.relative_to(ROOT / "model").parts[0]
    if room in MODEL:
        later = MODEL[MODEL.index(room) + 1 :]
        assert not [name for name in found if name.startswith(tuple(f"model.{r}." for r in later))]


def reachable(start: str) -> set[str]:
    """Modules of `app` and `model` that a module brings in, itself included."""
    found, waiting = set(), {start}
    while waiting:
        name = waiting.pop()
        path = ROOT / f"{name.replace('.', '/')}.py"
        if path.exists():
            found.add(name)
            waiting |= {m for m in imports(path) if m.split(".")[0] in ("app", "model")} - found
    return found


def test_a_web_process_never_imports_the_training_side() -> None:
    found = reachable("app.server")
    assert "app.main" in found
    assert "model.inference.stylizer" in found
    assert not [name for name in found if name.startswith(TRAINING)]


def test_installed_versions_meet_the_floors() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    floors = {
        "pillow": "13.0.0",
        "python-multipart": "0.0.31",
        "starlette": "1.7.0",
        "fastapi": "0.165",
        "dbos": "3.4",
        "uvicorn": "0.49",
        "h11": "0.16.0",
        "safetensors": "0.8",
        "torch": "2.14",
        "torchvision": "0.29",
    }
    requirements = {r.name: r for r in map(Requirement, project["dependencies"])}
    for name, floor in floors.items():
        assert str(requirements[name].specifier) == f">={floor}"
    for requirement in requirements.values():
        assert requirement.specifier.contains(version(requirement.name), prereleases=True), (
            f"{requirement.name} {version(requirement.name)}"
        )
