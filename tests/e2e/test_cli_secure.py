"""``cajanegra db secure`` as its user runs it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from command import Command

pytestmark = pytest.mark.postgres


@pytest.fixture
def role(postgres_url: str) -> Iterator[str]:
    name = f"cajanegra_test_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name}")
        yield name
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_on_and_off(postgres_url: str, role: str, tmp_path: Path) -> None:
    run = Command(tmp_path, postgres_url)
    assert "row-level security: off" in run("doctor").out
    shown = run("db", "secure", "--confine", f"{role}=acme", "--sql").out
    assert shown.startswith("BEGIN;\n")
    assert shown.endswith("COMMIT;\n")
    assert f'ON "ai_request_logs" TO "{role}" USING (tenant_id = \'acme\')' in shown
    assert "row-level security: off" in run("doctor").out
    done = run("db", "secure", "--confine", f"{role}=acme")
    assert re.search(r"on for \d+ tables", done.out)
    assert re.search(rf"{role} +acme", done.out)
    assert f"row-level security: on; confined: {role} (acme)" in run("doctor").out
    assert run("db", "verify").code == 0
    assert run("db", "secure", "--json").json["confined"] == [{"role": role, "tenant": "acme"}]
    assert run("db", "secure", "--off").out.startswith("Row-level security is off")
    assert "row-level security: off" in run("doctor").out


def test_what_is_wrong_is_said(postgres_url: str, role: str, tmp_path: Path, sqlite_url: str) -> None:
    run = Command(tmp_path, postgres_url)
    typo = run("db", "secure", "--confine", "no_such_role=acme")
    assert (typo.code, "there is no role no_such_role" in typo.err) == (2, True)
    assert run("db", "secure", "--confine", "=acme").code == 2
    assert run("db", "secure", "--off", "--confine", role).code == 2
    assert "row-level security is PostgreSQL's" in run("db", "secure", "--db", sqlite_url).err
