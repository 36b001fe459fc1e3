"""The places a value can come from, each read into a layer of the same shape."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from globaldb.config import libpq
from globaldb.config.options import BY_NAME, REFUSED, find_option, suggestion
from globaldb.config.url import parse_url, redact
from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX = "GLOBALDB_"
#: Variables with the prefix that are no options.
NOT_OPTIONS = re.compile(r"GLOBALDB_(CONFIG|LAB_.*)")
#: Where libpq looks for pg_service.conf when PGSYSCONFDIR does not say.
SYSTEM_FOLDER = "/etc/postgresql-common"
#: Variables of other programs and the option each supplies, the stronger first.
VARIABLES: Final = {
    variable: option.name
    for option in BY_NAME.values()
    for variable in option.variables
}


@dataclass(frozen=True, slots=True)
class Given:
    """A value and where it stood."""

    value: Any
    source: str


Layer = dict[str, Given]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the machine offers: environment, working folder, home folder."""

    environ: Mapping[str, str]
    folder: Path
    home: Path


def read_layer(pairs: Iterable[tuple[str, object]], source: str, place: str) -> Layer:
    """Return *pairs* (option name, raw value) as a layer called *source*.

    Raises `ConfigurationError` for a name that is unknown or given twice (some may
    be repeated) and for a value that cannot be read; *place* says where it stood.
    """
    layer: Layer = {}
    for name, raw in pairs:
        option = find_option(name, place)
        if option.left_out(raw):
            continue
        try:
            value: Any = option.read(raw)
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} ({source})") from None
        earlier = layer.get(option.name)
        if earlier is not None:
            if not option.repeatable:
                raise ConfigurationError(f"{option.name} is given twice {place}")
            value = (*earlier.value, *value)
        layer[option.name] = Given(value, source)
    return layer


def keyword_layer(options: Mapping[str, object]) -> Layer:
    """Return the keywords of a call."""
    return read_layer(options.items(), "keyword", "among the keywords")


def url_layer(url: str | None) -> Layer:
    """Return the options of *url*. Errors show it with its secrets masked."""
    if url is None:
        return {}
    try:
        return read_layer(parse_url(url), "URL", "in the URL")
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}\n  URL: {redact(url)}") from None


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return the GLOBALDB_* variables; an empty one counts as not set."""
    layer: Layer = {}
    ours = [v for v in environ if v.startswith(PREFIX)]
    for variable in sorted(ours):
        if NOT_OPTIONS.fullmatch(variable):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in BY_NAME and name not in REFUSED:
            known = [PREFIX + n.upper() for n in BY_NAME]
            raise ConfigurationError(
                f"unknown option {variable!r} in the environment"
                f"{suggestion(variable, known)}"
            )
        text = environ[variable]
        if text:
            several = name in BY_NAME and BY_NAME[name].repeatable
            raw = text.replace(",", " ").split() if several else text
            layer |= read_layer([(name, raw)], variable, f"in {variable}")
    return layer


def engine_layer(environ: Mapping[str, str], engine: str) -> Layer:
    """Return what the engine's own variables and the cloud's say (PG*, AWS_REGION)."""
    layer: Layer = {}
    for variable, name in VARIABLES.items():
        raw = environ.get(variable)
        foreign = variable.startswith("PG") and engine != "postgresql"
        if raw and not foreign and name not in layer:
            layer |= read_layer([(name, raw)], variable, f"in {variable}")
    return layer


def service_layer(name: str, world: Surroundings) -> Layer:
    """Return section *name* of the first pg_service.conf that has it.

    Only libpq's own parameters may stand there: any other program that uses the
    service would fail on ours.
    """
    looked = list(service_files(world))
    for path in looked:
        lines = section_lines(path, name)
        if lines is None:
            continue
        place = f"in {path} [{name}]"
        pairs = [checked_line(line, place) for line in lines]
        return read_layer(pairs, f"{path} [{name}]", place)
    raise ConfigurationError(
        f"service {name!r} is in none of {', '.join(str(p) for p in looked)}"
    )


def service_files(world: Surroundings) -> Iterable[Path]:
    """Return the service files in the order libpq reads them."""
    own = world.environ.get("PGSERVICEFILE")
    yield Path(own) if own else world.home / ".pg_service.conf"
    yield Path(world.environ.get("PGSYSCONFDIR") or SYSTEM_FOLDER) / "pg_service.conf"


def section_lines(path: Path, name: str) -> list[str] | None:
    """Return the lines of section *name* in *path*, or None when it has none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    found: list[str] | None = None
    for line in (raw.strip() for raw in text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            if found is not None:
                break
            if line[1:-1] == name:
                found = []
        elif found is not None and line and not line.startswith("#"):
            found.append(line)
    return found


#: Options of ours that are libpq's too, so that every program can read them.
SHARED_WITH_LIBPQ = frozenset(
    {"host", "port", "database", "user", "password", "passfile"}
    | {"application_name", "connect_timeout"}
    | set(libpq.PARAMETERS)
)


def checked_line(line: str, place: str) -> tuple[str, str]:
    """Return the parameter and value of one *line* of a service file."""
    name, equals, value = line.partition("=")
    if not equals:
        raise ConfigurationError(f"a line {place} is not name=value")
    if find_option(name, place).name not in SHARED_WITH_LIBPQ:
        raise ConfigurationError(
            f"{name} {place} would make every other program fail that uses the "
            "service; set it in globaldb.toml, the URL or the environment"
        )
    return name, value


@dataclass(frozen=True, slots=True)
class TomlFile:
    """What globaldb.toml says: defaults for all, and clusters by name."""

    path: Path | None
    defaults: Layer
    clusters: Mapping[str, Layer]

    def cluster(self, name: str) -> Layer:
        """Return the options of cluster *name*; `ConfigurationError` if unknown."""
        if self.path is None:
            raise ConfigurationError(
                f"cluster {name!r} is looked up in globaldb.toml, and there is none: "
                "not in $GLOBALDB_CONFIG, the working folder or ~/.config/globaldb"
            )
        if name not in self.clusters:
            known = ", ".join(sorted(self.clusters)) or "none"
            raise ConfigurationError(
                f"cluster {name!r} is not in {self.path}; it has: {known}"
                f"{suggestion(name, self.clusters)}"
            )
        return self.clusters[name]


def toml_file(world: Surroundings) -> TomlFile:
    """Return the first globaldb.toml there is, fully checked; empty without one."""
    path = toml_path(world)
    if path is None:
        return TomlFile(None, {}, {})
    document = toml_document(path)
    for table in document:
        if table not in {"defaults", "clusters"}:
            raise ConfigurationError(
                f"{path} has a table [{table}]; it may have [defaults] and "
                "[clusters.NAME]"
            )
    clusters = as_table(document.get("clusters", {}), f"{path} [clusters]")
    return TomlFile(
        path,
        toml_layer(document.get("defaults", {}), f"{path} [defaults]"),
        {
            name: toml_layer(body, f"{path} [clusters.{name}]")
            for name, body in clusters.items()
        },
    )


def toml_path(world: Surroundings) -> Path | None:
    """Return where globaldb.toml is, or None."""
    named = world.environ.get("GLOBALDB_CONFIG")
    if named:
        path = world.folder / Path(named).expanduser()
        if not path.is_file():
            raise ConfigurationError(f"GLOBALDB_CONFIG names {path}, which is no file")
        return path
    for folder in (world.folder, world.home / ".config" / "globaldb"):
        path = folder / "globaldb.toml"
        if path.is_file():
            return path
    return None


def toml_document(path: Path) -> dict[str, object]:
    """Return the parsed file; `ConfigurationError` says where it is broken."""
    import tomllib  # here, because most processes have no such file

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error


def toml_layer(body: object, source: str) -> Layer:
    """Return one table of options."""
    layer = read_layer(as_table(body, source).items(), source, f"in {source}")
    if "cluster" in layer and "[clusters." in source:
        raise ConfigurationError(f"cluster in {source} would nest one in another")
    return layer


def as_table(body: object, source: str) -> dict[str, object]:
    """Return *body* if it is a table."""
    if not isinstance(body, dict):
        raise ConfigurationError(f"{source} must be a table of options")
    return body
