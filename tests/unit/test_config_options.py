"""Every option: its value, its limits, and the one table it stands in."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
from psycopg import pq

from globaldb.config import OPTIONS, Config, Consistency, Secret, configure, libpq
from globaldb.config.options import BY_NAME
from globaldb.config.resolve import USED_UP
from globaldb.config.table import renewed
from globaldb.errors import ConfigurationError

URL = "postgresql://localhost/shop"
DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture
def read(tmp_path):
    return partial(configure, URL, environ={}, folder=tmp_path, home=tmp_path)


def test_defaults_are_those_of_the_design(read):
    config = read()
    assert config.consistency is Consistency.SESSION
    assert config.autocommit is False
    assert (config.safe_lag_window, config.fence_wait) == (2.0, 1.0)
    assert (config.latency_window, config.latency_factor) == (0.015, 2.0)
    assert config.probe_interval == 1.0
    assert (config.pool_min_size, config.pool_max_size, config.pool_wait) == (
        0,
        10,
        5.0,
    )
    assert (config.pool_max_lifetime, config.pool_max_idle) == (3600.0, 600.0)
    assert config.connect_timeout == 5.0
    assert (config.timeout, config.max_staleness) == (None, None)
    assert (config.prepare_threshold, config.query_cache_size) == (5, 4096)
    assert (config.log_sql, config.password, config.token_secret) == (False, None, None)
    assert (config.token_max_age, config.invalid_tokens) == (86_400.0, "raise")
    assert (config.session_store, config.session_ttl) == (None, 60.0)
    assert (config.region, config.region_source, dict(config.driver_options)) == (
        None,
        None,
        {},
    )
    assert config.source("consistency") == "default"


def test_every_option_is_a_field_and_every_field_an_option_or_an_outcome():
    outcomes = {"nodes", "engine", "default_port", "driver_options", "passfile"}
    outcomes |= {"notes", "sources"}
    options = {option.name for option in OPTIONS} - USED_UP
    assert {field.name for field in fields(Config)} == options | outcomes


def test_no_option_is_called_what_sqlalchemy_swallows():
    assert not {"plugin", "plugins"} & set(BY_NAME)


def test_the_parameters_of_libpq_are_all_decided():
    """Each passes through, is refused, or is an option of our own."""
    known = {default.keyword.decode() for default in pq.Conninfo.get_defaults()}
    decided = set(BY_NAME) | set(libpq.REFUSED)
    assert known - decided == set()


def test_the_variables_of_libpq_are_those_it_names():
    named = {
        default.keyword.decode(): default.envvar and default.envvar.decode()
        for default in pq.Conninfo.get_defaults()
    }
    shared = {
        name: variable for name, variable in libpq.PARAMETERS.items() if name in named
    }
    assert shared == {name: named[name] for name in shared}


def test_the_documented_table_is_current():
    """`python -m globaldb.config.table docs/configuration.md` renews it."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert renewed(text) == text


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        (0.25, 0.25),
        (2, 2.0),
        ("2", 2.0),
        ("1.5", 1.5),
        (".5s", 0.5),
        ("250ms", 0.25),
        ("2s", 2.0),
        ("1m", 60.0),
        ("2 min", 120.0),
        ("1H", 3600.0),
        ("1e-1", 0.1),
    ],
)
def test_durations_are_seconds_or_texts_with_units(read, raw, seconds):
    assert read(safe_lag_window=raw).safe_lag_window == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("1", True),
        ("ON", True),
        ("yes", True),
        ("false", False),
        ("0", False),
        ("off", False),
        ("No", False),
        (True, True),
        (0, False),
    ],
)
def test_switches_have_four_spellings_each(read, text, value):
    assert read(autocommit=text).autocommit is value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"probe_interval": 0.001},
            "probe_interval is 0.001 s; it must be at least 0.1 s (keyword)",
        ),
        (
            {"probe_interval": "2h"},
            "probe_interval is 7200 s; it must be at most 3600 s",
        ),
        ({"safe_lag_window": "-1"}, "safe_lag_window is -1 s; it must be at least 0 s"),
        ({"safe_lag_window": "soon"}, "safe_lag_window is 'soon'; it must be seconds"),
        ({"safe_lag_window": float("nan")}, "it must be a finite number"),
        ({"safe_lag_window": "1e999"}, "it must be a finite number"),
        ({"safe_lag_window": True}, "must be a number, not bool"),
        ({"safe_lag_window": [1]}, "must be a number, not list"),
        ({"latency_factor": "2s"}, "latency_factor is '2s'; it must be a number"),
        ({"latency_factor": 0.5}, "latency_factor is 0.5; it must be at least 1"),
        ({"pool_max_size": 0}, "pool_max_size is 0; it must be at least 1"),
        ({"pool_max_size": 2.5}, "pool_max_size is 2.5; it must be a whole number"),
        ({"timeout": 0}, "timeout is 0 s; it must be at least 0.001 s"),
        ({"autocommit": "maybe"}, "autocommit is 'maybe'; it must be one of true"),
        (
            {"consistency": "strong"},
            "consistency is 'strong'; it must be one of 'session'",
        ),
        ({"engine": "oracle"}, "engine is 'oracle'"),
        ({"engine": "mysql"}, "the engine is mysql (keyword) and postgresql (URL)"),
        ({"node": []}, "node is an empty list"),
        ({"node": 5}, "node must be a text or a list of texts"),
        ({"user": object()}, "user must be a text, not object"),
        (
            {"pool_min_size": 20},
            "pool_min_size is 20 (keyword) but pool_max_size is 10 (default)",
        ),
        (
            {"sslmode": "verify"},
            "sslmode is 'verify' (keyword); it must be one of disable",
        ),
        (
            {"consitency": "x"},
            "unknown option 'consitency' among the keywords; did you mean 'consistency'?",
        ),
        (
            {"target_session_attrs": "any"},
            "target_session_attrs among the keywords is refused",
        ),
        (
            {"database": "a", "dbname": "b"},
            "database is given twice among the keywords",
        ),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_limits_and_place(
    read, options, message
):
    with pytest.raises(ConfigurationError) as caught:
        read(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        (option, value)
        for option in OPTIONS
        for value in (option.minimum, option.maximum, option.default)
        if value is not None
    ],
    ids=lambda part: getattr(part, "name", str(part)),
)
def test_limits_and_defaults_are_allowed_values(option, value):
    assert option.read(value) == value


@pytest.mark.parametrize(
    "name", ["timeout", "max_staleness", "prepare_threshold", "consistency"]
)
@pytest.mark.parametrize("raw", [None, "none", "off"])
def test_where_none_is_a_value_it_can_be_said(read, name, raw):
    config = read(**{name: raw})
    assert getattr(config, name) is None
    assert config.source(name) == "keyword"


@pytest.mark.parametrize("raw", [None, ""])
def test_elsewhere_none_and_nothing_mean_not_given(read, raw):
    config = read(region=raw, pool_max_size=raw, database=raw, node=None)
    assert (config.region, config.pool_max_size, config.database) == (None, 10, "shop")


def test_python_values_are_taken_as_they_are(read):
    config = read(
        consistency=Consistency.EVENTUAL,
        password=Secret("p"),
        sslrootcert=Path("/ca.pem"),
        keepalives=True,
    )
    assert config.consistency is Consistency.EVENTUAL
    assert config.password == Secret("p")
    assert dict(config.driver_options) == {"sslrootcert": "/ca.pem", "keepalives": "1"}


def test_secrets_print_as_stars(read):
    config = read(
        password="hunter1",
        token_secret="hunter2",
        sslpassword="hunter3",
        options="-c x=1",
    )
    assert (
        "hunter" not in f"{config!r} {config} {config.password} {config.token_secret!r}"
    )
    assert config.driver_options["sslpassword"] == "hunter3"
    assert "'options': '-c x=1'" in repr(config.driver_options)


def test_equal_configurations_are_equal_values(tmp_path, read):
    one = read(region="eu", sslrootcert="/a", keepalives=1)
    two = configure(
        f"{URL}?keepalives=1&sslrootcert=/a",
        environ={"AWS_REGION": "eu"},
        folder=tmp_path,
        home=tmp_path,
    )
    assert one == two
    assert hash(one) == hash(two)
    assert len({one, two, read(region="us")}) == 2


def test_pass_through_options_answer_as_a_mapping(read):
    options = read(sslrootcert="/a", keepalives=1).driver_options
    assert sorted(options) == ["keepalives", "sslrootcert"]
    assert len(options) == 2
    assert "sslmode" not in options


def test_a_choice_is_one_of_its_words(read):
    assert read(invalid_tokens="ignore").invalid_tokens == "ignore"
    with pytest.raises(
        ConfigurationError, match="'drop'; it must be one of raise, ignore"
    ):
        read(invalid_tokens="drop")


def test_a_previous_secret_needs_a_present_one(read):
    config = read(token_secret="new", token_secret_previous="old")
    assert config.token_secret_previous.reveal() == "old"
    with pytest.raises(ConfigurationError, match="without token_secret"):
        read(token_secret_previous="old")


def test_no_position_is_kept_longer_than_its_token_is_accepted(read):
    assert read(session_ttl="1m", token_max_age=None).session_ttl == 60.0
    with pytest.raises(ConfigurationError, match=r"session_ttl is 60 s .* is 30 s"):
        read(session_ttl="1m", token_max_age="30s")


def test_the_store_of_sessions_shows_no_password(read):
    config = read(session_store="redis://:hidden@cache/0")
    assert "hidden" not in repr(config)
    with pytest.raises(ConfigurationError, match="redis://") as caught:
        read(session_store="memcached://hidden")
    assert "hidden" not in str(caught.value)
