"""Alembic, as it sets itself up, migrates a database from far away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect, text

from globaldb.lab import Lab
from globaldb.runtime.cluster import _clusters

FAR = "ap-south-1"
MODEL = """
from sqlalchemy import Column, Integer, MetaData, String, Table

target_metadata = MetaData()
Table(
    "migrated",
    target_metadata,
    Column("id", Integer, primary_key=True),
    Column("label", String(50), index=True),
)


def only_ours(name, kind, parents):
    return kind != "table" or name == "migrated"
"""


def url_of(lab: Lab) -> str:
    return f"{lab.spec.engine}+globaldb://{lab.url(FAR).partition('://')[2]}"


@pytest.fixture
def project(engine_lab: Lab, tmp_path: Path) -> Iterator[Config]:
    """A project as ``alembic init`` leaves it, but for the URL and the metadata.

    Other tests have tables in the same database, which are not its own.
    """
    for one, other in combinations(engine_lab.spec.regions, 2):
        engine_lab.latency(one, other, 0.02)
    config = Config(tmp_path / "alembic.ini", stdout=(tmp_path / "said").open("w"))
    command.init(config, str(tmp_path / "migrations"))
    config.set_main_option("sqlalchemy.url", url_of(engine_lab).replace("%", "%%"))
    environment = tmp_path / "migrations" / "env.py"
    own = environment.read_text().replace("fileConfig(", "str(")
    own = own.replace("=target_metadata", "=target_metadata, include_name=only_ours")
    environment.write_text(own.replace("target_metadata = None", MODEL))
    yield config
    config.stdout.close()
    engine = create_engine(url_of(engine_lab))
    with engine.begin() as connection:
        for table in ("migrated", "alembic_version"):
            connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
    logging.getLogger("alembic").setLevel(logging.NOTSET)


def elsewhere(work: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """Do it as another process would: with no knowledge of this one's."""
    with ThreadPoolExecutor(1) as one:
        one.submit(work, *arguments, **options).result()
    for cluster in list(_clusters):
        cluster.close()


@pytest.mark.parametrize(
    "engine", ["postgresql", "mariadb"], indirect=True, scope="session"
)
def test_what_was_migrated_is_seen_by_the_next_command_at_once(
    engine_lab: Lab, project: Config
) -> None:
    engine_lab.lag(FAR, 3.0)

    elsewhere(command.revision, project, "the first", autogenerate=True)
    elsewhere(command.upgrade, project, "head")
    elsewhere(command.check, project)

    engine = create_engine(url_of(engine_lab))
    found = inspect(engine).get_columns("migrated")
    assert [column["name"] for column in found] == ["id", "label"]

    elsewhere(command.downgrade, project, "base")
    assert not inspect(engine).has_table("migrated")
