"""Serves the application over HTTP, in as many processes as are wanted."""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from typing import Any

from fastapi import FastAPI
from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from cajanegra.errors import CajanegraError, SettingsError
from cajanegra.server.app import create_app
from cajanegra.server.metrics import DIRECTORY
from cajanegra.server.protocol import Protocol, allow_files
from cajanegra.settings import Server

_BACKLOG = 2048
_KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than a proxy (nginx: 60) keeps it, so that it meets none
that is about to close."""
_GARBAGE = 10_000
"""Objects made, and not yet gone, after which garbage is looked for: some hundred requests under way."""
_WORKER_START = 60
"""Seconds that a process has to be ready."""

_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "class": "cajanegra.server.access_log.LineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        }
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
        "access": {"class": "cajanegra.server.access_log.LineHandler", "formatter": "line"},
    },
    "loggers": {
        "cajanegra": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "cajanegra.access": {"handlers": ["access"], "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}


def application() -> FastAPI:
    """The application of a serving process, with the settings as they are now."""
    threading.Thread(target=_stop_with_parent, name="cajanegra-parent", daemon=True).start()
    try:
        app = create_app()
    except CajanegraError as error:
        logging.getLogger("cajanegra.server").error("%s", error)  # noqa: TRY400 - its message says it all
        sys.exit(STARTUP_FAILURE)
    # What is here now stays: looking through it for garbage again and again would cost each request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    _log_less_of_each()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, app.state.reload)
    return app


def _log_less_of_each() -> None:
    """Leave out of a log record what no line shows, as the library's documentation says for busy programs."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001


def _stop_with_parent() -> None:
    """A process whose supervisor was killed would hold the port for good."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def listen(settings: Server) -> socket.socket:
    """A socket at the settings' address, which all serving processes share.

    Raises:
        SettingsError: the address is taken, or is none of this machine's.
    """
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, *_rest, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise SettingsError(
            f"cannot listen at {where}: {error.strerror or error}; set another with --host and --port"
        ) from None


def url_of(listening: socket.socket) -> str:
    """Where a socket is reached."""
    host, port, *_rest = listening.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Supervisor(Multiprocess):
    """uvicorn's, which takes no connection any more once it was told to stop: nobody would answer there."""

    def terminate_all(self) -> None:
        """Stop listening, and tell every process to end."""
        for listening in self.sockets:
            listening.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        """Replace those that died, also one that did so with a question to it unanswered.

        The answer is then waited for until the pipe says that nobody is left to give it, which it cannot
        while this process holds the other end too.
        """
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()

    def handle_usr1(self) -> None:
        """Have the gateway of every process go on with the providers as the settings are now."""
        for process in self.processes:
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, signal.SIGUSR1)


def serve(settings: Server, listening: socket.socket) -> bool:
    """Serve until told to stop, and return whether all went well.

    SIGTERM and SIGINT let requests under way end for ``shutdown_timeout`` seconds, and the recorder write
    what waits. SIGHUP replaces one process after the other, which read the settings anew; SIGUSR1 has the
    gateway of each go on with other providers, without ending a connection. A process that dies is replaced.
    """
    config = Config(
        "cajanegra.server.serving:application",
        factory=True,
        workers=settings.workers,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=_LOGGING,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(settings.shutdown_timeout),
        timeout_worker_healthcheck=_WORKER_START,
    )
    allow_files()
    with tempfile.TemporaryDirectory(prefix="cajanegra-metrics-") as metrics:
        os.environ[DIRECTORY] = metrics  # before a serving process imports the library that reads it
        supervisor = _Supervisor(config, sockets=[listening])
        supervisor.run()
    return all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)
