"""``pastiche serve``: the page and the API; one flag for every setting."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app.settings import Settings


def option_name(field: str) -> str:
    """The flag of a setting: ``max_side`` is ``--max-side``."""
    return "--" + field.replace("_", "-")


def serve(**given: str | bool | None) -> None:
    """Serve the page and the API until stopped; every flag is also a variable PASTICHE_*."""
    from app.server import serve as run

    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        settings = Settings(**chosen)  # type: ignore[arg-type] # pydantic parses the strings
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = str(first["loc"][0])
        raise typer.BadParameter(first["msg"], param_hint=option_name(field)) from None
    raise typer.Exit(run(settings))


def _with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one parameter per setting: typer reads signatures."""
    parameters = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=False)
        shown = "" if default is None or field.default_factory else f" \\[default: {default}]"
        kind: Any = bool if field.annotation is bool else str
        metavar = "NUMBER" if field.annotation in (int, float, int | None) else "TEXT"
        flag = option_name(name)
        if default is True:
            flag += f"/--no-{name.replace('_', '-')}"
        option = typer.Option(flag, help=f"{field.description}{shown}", metavar=metavar)
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kind | None, option],
            )
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


_with_flags(serve)
