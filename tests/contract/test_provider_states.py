from __future__ import annotations

from dataclasses import replace

from cajanegra.ports import ProviderState
from cajanegra.storage.database import Database
from cajanegra.storage.provider_states import ProviderStates

HELD = ProviderState(
    "acc0", "", "openai", "rate_limit", 1_800_000_030.5, asked=True, observed_at=1_800_000_000.25
)
DEAD = ProviderState(
    "acc0", "gpt-4o", "openai", "model_not_found", 1_800_000_005.0, asked=False, observed_at=1_800_000_001.0
)


def test_what_one_publishes_another_reads(database: Database) -> None:
    one, other = ProviderStates(database), ProviderStates(database)
    one.publish([HELD, DEAD])
    assert sorted(other.read(0), key=lambda state: state.model) == [HELD, DEAD]
    assert other.read(HELD.observed_at + 0.5) == [DEAD]
    one.publish([])
    assert len(other.read(0)) == 2


def test_the_later_word_wins_in_whatever_order_it_is_written(database: Database) -> None:
    states = ProviderStates(database)
    well = replace(HELD, kind="", until=0.0, asked=False, observed_at=HELD.observed_at + 10)
    states.publish([well])
    states.publish([HELD])
    assert states.read(0) == [well]
    again = replace(HELD, observed_at=HELD.observed_at + 20)
    states.publish([again])
    assert states.read(0) == [again]


def test_strange_values_are_kept_out_of_the_way(database: Database) -> None:
    states = ProviderStates(database)
    strange = replace(HELD, model="m" * 5000 + "'; DROP TABLE x; --", until=1e18)
    states.publish([strange])
    (found,) = states.read(0)
    assert found.model == strange.model
    assert found.until > 2e11
