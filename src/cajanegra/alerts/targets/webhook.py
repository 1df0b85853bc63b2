"""A webhook of your own: the alert as JSON, with the headers of the Standard Webhooks specification.

``webhook-id`` is the same when an alert is sent again, ``webhook-timestamp`` are seconds since the Unix
epoch, and ``webhook-signature`` is ``v1,`` and the base64 of the HMAC-SHA256 of ``{id}.{timestamp}.{body}``
under the secret, where there is one (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

import msgspec

from cajanegra.alerts import words
from cajanegra.alerts.targets import Address
from cajanegra.alerts.targets.http import post
from cajanegra.domain.alert import Delivery


class Webhook:
    """Tells a program.

    Args:
        address: where it listens.
        clock: seconds since the Unix epoch.
    """

    def __init__(self, address: Address, clock: Callable[[], float] = time.time) -> None:
        self._address = address
        self._clock = clock

    async def tell(self, delivery: Delivery) -> None:
        """See ``Target.tell``."""
        address, alert = self._address, delivery.alert
        body = msgspec.json.encode(
            {
                "id": delivery.id,
                **msgspec.to_builtins(alert),
                "rate": alert.rate,
                "more": delivery.more,
                "title": words.title(alert, address.language),
                "text": "\n".join(words.details(delivery, address.language)),
            }
        )
        headers = {
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(self._clock())),
        }
        if address.secret:
            signed = ".".join(headers.values()).encode() + b"." + body
            digest = hmac.new(address.secret.encode(), signed, hashlib.sha256).digest()
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        await post(address, body, headers)
