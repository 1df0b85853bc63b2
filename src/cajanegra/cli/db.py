"""``cajanegra db``: the life of the tables."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cajanegra.cli import render
from cajanegra.cli.options import opened, settings_for, with_database, with_json
from cajanegra.cli.render import Column
from cajanegra.cli.secure import secure
from cajanegra.errors import CajanegraError


@click.group()
def db() -> None:
    """Create, check, measure, back up and restore the tables.

    \b
    Try:  cajanegra db upgrade
          cajanegra db verify
          cajanegra db sql --dialect postgresql | psql -d your_database
    """


db.add_command(secure)


@db.command()
@click.argument("revision", default="head")
@with_database
@with_json
def upgrade(revision: str, database_url: str | None, as_json: bool) -> None:
    """Create the tables, or adopt those there are; no row is lost."""
    from cajanegra.storage import migrate

    with opened(database_url) as database:
        done = migrate.upgrade(database, revision)
    if as_json:
        click.echo(render.to_json(done))
        return
    words = {
        "created": f"Created the tables at revision {done.to_revision}.",
        "adopted": f"Adopted the tables that were there, at revision {done.to_revision}.",
        "upgraded": f"Upgraded from revision {done.from_revision} to {done.to_revision}.",
        "completed": f"Mended what was missing of revision {done.to_revision}.",
        "current": f"Nothing to do: the tables are at revision {done.to_revision}.",
    }
    click.echo(words[done.state])
    for change in done.changes:
        click.echo(f"  {change}")


@db.command()
@click.argument("revision", default="-1")
@click.option("--drop-data", is_flag=True, help="Drop tables that have rows in them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_database
@with_json
def downgrade(revision: str, drop_data: bool, yes: bool, database_url: str | None, as_json: bool) -> None:
    """Take the schema back by one revision, or to REVISION.

    The revision "base" drops all tables.
    """
    from cajanegra.storage import migrate

    with opened(database_url) as database:
        if drop_data and not yes and sys.stdin.isatty():
            click.confirm(f"Drop the tables of {database.label} with all their rows?", abort=True, err=True)
        now = migrate.downgrade(database, revision, drop_data=drop_data)
    click.echo(
        render.to_json({"revision": now})
        if as_json
        else f"The tables are at revision {now or 'base (none)'}."
    )


@db.command()
@with_database
@with_json
def current(database_url: str | None, as_json: bool) -> None:
    """Show the revision of the tables."""
    from cajanegra.storage import migrate

    with opened(database_url) as database:
        revision, newest = migrate.current(database), migrate.head()
    if as_json:
        click.echo(render.to_json({"revision": revision, "head": newest}))
    elif revision == newest:
        click.echo(f"{revision} (newest)")
    else:
        click.echo(f"{revision or 'none'}; the newest is {newest}: cajanegra db upgrade")


@db.command()
@click.option("--all", "everything", is_flag=True, help="Show what is as it must be, too.")
@with_database
@with_json
def verify(everything: bool, database_url: str | None, as_json: bool) -> None:
    """Compare tables, columns and indexes with what must be there."""
    from cajanegra.storage.verify import verify as compare

    with opened(database_url) as database:
        findings = compare(database)
    wrong = [finding for finding in findings if finding.state != "present"]
    if as_json:
        click.echo(render.to_json([render.fields(finding) for finding in findings]))
    else:
        shown = findings if everything else wrong
        if shown:
            columns = [
                Column("state"),
                Column("table"),
                Column("what", drop=1),
                Column("item"),
                Column("expected"),
                Column("found"),
            ]
            rows = [
                [
                    render.state(f.state),
                    f.table,
                    f.kind,
                    f.item,
                    render.cut(f.expected, 30),
                    render.cut(f.found, 30),
                ]
                for f in shown
            ]
            click.echo(render.table(columns, rows))
        tables = len({finding.table for finding in findings})
        total = f"{len(findings)} items of {tables} tables checked"
        click.echo(
            f"{total}: {len(wrong)} wrong; see 'cajanegra doctor'"
            if wrong
            else f"{total}: all as they must be."
        )
    if wrong:
        click.get_current_context().exit(1)


@db.command()
@click.option(
    "--dialect", type=click.Choice(["postgresql", "sqlite"]), help="Default is the settings' database."
)
@with_database
def sql(dialect: str | None, database_url: str | None) -> None:
    """Print the SQL that creates the tables; it may run twice."""
    from cajanegra.storage import ddl
    from cajanegra.storage.database import Database

    click.echo(ddl.sql(dialect or Database(settings_for(database_url).database.url).dialect))


@db.command()
@click.argument("names", nargs=-1)
@with_database
@with_json
def index(names: tuple[str, ...], database_url: str | None, as_json: bool) -> None:
    """Add indexes that make more filters of lists fast; programs go on writing meanwhile.

    NAMES are of user, provider, module, task, error, pattern and text, the last two on PostgreSQL alone;
    default is all that the database can have. Text needs the extension pg_trgm. DROP INDEX takes one away.
    """
    from cajanegra.storage.optional_indexes import add

    with opened(database_url) as database, render.progress("Adding indexes") as on_progress:
        done = add(database, names, on_progress)
    if as_json:
        click.echo(render.to_json({"added": done}))
    else:
        click.echo("\n".join(f"Added {name}." for name in done) or "Nothing to do: they are there.")


@db.command()
@with_database
@with_json
def sizes(database_url: str | None, as_json: bool) -> None:
    """Show rows and bytes of each table and its indexes."""
    from cajanegra.storage.sizes import sizes as measure

    with opened(database_url, to_read=True) as database:
        found = measure(database)
    if as_json:
        click.echo(render.to_json([render.fields(table) for table in found]))
        return
    columns = [Column("table"), *(Column(name, number=True) for name in ("rows", "data", "indexes", "total"))]
    rows = [
        [
            table.table,
            f"{'' if table.exact_rows else '~'}{render.count(table.rows)}",
            render.size(table.table_bytes),
            render.size(table.index_bytes),
            render.size(table.total_bytes),
        ]
        for table in found
    ]
    click.echo(render.table(columns, rows))
    if any(table.measured == "content" for table in found):
        click.echo("\nBytes are those of the content: this SQLite cannot say what its pages hold.", err=True)


@db.command()
@click.option(
    "--bigint",
    is_flag=True,
    help="Copy the calls, and what belongs to them, into tables with 64-bit ids; "
    "until that is done it needs room for a second copy of all of them.",
)
@with_database
@with_json
def partition(bigint: bool, database_url: str | None, as_json: bool) -> None:
    """Store calls in daily partitions, which retention can drop at once (PostgreSQL).

    The table that is there becomes the first partition; writers wait for a moment at the end. Run again, it
    makes the partitions for the days to come.

    With --bigint nothing is attached but everything copied, from partitions, too, while writers go on; they
    wait for a moment at the end. Cut short, it begins anew.
    """
    from cajanegra.storage.partitioning import partition as convert

    label = "Copying" if bigint else "Converting"
    with opened(database_url) as database, render.progress(label) as on_progress:
        done = convert(database, bigint=bigint, on_progress=on_progress)
    if as_json:
        click.echo(render.to_json(render.fields(done)))
        return
    if done.attached is not None:
        click.echo(f"Calls are stored in daily partitions now; those there were are in {done.attached}.")
    if done.widened:
        click.echo(f"Calls are stored in daily partitions, with 64-bit ids in {', '.join(done.widened)}.")
    click.echo(f"{render.counted(len(done.partitions), 'partition')}, {len(done.made)} of them new:")
    columns = [
        Column("partition"), Column("from"), Column("to"),
        Column("rows", number=True), Column("total", number=True),
    ]  # fmt: skip
    rows = [
        [
            one.name,
            str(one.since.date()) if one.since else "",
            str(one.until.date()) if one.until else "",
            f"~{render.count(one.rows)}" if one.rows >= 0 else "",
            render.size(one.bytes),
        ]
        for one in done.partitions
    ]
    click.echo(render.table(columns, rows))


@db.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite the file.")
@with_database
def backup(path: Path, force: bool, database_url: str | None) -> None:
    """Write the tables to a file.

    Of PostgreSQL it is pg_dump's custom format with the product's tables only, of SQLite a SQLite file.
    """
    from cajanegra.storage.backup import backup as write

    with opened(database_url) as database, render.progress("Backing up") as on_progress:
        write(database, path, force=force, on_progress=on_progress)
    click.echo(f"Wrote {path} ({render.size(path.stat().st_size)}).")


@db.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace the rows that are there.")
@with_database
def restore(path: Path, force: bool, database_url: str | None) -> None:
    """Bring the tables back from a file, all of it or nothing."""
    from cajanegra.storage.backup import restore as read

    if not path.exists():
        raise CajanegraError(f"there is no file {path}")
    with opened(database_url) as database, render.progress("Restoring") as on_progress:
        read(database, path, force=force, on_progress=on_progress)
        label = database.label
    click.echo(f"Restored {label} from {path}.")
