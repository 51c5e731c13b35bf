"""``/openapi.json`` and ``/docs``: the API's reference, rendered here.

The usual viewers load scripts from a content network. This page is plain HTML: it works offline
and under the page's own security policy.
"""

import json
from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

router = APIRouter(include_in_schema=False)

_STYLE = """
html { color-scheme: light dark; --ground: #f6f4f0; --ink: #1f1d1a; --accent: #0b6b58;
  background: var(--ground); color: var(--ink); }
@media (prefers-color-scheme: dark) {
  html { --ground: #171614; --ink: #efece6; --accent: #6fd3ba; }
}
a { color: var(--accent); }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; overflow-wrap: anywhere; }
section { border-top: 1px solid #8888; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
main { overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  body { margin-top: 1rem; }
  tr { display: block; padding: 0.4rem 0; border-bottom: 1px solid #8884; }
  th, td { display: inline-block; border: 0; padding: 0 0.6rem 0 0; }
}
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.8rem 0.3rem 0;
  border-bottom: 1px solid #8884; }
"""


@router.get("/docs")
async def show_reference(request: Request) -> HTMLResponse:
    """The reference as a page."""
    return HTMLResponse(render_reference(request.app.openapi()))


@router.get("/docs/style.css")
async def show_style() -> Response:
    """Its style sheet: the security policy allows none inline."""
    return Response(_STYLE, media_type="text/css")


@router.get("/favicon.ico")
async def point_to_icon() -> Response:
    """Browsers ask for it beside pages that name no icon of their own."""
    return RedirectResponse("/favicon.svg", 308)


def render_reference(schema: dict[str, Any]) -> str:
    """An OpenAPI document as HTML."""
    info = schema["info"]
    operations = [
        (f"{method.upper()} {path}", operation["operationId"], operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    contents = "".join(
        f'<li><a href="#{escape(id_)}"><code>{escape(name)}</code></a> '
        f"{escape(operation.get('summary', ''))}</li>"
        for name, id_, operation in operations
    )
    sections = "".join(_render_operation(schema, *operation) for operation in operations)
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f"<title>{escape(info['title'])} API</title>"
        '<meta name=viewport content="width=device-width"><link rel=icon href=/favicon.svg>'
        '<link rel=stylesheet href="/docs/style.css"></head>'
        f"<body><main><h1>{escape(info['title'])} API</h1>"
        f"<p>{escape(info.get('summary', ''))} The same, for programs: "
        '<a href="/openapi.json">openapi.json</a>. Every error is a problem document '
        '(RFC 9457) with a code. <a href="/">The page</a> writes what is chosen on it as a call, '
        "in curl and in Python: For programmers, at its foot.</p>"
        f"<ul>{contents}</ul>{sections}</main></body></html>"
    )


def resolve(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A part of an OpenAPI document, or what its ``$ref`` points to."""
    reference = part.get("$ref")
    if reference is None:
        return part
    found: Any = schema
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return resolve(schema, found)


def _render_operation(
    schema: dict[str, Any], name: str, id_: str, operation: dict[str, Any]
) -> str:
    rows = "".join(_render_parameter(schema, p) for p in operation.get("parameters", []))
    body = operation.get("requestBody", {}).get("content", {})
    for media_type, content in body.items():
        form = resolve(schema, content.get("schema", {}))
        for field_name, field in form.get("properties", {}).items():
            required = field_name in form.get("required", [])
            rows += _render_row(field_name, media_type, required, resolve(schema, field))
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(answer.get('description', ''))}</td>"
        f"<td>{escape(', '.join(answer.get('content', {})))}</td></tr>"
        for status, answer in sorted(operation.get("responses", {}).items())
    )
    table = f"<h3>Parameters</h3><table>{rows}</table>" if rows else ""
    return (
        f'<section id="{escape(id_)}"><h2><code>{escape(name)}</code></h2>'
        f"<p>{escape(operation.get('summary', ''))}. {escape(operation.get('description', ''))}</p>"
        f"{table}<h3>Answers</h3><table>{answers}</table></section>"
    )


def _render_parameter(schema: dict[str, Any], parameter: dict[str, Any]) -> str:
    kind = resolve(schema, parameter.get("schema", {}))
    field = {**kind, "description": parameter.get("description", "")}
    return _render_row(parameter["name"], parameter["in"], parameter.get("required", False), field)


def _render_row(name: str, place: str, required: bool, field: dict[str, Any]) -> str:
    need = "required" if required else "optional"
    return (
        f"<tr><td><code>{escape(name)}</code></td><td>{need}, {escape(place)}</td>"
        f"<td>{escape(str(field.get('description', '')))}</td>"
        f"<td>{escape(describe_type(field))}</td></tr>"
    )


def describe_type(field: dict[str, Any]) -> str:
    """What a field may be, in words: type, range, choices, default."""
    if "anyOf" in field:
        kinds = [describe_type(kind) for kind in field["anyOf"] if kind.get("type") != "null"]
        return " or ".join(kinds)
    binary = field.get("contentMediaType") or field.get("format") == "binary"
    words = ["file" if binary else str(field.get("type", "anything"))]
    lowest, highest = field.get("minimum"), field.get("maximum")
    if lowest is not None and highest is not None:
        words.append(f"{lowest:g} to {highest:g}")
    elif lowest is not None:
        words.append(f"from {lowest:g}")
    elif highest is not None:
        words.append(f"up to {highest:g}")
    if "enum" in field:
        words.append(" or ".join(map(str, field["enum"])))
    if "maxLength" in field:
        words.append(f"at most {field['maxLength']} characters")
    if "pattern" in field:
        words.append(f"matching {field['pattern']}")
    if field.get("default") is not None:
        words.append(f"by default {json.dumps(field['default'])}")
    return ", ".join(words)
