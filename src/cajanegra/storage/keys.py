"""API keys and browser sessions: made, found by their hash, listed, revoked."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, or_, select, update

from cajanegra.domain import keys
from cajanegra.domain.keys import KeyLimits, NewSecret
from cajanegra.domain.principal import ALL_TENANTS, AllTenants, Principal, Role, Scope
from cajanegra.errors import UsageError
from cajanegra.storage import key_limits
from cajanegra.storage.database import Database, reading, writing
from cajanegra.storage.fitting import fit_identity, fit_text, fit_time
from cajanegra.storage.tables import KEY_LIMITS, KEYS, SESSIONS

USE_NOTED_EVERY = timedelta(minutes=10)
"""How exact ``last_used_at`` is: a key in use costs one write in this time, however often it is used."""
MAX_LISTED = 1_000
MAX_SESSIONS = 100
"""Browsers that one key may be given in at a time; the oldest have to give it again."""
_NAME_SIZE = 100


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key; the key itself is not.

    Attributes:
        id: of its row.
        prefix: its beginning, which names it.
        name: what it is for, in its maker's words.
        role: what it may do.
        scope: whose rows it sees.
        created_at: UTC without a zone, as all times here.
        expires_at: from when on it is refused; ``None`` is never.
        revoked_at: when it was revoked.
        last_used_at: to the precision of ``USE_NOTED_EVERY``.
        limits: of its use of the gateway, if it has any.
    """

    id: int
    prefix: str
    name: str | None
    role: Role
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    limits: KeyLimits | None = None

    @property
    def principal(self) -> Principal:
        """Who makes a request with it."""
        return Principal(self.scope, self.role, self.name or self.prefix)

    def is_valid(self, now: datetime) -> bool:
        """Whether it is accepted at a time (aware)."""
        return self.revoked_at is None and (self.expires_at is None or _stored(now) < self.expires_at)

    def is_use_noted(self, now: datetime) -> bool:
        """Whether its last use stands in its row, to the precision that it has there."""
        return self.last_used_at is not None and _stored(now) - self.last_used_at < USE_NOTED_EVERY


def create(
    db: Database,
    *,
    scope: Scope,
    role: Role,
    now: datetime,
    name: str | None = None,
    expires_at: datetime | None = None,
    limits: KeyLimits | None = None,
) -> tuple[Key, NewSecret]:
    """Make a key; its text is told this once, and only its hash is kept.

    Raises:
        UsageError: it would be expired from the beginning, or the scope is empty.
        StorageError: the database cannot be written.
    """
    principal = Principal(scope, role)
    if expires_at is not None and expires_at <= now:
        raise UsageError("the key would be expired from the beginning; give a time that is to come")
    secret = keys.new_key()
    values = {
        "prefix": secret.prefix,
        "key_hash": secret.digest,
        "name": fit_text(name, _NAME_SIZE),
        "role": str(principal.role),
        "tenant_id": None if isinstance(scope, AllTenants) else fit_identity(scope),
        "created_at": _stored(now),
        "expires_at": fit_time(expires_at),
    }
    with writing(db) as connection:
        row = connection.execute(insert(KEYS).values(values).returning(KEYS)).mappings().one()
        if limits is not None:
            key_limits.put(connection, row["id"], limits)
        return replace(_key(row), limits=limits), secret


def find(db: Database, text: str) -> Key | None:
    """The key of this text, valid or not; ``None`` where there is none.

    The row is found by the part that is no secret, and the hashes are compared in constant time.

    Raises:
        StorageError: the database cannot be read.
    """
    prefix = keys.key_prefix(text)
    if prefix is None:
        return None
    with reading(db) as connection:
        row = connection.execute(_LIMITED.where(KEYS.c.prefix == prefix)).mappings().first()
    if row is None or not hmac.compare_digest(row["key_hash"], keys.digest(text)):
        return None
    return _key(row)


def is_any(db: Database) -> bool:
    """Whether a key was ever made; revoked and expired ones count.

    Raises:
        StorageError: the database cannot be read.
    """
    with reading(db) as connection:
        return connection.execute(select(KEYS.c.id).limit(1)).first() is not None


def listed(
    db: Database, *, scope: Scope = ALL_TENANTS, beginning: str = "", invalid: bool = False, now: datetime
) -> Sequence[Key]:
    """Keys, newest first, ``MAX_LISTED`` at most.

    Args:
        db: the database.
        scope: those of one tenant, or all.
        beginning: those whose prefix begins so.
        invalid: those that are revoked or expired, too.
        now: aware.

    Raises:
        StorageError: the database cannot be read.
    """
    query = _beginning(beginning).order_by(KEYS.c.id.desc()).limit(MAX_LISTED)
    if not isinstance(scope, AllTenants):
        query = query.where(KEYS.c.tenant_id == fit_identity(scope))
    if not invalid:
        lasts = or_(KEYS.c.expires_at.is_(None), KEYS.c.expires_at > _stored(now))
        query = query.where(KEYS.c.revoked_at.is_(None), lasts)
    with reading(db) as connection:
        return [_key(row) for row in connection.execute(query).mappings()]


def revoke(db: Database, beginning: str, now: datetime) -> Key:
    """Revoke the key whose prefix begins so, and end its sessions; one that is revoked already stays so.

    Raises:
        UsageError: no key begins so, or several do.
        StorageError: the database cannot be written.
    """
    with writing(db) as connection:
        found = _only(connection, beginning)
        of_it = KEYS.c.id == found.id
        values = {"revoked_at": _stored(now)}
        connection.execute(update(KEYS).where(of_it, KEYS.c.revoked_at.is_(None)).values(values))
        connection.execute(delete(SESSIONS).where(SESSIONS.c.key_id == found.id))
        return _key(connection.execute(_LIMITED.where(of_it)).mappings().one())


def limit(db: Database, beginning: str, limits: KeyLimits) -> Key:
    """Limit what the key whose prefix begins so may use the gateway for, instead of what was set before.

    Raises:
        UsageError: no key begins so, or several do.
        StorageError: the database cannot be written.
    """
    with writing(db) as connection:
        found = _only(connection, beginning)
        key_limits.put(connection, found.id, limits)
        return replace(found, limits=limits)


def note_use(db: Database, key: Key, now: datetime) -> None:
    """Write down that a key was used, if nobody has done so lately.

    Raises:
        StorageError: the database cannot be written.
    """
    at = _stored(now)
    long_ago = or_(KEYS.c.last_used_at.is_(None), KEYS.c.last_used_at < at - USE_NOTED_EVERY)
    with writing(db) as connection:
        connection.execute(update(KEYS).where(KEYS.c.id == key.id, long_ago).values(last_used_at=at))


def start_session(db: Database, key: Key, *, now: datetime, expires_at: datetime) -> NewSecret:
    """Give a browser a token that stands for the key.

    Those that have expired are swept, and so are the key's oldest beyond ``MAX_SESSIONS``.

    Raises:
        StorageError: the database cannot be written.
    """
    secret = keys.new_session()
    values = {
        "token_hash": secret.digest,
        "key_id": key.id,
        "created_at": _stored(now),
        "expires_at": _stored(expires_at),
    }
    with writing(db) as connection:
        connection.execute(delete(SESSIONS).where(SESSIONS.c.expires_at <= _stored(now)))
        connection.execute(insert(SESSIONS).values(values))
        newest = select(SESSIONS.c.token_hash).where(SESSIONS.c.key_id == key.id)
        newest = newest.order_by(SESSIONS.c.created_at.desc(), SESSIONS.c.token_hash).limit(MAX_SESSIONS)
        beyond = SESSIONS.c.token_hash.not_in(newest)
        connection.execute(delete(SESSIONS).where(SESSIONS.c.key_id == key.id, beyond))
    return secret


def find_session(db: Database, token: str, now: datetime) -> Key | None:
    """The key that a session's token stands for; ``None`` where there is no such session any more.

    The token is looked up by its hash: what is compared is nothing that a caller could approach step by step.

    Raises:
        StorageError: the database cannot be read.
    """
    if not keys.is_session(token):
        return None
    query = _LIMITED.join(SESSIONS, SESSIONS.c.key_id == KEYS.c.id)
    query = query.where(SESSIONS.c.token_hash == keys.digest(token), SESSIONS.c.expires_at > _stored(now))
    with reading(db) as connection:
        row = connection.execute(query).mappings().first()
    return _key(row) if row else None


def end_session(db: Database, token: str) -> None:
    """Forget a session.

    Raises:
        StorageError: the database cannot be written.
    """
    with writing(db) as connection:
        connection.execute(delete(SESSIONS).where(SESSIONS.c.token_hash == keys.digest(token)))


_LIMITED = select(KEYS, *key_limits.COLUMNS).outerjoin(KEY_LIMITS, KEY_LIMITS.c.key_id == KEYS.c.id)


def _beginning(text: str) -> Select[Any]:
    return _LIMITED.where(KEYS.c.prefix.startswith(text, autoescape=True))


def _only(connection: Connection, beginning: str) -> Key:
    """The one key whose prefix begins so.

    Raises:
        UsageError: no key begins so, or several do.
    """
    found = [_key(row) for row in connection.execute(_beginning(beginning).limit(2)).mappings()]
    if not found:
        raise UsageError(f"no key begins with {beginning!r}; 'cajanegra keys list' shows those there are")
    if len(found) > 1:
        raise UsageError(f"several keys begin with {beginning!r}; give more of it")
    return found[0]


def _key(row: Any) -> Key:
    tenant = row["tenant_id"]
    return Key(
        id=row["id"],
        prefix=row["prefix"],
        name=row["name"],
        role=Role(row["role"]),
        scope=ALL_TENANTS if tenant is None else tenant,
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        limits=key_limits.read(row) if "limited_key" in row else None,
    )


def _stored(moment: datetime) -> datetime:
    stored = fit_time(moment)
    assert stored is not None  # noqa: S101 - a time is given
    return stored
