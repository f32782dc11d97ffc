"""What a peer says of a bar arrives as what it was."""

from __future__ import annotations

import pytest

from tradingsignals_server.api.peers import _outcome_of, _result_of
from tradingsignals_server.domain.errors import (
    BarConflict,
    FieldViolation,
    InvalidBar,
    Overloaded,
    OwnerUnavailable,
    ServiceError,
    ShuttingDown,
    StorageUnavailable,
)

from ..builders import bar

BAR = bar(0)


@pytest.mark.parametrize(
    "error",
    [
        InvalidBar([FieldViolation("time", "is in the future"), FieldViolation("high", "is absurd")], symbol="USDCOP"),
        BarConflict(BAR.symbol, BAR.time),
        OwnerUnavailable(BAR.symbol),
        ShuttingDown(7),
        Overloaded(4096),
        StorageUnavailable(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_of_a_peer_is_relayed_as_it_was_made(error: ServiceError) -> None:
    """A bar that is refused for good and relayed as an outage would be sent again for ever."""
    relayed = _result_of(_outcome_of(error), BAR)
    assert type(relayed) is type(error)
    assert isinstance(relayed, ServiceError)
    assert (relayed.message, relayed.metadata) == (error.message, error.metadata)
