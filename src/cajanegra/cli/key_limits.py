"""``cajanegra keys limit``, and the options with which a key is made that has limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cajanegra.domain.keys import KeyLimits

F = TypeVar("F", bound=Callable[..., Any])


def with_limits(command: F) -> F:
    """Options for what a key may use the gateway for."""
    for option in (
        click.option("--monthly-budget", type=float, metavar="USD", help="What answers may cost in a month."),
        click.option("--tokens-per-minute", type=int, metavar="N", help="Tokens of prompts and answers."),
        click.option("--requests-per-minute", type=int, metavar="N", help="Calls through the gateway."),
        click.option(
            "--model",
            "models",
            multiple=True,
            metavar="NAME",
            help="A model it is for ('gpt-4o*'); repeat it.",
        ),
    ):
        command = option(command)
    return command


def limits_of(options: dict[str, Any]) -> KeyLimits:
    """What the options say; takes them out.

    Raises:
        UsageError: a number is not more than 0.
    """
    return KeyLimits(
        tuple(options.pop("models")),
        options.pop("requests_per_minute"),
        options.pop("tokens_per_minute"),
        options.pop("monthly_budget"),
    )


def in_words(limits: KeyLimits | None) -> str:
    """The limits for people."""
    if limits is None or limits.are_none:
        return "none"
    parts = [
        ", ".join(limits.models),
        f"{limits.requests_per_minute} requests/min" if limits.requests_per_minute else "",
        f"{limits.tokens_per_minute} tokens/min" if limits.tokens_per_minute else "",
        f"{limits.monthly_budget:g} USD/month" if limits.monthly_budget else "",
    ]
    return "; ".join(filter(None, parts))
