from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from cajanegra.server import failed_attempts
from cajanegra.server.failed_attempts import ATTEMPTS, MAX_ADDRESSES, FailedAttempts


class Timer:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_that_fails_too_often_waits_and_others_do_not() -> None:
    attempts = FailedAttempts(Timer())
    for _ in range(ATTEMPTS):
        assert attempts.wait("192.0.2.1") == 0
        attempts.note("192.0.2.1")
    assert attempts.wait("192.0.2.1") > 0
    assert attempts.wait("192.0.2.2") == 0


def test_after_the_wait_it_may_try_once() -> None:
    timer = Timer()
    attempts = FailedAttempts(timer)
    for _ in range(ATTEMPTS):
        attempts.note("192.0.2.1")
    timer.now += attempts.wait("192.0.2.1")
    assert attempts.wait("192.0.2.1") == 0
    attempts.note("192.0.2.1")
    assert attempts.wait("192.0.2.1") > 0


def test_addresses_of_one_ipv6_network_count_together() -> None:
    attempts = FailedAttempts(Timer())
    for number in range(ATTEMPTS):
        attempts.note(f"2001:db8::{number:x}")
    assert attempts.wait("2001:db8::ffff") > 0
    assert attempts.wait("2001:db8:0:1::1") == 0


def test_an_ipv4_address_is_the_same_however_it_is_written() -> None:
    attempts = FailedAttempts(Timer())
    for _ in range(ATTEMPTS):
        attempts.note("::ffff:192.0.2.1")
    assert attempts.wait("192.0.2.1") > 0


def test_memory_is_bounded_whoever_fails() -> None:
    attempts = FailedAttempts(Timer())
    for number in range(MAX_ADDRESSES + 100):
        attempts.note(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(attempts._buckets) == MAX_ADDRESSES
    assert sys.getsizeof(attempts._buckets) < 2**21


@given(st.lists(st.floats(0, 100), max_size=40), st.text(max_size=30))
def test_the_wait_is_never_longer_than_one_attempt_takes_to_come_back(
    pauses: list[float], address: str
) -> None:
    timer = Timer()
    attempts = FailedAttempts(timer)
    for pause in pauses:
        timer.now += pause
        attempts.note(address)
        assert 0 <= attempts.wait(address) <= 1 / failed_attempts.PER_SECOND + 1
