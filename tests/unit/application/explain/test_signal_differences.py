"""Fields in which a stored signal and one that is made again differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.support.builders import signal

from tradingsignals_server.application.explain.differences import signal_differences

SIGNAL = signal()


def test_validity_that_was_altered_is_a_difference() -> None:
    altered = replace(SIGNAL, valid_until=SIGNAL.timestamp + timedelta(hours=1))
    (found,) = signal_differences(altered, SIGNAL)
    assert (found.field, found.stored, found.recomputed) == (
        "valid_until",
        "2024-03-04T14:00:00Z",
        "2024-03-04T13:05:00Z",
    )


def test_validity_that_an_earlier_version_did_not_have_is_no_difference() -> None:
    assert signal_differences(replace(SIGNAL, valid_until=None), SIGNAL) == []
