"""What the routes of recoveries answer, beside the steps themselves."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, Field

from cajanegra.domain.outcome import Achievement, wilson
from cajanegra.server.api.figure_models import Covered
from cajanegra.server.api.models import Moment
from cajanegra.storage.correction_effects import Effect, Tried
from cajanegra.storage.recoveries import Target


class Rate(BaseModel):
    """How often something worked, and how sure that is."""

    steps: int
    successes: int = Field(description="Steps that got an answer.")
    success_rate: float | None = Field(description="0 to 1; `null` without steps.")
    lowest: float = Field(description="Lower end of the 95 % interval of the rate (Wilson's score interval).")
    highest: float = Field(description="Its upper end.")


def _rate(steps: int, successes: int) -> dict[str, Any]:
    lowest, highest = wilson(successes, steps)
    rate = successes / steps if steps else None
    return {
        "steps": steps,
        "successes": successes,
        "success_rate": rate,
        "lowest": lowest,
        "highest": highest,
    }


class Flow(BaseModel):
    """Failures of one kind, what was done about them, and what that came to."""

    kind: str | None = Field(description="Failure kind; `null` where nobody noted it.", examples=["timeout"])
    strategy: str | None = Field(
        description="What was done; `null` where nothing more was, and the call was given up."
    )
    answered: bool
    failures: int


class Flows(Covered):
    """The failures of calls: one for each step, and one more for each call that nobody answered."""

    items: list[Flow]


class RecoveryTarget(Rate):
    """What the steps of one strategy came to that asked one provider."""

    strategy: str = Field(examples=["fallback"])
    provider: str | None = Field(description="Who was asked.", examples=["openai"])
    p50_ms: float | None = Field(description="Median of wait and attempt together: what a step added.")
    p95_ms: float | None
    tokens: int = Field(description="Of the answers, as far as they are known.")
    cost: float | None = Field(description="Of the answers in US dollars; `null` where no price is known.")

    @classmethod
    def of(cls, found: Target) -> Self:
        """From what the database has."""
        return cls(
            strategy=found.strategy,
            provider=found.provider,
            p50_ms=found.p50_ms,
            p95_ms=found.p95_ms,
            tokens=found.tokens,
            cost=found.cost,
            **_rate(found.steps, found.successes),
        )


class RecoveryTargets(Covered):
    """What each strategy achieved at each provider, most steps first."""

    items: list[RecoveryTarget]


class StrategyStatistics(BaseModel):
    """What one strategy did about one error pattern."""

    strategy_name: str = Field(examples=["fallback"])
    pattern: str | None = Field(examples=["ollama_timeout"])
    steps: int
    successes: int
    success_rate: float = Field(description="Share of the steps that got an answer, 0 to 1.")
    p50_ms: float | None = Field(description="Median of wait and attempt together.")
    p95_ms: float | None


class RecoveryStatistics(Covered):
    """What each strategy did about each pattern, most steps first."""

    items: list[StrategyStatistics] = Field(description="At most 100.")
    others: int = Field(description="Steps of those that are not listed.")


class Remedy(Rate):
    """What one strategy has achieved against an error pattern; fallbacks for each model that was asked."""

    strategy: str = Field(examples=["fallback"])
    target: str | None = Field(description="Whom a fallback asked.", examples=["openai/gpt-4o-mini"])
    p50_ms: int | None = Field(description="Median of wait and attempt together.")
    p95_ms: int | None
    tokens: float | None = Field(description="Mean tokens of an answer.")
    cost: float | None = Field(description="Mean cost of an answer in US dollars.")

    @classmethod
    def of(cls, found: Achievement) -> Self:
        """From what the steps came to."""
        return cls(
            strategy=found.strategy,
            target=found.target,
            p50_ms=found.p50_ms,
            p95_ms=found.p95_ms,
            tokens=found.tokens,
            cost=found.cost,
            **_rate(found.steps, found.successes),
        )


class Remedies(BaseModel):
    """What has been tried against an error pattern, most steps first."""

    items: list[Remedy]


class Attempted(Rate):
    """What some steps came to."""

    p50_ms: float | None = Field(description="Median of wait and attempt together.")
    cost: float | None = Field(description="Of the answers in US dollars, as far as it is known.")

    @classmethod
    def of(cls, found: Tried) -> Self:
        """From what the database has."""
        return cls(p50_ms=found.p50_ms, cost=found.cost, **_rate(found.steps, found.successes))


class CorrectionEffect(BaseModel):
    """What one correction has done since it was enabled."""

    pattern: str = Field(examples=["ollama_timeout"])
    error_code: str | None
    correction: str = Field(examples=["fallback"])
    correction_config: Any = Field(examples=[{"provider": "openai"}])
    since: Moment | None = Field(description="`null` where it was enabled by SQL, and for a tenant.")
    before: Attempted = Field(description="The steps after failures of the pattern before that.")
    obeyed: Attempted = Field(description="The steps in which it was obeyed since.")
    not_obeyed: int = Field(description="Steps in which it was not.")
    obstacle: str | None = Field(description="Why not: the reason that came most.")

    @classmethod
    def of(cls, found: Effect, tenant: str | None) -> Self:
        """From what the database has, as a tenant may see it."""
        return cls(
            pattern=found.pattern,
            error_code=found.kind,
            correction=found.strategy,
            correction_config=found.settings,
            since=found.since if tenant is None else None,
            before=Attempted.of(found.before),
            obeyed=Attempted.of(found.obeyed),
            not_obeyed=found.not_obeyed,
            obstacle=found.obstacle,
        )


class CorrectionEffects(BaseModel):
    """The corrections that are enabled; of the newest 200,000 steps."""

    items: list[CorrectionEffect]
