"""The worker: a process that has queued styles learned, one at a time per device.

Every few seconds of training are one durable step. The step that a kill cuts off runs again, and
goes on from its checkpoint. A worker holds the lock of its machine's device for all its life; the
system lets go of it, so another worker can tell that it is gone and take over what it left.
"""

import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from app.jobs.database import (
    APPLICATION,
    APPLICATION_VERSION,
    LEARNING_ERROR,
    QUEUE,
    WORKFLOW,
    database_url,
    prepare_database,
    quiet_logs,
    wait_for_space,
)
from app.jobs.desk import Jobs
from app.jobs.files import jobs_folder
from app.jobs.locks import FileLock
from app.jobs.order import Order
from app.settings import Settings
from model.storage.files import disk_is_full

if TYPE_CHECKING:
    from app.jobs.learner import Learner

MAX_RECOVERIES = 30  # of one job, after which its worker's ends are taken to be its doing
POLL_S = 0.5
WATCH_EVERY_S = 10.0
PRUNE_EVERY_S = 3600.0
SPACE_EVERY_S = 5.0  # a full disk is tried again
PIECE_STOP_S = 12.0  # for the piece under way: a group of steps and its checkpoint

T = TypeVar("T")

_logger = logging.getLogger("pastiche.worker")


def run_worker(settings: Settings, until_input_ends: bool = False) -> int:
    """Learn what is queued until told to stop (SIGTERM, SIGINT).

    Parameters
    ----------
    until_input_ends
        Stop as well when standard input closes: whoever holds its other end has ended.

    Returns
    -------
    int
        0 if it was stopped before it could start. Else it ends the process itself.
    """
    quiet_logs()
    logging.getLogger("dbos").addFilter(_is_news)
    wait_for_space()
    return Worker(settings).run(until_input_ends)


class Worker:
    """One process that learns styles.

    Parameters
    ----------
    settings
        Where jobs are, and the device.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stopping = threading.Event()
        self.idle = threading.Event()
        self.idle.set()
        self.jobs = Jobs(settings)

    def run(self, until_input_ends: bool) -> int:
        """See `run_worker`."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        if until_input_ends:
            threading.Thread(target=self._watch_input, daemon=True).start()
        name = f"{socket.gethostname()}-{device_name(self.settings.device)}"
        lock = executor_lock(self.settings, name)
        try:
            if not self._acquire(lock):
                return 0
            prepare_database(self.settings)
            self._launch(name)
        except Exception as error:  # whatever DBOS, SQLAlchemy or a driver raise
            _logger.critical("the worker cannot start", extra={"error": str(error)[:300]})
            logging.shutdown()
            os._exit(1)  # DBOS's threads may be about: not torn down under their feet
        _logger.info("the worker is ready", extra={"name_of_worker": name})
        self._watch(name)
        if not self.idle.wait(PIECE_STOP_S):
            _logger.warning("the piece under way is given up")
        # DBOS would wait for the workflow under way, and that one for the process to end. A job
        # that is left so is taken up again, as after any other end.
        logging.shutdown()
        os._exit(0)

    def _acquire(self, lock: FileLock) -> bool:
        """Wait for the device; False when stopped before."""
        waiting = False
        while not lock.acquire():
            if not waiting:
                _logger.info("another worker has this device; waiting for it to end")
                waiting = True
            if self.stopping.wait(1):
                return False
        return not self.stopping.is_set()

    def _launch(self, name: str) -> None:
        from dbos import DBOS, DBOSPortableJSONSerializer

        DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": database_url(self.settings),
                "application_version": APPLICATION_VERSION,
                "executor_id": name,
                "serializer": DBOSPortableJSONSerializer(),  # its default unpickles
                "log_level": "WARNING",
                "run_migrations": False,
                "use_listen_notify": False,
            }
        )
        DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MAX_RECOVERIES)(self._make_workflow())
        DBOS.listen_queues([QUEUE])
        DBOS.launch()
        DBOS.register_queue(
            QUEUE, worker_concurrency=1, polling_interval_sec=POLL_S, on_conflict="always_update"
        )

    def _make_workflow(self) -> Any:
        from dbos import DBOS, error

        learner: Learner | None = None

        def open_learner() -> "Learner":
            nonlocal learner
            if learner is None:
                from app.jobs.learner import Learner  # brings PyTorch: an idle worker does without

                learner = Learner(self.settings, self.stopping.is_set)
            return learner

        def train(job: str, order: Order) -> bool:
            learner = open_learner()
            self._run_low()
            finished = self._with_space(lambda: learner.train(job, order), job)
            self._hold_if_stopping()
            return finished

        def publish(job: str, order: Order) -> str:
            return self._with_space(lambda: open_learner().publish(job, order), job)

        def learn_style(record: dict[str, Any]) -> str:
            job, order = DBOS.workflow_id or "", Order.of(record)
            self._hold_if_stopping()
            self.idle.clear()
            has_ended = True  # and its files can go; a stop does not come past the steps
            try:
                while not DBOS.run_step({"name": "train"}, train, job, order):
                    pass
                return DBOS.run_step({"name": "publish"}, publish, job, order)
            except error.DBOSWorkflowConflictIDError:  # cancelled, or another worker has it now
                has_ended = self.jobs.files(job).asked_to_stop
                raise
            finally:
                if learner is not None:
                    learner.close()
                if has_ended:
                    self.jobs.files(job).clear()
                self.idle.set()

        return learn_style

    def _with_space(self, call: Callable[[], T], job: str) -> T:
        """What a call returns, made again while the disk is full: no job is lost for that."""
        files = self.jobs.files(job)
        while True:
            try:
                result = call()
            except OSError as error:
                if not disk_is_full(error):
                    raise
                _logger.warning("the disk is full; the job waits for space", extra={"job": job})
                files.note_waiting(True)
                self.stopping.wait(SPACE_EVERY_S)
                self._hold_if_stopping()
            else:
                files.note_waiting(False)
                return result

    def _hold_if_stopping(self) -> None:
        """Let the process end here: no step completes, no job fails, all goes on another time."""
        if self.stopping.is_set():
            self.idle.set()
            threading.Event().wait()

    def _run_low(self) -> None:
        """Give the training threads, which this one starts, a low priority."""
        if sys.platform == "linux":  # elsewhere it would be the whole process's
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self.settings.worker_nice)

    def _watch(self, name: str) -> None:
        """Until stopped: take over from workers that are gone, drop what is old."""
        pruned = -PRUNE_EVERY_S
        while True:
            try:
                self._take_over(name)
                if time.monotonic() - pruned > PRUNE_EVERY_S:
                    self.jobs.prune()
                    pruned = time.monotonic()
            except Exception as error:
                _logger.warning("jobs cannot be looked after", extra={"error": str(error)[:200]})
            if self.stopping.wait(WATCH_EVERY_S):
                return

    def _take_over(self, name: str) -> None:
        from dbos import DBOS

        pending = DBOS.list_workflows(name=WORKFLOW, status="PENDING", load_input=False)
        for executor in {record.executor_id for record in pending} - {name, None}:
            with executor_lock(self.settings, executor or "") as lock:
                if lock.acquire():
                    _logger.warning("taking over from a worker", extra={"gone": executor})
                    # The one recovery that leaves alone what is no longer that worker's.
                    DBOS._recover_pending_workflows([executor or ""])

    def _watch_input(self) -> None:
        while sys.stdin.buffer.read(4096):
            pass
        self.stopping.set()
        time.sleep(PIECE_STOP_S + 3)
        os._exit(1)  # whoever would have killed a worker that hangs is gone


def _is_news(record: logging.LogRecord) -> bool:
    """DBOS logs how jobs fail and are cancelled, which is the user's to know."""
    if "no longer owned by this execution" in record.msg:
        return False
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__name__ not in (
        LEARNING_ERROR,
        "DBOSAwaitedWorkflowCancelledError",
    )


def executor_lock(settings: Settings, name: str) -> FileLock:
    """What a live worker of this name holds."""
    return FileLock(jobs_folder(settings.data_dir) / "locks" / f"{Path(name).name}.lock")


def device_name(
    device: str, environment: Mapping[str, str] = os.environ, files: Path = Path("/dev")
) -> str:
    """A device's one name on its machine, without loading PyTorch to ask.

    ``cuda:0`` is the first of the GPUs that a process can see. Two services that each see one of
    their own must not take each other's worker for theirs.
    """
    there = sorted(
        (path.name.removeprefix("nvidia") for path in files.glob("nvidia[0-9]*")), key=int
    )
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    visible = there if chosen is None else [part.strip() for part in chosen.split(",")]
    if device == "auto":
        some = bool(there) and visible[:1] not in ([], [""], ["-1"])
        device = "cuda" if some else "cpu"
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return device.replace(":", "-")
    position = int(index or 0)
    seen = visible[position] if position < len(visible) else str(position)
    if chosen is not None and seen.isdecimal() and int(seen) < len(there):
        seen = there[int(seen)]
    return "cuda-" + re.sub(r"[^A-Za-z0-9]+", "-", seen)
