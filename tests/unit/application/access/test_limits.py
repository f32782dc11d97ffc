"""Calls a second, and calls that last, of one caller."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.application.access import limits as module
from tradingsignals_server.application.access.limits import BURST_S, DEFAULT_RATES, CallRates, TokenBuckets
from tradingsignals_server.application.access.open_calls import OpenCalls
from tradingsignals_server.domain.access import Caller, Credential, Role
from tradingsignals_server.domain.access_errors import RateLimited, StreamExpired, TooManyStreams

VIEWER = Caller(Credential.KEY, "viewer", "", Role.VIEWER, "192.0.2.1")
ADMIN = Caller(Credential.KEY, "admin", "", Role.ADMIN, "192.0.2.1")
STRANGER = Caller(address="192.0.2.1")


def taken(buckets: TokenBuckets, caller: Caller, now: float, most: int = 10_000) -> int:
    """Return how many calls a caller may make at once."""
    for number in range(most):
        try:
            buckets.take(caller, now)
        except RateLimited:
            return number
    return most


def test_rate_is_that_of_the_role_and_callers_do_not_share_it() -> None:
    buckets = TokenBuckets(CallRates({Role.VIEWER: 5.0, Role.ADMIN: 0.0}, stranger=1.0))
    assert taken(buckets, VIEWER, 0.0) == 5 * BURST_S
    assert taken(buckets, STRANGER, 0.0) == BURST_S
    assert taken(buckets, ADMIN, 0.0) == 10_000
    assert taken(buckets, Caller(Credential.KEY, "other", "", Role.VIEWER), 0.0) == 5 * BURST_S
    assert taken(buckets, Caller(address="192.0.2.2"), 0.0) == BURST_S


def test_bucket_fills_at_the_rate() -> None:
    buckets = TokenBuckets(CallRates({Role.VIEWER: 5.0}, stranger=1.0))
    assert taken(buckets, VIEWER, 0.0) == 10
    assert taken(buckets, VIEWER, 1.0) == 5
    assert taken(buckets, VIEWER, 100.0) == 10


def test_refusal_says_when_to_try_again() -> None:
    buckets = TokenBuckets(CallRates({Role.VIEWER: 0.2}, stranger=1.0))
    buckets.take(VIEWER, 0.0)
    with pytest.raises(RateLimited) as caught:
        buckets.take(VIEWER, 1.0)
    assert caught.value.metadata == {"limit": "0.2", "retry_after_seconds": "4"}
    buckets.take(VIEWER, 5.0)


@given(st.lists(st.floats(0.0, 0.5), min_size=1, max_size=200))
def test_no_caller_gets_more_than_the_rate_and_one_burst(pauses: list[float]) -> None:
    buckets = TokenBuckets(CallRates({Role.VIEWER: 10.0}, stranger=1.0))
    now, admitted = 0.0, 0
    for pause in pauses:
        now += pause
        try:
            buckets.take(VIEWER, now)
        except RateLimited:
            continue
        admitted += 1
    assert admitted <= 10.0 * (now + BURST_S) + 1e-6


def test_memory_is_bounded_and_no_limit_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BUCKETS", 100)
    buckets = TokenBuckets(CallRates({Role.VIEWER: 1.0}, stranger=1000.0))
    assert taken(buckets, VIEWER, 0.0) == 2
    for number in range(1000):
        buckets.take(Caller(address=str(number)), 1.0 + number)
    assert len(buckets._full_at) <= 101
    buckets = TokenBuckets(CallRates({Role.VIEWER: 0.001}, stranger=1000.0))
    buckets.take(VIEWER, 0.0)
    for number in range(200):
        buckets.take(Caller(address=str(number)), float(number))
    with pytest.raises(RateLimited):
        buckets.take(VIEWER, 200.0)


def test_rates_are_written_as_they_are_read() -> None:
    assert CallRates.parse(str(DEFAULT_RATES)) == DEFAULT_RATES
    assert CallRates.parse("publisher=1000,*=3") == CallRates(
        {Role.VIEWER: 3.0, Role.PUBLISHER: 1000.0, Role.TRADER: 3.0, Role.ADMIN: 3.0}, stranger=3.0
    )
    assert CallRates.parse("none=7").by_role == dict.fromkeys(Role, 0.0)


def test_caller_has_so_many_calls_open_whatever_its_addresses() -> None:
    calls = OpenCalls(lambda _: None, most=2)
    ids = [calls.add(caller, lambda _: None) for caller in (VIEWER, Caller(Credential.KEY, "viewer", "", Role.VIEWER))]
    with pytest.raises(TooManyStreams, match="2 streams"):
        calls.add(VIEWER, lambda _: None)
    calls.add(ADMIN, lambda _: None)
    calls.remove(VIEWER, ids[0])
    calls.add(VIEWER, lambda _: None)


def test_call_that_has_lasted_too_long_is_ended() -> None:
    now = [0.0]
    calls = OpenCalls(lambda _: None, longest_s=60.0, clock=lambda: now[0])
    ended: list[Exception] = []
    calls.add(VIEWER, ended.append)
    now[0] = 30.0
    calls.add(ADMIN, ended.append)
    calls.check()
    assert ended == []
    now[0] = 60.0
    calls.check()
    assert [type(error) for error in ended] == [StreamExpired]
