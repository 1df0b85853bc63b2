"""Runs commands in processes of their own without starting Python anew for each.

``python command_server.py ORDERS ANSWERS`` (two descriptors) imports the product once and then forks: each line of
JSON is a command, and what was forked for it leaves the loop, becomes that command and ends as any process does.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import runpy
import signal
import sys
from typing import Any

PRELOADED = (
    "alembic.command",
    "cajanegra.cli.app",
    "cajanegra.client",
    "cajanegra.storage.migrate",
    "psycopg",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
)
"""What most commands import; the rest they import themselves."""


def main() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    with (
        os.fdopen(int(sys.argv[1]), "rb") as orders,
        os.fdopen(int(sys.argv[2]), "wb", buffering=0) as answers,
    ):
        order = _order_of_child(orders, answers)
    if order is not None:
        _become(**order)


def _order_of_child(orders: io.BufferedReader, answers: io.FileIO) -> dict[str, Any] | None:
    for line in orders:
        pid = os.fork()
        if pid == 0:
            order: dict[str, Any] = json.loads(line)
            return order
        answers.write(b"%d\n" % pid)
        _pid, status = os.waitpid(pid, 0)
        answers.write(b"%d\n" % os.waitstatus_to_exitcode(status))
    return None


def _become(
    arguments: list[str], directory: str, environment: dict[str, str], streams: tuple[str, str, str]
) -> None:
    for descriptor, path in enumerate(streams):
        opened = os.open(path, os.O_RDWR)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding=old.encoding, errors=old.errors, closefd=False)
        for number, mode, old in ((0, "r", sys.stdin), (1, "w", sys.stdout), (2, "w", sys.stderr))
    )
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[1:] = arguments
    runpy.run_module("cajanegra", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
