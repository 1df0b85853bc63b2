"""Stands between callers and PostgreSQL and cuts the connection at the worst moments."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from enum import StrEnum
from typing import Self


class Cut(StrEnum):
    """Where in a transaction the connection is cut."""

    IN_COPY = "in the middle of a COPY"
    BEFORE_COMMIT = "before the server is told to commit"
    AFTER_COMMIT = "after the commit, before the client is told"
    HELD_AFTER_COMMIT = "not at all: the client is left waiting for word of its commit"


class Proxy:
    """A TCP proxy that cuts as many connections as it is told to, and lets all others pass."""

    def __init__(self, port: int) -> None:
        self.done: Counter[Cut] = Counter()
        self._target = ("127.0.0.1", port)
        self._cuts: list[Cut] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            _close(connection)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                link = _Link(client, server, self)
                for pump in (link.to_server, link.to_client):
                    threading.Thread(target=pump, daemon=True).start()

    def cut(self, place: Cut, times: int = 1) -> None:
        """Cut there the next times that a connection comes by."""
        with self._lock:
            self._cuts += [place] * times

    def wait_for(self, place: Cut, times: int) -> None:
        """Wait until so many connections have been cut there."""
        deadline = time.monotonic() + 30
        while self.done[place] < times:
            assert time.monotonic() < deadline, f"of the connections {self.done} were cut"
            time.sleep(0.01)

    def take(self, seen: Cut) -> bool:
        """Whether the connection that has come to this place is to be cut here."""
        with self._lock:
            if self._cuts and self._cuts[-1] == seen:
                self.done[self._cuts.pop()] += 1
                return True
            return False


class _Link:
    """One client's connection."""

    def __init__(self, client: socket.socket, server: socket.socket, proxy: Proxy) -> None:
        self._client = client
        self._server = server
        self._proxy = proxy
        self._copies = False
        self._commits = False

    def to_server(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(65_536):
                if b"COMMIT" in data and self._proxy.take(Cut.BEFORE_COMMIT):
                    break
                if self._copies and self._proxy.take(Cut.IN_COPY):
                    self._server.sendall(data[: len(data) // 2])
                    break
                self._copies = b"COPY " in data and b"FROM STDIN" in data
                self._commits = b"COMMIT" in data
                self._server.sendall(data)
        self._close()

    def to_client(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(65_536):
                if self._commits and self._proxy.take(Cut.AFTER_COMMIT):
                    break
                if self._commits and self._proxy.take(Cut.HELD_AFTER_COMMIT):
                    return  # the other direction ends when the client does
                self._client.sendall(data)
        self._close()

    def _close(self) -> None:
        _close(self._client)
        _close(self._server)


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
