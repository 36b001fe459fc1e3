"""Programs: what several sessions do, and what happens to the regions meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

HOME: Final = "us-west-2"
FAR: Final = "ap-south-1"
SOUTH: Final = "ap-southeast-2"
REGIONS: Final = (FAR, SOUTH, HOME)
MODES: Final = ("session", "global", "eventual", "off")
KEYS: Final = (1, 2)

#: Appends an id to the list of this run, in several shapes; ``copy`` and ``many``
#: are for the driver's own ways of sending rows.
APPENDS: Final = {
    "insert": "INSERT INTO entries (run, id) VALUES (%(run)s, %(id)s)",
    "returning": "INSERT INTO entries (run, id) VALUES (%(run)s, %(id)s) RETURNING id",
    "cte": (
        "WITH made AS (INSERT INTO entries (run, id) VALUES (%(run)s, %(id)s) "
        "RETURNING id) SELECT id FROM made"
    ),
    "many": "INSERT INTO entries (run, id) VALUES (%s, %s)",
    "copy": "COPY entries (run, id) FROM STDIN",
}
#: Puts an id into a register, and adds one to its version.
PUTS: Final = {
    "update": (
        "UPDATE registers SET version = version + 1, value = %(id)s "
        "WHERE run = %(run)s AND key = %(key)s RETURNING version"
    ),
    "upsert": (
        "INSERT INTO registers AS old (run, key, version, value) "
        "VALUES (%(run)s, %(key)s, 1, %(id)s) ON CONFLICT (run, key) DO UPDATE "
        "SET version = old.version + 1, value = excluded.value RETURNING version"
    ),
}
LIST: Final = "SELECT id FROM entries WHERE run = %(run)s"
REGISTER: Final = (
    "SELECT version, value FROM registers WHERE run = %(run)s AND key = %(key)s"
)
#: Statements that leave every answer as it is.
SETTINGS: Final = (
    "SET application_name = 'histories'",
    "RESET application_name",
    "SET TIME ZONE 'UTC'",
    "SET work_mem = '8MB'",
    "RESET ALL",
    "SHOW work_mem",
)


@dataclass(frozen=True, slots=True)
class Append:
    """Append a new id to the list."""

    form: str


@dataclass(frozen=True, slots=True)
class Put:
    """Put a new id into a register."""

    form: str
    key: int


@dataclass(frozen=True, slots=True)
class Look:
    """Read the whole list, or the register *key*; *stream* it, row by row."""

    key: int | None = None
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """Change or show a setting that no answer depends on."""

    sql: str


@dataclass(frozen=True, slots=True)
class Nested:
    """A savepoint, released or gone back to."""

    steps: tuple[Leaf | Nested, ...]
    undo: bool


@dataclass(frozen=True, slots=True)
class Transact:
    """A transaction: *style* names one of `histories.styles`."""

    steps: tuple[Leaf | Nested, ...]
    style: str = "block"
    undo: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Mode:
    """Change the session's consistency, by attribute or in SQL."""

    mode: str
    sql: bool = False


@dataclass(frozen=True, slots=True)
class Using:
    """Steps with a wish about where they run, or about their consistency."""

    steps: tuple[Leaf, ...]
    region: str | None = None
    route: str | None = None
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class Tell:
    """Put the session's token on the board."""


@dataclass(frozen=True, slots=True)
class Hear:
    """Observe the last token that session *number* put there, if any."""

    number: int


@dataclass(frozen=True, slots=True)
class Reopen:
    """Close the session; open another, and hand it the token."""

    region: str


Leaf = Append | Put | Look | Setting
Step = Leaf | Transact | Mode | Using | Tell | Hear | Reopen


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to the lab, *after* so many seconds.

    *what* is ``lag``, ``pause``, ``resume``, ``latency``, ``partition`` (healed after
    *seconds*) or ``cut`` (the next connection from *region* to *node* breaks).
    """

    what: str
    region: str
    seconds: float = 0.0
    other: str = HOME
    node: int = 0
    when: str = "reply"
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Script:
    """One session: where it starts, in which mode, and what it does."""

    region: str
    mode: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """Sessions and faults; *turns* says whose turn it is, None runs them at once.

    The faults are the last in the order of turns. *lags* holds for each reader
    region the lag from the start, in seconds.
    """

    scripts: tuple[Script, ...]
    faults: tuple[Fault, ...] = ()
    turns: tuple[int, ...] | None = None
    lags: tuple[float, float] = (0.0, 0.0)


def _tuples(
    each: st.SearchStrategy[T], least: int, most: int
) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(each, min_size=least, max_size=most).map(tuple)


_regions = st.sampled_from(REGIONS)
_readers = st.sampled_from((FAR, SOUTH))
_lags = st.sampled_from((0.0, 0.3, 0.1))
_looks = st.builds(
    Look,
    st.sampled_from((None, None, None, *KEYS)),
    st.sampled_from((False, False, False, True)),
)
_appends = st.builds(Append, st.sampled_from(tuple(APPENDS)))
_puts = st.builds(Put, st.sampled_from(tuple(PUTS)), st.sampled_from(KEYS))
_settings = st.builds(Setting, st.sampled_from(SETTINGS))
#: Reads are drawn as often as writes of all kinds.
_leaves = st.one_of(_looks, _appends, _looks, _puts, _looks, _settings)

_inside = st.recursive(
    _leaves,
    lambda inner: st.builds(Nested, _tuples(inner, 1, 3), st.booleans()),
    max_leaves=3,
)
_transactions = st.builds(
    Transact,
    _tuples(_inside, 1, 4),
    st.sampled_from(("block", "implicit", "begin", "script")),
    st.booleans(),
    st.sampled_from((False, False, True)),
)
_modes = st.builds(Mode, st.sampled_from(("session", *MODES)), st.booleans())
#: What a session that moves between regions is most likely to get wrong.
_glances = st.builds(
    Using,
    st.tuples(_looks),
    region=_regions,
    mode=st.sampled_from((None, None, "eventual", "global")),
)
_echoes = st.builds(Using, st.tuples(_appends, st.just(Look())), region=_regions)
_wishes = st.builds(
    Using,
    _tuples(_leaves, 1, 3),
    region=st.none() | _regions,
    route=st.sampled_from((None, "auto", "reader", "writer")),
    mode=st.sampled_from((None, None, *MODES)),
)
_handovers = st.one_of(
    st.builds(Tell), st.builds(Hear, st.integers(0, 3)), st.builds(Reopen, _regions)
)
_steps = st.one_of(
    _leaves,
    _leaves,
    _glances,
    _echoes,
    _transactions,
    _wishes,
    _modes,
    _handovers,
)
_first_modes = st.sampled_from(("session", "session", "global", "eventual"))
_actors = st.builds(Script, _regions, _first_modes, _tuples(_steps, 2, 10))
#: Sessions that only look, here and there: what they wrote cannot hide what they saw.
_watchers = st.builds(
    Script,
    _regions,
    st.sampled_from(("session", "global")),
    _tuples(st.one_of(_glances, _looks, _glances), 3, 10),
)
_scripts = st.one_of(_actors, _watchers, _actors)

_pace = st.sampled_from((0.0, 0.02, 0.05, 0.1))
_nodes = st.integers(0, 1)
_cuts = st.builds(
    Fault,
    st.just("cut"),
    _regions,
    other=st.sampled_from((HOME, HOME, FAR, SOUTH)),
    node=_nodes,
    when=st.sampled_from(("reply", "request")),
    after=_pace,
)
_faults = st.one_of(
    _cuts,
    st.builds(Fault, st.just("lag"), _readers, _lags, after=_pace),
    st.builds(
        Fault,
        st.sampled_from(("pause", "resume")),
        _readers,
        node=_nodes,
        after=_pace,
    ),
    st.builds(
        Fault,
        st.just("latency"),
        _readers,
        st.sampled_from((0.002, 0.01, 0.06)),
        _regions,
        after=_pace,
    ),
    st.builds(
        Fault,
        st.just("partition"),
        _readers,
        st.sampled_from((0.05, 0.2)),
        _regions,
        after=_pace,
    ),
    _cuts,
)

#: Every program a test may draw.
programs: st.SearchStrategy[Program] = st.builds(
    Program,
    _tuples(_scripts, 2, 4),
    _tuples(_faults, 0, 4),
    st.none() | _tuples(st.integers(0, 4), 0, 30),
    st.tuples(_lags, _lags),
)
