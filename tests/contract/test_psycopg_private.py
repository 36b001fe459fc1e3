"""The parts of psycopg that are not public and that we use: still there, still so.

An upgrade of psycopg is to fail here first, by name, and not in an application.
"""

from __future__ import annotations

import inspect
import re
from collections import deque
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import _cursor_base, _preparing, errors, generators, pq, waiting
from psycopg._connection_base import BaseConnection
from psycopg._queries import PostgresQuery
from psycopg._server_cursor import ServerCursor
from psycopg.transaction import BaseTransaction, Transaction

PACKAGE = Path(__file__).parents[2] / "globaldb"
FILES = [
    *sorted((PACKAGE / "drivers/psycopg").glob("*.py")),
    *sorted((PACKAGE / "dbapi/postgresql").glob("*.py")),
]
BaseCursor = _cursor_base.BaseCursor

SIGNATURES = [
    (BaseCursor._start_query, "(self, query=None)"),
    (BaseCursor._convert_query, "(self, query, params=None)"),
    (BaseCursor._get_prepared, "(self, pgq, prepare=None)"),
    (BaseCursor._execute_send, "(self, query, *, force_extended=False, binary=None)"),
    (BaseCursor._send_query_prepared, "(self, name, pgq, *, binary=None)"),
    (BaseCursor._send_prepare, "(self, name, query)"),
    (BaseCursor._check_results, "(self, results)"),
    (BaseCursor._set_results, "(self, results)"),
    (BaseCursor._reset, "(self, reset_query=True)"),
    (BaseCursor._check_result_for_fetch, "(self)"),
    (psycopg.Cursor._fetch_pipeline, "(self)"),
    (psycopg.Cursor._close, "(self)"),
    (BaseConnection._exec_command, "(self, command, result_format=<Format.TEXT: 0>)"),
    (BaseConnection._check_connection_ok, "(self)"),
    (BaseConnection._should_cancel, "(self)"),
    (psycopg.Connection._try_cancel, "(self, *, timeout=5.0)"),
    (psycopg.Connection.wait, "(self, gen, interval=0.1, timeout=None)"),
    (psycopg.Connection.notifies, "(self, *, timeout=None, stop_after=None)"),
    (_preparing.PrepareManager.get, "(self, query, prepare=None)"),
    (_preparing.PrepareManager.maybe_add_to_cache, "(self, query, prep, name)"),
    (_preparing.PrepareManager.validate, "(self, key, prep, name, results)"),
    (_preparing.PrepareManager.key, "(query)"),
    (_preparing.PrepareManager.clear, "(self)"),
    (BaseTransaction._check_enter, "(self)"),
    (BaseTransaction._pop_savepoint, "(self, action)"),
    (waiting.wait_selector, "(gen, fileno, interval=0.0, timeout=None)"),
    (errors.error_from_result, "(result, encoding='utf-8')"),
    (errors._info_to_dict, "(info)"),
    (psycopg.Xid._from_record, "(gid, prepared, owner, database)"),
    (psycopg.Xid._get_recover_query, "()"),
]

#: Attributes of instances, by where they are made.
ATTRIBUTES = {
    "cursor": {
        "_adapters", "_closed", "_conn", "_last_query", "_make_row", "_pgconn", "_pos",
        "_query", "_results", "_statusmessage", "_tx",
    },
    "connection": {
        "_adapters", "_autocommit", "_begin_statement", "_closed", "_deferrable",
        "_isolation_level", "_notice_handlers", "_notifies_backlog",
        "_notify_handlers", "_num_transactions", "_pipeline", "_prepared",
        "_read_only", "_tpc",
    },
    "server cursor": {"_described"},
    "prepared": {"_counts", "_names", "_prepared_idx", "_to_flush"},
    "transaction": {
        "_conn", "_outer_transaction", "_savepoint_name", "_stack_index",
    },
}  # fmt: skip


class NoServer:
    """Enough of a PGconn for psycopg's constructors."""

    notice_handler: Any = None
    notify_handler: Any = None
    status = pq.ConnStatus.BAD
    transaction_status = pq.TransactionStatus.UNKNOWN


@pytest.fixture
def connection() -> psycopg.Connection[Any]:
    return psycopg.Connection(NoServer())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "expected"),
    SIGNATURES,
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_signature_is_as_expected(function: Any, expected: str) -> None:
    signature = inspect.signature(function)
    plain = signature.replace(
        parameters=[
            parameter.replace(annotation=inspect.Parameter.empty)
            for parameter in signature.parameters.values()
        ],
        return_annotation=inspect.Signature.empty,
    )
    assert str(plain) == expected


def test_instances_have_the_attributes(connection: Any) -> None:
    cursor = psycopg.Cursor(connection)
    cursor._start_query()  # a generator: nothing runs, so `_tx` comes from a fetch
    cursor._tx = psycopg.adapt.Transformer(cursor)
    cursor._make_row = lambda values: values
    named = ServerCursor(connection, "name")
    named._close()
    holders = {
        "cursor": cursor,
        "connection": connection,
        "server cursor": named,
        "prepared": connection._prepared,
        "transaction": Transaction(connection),
    }
    for holder, names in ATTRIBUTES.items():
        missing = {name for name in names if not hasattr(holders[holder], name)}
        assert missing == set(), holder


def test_kinds_of_attributes_are_as_expected(connection: Any) -> None:
    assert isinstance(connection._prepared._to_flush, deque)
    assert isinstance(connection._notifies_backlog, deque)
    assert connection._pipeline is None
    assert connection._tpc is None
    assert connection._num_transactions == 0
    assert connection._begin_statement == b""
    assert [step.name for step in _preparing.Prepare] == ["NO", "YES", "SHOULD"]
    assert PostgresQuery.__slots__
    assert issubclass(errors._WaitTimeout, BaseException)
    assert Transaction.Status.ROLLED_BACK_EXPLICITLY


def test_steps_are_generators() -> None:
    for name in ("_start_query", "_execute_gen", "_stream_send_gen"):
        assert inspect.isgeneratorfunction(getattr(BaseCursor, name))
    assert inspect.isgeneratorfunction(BaseConnection._exec_command)
    for name in ("send", "execute", "fetch_many"):
        assert callable(getattr(generators, name))


def test_a_fetch_loads_rows_with_the_transformer() -> None:
    source = inspect.getsource(psycopg.Cursor.fetchone)
    assert "self._tx.load_row(self._pos, self._make_row)" in source
    assert "self._check_result_for_fetch()" in source


def test_encoding_is_told_by_the_libpq_connection() -> None:
    assert hasattr(pq.PGconn, "_encoding")


def test_named_cursors_talk_through_these_methods() -> None:
    ours = {
        "execute",
        "fetchone",
        "fetchmany",
        "fetchall",
        "__next__",
        "scroll",
        "close",
    }
    assert {
        name for name in vars(ServerCursor) if callable(getattr(ServerCursor, name))
    } <= (ours | {"__init__", "executemany", "__iter__", "__new__"})


def test_connections_are_recognised_as_pooled_by_an_attribute() -> None:
    assert 'hasattr(self, "_pool")' in inspect.getsource(BaseConnection.__del__)


def test_every_private_name_in_use_is_pinned_here() -> None:
    used: set[str] = set()
    for path in FILES:
        text = path.read_text()
        own = set(re.findall(r"(?:def |self\.|class |\")(_[a-z]\w*)", text))
        foreign = set(re.findall(r"(?<!self)(?<!cls)\.(_[a-z]\w+)", text))
        used |= foreign - own
        slots = set(re.findall(r"\"(_[a-z]\w*)\"", text))
        inherited = set(re.findall(r"self\.(_[a-z]\w+)", text)) - slots
        used |= {name for name in inherited if known(name)}
    pinned = {function.__name__ for function, _ in SIGNATURES}
    pinned = pinned.union(*ATTRIBUTES.values()) | {
        "_encoding", "_preparing", "_queries", "_pool", "_WaitTimeout",
    }  # fmt: skip
    assert {name for name in used if known(name)} - pinned == set()


def known(name: str) -> bool:
    """Whether psycopg has something called so."""
    classes = (
        BaseCursor, psycopg.Cursor, ServerCursor, psycopg.Connection, BaseTransaction,
        _preparing.PrepareManager, psycopg.Xid, errors, psycopg, pq.PGconn,
    )  # fmt: skip
    return any(hasattr(holder, name) for holder in classes)
