"""``cajanegra alerts``: tell operations what has begun to fail."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from cajanegra.cli import render
from cajanegra.cli.options import settings_for, with_database, with_json, with_tables
from cajanegra.cli.render import Column
from cajanegra.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from cajanegra.settings import Settings


@click.group()
def alerts() -> None:
    """Tell operations what has begun to fail: on Slack, by a webhook, in the log.

    Processes that record see to it by themselves, one at a time, where [alerts] of the settings names
    targets.

    \b
    Try:  cajanegra alerts test
          cajanegra alerts check
          cajanegra alerts list
    """


@alerts.command()
@with_database
@with_json
def check(database_url: str | None, as_json: bool) -> None:
    """Look once, and tell what is new. Exit code 1 when a target could not be told.

    \b
    From cron:  */5 * * * * cajanegra alerts check
    """
    from cajanegra import bootstrap

    settings = _with_targets(database_url)
    with with_tables(database_url):
        pass  # the tables of a new SQLite file
    evaluator = bootstrap.new_alerts(settings)
    look = evaluator.look()
    if look.led:
        evaluator.resign()
    if as_json:
        click.echo(render.to_json(render.fields(look)))
    elif not look.led:
        click.echo("Another process is seeing to alerts.")
    else:
        _say(look.found, look.told, settings.knowledge.language)
    for reason in look.failed:
        click.echo(f"cajanegra: not told: {render.printable(reason)}; it is tried again later", err=True)
    if look.failed:
        click.get_current_context().exit(1)


@alerts.command()
@click.option("--target", "only", metavar="NAME", help="Only this target; default is all.")
@with_json
def test(only: str | None, as_json: bool) -> None:
    """Tell every target that this is a test. Needs no database."""
    from cajanegra import bootstrap

    targets = bootstrap.new_targets(_with_targets(None))
    if only is not None and only not in targets:
        raise UsageError(f"there is no alert target {only!r}; there is: {', '.join(targets)}")
    chosen = {name: target for name, target in targets.items() if only in (None, name)}
    outcomes = asyncio.run(_tell_all(chosen))
    if as_json:
        click.echo(render.to_json(outcomes))
    else:
        for name, error in outcomes.items():
            click.echo(f"{name}: {'told' if error is None else f'not told: {render.printable(error)}'}")
    if any(outcomes.values()):
        click.get_current_context().exit(1)


@alerts.command("list")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="At most so many.")
@with_database
@with_json
def list_alerts(limit: int, database_url: str | None, as_json: bool) -> None:
    """List what was found last of each subject, and whether it was told."""
    from cajanegra.storage.alerts import Alerts

    with with_tables(database_url, to_read=True) as database:
        rows = Alerts(database).latest(limit)
    if as_json:
        click.echo(render.to_json(rows))
    elif not rows:
        click.echo("Nothing was worth an alert yet.")
    else:
        columns = [
            Column("found (UTC)"),
            Column("target"),
            Column("kind"),
            Column("subject"),
            Column("state"),
            Column("tries", number=True, drop=2),
            Column("error", drop=1),
        ]
        click.echo(render.table(columns, [_row(row) for row in rows]))


def _row(row: Any) -> list[Any]:
    return [
        render.short_moment(row["found_at"]),
        row["target"],
        row["kind"],
        row["subject"],
        render.state(row["state"]),
        row["tries"],
        render.cut(row["error"], 60),
    ]


def _with_targets(database_url: str | None) -> Settings:
    settings = settings_for(database_url)
    if not settings.alerts.targets:
        raise SettingsError(
            "nobody is named to be told; [[alerts.targets]] in cajanegra.toml does it, for the log: "
            'name = "log", kind = "log"'
        )
    return settings


def _say(found: Any, told: int, language: Any) -> None:
    from cajanegra.alerts import words

    for alert in found:
        click.echo(render.printable(words.title(alert, language)))
    if found or told:
        click.echo(f"{render.counted(len(found), 'new alert')}; told {render.counted(told, 'time')}.")
    else:
        click.echo("Nothing new.")


async def _tell_all(targets: Any) -> dict[str, str | None]:
    from cajanegra.domain.alert import Alert, Delivery
    from cajanegra.domain.ids import uuid7

    alert = Alert(kind="test", subject="test", episode=uuid7(), at=datetime.now().astimezone())

    async def tell(name: str) -> str | None:
        from cajanegra.errors import AlertError

        try:
            await targets[name].tell(Delivery(f"alert_{alert.episode}", name, alert))
        except AlertError as error:
            return str(error)
        return None

    return dict(zip(targets, await asyncio.gather(*map(tell, targets)), strict=True))
