"""Errors as HTTP: every one is ``application/problem+json`` (RFC 9457) of one shape.

Nothing of a request and no exception's text is ever echoed, apart from the project's own one-line
messages, which are written to be shown.
"""

import errno
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from app.engine.protocol import EngineError
from app.jobs.errors import JobError
from app.web.error_table import ANSWERS
from app.web.schemas import Problem
from model.storage.files import disk_is_full

PROBLEM_TYPE = "application/problem+json"
CLIENT_GONE = 499  # for logs and metrics alone: nobody is there to read it
MAX_NAMED_FAULTS = 5

TITLES: Mapping[int, str] = {
    400: "Bad request",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Content too large",
    415: "Unsupported media type",
    416: "Range not satisfiable",
    422: "Unprocessable content",
    429: "Too many requests",
    431: "Request header fields too large",
    500: "Internal server error",
    503: "Service unavailable",
    507: "Insufficient storage",
}

_FRAMEWORK_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("malformed_body", "The body is not well-formed, or has too many or too long parts."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "The address exists, but not for this method."),
    413: ("too_many_bytes", "The request has more bytes than are accepted."),
}

_logger = logging.getLogger("pastiche.errors")


class ApiError(Exception):
    """A refusal with its answer.

    Parameters
    ----------
    status
        HTTP status.
    code
        For programs: stable, lower case.
    detail
        For people: one line, nothing of the request in it.
    retry_after_s
        Whole seconds after which to try again.
    headers
        Further ones of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.headers = {name.title(): value for name, value in (headers or {}).items()}


class ClientGoneError(Exception):
    """The client has closed its connection; there is no one to answer."""


def problem_body(error: ApiError, request_id: str) -> dict[str, Any]:
    """The members of a problem document."""
    problem = Problem(
        type=f"urn:pastiche:error:{error.code}",
        title=TITLES.get(error.status, "Error"),
        status=error.status,
        detail=error.detail,
        code=error.code,
        request_id=request_id,
        retry_after=error.retry_after_s,
    )
    return problem.model_dump(exclude_none=True)


def problem_response(error: ApiError, request_id: str) -> JSONResponse:
    """An error as its HTTP answer."""
    headers = dict(error.headers)
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    body = problem_body(error, request_id)
    return JSONResponse(body, error.status, headers, media_type=PROBLEM_TYPE)


def to_api_error(error: Exception) -> ApiError:
    """Any exception as the error that a client is told; unknown ones say nothing of themselves."""
    if isinstance(error, ApiError):
        return error
    for kind in type(error).__mro__:
        if kind in ANSWERS:
            status, code, detail = ANSWERS[kind]
            retry_after_s = getattr(error, "retry_after_s", None)
            return ApiError(status, code, detail or _sentence(str(error)), retry_after_s)
    if isinstance(error, RequestValidationError):
        return ApiError(422, "invalid_parameters", "; ".join(_faults(error)))
    if isinstance(error, HTTPException):
        return _from_framework(error)
    if disk_is_full(error):
        return ApiError(507, "disk_full", "The server's disk is full.", retry_after_s=60)
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ApiError(503, "read_only", "The server's data folder cannot be written to.")
    return ApiError(500, "internal", "Something went wrong on the server.")


def install_handlers(app: FastAPI) -> None:
    """Let every exception of a route or of the framework become a problem document."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        translated = to_api_error(error)
        if translated.status == 405:
            translated.headers |= _allow_header(app, request.url.path)
        if translated.status >= 500 and translated.code == "internal":
            _logger.error("unhandled exception", exc_info=error)
        request.scope["pastiche.error_code"] = translated.code
        return problem_response(translated, request.scope.get("pastiche.request_id", ""))

    known = (
        ApiError,
        EngineError,
        JobError,
        RequestValidationError,
        HTTPException,
        OSError,
    )
    for kind in (*known, *ANSWERS):
        app.add_exception_handler(kind, answer)


def _allow_header(app: FastAPI, path: str) -> dict[str, str]:
    """All methods of an address: the framework names those of one route alone."""
    methods = [
        method.upper()
        for template, operations in app.openapi()["paths"].items()
        if compile_path(template)[0].match(path)
        for method in operations
    ]
    return {"Allow": ", ".join(methods)} if methods else {}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route declares in OpenAPI for the errors it answers."""
    retry = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    declared: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, 400, 422, 500}):
        declared[status] = {
            "description": TITLES[status],
            "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if status in (429, 503, 507):
            declared[status]["headers"] = retry
    return declared


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _from_framework(error: HTTPException) -> ApiError:
    cause = error.__cause__
    if error.status_code == 400 and isinstance(cause, ApiError | OSError):
        return to_api_error(cause)  # a body too long, or one that could not be spooled to disk
    if isinstance(cause, ClientDisconnect):
        return ApiError(400, "incomplete_body", "The body did not arrive in full.")
    code, detail = _FRAMEWORK_ERRORS.get(error.status_code, ("refused", "The request is refused."))
    return ApiError(error.status_code, code, detail, headers=error.headers)


def _faults(error: RequestValidationError) -> Iterator[str]:
    """One line per faulty parameter: its declared name and what is allowed, never its value."""
    faults = error.errors()
    for fault in faults[:MAX_NAMED_FAULTS]:
        # The first part says where (body, path); the second is the parameter's declared name.
        name = next((part for part in fault["loc"][1:2] if isinstance(part, str)), "body")
        message = str(fault["msg"]).removeprefix("Value error, ")
        if "UploadFile" in message:  # FastAPI's words for a text where a file belongs
            message = "must be a file"
        yield f"{name}: {message[:1].lower()}{message[1:]}"
    if len(faults) > MAX_NAMED_FAULTS:
        yield f"and {len(faults) - MAX_NAMED_FAULTS} more"
