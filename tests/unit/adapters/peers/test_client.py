"""Results of bars that a peer returns are rebuilt as they were."""

from __future__ import annotations

import pytest
from tests.support.builders import bar

from tradingsignals_server.adapters.peers.client import _result
from tradingsignals_server.api.services.peer import outcome_message
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
def test_error_of_a_peer_is_rebuilt_as_the_same_error(error: ServiceError) -> None:
    """A bar that is refused for good would be sent again for ever if its error became an outage."""
    rebuilt = _result(outcome_message(error), BAR)
    assert type(rebuilt) is type(error)
    assert isinstance(rebuilt, ServiceError)
    assert (rebuilt.message, rebuilt.metadata) == (error.message, error.metadata)
