"""The connection parameters of libpq that pass through to the driver."""

from __future__ import annotations

from typing import Final

#: Parameter to environment variable (None: libpq has none), as of libpq 18. What
#: globaldb has an option of its own for (host, user, ...) is not listed here.
PARAMETERS: Final[dict[str, str | None]] = {
    "channel_binding": "PGCHANNELBINDING",
    "client_encoding": "PGCLIENTENCODING",
    "fallback_application_name": None,
    "gssdelegation": "PGGSSDELEGATION",
    "gssencmode": "PGGSSENCMODE",
    "gsslib": "PGGSSLIB",
    "keepalives": None,
    "keepalives_count": None,
    "keepalives_idle": None,
    "keepalives_interval": None,
    "krbsrvname": "PGKRBSRVNAME",
    "max_protocol_version": "PGMAXPROTOCOLVERSION",
    "min_protocol_version": "PGMINPROTOCOLVERSION",
    "oauth_client_id": None,
    "oauth_client_secret": None,
    "oauth_issuer": None,
    "oauth_scope": None,
    "options": "PGOPTIONS",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "scram_client_key": None,
    "scram_server_key": None,
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "sslcert": "PGSSLCERT",
    "sslcertmode": "PGSSLCERTMODE",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslkey": "PGSSLKEY",
    "sslkeylogfile": None,
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslpassword": None,
    "sslrootcert": "PGSSLROOTCERT",
    "sslsni": "PGSSLSNI",
    "tcp_user_timeout": None,
}

#: Parameters whose value is never shown.
SECRETS: Final = frozenset(
    {"oauth_client_secret", "scram_client_key", "scram_server_key", "sslpassword"}
)

#: Parameters that would take a decision out of globaldb's hands, and why not.
REFUSED: Final[dict[str, str]] = {
    "hostaddr": "it would send every node to one address; "
    "write the address into node=REGION@HOST:PORT",
    "load_balance_hosts": "each node is connected to by itself, and reads are "
    "balanced over them already",
    "replication": "a routed connection cannot speak the replication protocol; "
    "connect to the node with psycopg",
    "target_session_attrs": "each statement finds its own node by role; "
    "use the connection's using(route='writer') or using(route='reader')",
}

#: Environment variable of a refused parameter: the parameter and the value that undoes
#: it. libpq reads the environment by itself, so leaving the variable alone is not enough.
NEUTRALIZED: Final[dict[str, tuple[str, str]]] = {
    "PGHOSTADDR": ("hostaddr", ""),
    "PGLOADBALANCEHOSTS": ("load_balance_hosts", "disable"),
    "PGTARGETSESSIONATTRS": ("target_session_attrs", "any"),
}

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
