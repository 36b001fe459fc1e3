"""The demo for a person in front of a terminal, and for a program."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, TextIO

from globaldb.cli.demo_play import Comparison, LookResult, Result, StepResult
from globaldb.cli.demo_story import LAG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.cli.demo_play import Cost, Stage
    from globaldb.cli.demo_story import Answer
    from globaldb.core.routing import Route

_GREEN: Final = "\x1b[32m"
_RED: Final = "\x1b[31m"
_DIM: Final = "\x1b[2m"
_BOLD: Final = "\x1b[1m"
_PLAIN: Final = "\x1b[0m"


class Page:
    """Prints results as they arrive, each kind under its own heading."""

    def __init__(self, out: TextIO, stage: Stage) -> None:
        self._out = out
        self._stage = stage
        self._heading: object = None
        self._colour = out.isatty() and not os.environ.get("NO_COLOR")
        self._marks = _marks(out)

    def add(self, result: Result) -> None:
        """Print one result."""
        match result:
            case StepResult():
                self._step(result)
            case LookResult():
                self._look(result)
            case Comparison():
                self._comparison(result)

    def end(self, results: Sequence[Result], seconds: float) -> None:
        """Print how many expectations were met."""
        failed = sum(not result.ok for result in results)
        self._line()
        if failed:
            text = f"{failed} of {len(results)} expectations failed"
            self._line(self._paint(f"{text} ({seconds:.0f} s)", _RED))
        else:
            text = f"all {len(results)} expectations met"
            self._line(self._paint(f"{text} ({seconds:.0f} s)", _GREEN))

    # The walkthrough.

    def _step(self, result: StepResult) -> None:
        step = result.step
        self._under("walk", "Write forwarding, step by step")
        side = f"{step.side} {result.region}"
        self._under_side(side)
        took = f"{_ms(result.seconds)} ms"
        self._line(f"{self._mark(ok=result.ok)} {step.sql}")
        for row in result.answer.rows:
            self._line(f"      {' | '.join(str(value) for value in row)}")
        if result.answer.error is not None:
            self._line(f"      {_error(result.answer)}")
        where = f"; ran on {_place(result.route)}" if result.route else ""
        self._dim(f"      expected: {step.expected}; {took}{where}")

    def _under_side(self, side: str) -> None:
        if self._heading != ("walk", side):
            self._heading = ("walk", side)
            self._line()
            self._line(self._paint(f"  [{side}]", _BOLD))

    # The modes side by side.

    def _look(self, result: LookResult) -> None:
        region = self._stage.reader_region
        title = f"Three modes, while the reader in {region} lags by {LAG:g} s"
        columns = ("mode", "the write is by", "expected", "it was", "ms", "read at")
        self._under("looks", title, _LOOK.format(*columns))
        look = result.look
        expected = {True: "seen", False: "missed", None: "no promise"}[look.sees]
        cells = (
            look.mode.value,
            "this session" if look.own else f"{self._stage.writer_region}",
            expected,
            "seen" if result.saw else "missed",
            _ms(result.seconds),
            _place(result.route),
        )
        self._line(f"{self._mark(ok=result.ok)} {_LOOK.format(*cells)}")

    # The measurements.

    def _comparison(self, result: Comparison) -> None:
        driver = self._stage.driver
        title = f"Plain {driver} to the writer, and globaldb"
        columns = ("(W: wide-area round trips)", "ms", "W", "ms", "W", "at most", "")
        self._under(
            "compare",
            title,
            _COMPARISON.format("", driver, "", "globaldb", "", "expected", ""),
            _COMPARISON.format(*columns),
        )
        cells = (
            result.operation,
            *_cells(result.plain),
            *_cells(result.routed),
            result.most,
            _place(result.route),
        )
        self._line(f"{self._mark(ok=result.ok)} {_COMPARISON.format(*cells)}")

    # Lines.

    def _under(self, kind: str, title: str, *lines: str) -> None:
        known = self._heading[0] if isinstance(self._heading, tuple) else None
        if known == kind:
            return
        self._heading = (kind,)
        self._line()
        self._line(self._paint(title, _BOLD))
        for line in lines:
            self._dim(f"  {line}")

    def _mark(self, *, ok: bool) -> str:
        return self._paint(self._marks[ok], _GREEN if ok else _RED)

    def _dim(self, text: str) -> None:
        self._line(self._paint(text.rstrip(), _DIM))

    def _paint(self, text: str, colour: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._colour else text

    def _line(self, text: str = "") -> None:
        print(text.rstrip(), file=self._out, flush=True)


_LOOK: Final = "{:<10} {:<16} {:<12} {:<8} {:>8}  {}"
_COMPARISON: Final = "{:<34} {:>8} {:>3} {:>9} {:>3} {:>9}  {}"


def _marks(out: TextIO) -> tuple[str, str]:
    """Cross and tick, in what *out* can write."""
    try:
        "✗✓".encode(out.encoding or "ascii")
    except UnicodeEncodeError:
        return "!", "+"
    return "✗", "✓"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def _cells(cost: Cost) -> tuple[str, int]:
    return _ms(cost.seconds), cost.round_trips


def _place(route: Route | None) -> str:
    if route is None:
        return ""
    return f"{route.role.value} {route.region}: {route.reason}"


def _error(answer: Answer) -> str:
    words = type(answer.error).__name__, answer.sqlstate
    return f"{' '.join(word for word in words if word)}: {answer.error}"


def as_json(stage: Stage, results: Sequence[Result], seconds: float) -> dict[str, Any]:
    """Return everything as JSON can hold it; durations are in seconds."""
    return {
        "ok": all(result.ok for result in results),
        "region": stage.reader_region,
        "writer_region": stage.writer_region,
        "seconds": round(seconds, 3),
        "steps": [_step(r) for r in results if isinstance(r, StepResult)],
        "lag": LAG,
        "modes": [_look(r) for r in results if isinstance(r, LookResult)],
        "comparison": [
            _compared(r, stage.driver) for r in results if isinstance(r, Comparison)
        ],
    }


def _step(result: StepResult) -> dict[str, Any]:
    error = result.answer.error
    return {
        "side": result.step.side,
        "region": result.region,
        "sql": result.step.sql,
        "expected": result.step.expected,
        "ok": result.ok,
        "rows": result.answer.rows,
        "error": None
        if error is None
        else {
            "type": type(error).__name__,
            "sqlstate": result.answer.sqlstate,
            "number": result.answer.number,
            "message": str(error),
        },
        "seconds": round(result.seconds, 6),
        "route": _route(result.route),
    }


def _look(result: LookResult) -> dict[str, Any]:
    return {
        "mode": result.look.mode.value,
        "own_write": result.look.own,
        "expected": result.look.sees,
        "saw": result.saw,
        "ok": result.ok,
        "seconds": round(result.seconds, 6),
        "route": _route(result.route),
    }


def _compared(result: Comparison, driver: str) -> dict[str, Any]:
    return {
        "operation": result.operation,
        driver.lower(): _cost(result.plain),
        "globaldb": {**_cost(result.routed), "most_round_trips": result.most},
        "ok": result.ok,
        "route": _route(result.route),
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {"seconds": round(cost.seconds, 6), "round_trips": cost.round_trips}


def _route(route: Route | None) -> dict[str, Any] | None:
    if route is None:
        return None
    return {
        "role": route.role.value,
        "region": route.region,
        "node": route.node,
        "reason": route.reason,
        "waited": round(route.waited, 6),
    }
