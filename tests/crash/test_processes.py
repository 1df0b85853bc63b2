"""However processes are made and however they end, the calls add up and nobody waits for the recorder."""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import socket
import subprocess
import textwrap
import threading
import time
from pathlib import Path

import pytest

from crash.check import Tables, require_all
from crash.fleet import Fleet
from crash.ledger import read_all
from crash.size import LONG

PROMPTLY = 10.0
"""Seconds for a process to end: the recorder may take five of them."""


def run(ships: Fleet, script: str, *, code: int = 0) -> str:
    """Run a script that has ``call`` and ``recorder``, and require that all it recorded is stored."""
    process = ships.start("-c", "from crash.host import *\n" + textwrap.dedent(script))
    output, errors = process.communicate(timeout=PROMPTLY + 10)
    assert process.returncode == code, errors
    assert "Traceback" not in errors, errors
    require_stored(ships)
    return output


def require_stored(ships: Fleet, *names: str) -> None:
    ships.drained()
    ledgers = read_all(ships.ledgers)
    assert ledgers.keys() >= set(names)
    require_all(ships.url, ledgers)


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("import sys; sys.exit(3)", 3),
        ("os._exit(4)", 4),
        ("os.abort()", -signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGTERM); signal.pause()", -signal.SIGTERM),
        ("os.execvp('true', ['true'])", 0),
    ],
    ids=["end", "exit", "_exit", "abort", "sigterm", "exec"],
)
def test_the_ways_to_end(forking_ships: Fleet, ending: str, code: int) -> None:
    run(
        forking_ships,
        f"import signal\nfor number in range(200): call(f'call-{{number}}')\n{ending}",
        code=code,
    )


def test_threads_that_end_themselves_and_daemons_that_never_end(forking_ships: Fleet) -> None:
    script = """
        import itertools, sys, threading, time
        def daemon(name):
            for number in itertools.count():
                call(f"{name}-{number}")
                time.sleep(0.001)
        def leaving():
            call("leaving")
            sys.exit(7)
        for name in ("one", "two"):
            threading.Thread(target=daemon, args=(name,), daemon=True).start()
        threading.Thread(target=leaving).start()
        time.sleep(0.3)
    """
    run(forking_ships, script)


def test_forks_of_forks(forking_ships: Fleet) -> None:
    script = """
        def family(name, depth):
            end = begin(f"{name}-open")
            for number in range(20):
                call(f"{name}-{number}")
            children = []
            if depth:
                for child in range(2):
                    pid = os.fork()
                    if pid == 0:
                        family(f"{name}.{child}", depth - 1)
                        os._exit(0)
                    children.append(pid)
            for number in range(20, 40):
                call(f"{name}-{number}")
            end()
            for pid in children:
                assert os.waitpid(pid, 0)[1] == 0
        family("root", 2)
    """
    run(forking_ships, script)


def test_a_call_that_begins_in_a_parent_and_ends_in_its_child(forking_ships: Fleet) -> None:
    script = """
        for number in range(20):
            end = begin(f"call-{number}")
            pid = os.fork()
            if pid == 0:
                end()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        recorder.flush(5)
    """
    run(forking_ships, script)


def test_a_child_that_outlives_its_parent_does_not_hold_its_calls_back(forking_ships: Fleet) -> None:
    script = """
        import signal, sys
        call("ended")
        begin("open")
        if os.fork() == 0:
            print(os.getpid(), flush=True)
            os.close(1)
            os.close(2)
            signal.pause()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    child = int(run(forking_ships, script, code=-signal.SIGKILL))
    os.kill(child, signal.SIGKILL)


def test_an_end_that_comes_after_its_call_was_declared_interrupted(forking_ships: Fleet) -> None:
    script = """
        import signal, sys
        ends = [begin(f"call-{number}") for number in range(20)]
        if os.fork() == 0:
            print("ready", flush=True)
            sys.stdin.readline()
            for end in ends:
                end()
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    process = forking_ships.start("-c", "from crash.host import *\n" + textwrap.dedent(script))
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    assert process.wait(PROMPTLY) == -signal.SIGKILL
    forking_ships.drained()
    assert require_all(forking_ships.url, read_all(forking_ships.ledgers)) == {"interrupted": 20}
    process.stdin.write("go on\n")
    process.communicate(timeout=PROMPTLY)
    require_stored(forking_ships)


@pytest.mark.parametrize("method", ["fork", "spawn", *(["forkserver"] if LONG else [])])
def test_multiprocessing(forking_ships: Fleet, method: str) -> None:
    script = f"""
        import multiprocessing
        context = multiprocessing.get_context({method!r})
        call("parent")
        children = [context.Process(target=call, args=(f"child-{{number}}",)) for number in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
    """
    run(forking_ships, script)


def test_a_pool_of_processes(forking_ships: Fleet) -> None:
    script = """
        from concurrent.futures import ProcessPoolExecutor
        import multiprocessing
        call("parent")
        fork = multiprocessing.get_context("fork")
        other = fork.Barrier(2)
        def beside_the_other(name):
            other.wait(30)
            return call(name)
        with ProcessPoolExecutor(2, fork) as pool:
            assert len(set(pool.map(beside_the_other, ["first", "second"]))) == 2
            list(pool.map(call, [f"pool-{number}" for number in range(100)]))
    """
    run(forking_ships, script)


def test_cancelled_tasks(forking_ships: Fleet) -> None:
    script = """
        import asyncio
        async def held(number):
            with recorder.call(task="chat", provider="openai", request_id=f"held-{number}"):
                await asyncio.sleep(60)
        async def main():
            tasks = [asyncio.create_task(held(number)) for number in range(50)]
            await asyncio.sleep(0.1)
            for task in tasks[:25]:
                task.cancel()
            await asyncio.gather(*tasks[:25], return_exceptions=True)
        asyncio.run(main())
    """
    process = forking_ships.start("-c", "from crash.host import *\n" + textwrap.dedent(script))
    _, errors = process.communicate(timeout=PROMPTLY)
    assert process.returncode == 0, errors
    forking_ships.drained()
    assert {row["request_id"]: row["error_code"] for row in Tables.read(forking_ships.url).calls} == {
        f"held-{number}": "cancelled" for number in range(50)
    }


SERVERS = {
    "gunicorn": "gunicorn --preload --workers 2 --max-requests 25 --bind 127.0.0.1:{port} crash.host:wsgi",
    "gunicorn threads": "gunicorn --preload --workers 2 --threads 4 --max-requests 25 --bind 127.0.0.1:{port} "
    "crash.host:wsgi",
    "uvicorn": "uvicorn --workers 2 --limit-max-requests 25 --timeout-worker-healthcheck 1 --lifespan off --port {port} crash.host:asgi",
    "granian": "granian --interface asgi --workers 2 --port {port} --respawn-interval 0.1 --no-ws crash.host:asgi",
}
SHORT = ("gunicorn", "uvicorn", "granian")
"""Those of the short form."""
CLIENTS = 3
REQUESTS = 40
"""Requests of each client, at the least."""
WORKERS = 2
CELERY = (
    "-m celery -A crash.tasks worker --pool prefork --concurrency 2 --max-tasks-per-child 10 --loglevel error "
    "--without-mingle --without-gossip --without-heartbeat"
)
TASKS = 30
PATIENCE = 15.0
"""Seconds that a server may take to recycle a worker."""


@pytest.mark.parametrize("server", SERVERS if LONG else SHORT)
def test_web_servers_that_recycle_their_workers(forking_ships: Fleet, server: str) -> None:
    port = free_port()
    process = forking_ships.start(
        "-m", *SERVERS[server].format(port=port).split(), environment={"CRASH_CALL_AT_IMPORT": "yes"}
    )
    wait_until_it_listens(process, port)
    if server == "granian":
        threading.Timer(0.3, process.send_signal, (signal.SIGHUP,)).start()  # it recycles when it is told to
    answered: dict[str, str] = {}
    clients = [threading.Thread(target=ask, args=(port, client, answered)) for client in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    process.terminate()
    process.communicate(timeout=PROMPTLY)
    # Granian loses a SIGTERM that meets a worker at its start: all of them have to be there.
    assert len(set(answered.values())) >= 2 * WORKERS, "not all workers were recycled"
    require_stored(forking_ships, *answered)


def ask(port: int, client: int, answered: dict[str, str]) -> None:
    """Make requests until a worker was recycled; notes the process that answered by the id of the call."""
    late = time.monotonic() + PATIENCE
    for number in itertools.count():
        recycled = len(set(answered.values())) >= 2 * WORKERS
        if number >= REQUESTS and (recycled or time.monotonic() > late):
            return
        name = f"c{client}-{number}"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROMPTLY)
        try:
            connection.request("GET", f"/{name}")
            answered[name] = connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)  # the worker went away
        finally:
            connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_listens(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    process.kill()
    pytest.fail(f"the server did not start: {process.communicate()[1][-1000:]}")


def test_celery_prefork(forking_ships: Fleet, tmp_path: Path) -> None:
    environment = {"CRASH_BROKER": str(tmp_path / "broker"), "C_FORCE_ROOT": "yes"}
    for folder in ("queue", "processed", "control"):
        (tmp_path / "broker" / folder).mkdir(parents=True)
    publisher = forking_ships.start("-m", "crash.tasks", str(TASKS), environment=environment)
    assert publisher.wait(PROMPTLY) == 0
    worker = forking_ships.start(*CELERY.split(), environment=environment)
    names = {f"task-{number}" for number in range(TASKS)}
    late = time.monotonic() + 40
    while not names <= read_all(forking_ships.ledgers).keys() and worker.poll() is None:
        assert time.monotonic() < late, "the tasks were not done"
        time.sleep(0.1)
    worker.terminate()
    worker.communicate(timeout=PROMPTLY)
    require_stored(forking_ships, *names)
