"""Every command and every snippet of the migration guide, run as it is written in the example application.

What is written otherwise where it runs is in the calls below and in the README of ``examples/erp``: placeholders
of the guide, and two statements that PostgreSQL refuses.
"""

from __future__ import annotations

import inspect as python
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from sqlalchemy import create_engine, inspect

from cajanegra.storage.database import Database
from cajanegra.storage.verify import verify
from databases import Databases
from guide import EXAMPLE, README, Backend, Block, read, source

pytestmark = pytest.mark.postgres

TABLES = {"ai_request_logs", "ai_error_analysis", "ai_error_recovery"}
OF_THE_README = {"ERP de ejemplo", "Arrancar", "Probarlo"}
"""Headings of the example's README whose blocks are of its own; ``test_guide_backend`` does what they say."""
MIGRATE = "alembic upgrade head && alembic revision --autogenerate -m 'AI' && alembic upgrade head"
ROW = (
    "INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used, created_at)"
    " VALUES ('{}', 'classification', 10, 'ollama', '{}');"
)

T = TypeVar("T", bound=Callable[..., None])


def runs(*headings: str) -> Callable[[T], T]:
    """The headings of the guide whose blocks a test runs."""

    def mark(test: T) -> T:
        test.__dict__["runs"] = headings
        return test

    return mark


@pytest.fixture
def blocks(request: pytest.FixtureRequest) -> list[Block]:
    """The blocks that stand under the test's headings, in the order of the guide."""
    return [block for block in read(source()) if block.heading in request.function.runs]


@pytest.fixture
def backend(tmp_path: Path, empty_postgres_url: str) -> Backend:
    """The example, with an empty database."""
    return Backend(tmp_path, empty_postgres_url)


@pytest.fixture
def with_tables(tmp_path: Path, postgres_url: str) -> Backend:
    """The example, with an old call and a new one in the tables."""
    backend = Backend(tmp_path, postgres_url)
    now = datetime.now(UTC)
    backend.psql(ROW.format("old", now - timedelta(days=8)) + ROW.format("new", now))
    return backend


def test_no_block_of_the_guide_is_unknown() -> None:
    run = {
        heading
        for test in globals().values()
        if python.isfunction(test)
        for heading in test.__dict__.get("runs", ())
    }
    own = OF_THE_README if source() == README else set()
    assert {block.heading for block in read(source())} == run | own


def test_the_readme_has_each_block_of_the_guide() -> None:
    written = read(README)
    assert [block for block in read(source()) if block not in written] == []


@runs(
    "Paso 1: Crear la migración",
    "Paso 2: Verificar el archivo generado",
    "Paso 3: Aplicar migración",
    "Paso 4: Verificar",
)
def test_option_1_alembic(backend: Backend, blocks: list[Block]) -> None:
    create, look, apply, check = blocks
    backend.sh("alembic upgrade head")  # the application's own tables
    backend.sh(create.text, at=backend.root)
    should, includes = look.comments
    name = re.search(r"alembic/versions/xxxx(_\w+\.py)", should)
    assert name
    (file,) = backend.directory.glob(f"alembic/versions/*{name[1]}")
    made = set(re.findall(r"create_table\('(ai_\w+)'", file.read_text()))
    assert made == TABLES
    assert f"las {len(made)} tablas" in includes
    backend.sh(apply.text)
    assert (
        set(
            re.findall(r"CREATE TABLE public\.(ai_\w+)", backend.directory.joinpath("backup.sql").read_text())
        )
        == TABLES
    )
    shown = backend.sh(check.text)
    expected = [re.split(r"\s*\|\s*", line.lstrip("- ")) for line in check.comments if "|" in line]
    assert {name for _schema, name, _kind in expected} == TABLES
    for schema, table, kind in expected:
        assert re.search(rf"^ {schema} +\| {table} +\| {kind} ", shown, re.MULTILINE)


@runs("Con Alembic")
def test_rolling_back_with_alembic(backend: Backend, blocks: list[Block]) -> None:
    current, back_one, back_to = blocks[0].commands
    backend.sh(MIGRATE)
    assert backend.sh(current).endswith("(head)\n")
    backend.sh(back_one)
    assert backend.tables() == set()
    backend.sh("alembic upgrade head")
    assert backend.tables() == TABLES
    backend.sh(back_to, substitutions={"<revision>": "0001"})
    assert backend.tables() == set()
    assert backend.sh("alembic current").startswith("0001")


@runs("Crear tablas", "Ejecutar en psql", "Manual SQL")
def test_option_2_plain_sql(
    backend: Backend, blocks: list[Block], tmp_path: Path, postgres_databases: Databases
) -> None:
    create, execute, drop = blocks
    from_shell, inside_psql = execute.commands
    backend.directory.joinpath("ai_logging_tables.sql").write_text(create.text)
    backend.sh(from_shell)
    assert wrong_in(backend) == []
    with postgres_databases.empty() as url:
        other = Backend(tmp_path, url)
        other.psql(inside_psql)
        assert wrong_in(other) == []
    backend.psql(drop.text)
    assert backend.tables() == set()
    backend.psql(drop.text)
    backend.sh(from_shell)
    assert wrong_in(backend) == []


def wrong_in(backend: Backend) -> list[str]:
    """What is not as it must be of the three tables."""
    with Database(backend.url) as database:
        return [
            f"{f.table} {f.item} {f.state}"
            for f in verify(database)
            if f.table in TABLES and f.state != "present"
        ]


@runs("Opción 3: Genera SQL desde Modelos")
def test_option_3_models(
    backend: Backend, blocks: list[Block], tmp_path: Path, postgres_databases: Databases
) -> None:
    typed, from_shell = blocks
    assert backend.python(typed.text) == "Tablas creadas!\n"
    assert wrong_in(backend) == []
    assert backend.python(typed.text) == "Tablas creadas!\n"
    with postgres_databases.empty() as url:
        other = Backend(tmp_path, url)
        assert other.sh(from_shell.text) == "✅ Tablas creadas!\n"
        assert wrong_in(other) == []
        with Database(url) as database:
            assert {finding.state for finding in verify(database)} == {"present"}


@runs("Verificar tablas", "Verificar con Python")
def test_verification(with_tables: Backend, blocks: list[Block]) -> None:
    in_psql, in_python = blocks
    connect, *commands = in_psql.commands
    shown = with_tables.sh(connect, stdin="\n".join(commands))
    for name in TABLES:
        assert re.search(rf"^ public \| {name} +\| table ", shown, re.MULTILINE)
    assert 'Table "public.ai_request_logs"' in shown
    assert re.search(r"^ public \| ai_request_logs_pkey +\| index ", shown, re.MULTILINE)
    printed = with_tables.python(in_python.text)
    assert {line.split()[1] for line in printed.splitlines() if line.startswith("✅")} == TABLES
    assert "❌" not in printed
    assert len(re.findall(r"^  - \w+ \(", printed, re.MULTILINE)) == 28


@runs("ai_request_logs", "ai_error_analysis", "ai_error_recovery")
def test_the_structure_is_as_described(with_tables: Backend, blocks: list[Block]) -> None:
    types = {"SERIAL": "INTEGER", "FLOAT": "DOUBLE PRECISION"}
    engine = create_engine(with_tables.environment["DATABASE_URL"])
    for block in blocks:
        _head, _line, *rows = (line.split("|") for line in block.text.splitlines())
        described = [(name.strip(), types.get(kind.strip(), kind.strip())) for name, kind, _what in rows]
        found = inspect(engine).get_columns(block.heading)
        assert [
            (column["name"], re.sub(r"\(\d+\)", "", str(column["type"]))) for column in found
        ] == described
    engine.dispose()


@runs("Cleanup automático (script)")
def test_cleaning_up(with_tables: Backend, blocks: list[Block]) -> None:
    script, periodically = blocks
    place = script.text.splitlines()[0].removeprefix("# ")
    assert (EXAMPLE / place).read_text() == script.text
    cron, beat = periodically.commands
    schedule = re.fullmatch(r"((?:[\d*/,-]+ ){5})(.+)", cron)
    assert schedule
    done = with_tables.sh(
        schedule[2], at=with_tables.root, substitutions={"/app": str(with_tables.directory)}
    )
    assert done == "Eliminated 1 logs older than 7 days\n"
    assert with_tables.query("SELECT request_id FROM ai_request_logs") == [("new",)]
    assert_beat_knows_the_task(with_tables, beat, schedule[1].split())


def assert_beat_knows_the_task(backend: Backend, beat: str, schedule: list[str]) -> None:
    """The scheduler runs as written, at the same time as cron, and the task does what the script does."""
    minute, hour = schedule[:2]
    entry = "celeryconfig.beat_schedule['cleanup-ai-logs']"
    checked = f"import celeryconfig; when = {entry}['schedule']; print(when._orig_minute, when._orig_hour)"
    assert backend.python(checked) == f"{minute} {hour}\n"
    run = "from celery import current_app; current_app.config_from_object('celeryconfig'); "
    run += "current_app.loader.import_default_modules(); "
    run += "import celeryconfig; current_app.tasks[" + entry + "['task']].apply(throw=True)"
    assert backend.python(run) == "Eliminated 0 logs older than 7 days\n"
    environment = backend.environment | {"CELERY_BROKER_URL": "memory://", "PYTHONUNBUFFERED": "1"}
    command = [*beat.split(), "--loglevel", "INFO"]
    with subprocess.Popen(
        command, cwd=backend.directory, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        said = ""
        for line in process.stderr:
            said += line
            if "beat: Starting" in line:
                break
        process.send_signal(signal.SIGTERM)
        said += process.stderr.read()
    assert "beat: Starting" in said, said


@runs("Monitorear tamaño de tablas")
def test_sizes(with_tables: Backend, blocks: list[Block]) -> None:
    (query,) = blocks
    shown = with_tables.psql(query.text)
    assert set(re.findall(r"^ public +\| (\w+) +\| \d+ (?:bytes|kB)$", shown, re.MULTILINE)) == TABLES


@runs("Backup antes de migración")
def test_backing_up_and_restoring(
    with_tables: Backend, blocks: list[Block], tmp_path: Path, postgres_databases: Databases
) -> None:
    whole, tables, restore = blocks[0].commands
    with_tables.sh(whole)
    with_tables.sh(tables)
    (backup,) = with_tables.directory.glob("backup_*.sql")
    assert re.fullmatch(r"backup_\d{8}_\d{6}\.sql", backup.name)
    only = with_tables.directory.joinpath("ai_tables_backup.sql").read_text()
    assert set(re.findall(r"CREATE TABLE public\.(\w+)", only)) == TABLES
    with postgres_databases.empty() as url:
        other = Backend(tmp_path, url)
        other.sh(restore, substitutions={"backup_20250216_143022.sql": backup.name})
        assert other.query("SELECT request_id FROM ai_request_logs ORDER BY id") == [("old",), ("new",)]
        assert wrong_in(other) == []


@pytest.fixture
def role(backend: Backend) -> Iterator[str]:
    """A role that may do nothing yet."""
    name = f"cajanegra_test_{secrets.token_hex(4)}"
    with psycopg.connect(backend.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name}")
        yield name
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@runs(
    '"Error: relation does not exist"',
    '"Error: duplicate key value"',
    '"Error: permission denied"',
    '"Migración muy lenta"',
)
def test_troubleshooting(backend: Backend, blocks: list[Block], role: str) -> None:
    missing, duplicate, denied, slow = (
        [line.removeprefix("→").strip() for line in block.commands] for block in blocks
    )
    with psycopg.connect(backend.url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable, match="does not exist"):
            connection.execute("SELECT count(*) FROM ai_request_logs")
        assert missing[:2] == ["Tablas no fueron creadas", "Ejecutar migración de nuevo"]
        backend.sh("cajanegra db upgrade")
        (describe,) = re.findall(r"(\\d \w+)$", missing[2])
        assert 'Table "public.ai_request_logs"' in backend.psql(describe)

        (drop,) = re.findall(r"(DROP TABLE .* CASCADE;)", duplicate[2])
        backend.psql(drop, substitutions={"...": ", ".join(sorted(TABLES))})
        assert backend.tables() == set()
        backend.sh("cajanegra db upgrade")
        assert backend.tables() == TABLES
        assert "IF NOT EXISTS" in duplicate[1]
        backend.sh("cajanegra db sql | psql -U postgres -d your_database --set ON_ERROR_STOP=1")

        connection.execute(f"SET ROLE {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
            connection.execute("SELECT count(*) FROM ai_request_logs")
        # PostgreSQL has no patterns for names of tables in GRANT.
        given = {"ai_*": ", ".join(sorted(TABLES)), "your_user": role}
        backend.psql(denied[2], substitutions=given)
        connection.execute("SELECT count(*) FROM ai_request_logs")

    # "table" is a word of SQL and no name.
    backend.psql(slow[2], substitutions={"table(column)": "ai_request_logs(user_id)"})
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'idx_name'::regclass"
    assert backend.query(valid) == [(True,)]


def test_python_of_the_tests_is_the_one_the_commands_find(backend: Backend) -> None:
    found = backend.sh("python -c 'import sys; print(sys.prefix)'").strip()
    assert found == sys.prefix
