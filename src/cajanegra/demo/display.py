"""Shows a demonstration while it runs: live on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cajanegra.demo.run import Health, Progress

LINE_EVERY = 5.0
"""Seconds between two lines where there is no terminal."""
_BAR_WIDTH = 40


@contextmanager
def shown(console: Console, total: int) -> Iterator[Callable[[Progress], None]]:
    """Show the progress that the yielded function is told of, until the block ends."""
    progress = Progress(total)
    if not console.is_terminal:
        yield _Lines(console)
        return
    # Gone at the end: the summary says the same from the database.
    with Live(console=console, transient=True, refresh_per_second=8, get_renderable=lambda: _view(progress)):

        def follow(now: Progress) -> None:
            nonlocal progress
            progress = now

        yield follow


class _Lines:
    """One line of text every few seconds, and one at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < LINE_EVERY and progress.done < progress.total:
            return
        self._last = now
        failing = [name for name, health in progress.providers.items() if not health.well]
        self._console.print(
            f"{progress.done} of {progress.total} calls: {progress.answered} answered, "
            f"{progress.recovered} of them recovered, {progress.failed} not answered; "
            f"failing now: {', '.join(failing) or 'nobody'}",
            soft_wrap=True,
            highlight=False,
        )


def _view(progress: Progress) -> RenderableType:
    head = Table.grid(padding=(0, 1))
    head.add_row(
        ProgressBar(
            total=max(progress.total, 1), completed=progress.done, width=_BAR_WIDTH, complete_style="cyan"
        ),
        f"{progress.done}/{progress.total} calls",
    )
    counts = Text.assemble(
        ("answered ", "dim"),
        (f"{progress.answered}", "bold green"),
        ("   recovered ", "dim"),
        (f"{progress.recovered}", "bold cyan"),
        ("   not answered ", "dim"),
        (f"{progress.failed}", "bold red" if progress.failed else "bold"),
    )
    providers = Table.grid(padding=(0, 2))
    for name, health in progress.providers.items():
        providers.add_row(*_provider(name, health))
    return Group(head, counts, providers)


def _provider(name: str, health: Health) -> tuple[RenderableType, ...]:
    state = Text("● answering", "green") if health.well else Text("● failing", "red")
    counts = Text(f"{health.answered:>4} answered  {health.failed:>3} failures", "dim")
    return Text(name, "bold"), state, counts
