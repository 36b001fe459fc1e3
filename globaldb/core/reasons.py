"""Every reason code in plain words: what it means, and what would keep it local.

One place for what the command line, EXPLAIN ROUTE and the pages say of a code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reason(NamedTuple):
    """One code in words.

    *where* is the verdict it usually comes with, or the role of the node. *local* says
    what would keep such a statement on a reader; empty where it is there, or where
    nothing would.
    """

    where: str
    means: str
    local: str = ""

    def __str__(self) -> str:
        return f"{self.means}. {self.local}." if self.local else f"{self.means}."


_OWN_FUNCTION: Final = (
    "Let the catalog be read (the connection does, classify does with --url), or name "
    "the function in read_functions if it changes nothing"
)
_BUILT: Final = "Send it as one statement, without what stands in its way"

#: Why a text was taken for what its verdict says.
STATEMENTS: Final[Mapping[str, Reason]] = {
    # Reads
    "select": Reason("read", "A query that only reads"),
    "values": Reason("read", "VALUES: rows made of the text itself"),
    "table": Reason("read", "TABLE: a whole table is read"),
    "explain": Reason("read", "EXPLAIN without ANALYZE plans and does not run"),
    "copy_out": Reason("read", "COPY to the client only reads"),
    "empty": Reason("read", "There is no statement in the text"),
    "show": Reason("read", "SHOW of databases, tables and the like: data as any other"),
    "checksum": Reason("read", "CHECKSUM TABLE only reads"),
    "help": Reason("read", "HELP only reads"),
    # Writes
    "write_statement": Reason("write", "The statement changes rows"),
    "data_modifying_cte": Reason(
        "write", "A WITH of the query contains INSERT, UPDATE, DELETE or MERGE"
    ),
    "select_into": Reason("write", "SELECT INTO makes a table, or sets a variable"),
    "locking_clause": Reason(
        "write",
        "The query locks rows (FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE), which only "
        "the writer can",
        "Leave the locking clause out where nothing is written afterwards",
    ),
    "definition": Reason("write", "The statement defines or grants (CREATE, ALTER)"),
    "maintenance": Reason("write", "The statement maintains tables (VACUUM, ANALYZE)"),
    "administration": Reason("write", "The statement changes the server itself"),
    "opaque_body": Reason(
        "write, pin",
        "What DO or CALL runs cannot be seen from the text",
        "Make it a function that is STABLE, and SELECT it",
    ),
    "opaque_query": Reason(
        "write",
        "A function runs a query given as text, and that text is none that only reads",
        "Give the query as a literal, or run it directly",
    ),
    "copy_in": Reason(
        "write", "Rows come from the client (COPY FROM STDIN, LOAD DATA LOCAL)"
    ),
    "server_file": Reason("write", "The statement reads or writes files of the server"),
    "sequence": Reason(
        "write, same_connection",
        "A sequence is advanced or its state read; currval() and lastval() answer for "
        "the connection that advanced it",
        "Let the INSERT return the value (RETURNING)",
    ),
    "transaction_id": Reason(
        "write", "Transaction ids are given out and known on the writer only"
    ),
    "prepared_transactions": Reason(
        "write", "Prepared transactions are listed on the writer only"
    ),
    "wal_position": Reason(
        "write",
        "The position of the writer's log is asked for",
        "pg_last_wal_replay_lsn() tells the reader's",
    ),
    "notify": Reason("write", "NOTIFY: listeners hear it through the writer"),
    "large_object": Reason(
        "write", "Large objects are opened inside the writer's transaction"
    ),
    "admin_function": Reason(
        "write", "The function acts on the server or on other sessions"
    ),
    "runs_argument": Reason(
        "write",
        "The function runs a query given to it as text, and that text is none that "
        "only reads",
        "Give the query as a literal, or run it directly",
    ),
    "unknown_function": Reason(
        "write, pin",
        "A function is called that is not the server's own, and nothing tells what it "
        "does",
        _OWN_FUNCTION,
    ),
    "known_function": Reason(
        "any", "The catalog of the database tells what the function called does"
    ),
    "volatile_function": Reason(
        "write",
        "The catalog calls a function of the statement VOLATILE, so it may write",
        "Declare the function STABLE if it changes nothing, or name it in "
        "read_functions",
    ),
    "stateful_function": Reason(
        "pin", "A function of the statement keeps something on its connection"
    ),
    "unlogged_table": Reason(
        "write", "The table is UNLOGGED: its rows are on the writer only"
    ),
    "foreign_table": Reason(
        "write", "The table is foreign: what reading it does is decided elsewhere"
    ),
    "listed_function": Reason(
        "write", "The function called stands in the option write_functions"
    ),
    "unknown_operator": Reason(
        "write",
        "OPERATOR() names an operator that may run any function",
        "Write OPERATOR(pg_catalog....) where the server's own is meant",
    ),
    "unknown_statement": Reason(
        "write", "The text begins with no command known to read"
    ),
    "unparsable": Reason(
        "write, pin", "The text ends inside a string, a comment or a name", _BUILT
    ),
    "too_long": Reason(
        "write, pin",
        "A text of more than 1 MiB is not taken apart unless its beginning settles it",
        "Send parameters instead of values in the text",
    ),
    "backslash_before_quote": Reason(
        "write, pin",
        "A string ends behind a backslash: on a server with "
        "standard_conforming_strings off it would go on",
        "Send the value as a parameter",
    ),
    "escaped_name": Reason(
        "write",
        'A name is written with Unicode escapes (U&"..."), so it may be any',
        "Write the name as it is",
    ),
    "version_comment": Reason(
        "write, pin",
        "A text in /*! */ counts on servers of some versions only, in too many ways to "
        "try them all",
        "Leave such comments out",
    ),
    "do": Reason("write", "DO evaluates expressions for what they do"),
    "execute": Reason(
        "write",
        "EXECUTE: what was prepared under the name decides, which the session knows",
    ),
    "unknown_prepared_statement": Reason(
        "write",
        "EXECUTE of a name that this session has not prepared",
        "PREPARE it through the same connection",
    ),
    "learned": Reason(
        "write",
        "A reader has refused a statement like this before, because it writes "
        "(SHOW GLOBALDB LEARNED)",
    ),
    "pipeline": Reason("write", "The statement travels in the application's pipeline"),
    # What must stay together
    "advisory_lock": Reason(
        "pin, write",
        "An advisory lock is known only to the server, and the connection, that took "
        "it",
    ),
    "user_lock": Reason(
        "pin", "GET_LOCK() and its like: the lock belongs to one connection"
    ),
    "handler": Reason("pin", "HANDLER: a cursor that lives on one connection"),
    "xa": Reason("pin", "XA: a branch belongs to the connection that began it"),
    "temporary_object": Reason(
        "pin, same_connection",
        "A temporary table or view lives on the connection that made it",
    ),
    "connection_state": Reason(
        "pin", "The function keeps something on its connection (setseed, dblink)"
    ),
    "holdable_cursor": Reason("pin", "A cursor WITH HOLD lives on after its commit"),
    "listen": Reason("pin", "LISTEN: notifications arrive on one connection"),
    # State that is recorded and replayed
    "use": Reason("session", "USE: the database is recorded, and holds everywhere"),
    "user_variable": Reason(
        "session, same_connection, pin",
        "A user variable (@x): set, it is recorded where a literal sets it; read, it "
        "is that of the session's own connection",
        "Keep the value in the application",
    ),
    "set": Reason("session", "The setting is recorded, and holds wherever one goes"),
    "reset": Reason("session", "The setting is forgotten wherever one goes"),
    "set_config": Reason(
        "session, transaction, pin",
        "set_config() by itself is recorded; beside something else it keeps its "
        "connection",
    ),
    "set_characteristics": Reason(
        "session", "The modes of later transactions are recorded"
    ),
    "prepare": Reason("session", "The prepared statement is recorded by its name"),
    "deallocate": Reason("session", "The prepared statement is forgotten"),
    "discard": Reason("session, pin", "What the session keeps is thrown away"),
    "load": Reason("session", "The library is loaded wherever the session goes"),
    # Answered by the connection
    "set_consistency": Reason("session", "The consistency mode of this connection"),
    "show_consistency": Reason("read", "The connection tells its consistency mode"),
    "globaldb_show": Reason("read", "The connection tells what it knows itself"),
    "explain_route": Reason("read", "The connection tells where a statement would go"),
    # Transactions
    "begin": Reason(
        "transaction",
        "A transaction begins, where its first statement will run",
        "BEGIN READ ONLY",
    ),
    "consistent_snapshot": Reason(
        "transaction", "A transaction begins with a snapshot of the writer's rows"
    ),
    "commit": Reason("transaction", "The transaction ends where it runs"),
    "rollback": Reason("transaction", "The transaction is undone where it runs"),
    "savepoint": Reason("transaction", "A savepoint in the running transaction"),
    "release": Reason("transaction", "A savepoint is given up"),
    "rollback_to": Reason("transaction", "The transaction goes back to a savepoint"),
    "set_transaction": Reason("transaction", "The modes of the running transaction"),
    "set_local": Reason("transaction", "A setting until the transaction ends"),
    "set_constraints": Reason("transaction", "When constraints are checked"),
    "lock_table": Reason(
        "transaction, pin",
        "Tables are locked: until the transaction ends, in MySQL until UNLOCK TABLES",
    ),
    "declare_cursor": Reason("transaction", "A cursor that ends with its transaction"),
    "prepare_transaction": Reason(
        "transaction", "The first half of a two-phase commit"
    ),
    "commit_prepared": Reason("write", "The second half of a two-phase commit"),
    "rollback_prepared": Reason("write", "The second half of a two-phase rollback"),
    # Answers that depend on who answers
    "session_state": Reason(
        "same_connection", "The answer is that of the session's own connection"
    ),
    "last_insert_id": Reason(
        "same_connection, session",
        "LAST_INSERT_ID() answers for the connection that inserted",
    ),
    "row_count": Reason(
        "same_connection", "ROW_COUNT() is about the statement before, where it ran"
    ),
    "found_rows": Reason(
        "same_connection", "FOUND_ROWS() is about the query before, where it ran"
    ),
    "diagnostics": Reason(
        "same_connection",
        "Warnings, errors and profiles are those of the statement before, where it ran",
    ),
    "cursor": Reason("same_connection", "The cursor is where it was declared"),
    "node_function": Reason("node_local", "The function describes the node it runs on"),
    "node_view": Reason("node_local", "The view describes the node it is read on"),
    "node_setting": Reason("node_local", "A setting of the node, not of the session"),
}

#: Why a statement runs where it runs, where its own reason does not say so.
ROUTES: Final[Mapping[str, Reason]] = {
    "nearest_reader": Reason(
        "reader", "A read, and this reader is near and fresh enough"
    ),
    "read_only_transaction": Reason(
        "reader", "The first statement of a transaction declared read only"
    ),
    "setting": Reason("reader", "A SHOW: any node serves, as settings are replayed"),
    "session_setting": Reason(
        "reader, writer",
        "A setting that is recorded; on the writer when a standby does not take it",
    ),
    "local": Reason("reader", "Rows that the connection made itself"),
    "native_forwarding": Reason(
        "reader",
        "forwarding is native: the reader reads by itself, or forwards the write, and "
        "waits for what the session has written through it",
    ),
    "no_write_forwarding": Reason(
        "reader", "A transaction while the mode is off: it may not write here"
    ),
    "writer_is_nearest": Reason("writer", "A read, and no reader is nearer"),
    "no_reader": Reason(
        "writer", "A read, and no reader answers", "SHOW GLOBALDB NODES tells why"
    ),
    "reader_behind": Reason(
        "writer",
        "A read, and waiting for the reader would take longer",
        "The mode eventual never waits",
    ),
    "refused_by_reader": Reason(
        "writer",
        "A reader refused the statement because it writes, so it was repeated here; "
        "the next one like it goes here at once",
    ),
    "last_reader_gone": Reason(
        "writer",
        "The reader read from last is gone and cannot tell what it had shown",
    ),
    "safe_lag_window": Reason(
        "writer",
        "The reader cannot tell how far it is, and the session wrote or read there "
        "a moment ago",
    ),
    "position_unknown": Reason(
        "writer",
        "A write of this session has no known position",
        "This read finds one; the next is local again",
    ),
    "position_of_older_timeline": Reason(
        "writer",
        "A failover came between, and whether it kept the session's position is not "
        "known",
        "This read finds one; the next is local again",
    ),
    "position_of_newer_timeline": Reason(
        "writer",
        "A token without a signature tells of a failover that nobody here has seen",
        "Set token_secret: what is signed is believed",
    ),
    "session_store_unavailable": Reason(
        "writer",
        "What the same user did elsewhere could not be looked up: session_store does "
        "not answer, or was started too lately to have it all",
        "This read finds a position; the next is local again",
    ),
    "global_read": Reason(
        "writer",
        "A read in the mode global while no other is under way: it asks the writer",
        "The modes session and eventual",
    ),
    "global_read_shared": Reason(
        "reader",
        "A read in the mode global, at a reader that has reached the position that "
        "the writer told this read and others together",
    ),
    "max_staleness": Reason(
        "writer",
        "An eventual read with a bound that no position proves",
        "A larger max_staleness",
    ),
    "route_option": Reason(
        "writer", 'using(route="writer"), or a hint that says the same'
    ),
    "catalog_outdated": Reason(
        "writer",
        "A definition has just changed, and the catalog is being read anew",
        "A moment later",
    ),
    "serializable": Reason(
        "writer", "A standby refuses SERIALIZABLE", "REPEATABLE READ, READ ONLY"
    ),
    "same_connection": Reason(
        "writer", "The answer depends on the connection of the statement before"
    ),
    "transaction": Reason(
        "where it began",
        "A statement of a transaction; one that begins with a write, or with what "
        "cannot be repeated, begins at the writer",
        "Begin with reads, declare the transaction READ ONLY, or use autocommit",
    ),
    "transaction_reads": Reason(
        "reader", "A read of a transaction that has only read so far"
    ),
    "transaction_moved": Reason(
        "writer",
        "The statement with which a transaction left its reader for the writer; what it "
        "had read went along",
    ),
    "transaction_shape": Reason(
        "writer",
        "In the last ten minutes a transaction that began like this one had to start "
        "over: what it had read at a reader was different when it wrote",
        "SHOW GLOBALDB TRANSACTIONS shows which; where it only reads, declare it READ ONLY",
    ),
    "unrepeatable_read": Reason(
        "writer",
        "The answer changes by itself (the time, chance, LIMIT without ORDER BY), so a "
        "transaction that may write later could not compare it",
        "Declare the transaction READ ONLY, order the rows, or pass the time as a value",
    ),
    "pinned": Reason(
        "where it is held",
        "Something lives on the connection: a temporary table, a lock, LISTEN, a "
        "cursor",
    ),
}

#: In front of the code of a text of several statements that keeps its connection.
SCRIPT: Final = "script_"


def reason(code: str) -> Reason | None:
    """Return what *code* means; ``None`` for one that is none."""
    found = ROUTES.get(code) or STATEMENTS.get(code)
    if found is not None or not code.startswith(SCRIPT):
        return found
    part = reason(code.removeprefix(SCRIPT))
    return part and Reason(
        "pin",
        f"Several statements in one text; one of them: {part.means}. The connection "
        "is kept, as nobody can tell what is left on it",
        "Send the statements one by one",
    )


def meaning(code: str) -> str:
    """Return in plain words what *code* means, and what would keep it local."""
    return str(reason(code) or code)
