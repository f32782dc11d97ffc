"""Fields of the contract in which a stored signal and one of a backtest differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.support.builders import signal

from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.commands.backtest.parity import signal_difference

SIGNAL = signal()


def test_validity_of_a_signal_is_compared() -> None:
    other = replace(SIGNAL, valid_until=SIGNAL.timestamp + timedelta(hours=1))
    found = signal_difference(encode(other, 1), SIGNAL)
    assert found is not None
    assert found.field.startswith("valid_until")


def test_validity_that_an_earlier_version_did_not_have_is_not_compared() -> None:
    assert signal_difference(encode(replace(SIGNAL, valid_until=None), 1), SIGNAL) is None
