"""Who the application is: one source of the password, and TLS where it needs it."""

from __future__ import annotations

from functools import partial

import pytest

from globaldb.config import NodeAddress, configure
from globaldb.config.authentication import BUNDLE, secret_region, signing_region
from globaldb.errors import ConfigurationError

RDS = "shop.c7wxyz0abc12.ap-south-1.rds.amazonaws.com"
PROXY = "shop.proxy-c7wxyz0abc12.ap-south-1.rds.amazonaws.com"
GLOBAL = "shop.global-c7wxyz0abc12.global.rds.amazonaws.com"
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-AbCdEf"


@pytest.fixture
def read(tmp_path):
    return partial(configure, environ={}, folder=tmp_path, home=tmp_path)


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "bundle.pem"
    path.touch()
    return str(path)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"iam_auth": True}, "password (URL) and from iam_auth (keyword)"),
        ({"secret": "shop"}, "password (URL) and from secret (keyword)"),
    ],
)
def test_the_password_comes_from_one_place(read, given, named):
    with pytest.raises(ConfigurationError) as refused:
        read("postgresql://app:hidden@db.example/shop", **given)
    assert named in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_a_token_and_a_secret_are_two_places(read):
    with pytest.raises(ConfigurationError, match=r"iam_auth .* and from secret"):
        read("mysql://app@db.example/shop?iam_auth=on&secret=shop")


def test_a_switch_that_is_off_is_no_place(read):
    config = read("postgresql://app:word@db.example/shop?iam_auth=off")
    assert config.password_for(config.nodes[0]).reveal() == "word"


def test_where_a_secret_is_needs_a_secret(read):
    with pytest.raises(ConfigurationError, match=r"secret_region .* without secret"):
        read("mysql://app@db.example/shop", secret_region="eu-west-1")


@pytest.mark.parametrize("source", ["iam_auth=on", "secret=shop"])
def test_the_password_file_is_not_looked_at_beside_aws(read, tmp_path, source):
    passfile = tmp_path / ".pgpass"
    passfile.write_text("*:*:*:*:from-the-file\n")
    passfile.chmod(0o600)
    config = read(f"postgresql://app@db.example/shop?{source}")
    assert config.password_for(config.nodes[0]) is None


# TLS.


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_a_token_is_not_sent_where_libpq_may_leave_tls_out(read, mode):
    with pytest.raises(ConfigurationError, match=rf"needs TLS.*sslmode is {mode}"):
        read(f"postgresql://app@db.example/shop?iam_auth=on&sslmode={mode}")


@pytest.mark.parametrize("off", ["ssl_mode=disabled", "ssl_disabled=on"])
def test_a_token_is_not_sent_where_tls_is_turned_off(read, off):
    with pytest.raises(ConfigurationError, match="needs TLS"):
        read(f"mysql://app@db.example/shop?iam_auth=on&{off}")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://app@127.0.0.1/shop", ("sslmode", "verify-full")),
        ("mysql://app@127.0.0.1/shop", ("ssl_mode", "verify_identity")),
    ],
)
def test_a_token_has_tls_on_loopback_too(read, url, expected):
    name, mode = expected
    config = read(url, iam_auth=True)
    assert config.tls_for(config.nodes[0])[name] == mode
    plain = read(url)
    assert plain.tls_for(plain.nodes[0])[name] != mode


def test_a_token_is_signed_for_somebody(read):
    with pytest.raises(ConfigurationError, match="needs user="):
        read("mysql://db.example/shop", iam_auth=True)


def test_hosts_of_rds_are_proven_with_the_bundle_of_rds(read, bundle):
    nodes = [f"ap-south-1@{RDS}", "eu-west-1@db.example", f"ap-south-1@{PROXY}"]
    config = read("postgresql:///shop", node=nodes, rds_ca=bundle)
    trusted = [config.tls_for(node)["sslrootcert"] for node in config.nodes]
    assert trusted == [bundle, "system", "system"]
    own = read("postgresql:///shop", node=nodes, rds_ca=bundle, sslrootcert="/own")
    trusted = [own.tls_for(node)["sslrootcert"] for node in own.nodes]
    assert trusted == [bundle, "/own", "/own"]


def test_mysql_hosts_of_rds_are_proven_with_the_bundle_of_rds(read, bundle):
    nodes = [f"ap-south-1@{RDS}", "eu-west-1@db.example", f"ap-south-1@{PROXY}"]
    config = read("mysql:///shop", node=nodes, rds_ca=bundle)
    trusted = [config.tls_for(node).get("ssl_ca") for node in config.nodes]
    assert trusted == [bundle, None, None]


def test_a_missing_bundle_is_said_with_where_to_get_it(read, tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        read("mysql:///shop", rds_ca=str(tmp_path / "none.pem"))
    assert "none.pem, which is no file" in str(refused.value)
    assert BUNDLE in str(refused.value)


def test_a_bundle_in_the_home_folder_is_found(read, bundle):
    assert read("mysql:///shop", rds_ca="~/bundle.pem").rds_ca == bundle


def test_a_host_of_rds_without_a_bundle_is_remarked_on(read, bundle):
    url = f"postgresql://app:word@{RDS}/shop"
    assert [note for note in read(url).notes if BUNDLE in note]
    assert not read(url, rds_ca=bundle).notes
    assert not read(url, sslrootcert=bundle).notes
    assert not read(f"postgresql://app:word@{PROXY}/shop").notes
    world = "postgresql://app:word@/shop?global_cluster=shop&region=ap-south-1"
    assert [note for note in read(world).notes if BUNDLE in note]


def test_who_asks_for_no_proof_is_told_that_and_nothing_of_certificates(read):
    for where in (f"@{RDS}/shop", "@/shop?global_cluster=shop&region=ap-south-1"):
        [note] = read(f"postgresql://app:word{where}", sslmode="require").notes
        assert note.endswith("need not prove who it is (sslmode=require)")


# Regions.


@pytest.mark.parametrize(
    ("node", "region"),
    [
        (NodeAddress(None, RDS, 5432), "ap-south-1"),
        (NodeAddress("home", RDS.upper(), 5432), "ap-south-1"),
        (NodeAddress("us-gov-west-1", "db.example", 5432), "us-gov-west-1"),
        (NodeAddress(None, PROXY, 5432), "ap-south-1"),
        (NodeAddress("us-west-2", GLOBAL, 5432), None),
    ],
)
def test_a_token_is_signed_for_the_region_of_the_host(node, region):
    assert signing_region(node) == region


@pytest.mark.parametrize("label", [None, "global", "home"])
def test_no_token_is_signed_for_what_is_no_region(label):
    with pytest.raises(ConfigurationError, match="neither the host's name nor node="):
        signing_region(NodeAddress(label, "db.example", 5432))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((ARN, None, "us-west-2"), "eu-west-1"),
        ((ARN, "ap-south-1", "us-west-2"), "ap-south-1"),
        (("shop", None, "us-west-2"), "us-west-2"),
        (("shop", None, "home"), None),
        (("shop", None, None), None),
    ],
)
def test_a_secret_is_looked_for_where_it_says_or_at_home(given, expected):
    assert secret_region(*given) == expected
