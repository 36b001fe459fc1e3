"""A physical connection: PyMySQL's own, with the books of whoever borrows it."""

from __future__ import annotations

import io
import re
import select
import socket
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from pymysql import err
from pymysql.constants import CLIENT, COMMAND, CR, SERVER_STATUS

from globaldb.core.fence import Facts
from globaldb.core.mysql.several import companionable
from globaldb.core.trip import LinkStatus
from globaldb.drivers.cancelling import LONGEST
from globaldb.drivers.pymysql import greeting
from globaldb.drivers.pymysql.network import connected
from globaldb.drivers.pymysql.packets import Packets
from globaldb.drivers.pymysql.result import Result
from globaldb.drivers.pymysql.tracking import Outcome, outcome
from globaldb.drivers.pymysql.waiting import Patient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from globaldb.core.settings import Settings


#: Seconds for a farewell.
_FAREWELL: Final = 1.0
_SHORTEST: Final = 0.001
_IN_TRANSACTION: Final = SERVER_STATUS.SERVER_STATUS_IN_TRANS
_NO_BACKSLASH_ESCAPES: Final = SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES
_SEVERAL: Final = CLIENT.MULTI_STATEMENTS
#: A comment at the end of a statement ends with its line.
_BETWEEN: Final = b"\n;\n"
_WISHES: Final = CLIENT.SESSION_TRACK | CLIENT.MULTI_STATEMENTS
_RESET_CONNECTION: Final = 0x1F
#: Authentication plugins with which the password itself is sent.
_CLEAR: Final = ("mysql_clear_password", "dialog")
_VERSION: Final = re.compile(r"(?:5\.5\.5-)?([0-9]+)\.([0-9]+)(?:\.([0-9]+))?")


class Physical(Packets):
    """One connection to one node. It runs in autocommit; sessions own transactions."""

    # What PyMySQL does not say of itself.
    _sock: Any
    _rfile: Any
    _result: Any
    _secure: bool
    _read_timeout: Any
    _write_timeout: Any
    _current_timeout: float | None
    _force_close: Callable[[], None]
    _again: Callable[[float], Mapping[str, Any]]
    password: bytes
    decoders: Any
    server_capabilities: int
    server_thread_id: tuple[int]
    server_version: str

    def __init__(self, parameters: Mapping[str, Any], *, bare: bool = False) -> None:
        given = dict(parameters)
        #: Statements that travel in one text; False where nobody wants that.
        self.joins: bool = given.pop("multi_statements", True)
        #: The application asked for texts with several statements.
        self.scripts = bool(given.get("client_flag", 0) & CLIENT.MULTI_STATEMENTS)
        #: Its waits for the server's words.
        self.waits = Patient(self, given.pop("read_timeout", None))
        #: Longest wait to be rid of a statement, in seconds.
        self._stall: float | None = given.pop("write_timeout", None)
        self._first: str | None = given.pop("init_command", None)
        self._mode: str | None = given.pop("sql_mode", None)
        #: It only ends what runs on another connection.
        self._bare = bare
        wishes = _WISHES if self.joins or self.scripts else CLIENT.SESSION_TRACK
        #: Where the host is; None: whoever connects finds that out.
        self.at: str | None = given.pop("at", None)
        given["client_flag"] = given.get("client_flag", 0) | wishes
        super().__init__(**given, defer_connect=True, autocommit=None)
        #: The settings of the last borrower, still applied.
        self.settings: Settings = ()
        #: What is known of the node it leads to, shared with others to it.
        self.facts = Facts()
        #: Identity of the session that used this connection last.
        self.last_session = 0
        #: How many definitions there were when its prepared statements were looked at.
        self.definitions = 0
        self._spell = 0, 0
        #: The borrower's connection while it is lent.
        self.face: Any = None
        #: Interrupted in the middle: nobody knows what is applied.
        self.spoiled = False
        #: Seconds that it took to open.
        self.opening = 0.0
        #: Whether the server last said that it is a standby.
        self.standby = False
        #: Answers are laid out with what changed of the session.
        self.tracks = False
        #: Its server reports what it commits, and the encoding in use.
        self.reports = False
        #: The server's name of the encoding of statements, as last heard.
        self.character_set = ""
        #: The transactions it has reported since somebody looked.
        self.gtids: str | None = None
        #: What tells its server from others.
        self.identity = ""
        self._encoding, self._decoders = self.encoding, self.decoders
        #: Its server takes texts of several statements now, as far as it can.
        self._taking = True
        self._opening: float | None = None

    @classmethod
    def reach(
        cls,
        parameters: Mapping[str, Any],
        deadline: float,
        *,
        bare: bool = False,
        again: Callable[[float], Mapping[str, Any]] | None = None,
    ) -> Physical:
        """Connect with PyMySQL's *parameters* before *deadline* (monotonic seconds).

        A *bare* connection has no settings of its own; *again* returns, before a
        deadline, what another is opened with later. Raises PyMySQL's errors.
        """
        began = monotonic()
        try:
            physical = cls._connected(parameters, deadline, bare=bare)
        except BaseException as error:  # noqa: BLE001 - raised again, without frames
            # Those below hold the password, and so would whatever shows them.
            raise error.with_traceback(None) from error.__cause__
        physical._again = again or (lambda _: parameters)
        physical.opening = monotonic() - began
        return physical

    @classmethod
    def _connected(
        cls, parameters: Mapping[str, Any], deadline: float, *, bare: bool
    ) -> Physical:
        physical = cls(parameters, bare=bare)
        physical._opening = deadline
        physical._limit_opening()
        physical.connect(connected(physical, deadline))
        # Whoever holds a connection need not hold its password.
        physical.password = b""
        if not bare:
            physical._opening = None
            physical._read_timeout = physical._write_timeout = None
            physical._current_timeout = None
            physical._rfile = io.BufferedReader(physical.waits)
        return physical

    @property
    def closed(self) -> bool:
        """Whether it can no longer be used."""
        return self._sock is None

    @property
    def mariadb(self) -> bool:
        """Whether it leads to MariaDB; to MySQL otherwise."""
        return "MariaDB" in self.server_version

    @property
    def version(self) -> int:
        """The server's version as a number: 80034 is 8.0.34, 101106 is 10.11.6."""
        found = _VERSION.match(self.server_version)
        if found is None:
            return 0
        major, minor, patch = (int(part or 0) for part in found.groups())
        return major * 10000 + minor * 100 + patch

    @property
    def link_status(self) -> LinkStatus:
        """What the server last said of this connection."""
        if self._sock is None:
            return LinkStatus.LOST
        if self.server_status & _IN_TRANSACTION:
            return LinkStatus.OPEN
        return LinkStatus.IDLE

    @property
    def begins_by_itself(self) -> bool:
        """Whether it is outside autocommit: each statement begins a transaction."""
        return not self.server_status & SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT

    @property
    def backslash_escapes(self) -> bool:
        """Whether a backslash in a text escapes."""
        return not self.server_status & _NO_BACKSLASH_ESCAPES

    def spell(self) -> int:
        """Return the number of the spell of use by its last session without a break.

        What the server remembers of the statement before is a session's own as long
        as this number stays.
        """
        session, number = self._spell
        if session != self.last_session:
            number += 1
            self._spell = self.last_session, number
        return number

    def forget_statements(self) -> None:
        """Take note that the server has dropped every prepared statement: none is ours."""

    def renew_statements(self) -> None:
        """Use no statement any more that was prepared until now: none is."""

    def hung_up(self) -> bool:
        """Whether the server has closed this connection, as far as already known.

        One look at the socket, no waiting. A server says nothing unasked but farewell.
        """
        sock = self._sock
        if sock is None:
            return True
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))

    def until(
        self, deadline: float | None, *, expendable: bool = False
    ) -> AbstractContextManager[None]:
        """Bound every wait inside the block by *deadline* (monotonic seconds).

        What is overdue is cancelled and waited for; of an *expendable* connection,
        which no application waits for, it is hung up on.
        """
        return self.waits.until(deadline, expendable=expendable)

    def give_up(self) -> None:
        """Let nobody wait for, or send, anything on this connection. From any thread."""
        self.spoiled = True
        sock = self._sock
        if sock is not None:
            # Not the method of a TLS socket: it would take its state from the reader.
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def cancel(self, timeout: float = LONGEST) -> None:
        """Have the server end what runs on this connection. From any thread.

        Takes another connection, and at most about *timeout* seconds. Raises PyMySQL's
        errors, also where a balancer has led that connection to another server.
        """
        ends = monotonic() + timeout
        other = Physical.reach(self._again(ends), ends, bare=True)
        try:
            other.query(greeting.kill_query(self))
        finally:
            other.close()

    def close(self) -> None:
        """Close politely; does nothing on a closed connection."""
        if self._sock is None:
            self._closed = True
            return
        with self.until(monotonic() + _FAREWELL, expendable=True):
            super().close()

    def hang_up(self) -> None:
        """Close without a word: what is still to come cannot be told apart."""
        self._result = None
        self._force_close()

    def reset(self) -> None:
        """Make it as new: no transaction, no temporary tables, no settings."""
        self._execute_command(_RESET_CONNECTION, b"")
        self._read_ok_packet()
        greeting.greet(self, self._mode, self._first)

    def send(self, texts: Sequence[bytes]) -> None:
        """Send statements, which were seen to be one each if they are several."""
        if len(texts) == 1:
            self._execute_command(COMMAND.COM_QUERY, texts[0])
            return
        self._take_several(allowed=True)
        super()._execute_command(COMMAND.COM_QUERY, _BETWEEN.join(texts))  # type: ignore[misc]

    def companionable(self, text: bytes) -> bytes | None:
        """Return *text* as it may stand among others; None where it must not."""
        # A server that reports no changes may read it otherwise than it began.
        certain = self.reports or not self.settings
        return companionable(
            text,
            self.character_set if certain else "",
            backslash_escapes=self.backslash_escapes,
        )

    def _execute_command(self, command: int, sql: str | bytes) -> None:
        # Whoever sends it: an application that did not ask for several statements in
        # a text gets one.
        if command == COMMAND.COM_QUERY and self.client_flag & _SEVERAL:
            text = sql.encode(self.encoding) if isinstance(sql, str) else bytes(sql)
            if self.scripts:
                self._take_several(allowed=True)
            elif b";" in text and self.companionable(text) is None:
                self._take_several(allowed=False)
        super()._execute_command(command, sql)  # type: ignore[misc]

    def _take_several(self, *, allowed: bool) -> None:
        """Have the server take texts of several statements, or refuse them."""
        if self._taking is allowed:
            return
        option = b"\0\0" if allowed else b"\1\0"
        super()._execute_command(COMMAND.COM_SET_OPTION, option)  # type: ignore[misc]
        self._read_packet()
        self._taking = allowed

    def read_plainly(self, *, texts: bool) -> None:
        """Have the rows of answers read as PyMySQL does by itself, or as *texts*."""
        self.encoding, self.use_unicode = self._encoding, True
        self.decoders = {} if texts else self._decoders

    def note(self, found: Outcome) -> None:
        """Take note of what an OK packet says of the session."""
        self.server_status = found.status
        if found.gtids is not None:
            self.gtids = found.gtids
        for name, value in found.variables:
            if name == "last_gtid":
                self.gtids = value or self.gtids
            elif name == "character_set_client":
                self.character_set = value

    # What PyMySQL calls.

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        """Set the encoding; while connecting, everything else a session begins with."""
        if self._opening is None:
            super().set_character_set(charset, collation)
        elif not self._bare:
            greeting.greet(self, self._mode, self._first)

    def _request_authentication(self) -> None:
        # An answer is laid out as agreed, and not as asked for.
        self.client_flag &= self.server_capabilities | ~_WISHES
        self.tracks = bool(self.client_flag & CLIENT.SESSION_TRACK)
        several = bool(self.client_flag & CLIENT.MULTI_STATEMENTS)
        self.joins = self.joins and several
        super()._request_authentication()  # type: ignore[misc]

    def _process_auth(self, plugin_name: Any, auth_packet: Any, handler: Any) -> Any:
        name = plugin_name.decode("ascii", "replace")
        if name in _CLEAR and not self._secure:
            raise err.OperationalError(
                CR.CR_AUTH_PLUGIN_ERR,
                f"the server asks for the password itself ({name}), which is never "
                "sent without TLS. Ask for TLS with ssl_mode=verify_identity",
            )
        return super()._process_auth(plugin_name, auth_packet, handler)  # type: ignore[misc]

    def _read_query_result(self, unbuffered: bool = False) -> int:  # noqa: FBT001, FBT002 - as PyMySQL has it
        self._result = None
        result: Any = Result(self)
        result.tracked = self.tracks
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.outcome is not None:
            self.note(result.outcome)
        rows: int = result.affected_rows
        return rows

    def _read_ok_packet(self) -> Outcome:
        packet = self._read_packet()
        if not packet.is_ok_packet():
            raise err.OperationalError(
                CR.CR_COMMANDS_OUT_OF_SYNC, "Command Out of Sync"
            )
        found = outcome(packet._data, tracked=self.tracks)
        self.note(found)
        return found

    def _write_bytes(self, data: bytes) -> None:
        if self._opening is not None:
            self._limit_opening()
        elif self._sock is not None:
            self.waits.bound(self._sock, self._stall)
        super()._write_bytes(data)  # type: ignore[misc]

    def _limit_opening(self) -> None:
        left = max(_SHORTEST, (self._opening or 0.0) - monotonic())
        self._read_timeout = self._write_timeout = left
