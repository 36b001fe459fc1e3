"""What a command knows when it classifies: an engine's rules, and one database's word.

Without a URL only the text counts. With one, the database is asked once for what its
functions, views and tables do, and the user's lists of functions hold.
"""

from __future__ import annotations

import re
from contextlib import closing
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.config import configure
from globaldb.core.knowledge import Knowledge, Language
from globaldb.errors import ConfigurationError, NoNodeAvailableError, OperationalError
from globaldb.runtime.entrance import Entrance

if TYPE_CHECKING:
    from globaldb.config import Config, NodeAddress
    from globaldb.core.catalog import Catalog
    from globaldb.core.mysql.dialect import Dialect

#: The engines by name; the last two share their rules but for what `Dialect` says.
ENGINES: Final = ("postgresql", "mysql", "mariadb")

_SCHEMES: Final = {"postgres": "postgresql"}
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def knowledge(engine: str | None, url: str | None) -> Knowledge:
    """Return what is known of statements of *engine*, and of the database at *url*.

    *engine* is PostgreSQL unless *url* says otherwise. Raises `ConfigurationError`
    when both are given and differ, `NoNodeAvailableError` when no node answers.
    """
    if url is None:
        return Knowledge(_language(engine or "postgresql"))
    named = _engine_of(url)
    if engine is not None and _family(engine) != _family(named):
        raise ConfigurationError(f"--engine {engine} with a URL of {named}")
    config = configure(url)
    language, catalog = _ask(config, engine or named)
    known = Knowledge(
        language,
        read_functions=config.read_functions,
        write_functions=config.write_functions,
    )
    known.update(catalog)
    return known


def catalog_of(config: Config) -> Catalog:
    """Return what the database of *config* says of its own objects.

    Raises `NoNodeAvailableError` when no node answers.
    """
    return _ask(config, config.engine)[1]


def _engine_of(url: str) -> str:
    scheme = url.partition(":")[0].lower()
    return _SCHEMES.get(scheme, scheme)


def _family(engine: str) -> str:
    return "mysql" if engine == "mariadb" else engine


def _language(engine: str, dialect: Dialect | None = None) -> Language:
    if engine == "postgresql":
        from globaldb.core.lexer.postgresql import tokenize
        from globaldb.core.postgresql.classify import classify

        return Language(classify, tokenize)
    from globaldb.core.lexer.mysql import tokenize as mysql_tokenize
    from globaldb.core.mysql.classify import classify as mysql_classify
    from globaldb.core.mysql.dialect import Dialect

    read_as = dialect or Dialect(mariadb=engine == "mariadb")
    return Language(partial(mysql_classify, dialect=read_as), mysql_tokenize)


def _ask(config: Config, engine: str) -> tuple[Language, Catalog]:
    """Ask the first node that answers; each has the whole catalog."""
    ask = _ask_postgresql if engine == "postgresql" else _ask_mysql
    problems = []
    for node in config.nodes:
        try:
            return ask(config, node)
        except ImportError as missing:
            raise ConfigurationError(
                f"{missing.name} is not installed: "
                f"pip install 'globaldb[{_family(engine)}]'"
            ) from missing
        except OperationalError as problem:
            problems.append(f"{node}: {' '.join(str(problem).split())}")
    raise NoNodeAvailableError(
        f"no node gave its catalog ({'; '.join(problems)}). "
        "Without --url statements are classified by their text alone"
    )


def _ask_postgresql(config: Config, node: NodeAddress) -> tuple[Language, Catalog]:
    import psycopg

    from globaldb.drivers.psycopg.catalog import read_catalog
    from globaldb.drivers.psycopg.driver import PsycopgDriver

    deadline = monotonic() + config.connect_timeout
    entrance = Entrance(config, PsycopgDriver())
    try:
        with closing(entrance.open(node, deadline)) as connection:
            return _language("postgresql"), read_catalog(connection)
    except (psycopg.OperationalError, OSError) as problem:
        raise OperationalError(str(problem)) from problem


def _ask_mysql(config: Config, node: NodeAddress) -> tuple[Language, Catalog]:
    import pymysql

    from globaldb.drivers.pymysql.catalog import read_catalog
    from globaldb.drivers.pymysql.driver import PymysqlDriver

    deadline = monotonic() + config.connect_timeout
    entrance = Entrance(config, PymysqlDriver(config))
    try:
        with closing(entrance.open(node, deadline)) as connection:
            server: str = connection.get_server_info()
            language = _language("mysql", _dialect(server))
            return language, read_catalog(connection)
    except (pymysql.err.OperationalError, OSError) as problem:
        raise OperationalError(str(problem)) from problem


def _dialect(server: str) -> Dialect:
    """Return how the server that calls itself *server* reads.

    MariaDB puts a version of MySQL in front of its own where old clients look.
    """
    from globaldb.core.mysql.dialect import Dialect

    mariadb = "mariadb" in server.lower()
    found = _VERSION.search(server.removeprefix("5.5.5-"))
    major, minor, patch = map(int, found.groups()) if found else (0, 0, 0)
    return Dialect(mariadb=mariadb, version=(major * 100 + minor) * 100 + patch or None)
