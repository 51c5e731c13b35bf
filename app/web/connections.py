"""Connections that keep to a pace: the read deadlines that uvicorn does not have.

A client must send the headers of a request, and then its body, within a time; the body's grows
with the bytes that have come, so that a large upload over an honest slow line passes and one byte
a second does not. A client that does not fetch its answer is let go as well.
"""

import json
import logging
import secrets
from time import monotonic
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.web.errors import PROBLEM_TYPE, ApiError, problem_body
from app.web.security import SECURITY_HEADERS

LINGER_S = 5.0  # for the rest of a body that was answered before its end, or a closed connection

_logger = logging.getLogger("pastiche.connections")


class PacedProtocol(H11Protocol):
    """HTTP/1.1 with deadlines; `check_pace` is to be called about once a second.

    ``header_timeout_s``, ``body_timeout_s`` and ``min_upload_rate`` are set on a subclass; see
    `app.settings.Settings`.
    """

    header_timeout_s: float
    body_timeout_s: float
    min_upload_rate: int

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        self._since = monotonic()  # of the phase: headers, body, writing
        self._phase = "headers"
        self._received = 0
        self._largest_buffer = 0  # bytes of an answer that waited to be fetched

    def data_received(self, data: bytes) -> None:
        """Count bytes."""
        self._received += len(data)
        super().data_received(data)

    def check_pace(self, now: float) -> None:
        """Close the connection if its client is too slow.

        Parameters
        ----------
        now
            Monotonic seconds.
        """
        phase = self._current_phase()
        if phase != self._phase:
            self._phase, self._since = phase, now
            self._received = self._largest_buffer = 0
        waited = now - self._since
        if phase == "closing" and waited > LINGER_S:
            self.transport.abort()
        elif phase == "headers" and waited > self.header_timeout_s:
            self._give_up("headers")
        elif phase == "body" and waited > self._body_allowance():
            self._give_up("body")
        elif phase == "rest" and waited > LINGER_S:
            self.transport.close()
        elif phase == "writing" and waited > self._write_allowance():
            self.transport.abort()

    def _current_phase(self) -> str:
        if self.transport.is_closing():
            return "closing"
        if self.cycle is None or self.cycle.response_complete:
            if self.transport.get_write_buffer_size() > 0:
                return "writing"
            if self.cycle is not None and self.cycle.more_body:
                return "rest"
            return "headers" if self.timeout_keep_alive_task is None else "idle"
        if self.transport.get_write_buffer_size() > 0:
            return "writing"
        return "body" if self.cycle.more_body else "working"

    def _body_allowance(self) -> float:
        return self.body_timeout_s + self._received / self.min_upload_rate

    def _write_allowance(self) -> float:
        """Like a body's: what has been fetched earns time."""
        buffered = self.transport.get_write_buffer_size()
        self._largest_buffer = max(self._largest_buffer, buffered)
        fetched = self._largest_buffer - buffered
        return self.body_timeout_s + fetched / self.min_upload_rate

    def _give_up(self, what: str) -> None:
        _logger.info("a client was too slow", extra={"phase": what, "client": str(self.client)})
        error = ApiError(408, "too_slow", f"The request's {what} did not arrive in time.")
        self._refuse(error)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text
        """Answer what is no HTTP, in the shape of all errors."""
        self._refuse(ApiError(400, "malformed_http", "The request is not well-formed HTTP."))

    def _refuse(self, error: ApiError) -> None:
        """Answer and close, unless an answer is under way already."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not (
            self.cycle is not None
            and self.cycle.response_started
            and not self.cycle.response_complete
        ):
            request_id = secrets.token_hex(8)
            body = json.dumps(problem_body(error, request_id)).encode()
            headers = [
                *SECURITY_HEADERS,
                (b"content-type", PROBLEM_TYPE.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"x-request-id", request_id.encode()),
                (b"connection", b"close"),
            ]
            response = h11.Response(status_code=error.status, headers=headers)
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            if self.cycle is not None:  # the application is not to answer any more
                self.cycle.disconnected = True
                self.cycle.message_event.set()
        self.transport.close()
