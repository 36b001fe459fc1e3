"""The supervisor process: it owns a lab's servers and its proxy, and obeys requests.

It ends, and the lab with it, when it is told to, when it is signalled, or when the
process that wanted the lab is gone. One thread does everything, one request at a time:
the servers die with the thread that started them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import select
import signal
import socket
import sys
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from globaldb.errors import Error
from globaldb.lab import state
from globaldb.lab.addresses import AddressBook, choose_addresses
from globaldb.lab.aurora import Heartbeat
from globaldb.lab.child import Identity, choose_identity
from globaldb.lab.cloud import Cloud
from globaldb.lab.engines import make_cluster
from globaldb.lab.links import Links
from globaldb.lab.names import Names
from globaldb.lab.operations import Operations
from globaldb.lab.roads import Roads, address_book
from globaldb.lab.space import as_pair
from globaldb.lab.spec import NETNS, LabSpec
from globaldb.lab.ways import Ways
from globaldb.lab.wire import wrap_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from globaldb.lab.cluster import Cluster, Report
    from globaldb.lab.space import Space

#: Seconds that a client may take to say what it wants.
_REQUEST_LIMIT: Final = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Start a lab, say so on standard output, and serve it to its end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--owner", type=int)
    options = parser.parse_args(arguments)
    if options.owner is None and os.fork():
        os._exit(0)
    told = _end_on_signals()
    spec = LabSpec.from_json(json.loads(sys.stdin.readline()))
    try:
        with contextlib.ExitStack() as stack:
            owner = _death_of(options.owner)
            operations, control = _start(stack, spec, options.name)
            _say({"result": None})
            _leave_output()
            _serve(operations, control, [told] if owner is None else [told, owner])
    except Exception as failure:
        with contextlib.suppress(OSError):
            _say(wrap_error(failure))
        if not isinstance(failure, (Error, OSError)):
            raise
        return 1
    return 0


def _start(
    stack: contextlib.ExitStack, spec: LabSpec, name: str
) -> tuple[Operations, socket.socket]:
    """Bring everything up; *stack* takes it down again, whatever happens."""
    home = state.labs_home()
    identity = choose_identity()
    if identity is Identity.NOBODY:
        home.chmod(0o711)
    folder, lock = state.claim_folder(
        home, name, mode=0o711 if identity is Identity.NOBODY else 0o700
    )
    stack.callback(_remove, folder, lock)
    book, links = _join_regions(spec, folder)
    stack.callback(links.stop)
    links.wait_ready()
    spaces = {region: links.space(region) for region in spec.regions}
    names = Names(name, spec, book, folder / "names.log", spaces)
    stack.callback(names.stop)
    cloud = Cloud(name, spec, book, folder / "aws.log")
    stack.callback(cloud.stop)
    ways = Ways(links, names, cloud)
    cluster = make_cluster(spec, book, folder=folder, identity=identity, routes=ways)
    stack.callback(cluster.stop)
    for server in cluster.servers.values():
        server.space = links.space(server.name)
    cluster.start(lambda text: _say({"progress": text}))
    links.lay_out()
    if cluster.surface is not None:
        stack.callback(Heartbeat(cluster, cluster.surface).stop)
    names.wait_ready()
    for region, address in zip(spec.regions, book.names, strict=True):
        if spaces[region] is not None:
            resolver = f"nameserver {address[0]}\n"
            state.as_private_text(folder / f"{state.RESOLVER}{region}", resolver)
    facts = _facts(spec, book, cluster, name, spaces)
    state.as_private_text(folder / state.FACTS, facts)
    control = stack.enter_context(socket.socket(socket.AF_UNIX))
    control.bind(str(folder / state.CONTROL))
    control.listen(16)
    return Operations(spec, cluster, ways), control


def _join_regions(spec: LabSpec, folder: Path) -> tuple[AddressBook, Links]:
    """Start what joins clients to nodes, and nodes to the writer."""
    if spec.net == NETNS:
        return address_book(spec), Roads(spec, folder / "router.log")
    book = choose_addresses(
        len(spec.regions),
        len(spec.nodes),
        single_address=spec.single_address,
        chance=random.Random(),
    )
    return book, Links(spec, book, folder / "proxy.log")


def _facts(
    spec: LabSpec,
    book: AddressBook,
    cluster: Cluster[Any],
    name: str,
    spaces: Mapping[str, Space | None],
) -> str:
    """Return what a client needs to know, as JSON."""
    clients = book.clients
    if spec.direct:
        clients = tuple(book.servers for _ in spec.regions)
    return json.dumps(
        {
            "name": name,
            "spec": spec.to_json(),
            "servers": book.servers,
            "clients": dict(zip(spec.regions, clients, strict=True)),
            "names": dict(zip(spec.regions, book.names, strict=True)),
            "spaces": {name: as_pair(space) for name, space in spaces.items()},
            "passwords": {
                "app": cluster.passwords.app,
                "superuser": cluster.passwords.superuser,
            },
            "supervisor": os.getpid(),
        }
    )


def _serve(operations: Operations, control: socket.socket, ends: list[int]) -> None:
    """Answer requests until one says "down", or one of *ends* is readable."""
    watched: list[Any] = [control, *ends]
    down = False
    while not down:
        ready, _, _ = select.select(watched, [], [])
        if control not in ready or len(ready) > 1:
            return
        client, _ = control.accept()
        with client, contextlib.suppress(OSError, ValueError):
            down = _answer(operations, client)


def _answer(operations: Operations, client: socket.socket) -> bool:
    """Carry out one request; say whether it was the last one."""
    client.settimeout(_REQUEST_LIMIT)
    with client.makefile("rwb") as lines:
        asked: Mapping[str, Any] = json.loads(lines.readline())

        def send(message: Mapping[str, Any]) -> None:
            lines.write(json.dumps(message).encode() + b"\n")
            lines.flush()

        def report(text: str) -> None:
            with contextlib.suppress(OSError):
                send({"progress": text})

        if asked.get("operation") == "down":
            send({"result": None})
            return True
        send(_outcome(operations, asked, report))
    return False


def _outcome(
    operations: Operations, asked: Mapping[str, Any], report: Report
) -> dict[str, Any]:
    try:
        result = operations.carry_out(asked["operation"], asked["arguments"], report)
    except Exception as failure:  # noqa: BLE001 - the client is told, the lab lives on
        return wrap_error(failure)
    return {"result": result}


def _remove(folder: Path, lock: IO[bytes]) -> None:
    """Delete the lab's folder, then give its name free."""
    state.end_processes_in(folder)
    state.remove(folder)
    lock.close()


def _death_of(owner: int | None) -> int | None:
    """Return a descriptor that becomes readable when *owner* ends."""
    if owner is None:
        return None
    descriptor = os.pidfd_open(owner)
    if os.getppid() != owner:
        sys.exit(0)
    return descriptor


def _end_on_signals() -> int:
    """Exit on signals; return a descriptor that becomes readable with the first.

    What a handler raises is lost where it runs while a file is closed by its finalizer.
    """

    def end(number: int, _frame: object) -> NoReturn:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for each in signals:
        signal.signal(each, end)
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    return told


def _say(message: Mapping[str, Any]) -> None:
    """Tell whoever started us."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _leave_output() -> None:
    """Give the pipe back: whoever waits for its end need not wait for ours."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
