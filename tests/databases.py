"""Databases for the tests: a migrated template is made once per run and copied for each test."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL

from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from postgres import Server

_SECONDS_TO_DISCONNECT = 5.0
"""A backend goes away shortly after its client did."""


class Databases:
    """Makes databases on a PostgreSQL server and drops them again."""

    def __init__(self, server: Server) -> None:
        self._url = server.url
        self._run = f"cajanegra_test_{secrets.token_hex(4)}"
        self._template: str | None = None
        self._count = 0
        self._admin = psycopg.connect(_text(server.url), autocommit=True)

    @contextlib.contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of a database without tables."""
        with self._database("template0") as url:
            yield url

    @contextlib.contextmanager
    def migrated(self) -> Iterator[str]:
        """The URL of a database with the product's tables, as the migrations make them."""
        if self._template is None:
            self._template = f"{self._run}_template"
            self._create(self._template, "template0")
            with Database(self._url_of(self._template)) as database:
                migrate.upgrade(database)
        with self._database(self._template) as url:
            yield url

    def close(self) -> None:
        """Drop what is left."""
        if self._template is not None:
            self._drop(self._template)
        self._admin.close()

    @contextlib.contextmanager
    def _database(self, template: str) -> Iterator[str]:
        self._count += 1
        name = f"{self._run}_{self._count}"
        self._create(name, template)
        try:
            yield self._url_of(name)
            self._require_no_connections(name)
        finally:
            self._drop(name)

    def _require_no_connections(self, name: str) -> None:
        query = "SELECT application_name, state, query FROM pg_stat_activity WHERE datname = %s"
        deadline = time.monotonic() + _SECONDS_TO_DISCONNECT
        leaked: list[Any] = self._admin.execute(query, (name,)).fetchall()
        while leaked and time.monotonic() < deadline:
            time.sleep(0.01)
            leaked = self._admin.execute(query, (name,)).fetchall()
        assert not leaked, f"the test left connections open: {leaked}"

    def _create(self, name: str, template: str) -> None:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._admin.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))

    def _drop(self, name: str) -> None:
        self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _url_of(self, name: str) -> str:
        return _text(self._url.set(database=name))


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
