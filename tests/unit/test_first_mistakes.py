"""What somebody meets on the first evening, before anything is opened."""

from __future__ import annotations

import logging
import sys

import pytest

import globaldb
import globaldb.mysql
import globaldb.postgresql

NODE = "node=us-west-2@10.0.0.1"


@pytest.mark.parametrize(
    ("scheme", "module", "modules"),
    [
        ("postgresql", "psycopg", ("dbapi.postgresql", "drivers.psycopg")),
        ("mysql", "pymysql", ("dbapi.mysql", "drivers.pymysql")),
    ],
)
def test_a_missing_driver_is_named_with_the_command_that_installs_it(
    monkeypatch, scheme, module, modules
):
    ours = tuple(f"globaldb.{name}" for name in modules)
    for name in list(sys.modules):
        if name.startswith((*ours, f"{module}.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(globaldb.ConfigurationError) as caught:
        globaldb.Cluster(f"{scheme}://app:word@/shop?{NODE}")
    assert f"pip install 'globaldb[{scheme}]'" in str(caught.value)
    assert module in str(caught.value)


@pytest.mark.parametrize("option", ["iam_auth=on", "secret=shop/app"])
def test_missing_boto3_is_told_of_at_once(monkeypatch, option):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(globaldb.ConfigurationError, match=r"globaldb\[aws\]") as told:
        globaldb.Cluster(f"postgresql://app@/shop?{NODE}&{option}")
    assert str(told.value).startswith(option.partition("=")[0])


@pytest.mark.parametrize(
    ("module", "scheme"), [(globaldb.postgresql, "mysql"), (globaldb.mysql, "postgres")]
)
def test_the_module_of_one_engine_takes_no_url_of_another(module, scheme):
    with pytest.raises(globaldb.ConfigurationError, match="the engine is"):
        module.connect(f"{scheme}://app:word@/shop?{NODE}")


def test_what_may_surprise_in_a_configuration_is_logged(caplog):
    with caplog.at_level(logging.WARNING, "globaldb"):
        globaldb.Cluster(f"postgresql://app:word@/shop?region=mars&{NODE}")
    assert "no node is in region mars" in caplog.text


def test_a_keyword_of_the_other_driver_is_refused_with_those_there_are():
    with pytest.raises(globaldb.ConfigurationError) as told:
        globaldb.connect(f"mysql://app:word@/shop?{NODE}", row_factory=tuple)
    assert str(told.value) == (
        "a connection to mysql takes no row_factory; it takes conv, cursorclass"
    )
