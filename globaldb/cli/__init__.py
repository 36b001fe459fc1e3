"""The command line: `globaldb lab`, `globaldb demo` and what diagnoses a cluster.

A command is a module with `add_arguments(parser)` and `run(args) -> int`; it is
imported when it is asked for. Exit codes: 0 well, 1 degraded or failed, 2 wrong usage,
3 unreachable.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from globaldb.errors import ConfigurationError, Error, NoNodeAvailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

OK: Final = 0
DEGRADED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
_INTERRUPTED: Final = 130

#: Each command: its module, and what it is for.
COMMANDS: Final = {
    "classify": ("globaldb.cli.classify", "say what statements are, running none"),
    "demo": ("globaldb.cli.demo", "see local reads and global writes at work"),
    "explain": ("globaldb.cli.explain", "say where statements would run now"),
    "lab": ("globaldb.cli.lab", "run a database over regions on this machine"),
    "verify": ("globaldb.cli.verify", "use a database, and check every promise"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What is no text in an argument goes out as the bytes it came in as.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        args = _parse(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else USAGE
    try:
        return int(args.run(args))
    except Error as failure:
        complain(failure, as_json=getattr(args, "json", False))
        return exit_code(failure)
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        _hush()
        return OK
    except KeyboardInterrupt:
        return _INTERRUPTED


def exit_code(failure: Error) -> int:
    """Return the code that tells a program what kind of *failure* it was."""
    if isinstance(failure, ConfigurationError):
        return USAGE
    if isinstance(failure, NoNodeAvailableError):
        return UNREACHABLE
    return DEGRADED


def complain(failure: Error, *, as_json: bool) -> None:
    """Say on standard error what went wrong; to a program also on standard output."""
    # An error of MySQL's has its number in front of its text.
    said = failure.args[-1] if failure.args else failure
    if as_json:
        print(json.dumps({"error": str(said), "type": type(failure).__name__}))
    print(f"globaldb: {said}", file=sys.stderr)


def _hush() -> None:
    """Send what is still to be written nowhere; else the interpreter would complain."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse *words*, importing only the module of the command among them."""
    parser = argparse.ArgumentParser(
        prog="globaldb", description="Databases over regions."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    chosen = next((word for word in words if not word.startswith("-")), None)
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        if name == chosen:
            found = importlib.import_module(module)
            found.add_arguments(command)
            command.set_defaults(run=found.run)
    return parser.parse_args(words)
