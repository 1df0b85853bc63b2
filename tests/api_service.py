"""The REST API as its callers find it: served by cajanegra, or mounted in somebody else's application."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from sqlalchemy import create_engine

from cajanegra.domain.principal import ALL_TENANTS, Principal, Role, Scope
from cajanegra.server import create_app, logs_router
from cajanegra.settings import Settings
from cajanegra.storage import keys
from cajanegra.storage.database import Database
from cajanegra.storage.tables import Base

Host = Literal["standalone", "mounted"]
LOGS = "/api/v1/ai/logs"
_HOSTS_OWN = "X-Erp-User"
_PROVIDERS = '[{"name": "openai", "base_url": "http://127.0.0.1:9/v1", "models": ["gpt-4o"]}]'
_KEPT = ("cajanegra_version", "cajanegra_keys")


@dataclass
class Caller:
    """A client; paths begin behind ``/api/v1/ai/logs``."""

    client: httpx2.Client
    url: str

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.client.get(self.url + path, **options)

    def post(self, path: str, **options: Any) -> httpx2.Response:
        return self.client.post(self.url + path, **options)

    def patch(self, path: str, **options: Any) -> httpx2.Response:
        return self.client.patch(self.url + path, **options)

    def delete(self, path: str, **options: Any) -> httpx2.Response:
        return self.client.delete(self.url + path, **options)


@dataclass
class Service:
    """An API that answers at ``url``."""

    host: Host
    url: str
    database: Database
    app: FastAPI
    _keys: dict[tuple[Scope, Role], str] = field(default_factory=dict)

    def headers(self, scope: Scope, role: Role = Role.READER) -> dict[str, str]:
        """What a caller of this scope and role sends."""
        if self.host == "mounted":
            return {_HOSTS_OWN: f"{role}:{scope if isinstance(scope, str) else ''}"}
        if (scope, role) not in self._keys:
            _key, secret = keys.create(self.database, scope=scope, role=role, now=datetime.now(UTC))
            self._keys[scope, role] = secret.text
        return {"Authorization": f"Bearer {self._keys[scope, role]}"}

    @contextlib.contextmanager
    def client(self, scope: Scope, role: Role = Role.READER) -> Iterator[Caller]:
        """A client of this scope and role."""
        with httpx2.Client(headers=self.headers(scope, role), timeout=30) as client:
            yield Caller(client, self.url + LOGS)

    def get(self, path: str, scope: Scope = ALL_TENANTS, **params: Any) -> httpx2.Response:
        """One request of a reader."""
        with self.client(scope) as client:
            return client.get(path, params=params or None)

    def wait_for(self, request_id: str, scope: Scope = ALL_TENANTS) -> dict[str, Any]:
        """A call that is on its way to the database."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if (found := self.get(f"/{request_id}", scope)).status_code == 200:
                return dict(found.json())
            time.sleep(0.02)
        raise AssertionError(f"{request_id} does not come")


def emptied(service: Service) -> None:
    """Leave nothing but the keys."""
    with service.database.transaction() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            if table.name not in _KEPT:
                connection.execute(table.delete())


@contextlib.contextmanager
def served(host: Host, url: str, providers: str = _PROVIDERS) -> Iterator[Service]:
    """The API on a database, at a port of its own; ``providers`` as the environment has them."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(Database(url))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CAJANEGRA_PROVIDERS", providers)
            app = _standalone(url) if host == "standalone" else stack.enter_context(_mounted(url))
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", access_log=False))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield Service(host, f"http://127.0.0.1:{listening.getsockname()[1]}", database, app)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def _standalone(url: str) -> FastAPI:
    return create_app(Settings(database={"url": url}))


@contextlib.contextmanager
def _mounted(url: str) -> Iterator[FastAPI]:
    """A host with its own engine, and users who have nothing to do with our keys."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))

    def signed_in(request: Request) -> Principal:
        role, _, tenant = request.headers.get(_HOSTS_OWN, "").partition(":")
        if not role:
            raise HTTPException(401, "sign in")
        return Principal(tenant or ALL_TENANTS, Role(role), "somebody")

    app = FastAPI(title="erp")
    app.include_router(logs_router(principal=signed_in, engine=engine))
    try:
        yield app
    finally:
        engine.dispose()
