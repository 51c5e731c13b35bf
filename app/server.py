"""Running the service: uvicorn with read deadlines and a stop in order."""

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from time import monotonic
from types import FrameType
from typing import NoReturn

import uvicorn

from app.jobs.supervisor import WorkerSupervisor
from app.logs import configure_logging
from app.main import create_app
from app.services import Services
from app.settings import Settings
from app.web.connections import PacedProtocol

PACE_CHECK_S = 0.5
SLOW_CLIENT_GRACE_S = 2.0  # at a stop, for a request that has not arrived in full
CLOSING_S = 2.0  # of grace_s, for what comes after the last answer
ANSWERING_S = 0.5
LAST_RESORT_S = 0.5  # after grace_s, where even the watch over it has no turn
BACKLOG = 1024
MAX_DESCRIPTORS = 65_536

_logger = logging.getLogger("pastiche.server")


def serve(settings: Settings | None = None) -> int:
    """Run the service until it is told to stop (SIGTERM, SIGINT) or its device fails.

    Returns
    -------
    int
        The exit code: 0 after a stop, 1 if it could not start or its device has failed.
    """
    settings = settings or Settings()
    configure_logging(settings.log_format, settings.log_level)
    _allow_many_sockets()
    supervisor = WorkerSupervisor(settings)
    server = PasticheServer(settings, supervisor)
    try:
        code = server.serve_until_stopped()
        supervisor.stop()
    finally:
        supervisor.tell_to_stop()
    if server.stopping:
        # The interpreter's own end has no watch over it: it waits for threads, tears others down
        # under their feet, and took 14 s on two cores with a queue of 20 before them.
        _end_process(code)
    return code


def _end_process(code: int) -> NoReturn:
    """End without waiting for threads; a worker ends by itself, and what is saved is saved.

    Nor for what reads the log, as logging or flushing would: each line was written when logged.
    """
    os._exit(code)


def _allow_many_sockets() -> None:
    """Raise the soft limit of descriptors, 1,024 on most systems: slow clients hold sockets."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class PasticheServer(uvicorn.Server):
    """One process, one event loop, one engine.

    Parameters
    ----------
    settings
        Of the application as well.
    supervisor
        Of the worker that is to run as long as the server does; none, no worker.
    """

    def __init__(self, settings: Settings, supervisor: WorkerSupervisor | None = None) -> None:
        self.settings = settings
        self.supervisor = supervisor if settings.worker else None
        self.failed = False
        self._watchdog: threading.Timer | None = None
        app = create_app(settings, self._end_in_failure)
        self.services: Services = app.state.services
        protocol = type(
            "ConfiguredProtocol",
            (PacedProtocol,),
            {
                "header_timeout_s": settings.header_timeout_s,
                "body_timeout_s": settings.body_timeout_s,
                "min_upload_rate": settings.min_upload_rate,
            },
        )
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=5,
        )
        super().__init__(config)

    def serve_until_stopped(self) -> int:
        """Block until the end; the exit code."""
        try:
            self.run()
        except SystemExit:  # uvicorn's way out when it cannot bind its port
            return 1
        return 1 if self.failed else 0

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Start, and keep an eye on slow clients."""
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.supervisor is not None and self.started:
            self.supervisor.start()
        self._pace = asyncio.create_task(self._watch_pace())

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Stop: not ready, new and queued requests answered 503, running ones finished.

        The port stays open while pictures are finished, so that whoever asks is told. What cannot
        be finished is answered 503 in time for the process to be gone at ``grace_s``.
        """
        begun = monotonic()
        self._watch_stop()
        patience = self.settings.grace_s - min(CLOSING_S, self.settings.grace_s / 4)
        self.services.engine.drain()
        if self.supervisor is not None:
            self.supervisor.tell_to_stop()
        _logger.info("stopping", extra={"running": len(self.server_state.tasks)})
        while monotonic() - begun < patience and self._busy(begun):
            await asyncio.sleep(0.05)
        # What is left now are clients too slow to be waited for, or too large a picture.
        self.config.timeout_graceful_shutdown = 1
        if self._busy(begun):
            await self._turn_away()
        for connection in list(self.server_state.connections):
            if connection.cycle is None or connection.cycle.more_body:  # type: ignore[union-attr]
                connection.transport.close()
        await super().shutdown(sockets)  # type: ignore[arg-type]
        self._pace.cancel()

    async def _turn_away(self) -> None:
        """Answer what is unfinished: `RequestEnvelope` makes a 503 of a cancelled request."""
        tasks = list(self.server_state.tasks)
        _logger.warning("requests are not finished in time", extra={"count": len(tasks)})
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=ANSWERING_S)

    def _busy(self, begun: float) -> bool:
        """Whether a request still deserves waiting for."""
        patient = monotonic() - begun < SLOW_CLIENT_GRACE_S
        cycles = [connection.cycle for connection in self.server_state.connections]  # type: ignore[union-attr]
        return any(
            cycle is not None and not cycle.response_complete and (patient or not cycle.more_body)
            for cycle in cycles
        )

    async def _watch_pace(self) -> None:
        while True:
            await asyncio.sleep(PACE_CHECK_S)
            now = monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, PacedProtocol):
                    connection.check_pace(now)

    def _end_in_failure(self) -> None:
        """A new process is needed. On any thread."""
        self.failed = True
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT; a second one stops at once.

        Unlike uvicorn's own, it does not raise the signal again at the end: a stop in order is
        exit code 0.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        yield  # they stay: a second signal is heeded while all that follows is closed

    @property
    def stopping(self) -> bool:
        """Whether a stop has begun: by a signal, or by a device that failed."""
        return self._watchdog is not None

    def stop_watching(self) -> None:
        """All is closed, and the process goes on: a server on a thread of another program."""
        if self._watchdog is not None:
            self._watchdog.cancel()

    def _stop(self, number: int, _: FrameType | None) -> None:
        if self.should_exit:  # told a second time
            _end_process(128 + number)
        self.should_exit = True
        self._watch_stop()
        # A thread that keeps the interpreter to itself keeps the watch from it as well. This one
        # needs none: it says where each thread is, and ends the process with exit code 1.
        with contextlib.suppress(OSError, ValueError):  # no standard error
            faulthandler.dump_traceback_later(self.settings.grace_s + LAST_RESORT_S, exit=True)

    def _watch_stop(self) -> None:
        """From the first word on, the process is gone within ``grace_s``, whatever hangs."""
        if self._watchdog is None:
            self._watchdog = threading.Timer(
                self.settings.grace_s, lambda: _end_process(1 if self.failed else 0)
            )
            self._watchdog.daemon = True
            self._watchdog.start()
