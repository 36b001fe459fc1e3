"""Run a program where the clients of a region are: in their network namespace.

`python -m globaldb.lab.enter USER NET RESOLV PROGRAM ...` becomes PROGRAM there. Its
resolver asks the region's own name server, as the file RESOLV says.
"""

from __future__ import annotations

import os
import sys

from globaldb.lab.space import Space, cover

#: What shells return for a program that there is not.
NOT_FOUND = 127


def main(words: list[str]) -> int:
    """Go in and become the program."""
    user, net, resolv, *program = words
    Space(user, net).enter()
    cover("/etc/resolv.conf", resolv)
    try:
        os.execvp(program[0], program)  # noqa: S606 - the words came as words
    except OSError as failure:
        print(f"{program[0]}: {failure.strerror}", file=sys.stderr)  # noqa: T201 - there is no logger yet
        return NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
