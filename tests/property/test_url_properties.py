"""What holds for every URL: it says what was put in, and never gives a secret away."""

from __future__ import annotations

import contextlib
import ipaddress
import traceback
from pathlib import Path
from urllib.parse import quote

from hypothesis import assume, given, strategies as st

from globaldb.config import NodeAddress, configure, parse_node, redact
from globaldb.errors import ConfigurationError

NOWHERE = Path("/nonexistent")

texts = st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1
)
ports = st.integers(1, 65535)
regions = st.from_regex(r"[a-z]{2}-[a-z]{1,9}-[0-9]", fullmatch=True)
names = st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){0,3}", fullmatch=True)
addresses = st.ip_addresses().map(str)
folders = st.from_regex(r"(/[A-Za-z0-9._:-]{1,8}){1,4}", fullmatch=True)
nodes = st.builds(NodeAddress, st.none() | regions, names | addresses | folders, ports)
# Long and of characters that no message of ours holds in a row.
passwords = st.text("aZ9/?#@:%&=+,;[]{}'\"\\ \t~*é§", min_size=8, max_size=20)
broken = st.sampled_from(
    [
        "postgresql://app:{}@h/db?consitency=x",
        "postgresql://app:{}@h/db?probe_interval=0",
        "postgresql://app:{}@h:x/db",
        "postgresql://app:{}@h1,h2/db",
        "postgresql://app:{}@h/db?node=us@a",
        "postgresql://app:{}/db",
        "postgresql://app:{}",
        "postgresql://{}",
        "postgresql:app:{}@h/db",
        "oracle://app:{}@h/db",
        "app:{}@h/db",
        "mysql://app:{}@h/db?sslmode=x",
        "postgresql://h/db?password={}&nope=1",
        "postgresql://h/db?sslpassword={}&timeout=x",
        "postgresql://h/db?token_secret={}&node=h",
        "postgresql://h/db?pasword={}",
        "postgresql:///db?node=us@app:{}@h",
        "postgresql://h/db?password=%zz{}",
    ]
)


def read(url: str, **options: object):
    return configure(url, environ={}, folder=NOWHERE, home=NOWHERE, **options)


@given(nodes)
def test_a_node_is_read_back_from_its_own_text(node):
    assert parse_node(str(node), 1) == node


@given(st.lists(nodes, min_size=1, max_size=5, unique_by=lambda n: (n.host, n.port)))
def test_nodes_in_a_url_are_the_nodes_of_the_configuration(several):
    query = "&".join(f"node={quote(str(node))}" for node in several)
    assert read(f"postgresql:///db?{query}").nodes == tuple(several)


@given(texts, texts, texts)
def test_login_and_database_survive_percent_encoding(user, password, database):
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    config = read(f"postgresql://{login}@h/{quote(database, safe='')}")
    assert (config.user, config.database) == (user, database)
    assert config.password is not None
    assert config.password.reveal() == password


@given(passwords)
def test_a_password_is_in_no_text_of_a_configuration(password):
    escaped = quote(password, safe="")
    config = read(
        f"postgresql://app:{escaped}@h/db?sslpassword={escaped}&token_secret={escaped}"
    )
    text = (
        f"{config!r} {config} {config.notes} {config.password} {config.driver_options}"
    )
    assert password not in text
    assert escaped not in text


@given(broken, passwords, st.booleans())
def test_a_password_is_in_no_error_and_no_traceback(url, password, is_escaped):
    written = quote(password, safe="") if is_escaped else password
    try:
        read(url.format(written))
    except ConfigurationError as error:
        text = "".join(traceback.format_exception(error)) + redact(url.format(written))
        assert password not in text
        assert written not in text
    else:
        # Unescaped, it may happen to make a URL that is valid.
        assume(False)


@given(st.text())
def test_any_text_is_a_configuration_or_a_configuration_error(text):
    redact(text)
    with contextlib.suppress(ConfigurationError):
        assert read(text).nodes


@given(st.text(max_size=30))
def test_any_text_behind_the_scheme_is_handled(text):
    url = f"postgresql://{text}"
    redact(url)
    with contextlib.suppress(ConfigurationError):
        assert read(url).nodes


@given(st.ip_addresses())
def test_only_loopback_addresses_go_without_proof(address):
    host = f"[{address}]" if address.version == 6 else str(address)
    config = read("postgresql://", node=host)
    mode = config.tls_for(config.nodes[0])["sslmode"]
    local = ipaddress.ip_address(address).is_loopback
    assert mode == ("disable" if local else "verify-full")
