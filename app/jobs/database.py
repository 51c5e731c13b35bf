"""The database of jobs, as DBOS keeps it: SQLite in the data folder, or Postgres by URL.

DBOS retries for ever what a locked database refuses. A worker may wait for ever, for space on the
disk too; an HTTP call must not: `Patience` bounds it. Nothing is imported from DBOS before it is
needed, half a second's work.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from app.jobs.errors import JobsDiskFullError, JobsUnavailableError
from app.jobs.files import jobs_folder
from app.jobs.job import JobState
from app.jobs.patience import Patience
from app.settings import Settings
from model.storage.files import disk_is_full

if TYPE_CHECKING:
    from dbos import DBOSClient, WorkflowStatus
    from sqlalchemy import Engine
    from sqlalchemy.engine import ExceptionContext

APPLICATION = "pastiche"
# Not DBOS's default, a digest of the code: jobs are to survive an upgrade.
APPLICATION_VERSION = "1"
QUEUE = "styles"
WORKFLOW = "learn_style"
BUSY_MS = 2000  # SQLite's own wait for a lock
CONNECT_S = 5
PATIENCE_S = 3.0  # of a call; SQLite and DBOS may each add a wait of their own
# Shared memory that cannot grow is an error of its own.
FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
POSTGRES_FULL = "53100"
PAUSE_S = 2.0  # after a failure: meanwhile, calls are refused without asking

LEARNING_ERROR = "LearningError"  # by its name an error crosses the database

T = TypeVar("T")

_STATES: dict[str, JobState] = {
    "DELAYED": "queued",
    "ENQUEUED": "queued",
    "PENDING": "running",
    "SUCCESS": "succeeded",
    "CANCELLED": "cancelled",
}
_REASONS = {
    "ERROR": "Something went wrong; the server's log says what.",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "The worker ended each time it was tried.",
}

_logger = logging.getLogger("pastiche.jobs")


@dataclass(frozen=True)
class Record:
    """A job as the database has it.

    Parameters
    ----------
    id
        Of the job.
    state
        Where it stands.
    order
        What was asked for, see `app.jobs.order.Order`.
    reason
        Why it failed, for people; none if it did not.
    """

    id: str
    state: JobState
    order: dict[str, Any]
    reason: str | None


def database_url(settings: Settings) -> str:
    """The database's URL, with its password if it has one."""
    from sqlalchemy import URL, make_url

    if settings.database_url is not None:
        url = make_url(settings.database_url.get_secret_value())
        if "connect_timeout" not in url.query:
            url = url.update_query_dict({"connect_timeout": str(CONNECT_S)})
        return url.render_as_string(hide_password=False)
    path = jobs_folder(settings.data_dir) / "jobs.sqlite"
    return URL.create("sqlite", database=str(path.absolute())).render_as_string()


def prepare_database(settings: Settings) -> None:
    """Create the database and its schema, or bring them up to date; several may do so at once.

    Raises
    ------
    Exception
        It cannot be reached or written to; by DBOS, SQLAlchemy or the system.
    """
    from dbos import DBOS

    if settings.database_url is None:
        folder = jobs_folder(settings.data_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(folder / "jobs.sqlite", timeout=BUSY_MS / 1000) as connection:
            # Readers then never wait for a writer. It stays so; needs a local disk.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("BEGIN IMMEDIATE")  # DBOS would wait for a lock for half a minute
        connection.close()
    DBOS.migrate(database_url(settings))


class Database:
    """The database as a service uses it: opened when first needed, each call bounded in time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._patience = Patience()
        self._opening = threading.Lock()
        self._client: DBOSClient | None = None
        self._engine: Engine | None = None
        self._broken_until = 0.0

    def list(self, limit: int) -> list[Record]:
        """The last records, newest first.

        Raises
        ------
        JobsUnavailableError
            The database does not answer; so of every method.
        """
        found = self._ask(
            lambda client: client.list_workflows(name=WORKFLOW, sort_desc=True, limit=limit)
        )
        return [_read(record) for record in found]

    def knows(self, id_: str) -> bool:
        """Whether there is a record of this id; asked even right after a failure."""
        found = self._ask(
            lambda client: client.list_workflows(workflow_ids=[id_], load_input=False),
            at_once=True,
        )
        return bool(found)

    def enqueue(self, id_: str, order: dict[str, Any]) -> None:
        """Queue a job; where this fails, it may have been queued all the same."""
        self._ask(lambda client: self._enqueue(client, id_, order))

    def cancel(self, id_: str) -> None:
        """Cancel a job; the worker hears of it at its next step."""
        self._ask(lambda client: client.cancel_workflow(id_))

    def delete(self, ids: Sequence[str]) -> None:
        """Drop records."""
        self._ask(lambda client: client.delete_workflows(list(ids)))

    @staticmethod
    def _enqueue(client: "DBOSClient", id_: str, order: dict[str, Any]) -> None:
        client.enqueue(
            {
                "workflow_name": WORKFLOW,
                "queue_name": QUEUE,
                "workflow_id": id_,
                "app_version": APPLICATION_VERSION,
            },
            order,
        )

    def _ask(self, call: "Callable[[DBOSClient], T]", at_once: bool = False) -> T:
        """What a call on the client answers.

        Parameters
        ----------
        at_once
            Ask even right after a failure.

        Raises
        ------
        JobsUnavailableError
            Whatever went wrong; a full disk has a kind of its own.
        """
        if monotonic() < self._broken_until and not at_once:
            raise JobsUnavailableError
        try:
            client = self._open()  # takes its own time once, bounded by how long connecting may
            with self._patience.limited(PATIENCE_S):
                return call(client)
        except Exception as error:
            if disk_is_full(error) or lacks_space(error):
                raise JobsDiskFullError from error
            self._broken_until = monotonic() + PAUSE_S
            _logger.warning(
                "the database of jobs does not answer",
                extra={"error": f"{type(error).__name__}: {error}"[:300]},
            )
            raise JobsUnavailableError from error

    def close(self) -> None:
        """Let go of the connections."""
        with self._opening:
            if self._client is not None and self._engine is not None:
                self._client.destroy()
                self._engine.dispose()
                self._client = self._engine = None

    def _open(self) -> "DBOSClient":
        with self._opening:
            if self._client is None:
                quiet_logs()
                prepare_database(self.settings)
                self._client, self._engine = open_client(self.settings, self._patience)
            return self._client


def _read(record: "WorkflowStatus") -> Record:
    state = _STATES.get(record.status, "failed")
    reason = None
    if state == "failed":
        reason = _REASONS.get(record.status, _REASONS["ERROR"])
        if getattr(record.error, "name", "") == LEARNING_ERROR:
            reason = str(getattr(record.error, "message", reason))
    arguments: Any = record.input
    return Record(record.workflow_id, state, arguments["args"][0], reason)


def open_client(settings: Settings, patience: Patience) -> "tuple[DBOSClient, Engine]":
    """A client whose calls keep to a patience, and its connections.

    Raises
    ------
    Exception
        The database cannot be reached.
    """
    from dbos import DBOSClient, DBOSPortableJSONSerializer
    from sqlalchemy import create_engine, event, make_url

    url = make_url(database_url(settings))
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, pool_size=2)
        event.listen(engine, "connect", _prepare_connection)
    else:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=2,
            pool_pre_ping=True,
        )
    event.listen(engine, "checkout", patience.check)
    client = DBOSClient(
        system_database_engine=engine,
        serializer=DBOSPortableJSONSerializer(),  # its default unpickles
        application_name=APPLICATION,
        retry_connection_errors=False,
    )
    return client, engine


def lacks_space(error: BaseException | None) -> bool:
    """Whether a database has refused something because its disk is full."""
    while error is not None:
        if getattr(error, "sqlite_errorcode", None) in FULL or (
            getattr(error, "sqlstate", None) == POSTGRES_FULL
        ):
            return True
        error = error.__cause__
    return False


def wait_for_space() -> None:
    """Have DBOS try again for ever, in this process, what SQLite refuses on a full or failing disk.

    It does so by itself for a locked database, which it tells by the words, and for Postgres.
    """
    from sqlalchemy import Engine, event

    event.listen(Engine, "handle_error", _call_locked)


def _call_locked(context: "ExceptionContext") -> None:
    error = context.original_exception
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without its details
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        raise sqlite3.OperationalError(f"database is locked: {error}") from error


def quiet_logs() -> None:
    """Let DBOS's messages go where all others go, from warnings on."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # or it adds one of its own
    logger.setLevel(logging.WARNING)


def _prepare_connection(connection: Any, _: Any) -> None:
    """As DBOS does for its own engine."""
    connection.isolation_level = "IMMEDIATE"
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    connection.execute("PRAGMA foreign_keys=ON")
