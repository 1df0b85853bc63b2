"""The root command; each group is imported when it is used, so that help is quick."""

from __future__ import annotations

import difflib
import importlib
import os
from typing import Any

import click

COMMANDS = {
    "alerts": ("alerts", "Tell operations what has begun to fail."),
    "chat": ("chat", "Ask the configured providers, and record the call."),
    "cleanup": ("cleanup", "Delete what is older than it is to be kept."),
    "db": ("db", "Create, check, measure, back up and restore the tables."),
    "demo": ("demo", "Simulate failing providers and show what was recovered."),
    "doctor": ("doctor", "Check database, tables and providers, and say how to mend them."),
    "errors": ("errors", "See what fails and why, and decide about it."),
    "keys": ("keys", "Say who may use the server, and see what."),
    "logs": ("logs", "List, show, follow, count, export and import calls."),
    "recoveries": ("recoveries", "See which recovery works for which failure."),
    "retention": ("retention", "Hold calls, erase a user or a tenant, see what was deleted."),
    "rollups": ("rollups", "Count calls anew that others have written, and compare counts with calls."),
    "serve": ("serve", "Serve the REST API, health and metrics."),
    "spool": ("spool", "See what waits for the database, and bring it there."),
}
"""Command: its module below ``cajanegra.cli``, and what it is for."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """All of them, by name."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, or suggest the nearest one.

        Raises:
            click.UsageError: there is none of this name.
        """
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no such command {cmd_name!r}; {hint}", ctx)
        module = importlib.import_module(f"cajanegra.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - each module defines the command it is named after
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_module, text) in COMMANDS.items()])


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: Any) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"cajanegra {version('cajanegra')}")
        ctx.exit()


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--db", "database_url", metavar="URL", help="The database; default is the one in the settings.")
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version.",
)
@click.pass_context
def cli(ctx: click.Context, database_url: str | None) -> None:
    """The flight recorder for AI calls: what was asked, what failed and why, what recovered it.

    \b
    Try:  cajanegra demo
          cajanegra logs list --status error --since 2h
          cajanegra errors list
          cajanegra doctor
    """
    ctx.obj = database_url
    if os.environ.get("NO_COLOR"):  # no-color.org; click looks only whether there is a terminal
        ctx.color = False
