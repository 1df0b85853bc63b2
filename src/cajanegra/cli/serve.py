"""``cajanegra serve``: the gateway and the REST API, until it is told to stop."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
import msgspec

from cajanegra.cli.options import settings_for, with_database
from cajanegra.errors import CajanegraError, SettingsError, StorageError, UsageError

if TYPE_CHECKING:
    from cajanegra.settings import Server, Settings


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen at; default is the one in the settings.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen at; 0 is any that is free.")
@click.option("--workers", type=click.IntRange(1, 128), help="Processes that serve.")
@with_database
def serve(host: str | None, port: int | None, workers: int | None, database_url: str | None) -> None:
    """Serve the gateway and the REST API, with health and metrics, until it is told to stop.

    SIGTERM and Ctrl-C let requests that are under way end, and write what is recorded. SIGHUP replaces the
    serving processes one after the other, with the settings as they are then. POST /admin/reload has the
    gateway go on with other providers without ending a connection.

    \b
    Try:  cajanegra keys create --all-tenants --role admin
          cajanegra serve --host 0.0.0.0 --workers 2
          curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8420/api/v1/ai/logs/recent
    """
    try:
        from cajanegra.server import serving
    except ImportError as error:
        raise CajanegraError(str(error)) from None

    settings = settings_for(database_url)
    given = {"host": host, "port": port, "workers": workers}
    server = msgspec.structs.replace(settings.server, **{k: v for k, v in given.items() if v is not None})
    for line in _warnings(settings, server):
        click.echo(f"cajanegra: {line}", err=True)
    with serving.listen(server) as listening:
        _pass_on(settings, server)
        click.echo(f"cajanegra serves {serving.url_of(listening)} (stop with Ctrl-C)", err=True)
        if not serving.serve(server, listening):
            raise CajanegraError("no serving process could start; the lines above say why")


def _warnings(settings: Settings, server: Server) -> list[str]:
    """What the operator should know; a database that is away may come back, and is no reason not to start.

    Raises:
        UsageError: others could reach the server, and nobody has a key.
    """
    from cajanegra.server.origins import is_loopback
    from cajanegra.storage import keys, migrate
    from cajanegra.storage.database import Database

    try:
        with Database(settings.database.url) as database:
            migrate.ensure_sqlite(database)
            has_keys = keys.is_any(database)
    except StorageError as error:
        return [f"{error} (until then every request is answered with 503)"]
    if has_keys:
        return []
    if not is_loopback(server.host):
        raise UsageError(
            f"others can reach {server.host}, and there is no key yet, so nobody could use it; first run "
            "'cajanegra keys create --all-tenants --role admin'"
        )
    return [
        "there is no key: whoever is on this machine may see and change everything (keys create ends that)"
    ]


def _pass_on(settings: Settings, server: Server) -> None:
    """Give what the command line said to the serving processes, which read the settings themselves."""
    if not all(name.isprintable() for name in (settings.database.url, server.host)):
        raise SettingsError("database URL and host must not have line ends or other controls")
    values = {"SERVER__HOST": server.host, "SERVER__PORT": server.port, "SERVER__WORKERS": server.workers}
    database = settings.database
    values |= {"DATABASE__URL": database.url, "DATABASE__READ_URL": database.read_url}
    values |= {"DATABASE__TENANT_URL": database.tenant_url}
    os.environ.update({f"CAJANEGRA_{name}": str(value) for name, value in values.items()})
