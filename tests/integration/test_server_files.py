"""A server that may not have as many files open as there are connections to it."""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from openai import InternalServerError, OpenAI

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.storage import reads
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from gateway_server import GOOD, START, gateway, head, provider, response_of, upstream
from provider_servers import answers, chat_completion

FILES = 200
"""Three fifths of them are for connections: 120."""


def test_connections_beyond_the_files_are_told_and_every_call_is_recorded(
    database: Database, tmp_path: Path
) -> None:
    with upstream() as first, ExitStack() as stack:
        first.script = answers(chat_completion())
        found: Counter[Any] = Counter()
        with gateway(tmp_path, database, files=FILES, providers=[provider("openai", first.url)]) as running:
            key = running.key()
            clients = [
                stack.enter_context(socket.create_connection(running.host, timeout=START)) for _ in range(150)
            ]
            with (
                OpenAI(base_url=running.v1, api_key=key, max_retries=0) as another,
                pytest.raises(InternalServerError, match="as many connections as it can have"),
            ):
                another.models.list()
            for client in clients:
                client.sendall(head(key, len(GOOD)) + GOOD)
            for client in clients:
                status, told = response_of(client)
                found[told["error"]["code"] if "error" in told else status] += 1
            running.stop()
        assert found["too_many_connections"] == 30
        rows = list(reads.iterate(database, CallFilter(ALL_TENANTS)))
        assert len(rows) == 120
        assert sum(row["status"] == "success" for row in rows) == found[200]
