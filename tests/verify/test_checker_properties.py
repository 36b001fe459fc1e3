"""Whatever a correct database does is accepted; whatever is changed in it is refused.

The model is a writer whose log of commits arrives late at its readers, and sessions
that read only where everything they know has arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, Phase, assume, given, settings, strategies as st

from globaldb.verify import History, Kind, Operation, Outcome, Place, Promise, check

KEYS = ("r1", "r2", "c1")
SESSIONS, READERS = 4, 2
AT_READER = Place("reader", "ap-south-1-1", "ap-south-1", "nearest_reader")
AT_WRITER = Place("writer", "us-west-2-1", "us-west-2", "reader_behind")


@dataclass
class Model:
    """What is committed, how far the readers are, and what the sessions know."""

    log: list[tuple[str, int, int]] = field(default_factory=list)
    arrived: list[int] = field(default_factory=lambda: [0] * READERS)
    floors: list[int] = field(default_factory=lambda: [0] * SESSIONS)
    free_at: list[float] = field(default_factory=lambda: [0.0] * SESSIONS)
    operations: list[Operation] = field(default_factory=list)
    clock: float = 0.0
    values: int = 100
    transactions: int = 0

    def state(self, key: str, position: int) -> tuple[int, int]:
        """Return version and value of *key* after so many commits."""
        made = [each[1:] for each in self.log[:position] if each[0] == key]
        return made[-1] if made else (0, 0)

    def note(self, session: int, kind: Kind, *slack: float, **about) -> None:
        """Note what takes effect now, and began and ended around that."""
        before, after = slack
        began = max(self.free_at[session], self.clock - before)
        self.free_at[session] = ended = self.clock + after
        self.operations.append(Operation(session, kind, began, ended, **about))

    def turn(self, session: int) -> None:
        """Let time pass until *session* is free."""
        self.clock = max(self.clock, self.free_at[session]) + 0.1

    def commit(self, key: str) -> tuple[int, int]:
        version = self.state(key, len(self.log))[0] + 1
        self.values += 1
        value = 0 if key == "c1" else self.values
        self.log.append((key, version, value))
        return version, value

    def place(self, session: int, reader: int, *, fresh: bool) -> tuple[int, Place]:
        """Return the position that a read of *session* sees, and where."""
        here = self.arrived[reader]
        if fresh or here < self.floors[session]:
            return len(self.log), AT_WRITER
        return here, AT_READER

    def history(self) -> History:
        final = {key: self.state(key, len(self.log)) for key in KEYS}
        return History(self.operations, {k: v for k, v in final.items() if v[0]})


sessions = st.integers(0, SESSIONS - 1)
readers = st.integers(0, READERS - 1)
keys = st.sampled_from(KEYS)
slack = st.tuples(st.floats(0, 2), st.floats(0, 2))
Step = Callable[[Model], None]


def write(session: int, key: str, around: tuple[float, float]) -> Step:
    def step(model: Model) -> None:
        model.turn(session)
        version, value = model.commit(key)
        model.floors[session] = len(model.log)
        about = {"key": key, "version": version, "value": value}
        model.note(session, Kind.WRITE, *around, **about)

    return step


def fail(session: int, key: str, *, told: Outcome, applied: bool) -> Step:
    def step(model: Model) -> None:
        model.turn(session)
        value = model.values + 1
        if applied and told is Outcome.UNKNOWN:
            model.commit(key)
        else:
            model.values += 1
        value = 0 if key == "c1" else value
        model.note(session, Kind.WRITE, 0.5, 0.5, key=key, value=value, outcome=told)

    return step


def read(session: int, key: str, reader: int, mode: str, around) -> Step:
    def step(model: Model) -> None:
        model.turn(session)
        fresh = mode == "global"
        position, place = model.place(session, reader, fresh=fresh)
        if mode == "eventual":
            position, place = model.arrived[reader], AT_READER
        else:
            model.floors[session] = max(model.floors[session], position)
        version, value = model.state(key, position)
        about = {"key": key, "version": version, "value": value, "place": place}
        model.note(session, Kind.READ, *around, mode=mode, **about)

    return step


def upgrade(session: int, key: str, reader: int, *, keep: bool) -> Step:
    """Read at a reader, and write if that was still current at the writer."""

    def step(model: Model) -> None:
        model.turn(session)
        model.transactions += 1
        position, place = model.place(session, reader, fresh=False)
        model.floors[session] = max(model.floors[session], position)
        version, value = model.state(key, position)
        about = {"key": key, "transaction": model.transactions}
        seen = {"version": version, "value": value, "place": place}
        model.note(session, Kind.READ, 0.5, 0.0, **about, **seen)
        model.turn(session)
        if (version, value) != model.state(key, len(model.log)):
            model.note(session, Kind.WRITE, 0.0, 0.0, outcome=Outcome.FAILED, **about)
        elif keep:
            version, value = model.commit(key)
            made = {"version": version, "value": value}
            model.note(session, Kind.WRITE, 0.0, 0.0, **about, **made)
            model.turn(session)
            model.floors[session] = len(model.log)
            model.note(session, Kind.COMMIT, 0.0, 0.3, transaction=about["transaction"])
            return
        model.turn(session)
        model.note(session, Kind.ROLLBACK, 0.0, 0.1, transaction=about["transaction"])

    return step


def arrive(reader: int, share: float) -> Step:
    def step(model: Model) -> None:
        missing = len(model.log) - model.arrived[reader]
        model.arrived[reader] += round(missing * share)

    return step


def hand_over(teller: int, hearer: int) -> Step:
    def step(model: Model) -> None:
        number = len(model.operations)
        model.turn(teller)
        model.note(teller, Kind.TOKEN, 0.0, 0.0, value=number)
        model.turn(hearer)
        model.note(hearer, Kind.OBSERVE, 0.0, 0.0, value=number)
        model.floors[hearer] = max(model.floors[hearer], model.floors[teller])

    return step


failures = st.sampled_from([Outcome.FAILED, Outcome.UNKNOWN])
modes = st.sampled_from(["session", "session", "global", "eventual"])
steps = st.one_of(
    st.builds(write, sessions, keys, slack),
    st.builds(read, sessions, keys, readers, modes, slack),
    st.builds(read, sessions, keys, readers, modes, slack),
    st.builds(arrive, readers, st.floats(0, 1)),
    st.builds(fail, sessions, keys, told=failures, applied=st.booleans()),
    st.builds(upgrade, sessions, keys, readers, keep=st.booleans()),
    st.builds(hand_over, sessions, sessions),
)


@st.composite
def histories(draw, least: int = 0) -> History:
    model = Model()
    for step in draw(st.lists(steps, min_size=least, max_size=60)):
        step(model)
    return model.history()


def changed(history: History, index: int, **change) -> History:
    """Return *history* with one operation told otherwise."""
    operations = list(history.operations)
    operations[index] = operations[index]._replace(**change)
    return replace(history, operations=operations)


#: A missed write may have been read since, or be behind one that a token told of.
SESSION = {Promise.OWN_WRITES, Promise.MONOTONIC_READS, Promise.HANDED_OVER}


def forgotten(history: History) -> Iterator[tuple[History, set[Promise]]]:
    """Reads that see nothing, in sessions that had written the same key."""
    written: set[tuple[int, str]] = set()
    for place, each in enumerate(history.operations):
        known = (each.session, each.key)
        if each.kind is Kind.WRITE and each.outcome is Outcome.DONE:
            if not each.transaction:
                written.add(known)
        elif each.kind is Kind.READ and each.mode != "eventual" and known in written:
            found = changed(history, place, version=0, value=0)
            yield found, SESSION


def outdated(history: History) -> Iterator[tuple[History, set[Promise]]]:
    """Global reads of one version less than was acknowledged."""
    for place, each in enumerate(history.operations):
        if each.kind is not Kind.READ or each.mode != "global":
            continue
        acknowledged = [
            other
            for other in history.operations
            if other.kind is Kind.WRITE
            and not other.transaction
            and (other.key, other.outcome) == (each.key, Outcome.DONE)
            and other.ended < each.began
        ]
        if acknowledged:
            yield changed(history, place, version=0, value=0), {Promise.FRESH}


def unwritten(history: History) -> Iterator[tuple[History, set[Promise]]]:
    """Reads of a value that nobody has written."""
    for place, each in enumerate(history.operations):
        if each.kind is Kind.READ and each.version and each.key != "c1":
            yield changed(history, place, value=7), {Promise.COMMITTED}


def refused(history: History) -> Iterator[tuple[History, set[Promise]]]:
    """Acknowledged writes of which it is said that they failed."""
    for place, each in enumerate(history.operations):
        unsure = [
            other
            for other in history.operations
            if other.key == each.key and other.outcome is Outcome.UNKNOWN
        ]
        if (
            each.kind is Kind.WRITE
            and each.outcome is Outcome.DONE
            and not each.transaction
            and not unsure
        ):
            change = {"outcome": Outcome.FAILED, "version": 0}
            yield changed(history, place, **change), {Promise.TWICE}


def vanished(history: History) -> Iterator[tuple[History, set[Promise]]]:
    """Writes that are not there in the end."""
    for each in history.operations:
        last = history.final.get(each.key)
        if each.kind is Kind.WRITE and last and each.version == last[0]:
            if each.transaction:
                continue
            final = {**history.final, each.key: (each.version - 1, 0)}
            yield replace(history, final=final), {Promise.LOST}


def overwritten(history: History) -> Iterator[tuple[History, set[Promise]]]:
    """Writes that made the version which an earlier one had made."""
    for place, each in enumerate(history.operations):
        if each.kind is not Kind.WRITE or each.version < 2 or each.transaction:
            continue
        if any(
            other.kind is Kind.WRITE
            and not other.transaction
            and (other.key, other.version) == (each.key, each.version - 1)
            for other in history.operations
        ):
            yield changed(history, place, version=each.version - 1), {Promise.LOST}


def stale(history: History) -> Iterator[tuple[History, set[Promise]]]:
    """Transactions whose reads were not compared before they wrote."""
    for place, each in enumerate(history.operations):
        if each.kind is Kind.READ and each.transaction and each.version:
            committed = any(
                other.kind is Kind.COMMIT and other.transaction == each.transaction
                for other in history.operations
            )
            acknowledged = any(
                other.kind is Kind.WRITE
                and not other.transaction
                and other.outcome is Outcome.DONE
                and other.key == each.key
                and other.ended < each.began
                for other in history.operations
            )
            if committed and acknowledged:
                found = changed(history, place, version=0, value=0, place=AT_READER)
                yield found, {Promise.UPGRADE}


MUTATIONS = (forgotten, outdated, unwritten, refused, vanished, overwritten, stale)


@given(histories())
def test_what_a_correct_database_does_is_accepted(history):
    assert check(history).violations == []


@given(st.data(), histories(least=20), st.sampled_from(MUTATIONS))
@settings(
    max_examples=300,
    # Making a failing one smaller would take minutes.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.filter_too_much],
)
def test_a_history_in_which_one_thing_is_changed_is_refused(data, history, mutation):
    found = list(mutation(history))
    assume(found)
    mutant, promises = data.draw(st.sampled_from(found))
    assert promises & {each.promise for each in check(mutant).violations}
