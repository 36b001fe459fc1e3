"""What one session does: it reads and writes as applications do.

Statements that follow a write at once, go to another region's readers, or come after a
token was handed over are the ones that break promises, so they come often.
"""

from __future__ import annotations

from itertools import accumulate, count
from typing import TYPE_CHECKING, Final

from globaldb.verify.history import LIST, Operation, Outcome
from globaldb.verify.witness import REST, Company, Told, Witness

if TYPE_CHECKING:
    from random import Random

#: How often a transaction is tried again from its beginning.
_ATTEMPTS: Final = 4
#: How many different transactions there are that read first and write then.
_SHAPES: Final = 10_000
#: How often each action is taken, relative to the others.
_WEIGHTS: Final = {
    "look": 34.0,
    "write_and_look": 12.0,
    "upgrade": 4.0,
    "study": 2.0,
    "look_away": 4.0,
    "look_at_all": 3.0,
    "tell": 2.0,
    "hear": 2.0,
    "reopen": 0.2,
}


class Player:
    """One thread's sessions, one after the other."""

    def __init__(
        self, company: Company, region: str, page: list[Operation], random: Random
    ) -> None:
        self.witness = Witness(company, region, page)
        self._company = company
        self._plan = company.plan
        self._tables = company.plan.tables
        self._dialect = self._tables.dialect
        self._home = region
        self._random = random
        self._actions = {
            "look": self._look,
            "write_and_look": self._write_and_look,
            "upgrade": self._upgrade,
            "study": self._study,
            "look_away": self._look_away,
            "look_at_all": self._look_at_all,
            "tell": self._tell,
            "hear": self._hear,
            "reopen": self._reopen,
        }
        #: The list that only this session adds to, and how many rows it has.
        self._list, self._rows = "", 0
        self._lists = count(1)
        #: The key that was written last.
        self._met = self._tables.registers[0]

    def play(self) -> None:
        """Use the database until told to stop."""
        names = list(_WEIGHTS)
        weights = list(accumulate(_WEIGHTS.values()))
        stop = self._company.stop
        try:
            while not stop.is_set():
                if not self.witness.usable and not self._open():
                    stop.wait(REST)
                    continue
                [name] = self._random.choices(names, cum_weights=weights)
                self._actions[name]()
        finally:
            self.witness.close()

    def _open(self) -> bool:
        opened = self.witness.open()
        if opened:
            self._new_list()
        return opened

    def _reopen(self) -> None:
        """Go on with another connection that knows what this one does."""
        told = self._tell()
        self.witness.close()
        if self._open() and told is not None:
            self.witness.observe(told)

    # Reads.

    def _any_key(self) -> str:
        chance = self._random.random()
        if chance < 0.3:
            return self._met
        if chance < 0.45:
            return self._list
        if chance < 0.6:
            return self._random.choice(self._tables.counters)
        return self._random.choice(self._tables.registers)

    def _look(self) -> None:
        self.witness.read(self._any_key())

    def _look_away(self) -> None:
        """Read twice from another region's readers."""
        region = self._random.choice(list(self._plan.urls))
        if region == self._home:
            return
        with self.witness.connection.using(region=region):
            self.witness.read(self._met)
            self.witness.read(self._any_key())

    def _look_at_all(self) -> None:
        """Read once in global mode, where reads are otherwise in session mode."""
        if self._plan.asked != "session":
            self._look()
            return
        with self.witness.connection.using(consistency="global"):
            self.witness.mode = "global"
            self.witness.read(self._any_key())
        self.witness.mode = self._plan.mode

    # Writes.

    def _write_and_look(self) -> None:
        chance = self._random.random()
        if chance < 0.3:
            key = self._list
            done = self._append()
        else:
            keys = self._tables.counters if chance < 0.5 else self._tables.registers
            key = self._random.choice(keys)
            done = self.witness.write(key)
        if done:
            self._met = key
        self.witness.read(key)

    def _append(self) -> bool:
        done = self.witness.append(self._list, self._rows + 1)
        if done:
            self._rows += 1
        elif self.witness.last.outcome is Outcome.UNKNOWN:
            self._new_list()
        return done

    def _new_list(self) -> None:
        """Begin another list: of the last one it is not known how long it is."""
        self._list = f"{LIST}{self.witness.session}.{next(self._lists)}"
        self._rows = 0

    # Transactions.

    def _upgrade(self) -> None:
        """Read, then write what was read; again from the beginning when that fails."""
        undo = self._random.random() < 0.15
        keys = self._random.sample(self._tables.registers, 2)
        for _ in range(_ATTEMPTS):
            if self._read_and_write(*keys, undo=undo) or undo:
                return
            if self.witness.last.outcome is Outcome.UNKNOWN:
                self._new_list()
                return
            if not self.witness.usable:
                return

    def _read_and_write(self, other: str, key: str, *, undo: bool) -> bool:
        witness = self.witness
        # Transactions that look like one which wrote begin on the writer: that they do
        # not is what is to be tried.
        alias = f"r{self._random.randrange(_SHAPES)}"
        with witness.transaction(self._random.choice(self._dialect.upgrades)):
            done = (
                witness.read(other, alias) and witness.read(key) and witness.write(key)
            )
            done = done and witness.append(self._list, self._rows + 1)
            done = done and witness.read(key)
            committed = witness.end(commit=done and not undo)
        if committed:
            self._rows += 1
            self._met = key
        return committed

    def _study(self) -> None:
        """Read in a read-only transaction, every other time from one snapshot."""
        witness = self.witness
        with witness.transaction(self._random.choice(self._dialect.studies)):
            done = True
            for key in (self._met, self._any_key(), self._any_key()):
                done = done and witness.read(key)
            witness.end(commit=done)

    # Tokens.

    def _tell(self) -> Told | None:
        return self.witness.tell(self._met)

    def _hear(self) -> None:
        """Observe another session's token, and read what it had met."""
        board = list(self._company.board)
        if board:
            told = self._random.choice(board)
            if self.witness.observe(told):
                self.witness.read(told.key)
