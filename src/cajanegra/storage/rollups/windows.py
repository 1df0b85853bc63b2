"""A time that is asked about: which hours the rollups tell of, and which rows have to be read beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, select

from cajanegra.domain.principal import ALL_TENANTS, AllTenants, Scope
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.fitting import fit_identity, fit_time
from cajanegra.storage.rollups.cubes import GRAINS, OF_ALL, Grain, ceil, floor
from cajanegra.storage.rollups.state import State
from cajanegra.storage.tables import REQUEST_LOGS, ROLLUPS

Span = tuple[Grain, datetime | None, datetime | None]
"""Rows of a grain from a time on and before another; ``None``: without end."""

_LOGS, _ROLLUPS = REQUEST_LOGS.c, ROLLUPS.c


class Window:
    """A time, and what is known of it.

    Attributes:
        spans: the fewest rows of rollups that are about it.
        whole_hours: whether its first or last hour is counted whole, since calls of it have been deleted.
        counted_since: calls begun before this are left out: not all that is asked for was counted of them,
            and they have been deleted; ``None``: none are.
    """

    def __init__(
        self,
        where: CallFilter,
        known: State,
        grains: Sequence[Grain] = tuple(GRAINS),
        detailed_since: datetime | None = None,
    ) -> None:
        self._since, self._until = fit_time(where.since), fit_time(where.until)
        self._where, self._known, self._grains = where, known, grains
        self.whole_hours = False
        self.counted_since: datetime | None = None
        if detailed_since is not None:
            self._leave_out(detailed_since)
        if known.rows_since is not None:
            self._since = self._whole(self._since, known.rows_since, floor)
            self._until = self._whole(self._until, known.rows_since, ceil)
        begin = None if self._since is None else ceil(self._since, "1h")
        unknown = max(filter(None, (known.complete_since, detailed_since)), default=None)
        if unknown is not None:
            begin = unknown if begin is None else max(begin, unknown)
        self._begin = begin
        self._end = None if self._until is None else floor(self._until, "1h")
        self.spans = [*_spans(self._begin, self._end, known.sealed_until, grains)]

    def in_detail(self, connection: Connection, whose: Scope) -> Window:
        """The same without the hours of which not everything was counted that is counted now.

        Args:
            connection: reads the database.
            whose: calls.
        """
        is_all = isinstance(whose, AllTenants)
        cube, tenant = (f"{OF_ALL}total", "") if is_all else ("total", str(whose))
        lacking = (
            (_ROLLUPS.cube == cube) & (_ROLLUPS.tenant_id == tenant) & (_ROLLUPS.calls != _ROLLUPS.detailed)
        )
        last = connection.execute(
            select(func.max(_ROLLUPS.start)).where(lacking, self._within(("1h", self._begin, self._end)))
        ).scalar()
        return self if last is None else Window(self._where, self._known, self._grains, last + GRAINS["1h"])

    def conditions(self) -> list[ColumnElement[bool]]:
        """Which rows of rollups are about it: the condition of each span."""
        return [self._within(span) for span in self.spans]

    def places(self, times: Sequence[str]) -> Sequence[int]:
        """Which of these times of calls the rollups tell of."""
        begin = "" if self._begin is None else self._begin.isoformat(" ")
        end = "9" if self._end is None else self._end.isoformat(" ")
        return [place for place, at in enumerate(times) if begin <= at < end]

    def rows(self) -> list[list[ColumnElement[bool]]]:
        """Which rows of calls have to be read: the conditions of each part."""
        at, since, until = _LOGS.created_at, self._since, self._until
        from_since = [at >= since] if since is not None else []
        if not self.spans:
            return [[*from_since, *([at < until] if until is not None else [])]]
        parts: list[list[ColumnElement[bool]]] = []
        if self._end is not None and until is not None and self._end != until:
            parts.append([at >= self._end, at < until])
        if self._begin is not None and self._begin != since:
            parts.append([at < self._begin, *from_since])
        if since is None and until is None:
            parts.append([at.is_(None)])  # what others wrote without a time
        return parts

    def _leave_out(self, detailed_since: datetime) -> None:
        """Begin when nothing was deleted of which too little was counted."""
        deleted = self._known.rows_since
        if deleted is None:
            return
        since = min(ceil(deleted, "1h"), detailed_since)
        if self._since is None or self._since < since:
            self._since = self.counted_since = since

    def _whole(
        self, time: datetime | None, kept: datetime, to: Callable[[datetime, Grain], datetime]
    ) -> datetime | None:
        """A time; the end of its hour, where the calls of that hour may have been deleted."""
        if time is None or floor(time, "1h") >= kept or to(time, "1h") == time:
            return time
        self.whole_hours = True
        return to(time, "1h")

    def _within(self, span: Span) -> ColumnElement[bool]:
        grain, begin, end = span
        parts = [_ROLLUPS.grain == grain]
        if begin is not None:
            parts.append(_ROLLUPS.start >= begin)
        if end is not None:
            parts.append(_ROLLUPS.start < end)
        return and_(*parts)


def whose(where: CallFilter) -> Scope | None:
    """Whose calls are meant; ``None`` where the rollups do not tell these from others."""
    tenant = fit_identity(where.tenant_id)
    if isinstance(where.scope, AllTenants):
        return ALL_TENANTS if tenant is None else tenant or None
    own = fit_identity(where.scope)
    return own if own and tenant in (None, own) else None


def _spans(
    begin: datetime | None, end: datetime | None, sealed: datetime, grains: Sequence[Grain]
) -> Iterator[Span]:
    """The fewest rows that are about the hours from one to another, the longest grain first in ``grains``."""
    if begin is not None and end is not None and begin >= end:
        return
    grain, *rest = grains
    if not rest:
        yield grain, begin, end
        return
    first = None if begin is None else ceil(begin, grain)
    last = floor(sealed if end is None else min(end, sealed), grain)
    if first is not None and first >= last:
        yield from _spans(begin, end, sealed, rest)
        return
    if begin is not None:
        yield from _spans(begin, first, sealed, rest)
    yield grain, first, last
    yield from _spans(last, end, sealed, rest)
