"""What answers cost, by the prices that genai-prices keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from cajanegra.domain.call import Cost, Usage

FRESH = 60.0
"""Seconds for which prices hold: some change with the hour of the day."""
MOST = 1_000
"""Models whose prices are remembered."""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Sold:
    """Where a provider's prices are found: under its name in the library, or by its address."""

    name: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class _Rates:
    """Prices of one model in US dollars per token; ``exact`` is asked where they are not that simple."""

    until: float
    input: float
    cached: float
    output: float
    exact: Callable[[Usage], float] | None = None

    def of(self, usage: Usage) -> float:
        if self.exact is not None:
            return self.exact(usage)
        given, written = usage.input_tokens or 0, usage.output_tokens or 0
        cached = min(usage.cached_tokens or 0, given)
        return (given - cached) * self.input + cached * self.cached + written * self.output


class ListPrices:
    """Prices as providers publish them; implements ``ports.Prices``.

    The library takes most of a millisecond for one sum, so its rates per token are asked once a minute and
    multiplied here; prices in tiers are its own sums. Cached tokens are a part of the input and reasoning
    tokens a part of the output, so neither is counted twice.

    Args:
        sold: how each provider of the settings is found.
        timer: seconds, monotonic.
    """

    def __init__(self, sold: Mapping[str, Sold], timer: Callable[[], float] = time.monotonic) -> None:
        from genai_prices.data_snapshot import get_snapshot

        self._snapshot = get_snapshot()
        self._sold = sold
        self._timer = timer
        self._rates: dict[tuple[str, str], _Rates | float] = {}
        self._version = f"genai-prices {version('genai-prices')}"

    def cost(self, provider: str, model: str, usage: Usage) -> Cost | None:
        """See ``ports.Prices.cost``."""
        if usage.input_tokens is None and usage.output_tokens is None:
            return None
        now = self._timer()
        rates = self._rates.get((provider, model))
        if rates is None or (rates if isinstance(rates, float) else rates.until) <= now:
            if len(self._rates) >= MOST:
                self._rates.clear()
            rates = self._rates[provider, model] = self._look_up(provider, model, now + FRESH)
        return None if isinstance(rates, float) else Cost(rates.of(usage), "USD", self._version)

    def _look_up(self, provider: str, model: str, until: float) -> _Rates | float:
        """The rates of a model; where there are none, only until when that holds."""
        from genai_prices.types import TieredPrices
        from genai_prices.types import Usage as Counted

        snapshot, sold = self._snapshot, self._sold.get(provider, Sold(None, None))
        try:
            seller = snapshot.find_provider(None, sold.name, None if sold.name else sold.url or "")
            found = seller.find_model(model, all_providers=snapshot.providers)
        except LookupError:
            return until
        if found is None:
            return until

        def price(**tokens: int) -> float:
            at = datetime.now(UTC)
            return float(found.calc_price(Counted(**tokens), seller, genai_request_timestamp=at).total_price)

        def exact(usage: Usage) -> float:
            counted = {
                "input_tokens": usage.input_tokens or 0,
                "cache_read_tokens": min(usage.cached_tokens or 0, usage.input_tokens or 0),
                "output_tokens": usage.output_tokens or 0,
            }
            return price(**counted)

        listed: dict[str, Any] = vars(found.get_prices(datetime.now(UTC)))
        if "requests_kcount" in listed or any(isinstance(one, TieredPrices) for one in listed.values()):
            return _Rates(until, 0, 0, 0, exact)
        return _Rates(
            until,
            price(input_tokens=_MILLION) / _MILLION,
            price(input_tokens=_MILLION, cache_read_tokens=_MILLION) / _MILLION,
            price(output_tokens=_MILLION) / _MILLION,
        )
