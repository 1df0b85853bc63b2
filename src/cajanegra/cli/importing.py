"""Brings calls that somebody else wrote down into the database, by the way that all calls take."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

from cajanegra.cli.formats import Format, recognised
from cajanegra.cli.lines import Cells, Fields, objects
from cajanegra.domain.record import Batch, CallRecord, Record
from cajanegra.errors import StorageError, UsageError
from cajanegra.ports import CallStore
from cajanegra.recording.delivery import Delivery
from cajanegra.recording.ingest import Ingest
from cajanegra.recording.items import content_id, read_item

BATCH = 500
"""Calls in one transaction."""
MAX_TEXTS = 8_000_000
"""Characters of captured content after which a batch is written, however few its calls are."""
PATIENCE = 30.0
"""Seconds that a database may be away."""

OnTrouble = Callable[[int, str], object]
"""Told the number of a line, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to read the lines.

    Attributes:
        format: what wrote them; ``None`` to find out, line by line.
        tenant_id: whose calls they are; ``None`` for what they say themselves.
        provider: who was asked, where a line does not say.
    """

    format: Format | None = None
    tenant_id: str | None = None
    provider: str | None = None


@dataclass(slots=True)
class Imported:
    """What became of a file.

    Attributes:
        calls: calls that were read.
        new: calls that the database has now and had not before.
        refused: lines that could not be read or written.
        failures: how often each error pattern was met, known calls included.
        causes: why, by pattern.
    """

    calls: int = 0
    new: int = 0
    refused: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    causes: dict[str, str] = field(default_factory=dict)


class Import:
    """Reads a file, and writes its calls in batches. What is refused is told, and the rest goes on.

    Args:
        ingest: makes records of items.
        options: how to read the lines.
        on_trouble: told of lines that are refused.
    """

    def __init__(self, ingest: Ingest, options: Options, on_trouble: OnTrouble) -> None:
        self.done = Imported()
        self._ingest = ingest
        self._options = options
        self._on_trouble = on_trouble

    def run(self, file: IO[bytes], store: CallStore | None, on_batch: Callable[[], object]) -> None:
        """Import a file; without a store it is read and nothing else.

        Args:
            file: NDJSON or CSV, compressed or not.
            store: where the calls go.
            on_batch: called after each batch.

        Raises:
            StorageError: the database was away for too long; what was written before stays.
        """
        delivery = Delivery(self._set_aside, time.sleep)
        for batch in _batches(self._records(file)):
            self._count(batch)
            if store is not None:
                delivery.give_up_in(PATIENCE)
                if not delivery.deliver(store, iter([store.prepare(Batch.of(batch))]), ""):
                    raise StorageError(
                        f"the database cannot be written; the lines before {batch[0].position} are imported, "
                        "and importing the file again changes nothing about them"
                    )
                self.done.new = delivery.written
            on_batch()

    def _records(self, file: IO[bytes]) -> Iterator[CallRecord]:
        for number, found in objects(file):
            if isinstance(found, str):
                self._refuse(number, found)
                continue
            try:
                record = self._record(found, number)
            except UsageError as error:
                self._refuse(number, str(error))
            else:
                yield record

    def _record(self, fields: Fields, number: int) -> CallRecord:
        options = self._options
        known = options.format or recognised(fields)
        if known is None:
            raise UsageError(f"is of no known format: it has {_named(fields)}")
        item = known.item(fields)
        if options.tenant_id is not None and not known.names_tenants:
            item["tenant_id"] = options.tenant_id
        if options.provider is not None and item.get("provider_used") in (None, "", "unknown"):
            item["provider_used"] = options.provider
        if not item.get("request_id"):
            item["request_id"] = content_id(dict(fields) if isinstance(fields, Cells) else fields)
        return self._ingest.record(read_item(item, options.tenant_id), number)

    def _count(self, batch: list[CallRecord]) -> None:
        self.done.calls += len(batch)
        for record in batch:
            for occurrence in record.occurrences:
                self.done.failures[occurrence.pattern] += 1
                self.done.causes.setdefault(occurrence.pattern, occurrence.probable_cause)

    def _set_aside(self, record: Record, why: str) -> bool:
        self._refuse(record.position, why)
        self.done.calls -= 1
        return True

    def _refuse(self, number: int, why: str) -> None:
        self.done.refused += 1
        self._on_trouble(number, why)


def _batches(records: Iterator[CallRecord]) -> Iterator[list[CallRecord]]:
    batch: list[CallRecord] = []
    texts = 0
    for record in records:
        batch.append(record)
        texts += len(record.answer or "") + (len(str(record.prompt)) if record.prompt is not None else 0)
        if len(batch) >= BATCH or texts >= MAX_TEXTS:
            yield batch
            batch, texts = [], 0
    if batch:
        yield batch


def _named(fields: Fields) -> str:
    names = ", ".join(list(fields)[:5])
    return (names or "no names")[:100]
