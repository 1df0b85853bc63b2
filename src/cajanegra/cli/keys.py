"""``cajanegra keys``: who may use the server, and see what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cajanegra.cli import render
from cajanegra.cli.key_limits import in_words, limits_of, with_limits
from cajanegra.cli.options import Until, scope_of, with_database, with_json, with_tables
from cajanegra.cli.render import Column
from cajanegra.domain.keys import key_prefix
from cajanegra.domain.principal import AllTenants, Role
from cajanegra.errors import UsageError

if TYPE_CHECKING:
    from cajanegra.storage.keys import Key


@click.group()
def keys() -> None:
    """Say who may use the server, and see what.

    A key is for one tenant or all of them, and has a role: a writer records calls, a reader sees what was
    recorded, an admin does both, deletes and decides.
    """


@keys.command()
@click.option("--tenant", metavar="ID", help="For this tenant.")
@click.option("--all-tenants", is_flag=True, help="For all tenants.")
@click.option(
    "--role", type=click.Choice([str(role) for role in Role]), required=True, help="What it may do."
)
@click.option("--name", metavar="TEXT", help="What it is for, in your words.")
@click.option("--expires", type=Until(), metavar="TIME", help="Until when: 90d, 12h, or 2027-06-30 (UTC).")
@with_limits
@with_database
@with_json
def create(
    *,
    tenant: str | None,
    all_tenants: bool,
    role: str,
    name: str | None,
    expires: datetime | None,
    database_url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a key, and show it this once.

    Only its hash is kept. The key alone goes to standard output, so that a script can take it.

    \b
    Try:  cajanegra keys create --tenant acme --role reader --expires 90d --name "support desk"
          KEY=$(cajanegra keys create --all-tenants --role admin)
          cajanegra keys create --tenant acme --role writer --model 'gpt-4o*' --monthly-budget 50
    """
    from cajanegra.storage import keys as stored

    if all_tenants == (tenant is not None):
        raise UsageError("say for whom the key is: --tenant ID or --all-tenants")
    scope = scope_of(tenant)
    with with_tables(database_url) as database:
        key, secret = stored.create(
            database,
            scope=scope,
            role=Role(role),
            name=name,
            expires_at=expires,
            now=datetime.now(UTC),
            limits=limits_of(options),
        )
    if as_json:
        click.echo(render.to_json({"key": secret.text, **_fields(key)}))
        return
    click.echo(
        f"Key {key.prefix} for {_whom(key)}, {key.role}, {_until(key)}. It is shown this once:", err=True
    )
    click.echo(secret.text)


@keys.command(name="list")
@click.argument("prefix", default="")
@click.option("--tenant", metavar="ID", help="For this tenant.")
@click.option("--all", "invalid", is_flag=True, help="Those that are revoked or expired, too.")
@with_database
@with_json
def list_(prefix: str, *, tenant: str | None, invalid: bool, database_url: str | None, as_json: bool) -> None:
    """List the keys that are valid, or those whose beginning is PREFIX."""
    from cajanegra.storage import keys as stored

    scope = scope_of(tenant)
    now = datetime.now(UTC)
    with with_tables(database_url) as database:
        found = stored.listed(database, scope=scope, beginning=prefix, invalid=invalid, now=now)
    if as_json:
        click.echo(render.to_json([_fields(key) for key in found]))
    elif found:
        click.echo(_table([*found], now))
    else:
        click.echo("No key. 'cajanegra keys create' makes one.")


@keys.command()
@click.argument("prefix")
@with_database
@with_json
def revoke(prefix: str, database_url: str | None, as_json: bool) -> None:
    """Revoke the key that begins with PREFIX; every server refuses it within two seconds."""
    from cajanegra.storage import keys as stored

    if not prefix.startswith("cn_"):
        raise UsageError(f"{prefix!r} is not how a key begins; 'cajanegra keys list' shows what there is")
    with with_tables(database_url) as database:
        key = stored.revoke(database, key_prefix(prefix) or prefix, datetime.now(UTC))
    click.echo(
        render.to_json(_fields(key)) if as_json else f"Revoked {key.prefix} ({_whom(key)}, {key.role})."
    )


@keys.command()
@click.argument("prefix")
@with_limits
@with_database
@with_json
def limit(prefix: str, *, database_url: str | None, as_json: bool, **options: Any) -> None:
    """Limit what the key that begins with PREFIX may use the gateway for; without options, lift its limits.

    What is given replaces all that was set before, and holds within two seconds.

    \b
    Try:  cajanegra keys limit cn_abc --model fast --requests-per-minute 60 --monthly-budget 20
    """
    from cajanegra.storage import keys as stored

    with with_tables(database_url) as database:
        key = stored.limit(database, prefix, limits_of(options))
    click.echo(
        render.to_json(_fields(key)) if as_json else f"Limits of {key.prefix}: {in_words(key.limits)}."
    )


def _table(found: list[Key], now: datetime) -> str:
    columns = [
        Column("key"),
        Column("tenant"),
        Column("role"),
        Column("name", drop=3),
        Column("limits", drop=5),
        Column("state"),
        Column("expires", drop=1),
        Column("last used", drop=2),
        Column("created", drop=4),
    ]
    rows = [
        [
            key.prefix,
            "all" if isinstance(key.scope, AllTenants) else key.scope,
            key.role,
            render.cut(key.name, 30),
            render.cut(in_words(key.limits), 40),
            _state(key, now),
            render.moment(key.expires_at) or "never",
            render.moment(key.last_used_at) or "never",
            render.moment(key.created_at),
        ]
        for key in found
    ]
    return render.table(columns, rows)


def _state(key: Key, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "valid" if key.is_valid(now) else "expired"


def _whom(key: Key) -> str:
    return "all tenants" if isinstance(key.scope, AllTenants) else f"tenant {key.scope}"


def _until(key: Key) -> str:
    return (
        f"valid until {render.moment(key.expires_at)} UTC" if key.expires_at else "valid until it is revoked"
    )


def _fields(key: Key) -> dict[str, object]:
    fields = render.fields(key)
    scope, limits = fields.pop("scope"), fields.pop("limits")
    fields["limits"] = render.fields(limits) if limits is not None else None
    tenant = None if isinstance(scope, AllTenants) else scope
    return {**fields, "tenant_id": tenant, "all_tenants": tenant is None}
