"""What the handlers work with: the database to read, the one to write, the recorder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cajanegra import bootstrap
from cajanegra.recorder import Recorder
from cajanegra.recording.ingest import Ingest
from cajanegra.recording.recorder import Recorder as AnyRecorder
from cajanegra.server.live import Live
from cajanegra.settings import Settings
from cajanegra.storage.database import Database, Engine, url_of

STOP = "cajanegra_stop"
"""Key in the application's lifespan state of a function to call when the server is told to stop."""


class Context:
    """One per application or mounted router; safe for all threads.

    Connections and recorder are made when they are first needed, so that a host that forks afterwards
    (gunicorn with ``--preload``) gives each of its workers their own.

    Args:
        settings: default is ``Settings()``, for the engine's database where there is one.
        engine: a host's own engine; the database is then its, and its pool is used.
        recorder: a host's own recorder, which it closes itself.

    Raises:
        SettingsError: the settings are wrong, or the engine cannot be used.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        engine: Engine | None = None,
        recorder: AnyRecorder | None = None,
    ) -> None:
        if engine is not None:
            self.database = self.reads = Database.of_engine(engine)
            given = settings
            self.settings = given or Settings(
                database={"url": url_of(engine), "read_url": "", "tenant_url": ""}
            )
        else:
            self.settings = settings or Settings()
            named = self.settings.database
            self.database = Database(named.url)
            """Where changes go, and what must be read as it is now."""
            self.reads = Database(named.read_url) if named.read_url else self.database
            """Where lists and numbers are read: a replica where one is configured."""
        self.live = Live(self.database)
        self._ingest: Ingest | None = None
        self._ingesting = threading.Lock()
        tenant_url = self.settings.database.tenant_url
        self.tenant_reads = Database(tenant_url) if tenant_url else self.reads
        """The same for one tenant: a role that row-level security confines where one is configured."""
        self._recorder = recorder
        self._is_hosts = recorder is not None
        self._making = threading.Lock()
        self.stopping = threading.Event()
        """Set when the server has been told to stop: answers that never end of themselves end then."""

    @property
    def recorder(self) -> AnyRecorder:
        """Where calls and feedback that come in are written down."""
        if (made := self._recorder) is not None:
            return made
        with self._making:
            if self._recorder is None:
                self._recorder = Recorder(self.settings)
            return self._recorder

    @contextmanager
    def ingesting(self) -> Iterator[Ingest]:
        """What makes records of calls that others recorded, which one thread uses at a time."""
        with self._ingesting:
            if self._ingest is None:
                self._ingest = bootstrap.new_ingest(self.settings)
            yield self._ingest

    def close(self, timeout: float = 5.0) -> None:
        """Write what is waiting, for at most ``timeout`` seconds, and give back every connection."""
        with self._making:
            if self._recorder is not None and not self._is_hosts:
                self._recorder.close(timeout)
                self._recorder = None
        self.database.close()
        self.reads.close()
        self.tenant_reads.close()
