"""Private parts of uvicorn, DBOS and PyTorch that are used: gone from a version, they fail here.

The ceilings in pyproject.toml keep untried versions out; who raises one runs these first.
"""

import asyncio
import inspect
import re
import sqlite3
from pathlib import Path

import pytest
import torch
import uvicorn
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer
from dbos import error as dbos_error
from dbos._sys_db import db_retry
from dbos._utils import retriable_sqlite_exception
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.jobs import database
from app.jobs.database import lacks_space, wait_for_space

ROOT = Path(__file__).resolve().parent.parent


def test_uvicorn_connections_are_as_the_pace_takes_them() -> None:
    config = uvicorn.Config(lambda *_: None, http=H11Protocol)
    config.load()

    async def make() -> H11Protocol:
        return H11Protocol(config, ServerState(), {})

    protocol = asyncio.run(make())
    for name in ("cycle", "conn", "timeout_keep_alive_task", "client", "transport"):
        assert hasattr(protocol, name), name
    for name in ("connection_made", "data_received", "send_400_response"):
        assert callable(getattr(H11Protocol, name)), name
    assert list(inspect.signature(H11Protocol.send_400_response).parameters) == ["self", "msg"]
    text = inspect.getsource(RequestResponseCycle.__init__)
    for name in (
        *("response_started", "response_complete", "more_body", "disconnected", "message_event"),
    ):
        assert f"self.{name} =" in text or f"self.{name}:" in text, name


def test_uvicorn_s_server_stops_the_way_ours_has_it() -> None:
    server = uvicorn.Server(uvicorn.Config(lambda *_: None))
    for name in ("should_exit", "force_exit", "started", "server_state", "config"):
        assert hasattr(server, name), name
    for name in ("connections", "tasks"):
        assert isinstance(getattr(server.server_state, name), set), name
    for name in ("startup", "shutdown"):
        method = getattr(uvicorn.Server, name)
        assert inspect.iscoroutinefunction(method)
        assert list(inspect.signature(method).parameters) == ["self", "sockets"]
    assert hasattr(server.config, "timeout_graceful_shutdown")
    with server.capture_signals():
        pass
    assert "self.capture_signals()" in inspect.getsource(uvicorn.Server.serve)


def test_dbos_takes_over_and_stays_bounded() -> None:
    (parameter,) = inspect.signature(DBOS._recover_pending_workflows).parameters.values()
    assert "executor_ids" in parameter.name
    assert issubclass(dbos_error.DBOSWorkflowConflictIDError, BaseException)
    options = inspect.signature(DBOSClient).parameters
    for name in (
        *("system_database_engine", "serializer", "application_name", "retry_connection_errors"),
    ):
        assert name in options, name
    for name in ("list_workflows", "enqueue", "cancel_workflow", "delete_workflows", "destroy"):
        assert callable(getattr(DBOSClient, name)), name
    assert {"workflow_ids", "name", "sort_desc", "limit", "load_input"} <= set(
        inspect.signature(DBOSClient.list_workflows).parameters
    )
    assert DBOSPortableJSONSerializer()


@pytest.mark.parametrize("name", ["DBOSAwaitedWorkflowCancelledError"])
def test_errors_that_are_no_news_have_their_names(name: str) -> None:
    assert hasattr(dbos_error, name)


def test_messages_that_are_no_news_have_their_words() -> None:
    """A filter of the worker's log goes by them."""
    import dbos

    words = "no longer owned by this execution"
    folder = Path(dbos.__file__).parent
    assert any(words in path.read_text("utf-8") for path in folder.glob("*.py"))


def test_dbos_tries_again_for_ever_what_a_full_disk_refuses(tmp_path: Path) -> None:
    """It does so for a locked database, and knows one by its words."""
    engine = create_engine(f"sqlite:///{tmp_path / 'a.sqlite'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (content BLOB)"))
        connection.execute(text("PRAGMA max_page_count=2"))
        wait_for_space()
        try:
            with pytest.raises(sqlite3.OperationalError) as caught:
                connection.execute(text("INSERT INTO t VALUES (zeroblob(100000))"))
            with pytest.raises(DBAPIError) as other:
                connection.execute(text("nonsense"))
        finally:
            event.remove(Engine, "handle_error", database._call_locked)
    assert lacks_space(caught.value)
    assert retriable_sqlite_exception(caught.value)
    assert not retriable_sqlite_exception(other.value)
    assert "retriable_sqlite_exception(e)" in inspect.getsource(db_retry)


def test_forms_are_read_where_ours_are() -> None:
    request = Request({"type": "http", "headers": []})
    assert inspect.iscoroutinefunction(Request._get_form)
    assert request._form is None
    assert "self._get_form(" in inspect.getsource(Request.form)


def test_pytorch_tells_what_a_processor_can() -> None:
    assert dict(torch.cpu.get_capabilities())


def test_no_private_part_is_used_that_is_not_named_here() -> None:
    """Attributes with an underscore of what comes from outside, by name."""
    used = set()
    for folder in ("app", "model"):
        for path in (ROOT / folder).rglob("*.py"):
            used |= set(
                re.findall(r"\b(?:DBOS|uvicorn|torch\.\w+|torch)\._[a-z]\w*", path.read_text())
            )
    assert used == {"DBOS._recover_pending_workflows"}
