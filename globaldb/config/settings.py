"""The frozen outcome of configuring: every option with its value and its source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from globaldb.config import mysql
from globaldb.config.authentication import uses_rds_certificate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from globaldb.config.address import NodeAddress
    from globaldb.config.passfile import PassFile
    from globaldb.config.secret import DriverOptions, Secret
    from globaldb.core.consistency import Consistency
    from globaldb.core.endpoints import HostPattern

#: Driver options that belong to TLS, and are the same for every node but for sslmode.
TLS_OPTIONS = (
    "sslcert",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslkeylogfile",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "sslsni",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything about one cluster; made by `configure`, which holds the defaults.

    Equal by value and hashable: equal configurations share one cluster. Where a value
    came from does not count for that. Durations are seconds.
    """

    engine: Literal["postgresql", "mysql"]
    #: Those named; none where a source of nodes is.
    nodes: tuple[NodeAddress, ...]
    #: The port of a node that is found without one.
    default_port: int
    global_cluster: str | None
    #: The full name, ``_postgresql._tcp.`` in front.
    srv: str | None
    #: At most one a region.
    host_pattern: tuple[HostPattern, ...]
    track_changes: bool
    discover_replicas: bool
    #: Address and port.
    dns_server: tuple[str, int] | None
    database: str | None
    user: str | None
    password: Secret | None
    #: The password is a token of AWS IAM.
    iam_auth: bool
    #: What AWS Secrets Manager keeps user and password under: its ARN or name.
    secret: str | None
    secret_region: str | None
    #: Path of the certificates that sign those of RDS hosts.
    rds_ca: str | None
    application_name: str | None
    region: str | None
    consistency: Consistency | None
    autocommit: bool
    transaction_reads: str
    resolve_autocommit: bool
    forwarding: str
    timeout: float | None
    max_staleness: float | None
    safe_lag_window: float
    safe_lag_scope: str
    fence_wait: float
    token_secret: Secret | None
    token_secret_previous: Secret | None
    token_max_age: float | None
    invalid_tokens: str
    session_store: Secret | None
    session_ttl: float
    latency_window: float
    latency_factor: float
    probe_interval: float
    failover_wait: float
    connect_timeout: float
    pool_min_size: int
    pool_max_size: int
    pool_wait: float
    pool_max_lifetime: float
    pool_max_idle: float
    prepare_threshold: int | None
    read_functions: tuple[str, ...]
    write_functions: tuple[str, ...]
    hints: bool
    query_cache_size: int
    log_sql: bool
    #: What the driver gets as it is. Per node: ``{**driver_options, **tls_for(node)}``.
    driver_options: DriverOptions
    passfile: PassFile = field(repr=False)
    #: Remarks for diagnostics: nothing is wrong, but it may surprise.
    notes: tuple[str, ...] = field(compare=False)
    sources: Mapping[str, str] = field(compare=False, repr=False)

    @property
    def region_source(self) -> str | None:
        """What named the region, None when the nearest node will."""
        return None if self.region is None else self.source("region")

    def source(self, option: str) -> str:
        """Return where the value of *option* came from, ``default`` if from nowhere."""
        return self.sources.get(option, "default")

    def password_for(self, node: NodeAddress) -> Secret | None:
        """Return the password for *node*: the one for all, else the password file's.

        What AWS keeps or signs is not here: it is another from time to time.
        """
        if self.password is not None or self.user is None:
            return self.password
        return self.passfile.password(node, self.database or self.user, self.user)

    def tls_for(self, node: NodeAddress) -> dict[str, Any]:
        """Return libpq's TLS parameters for *node*, or what MySQL's TLS is made of.

        Off this machine the server must prove its name (``verify-full`` against the
        system's certificates) unless sslmode says otherwise; for MySQL ssl_mode
        (``verify_identity``). On it TLS is off unless asked for: a refused attempt
        costs a round trip. A token of IAM never goes without TLS.
        """
        stays_here = node.stays_here and not self.iam_auth
        trusted = self.rds_ca if uses_rds_certificate(node.host) else None
        if self.engine == "mysql":
            own = {} if trusted is None else {"ssl_ca": trusted}
            return mysql.tls({**self.driver_options, **own}, stays_here=stays_here)
        given = {k: v for k, v in self.driver_options.items() if k in TLS_OPTIONS}
        if stays_here:
            return {"sslmode": "disable"} | given
        if trusted is not None:
            given["sslrootcert"] = trusted
        mode = given.setdefault("sslmode", "verify-full")
        if mode == "verify-full":
            given.setdefault("sslrootcert", "system")
        return given
