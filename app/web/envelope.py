"""Around every request: its id, its headers, its limits, its line in the log, its last resort."""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.engine.protocol import RETRY_AFTER_STOP_S, DrainingError
from app.metrics import Metrics
from app.web.errors import CLIENT_GONE, ApiError, ClientGoneError, problem_response, to_api_error
from app.web.security import SECURITY_HEADERS, check_request

FORM_OVERHEAD_BYTES = 65_536  # what a form has beside its file
STREAM = "/events"  # has no end that a HEAD could wait for
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_KNOWN_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})

_access = logging.getLogger("pastiche.access")
_logger = logging.getLogger("pastiche.errors")


class RequestEnvelope:
    """The outermost middleware. Whatever happens inside, one answer of the right shape goes out.

    Parameters
    ----------
    app
        What is inside.
    metrics
        Counts requests.
    max_body_bytes
        Bodies beyond it answer 413: at once where the length is declared, else as it is passed.
    accepted_hosts
        See `app.web.security.check_request`.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        max_body_bytes: int,
        accepted_hosts: frozenset[str] | None,
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.max_body_bytes = max_body_bytes
        self.accepted_hosts = accepted_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(8)
        scope["pastiche.request_id"] = request_id
        method = scope["method"]
        outcome = _Outcome(send, request_id, headers_only=method == "HEAD")
        begun = perf_counter()
        try:
            check_request(scope["method"], headers, self.accepted_hosts)
            limited = self._limit_body(headers, receive)
            scope["pastiche.headers_only"] = method == "HEAD"
            if method == "HEAD" and not scope["path"].endswith(STREAM):  # as GET, less the body
                scope["method"] = "GET"
            await self.app(scope, limited, outcome.send)
        except ClientGoneError:
            outcome.status = CLIENT_GONE
        except asyncio.CancelledError:  # by a server that stops, and no one else
            if not outcome.started:
                await self._answer_error(DrainingError(RETRY_AFTER_STOP_S), outcome, scope, receive)
        except Exception as error:
            await self._answer_error(error, outcome, scope, receive)
        finally:
            scope["method"] = method
            self._record(scope, outcome, perf_counter() - begun)

    async def _answer_error(
        self, error: Exception, outcome: "_Outcome", scope: Scope, receive: Receive
    ) -> None:
        translated = to_api_error(error)
        if translated.status == 500:
            _logger.error("unhandled exception", exc_info=error)
        scope["pastiche.error_code"] = translated.code
        if outcome.started:
            raise error  # half an answer is out: closing the connection is all that is left
        response = problem_response(translated, outcome.request_id)
        await response(scope, receive, outcome.send)

    def _limit_body(self, headers: Headers, receive: Receive) -> Receive:
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self.max_body_bytes:
            raise self._too_many_bytes()
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self.max_body_bytes:
                    raise self._too_many_bytes()
            return message

        return receive_limited

    def _too_many_bytes(self) -> ApiError:
        return ApiError(
            413,
            "too_many_bytes",
            f"The request has more than the {self.max_body_bytes} bytes allowed.",
        )

    def _record(self, scope: Scope, outcome: "_Outcome", seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _KNOWN_METHODS else "other"
        self.metrics.requests.labels(route, method, outcome.status).inc()
        self.metrics.request_seconds.labels(route).observe(seconds)
        code = scope.get("pastiche.error_code")
        if code is not None:
            self.metrics.refusals.labels(code).inc()
        _access.info(
            "%s %s",
            method,
            scope["path"][:200],
            extra={
                "status": outcome.status,
                "ms": round(seconds * 1000, 1),
                "request_id": outcome.request_id,
                **({"code": code} if code else {}),
            },
        )


class _Outcome:
    """Passes an answer on, with the headers every answer has, and remembers its status."""

    def __init__(
        self,
        send: Callable[[Message], Awaitable[None]],
        request_id: str,
        headers_only: bool = False,
    ) -> None:
        self._send = send
        self._headers_only = headers_only
        self.request_id = request_id
        self.status = 500
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            for name, value in SECURITY_HEADERS:
                headers.setdefault(name.decode(), value.decode())
            headers["X-Request-Id"] = self.request_id
            message = {**message, "headers": headers.raw}
        elif self._headers_only:
            message = {**message, "body": b""}
        await self._send(message)
