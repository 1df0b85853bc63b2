"""``cajanegra db secure``: row-level security."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cajanegra.cli import render
from cajanegra.cli.options import opened, with_database, with_json
from cajanegra.cli.render import Column

if TYPE_CHECKING:
    from cajanegra.storage.secure import Confined


@click.command()
@click.option(
    "--confine",
    "confine",
    multiple=True,
    metavar="ROLE[=TENANT]",
    help="Show the role this tenant's rows alone, or those of the tenant that its transaction names.",
)
@click.option(
    "--pass",
    "exempt",
    multiple=True,
    metavar="ROLE",
    help="Let the role see everything (BYPASSRLS, for tables of others too).",
)
@click.option(
    "--release", multiple=True, metavar="ROLE", help="Confine the role no more; it may read nothing."
)
@click.option("--create-roles", is_flag=True, help="Create roles that are missing, without login.")
@click.option("--off", is_flag=True, help="Take everything back.")
@click.option("--sql", "dry_run", is_flag=True, help="Show the SQL and change nothing.")
@with_database
@with_json
def secure(
    confine: tuple[str, ...],
    exempt: tuple[str, ...],
    release: tuple[str, ...],
    create_roles: bool,
    off: bool,
    dry_run: bool,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Let PostgreSQL itself keep tenants apart (row-level security).

    The owner of the tables goes on seeing everything; a role that is confined sees one tenant's rows,
    whatever SQL it runs. Run it again after an upgrade.

    \b
    Try:  cajanegra db secure --confine acme_bi=acme
          cajanegra db secure --confine erp_reader   # sees what its transaction names in cajanegra.tenant
          cajanegra db secure --off
    """
    from cajanegra.storage import secure as rows

    if off and (confine or exempt or release or create_roles):
        raise click.UsageError("--off takes everything back; leave the other options out")
    with opened(database_url) as database:
        if off:
            done = rows.unsecure(database, dry_run=dry_run)
        else:
            done = rows.secure(
                database,
                confine=[_confined(text) for text in confine],
                exempt=exempt,
                release=release,
                create_roles=create_roles,
                dry_run=dry_run,
            )
    if as_json:
        click.echo(render.to_json(render.fields(done)))
    elif dry_run:
        click.echo(
            "".join(f"{statement};\n" for statement in ["BEGIN", *done.statements, "COMMIT"]), nl=False
        )
    elif off:
        click.echo("Row-level security is off: whoever may read the tables sees all tenants.")
    else:
        click.echo(f"Row-level security is on for {render.counted(done.tables, 'table')}.")
        shown = [[one.role, one.tenant or "the one that cajanegra.tenant names"] for one in done.confined]
        if shown:
            click.echo(render.table([Column("role"), Column("sees the rows of")], shown))


def _confined(text: str) -> Confined:
    from cajanegra.storage.secure import Confined

    role, given, tenant = text.partition("=")
    if not role:
        raise click.BadParameter("write ROLE or ROLE=TENANT", param_hint="--confine")
    return Confined(role, tenant if given else None)
