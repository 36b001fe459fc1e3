"""PyMySQL's result, with what PyMySQL does not read of the server's packets."""

from __future__ import annotations

from typing import Any, Final

from pymysql.connections import MySQLResult
from pymysql.constants import SERVER_STATUS

from globaldb.drivers.pymysql.tracking import Outcome, outcome

_MORE: Final = SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS


class Result(MySQLResult):
    """The answer to one statement, read as PyMySQL does."""

    #: The connection that it comes from, while it is read.
    connection: Any
    message: Any
    has_next: Any
    #: Whether session tracking was agreed upon.
    tracked = False
    #: What its OK packet says; None where it has rows.
    outcome: Outcome | None = None

    def _read_ok_packet(self, packet: Any) -> None:
        found = self.outcome = outcome(packet._data, tracked=self.tracked)
        self.affected_rows = found.affected_rows
        self.insert_id = found.insert_id
        self.server_status = found.status
        self.warning_count = found.warnings
        self.message = found.message
        self.has_next = found.status & _MORE

    def _check_packet_is_eof(self, packet: Any) -> bool:
        # Once for each row: as little as possible.
        data = packet._data
        if data[0] != 0xFE or len(data) >= 9:
            return False
        status = data[3] | data[4] << 8
        self.warning_count = data[1] | data[2] << 8
        self.has_next = status & _MORE
        # PyMySQL forgets it; a SELECT may begin a transaction, and a function change
        # the mode.
        self.connection.server_status = status
        return True
