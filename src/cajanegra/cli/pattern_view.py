"""How error patterns look: in a list, and one in full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cajanegra.analysis.knowledge import Language, translated
from cajanegra.cli import render
from cajanegra.cli.render import Coloured, Column
from cajanegra.ports import Explanation

if TYPE_CHECKING:
    from cajanegra.domain.trend import Trend
    from cajanegra.storage.pattern_detail import PatternChange, PatternDetail, TenantCount
    from cajanegra.storage.patterns import PatternRow

BARS = 12
"""Bars that stand for a day: two hours each."""
LEAST_CAUSE = 32
"""Columns that a cause needs to say anything."""
MOST_LISTED = 8
"""Tenants, models and so on that are shown of many."""


def in_language(row: PatternRow, language: Language | None) -> PatternRow:
    """A pattern with cause and action in a language, where they are known in it."""
    if language is None or row.probable_cause is None or row.suggested_action is None:
        return row
    found = translated(Explanation(row.probable_cause, row.suggested_action), language)
    return replace(row, probable_cause=found.probable_cause, suggested_action=found.suggested_action)


def table(rows: Sequence[PatternRow], *, by_trend: bool) -> str:
    """Patterns, one a row; what matters least goes where the terminal is too narrow."""
    cells = [
        [
            render.count(row.occurrence_count),
            row.error_pattern,
            _state(row),
            render.sparkline(row.hours, BARS),
            render.short_moment(row.last_occurred),
            None,
        ]
        for row in rows
    ]
    columns = [
        Column("failures", number=True),
        Column("pattern"),
        Column("state"),
        Column("last 24 h", drop=3 if by_trend else 2),
        Column("last (UTC)", drop=1),
        Column("probable cause", drop=2 if by_trend else 3),
    ]
    others = [
        max(len(column.heading), *(render.columns_of(row[place]) for row in cells)) + render.GAP
        for place, column in enumerate(columns[:-1])
    ]
    room = max(render.width() - sum(others), LEAST_CAUSE)
    for cell, row in zip(cells, rows, strict=True):
        cell[-1] = render.cut(row.probable_cause, room)
    return render.table(columns, cells)


def _state(row: PatternRow) -> Coloured:
    words = (
        [*row.marks] if row.marks and row.resolution_status == "open" else [row.resolution_status, *row.marks]
    )
    return Coloured(", ".join(render.state(word) for word in words))


def heading(row: PatternRow) -> str:
    """Its name and its state."""
    words = ", ".join(render.state(word) for word in (row.resolution_status, *row.marks))
    return f"{render.heading(row.error_pattern)}  {words}"


def facts(found: PatternDetail) -> str:
    """What is known of a pattern, but for why it is and what to do."""
    row = found.pattern
    recovered = f"{render.count(row.recovered)}  ({render.share(row.recovered, row.occurrence_count)})"
    by = _counts(found.recovered_by)
    pairs = [
        ("failures", render.count(row.occurrence_count)),
        ("recovered", f"{recovered}  {by}" if by else recovered),
        ("failure kind", row.error_code),
        ("message", row.error_message_pattern),
        ("first seen (UTC)", render.moment(row.first_occurred)),
        ("last seen (UTC)", render.moment(row.last_occurred)),
        ("last 24 h", render.sparkline(row.hours, 24)),
        ("last 6 h", _trend(row.trend)),
        ("tenants", _tenants(found.tenants, found.tenants_in_all)),
        ("providers", _counts(found.providers)),
        ("models", _counts(found.models)),
        ("modules", _counts(found.modules)),
        ("merged into it", ", ".join(found.merged)),
        ("resolved (UTC)", render.moment(row.resolved_at)),
        ("regressed (UTC)", render.moment(row.regressed_at)),
    ]
    return render.facts(pairs)


def _trend(trend: Trend) -> str:
    recent = render.counted(trend.recent, "failure")
    if trend.expected is None:
        return f"{recent}; too young to say what is usual"
    return f"{recent}; {trend.expected:,.1f} in the same hours of the days before"


def _tenants(tenants: Sequence[TenantCount], in_all: int) -> str:
    return _counts({one.tenant_id or "(none)": one.failures for one in tenants}, in_all)


def _counts(counts: Mapping[str, int], in_all: int | None = None) -> str:
    """Names and their numbers, the greatest first, and how many are left out."""
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:MOST_LISTED]]
    rest = (len(counts) if in_all is None else in_all) - len(shown)
    return ", ".join([*shown, f"and {rest:,} more"] if rest > 0 else shown)


def history(changes: Iterable[PatternChange]) -> str:
    """What was decided, the latest first."""
    rows = [[render.moment(one.changed_at), one.pattern, _change(one), one.changed_by] for one in changes]
    return render.table([Column("time (UTC)"), Column("pattern", drop=1), Column("what"), Column("by")], rows)


def _change(one: PatternChange) -> str:
    match one.change:
        case "merged":
            return f"merged into {one.after}"
        case "split":
            return f"split from {one.before}"
        case "regressed":
            return "failed again, and is open"
        case "status":
            return f"{one.before or 'open'} -> {one.after}"
        case _:
            return f"{one.change}: {one.before or '-'} -> {one.after or '-'}"
