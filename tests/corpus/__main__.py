"""Print what the classifier gets wrong: ``PYTHONPATH=tests python -m corpus``.

``--labels FILE`` keeps what the servers said, or uses it when the file is there, so
that a change of the classifier is measured in seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from corpus.judging import confusion
from corpus.selection import FIXTURES, chosen, every
from corpus.stage import Outcome, Played, stage
from globaldb.core.postgresql.classify import classify


def play() -> list[Played]:
    """Play the chosen scripts on servers of their own."""
    scripts = every()
    with stage() as theatre:
        theatre.prepare([scripts[name] for name in FIXTURES])
        return [each for script in chosen(scripts) for each in theatre.play(script)]


def _labels(path: Path | None) -> list[Played]:
    if path is None:
        return play()
    if not path.exists():
        path.write_text("\n".join(json.dumps(each) for each in play()))
    return [
        Played(script, sql, Outcome(*writer), standby and Outcome(*standby))
        for script, sql, writer, standby in map(
            json.loads, path.read_text().splitlines()
        )
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="corpus", description=__doc__)
    parser.add_argument("--labels", type=Path)
    played = _labels(parser.parse_args().labels)
    started = time.perf_counter()
    found = confusion(played, classify)
    spent = (time.perf_counter() - started) / max(1, len(played)) * 1e6
    print(f"{len(played)} statements, {spent:.0f} us each: {found}")
    for each in (*found.refused, *found.silent):
        print(f"  {each.script}: {' '.join(each.sql.split())[:100]}")


if __name__ == "__main__":
    main()
