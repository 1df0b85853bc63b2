"""What answers cost: known amounts of known models, each token counted once."""

from __future__ import annotations

import pytest

from cajanegra.domain.call import Usage
from cajanegra.providers.prices import ListPrices, Sold

OPENAI = {"main": Sold(None, "https://api.openai.com/v1"), "own": Sold(None, "http://127.0.0.1:11434")}


def cost(model: str, usage: Usage, provider: str = "main") -> float | None:
    found = ListPrices(OPENAI).cost(provider, model, usage)
    return None if found is None else found.amount


def test_cached_and_reasoning_tokens_are_counted_once() -> None:
    usage = Usage(1_000, 300, 1_300, cached_tokens=200, reasoning_tokens=100)
    assert cost("gpt-4o-mini", usage) == pytest.approx((800 * 0.15 + 200 * 0.075 + 300 * 0.6) / 1e6)


def test_the_sum_is_the_librarys_own() -> None:
    from genai_prices import calc_price
    from genai_prices.types import Usage as Counted

    for model in ("gpt-4o", "gpt-4.1-mini", "o3", "gpt-5.4"):
        expected = calc_price(
            Counted(input_tokens=300_000, cache_read_tokens=10_000, output_tokens=4_000),
            model,
            provider_api_url="https://api.openai.com/v1",
        )
        usage = Usage(300_000, 4_000, 304_000, cached_tokens=10_000)
        assert cost(model, usage) == pytest.approx(float(expected.total_price)), model


@pytest.mark.parametrize(
    ("provider", "model"), [("main", "nobody-knows-it"), ("own", "llama3.2"), ("elsewhere", "gpt-4o")]
)
def test_an_unknown_price_is_unknown_and_not_nothing(provider: str, model: str) -> None:
    assert cost(model, Usage(10, 10, 20), provider) is None


def test_without_tokens_nobody_knows_what_it_costs() -> None:
    assert cost("gpt-4o", Usage()) is None


def test_a_provider_may_be_sold_under_another_name() -> None:
    behind_a_proxy = ListPrices({"main": Sold("openai", "http://proxy.internal/v1")})
    found = behind_a_proxy.cost("main", "gpt-4o", Usage(1_000_000, 0, 1_000_000))
    assert found is not None
    assert found.amount == pytest.approx(2.5)
    assert found.currency == "USD"
