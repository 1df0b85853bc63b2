"""``cajanegra serve`` and ``cajanegra keys`` as their users run them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from command import Command
from server_process import Server, serving, until

RECENT = "/api/v1/ai/logs/recent?hours=1"


@pytest.fixture
def on_postgresql(postgres_url: str, tmp_path: Path) -> Command:
    return Command(tmp_path, postgres_url, XDG_STATE_HOME=str(tmp_path / "state"))


@pytest.fixture
def on_sqlite(sqlite_url: str, tmp_path: Path) -> Command:
    return Command(tmp_path, sqlite_url, XDG_STATE_HOME=str(tmp_path / "state"))


def new_key(cajanegra: Command, *arguments: str) -> dict[str, str]:
    made = cajanegra("keys", "create", *(arguments or ("--all-tenants", "--role", "admin")))
    assert made.code == 0, made.err
    assert made.out.count("\n") == 1  # the key alone, for a script to take
    return {"Authorization": f"Bearer {made.out.strip()}"}


def slow_login(server: Server, key: dict[str, str]) -> tuple[socket.socket, bytes]:
    """A request that is under way, and the rest of it."""
    body = json.dumps({"key": key["Authorization"].removeprefix("Bearer ")}).encode()
    head = (
        f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(head.encode() + body[:10])
    return connection, body[10:]


def test_a_key_is_made_used_and_revoked_while_two_processes_serve(on_postgresql: Command) -> None:
    admin = new_key(on_postgresql)
    with serving(on_postgresql, "--workers", "2") as server:
        assert server.get(RECENT).status == 401
        assert server.get(RECENT, admin).json["items"] == []
        reader = new_key(
            on_postgresql, "--tenant", "acme", "--role", "reader", "--name", "desk", "--expires", "90d"
        )
        assert server.get("/api/v1/session", reader).json["tenant_id"] == "acme"
        listed = on_postgresql("keys", "list", "--json").json
        assert [(key["tenant_id"], key["role"]) for key in listed] == [("acme", "reader"), (None, "admin")]
        assert listed[0]["last_used_at"]
        assert on_postgresql("keys", "revoke", listed[0]["prefix"]).code == 0
        # Each process asks the database again within two seconds: in a row of refusals all have.
        until(lambda: all(server.get(RECENT, reader).status in (401, 429) for _ in range(8)), 10)
        # An address that has tried a revoked key so often may have to wait before another is looked up.
        until(lambda: server.get(RECENT, admin).status == 200, 15)
        assert "revoked" in on_postgresql("keys", "list", "--all", columns=120).out
        assert admin["Authorization"].removeprefix("Bearer ") not in server.log
        assert server.stop() == 0


def test_told_to_stop_it_lets_requests_end_and_ends_streams_that_would_not(on_sqlite: Command) -> None:
    admin = new_key(on_sqlite)
    with serving(on_sqlite) as server:
        (worker,) = server.workers()
        streaming = server.connect()
        streaming.request("GET", "/api/v1/ai/logs/live", headers=admin)
        stream = streaming.getresponse()
        assert stream.status == 200
        assert stream.readline()
        connection, rest = slow_login(server, admin)
        until(lambda: server.get(RECENT, admin).status == 200)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not accepts(server.port))
        connection.sendall(rest)
        assert b"200 OK" in connection.recv(4096)
        connection.close()
        stream.read()  # raises if it was cut off
        streaming.close()
        assert server.process.wait(60) == 0
        assert not Path(f"/proc/{worker}").exists()


def test_told_to_stop_it_writes_what_it_has_taken(on_postgresql: Command) -> None:
    admin = new_key(on_postgresql)
    calls = [
        {"request_id": f"c-{number}", "task": "chat", "provider_used": "openai"} for number in range(200)
    ]
    body = json.dumps({"items": calls}).encode()
    with serving(on_postgresql, "--workers", "2") as server:
        headers = admin | {"Content-Type": "application/json"}
        taken = server.request("POST", "/api/v1/ai/logs", body, headers)
        assert taken.status == 202
        assert server.stop() == 0
    # What the database did not take in time is in the spool, and neither is lost.
    assert on_postgresql("spool", "drain").code == 0
    assert len(on_postgresql("logs", "list", "--limit", "500", "--json").json["items"]) == 200


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.long
def test_a_request_that_does_not_end_is_cut_off_in_time(on_sqlite: Command) -> None:
    admin = new_key(on_sqlite)
    on_sqlite.environment["CAJANEGRA_SERVER__SHUTDOWN_TIMEOUT"] = "1"
    with serving(on_sqlite) as server:
        connection, _rest = slow_login(server, admin)
        until(lambda: server.get(RECENT, admin).status == 200)
        assert server.stop() == 0
        connection.close()


def test_told_to_begin_anew_it_replaces_its_processes_and_refuses_nobody(on_sqlite: Command) -> None:
    admin = new_key(on_sqlite)
    refused: list[Any] = []
    done = threading.Event()

    def ask(server: Server) -> None:
        while not done.is_set():
            try:
                if server.get("/api/v1/session", admin).status != 200:
                    refused.append("status")
            except OSError as error:
                refused.append(error)

    with serving(on_sqlite, "--workers", "2") as server:
        before = set(server.workers())
        asking = threading.Thread(target=ask, args=(server,))
        asking.start()
        server.process.send_signal(signal.SIGHUP)
        until(lambda: len(server.workers()) == 2 and before.isdisjoint(server.workers()))
        done.set()
        asking.join()
        assert server.stop() == 0
    # A connection that was accepted by a process just as it stopped is closed without an answer: clients ask again.
    assert len(refused) <= 2, refused


def test_a_process_that_dies_is_replaced(on_sqlite: Command) -> None:
    with serving(on_sqlite) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        until(lambda: server.workers() not in ([], [worker]) and server._answers() == 200)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        time.sleep(1)  # twice as long as the supervisor takes to ask whether it lives
        os.kill(worker, signal.SIGKILL)
        until(lambda: server.workers() not in ([], [worker]) and server._answers() == 200, seconds=30)
        assert server.stop() == 0


def test_processes_end_with_their_supervisor(on_sqlite: Command) -> None:
    with serving(on_sqlite) as server:
        (worker,) = server.workers()
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: not Path(f"/proc/{worker}").exists())
        assert not accepts(server.port)


@pytest.mark.long
def test_whichever_process_is_asked_the_metrics_are_those_of_all(on_postgresql: Command) -> None:
    admin = new_key(on_postgresql)
    with serving(on_postgresql, "--workers", "2") as server:
        for _ in range(30):
            server.get("/nothing/here")
        line = 'cajanegra_http_requests_total{method="GET",operation="other",status="404"} 30.0'
        for _ in range(9):
            assert line in server.get("/metrics", admin).body.decode()
        record_calls(on_postgresql, 5)
        wanted = 'cajanegra_calls_total{provider="openai",status="success"} 5.0'
        until(lambda: wanted in server.get("/metrics", admin).body.decode())
        for _ in range(9):
            assert wanted in server.get("/metrics", admin).body.decode()
        assert server.stop() == 0


def record_calls(cajanegra: Command, count: int) -> None:
    """Calls that another process makes."""
    script = (
        "from cajanegra import Recorder, Settings\n"
        "with Recorder(Settings()) as recorder:\n"
        f"    for _ in range({count}):\n"
        "        with recorder.call(task='chat', provider='openai', tenant_id='acme') as call:\n"
        "            call.finish(text='ok')\n"
        "    assert recorder.flush(60)\n"
    )
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        cwd=cajanegra.directory,
        env=cajanegra.environment,
        timeout=60,
    )


def test_what_dead_processes_left_becomes_rows(on_sqlite: Command) -> None:
    script = (
        "import os, signal\n"
        "from cajanegra import Recorder, Settings\n"
        "recorder = Recorder(Settings())\n"
        "with recorder.call(task='chat', provider='openai', request_id='last-words') as call:\n"
        "    call.finish(text='ok')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=False, cwd=on_sqlite.directory, env=on_sqlite.environment
    )
    with serving(on_sqlite) as server:
        rows = until(lambda: server.get(RECENT).json["items"])
        assert [row["request_id"] for row in rows] == ["last-words"]
        assert server.stop() == 0


def test_others_cannot_reach_a_server_without_a_key(on_sqlite: Command) -> None:
    refused = on_sqlite("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - the case in question
    assert refused.code == 2
    assert "keys create" in refused.err


def test_on_this_machine_alone_it_needs_none_and_says_so(on_sqlite: Command) -> None:
    with serving(on_sqlite) as server:
        assert "whoever is on this machine" in server.log
        assert server.get(RECENT).json["items"] == []
        assert server.get(RECENT, {"Host": "rebound.example"}).status == 403
        admin = new_key(on_sqlite)
        until(lambda: server.get(RECENT).status == 401, 10)
        assert server.get(RECENT, admin).status == 200
        assert server.stop() == 0


def test_it_starts_before_its_database_and_is_ready_with_it(tmp_path: Path, empty_postgres_url: str) -> None:
    cajanegra = Command(tmp_path, empty_postgres_url, XDG_STATE_HOME=str(tmp_path / "state"))
    with serving(cajanegra) as server:
        assert "db upgrade" in server.log
        assert server.get("/health/ready").status == 503
        assert server.get(RECENT).status == 503
        assert cajanegra("db", "upgrade").code == 0
        until(lambda: server.get("/health/ready").status == 200)
        assert server.get(RECENT).json["items"] == []
        assert server.stop() == 0


def test_a_port_that_is_taken_is_said_to_be(on_sqlite: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = on_sqlite("serve", "--port", str(taken.getsockname()[1]))
    assert refused.code == 2
    assert "--port" in refused.err


def test_headers_have_a_limit_and_the_server_goes_on(on_sqlite: Command) -> None:
    with serving(on_sqlite) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nA: ")
            with pytest.raises(OSError, match=r"."):
                connection.sendall(b"a" * 2**24)
        ambiguous = raw(
            server,
            b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        )
        assert ambiguous.startswith(b"HTTP/1.1 400")
        assert server.get("/health/live").status == 200
        assert server.stop() == 0


def raw(server: Server, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(request)
        return connection.recv(4096)


def test_requests_in_one_go_are_all_answered(on_sqlite: Command) -> None:
    with serving(on_sqlite) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
            got = b""
            while got.count(b'"alive"') < 200:
                more = connection.recv(65_536)
                assert more
                got += more
        assert server.stop() == 0


def test_behind_a_proxy_the_client_is_who_the_proxy_says(on_sqlite: Command) -> None:
    new_key(on_sqlite)
    on_sqlite.environment["CAJANEGRA_SERVER__TRUSTED_PROXIES"] = '["127.0.0.1"]'
    with serving(on_sqlite) as server:
        server.get(RECENT, {"X-Forwarded-For": "192.0.2.7"})
        until(lambda: "192.0.2.7 GET /api/v1/ai/logs/recent 401" in server.log)
        assert server.stop() == 0


def test_a_wrong_setting_is_said_before_anything_starts(on_sqlite: Command) -> None:
    on_sqlite.environment["CAJANEGRA_SERVER__CORS_ORIGINS"] = '["tools.example.com"]'
    refused = on_sqlite("serve")
    assert refused.code == 2
    assert "https://tools.example.com" in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "--role", "reader"], "--tenant ID or --all-tenants"),
        (["create", "--role", "reader", "--tenant", "a", "--all-tenants"], "--tenant ID or --all-tenants"),
        (["create", "--role", "reader", "--tenant", ""], "scope"),
        (["create", "--role", "root", "--tenant", "a"], "reader"),
        (["create", "--role", "reader", "--tenant", "a", "--expires", "soon"], "90d"),
        (["create", "--role", "reader", "--tenant", "a", "--expires", "2020-01-01"], "to come"),
        (["revoke", "x"], "keys list"),
        (["revoke", "cn_zzz"], "keys list"),
    ],
)
def test_wrong_use_of_keys_says_what_is_right(on_sqlite: Command, arguments: list[str], said: str) -> None:
    refused = on_sqlite("keys", *arguments)
    assert refused.code == 2
    assert said in refused.err


def test_without_its_extra_it_says_what_to_install(on_sqlite: Command, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['fastapi'] = None\n")
    on_sqlite.environment["PYTHONPATH"] = str(tmp_path)
    refused = on_sqlite("serve")
    assert refused.code == 1
    assert "pip install 'cajanegra[server]'" in refused.err
    assert on_sqlite("keys", "list").code == 0
