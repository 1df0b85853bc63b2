"""A database that restarts, is cut off, is full or refuses a row costs no call."""

from __future__ import annotations

import random
import secrets
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

import postgres
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from crash.check import Tables, require_all
from crash.fleet import Fleet, ended, fleet
from crash.ledger import read_all
from crash.proxy import Cut, Proxy
from crash.size import ROUNDS

HOSTS = 2


@pytest.fixture
def cluster_url(cluster: postgres.Cluster) -> str:
    """A database with the product's tables in the cluster that may be restarted."""
    name = f"crash_{secrets.token_hex(4)}"
    with psycopg.connect(text_of(cluster), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = text_of(cluster, name)
    with Database(url) as database:
        migrate.upgrade(database)
    return url


def text_of(cluster: postgres.Cluster, name: str = "postgres") -> str:
    return cluster.url.set(database=name).render_as_string(hide_password=False)


def end_all(ships: Fleet, callers: list[subprocess.Popen[str]]) -> None:
    """End callers in good order: nothing may have been dropped, and all must be there at once."""
    said = [ended(caller) for caller in callers]
    assert said == [{"flushed": True, "dropped": 0}] * len(callers)
    require_all(ships.url, read_all(ships.ledgers))


@pytest.mark.parametrize("how", ["fast", "immediate", "terminated"])
def test_postgresql_that_restarts(
    cluster: postgres.Cluster,
    cluster_url: str,
    tmp_path: Path,
    how: Literal["fast", "immediate", "terminated"],
) -> None:
    dice = random.Random()  # noqa: S311 - chance, not secrets
    with fleet(cluster_url, tmp_path) as ships:
        callers = [ships.caller(host=host) for host in range(HOSTS)]
        for _ in range(ROUNDS):
            time.sleep(dice.uniform(0.1, 0.6))
            if how == "terminated":
                terminate_connections(cluster_url)
            else:
                cluster.stop(how)
                time.sleep(dice.uniform(0, 0.5))
                cluster.start()
        end_all(ships, callers)


def terminate_connections(url: str) -> None:
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(query, (connection.info.backend_pid,))


@pytest.fixture
def proxy(cluster: postgres.Cluster) -> Iterator[Proxy]:
    """Stands before the cluster."""
    with Proxy(cluster.port) as proxy:
        yield proxy


@pytest.mark.parametrize("cut", [Cut.IN_COPY, Cut.BEFORE_COMMIT, Cut.AFTER_COMMIT])
def test_connections_that_are_cut(
    cluster: postgres.Cluster, cluster_url: str, proxy: Proxy, tmp_path: Path, cut: Cut
) -> None:
    through = cluster_url.replace(f":{cluster.port}/", f":{proxy.port}/")
    with fleet(through, tmp_path) as ships:
        proxy.cut(cut, ROUNDS)
        callers = [ships.caller(host=host) for host in range(HOSTS)]
        proxy.wait_for(cut, ROUNDS)
        end_all(ships, callers)


def test_drains_that_are_killed_before_they_learn_of_their_commit(
    cluster: postgres.Cluster, cluster_url: str, proxy: Proxy, tmp_path: Path
) -> None:
    through = cluster_url.replace(f":{cluster.port}/", f":{proxy.port}/")
    with fleet(through, tmp_path) as ships:
        with refusing(cluster_url):
            caller = ships.caller("--pause", "0")
            time.sleep(0.5)
            caller.kill()
            caller.communicate()
        for number in range(ROUNDS):
            proxy.cut(Cut.HELD_AFTER_COMMIT)
            drain = ships.drain()
            proxy.wait_for(Cut.HELD_AFTER_COMMIT, number + 1)
            drain.kill()
            drain.communicate()
        ships.drained()
        require_all(ships.url, read_all(ships.ledgers))


@contextmanager
def refusing(url: str) -> Iterator[None]:
    """A database that has no room for another call, for as long."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(make_url(url).database or "", isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")  # SQLite has one writer: nobody else can be it
            yield
            lock.execute("ROLLBACK")
        return
    body = "BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
        connection.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON ai_request_logs EXECUTE FUNCTION full_disk()"
        )
        yield
        connection.execute("DROP FUNCTION full_disk() CASCADE")


def test_a_database_that_cannot_be_written_to_for_a_while(ships: Fleet) -> None:
    with refusing(ships.url):
        callers = [ships.caller(host=host) for host in range(HOSTS)]
        time.sleep(1)
    end_all(ships, callers)


def test_a_caller_that_ends_while_the_database_is_away(ships: Fleet) -> None:
    with refusing(ships.url):
        caller = ships.caller("--calls", "300", "--pause", "0", "--patience", "0.2")
        ended(caller)
        assert Tables.read(ships.url).calls == []
    ships.drained()
    require_all(ships.url, read_all(ships.ledgers))


def test_feedback_that_is_written_before_its_call(ships: Fleet) -> None:
    with refusing(ships.url):
        caller = ships.start("-c", "from crash.host import *; begin('call-1')(); os._exit(0)", host=0)
        assert caller.wait(20) == 0
    script = "from crash.host import *; from crash.plan import plan_of; recorder.feedback('call-1', 'thumbs_down', tenant_id=plan_of('call-1').tenant_id)"
    assert ships.start("-c", f"{script}; recorder.close()", host=1).wait(20) == 0
    for host in (1, 0, 1):
        ships.drained(host)
    (row,) = Tables.read(ships.url).calls
    assert row["user_feedback"] == "thumbs_down"


def test_calls_that_the_database_refuses_until_it_is_mended(ships: Fleet) -> None:
    with refusing_some(ships.url):
        callers = [ships.caller(host=host) for host in range(HOSTS)]
        time.sleep(0.5)
        for caller in callers:
            ended(caller)
    kept = sum(ships.status(host)["quarantined_records"] for host in range(HOSTS))
    names = read_all(ships.ledgers).keys()
    assert kept >= sum(name.endswith("-7") for name in names) > 0
    assert {row["request_id"] for row in Tables.read(ships.url).calls} == {
        name for name in names if not name.endswith("-7")
    }
    for host in range(HOSTS):
        assert ships.drain("--quarantined", host=host).wait(20) == 0
    require_all(ships.url, read_all(ships.ledgers))


@contextmanager
def refusing_some(url: str) -> Iterator[None]:
    """A database that takes no call that is somebody's seventh, for as long."""
    when = "NEW.request_id LIKE '%-7'"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(make_url(url).database or "")) as connection:
            connection.execute(
                f"CREATE TRIGGER seven BEFORE INSERT ON ai_request_logs WHEN {when} "
                "BEGIN SELECT RAISE(ABORT, 'no sevens'); END"
            )
            yield
            connection.execute("DROP TRIGGER seven")
        return
    with psycopg.connect(url, autocommit=True) as connection:
        body = "BEGIN RAISE EXCEPTION 'no sevens' USING ERRCODE = 'check_violation'; END"
        connection.execute(f"CREATE FUNCTION seven() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
        connection.execute(
            "CREATE TRIGGER seven BEFORE INSERT ON ai_request_logs FOR EACH ROW "
            f"WHEN ({when}) EXECUTE FUNCTION seven()"
        )
        yield
        connection.execute("DROP FUNCTION seven() CASCADE")
