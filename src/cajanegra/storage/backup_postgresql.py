"""PostgreSQL's side of backups: pg_dump's custom format, and a restore in one transaction."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from sqlalchemy import text

from cajanegra.errors import StorageError
from cajanegra.storage import partitions
from cajanegra.storage.database import Database, reading
from cajanegra.storage.partitions import Partition
from cajanegra.storage.tables import Base

INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of each version."""


def dump(db: Database, tables: Sequence[str], path: Path, on_progress: Callable[[int, int], None]) -> None:
    """Write the tables to ``path``; the rows of partitions so that they go into any storage."""
    with reading(db) as connection:
        tables = [*tables, *(one.name for one in partitions.partitions(connection))]
    names = [f"--table={name}" for name in _qualified(db, tables)]
    options = ["--format=custom", "--verbose", "--no-password", f"--file={path}", f"--dbname={_address(db)}"]
    options.append("--load-via-partition-root")
    command = [program("pg_dump"), *options, *names]
    with subprocess.Popen(command, env=_environment(db), stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - no shell
        assert process.stderr is not None  # noqa: S101 - tells the type checker
        said: list[str] = []
        done = 0
        for line in process.stderr:
            said.append(line)
            if "dumping contents of table" in line:
                done += 1
                on_progress(done, len(tables))
    if process.returncode:
        raise StorageError(f"pg_dump failed: {_complaint(''.join(said))}")


def load(db: Database, tables: Sequence[str], path: Path, on_progress: Callable[[int, int], None]) -> None:
    """Replace the rows of ``tables`` by those in ``path``.

    pg_restore writes a script that psql runs: only so are the old rows deleted and the new ones loaded in one
    transaction, into tables that keep their owners, privileges and views.
    """
    qualified = _qualified(db, tables)
    others = _partitions_in(path)
    with reading(db) as connection:
        is_partitioned = partitions.is_partitioned(connection)
    if is_partitioned:
        partitions.make_like(db, others)
    read = [
        program("pg_restore"),
        "--data-only",
        "--file=-",
        *(f"--table={name}" for name in [*tables, *(one.name for one in others)]),
        str(path),
    ]
    run = [program("psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]
    run += ["--output=/dev/null", f"--dbname={_address(db)}"]
    begin = f"BEGIN;\nTRUNCATE {', '.join(qualified)};\n"
    models = Base.metadata.tables
    numbered = [full for name, full in zip(tables, qualified, strict=True) if "id" in models[name].columns]
    end = "".join(_sequence(name) for name in numbered) + "COMMIT;\n"
    with tempfile.TemporaryFile() as restore_said, tempfile.TemporaryFile() as psql_said:
        reader = subprocess.Popen(read, env=_environment(db), stdout=subprocess.PIPE, stderr=restore_said)  # noqa: S603 - no shell
        writer = subprocess.Popen(run, env=_environment(db), stdin=subprocess.PIPE, stderr=psql_said)  # noqa: S603 - no shell
        with reader, writer:
            assert reader.stdout is not None and writer.stdin is not None  # noqa: S101, PT018 - tells the type checker
            try:
                writer.stdin.write(begin.encode())
                _copy(reader.stdout, writer.stdin, len(tables), on_progress)
                # Without the COMMIT psql ends and everything is as it was.
                if reader.wait() == 0:
                    writer.stdin.write(end.encode())
                writer.stdin.close()
            except BrokenPipeError:  # psql has given up, and says why
                reader.kill()
                with contextlib.suppress(BrokenPipeError):
                    writer.stdin.close()
        if writer.returncode:
            raise StorageError(f"{db.label} refused the backup: {_complaint(_text(psql_said))}")
        if reader.returncode:
            raise StorageError(f"{path} cannot be restored: {_complaint(_text(restore_said))}")
    on_progress(len(tables), len(tables))


def _partitions_in(path: Path) -> list[Partition]:
    """The partitions whose rows are in a backup."""
    command = [program("pg_restore"), "--schema-only", "--file=-", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    found = (partitions.parse(name, bounds) for name, bounds in _ATTACHED.findall(said.stdout))
    return [one for one in found if one is not None]


_ATTACHED = re.compile(r"ai_request_logs ATTACH PARTITION \S*?\b(ai_request_logs_p\d{8}) (FOR VALUES .*);")


def program(name: str) -> str:
    """The path of one of PostgreSQL's client programs.

    Raises:
        StorageError: it is not installed.
    """
    if found := shutil.which(name):
        return found
    installed = INSTALLED.glob(f"*/bin/{name}")
    newest = max(installed, key=lambda path: float(path.parent.parent.name), default=None)
    if newest is None:
        raise StorageError(
            f"{name} is not installed; it comes with PostgreSQL's client programs "
            "(apt-get install postgresql-client)"
        )
    return str(newest)


def _copy(source: IO[bytes], target: IO[bytes], tables: int, on_progress: Callable[[int, int], None]) -> None:
    begun = 0
    for line in source:
        if not begun and line.startswith(b"SET transaction_timeout"):
            continue  # pg_restore 17 and newer set it, servers before 17 do not know it
        if line.startswith(b"COPY "):  # rows begin with an id
            on_progress(begun, tables)
            begun += 1
        target.write(line)


def _qualified(db: Database, tables: Sequence[str]) -> list[str]:
    """The names with their schema, quoted: pg_dump and pg_restore run with an empty search path."""
    query = text(
        "SELECT quote_ident(nspname) || '.' || quote_ident(relname) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = to_regclass(:name)"
    )
    with reading(db) as connection:
        return [connection.execute(query, {"name": name}).scalar_one() for name in tables]


def _sequence(table: str) -> str:
    """SQL that lets a table's ids go on after the highest one."""
    sequence = f"pg_get_serial_sequence('{table}', 'id')"
    return (
        f"SELECT setval({sequence}, GREATEST((SELECT max(id) FROM {table}), nextval({sequence})))"  # noqa: S608 - a name of the models
        f" WHERE {sequence} IS NOT NULL;\n"
    )


def _address(db: Database) -> str:
    """The URL without its password, which other users of the machine could read off the command line."""
    url = db.url.set(drivername="postgresql", password=None).difference_update_query(["password"])
    return url.render_as_string()


def _environment(db: Database) -> dict[str, str]:
    environment = {**os.environ, "LC_ALL": "C"}
    password = db.url.password or db.url.query.get("password")
    if password:
        environment["PGPASSWORD"] = str(password)
    return environment


def _complaint(said: str) -> str:
    """The first error of a program, without the lines that may quote a row."""
    errors = [line for line in said.splitlines() if "error:" in line.lower()]
    return errors[0].strip() if errors else " ".join(said.split())[-300:] or "it says nothing"


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
