"""``/openapi.json`` and ``/docs``: the API's reference, rendered here.

The usual viewers load scripts from a content network. This page is plain HTML: it works offline
and under the page's own security policy.
"""

import json
from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color-scheme: light dark; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; overflow-wrap: anywhere; }
section { border-top: 1px solid #8888; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
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


def render_reference(schema: dict[str, Any]) -> str:
    """An OpenAPI document as HTML."""
    info = schema["info"]
    sections = "".join(
        _render_operation(method, path, operation)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    )
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f"<title>{escape(info['title'])} API</title>"
        '<meta name=viewport content="width=device-width"><link rel=stylesheet '
        f'href="/docs/style.css"></head><body><main><h1>{escape(info["title"])} API</h1>'
        f"<p>{escape(info.get('summary', ''))} The same, for programs: "
        '<a href="/openapi.json">openapi.json</a>. Every error is a problem document '
        f"(RFC 9457) with a code.</p>{sections}</main></body></html>"
    )


def _render_operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(_render_parameter(p) for p in operation.get("parameters", []))
    body = operation.get("requestBody", {}).get("content", {})
    for media_type, content in body.items():
        schema = content.get("schema", {})
        required = schema.get("required", [])
        for name, field in schema.get("properties", {}).items():
            rows += _render_row(name, media_type, name in required, field)
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(answer.get('description', ''))}</td>"
        f"<td>{escape(', '.join(answer.get('content', {})))}</td></tr>"
        for status, answer in sorted(operation.get("responses", {}).items())
    )
    table = f"<h3>Parameters</h3><table>{rows}</table>" if rows else ""
    return (
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>"
        f"<p>{escape(operation.get('summary', ''))}. {escape(operation.get('description', ''))}</p>"
        f"{table}<h3>Answers</h3><table>{answers}</table></section>"
    )


def _render_parameter(parameter: dict[str, Any]) -> str:
    field = {**parameter.get("schema", {}), "description": parameter.get("description", "")}
    return _render_row(parameter["name"], parameter["in"], parameter.get("required", False), field)


def _render_row(name: str, place: str, required: bool, field: dict[str, Any]) -> str:
    hidden = ("title", "description", "examples")
    limits = {key: value for key, value in field.items() if key not in hidden}
    need = "required" if required else "optional"
    return (
        f"<tr><td><code>{escape(name)}</code></td><td>{need}, {escape(place)}</td>"
        f"<td>{escape(str(field.get('description', '')))}</td>"
        f"<td><code>{escape(json.dumps(limits))}</code></td></tr>"
    )
