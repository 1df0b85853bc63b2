"""One line in the log, for whoever collects logs anyway."""

from __future__ import annotations

import logging

from cajanegra.alerts import words
from cajanegra.alerts.targets import Address
from cajanegra.domain.alert import Delivery

logger = logging.getLogger("cajanegra.alerts")


class Log:
    """Tells the logger ``cajanegra.alerts``, as warnings."""

    def __init__(self, address: Address) -> None:
        self._language = address.language

    async def tell(self, delivery: Delivery) -> None:
        """See ``Target.tell``."""
        said = [words.title(delivery.alert, self._language), *words.details(delivery, self._language)]
        logger.warning("%s", " | ".join(" ".join(line.split()) for line in said))
