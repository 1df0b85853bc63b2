"""How a question is answered from a cube, and of which rows nothing is counted there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select, union, union_all

from cajanegra.domain.principal import AllTenants, Scope
from cajanegra.storage import loading
from cajanegra.storage.counted import CountedCalls
from cajanegra.storage.fitting import fit_identity
from cajanegra.storage.rollups import deltas, table
from cajanegra.storage.rollups.cubes import (
    OF_ALL,
    REST,
    TENANTS,
    Cube,
    Dimension,
    cube_of,
    hour_text,
)
from cajanegra.storage.rollups.questions import FILTERS, Answer, Group, Question
from cajanegra.storage.rollups.windows import Window, whose
from cajanegra.storage.sums import Sums
from cajanegra.storage.tables import REQUEST_LOGS, ROLLUPS

_LOGS, _ROLLUPS = REQUEST_LOGS.c, ROLLUPS.c
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as the tables have it: UTC without a zone
_HOUR = 3600
TENANTS_NAMED = 1_000
"""Tenants that are looked up one by one; of more, all rows of a cube are read."""
_OTHER_PARAMETERS = 30
"""Of one span, with room to spare."""
_OF_CALLS: Mapping[Dimension, Callable[[CountedCalls], Sequence[str]]] = {
    "provider": lambda calls: calls.provider,
    "model": lambda calls: [
        one or other for one, other in zip(calls.model, calls.model_requested, strict=True)
    ],
    "module": lambda calls: calls.module,
    "task": lambda calls: calls.task,
    "status": lambda calls: calls.status,
    "error_code": lambda calls: calls.error_code,
    "user": lambda calls: calls.user,
}


def cube_for(asked: Question) -> Cube | None:
    """The cube that knows the answer; ``None`` where the rows have to be read."""
    where = asked.where
    uncounted = (where.min_ms, where.outcome, where.pattern, where.q)
    if any(one is not None for one in uncounted) or (asked.bucket is not None and asked.bucket % _HOUR):
        return None
    given: list[Dimension] = [
        name for attribute, name in FILTERS.items() if getattr(where, attribute) is not None
    ]
    if any(not getattr(where, attribute) for attribute, name in FILTERS.items() if name in given):
        return None  # an empty value: the rows tell it from none
    tenant = whose(where)
    if tenant is None:
        return None
    is_all = isinstance(tenant, AllTenants)
    by = [name for name in asked.by if name != "tenant" or is_all]
    cube = cube_of([*given, *by], of_all=is_all)
    if cube is None and "tenant" in by:
        cube = cube_of([*given, *(name for name in by if name != "tenant")], of_all=False)
    return cube


class Plan:
    """How a question is answered from a cube."""

    def __init__(self, asked: Question, cube: Cube, window: Window, tenant: Scope) -> None:
        self._asked = asked
        self._cube = cube
        self._window = window
        self._tenant = None if isinstance(tenant, AllTenants) else tenant
        """Whose calls; ``None``: of all."""

    def add_rollups(self, connection: Connection, found: Answer) -> bool:
        """Add what the rollups know; whether it is all there is."""
        spans = self._window.conditions()
        if not spans:
            return True
        key, conditions = self._key_of_row(), self._conditions()
        if self._is_of_each_tenant and not self._names_tenants:
            conditions += _named(connection, spans)
        where = self._asked.where
        if self._asked.measure == "calls":
            keys: list[ColumnElement[Any]] = [*map(self._value_of_row, self._asked.by), _ROLLUPS.key2 == REST]
            sums = func.sum(_ROLLUPS.calls), func.sum(_ROLLUPS.tokens)
            parts = [select(*keys, *sums).where(*conditions, span).group_by(*keys) for span in spans]
            for *names, is_rest, calls, tokens in connection.execute(union_all(*parts)):
                if not is_rest or self._cube.name != "user":
                    counts = Sums(int(calls), tokens=int(tokens))
                    found.groups.setdefault(tuple(names), Sums()).add(counts)
            return True
        selected = table.SELECTED if self._asked.measure == "figures" else table.WITHOUT_TIMES
        parts = [select(*selected).where(*conditions, span) for span in spans]
        groups = found.groups
        for _cube, tenant, _grain, start, key1, key2, key3, *values in connection.execute(union_all(*parts)):
            if key2 == REST and self._cube.name == "user":
                if where.user_id is not None:
                    return False
                found.rest.add(table.sums_of(values))
                continue
            group = key(tenant, start, (key1, key2, key3))
            known = groups.get(group)
            if known is None:
                groups[group] = table.sums_of(values)
            else:
                known.add(table.sums_of(values))
        return True

    def add_waiting(self, waiting: Iterable[deltas.OfTenant], found: Answer) -> None:
        """Add what is yet to be counted."""
        asked = self._asked
        for tenant, calls in waiting:
            columns = [
                [tenant] * len(calls) if name == "tenant" else _OF_CALLS[name](calls) for name in asked.by
            ]
            chosen = self._matching(calls)
            if asked.values is not None:
                chosen = [place for place in chosen if columns[0][place] in asked.values]
            groups: dict[Group, list[int]] = defaultdict(list)
            for place in chosen:
                start = datetime.fromisoformat(hour_text(calls.at[place])) if asked.bucket else _EPOCH
                groups[*self._bucket(start), *(values[place] for values in columns)].append(place)
            for group, places in groups.items():
                found.groups.setdefault(group, Sums()).add(Sums.of(calls, places))

    @property
    def _is_of_each_tenant(self) -> bool:
        return self._tenant is None and self._cube is not TENANTS and "tenant" in self._asked.by

    @property
    def _names_tenants(self) -> bool:
        return self._asked.values is not None and self._asked.by[0] == "tenant"

    def _conditions(self) -> list[ColumnElement[bool]]:
        where, cube, asked = self._asked.where, self._cube, self._asked
        if cube is TENANTS:
            found = [_ROLLUPS.cube == cube.name, _ROLLUPS.tenant_id == ""]
        elif self._tenant is not None:
            found = [_ROLLUPS.cube == cube.name, _ROLLUPS.tenant_id == self._tenant]
        elif self._is_of_each_tenant:
            found = [_ROLLUPS.cube == cube.name]
        else:
            found = [_ROLLUPS.cube == OF_ALL + cube.name, _ROLLUPS.tenant_id == ""]
        first = {"model": where.provider, "task": where.module, "error": where.status, "user": where.user_id}
        if (value := first.get(cube.name)) is not None:
            is_rest = [_ROLLUPS.key2 == REST] if cube.name == "user" else []
            found.append(or_(_ROLLUPS.key1 == _stored(cube.name, value), *is_rest))
        second = {"task": where.task, "error": where.error_code}
        if (value := second.get(cube.name)) is not None:
            found.append(_ROLLUPS.key2 == value)
        if cube.name == "model" and where.model is not None:
            found.append(or_(_ROLLUPS.key2 == where.model, _ROLLUPS.key3 == where.model))
        if asked.values is not None:
            found.append(self._value_of_row(asked.by[0]).in_(asked.values))
        return found

    def _value_of_row(self, name: Dimension) -> ColumnElement[str]:
        if name == "tenant" and self._cube is not TENANTS:
            return _ROLLUPS.tenant_id
        if name == "model":
            return func.coalesce(func.nullif(_ROLLUPS.key2, ""), _ROLLUPS.key3)
        return _ROLLUPS.key2 if name in ("task", "error_code") else _ROLLUPS.key1

    def _key_of_row(self) -> Callable[[str, datetime, tuple[str, str, str]], Group]:
        values = self._cube.value
        by = self._asked.by

        def key(tenant: str, start: datetime, keys: tuple[str, str, str]) -> Group:
            return (
                *self._bucket(start),
                *(values[name](keys) if name in values else tenant for name in by),
            )

        return key

    def _bucket(self, start: datetime) -> tuple[int, ...]:
        if self._asked.bucket is None:
            return ()
        return (int((start - _EPOCH).total_seconds()) // self._asked.bucket,)

    def _matching(self, calls: CountedCalls) -> Sequence[int]:
        """Where the calls are that are asked for."""
        where = self._asked.where
        found = self._window.places(calls.at)
        for attribute, name in FILTERS.items():
            value = getattr(where, attribute)
            if value is not None and name != "model":
                values, value = _OF_CALLS[name](calls), _stored(name, value)
                found = [place for place in found if values[place] == value]
        if where.model is not None:
            of = calls.model, calls.model_requested
            found = [place for place in found if where.model in (of[0][place], of[1][place])]
        return found


def _named(connection: Connection, spans: Sequence[ColumnElement[bool]]) -> list[ColumnElement[bool]]:
    """The tenants by name: the key of the table then finds the hours of each, and nothing else is read."""
    parts = [
        select(_ROLLUPS.key1).where(_ROLLUPS.cube == TENANTS.name, _ROLLUPS.tenant_id == "", span).distinct()
        for span in spans
    ]
    # They are named once a span, beside what else is asked for.
    most = min(TENANTS_NAMED, loading.MAX_PARAMETERS // (len(spans) + 1) - _OTHER_PARAMETERS)
    tenants = connection.execute(union(*parts).limit(most + 1)).scalars().all()
    return [_ROLLUPS.tenant_id.in_(tenants)] if len(tenants) <= most else []


def _stored(name: str, value: str) -> str:
    """A value as it is stored."""
    return (fit_identity(value) or "") if name == "user" else value
