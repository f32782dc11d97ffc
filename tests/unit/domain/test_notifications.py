"""When an attempt is made again, when an endpoint is disabled, and which URLs are taken."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import NOW
from tests.support.memory_endpoints import SECRET, endpoint

from tradingsignals_server.domain.notifications import (
    DISABLE_AFTER,
    FIRST_RETRY,
    LONGEST_RETRY,
    LONGEST_RETRY_AFTER,
    SECRET_BYTES,
    Attempt,
    DeliveryProgress,
    EndpointState,
    after_attempt,
    retry_delay,
    secret_text,
    shown_address,
    webhook_problem,
)

FAILED = Attempt(NOW, 3.0, 503, "the receiver has responded with HTTP 503")


def test_success_moves_the_cursor_and_forgets_failures() -> None:
    before = DeliveryProgress(4, 2, 3, NOW, NOW)
    assert after_attempt(before, 7, Attempt(NOW, 3.0, 204), NOW, 0.5) == DeliveryProgress(7, 2)


def test_failure_keeps_the_cursor_and_when_the_first_one_was() -> None:
    first = after_attempt(DeliveryProgress(4), 7, FAILED, NOW, 1.0)
    assert first == DeliveryProgress(4, 0, 1, NOW, NOW + FIRST_RETRY)
    later = NOW + timedelta(minutes=1)
    second = after_attempt(first, 7, Attempt(later, 3.0, None, "no response"), later, 1.0)
    assert second == DeliveryProgress(4, 0, 2, NOW, later + 2 * FIRST_RETRY)
    assert second.is_failing


@pytest.mark.parametrize(
    ("asked", "waits"),
    [(timedelta(0), FIRST_RETRY), (timedelta(minutes=20),) * 2, (timedelta(days=9), LONGEST_RETRY_AFTER)],
)
def test_receiver_that_asks_to_wait_is_left_alone_for_so_long(asked: timedelta, waits: timedelta) -> None:
    attempt = Attempt(NOW, 3.0, 429, "HTTP 429", asked)
    assert after_attempt(DeliveryProgress(4), 7, attempt, NOW, 1.0).next_attempt_at == NOW + waits


def test_receiver_that_is_gone_disables_the_endpoint_at_once() -> None:
    found = after_attempt(DeliveryProgress(4), 7, Attempt(NOW, 3.0, 410, "HTTP 410"), NOW, 1.0)
    assert (found.state, found.disabled_reason) == (EndpointState.DISABLED, "the receiver has responded with 410 Gone")
    assert (found.cursor, found.next_attempt_at, found.is_failing) == (4, None, True)


def test_endpoint_is_disabled_once_nothing_has_succeeded_for_three_days() -> None:
    before = DeliveryProgress(4, 0, 50, NOW, NOW)
    almost, over = NOW + DISABLE_AFTER - timedelta(seconds=1), NOW + DISABLE_AFTER
    assert after_attempt(before, 7, FAILED, almost, 1.0).state is EndpointState.ACTIVE
    found = after_attempt(before, 7, FAILED, over, 1.0)
    assert found.state is EndpointState.DISABLED
    assert found.disabled_reason == f"no attempt has succeeded since 2026-01-03T12:00:00Z; the last one: {FAILED.error}"


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waits_grow_to_a_bound_and_differ_by_chance(failed: int, chance: float) -> None:
    delay = retry_delay(failed, chance)
    full = retry_delay(failed, 1.0)
    assert full / 2 <= delay <= full <= LONGEST_RETRY
    assert retry_delay(failed + 1, 1.0) in {2 * full, LONGEST_RETRY}
    assert retry_delay(1, 1.0) == FIRST_RETRY


@pytest.mark.parametrize(
    "url", ["https://desk.example/a?b=c", "https://u:p@desk.example:8443", "https://[2001:db8::1]/"]
)
def test_url_of_a_webhook_is_taken(url: str) -> None:
    assert webhook_problem(url, allow_http=False) is None


@pytest.mark.parametrize(
    "url",
    [
        *("", "desk.example", "http://desk.example", "ftp://desk.example", "https://", "https:///a", "https://a:0/"),
        *("https://a:99999/", "https://a/#b", "https://a/b c", "https://dé.example", "https://[::1", "https://a/\n"),
        "https://a/" + "b" * 2000,
    ],
)
def test_url_that_is_none_of_a_webhook_is_refused(url: str) -> None:
    assert webhook_problem(url, allow_http=False) is not None


def test_url_without_encryption_is_taken_where_networks_are_named() -> None:
    assert webhook_problem("http://127.0.0.1:9000/", allow_http=True) is None


def test_address_shows_nothing_that_may_be_a_secret() -> None:
    assert shown_address("https://user:pass@desk.example:8443/token?key=secret") == "https://desk.example:8443"
    assert shown_address("https://[2001:db8::1]/a") == "https://[2001:db8::1]"
    one = endpoint(url="https://desk.example/token")
    assert "token" not in repr(one)
    assert SECRET not in repr(one)


def test_secret_is_made_of_random_bytes() -> None:
    assert secret_text(bytes(SECRET_BYTES)) == SECRET
    with pytest.raises(ValueError, match="32"):
        secret_text(b"short")
