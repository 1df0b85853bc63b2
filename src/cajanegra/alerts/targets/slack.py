"""Slack's incoming webhooks, which Mattermost, Rocket.Chat and Discord (``/slack``) understand too."""

from __future__ import annotations

import msgspec

from cajanegra.alerts import words
from cajanegra.alerts.targets import Address
from cajanegra.alerts.targets.http import post
from cajanegra.domain.alert import Delivery

_MAX_TEXT = 3_000
"""Characters of a message; Slack cuts what is longer than 4,000."""
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Slack's documentation, "Formatting text for app surfaces": what else would be links and mentions."""


class Slack:
    """Tells a channel."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def tell(self, delivery: Delivery) -> None:
        """See ``Target.tell``."""
        language = self._address.language
        head, *rest = (
            line.translate(_ESCAPES)
            for line in (words.title(delivery.alert, language), *words.details(delivery, language))
        )
        text = "\n".join([f"*{head}*", *rest])[:_MAX_TEXT]
        await post(self._address, msgspec.json.encode({"text": text}), {})
