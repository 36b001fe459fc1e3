"""No secret is shown: not by what is printed, raised, logged or started.

Each way to give a password, on both engines, through failures of every kind. What is
searched: what objects print, logs at DEBUG with what boto3 and the drivers add to them,
errors with the variables of every frame that is ours or below, tables about the
cluster, commands, and the arguments of every process.
"""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

import psycopg
import pymysql
import pytest
import trustme
from aws_server import NOWHERE, Aws, aws_server
from promises import HOME, WRITER
from secured import Asker, asking

import globaldb
from globaldb import cli
from globaldb.config.secret import DriverOptions, Secret
from globaldb.lab import Lab

#: What is searched for; the last two are keys for other things.
PASSWORD, STORE, KEY = "zebra-password", "zebra-store", "zebra-key"
SECRETS = ("zebra", "X-Amz-Signature", "X-Amz-Security-Token=")
ENGINES = {"postgresql": "postgresql", "mariadb": "mysql"}
WAYS = ("URL", "keyword", "GLOBALDB_", "toml", "secret", "PG", "passfile", "service")
VARIABLES = {"GLOBALDB_": "GLOBALDB_PASSWORD", "PG": "PGPASSWORD"}
FILES = {
    "toml": ("globaldb.toml", f'[defaults]\npassword = "{PASSWORD}"\n'),
    "passfile": (".pgpass", f"*:*:*:*:{PASSWORD}\n"),
    "service": (".pg_service.conf", f"[zoo]\npassword={PASSWORD}\n"),
}
TABLES = ("CATALOG", "LEARNED", "NODES", "POOLS", "SESSION", "ROUTE", "TRANSACTIONS")

Given = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    with aws_server() as found:
        found.keep("zoo", {"username": "keeper", "password": PASSWORD})
        yield found


@pytest.fixture(autouse=True)
def aws(server: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module", params=list(ENGINES))
def keeper(
    request: pytest.FixtureRequest, shared_labs: Callable[[str], Lab]
) -> Iterator[Lab]:
    """A lab of each engine with a role whose password is searched for."""
    lab = shared_labs(request.param)
    lab.restore()
    administer(
        lab,
        {
            "postgresql": [f"CREATE ROLE keeper LOGIN PASSWORD '{PASSWORD}'"],
            "mysql": [
                f"CREATE USER keeper@'%' IDENTIFIED BY '{PASSWORD}'",
                "GRANT SELECT ON app.* TO keeper@'%'",
            ],
        },
    )
    yield lab
    end = {"postgresql": ["DROP ROLE keeper"], "mysql": ["DROP USER keeper@'%'"]}
    administer(lab, end)


def scheme(lab: Lab) -> str:
    return ENGINES[lab.spec.engine]


def administer(lab: Lab, statements: dict[str, list[str]]) -> None:
    spot = lab.options(HOME, WRITER, superuser=True)
    driver: Any = psycopg if scheme(lab) == "postgresql" else pymysql
    with driver.connect(**spot) as link, link.cursor() as cursor:
        for statement in statements[scheme(lab)]:
            cursor.execute(statement)
        link.commit()


def given(lab: Lab, way: str, folder: Path, patch: pytest.MonkeyPatch) -> Given:
    """Give the password in one *way*; return URL and keywords for the rest."""
    engine = scheme(lab)
    patch.chdir(folder)
    patch.setenv("HOME", str(folder))
    if way in FILES:
        name, text = FILES[way]
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    if way in VARIABLES:
        patch.setenv(VARIABLES[way], PASSWORD)
    url, named = f"{engine}:///", {"user": "keeper", "database": "app"}
    said: dict[str, Given] = {
        "URL": (f"{engine}://keeper:{PASSWORD}@/app", {}),
        "keyword": (url, {**named, "password": PASSWORD}),
        "service": (url, {**named, "service": "zoo"}),
        "secret": (url, {"secret": "zoo", "database": "app"}),
    }
    return said.get(way, (url, named))


def ways(lab: Lab) -> Iterable[str]:
    """The ways there are for the engine: libpq has ways of its own."""
    return WAYS if scheme(lab) == "postgresql" else WAYS[:5]


# What is searched.


class Heard(logging.Handler):
    """Everything that is logged, with what was given and what was raised."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.name} {record.getMessage()} {record.args!r}")
        if record.exc_info and record.exc_info[1]:
            self.texts += displayed(record.exc_info[1])


@pytest.fixture
def heard() -> Iterator[list[str]]:
    handler, root = Heard(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.texts
    root.setLevel(before)
    root.removeHandler(handler)


def displayed(error: BaseException) -> list[str]:
    """What may be shown of *error*, and of the frames that it passed but for ours."""
    found: list[str] = [str(error), repr(error), repr(error.args)]
    found += ["".join(traceback.format_exception(error))]
    seen: set[int] = set()
    errors: list[BaseException | None] = [error]
    while errors:
        one = errors.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        errors += [one.__cause__, one.__context__]
        found += printed([vars(one)])
        found += variables(one.__traceback__)
    return found


def variables(trace: TracebackType | None) -> list[str]:
    """What the variables of the frames print, those of tests aside."""
    found = []
    while trace is not None:
        frame = trace.tb_frame
        if "/tests/" not in frame.f_code.co_filename:
            place = f"{frame.f_code.co_filename}:{trace.tb_lineno}"
            found += [
                f"{place} {name} = {print_of(value)}"
                for name, value in frame.f_locals.items()
            ]
        trace = trace.tb_next
    return found


def print_of(value: object) -> str:
    try:
        return repr(value)
    except AttributeError:
        return "not complete"


def printed(roots: list[Any]) -> list[str]:
    """What every object that can be reached from *roots* prints, by ours alone."""
    found, todo, seen = [], list(roots), set[int]()
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type | str | bytes | int | float):
            continue
        seen.add(id(one))
        found.append(f"{type(one).__module__}.{type(one).__name__}: {one!r} {one!s}")
        if isinstance(one, Secret | DriverOptions):
            continue
        if isinstance(one, dict):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            todo += one
        elif type(one).__module__.startswith("globaldb"):
            todo += vars(one).values() if hasattr(one, "__dict__") else []
            slots = [n for k in type(one).__mro__ for n in getattr(k, "__slots__", ())]
            todo += [getattr(one, name) for name in slots if hasattr(one, name)]
    return found


def shows_nothing(texts: Iterable[str]) -> None:
    shown = [text[:300] for text in texts if any(word in text for word in SECRETS)]
    assert shown == []


# What is done.


def failure(work: Callable[[], object]) -> BaseException:
    """Return what *work* raises, without the frames of this module."""
    with pytest.raises((globaldb.Error, psycopg.Error, pymysql.Error)) as raised:
        work()
    return raised.value


def unconnected(url: str, options: dict[str, Any]) -> list[str]:
    """What is shown where there is no way in, by a session and by a pool."""
    try:
        found = globaldb.Cluster(url, **options)
    except globaldb.ConfigurationError as error:
        return displayed(error)
    with found:
        [node] = found.runtime.nodes.values()
        return [
            *displayed(failure(found.connect)),
            *displayed(failure(lambda: node.open(monotonic() + 5))),
            *printed([found]),
        ]


def used(found: globaldb.Cluster) -> list[str]:
    """What a connection in use prints, tells of itself, and says of its failures."""
    texts = printed([found])
    with closing(found.connect()) as connection, connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SHOW GLOBALDB {table}")
            texts.append(repr(cursor.fetchall()))
        cursor.execute("SELECT 1")
        cursor.fetchall()
        texts += printed([connection, connection.last_route, connection.session])
        texts.append(repr(connection.explain_route("SELECT 1")))
        sleep = "pg_sleep" if found.config.engine == "postgresql" else "sleep"
        with connection.using(timeout=0.05):
            late = failure(lambda: cursor.execute(f"SELECT {sleep}(5)"))
        connection.rollback()
        texts += displayed(late)
        for wrong in ("SELECT broken", "SELECT 1 FROM nowhere", "BROKEN"):
            texts += displayed(failure(lambda sql=wrong: cursor.execute(sql)))
            connection.rollback()
        texts += displayed(failure(lambda: connection.observe("gdb1.forged")))
        [node] = found.runtime.nodes.values()
        # As a server that is killed: what is open ends, and what is new is refused.
        links = [node.open(monotonic() + 5) for _ in range(2)]
        texts += printed(links)
        for link in links:
            link.give_up()
            found.runtime.driver.close(link)
    return texts


def test_no_password_is_shown(
    keeper: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[str]
) -> None:
    spot = keeper.options(HOME, WRITER)
    node = {"node": f"{HOME}@{spot['host']}:{spot['port']}"}
    more = {
        "autocommit": True,
        "connect_timeout": 10,
        "probe_interval": 60,
        "token_secret": KEY,
        "session_store": f"redis://:{STORE}@127.0.0.1:1/0",
    }
    texts: list[str] = heard
    for number, way in enumerate(ways(keeper)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with monkeypatch.context() as patch:
            url, options = given(keeper, way, folder, patch)
            options |= more
            with globaldb.Cluster(url, **node, **options) as found:
                texts += used(found)
            for wrong in (
                {**node, "user": "nobody", "secret": None},
                {"node": "us-west-2@127.0.0.1:1"},
                {**node, "pool_max_size": "many"},
                {**node, "consistensy": "session"},
                {**node, "password": PASSWORD, "iam_auth": True},
                {"node": f"keeper:{PASSWORD}@{spot['host']}"},
                {
                    **node,
                    TLS[scheme(keeper)]: "/nowhere/ca.pem",
                    **MODE[scheme(keeper)],
                },
            ):
                texts += unconnected(url, {**options, **wrong})
    shows_nothing(texts)


TLS = {"postgresql": "sslrootcert", "mysql": "ssl_ca"}
MODE = {
    "postgresql": {"sslmode": "verify-full", "sslpassword": "zebra-tls"},
    "mysql": {"ssl_mode": "verify_identity", "ssl_key_password": "zebra-tls"},
}


@pytest.mark.parametrize("module", ["globaldb", "globaldb.postgresql"])
@pytest.mark.parametrize(
    "options",
    [
        {"node": "us-west-2@127.0.0.1:1", "connect_timeout": 1},
        {"consistensy": "session"},
        {"port": "zebra-port"},
        {"srv": "zoo.example", "dns_server": "127.0.0.1:1", "connect_timeout": 1},
        {"global_cluster": "zoo", "connect_timeout": 1},
        {"host_pattern": f"keeper:{PASSWORD}@?.zoo"},
        {"host_pattern": f"zoo@keeper:{PASSWORD}@?.zoo"},
        {"secret": "zoo"},
        {"iam_auth": True},
        {"rds_ca": "/nowhere/ca.pem"},
    ],
)
def test_no_way_in_shows_what_it_was_given(
    module: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = pytest.importorskip(module).connect
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("AWS_ENDPOINT_URL_RDS", NOWHERE)
    keywords = {"password": PASSWORD, **options}
    texts = displayed(failure(lambda: connect("postgresql://keeper@/app", **keywords)))
    url = f"postgresql://keeper:{PASSWORD}@/app"
    texts += displayed(failure(lambda: connect(url, **options)))
    shows_nothing(text for text in texts if "zebra-port" not in text)


@pytest.mark.parametrize("url", [f"postgresql://a:{PASSWORD}@h:x/", f"{PASSWORD}"])
def test_a_broken_url_is_not_shown(url: str) -> None:
    shows_nothing(displayed(failure(lambda: globaldb.connect(url))))


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
@pytest.mark.parametrize("answers", [True, False])
def test_no_token_of_iam_is_shown(
    engine: str, answers: bool, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "zebra-key-of-aws")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "zebra-session-of-aws")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1" if answers else "db.example")
    with authority.cert_pem.tempfile() as ca, asking(engine, issued) as asker:
        found = with_tokens(asker, engine, ca)
        with found:
            texts = displayed(failure(found.connect)) + printed([found])
            [node] = found.runtime.nodes.values()
            texts += displayed(failure(lambda: node.open(monotonic() + 5)))
        assert bool(asker.told) is answers
        shows_nothing([*heard, *texts])
        signatures = [text.rpartition("Signature=")[2] for text in asker.told]
    assert not [t for t in (*heard, *texts) if any(s in t for s in signatures)]


def with_tokens(asker: Asker, engine: str, ca: str) -> globaldb.Cluster:
    option = {"postgresql": "sslrootcert", "mysql": "ssl_ca"}[engine]
    url = f"{engine}://signer@/app?node=ap-south-1@127.0.0.1:{asker.port}"
    return globaldb.Cluster(url, iam_auth=True, connect_timeout=2, **{option: ca})


@pytest.mark.parametrize("port", [None, 1])
def test_no_command_shows_the_password_in_its_url(
    keeper: Lab, port: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    spot = keeper.options(HOME, WRITER)
    place = f"{HOME}@{spot['host']}:{port or spot['port']}"
    url = f"{scheme(keeper)}://keeper:{PASSWORD}@/app?node={place}&connect_timeout=1"
    for words in (["explain", "--url", url, "SELECT 1"], ["classify", "--url", url]):
        for flags in ([], ["--json"]):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"SELECT 1")))
                run(words + flags)
    out, error = capsys.readouterr()
    assert out + error
    shows_nothing([out, error])


def run(words: list[str]) -> None:
    with suppress(SystemExit):
        cli.main(words)


def test_no_process_of_a_lab_has_a_password_among_its_arguments(keeper: Lab) -> None:
    words = {keeper.options(HOME, WRITER, superuser=s)["password"] for s in (0, 1)}
    texts = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts.append(file.read_bytes().decode(errors="replace"))
        except OSError:
            continue  # it has ended meanwhile
    assert len(texts) > 3
    assert [text for text in texts if any(word in text for word in words)] == []
