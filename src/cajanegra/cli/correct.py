"""``cajanegra errors correct``: what is done about the failures of a pattern, and what has helped so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cajanegra.cli import render
from cajanegra.cli.options import settings_for, whoever, with_database, with_json, with_tables
from cajanegra.cli.render import Column
from cajanegra.domain.call import Strategy
from cajanegra.domain.principal import ALL_TENANTS, Scope

if TYPE_CHECKING:
    from cajanegra.domain.correction import Correction
    from cajanegra.domain.outcome import Achievement
    from cajanegra.ports import StoredCorrection
    from cajanegra.storage.database import Database


class Assignment(click.ParamType[tuple[str, str]]):
    """``NAME=VALUE``."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Name and value."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.strip():
            self.fail(f"{value!r} is not a setting; write provider=openai", param, ctx)
        return name.strip(), text.strip()


@click.command()
@click.argument("pattern")
@click.option(
    "--strategy", type=click.Choice([str(one) for one in Strategy]), help="What to do before all else."
)
@click.option(
    "--set",
    "settings",
    type=Assignment(),
    multiple=True,
    metavar="NAME=VALUE",
    help="How: of retry: wait, retries; of fallback: provider, model; "
    "of simplify: max_tokens, context_window, remove.",
)
@click.option("--off", is_flag=True, help="Go back to what is usually done.")
@with_database
@with_json
def correct(
    pattern: str,
    strategy: str | None,
    settings: Sequence[tuple[str, str]],
    off: bool,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Say what is done about the failures of a pattern before anything else is tried.

    Every process that makes calls obeys within 5 seconds, as far as deadline, attempts and what the
    provider asked for permit. What is never repeated is not repeated because of a correction either.

    \b
    Try:  cajanegra errors correct ollama_timeout --strategy fallback --set provider=openai
          cajanegra errors correct openai_rate_limit --strategy retry --set wait=2 --set retries=3
          cajanegra errors correct ollama_timeout --strategy simplify --set max_tokens=500
          cajanegra errors correct ollama_timeout --off
    """
    from cajanegra.storage.corrections import set_correction
    from cajanegra.storage.pattern_detail import detail

    if (strategy is None) == (not off):
        raise click.UsageError("give either --strategy or --off")
    if off and settings:
        raise click.UsageError("--set does not go with --off")
    if len(dict(settings)) < len(settings):
        raise click.UsageError("a setting is given twice")
    with with_tables(database_url) as database:
        kind = detail(database, ALL_TENANTS, pattern, now=datetime.now(UTC), samples=0).pattern.error_code
        chosen = None if strategy is None else _checked(strategy, dict(settings), kind, database_url)
        name = set_correction(database, pattern, chosen, datetime.now(UTC), by=whoever())
    if as_json:
        click.echo(render.to_json({"error_pattern": name, **_stored(chosen)}))
    elif chosen is None:
        click.echo(f"{name} is not corrected any more")
    else:
        click.echo(f"{name} is corrected from now on: {chosen.words}")


@dataclass(frozen=True, slots=True)
class Remedies:
    """What is done about a pattern, and what has helped.

    Attributes:
        stored: the correction as it stands in the table.
        words: the same in words, where it is obeyed.
        ignored: why it is not obeyed.
        achieved: what every strategy has achieved.
    """

    stored: StoredCorrection | None
    words: str | None
    ignored: str | None
    achieved: Sequence[Achievement]

    @property
    def fields(self) -> dict[str, Any]:
        """For programs."""
        return {"correction_ignored": self.ignored, "recoveries": list(self.achieved)}

    @property
    def text(self) -> str:
        """For people; begins with an empty line, unless there is nothing to say."""
        parts = []
        if self.stored is not None:
            found = self.words or f"{render.printable(self.stored.strategy)} is ignored: {self.ignored}"
            parts.append(f"\n{render.heading('Correction')}\n{render.wrap(found)}")
        if self.achieved:
            parts.append(f"\n{render.heading('What was tried')}\n{achieved_table(self.achieved)}")
        return "\n".join(parts)


def remedies(
    database: Database,
    scope: Scope,
    pattern: str,
    merged: Sequence[str],
    database_url: str | None,
) -> Remedies:
    """What is done about a pattern, and what has helped.

    Args:
        database: where it stands.
        scope: whose calls are looked at.
        pattern: its name.
        merged: other names that count under it.
        database_url: what the command line says of the database.

    Raises:
        StorageError: the database cannot be read.
    """
    from cajanegra.domain.outcome import achievements
    from cajanegra.errors import UsageError
    from cajanegra.storage.corrections import enabled_correction
    from cajanegra.storage.outcomes import outcomes_of

    stored, words, ignored = enabled_correction(database, pattern), None, None
    if stored is not None:
        try:
            words = _checked(stored.strategy, stored.settings, stored.kind, database_url).words
        except UsageError as error:
            ignored = str(error)
    steps = outcomes_of(database, scope, [pattern, *merged])
    return Remedies(stored, words, ignored, achievements(steps))


def achieved_table(achieved: Sequence[Achievement]) -> str:
    """What every strategy has achieved, with how sure that is."""
    columns = [
        Column("strategy"),
        Column("asked", drop=3),
        Column("steps", number=True),
        Column("worked", number=True),
        Column("95 % sure", number=True),
        Column("p50 ms", number=True),
        Column("p95 ms", number=True, drop=4),
        Column("tokens", number=True, drop=2),
        Column("cost", number=True, drop=1),
    ]
    rows = [
        [
            one.strategy,
            one.target,
            render.count(one.steps),
            render.share(one.successes, one.steps),
            f"{one.lowest:.0%} to {one.highest:.0%}",
            render.count(one.p50_ms),
            render.count(one.p95_ms),
            render.count(one.tokens),
            None if one.cost is None else f"{one.cost:.6f}",
        ]
        for one in achieved
    ]
    return render.table(columns, rows)


def _checked(strategy: str, settings: Any, kind: str | None, database_url: str | None) -> Correction:
    from cajanegra.bootstrap import correctable
    from cajanegra.domain.correction import correction_of

    return correction_of(strategy, settings, kind=kind, models=correctable(settings_for(database_url)))


def _stored(correction: Correction | None) -> Mapping[str, Any]:
    return {
        "auto_correction_enabled": str(correction.strategy) if correction else None,
        "correction_config": correction.config if correction else None,
    }
