"""The options that commands share: the database, JSON, and which calls are meant."""

from __future__ import annotations

import functools
import getpass
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cajanegra.domain.call import CallStatus
from cajanegra.domain.principal import ALL_TENANTS, Scope
from cajanegra.errors import UsageError
from cajanegra.settings import Settings

if TYPE_CHECKING:
    from cajanegra.storage.database import Database

F = TypeVar("F", bound=Callable[..., Any])

MAX_MS = 2**31 - 1
"""What the column holds."""

_RELATIVE = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[datetime]):
    """A time: ISO 8601 (UTC where no zone is given), or so long ago: ``90m``, ``2h``, ``7d``."""

    name = "time"
    example = "2026-11-24T10:00, 2h or 7d"
    direction = -1
    """Where relative times lie: before now, or after."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time that is meant, aware."""
        if isinstance(value, datetime):
            return value
        try:
            if found := _RELATIVE.fullmatch(value.strip()):
                distance = timedelta(**{_UNITS[found[2]]: int(found[1])})
                return datetime.now(UTC) + self.direction * distance
            moment = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time; write {self.example}", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Until(Moment):
    """A time to come: ISO 8601, or from now on: ``12h``, ``90d``."""

    example = "2027-06-30, 12h or 90d"
    direction = 1


def settings_for(database_url: str | None) -> Settings:
    """The settings in force, with the database that the command line names; it is read from, too.

    Raises:
        UsageError: ``--db`` is empty, as with a shell variable that is not set.
    """
    named = click.get_current_context().find_root().obj if database_url is None else database_url
    if named is None:
        return Settings()
    if not named.strip():
        raise UsageError("--db is empty; write postgresql://user:password@host/name or sqlite:///path")
    return Settings(database={"url": named, "read_url": "", "tenant_url": ""})


@contextmanager
def opened(database_url: str | None, *, to_read: bool = False) -> Iterator[Database]:
    """The database that the command line or the settings name, as it is."""
    from cajanegra.storage.database import Database

    database = settings_for(database_url).database
    with Database(database.read_url if to_read and database.read_url else database.url) as found:
        yield found


@contextmanager
def with_tables(database_url: str | None, *, to_read: bool = False) -> Iterator[Database]:
    """The same, with its tables made where it is a new SQLite file."""
    from cajanegra.storage.migrate import ensure_sqlite

    with opened(database_url, to_read=to_read) as found:
        ensure_sqlite(found)
        yield found


def whoever() -> str | None:
    """Whose terminal it is, for the history of what was decided."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return None


def with_database(function: F) -> F:
    """``--db URL``."""
    option = click.option(
        "--db", "database_url", metavar="URL", help="The database; default is the one in the settings."
    )
    return option(function)


def scope_of(tenant_id: str | None) -> Scope:
    """Whose rows ``--tenant`` means: everybody's where it is left out."""
    return ALL_TENANTS if tenant_id is None else tenant_id


def with_json(function: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(function)


_FILTERS: tuple[Callable[[Any], Any], ...] = (
    click.option("--tenant", "tenant_id", metavar="ID", help="Of this tenant."),
    click.option("--module", metavar="NAME", help="From this part of the application."),
    click.option("--task", metavar="NAME", help="For this task."),
    click.option("--provider", metavar="NAME", help="Answered by this provider, or last asked of it."),
    click.option("--model", metavar="NAME", help="That asked for this model, or got it."),
    click.option(
        "--status", type=click.Choice([str(status) for status in CallStatus]), help="That ended so."
    ),
    click.option(
        "--outcome",
        type=click.Choice(["answered", "failed", "recovered"]),
        help="Answered, failed, or answered after a recovery step.",
    ),
    click.option("--error-code", metavar="KIND", help="That ended with this failure kind."),
    click.option("--pattern", metavar="NAME", help="One of whose attempts met this error pattern."),
    click.option("--user", "user_id", metavar="ID", help="Of this user."),
    click.option(
        "--since", type=Moment(), metavar="TIME", help="Begun since: 2h, 7d, or 2026-11-24T10:00 (UTC)."
    ),
    click.option("--until", type=Moment(), metavar="TIME", help="Begun before."),
    click.option(
        "--min-ms", type=click.IntRange(0, MAX_MS), metavar="MS", help="That took at least so long."
    ),
    click.option("--q", metavar="WORDS", help="With these words in the error message or the metadata."),
)


def with_filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """The filters of a list, given to the command as one ``where``."""

    @functools.wraps(function)
    def command(**arguments: Any) -> Any:
        from cajanegra.storage.filters import CallFilter

        names = CallFilter.__dataclass_fields__
        where = CallFilter(ALL_TENANTS, **{name: arguments.pop(name) for name in names if name != "scope"})
        return function(where=where, **arguments)

    for option in reversed(_FILTERS):
        command = option(command)
    return command
