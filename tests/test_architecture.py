"""The house keeps its shape: who may import whom, how long a file may be, which versions."""

import ast
import tomllib
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent

# The ladder: a room, a package or a module, imports from itself and from rooms to its left alone.
HOUSE = (
    *("model.storage", "model.pictures", "model.network", "model.perception", "model.styles"),
    *("model.inference", "model.training", "model.study"),
    *("app.settings", "app.logs", "app.metrics", "app.pools", "app.events"),
    *("app.jobs", "app.engine", "app.decoding", "app.pictures"),
    *(
        "app.library_errors",
        "app.library",
        "app.services",
        "app.web",
        "app.prediction",
        "app.rendering",
        "app.routes",
    ),
    *("app.main", "app.server", "app.commands", "app.cli", "app.launch"),
)
TRAINING = ("model.training", "model.study", "app.jobs.learner", "app.jobs.worker")
HTTP = ("fastapi", "starlette", "uvicorn", "h11", "app.web")
ONE_MEANING = (  # each once stood for two or three things
    *("Order", "Recipe", "Progress", "Follow", "Rendering", "Precision", "BASE", "draw"),
    *("random_at", "LossNetworks", "parse_mix", "render_preview", "STOP_S", "PATIENCE_S"),
)
KNOW_NOTHING_OF_HTTP = (
    *("model", "app.events", "app.jobs", "app.engine", "app.pictures", "app.library"),
    "app.library_errors",
)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for part in ("model", "app") for path in (ROOT / part).rglob("*.py")}


def imports(name: str) -> set[str]:
    """What a module imports, functions' own imports and type checking ones included."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inner or {node.module}
    return found


IMPORTS = {name: imports(name) for name in MODULES}


def lies_in(name: str, rooms: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{room}.") for room in rooms)


def room_of(name: str) -> int:
    return next(i for i, room in enumerate(HOUSE) if lies_in(name, (room,)))


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"app", "model"}))
def test_imports_go_down_the_ladder(name: str) -> None:
    ours = {other for other in IMPORTS[name] if lies_in(other, ("app", "model"))}
    assert not {other for other in ours if room_of(other) > room_of(name)}
    assert name.startswith("app") or not {other for other in ours if other.startswith("app")}


def test_no_imports_go_in_a_circle() -> None:
    TopologicalSorter({name: IMPORTS[name] & MODULES.keys() for name in MODULES}).prepare()


def test_http_stays_at_the_door() -> None:
    for name in MODULES:
        if lies_in(name, KNOW_NOTHING_OF_HTTP):
            assert not {other for other in IMPORTS[name] if lies_in(other, HTTP)}, name
            assert "/v1/" not in MODULES[name].read_text("utf-8"), name
        if not lies_in(name, ("app.web",)):
            assert "ApiError(" not in MODULES[name].read_text("utf-8"), name
        if not lies_in(name, ("app.jobs.database", "app.jobs.worker")):
            assert "dbos" not in IMPORTS[name], name


def test_a_web_process_never_imports_the_training_side() -> None:
    found, waiting = set(), {"app.server"}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= (IMPORTS[name] & MODULES.keys()) - found
    assert "model.inference.stylizer" in found
    assert not {name for name in found if lies_in(name, TRAINING)}


def test_these_names_mean_one_thing() -> None:
    homes: dict[str, list[str]] = {name: [] for name in ONE_MEANING}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text("utf-8")).body:
            names = [node.name] if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
            if isinstance(node, ast.Assign):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            for name in homes.keys() & set(names):
                homes[name].append(module)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}
    assert sum(map(len, homes.values())) > len(ONE_MEANING) / 2, "they are looked for"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_files_and_functions_are_short(name: str) -> None:
    text = MODULES[name].read_text("utf-8")
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            assert not body or (body[-1].end_lineno or 0) - body[0].lineno < 60, node.name


def test_installed_versions_meet_the_floors() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    floors = {
        "pillow": "13.0.0",
        "python-multipart": "0.0.31",
        "starlette": "1.7.0",
        "fastapi": "0.165",
        "dbos": "3.4,<3.5",  # private parts of these two are used, see test_private_parts.py
        "uvicorn": "0.54,<0.55",
        "h11": "0.16.0",
        "safetensors": "0.8",
        "torch": "2.14",
        "torchvision": "0.29",
    }
    requirements = {r.name: r for r in map(Requirement, project["dependencies"])}
    for name, floor in floors.items():
        assert requirements[name].specifier == SpecifierSet(f">={floor}"), name
    for requirement in requirements.values():
        assert requirement.specifier.contains(version(requirement.name), prereleases=True), (
            f"{requirement.name} {version(requirement.name)}"
        )
