"""A real server on a free port, on a thread of the tests' process."""

import threading
import time
from typing import Any

from fastapi import FastAPI

from app.jobs.supervisor import WorkerSupervisor
from app.server import PasticheServer
from app.settings import Settings

START_TIMEOUT_S = 30.0


class RunningServer:
    """The service, answering on loopback.

    Parameters
    ----------
    settings
        ``port`` 0 takes a free one.
    with_worker
        Whether a worker runs beside it.
    """

    def __init__(self, settings: Settings, with_worker: bool = False) -> None:
        self._supervisor = WorkerSupervisor(settings) if with_worker else None
        self._server = PasticheServer(settings, self._supervisor)
        self._thread = threading.Thread(target=self._server.serve_until_stopped, daemon=True)
        self.port = settings.port

    @property
    def app(self) -> FastAPI:
        app: Any = self._server.config.app
        assert isinstance(app, FastAPI)
        return app

    @property
    def services(self) -> Any:
        return self._server.services

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self._server.started and self.services.library):
            assert self._thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server takes too long to start"
            time.sleep(0.02)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._server.stop_watching()  # or the watch over the stop ends the tests' own process
        if self._supervisor is not None:
            self._supervisor.stop()
