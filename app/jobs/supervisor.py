"""Keeps a worker process running beside the service."""

import logging
import os
import subprocess
import sys
import threading
from contextlib import suppress
from time import monotonic

from app.settings import Settings

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 60.0  # a worker that ran so long has not failed at its start
WORKER_STOP_S = 15.0  # a worker ends its piece in this time

_logger = logging.getLogger("pastiche.worker")


class WorkerSupervisor:
    """Starts a worker, again whenever it ends, and stops it.

    The worker reads a pipe whose other end is here alone: however this process ends, the worker
    hears of it and ends too.

    Parameters
    ----------
    settings
        Of the worker as well.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pastiche-supervisor", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, on a thread."""
        self._thread.start()

    def tell_to_stop(self) -> None:
        """Have the worker save what it is at and end; does not wait."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.terminate()

    def stop(self) -> None:
        """Wait until the worker has ended; one that takes too long is killed."""
        self.tell_to_stop()
        if self._thread.is_alive():
            self._thread.join(WORKER_STOP_S + 5)

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopping.is_set():
            begun = monotonic()
            code = self._run_once()
            if self._stopping.is_set():
                return
            pause = FIRST_PAUSE_S if monotonic() - begun > STEADY_S else pause
            _logger.error("the worker ended; it is started anew", extra={"code": code, "in": pause})
            self._stopping.wait(pause)
            pause = min(LONGEST_PAUSE_S, 2 * pause)

    def _run_once(self) -> int | None:
        command = [sys.executable, "-m", "app.launch", "worker", "--until-input-ends"]
        try:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.PIPE,
                env=os.environ | worker_environment(self.settings),
                start_new_session=True,  # Ctrl-C is for the service, which then stops the worker
            )
        except OSError as error:
            _logger.error("the worker cannot be started", extra={"error": str(error)})
            return None
        self._process = process
        if self._stopping.is_set():  # between the look above and now
            process.terminate()
        with process:  # closes the pipe
            while process.poll() is None:
                if self._stopping.is_set():
                    try:
                        return process.wait(WORKER_STOP_S)
                    except subprocess.TimeoutExpired:
                        process.kill()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
        return process.returncode


def worker_environment(settings: Settings) -> dict[str, str]:
    """The settings that a worker heeds, as its environment: flags of the service count for it."""
    variables = {
        "DEVICE": settings.device,
        "DATA_DIR": str(settings.data_dir.absolute()),
        "WEIGHTS_DIR": str(settings.weights_dir.absolute()),
        "WORKER_NICE": str(settings.worker_nice),
        "MAX_JOBS": str(settings.max_jobs),
        "LOG_FORMAT": settings.log_format,
        "LOG_LEVEL": settings.log_level,
    }
    if settings.database_url is not None:
        variables["DATABASE_URL"] = settings.database_url.get_secret_value()
    return {f"PASTICHE_{name}": value for name, value in variables.items()}
