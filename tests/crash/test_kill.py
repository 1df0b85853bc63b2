"""Callers and drains are killed at random moments, and what was acknowledged is stored exactly once."""

from __future__ import annotations

import random
import time

from crash.check import require_all
from crash.fleet import Fleet
from crash.ledger import read_all
from crash.size import KILLS

HOSTS = 2
LONGEST = 0.4
"""Seconds that a process has before it is killed."""


def test_what_was_acknowledged_is_stored_once(ships: Fleet) -> None:
    dice = random.Random()  # noqa: S311 - chance, not secrets
    survivors = [ships.caller("--pause", "0.005", host=host) for host in range(HOSTS)]
    for number in range(KILLS):
        host = number % HOSTS
        victims = [ships.caller("--pause", dice.choice(["0.0005", "0.002"]), host=host)]
        if number % 2:
            victims.append(ships.drain(host=host))
        dice.shuffle(victims)
        for victim in victims:
            time.sleep(dice.uniform(0, LONGEST))
            victim.kill()
        for victim in victims:
            victim.communicate()
    for survivor in survivors:
        survivor.kill()
        survivor.communicate()
    for host in range(HOSTS):
        ships.drained(host)
    statuses = require_all(ships.url, read_all(ships.ledgers))
    assert statuses["success"] > KILLS
    assert statuses["interrupted"] >= KILLS
