"""Where values come from, and which place wins."""

from __future__ import annotations

from functools import partial

import pytest

from globaldb.config import Consistency, configure
from globaldb.errors import ConfigurationError


@pytest.fixture
def read(tmp_path):
    return partial(configure, environ={}, folder=tmp_path, home=tmp_path)


@pytest.fixture
def toml(tmp_path):
    return (tmp_path / "globaldb.toml").write_text


@pytest.fixture
def service(tmp_path):
    return (tmp_path / ".pg_service.conf").write_text


def test_each_place_yields_to_the_one_before_it(read, toml, service, tmp_path):
    service("[shop]\napplication_name=service\nhost=h\n")
    toml(
        "[defaults]\napplication_name='defaults'\n[clusters.orders]\napplication_name='cluster'\nnode='a'\n"
    )
    url, keyword = (
        "postgresql:///?application_name=URL",
        {"application_name": "keyword"},
    )
    places: list[tuple[str | None, dict[str, str], dict[str, str]]] = [
        (url, {"GLOBALDB_APPLICATION_NAME": "env", "PGSERVICE": "shop"}, keyword),
        (url, {"GLOBALDB_APPLICATION_NAME": "env", "PGSERVICE": "shop"}, {}),
        (None, {"GLOBALDB_APPLICATION_NAME": "env", "PGSERVICE": "shop"}, {}),
        (None, {"GLOBALDB_APPLICATION_NAME": "env", "PGAPPNAME": "pg"}, {}),
        (None, {"GLOBALDB_CLUSTER": "orders", "PGAPPNAME": "pg"}, {}),
        (None, {"PGAPPNAME": "pg"}, {}),
    ]
    found = [read(u, environ=environ, **k) for u, environ, k in places]
    assert [config.application_name for config in found] == [
        "keyword", "URL", "service", "env", "cluster", "defaults",
    ]  # fmt: skip
    assert [config.source("application_name") for config in found] == [
        "keyword",
        "URL",
        f"{tmp_path / '.pg_service.conf'} [shop]",
        "GLOBALDB_APPLICATION_NAME",
        f"{tmp_path / 'globaldb.toml'} [clusters.orders]",
        f"{tmp_path / 'globaldb.toml'} [defaults]",
    ]
    (tmp_path / "globaldb.toml").unlink()
    last = read(environ={"PGAPPNAME": "pg"})
    assert (last.application_name, last.source("application_name")) == (
        "pg",
        "PGAPPNAME",
    )


@pytest.mark.parametrize(
    ("environ", "region", "source"),
    [
        ({"GLOBALDB_REGION": "a", "AWS_REGION": "b"}, "a", "GLOBALDB_REGION"),
        ({"AWS_REGION": "b", "AWS_DEFAULT_REGION": "c"}, "b", "AWS_REGION"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "c"}, "c", "AWS_DEFAULT_REGION"),
        ({"GLOBALDB_REGION": ""}, None, None),
    ],
)
def test_the_region_may_come_from_the_cloud(read, environ, region, source):
    config = read("postgresql://h", environ=environ)
    assert (config.region, config.region_source) == (region, source)


def test_every_option_may_stand_in_the_environment(read):
    config = read(
        environ={
            "GLOBALDB_NODE": "us@a:1, eu@b:2\nap@c:3",
            "GLOBALDB_CONSISTENCY": "off",
            "GLOBALDB_POOL_MAX_SIZE": "3",
            "GLOBALDB_SSLMODE": "disable",
            "GLOBALDB_PASSWORD": "p",
        }
    )
    assert [str(node) for node in config.nodes] == ["us@a:1", "eu@b:2", "ap@c:3"]
    assert (config.consistency, config.pool_max_size) == (None, 3)
    assert config.driver_options["sslmode"] == "disable"
    assert config.source("consistency") == "GLOBALDB_CONSISTENCY"


def test_an_unknown_variable_of_ours_is_an_error(read):
    with pytest.raises(
        ConfigurationError,
        match="'GLOBALDB_CONSITENCY' in the environment; did you mean 'GLOBALDB_CONSISTENCY'",
    ):
        read(environ={"GLOBALDB_CONSITENCY": "global"})


def test_variables_of_the_lab_are_not_options(read):
    assert read("postgresql://h", environ={"GLOBALDB_LAB_HOME": "/x"}).region is None


def test_a_variable_that_cannot_be_read_is_named(read):
    with pytest.raises(
        ConfigurationError, match=r"probe_interval is 'x'.*\(GLOBALDB_PROBE_INTERVAL\)"
    ):
        read("postgresql://h", environ={"GLOBALDB_PROBE_INTERVAL": "x"})


def test_variables_that_would_misdirect_every_node_are_undone_and_remarked(read):
    environ = {
        "PGHOSTADDR": "10.9.9.9",
        "PGTARGETSESSIONATTRS": "read-write",
        "PGLOADBALANCEHOSTS": "random",
    }
    config = read("postgresql://localhost", environ=environ)
    assert dict(config.driver_options) == {
        "hostaddr": "",
        "target_session_attrs": "any",
        "load_balance_hosts": "disable",
    }
    assert {note.partition(" ")[0] for note in config.notes} == set(environ)


def test_a_cluster_of_the_file_names_nodes_and_options(read, toml):
    toml(
        """
        [defaults]
        cluster = "orders"
        pool_max_size = 20
        [clusters.orders]
        node = ["us-west-2@10.0.0.1", "ap-south-1@10.1.0.1:6000"]
        database = "shop"
        consistency = "eventual"
        safe_lag_window = "1500ms"
        autocommit = true
        """
    )
    config = read()
    assert [str(n) for n in config.nodes] == [
        "us-west-2@10.0.0.1:5432",
        "ap-south-1@10.1.0.1:6000",
    ]
    assert (config.database, config.autocommit) == ("shop", True)
    assert (config.consistency, config.safe_lag_window) == (Consistency.EVENTUAL, 1.5)
    assert config.pool_max_size == 20


def test_a_cluster_in_the_url_wins_over_the_host_of_a_service(read, toml, service):
    toml("[clusters.orders]\nnode = 'us@a:1'\n")
    service("[shop]\nhost=h\nuser=app\n")
    config = read("postgresql:///db?cluster=orders&service=shop")
    assert [str(node) for node in config.nodes] == ["us@a:1"]
    assert config.user == "app"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[clusters.orders]\nnode='a'",
            r"cluster 'order' is not in .*globaldb.toml; it has: orders; did you mean 'orders'",
        ),
        (
            "[clusters.order]\ndatabase='x'",
            "cluster 'order' in globaldb.toml lists no nodes",
        ),
        ("[clusters.order]\nnode='a'\nhost='b'", "the nodes are given in 2 ways"),
        ("[clusters.order]\ncluster='x'", "would nest one in another"),
        (
            "[clusters.other]\nconsitency='x'",
            r"unknown option 'consitency' in .*\[clusters.other\]; did you mean",
        ),
        (
            "[cluster.order]\nnode='a'",
            r"it may have \[defaults\] and \[clusters.NAME\]",
        ),
        (
            "[defaults]\nprobe_interval=0.001",
            r"probe_interval is 0.001 s; .*\[defaults\]\)",
        ),
        ("clusters=1", "must be a table"),
        ("[clusters]\norder=1", "must be a table"),
        ("password = hunter2", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_even_where_it_is_not_used(read, toml, text, message):
    toml(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        read("postgresql:///db?cluster=order")
    assert "hunter2" not in str(caught.value)


def test_a_cluster_without_any_file_says_where_one_would_be(read):
    with pytest.raises(
        ConfigurationError, match="there is none: not in \\$GLOBALDB_CONFIG"
    ):
        read("postgresql:///db?cluster=orders")


def test_the_file_is_looked_for_in_three_places(tmp_path):
    home, folder, named = tmp_path / "home", tmp_path / "work", tmp_path / "named.toml"
    (home / ".config" / "globaldb").mkdir(parents=True)
    folder.mkdir()
    read = partial(configure, "postgresql://h", folder=folder, home=home)
    found = []
    for path in (
        home / ".config/globaldb/globaldb.toml",
        folder / "globaldb.toml",
        named,
    ):
        path.write_text(f"[defaults]\napplication_name='{path.name}{len(found)}'")
        environ = {"GLOBALDB_CONFIG": str(named)} if path is named else {}
        found.append(read(environ=environ).application_name)
    assert found == ["globaldb.toml0", "globaldb.toml1", "named.toml2"]


def test_a_named_file_that_is_not_there_is_an_error(read, tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"GLOBALDB_CONFIG names .*none.toml, which is no file"
    ):
        read("postgresql://h", environ={"GLOBALDB_CONFIG": str(tmp_path / "none.toml")})


def test_a_service_file_is_read_as_libpq_reads_it(read, service):
    service(
        "# x\n[other]\nhost=no\n\n[shop]\n# y\nhost=h\nport=6000\ndbname=d\n sslmode=require \n[last]\nuser=no\n"
    )
    config = read(service="shop")
    assert [str(node) for node in config.nodes] == ["h:6000"]
    assert (config.database, config.driver_options["sslmode"]) == ("d", "require")
    assert config.user != "no"


def test_service_files_are_looked_for_in_the_order_of_libpq(read, tmp_path):
    own, system = tmp_path / "own.conf", tmp_path / "pg_service.conf"
    environ = {"PGSERVICEFILE": str(own), "PGSYSCONFDIR": str(tmp_path)}
    system.write_text("[shop]\nuser=system\n")
    assert read(service="shop", environ=environ).user == "system"
    own.write_text("[shop]\nuser=own\n")
    assert read(service="shop", environ=environ).user == "own"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[other]\n", "service 'shop' is in none of"),
        ("[shop]\nhost h\n", "is not name=value"),
        ("[shop]\nconsistency=global\n", "would make every other program fail"),
        ("[shop]\nservice=other\n", "would make every other program fail"),
        ("[shop]\nhostaddr=10.0.0.1\n", "hostaddr in .* is refused: it would send"),
        (
            "[shop]\nsslmod=require\n",
            r"unknown option 'sslmod' in .*\[shop\]; did you mean 'sslmode'",
        ),
        ("[shop]\nhost=h1,h2\n", "several hosts"),
    ],
)
def test_a_wrong_service_is_refused(read, service, text, message):
    service(text)
    with pytest.raises(ConfigurationError, match=message):
        read("postgresql:///db?service=shop", environ={"PGSYSCONFDIR": "/nowhere"})


def test_the_user_of_the_operating_system_is_the_last_resort(read):
    config = read("postgresql://h")
    assert config.user
    assert config.source("user") == "operating system"
    assert read("postgresql://h", environ={"PGUSER": "u"}).source("user") == "PGUSER"


def test_the_surroundings_default_to_those_of_the_process(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GLOBALDB_REGION", "eu")
    (tmp_path / "globaldb.toml").write_text("[defaults]\nhost = 'h'")
    config = configure()
    assert (config.region, config.nodes[0].host) == ("eu", "h")
