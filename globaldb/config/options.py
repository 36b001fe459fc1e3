"""The one table of all options: names, kinds, defaults, limits and meanings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from globaldb.config import libpq, mysql
from globaldb.config.option import Option, duration
from globaldb.config.values import Kind
from globaldb.core.consistency import Consistency
from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable


#: Where the nodes come from; one of these names a cluster completely.
NODE_SOURCES: Final = ("node", "host", "cluster", "global_cluster", "srv")

OPTIONS: Final[tuple[Option, ...]] = (
    # Where
    Option(
        "node",
        Kind.NODES,
        "A node as REGION@HOST:PORT; region and port may be left out",
    ),
    Option(
        "host",
        Kind.TEXT,
        "The only node: a host, or the folder with a Unix socket; MySQL: the socket",
        aliases=("unix_socket",),
        variables=("PGHOST",),
    ),
    Option(
        "port",
        Kind.COUNT,
        "Port of a host or node that names none; 5432, MySQL 3306",
        minimum=1,
        maximum=65535,
        variables=("PGPORT",),
    ),
    Option("cluster", Kind.TEXT, "A cluster described in globaldb.toml"),
    Option(
        "global_cluster",
        Kind.TEXT,
        "An Aurora global database, as the RDS API knows it",
    ),
    Option("srv", Kind.TEXT, "A name whose SRV records in the DNS list the nodes"),
    Option(
        "host_pattern",
        Kind.PATTERNS,
        "How instances of a region are reached: REGION@HOST[:PORT] with ? for the "
        "identifier",
    ),
    Option(
        "track_changes",
        Kind.SWITCH,
        "Whether nodes that come and go are found while running",
        default=True,
    ),
    Option(
        "discover_replicas",
        Kind.SWITCH,
        "Whether the standbys that PostgreSQL's writer sees become nodes",
        default=False,
    ),
    Option(
        "dns_server",
        Kind.TEXT,
        "Name server to ask instead of the system's: HOST or HOST:PORT",
    ),
    Option(
        "engine",
        Kind.ENGINE,
        "The same as the URL's scheme",
        default="postgresql",
    ),
    # Who
    Option(
        "database",
        Kind.TEXT,
        "Database; the server's choice when left out",
        aliases=("dbname", "db"),
        variables=("PGDATABASE",),
    ),
    Option(
        "user",
        Kind.TEXT,
        "Database user; the operating system's user when left out",
        variables=("PGUSER",),
    ),
    Option(
        "password",
        Kind.SECRET,
        "Password for every node",
        aliases=("passwd",),
        variables=("PGPASSWORD",),
    ),
    Option(
        "passfile",
        Kind.TEXT,
        "File with a password per node, default ~/.pgpass",
        variables=("PGPASSFILE",),
    ),
    Option(
        "iam_auth",
        Kind.SWITCH,
        "Whether the password is a token of AWS IAM, signed for each node",
        default=False,
    ),
    Option(
        "secret",
        Kind.TEXT,
        "ARN or name of the secret in AWS Secrets Manager that holds user and password",
    ),
    Option(
        "secret_region",
        Kind.TEXT,
        "Region whose Secrets Manager is asked; the ARN's, else the application's",
    ),
    Option(
        "rds_ca",
        Kind.TEXT,
        "File with the certificates of Amazon RDS, trusted for hosts of RDS",
    ),
    Option(
        "service", Kind.TEXT, "Section of pg_service.conf", variables=("PGSERVICE",)
    ),
    Option(
        "application_name",
        Kind.TEXT,
        "Name shown in the server's own views",
        aliases=("program_name",),
        variables=("PGAPPNAME",),
    ),
    # What is promised
    Option(
        "region",
        Kind.TEXT,
        "Region of the application; the nearest node's when left out",
        variables=("AWS_REGION", "AWS_DEFAULT_REGION"),
    ),
    Option(
        "consistency",
        Kind.CONSISTENCY,
        "What a read sees; with off, a reader region refuses writes",
        default=Consistency.SESSION,
        may_be_none=True,
    ),
    Option(
        "autocommit",
        Kind.SWITCH,
        "Whether each statement is a transaction of its own",
        default=False,
    ),
    Option(
        "transaction_reads",
        Kind.TEXT,
        "Where transactions that declared nothing read before they write",
        default="verified",
        choices=("verified", "local", "writer"),
    ),
    Option(
        "resolve_autocommit",
        Kind.SWITCH,
        "Whether a write outside a transaction takes two round trips, so that its "
        "outcome can be asked for if the connection breaks (PostgreSQL)",
        default=False,
    ),
    Option(
        "forwarding",
        Kind.TEXT,
        "Who takes a write from a reader region to the writer: globaldb, the reader by "
        "itself, or globaldb within Aurora's limits",
        default="driver",
        choices=("driver", "native", "strict"),
    ),
    duration(
        "timeout", None, "Deadline of a statement", minimum=0.001, may_be_none=True
    ),
    duration(
        "max_staleness",
        None,
        "How far a reader of eventual reads may lag",
        may_be_none=True,
    ),
    duration(
        "safe_lag_window",
        2.0,
        "How long reads go to the writer after a write when no exact fence exists",
    ),
    Option(
        "safe_lag_scope",
        Kind.TEXT,
        "Which reads have to see a write: all of the session, or those of its tables",
        default="session",
        choices=("session", "table"),
    ),
    duration(
        "fence_wait",
        1.0,
        "What waiting for a reader may cost beyond the writer's round trip",
    ),
    # Other processes
    Option("token_secret", Kind.SECRET, "Key that signs tokens for other processes"),
    Option(
        "token_secret_previous",
        Kind.SECRET,
        "Key whose signatures are accepted too, while token_secret is being changed",
    ),
    duration(
        "token_max_age",
        86_400.0,
        "Age at which a token has expired",
        minimum=1.0,
        maximum=31_536_000.0,
        may_be_none=True,
    ),
    Option(
        "invalid_tokens",
        Kind.TEXT,
        "Whether a token that cannot be used is an error, or as if there were none",
        default="raise",
        choices=("raise", "ignore"),
    ),
    Option(
        "session_store",
        Kind.SECRET,
        "Redis or Valkey that keeps the position of each session key: "
        "redis://, rediss:// or unix://",
    ),
    duration(
        "session_ttl",
        60.0,
        "How long it is kept there",
        minimum=1.0,
    ),
    # Which node
    duration(
        "latency_window",
        0.015,
        "How much slower than the fastest a reader may be and still share the load",
    ),
    Option(
        "latency_factor",
        Kind.NUMBER,
        "The same as a multiple of the fastest; the larger of both counts",
        default=2.0,
        minimum=1.0,
        maximum=100.0,
    ),
    duration(
        "probe_interval",
        1.0,
        "Time between two looks at each node",
        minimum=0.1,
        maximum=3600.0,
    ),
    duration(
        "failover_wait",
        30.0,
        "How long what was not sent waits for a writer while none is known",
    ),
    # Connections
    duration(
        "connect_timeout",
        5.0,
        "Time to open one connection",
        minimum=0.1,
        variables=("PGCONNECT_TIMEOUT",),
    ),
    Option(
        "pool_min_size",
        Kind.COUNT,
        "Connections kept open per node",
        default=0,
        minimum=0,
        maximum=10_000,
    ),
    Option(
        "pool_max_size",
        Kind.COUNT,
        "Most connections per node",
        default=10,
        minimum=1,
        maximum=10_000,
    ),
    duration("pool_wait", 5.0, "Time to wait for a free connection"),
    duration(
        "pool_max_lifetime",
        3600.0,
        "Age at which a connection is replaced",
        minimum=1.0,
        maximum=31_536_000.0,
    ),
    duration(
        "pool_max_idle",
        600.0,
        "Idle time after which a connection is closed",
        minimum=1.0,
        maximum=31_536_000.0,
    ),
    # Statements
    Option(
        "prepare_threshold",
        Kind.COUNT,
        "Executions after which a statement is prepared; none never prepares",
        default=5,
        minimum=0,
        maximum=1_000_000,
        may_be_none=True,
    ),
    Option(
        "read_functions",
        Kind.NAMES,
        "Functions of the database that change nothing, whatever its catalog says",
        default=(),
    ),
    Option(
        "write_functions",
        Kind.NAMES,
        "Functions that need the writer, whatever the catalog says",
        default=(),
    ),
    Option(
        "hints",
        Kind.SWITCH,
        "Whether a leading comment such as /* globaldb: route=writer */ is obeyed",
        default=False,
    ),
    Option(
        "query_cache_size",
        Kind.COUNT,
        "Classified statements remembered per process",
        default=4096,
        minimum=0,
        maximum=10_000_000,
    ),
    Option(
        "log_sql",
        Kind.SWITCH,
        "Whether statement texts (never parameters) are logged at DEBUG",
        default=False,
    ),
)

BY_NAME: Final[dict[str, Option]] = (
    {name: option for option in OPTIONS for name in (option.name, *option.aliases)}
    | {
        # Passed to libpq as they are; libpq judges the values.
        name: Option(
            name,
            Kind.TEXT,
            "libpq's own",
            variables=(variable,) if variable else (),
        )
        for name, variable in libpq.PARAMETERS.items()
    }
    | {
        name: Option(
            name,
            kind,
            "PyMySQL's own",
            choices=mysql.MODES if name == "ssl_mode" else (),
            minimum=0.0 if kind in (Kind.COUNT, Kind.DURATION) else None,
        )
        for name, kind in mysql.PARAMETERS.items()
    }
)

#: Options that are refused, and why.
REFUSED: Final = libpq.REFUSED | mysql.REFUSED

#: Driver options that are never shown.
DRIVER_SECRETS: Final = libpq.SECRETS | mysql.SECRETS

#: Options whose value is never shown.
SECRET_NAMES: Final = DRIVER_SECRETS | {
    o.name for o in OPTIONS if o.kind is Kind.SECRET
}


def find_option(name: str, place: str) -> Option:
    """Return the option called *name*; *place* says where it stood.

    Raises `ConfigurationError` for a name that is refused or unknown, and then names
    the nearest known one.
    """
    option = BY_NAME.get(name)
    if option is not None:
        return option
    if name in REFUSED:
        raise ConfigurationError(f"{name} {place} is refused: {REFUSED[name]}")
    raise ConfigurationError(
        f"unknown option {shown_name(name)} {place}{suggestion(name.lower(), BY_NAME)}"
    )


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest of *known*, or nothing."""
    from difflib import get_close_matches  # here, because only errors need it

    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown_name(name: str) -> str:
    """Quote *name* if it looks like a name; what does not may be half a password."""
    return repr(name) if name.isidentifier() and len(name) <= 40 else "(not a name)"
