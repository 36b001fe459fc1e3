"""Tokens of IAM: signed here by boto3, for the node's own region, and not for long."""

from __future__ import annotations

import sys
from time import monotonic
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from globaldb.config import NodeAddress
from globaldb.errors import ConfigurationError, NoNodeAvailableError, OperationalError
from globaldb.runtime.iam import LIFETIME, IamTokens, Led

INDIA = NodeAddress(None, "Shop.c7wxyz0abc12.ap-south-1.rds.amazonaws.com.", 5432)
OREGON = NodeAddress("us-west-2", "db.example", 5433)
WORLD = NodeAddress(None, "shop.global-c7wxyz0abc12.global.rds.amazonaws.com", 5432)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def aws(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-key-of-the-key")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def tokens(clock=monotonic, behind=None, **options):
    def nowhere(host, deadline):
        return None

    behind = behind or nowhere
    return IamTokens("app", behind=behind, patience=5, clock=clock, **options)


def token(source, node):
    login = source.login(node, monotonic() + 5)
    assert login.user == "app"
    return login.password.reveal()


def signed_for(text):
    """Host, port and region that a token is signed for."""
    parts = urlsplit(f"https://{text}")
    said = {name: value for name, [value] in parse_qs(parts.query).items()}
    assert (said["Action"], said["DBUser"]) == ("connect", "app")
    assert float(said["X-Amz-Expires"]) == LIFETIME
    key, _, region, service, _ = said["X-Amz-Credential"].split("/")
    assert (key, service) == ("AKIDEXAMPLE", "rds-db")
    return parts.hostname, parts.port, region


def test_a_token_is_signed_for_the_node_and_its_region():
    source = tokens()
    name = "shop.c7wxyz0abc12.ap-south-1.rds.amazonaws.com"
    assert signed_for(token(source, INDIA)) == (name, 5432, "ap-south-1")
    assert signed_for(token(source, OREGON)) == ("db.example", 5433, "us-west-2")


def test_a_token_is_what_boto3_signs(clock):
    [text] = {token(tokens(clock), OREGON)}
    client = boto3.client("rds", region_name="us-west-2")
    theirs = client.generate_db_auth_token("db.example", 5433, "app")
    # But for the second in which it was signed.
    ours, theirs = (t.split("X-Amz-Date")[0] for t in (text, theirs))
    assert ours == theirs


SHOP = Led("shop.cluster-c7wxyz0abc12.eu-west-1.rds.amazonaws.com", "eu-west-1")


class Names:
    """Where each name leads; a name that is not known has no answer."""

    def __init__(self, led):
        self.led = led
        self.asked = []
        self.patience = []

    def __call__(self, host, deadline):
        self.asked.append(host)
        self.patience.append(deadline - monotonic())
        if host not in self.led:
            raise NoNodeAvailableError("the DNS does not tell")
        return self.led[host]


def test_a_token_for_the_global_endpoint_is_signed_where_it_leads():
    names = Names({WORLD.host: SHOP})
    signed = signed_for(token(tokens(behind=names), WORLD))
    assert signed == (WORLD.host, 5432, "eu-west-1")
    assert names.asked == [WORLD.host]


def test_a_name_of_ones_own_is_followed_to_the_one_that_is_signed_for():
    names = Names({"db.example": SHOP})
    signed = signed_for(token(tokens(behind=names), OREGON))
    assert signed == (SHOP.host, 5433, "eu-west-1")


@pytest.mark.parametrize("led", [{"db.example": None}, {}])
def test_a_name_of_ones_own_that_leads_to_none_of_rds_is_signed_for_as_it_is(led):
    names = Names(led)
    signed = signed_for(token(tokens(behind=names), OREGON))
    assert signed == ("db.example", 5433, "us-west-2")
    # Most of the time there is for connecting is left for that.
    assert max(names.patience) <= 1.0


def test_nobody_is_asked_where_a_name_of_rds_leads():
    names = Names({})
    token(tokens(behind=names), INDIA)
    assert names.asked == []


def test_where_a_name_led_last_counts_while_the_dns_is_silent():
    names = Names({WORLD.host: SHOP})
    source = tokens(behind=names)
    first = token(source, WORLD)
    names.led.clear()
    assert token(source, WORLD) == first
    assert names.patience[0] > 1.0 >= names.patience[1]


@pytest.mark.parametrize("led", [{WORLD.host: None}, {}])
def test_a_global_endpoint_that_leads_nowhere_has_no_token(led):
    with pytest.raises(NoNodeAvailableError, match="instance whose region is known"):
        token(tokens(behind=Names(led)), WORLD)


def test_the_label_global_is_never_signed_for():
    with pytest.raises(ConfigurationError, match="tells one"):
        token(tokens(), NodeAddress("global", "db.example", 5432))


def test_a_token_is_kept_until_most_of_its_life_is_over(clock):
    source = tokens(clock, lifetime=100.0)
    first = source.login(INDIA, monotonic() + 5)
    clock.now += 79.9
    assert source.login(INDIA, monotonic() + 5) is first
    clock.now += 0.1
    assert source.login(INDIA, monotonic() + 5) is not first


def test_each_node_has_a_token_of_its_own():
    source = tokens()
    first = source.login(INDIA, monotonic() + 5)
    other = NodeAddress(None, INDIA.host, 5433)
    assert source.login(other, monotonic() + 5) is not first
    assert source.login(INDIA, monotonic() + 5) is first


def test_an_old_token_that_is_refused_is_signed_again_once(clock):
    source = tokens(clock)
    refused = source.login(INDIA, monotonic() + 5)
    assert not source.renew(INDIA, refused, monotonic() + 5)
    clock.now += 60
    assert source.renew(INDIA, refused, monotonic() + 5)
    other = source.login(INDIA, monotonic() + 5)
    assert other is not refused
    assert not source.renew(INDIA, other, monotonic() + 5)


def test_a_renewed_token_serves_all_that_were_refused(clock):
    source = tokens(clock)
    refused = source.login(INDIA, monotonic() + 5)
    clock.now += 60
    assert source.renew(INDIA, refused, monotonic() + 5)
    other = source.login(INDIA, monotonic() + 5)
    assert source.renew(INDIA, refused, monotonic() + 5)
    assert source.login(INDIA, monotonic() + 5) is other


def test_without_credentials_there_is_no_token(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(OperationalError) as refused:
        token(tokens(), INDIA)
    assert "in ap-south-1: NoCredentialsError; give the machine a role" in str(
        refused.value
    )
    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AWS_PROFILE", "nobody", "ProfileNotFound; look at AWS_PROFILE"),
        ("AWS_SECRET_ACCESS_KEY", None, "PartialCredentialsError; set both AWS_ACC"),
        ("AWS_ENDPOINT_URL_RDS", "no url", "ValueError; look at the variables"),
    ],
)
def test_what_is_wrong_with_the_configuration_of_aws_is_an_error_of_ours(
    monkeypatch, name, value, says
):
    monkeypatch.delenv(name, raising=False)
    if value is not None:
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"cannot be asked: {says}"):
        token(tokens(), INDIA)


def test_without_boto3_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'globaldb\[aws\]'"):
        token(tokens(), INDIA)


def test_a_forked_child_signs_for_itself():
    source = tokens()
    first = token(source, INDIA)
    with source._lock:  # held by a thread that the child does not have
        source.forget_after_fork()
    assert token(source, OREGON) != first


def test_no_token_is_shown():
    source = tokens()
    text = token(source, INDIA)
    shown = repr(source) + repr(source.login(INDIA, monotonic() + 5))
    assert text.rpartition("Signature=")[2] not in shown
