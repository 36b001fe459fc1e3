"""From URL, keywords, environment and files to one configuration."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from globaldb.config import authentication, libpq, mysql, remarks
from globaldb.config.nodes import find_discovery, find_nodes
from globaldb.config.options import DRIVER_SECRETS, OPTIONS
from globaldb.config.passfile import PassFile, read_passfile
from globaldb.config.secret import DriverOptions
from globaldb.config.settings import Config
from globaldb.config.sources import (
    Given,
    Layer,
    Surroundings,
    engine_layer,
    environment_layer,
    keyword_layer,
    service_layer,
    toml_file,
    url_layer,
)
from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULTS: Final = {option.name: option.default for option in OPTIONS}
#: Options that are used up here and are no field of the result.
USED_UP: Final = frozenset(
    ("node", "host", "cluster", "port", "service", "passfile", "engine")
)


def configure(
    url: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    home: Path | None = None,
    **options: object,
) -> Config:
    """Return the configuration that *url* and *options* ask for.

    What they leave open comes, in this order, from the service file, GLOBALDB_*
    variables, globaldb.toml, and the engine's own variables and password file.
    *environ*, *folder* (working) and *home* default to the process's own.

    Raises `ConfigurationError` for anything unknown, contradictory or out of range.
    """
    try:
        return _configured(url, environ, folder, home, options)
    except ConfigurationError as error:
        # The frames below hold passwords, and so would whatever shows them.
        error.__context__ = None
        raise error.with_traceback(None) from None
    finally:
        del url, environ, options


def _configured(
    url: str | None,
    environ: Mapping[str, str] | None,
    folder: Path | None,
    home: Path | None,
    options: Mapping[str, object],
) -> Config:
    environ = dict(os.environ) if environ is None else environ
    home = home or Path(environ.get("HOME") or Path.home())
    world = Surroundings(environ, folder or Path.cwd(), home)
    found = gather(url, options, world)
    engine = found.engine
    nodes = find_nodes(found)
    values = {name: found.value(name) for name in DEFAULTS if name not in USED_UP}
    values |= find_discovery(found, nodes)
    check_together(found)
    driver = driver_options(found, environ)
    authentication.check(found, driver)
    values["rds_ca"] = authentication.checked_bundle(found, home)
    passfile, passfile_note = find_passfile(found, home)
    return Config(
        **values,
        engine=engine,
        nodes=nodes,
        driver_options=DriverOptions.of(driver, DRIVER_SECRETS),
        passfile=passfile,
        notes=(
            *passfile_note,
            *remarks.about_region(values["region"], nodes),
            *remarks.about_tls(
                nodes,
                driver,
                engine,
                bundle=values["rds_ca"],
                world=values["global_cluster"],
            ),
            *remarks.about_variables(environ),
        ),
        sources=MappingProxyType({k: g.source for k, g in found.merged.items()}),
    )


@dataclass(frozen=True, slots=True)
class Gathered:
    """Every layer, the strongest first, and what they say together."""

    layers: tuple[Layer, ...]
    #: The table of globaldb.toml that ``cluster`` names; one of the layers.
    cluster: Layer
    #: One mapping in which the stronger layer wins.
    merged: Layer

    @classmethod
    def of(cls, *layers: Layer, cluster: Layer) -> Gathered:
        """Put *layers* on top of each other, the first uppermost."""
        merged: Layer = {}
        for layer in reversed(layers):
            merged |= layer
        return cls(layers, cluster, merged)

    def value(self, name: str) -> Any:
        """Return the value of option *name*, its default when nothing gives it."""
        given = self.merged.get(name)
        return DEFAULTS[name] if given is None else given.value

    def source(self, name: str) -> str:
        """Return where the value of option *name* stood."""
        given = self.merged.get(name)
        return "default" if given is None else given.source

    @property
    def engine(self) -> Any:
        """The engine; `ConfigurationError` when two layers name different ones."""
        named = [layer["engine"] for layer in self.layers if "engine" in layer]
        for other in named[1:]:
            if other.value != named[0].value:
                raise ConfigurationError(
                    f"the engine is {named[0].value} ({named[0].source}) "
                    f"and {other.value} ({other.source}); name one. globaldb.connect() "
                    "takes both, globaldb.postgresql and globaldb.mysql one each"
                )
        return named[0].value if named else DEFAULTS["engine"]


def gather(
    url: str | None, options: Mapping[str, object], world: Surroundings
) -> Gathered:
    """Read every layer. What names a cluster or a service is itself an option."""
    call = (keyword_layer(options), url_layer(url))
    environment = environment_layer(world.environ)
    toml = toml_file(world)
    early = Gathered.of(*call, environment, toml.defaults, cluster={})
    name = early.value("cluster")
    cluster = {} if name is None else toml.cluster(name)
    files = (environment, cluster, toml.defaults)
    engine = Gathered.of(*call, *files, cluster=cluster).engine
    below = (*files, engine_layer(world.environ, engine))
    name = Gathered.of(*call, *below, cluster=cluster).value("service")
    service = {} if name is None else service_layer(name, world)
    machine = machine_layer(world.home, engine)
    return Gathered.of(*call, service, *below, machine, cluster=cluster)


def machine_layer(home: Path, engine: str) -> Layer:
    """Return what libpq takes from the machine: the user and its root certificates."""
    layer: Layer = {}
    if engine != "postgresql":
        return layer
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
        layer["user"] = Given(name, "operating system")
    except KeyError:
        pass  # a container may run as a number without a name; the server will ask
    certificates = home / ".postgresql" / "root.crt"
    if certificates.is_file():
        layer["sslrootcert"] = Given(str(certificates), "root.crt of libpq")
    return layer


def driver_options(found: Gathered, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what the driver gets as it is."""
    given = {k: g for k, g in found.merged.items() if k in libpq.PARAMETERS}
    theirs = {k: g for k, g in found.merged.items() if k in mysql.PARAMETERS}
    if found.engine == "mysql":
        refuse_foreign(given, "PostgreSQL", found.engine)
        return mysql_options(theirs)
    refuse_foreign(theirs, "MySQL", found.engine)
    mode = given.get("sslmode")
    if mode is not None and mode.value not in libpq.SSL_MODES:
        raise ConfigurationError(
            f"sslmode is {mode.value!r} ({mode.source}); it must be one of "
            f"{', '.join(libpq.SSL_MODES)}"
        )
    return {k: g.value for k, g in given.items()} | {
        name: neutral
        for variable, (name, neutral) in libpq.NEUTRALIZED.items()
        if environ.get(variable)
    }


def refuse_foreign(given: Layer, product: str, engine: str) -> None:
    """Raise `ConfigurationError` for options that only *product* has."""
    for name, one in given.items():
        raise ConfigurationError(
            f"{name} ({one.source}) is an option of {product}; the engine is {engine}"
        )


def mysql_options(given: Layer) -> dict[str, Any]:
    """Return what PyMySQL gets, with a dictionary for ``ssl`` taken apart."""
    for name in ("read_timeout", "write_timeout"):
        if name in given and given[name].value <= 0:
            raise ConfigurationError(
                f"{name} is 0 s ({given[name].source}); it must be more, or left out"
            )
    try:
        return mysql.unfolded({k: g.value for k, g in given.items()})
    except ValueError as error:
        raise ConfigurationError(
            f"ssl ({given['ssl'].source}) holds {error}; it may hold ca, capath, cert, "
            "check_hostname, cipher, key, password and verify_mode"
        ) from None


def find_passfile(found: Gathered, home: Path) -> tuple[PassFile, tuple[str, ...]]:
    """Return the password file in force and remarks about it."""
    elsewhere = any(found.value(name) for name in authentication.SOURCES)
    if found.engine != "postgresql" or elsewhere:
        return PassFile(), ()
    named = found.value("passfile")
    path = home / ".pgpass" if named is None else Path(named).expanduser()
    passfile, problem = read_passfile(path)
    return passfile, () if problem is None else (problem,)


def check_together(found: Gathered) -> None:
    """Raise `ConfigurationError` for values that contradict each other."""
    low, high = found.value("pool_min_size"), found.value("pool_max_size")
    if low > high:
        raise ConfigurationError(
            f"pool_min_size is {low} ({found.source('pool_min_size')}) but "
            f"pool_max_size is {high} ({found.source('pool_max_size')}); "
            "the first may not be larger"
        )
    check_tokens(found)


def check_tokens(found: Gathered) -> None:
    """Raise `ConfigurationError` for options about tokens that make no sense."""
    if found.value("token_secret_previous") and not found.value("token_secret"):
        raise ConfigurationError(
            "token_secret_previous "
            f"({found.source('token_secret_previous')}) is given without token_secret; "
            "it is what token_secret was, or will be"
        )
    kept, accepted = found.value("session_ttl"), found.value("token_max_age")
    if accepted is not None and kept > accepted:
        raise ConfigurationError(
            f"session_ttl is {kept:g} s ({found.source('session_ttl')}) but "
            f"token_max_age is {accepted:g} s ({found.source('token_max_age')}); what "
            "is kept must not expire"
        )
    store = found.value("session_store")
    if store and not store.reveal().startswith(("redis://", "rediss://", "unix://")):
        raise ConfigurationError(
            f"session_store ({found.source('session_store')}) must begin with "
            "redis://, rediss:// or unix://"
        )
