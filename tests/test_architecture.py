"""The house keeps its shape: import direction, version floors, shipped texts."""

import ast
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent

# Who may import whom inside `model`: a module sees only those before it in its chain.
INFERENCE = (
    *("assets", "files", "decoding", "images", "statistics", "normalization", "network"),
    *("convolution", "rows", "features", "streaming", "compiled", "fastpath", "tiling"),
    *("tensorfile", "weights", "styles", "stylizer"),
    *("previews", "sources"),
)
TRAINING = (
    *("data", "perception", "encoder", "losses", "training", "train", "nearest", "leaves"),
    *("stylepicture", "finetune", "distill", "export", "evaluation", "study"),
)


def imports(path: Path) -> set[str]:
    """Modules that a file imports, functions' own imports and type checking ones included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def test_every_model_module_has_its_place() -> None:
    named = {path.stem for path in sources("model")} - {"__init__"}
    assert named == {*INFERENCE, *TRAINING}


@pytest.mark.parametrize("path", sources("model"), ids=lambda path: path.stem)
def test_model_imports_one_way(path: Path) -> None:
    found = imports(path)
    assert not any(name.split(".")[0] in ("app", "fastapi", "starlette") for name in found)
    order = [*INFERENCE, *TRAINING]
    if path.stem in order:
        later = {f"model.{name}" for name in order[order.index(path.stem) :]}
        assert not found & later


def reachable(start: str) -> set[str]:
    """Modules of `app` and `model` that a module brings in, itself included."""
    found, waiting = set(), {start}
    while waiting:
        name = waiting.pop()
        found.add(name)
        path = ROOT / f"{name.replace('.', '/')}.py"
        if not path.exists():  # a package
            path = ROOT / name.replace(".", "/") / "__init__.py"
        brought = imports(path)
        for module in list(brought):  # `from app.routes import jobs` names a module too
            if (ROOT / module.replace(".", "/")).is_dir():
                brought |= {
                    f"{module}.{p.stem}" for p in (ROOT / module.replace(".", "/")).iterdir()
                }
        waiting |= {
            name
            for name in brought
            if name.split(".")[0] in ("app", "model")
            and name not in found
            and not name.endswith("__")
        }
    return found


def test_a_web_process_never_imports_the_training_side() -> None:
    found = reachable("app.server")
    assert "app.routes.learning" in found
    assert not found & {f"model.{name}" for name in TRAINING}
    assert not found & {"app.learning", "app.worker"}


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
