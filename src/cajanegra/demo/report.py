"""Shows what a demonstration came to, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cajanegra.demo.summary import Effect, Pattern, Summary, Unanswered

_BAR_WIDTH = 30
_NARROW = 100
"""Columns below which causes and actions stand under one another instead of side by side."""


def show(console: Console, summary: Summary, commands: Sequence[tuple[str, str]]) -> None:
    """Print the summary, and the commands with what each one shows."""
    console.print()
    _show_calls(console, summary)
    _show_patterns(console, summary.patterns, summary.failures)
    _show_effects(console, summary.effects)
    _show_unanswered(console, summary.unanswered)
    _show_checks(console, summary)
    if commands:
        _heading(console, "Look further")
        for what, command in commands:
            console.print(Text(f"  # {what}", "dim"), soft_wrap=True)
            # A line that the terminal wraps is pasted as one; a line that we wrap is not.
            console.print(Text(f"  {command}"), soft_wrap=True)


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))


def _show_calls(console: Console, summary: Summary) -> None:
    title = Text.assemble(
        (f"{summary.recorded} calls", "bold"),
        f" in {summary.seconds:.0f} s, {summary.failures} failed attempts",
    )
    console.print(title)
    shares = Table.grid(padding=(0, 2))
    shares.add_column()
    shares.add_column(justify="right")
    _share_row(shares, "answered without recovery", summary.first_attempt, summary.recorded, "yellow")
    _share_row(shares, "answered with recovery", summary.answered, summary.recorded, "green")
    console.print(shares)
    by_status = ", ".join(f"{count} {status}" for status, count in summary.by_status.items())
    console.print(Text(f"status: {by_status}", "dim"))


def _share_row(table: Table, label: str, part: int, whole: int, style: str) -> None:
    portion = part / whole if whole else 0.0
    filled = round(portion * _BAR_WIDTH)
    bar = Text.assemble(("█" * filled, style), ("░" * (_BAR_WIDTH - filled), "dim"))
    table.add_row(label, Text(f"{portion:.1%}", f"bold {style}"), bar, Text(f"{part} of {whole}", "dim"))


def _show_patterns(console: Console, patterns: Sequence[Pattern], failures: int) -> None:
    _heading(console, f"Why {failures} attempts failed")
    if console.width < _NARROW:
        table = _table("failures", "pattern", "probable cause")
        for pattern in patterns:
            table.add_row(str(pattern.failures), pattern.pattern, pattern.cause)
    else:
        table = _table("failures", "pattern", "probable cause", "what to do")
        for pattern in patterns:
            table.add_row(str(pattern.failures), pattern.pattern, pattern.cause, pattern.action)
    console.print(table)


def _show_effects(console: Console, effects: Sequence[Effect]) -> None:
    _heading(console, "What recovery did")
    table = _table("steps", "strategy", "worked", "half took up to", "95 % took up to")
    for effect in effects:
        worked = f"{effect.successes} ({effect.successes / effect.steps:.0%})" if effect.steps else "0"
        table.add_row(
            str(effect.steps), effect.strategy, worked, _duration(effect.p50_ms), _duration(effect.p95_ms)
        )
    console.print(table)


def _show_unanswered(console: Console, unanswered: Sequence[Unanswered]) -> None:
    if not unanswered:
        return
    _heading(console, "What could not be recovered, and what to do")
    table = _table("calls", "last failure", "what to do")
    for entry in unanswered:
        table.add_row(str(entry.calls), f"{entry.provider} {entry.error_code}", entry.action)
    console.print(table)


def _show_checks(console: Console, summary: Summary) -> None:
    console.print()
    if summary.missing:
        console.print(Text(f"✗ {missing_line(summary)}", "bold red"), soft_wrap=True)
    else:
        console.print(Text(f"✓ all {summary.asked} calls are in the database", "green"))
    if summary.findings:
        findings = "; ".join(summary.findings)
        console.print(Text(f"✗ the simulator finds fault with the client: {findings}", "bold red"))
    else:
        verdict = "0 errors found in the client by the simulator (ignored Retry-After, retried 4xx, storms)"
        console.print(Text(f"✓ {verdict}", "green"))


def missing_line(summary: Summary) -> str:
    """What is not in the database, in one line."""
    some = ", ".join(summary.missing[:3]) + (", ..." if len(summary.missing) > 3 else "")  # noqa: PLR2004 - a taste
    return f"{len(summary.missing)} of {summary.asked} calls are missing in the database: {some}"


def _table(count: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column(count, justify="right", style="bold", no_wrap=True)
    first, *rest = columns
    table.add_column(first, no_wrap=True)
    for column in rest:
        table.add_column(column, ratio=1 if column in ("probable cause", "what to do") else None)
    return table


def _duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"  # noqa: PLR2004 - ms
