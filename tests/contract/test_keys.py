from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from cajanegra.domain.keys import NewSecret
from cajanegra.domain.principal import ALL_TENANTS, Role, Scope
from cajanegra.errors import StorageError, UsageError
from cajanegra.server.verification import FRESH, GRACE, RENEWED, Verification
from cajanegra.storage import keys
from cajanegra.storage.database import Database
from cajanegra.storage.keys import Key

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def make(
    db: Database, scope: Scope = "acme", role: Role = Role.READER, expires_at: datetime | None = None
) -> tuple[Key, NewSecret]:
    return keys.create(db, scope=scope, role=role, now=NOW, expires_at=expires_at)


def test_a_key_is_found_by_its_text_alone(database: Database) -> None:
    key, secret = make(database)
    make(database)
    assert keys.find(database, secret.text) == key
    assert key.scope == "acme"
    assert key.principal.may(Role.READER)
    forged = secret.text[:-1] + ("A" if secret.text[-1] != "A" else "B")
    assert keys.find(database, forged) is None
    assert keys.find(database, secret.prefix) is None


def test_the_text_is_in_no_column(database: Database) -> None:
    _key, secret = make(database)
    with database.engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM cajanegra_keys")).one()
    stored = " ".join(str(value) for value in row)
    assert secret.text not in stored
    assert secret.text.removeprefix(secret.prefix)[1:] not in stored


def test_a_tenant_id_that_does_not_fit_is_mapped_as_in_the_rows(database: Database) -> None:
    from cajanegra.storage.fitting import fit_identity

    key, _secret = make(database, "x" * 50)
    assert key.scope == fit_identity("x" * 50)


def test_a_key_expires(database: Database) -> None:
    key, _secret = make(database, expires_at=NOW + DAY)
    assert key.is_valid(NOW + DAY - timedelta(seconds=1))
    assert not key.is_valid(NOW + DAY)


def test_a_key_that_would_be_expired_from_the_beginning_is_not_made(database: Database) -> None:
    with pytest.raises(UsageError, match="to come"):
        make(database, expires_at=NOW)
    assert not keys.is_any(database)


def test_a_list_has_the_keys_that_are_valid_newest_first(database: Database) -> None:
    old, _ = make(database)
    new, _ = make(database, ALL_TENANTS, Role.ADMIN)
    gone, _ = make(database)
    late, _ = make(database, expires_at=NOW + DAY)
    keys.revoke(database, gone.prefix, NOW)
    after = NOW + 2 * DAY
    assert [key.id for key in keys.listed(database, now=after)] == [new.id, old.id]
    assert [key.id for key in keys.listed(database, scope="acme", now=after)] == [old.id]
    assert len(keys.listed(database, invalid=True, now=after)) == 4
    assert [key.id for key in keys.listed(database, beginning=late.prefix[:9], now=NOW)] == [late.id]
    assert keys.listed(database, beginning="%", now=NOW) == []


def test_revoking_asks_for_one_key_and_stays(database: Database) -> None:
    first, _ = make(database)
    make(database)
    with pytest.raises(UsageError, match="several keys"):
        keys.revoke(database, "cn_", NOW)
    with pytest.raises(UsageError, match="no key begins"):
        keys.revoke(database, "cn_0", NOW)
    assert keys.revoke(database, first.prefix, NOW).revoked_at == NOW.replace(tzinfo=None)
    assert keys.revoke(database, first.prefix, NOW + DAY).revoked_at == NOW.replace(tzinfo=None)


def test_a_revoked_key_still_counts_as_one_that_was_made(database: Database) -> None:
    assert not keys.is_any(database)
    key, _ = make(database)
    keys.revoke(database, key.prefix, NOW)
    assert keys.is_any(database)


def test_the_last_use_is_written_rarely(database: Database) -> None:
    key, secret = make(database)

    def last_used() -> datetime | None:
        found = keys.find(database, secret.text)
        assert found is not None
        return found.last_used_at

    keys.note_use(database, key, NOW)
    keys.note_use(database, key, NOW + timedelta(minutes=1))
    assert last_used() == NOW.replace(tzinfo=None)
    keys.note_use(database, key, NOW + keys.USE_NOTED_EVERY * 2)
    assert last_used() == (NOW + keys.USE_NOTED_EVERY * 2).replace(tzinfo=None)


def test_a_session_stands_for_its_key_until_it_ends(database: Database) -> None:
    key, _secret = make(database)
    token = keys.start_session(database, key, now=NOW, expires_at=NOW + DAY).text
    assert keys.find_session(database, token, NOW) == key
    assert keys.find_session(database, token, NOW + DAY) is None
    keys.end_session(database, token)
    assert keys.find_session(database, token, NOW) is None


def test_revoking_a_key_ends_its_sessions(database: Database) -> None:
    key, _secret = make(database)
    token = keys.start_session(database, key, now=NOW, expires_at=NOW + DAY).text
    keys.revoke(database, key.prefix, NOW)
    assert keys.find_session(database, token, NOW) is None


def test_sessions_are_swept_and_bounded(database: Database) -> None:
    key, _secret = make(database)
    other, _secret = make(database)
    kept = keys.start_session(database, other, now=NOW, expires_at=NOW + DAY).text
    for number in range(keys.MAX_SESSIONS + 3):
        keys.start_session(database, key, now=NOW + timedelta(seconds=number), expires_at=NOW + DAY)
    assert count_sessions(database) == keys.MAX_SESSIONS + 1
    assert keys.find_session(database, kept, NOW) == other
    keys.start_session(database, key, now=NOW + DAY, expires_at=NOW + 2 * DAY)
    assert count_sessions(database) == 1


def count_sessions(database: Database) -> int:
    with database.engine.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM cajanegra_sessions")).scalar() or 0


class Clocks:
    """The time of the day and the monotonic clock, which move together."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wall(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def timer(self) -> float:
        return self.seconds


def verification(database: Database) -> tuple[Verification, Clocks]:
    clocks = Clocks()
    return Verification(database, clock=clocks.wall, timer=clocks.timer), clocks


def test_a_verified_key_is_recalled_for_a_moment_without_the_database(database: Database) -> None:
    key, secret = make(database)
    known, clocks = verification(database)
    assert known.recall("key", secret.text) is None
    assert known.verify("key", secret.text) == key
    assert known.recall("key", secret.text) == key
    assert known.recall("session", secret.text) is None
    clocks.seconds += FRESH + 0.1
    assert known.recall("key", secret.text) is None


def test_one_of_those_who_use_a_key_asks_for_it_again_while_it_holds_for_the_others(
    database: Database,
) -> None:
    _key, secret = make(database)
    known, clocks = verification(database)
    known.verify("key", secret.text)
    for _second in range(3):
        clocks.seconds += RENEWED + 0.1
        assert [known.recall("key", secret.text) is None for _ in range(3)] == [True, False, False]
        assert known.verify("key", secret.text) is not None
        assert known.recall("key", secret.text) is not None
    clocks.seconds += RENEWED + 0.1
    assert known.recall("key", secret.text) is None  # and is gone before it asks
    clocks.seconds += FRESH - RENEWED
    assert [known.recall("key", secret.text) for _ in range(2)] == [None, None]


def test_a_revoked_key_is_refused_as_soon_as_it_is_asked_for_again(database: Database) -> None:
    key, secret = make(database)
    known, clocks = verification(database)
    known.verify("key", secret.text)
    keys.revoke(database, key.prefix, NOW)
    clocks.seconds += FRESH + 0.1
    assert known.verify("key", secret.text) is None
    assert known.recall("key", secret.text) is None


def test_a_key_that_expires_meanwhile_is_not_recalled(database: Database) -> None:
    _key, secret = make(database, expires_at=NOW + timedelta(seconds=1))
    known, clocks = verification(database)
    assert known.verify("key", secret.text)
    clocks.seconds += 1
    assert known.recall("key", secret.text) is None
    assert known.verify("key", secret.text) is None


def test_a_key_in_use_outlives_an_outage_of_the_database_for_a_while(sqlite_url: str) -> None:
    with Database(sqlite_url) as database:
        key, secret = make(database)
        _other, unseen = make(database)
        known, clocks = verification(database)
        assert known.verify("key", secret.text) == key
        with database.engine.begin() as connection:  # as good as away: nothing can be read
            connection.execute(text("ALTER TABLE cajanegra_keys RENAME TO elsewhere"))
        clocks.seconds += FRESH + 1
        assert known.verify("key", secret.text) is not None
        with pytest.raises(StorageError):
            known.verify("key", unseen.text)
        clocks.seconds += GRACE
        with pytest.raises(StorageError):
            known.verify("key", secret.text)


def test_what_held_lately_was_seen_until_it_is_refused(database: Database) -> None:
    key, secret = make(database)
    known, clocks = verification(database)
    assert not known.was_seen("key", secret.text)
    known.verify("key", secret.text)
    clocks.seconds += GRACE
    assert known.was_seen("key", secret.text)
    keys.revoke(database, key.prefix, NOW)
    known.verify("key", secret.text)
    assert not known.was_seen("key", secret.text)


def test_without_a_key_an_outage_of_the_database_shuts_nobody_out_for_a_while(sqlite_url: str) -> None:
    with Database(sqlite_url) as database:
        known, clocks = verification(database)
        assert known.recall_keyless() is None
        assert known.is_keyless()
        assert known.recall_keyless()
        with database.engine.begin() as connection:  # as good as away: nothing can be read
            connection.execute(text("ALTER TABLE cajanegra_keys RENAME TO elsewhere"))
        clocks.seconds += FRESH + 1
        assert known.is_keyless()
        clocks.seconds += GRACE
        with pytest.raises(StorageError):
            known.is_keyless()


def test_a_server_that_had_a_key_does_not_open_up_again(database: Database) -> None:
    known, clocks = verification(database)
    assert known.is_keyless()
    key, _secret = make(database)
    clocks.seconds += FRESH + 0.1
    assert not known.is_keyless()
    keys.revoke(database, key.prefix, NOW)
    clocks.seconds += FRESH + 0.1
    assert not known.is_keyless()
