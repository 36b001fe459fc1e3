"""What a URL says, and how it is shown."""

from __future__ import annotations

from functools import partial

import pytest

from globaldb.config import Consistency, NodeAddress, configure, redact
from globaldb.errors import ConfigurationError


@pytest.fixture
def read(tmp_path):
    return partial(configure, environ={}, folder=tmp_path, home=tmp_path)


def test_a_url_with_nodes_says_everything(read):
    config = read(
        "postgresql://app:secret@/shop?region=ap-south-1&consistency=global"
        "&node=us-west-2@10.0.0.1:5433&node=ap-south-1@db.example"
    )
    assert config.engine == "postgresql"
    assert config.nodes == (
        NodeAddress("us-west-2", "10.0.0.1", 5433),
        NodeAddress("ap-south-1", "db.example", 5432),
    )
    assert (config.database, config.user) == ("shop", "app")
    assert config.password is not None
    assert config.password.reveal() == "secret"
    assert config.consistency is Consistency.GLOBAL
    assert (config.region, config.region_source) == ("ap-south-1", "URL")


@pytest.mark.parametrize(
    ("url", "node"),
    [
        ("postgresql://h", NodeAddress(None, "h", 5432)),
        ("postgres://h:6000/db", NodeAddress(None, "h", 6000)),
        ("mysql://h/db", NodeAddress(None, "h", 3306)),
        ("MariaDB://h/db", NodeAddress(None, "h", 3306)),
        ("postgresql://[::1]:6000/db", NodeAddress(None, "::1", 6000)),
        ("postgresql://[fe80::1%25eth0]/db", NodeAddress(None, "fe80::1%eth0", 5432)),
        ("postgresql://%2Fvar%2Frun/db", NodeAddress(None, "/var/run", 5432)),
        ("postgresql://%2fvar%2frun:6000/db", NodeAddress(None, "/var/run", 6000)),
        (
            "postgresql:///db?host=/var/run&port=6000",
            NodeAddress(None, "/var/run", 6000),
        ),
        (
            "postgresql:///?node=us-west-2@/var/run:5432",
            NodeAddress("us-west-2", "/var/run", 5432),
        ),
        ("postgresql:///?node=us%40%5B::1%5D:1", NodeAddress("us", "::1", 1)),
        ("postgresql:///?node=h&port=6000", NodeAddress(None, "h", 6000)),
    ],
)
def test_hosts_are_names_addresses_and_socket_folders(read, url, node):
    assert read(url).nodes == (node,)


def test_engines_have_two_schemes_each(read):
    engines = [
        read(f"{s}://h").engine for s in ("postgresql", "postgres", "mysql", "mariadb")
    ]
    assert engines == ["postgresql", "postgresql", "mysql", "mysql"]


def test_percent_encoding_is_undone_once_and_plus_stays(read):
    config = read(
        "postgresql://a%40b:p%2F%3F%23%40%3A%2525@h/s%20h+p?application_name=x%26y"
    )
    assert config.user == "a@b"
    assert config.password is not None
    assert config.password.reveal() == "p/?#@:%25"
    assert config.database == "s h+p"
    assert config.application_name == "x&y"


def test_an_unescaped_at_sign_or_hash_in_the_password_is_part_of_it(read):
    config = read("postgresql://u:a@b#c@h/db")
    assert config.password is not None
    assert (config.password.reveal(), config.nodes[0].host) == ("a@b#c", "h")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("host=h dbname=shop", "this is not a database URL"),
        ("host=h dbname=shop", "given as keywords"),
        ("", "this is not a database URL"),
        ("oracle://h/db", "scheme is 'oracle'; it must be postgresql"),
        ("postgresql+psycopg://h/db", "write postgresql:// alone"),
        ("postgresql://h1:1,h2:2/db", "several hosts stand in one place; give each"),
        ("postgresql:///db?node=a@h1:1,h2:2", "several hosts"),
        ("postgresql://h:port/db", "the port in the URL"),
        ("postgresql://h:0/db", "the port in the URL"),
        ("postgresql://h:70000/db", "the port in the URL"),
        ("postgresql://[::1/db", "an IPv6 host"),
        ("postgresql://::1/db", "stands in brackets"),
        ("postgresql://[::zz]/db", "not an IPv6 address"),
        ("postgresql://a b/db", "the host in the URL is not a name"),
        ("postgresql://h/a/b", "holds a / or @"),
        ("postgresql://h/db?region", "not name=value"),
        ("postgresql://u:a@b/c?d@/db?region=eu", "not name=value"),
        ("postgresql://h/db%zz", "two hexadecimal digits"),
        ("postgresql://h/%ff", "not UTF-8"),
        ("postgresql://h/%00", "null character"),
        ("postgresql://h/db?region=a&region=b", "region is given twice in the URL"),
        ("postgresql://h/db?database=other", "database is given twice in the URL"),
        ("postgresql:///db?node=", "'' is not a host"),
        ("postgresql:///db?node=us west@h", "the region of a node is not a name"),
        ("postgresql:///db?node=us@h:0", "a port is a whole number"),
        ("postgresql://h/db?consitency=x", "did you mean 'consistency'"),
        ("postgresql://h/db?plugin=x", "unknown option 'plugin' in the URL"),
        ("postgresql://h/db?plugins=x", "unknown option 'plugins' in the URL"),
    ],
)
def test_a_broken_url_is_refused_with_the_reason(read, url, message):
    with pytest.raises(ConfigurationError, match=message.replace("?", r"\?")):
        read(url)


def test_an_error_shows_the_url_without_its_secrets(read):
    url = (
        "postgresql://app:hunter2@h/db?password2=hunter3&sslpassword=hunter4&region=eu"
    )
    with pytest.raises(ConfigurationError) as caught:
        read(url)
    text = str(caught.value)
    assert "hunter" not in text
    assert "postgresql://app:***@h/db?password2=***&sslpassword=***&region=eu" in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://h/db", "postgresql://h/db"),
        ("postgresql://u@h/db?region=eu", "postgresql://u@h/db?region=eu"),
        ("postgresql://u:p@[::1]:1/db", "postgresql://u:***@[::1]:1/db"),
        ("postgresql://u:p/q@h/db", "postgresql://***"),
        ("postgresql://u:p@s/w?rd@/db?region=eu", "postgresql://***"),
        ("postgresql:///?node=u:p@h", "postgresql:///?node=***"),
        (
            "postgresql:///?token_secret=p&pass%77ord=q",
            "postgresql:///?token_secret=***&***=***",
        ),
        ("u:p@h/db", "***"),
    ],
)
def test_a_url_is_shown_masked(url, shown):
    assert redact(url) == shown


def test_a_login_inside_a_node_is_refused_and_not_quoted(read):
    with pytest.raises(ConfigurationError) as caught:
        read("postgresql:///db?node=us@app:hunter2@h")
    assert "hunter2" not in str(caught.value)
