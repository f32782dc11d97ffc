"""Errors: the documented class hierarchy, messages and metadata."""

from __future__ import annotations

import re

import pytest
from tests.support.builders import OPENING

from tradingsignals_server.domain import errors
from tradingsignals_server.domain.errors import (
    BarConflict,
    FieldViolation,
    InvalidPageToken,
    InvalidRequest,
    MalformedMessage,
    NotAPeer,
    NotEnoughBars,
    NotStorable,
    Overloaded,
    OwnerUnavailable,
    PositionAlreadyClosed,
    PositionNotFound,
    ReadTimedOut,
    SequencePruned,
    SequenceUnknown,
    ServiceError,
    ShuttingDown,
    StorageUnavailable,
    TooManySymbols,
)
from tradingsignals_server.domain.signal_errors import SignalNotFound


def below(base: type[ServiceError]) -> list[type[ServiceError]]:
    """Return the subclasses of `base` that the domain defines, depth first."""
    children = [child for child in base.__subclasses__() if child.__module__ == errors.__name__]
    return [found for child in children for found in (child, *below(child))]


def test_docstring_draws_the_class_hierarchy() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert drawn == [error.__name__ for error in below(ServiceError)]


@pytest.mark.parametrize(
    ("error", "metadata"),
    [
        (BarConflict("USDCOP", OPENING), {"symbol": "USDCOP", "time": "2024-03-04T13:00:00Z"}),
        (MalformedMessage(2), {"index": "2"}),
        (SignalNotFound(None), {}),
        (SignalNotFound("USDCOP"), {"symbol": "USDCOP"}),
        (PositionNotFound("p"), {"position_id": "p"}),
        (PositionAlreadyClosed("p"), {"position_id": "p"}),
        (NotEnoughBars("USDCOP", 50, 7), {"symbol": "USDCOP", "bars_needed": "50", "bars_stored": "7"}),
        (TooManySymbols("USDCOP", 9), {"symbol": "USDCOP", "limit": "9"}),
        (NotStorable("it violates bars_check"), {"rule": "it violates bars_check"}),
        (SequencePruned(3, 9), {"oldest_sequence": "9"}),
        (SequenceUnknown(9, 3, "e"), {"newest_sequence": "3", "epoch": "e"}),
        (StorageUnavailable(), {}),
        (OwnerUnavailable("USDCOP"), {"symbol": "USDCOP"}),
        (Overloaded(10), {"limit": "10"}),
        (ReadTimedOut(10.0), {"limit": "10"}),
        (NotAPeer(), {}),
        (ShuttingDown(4), {"sequence": "4"}),
    ],
)
def test_error_has_the_metadata_that_the_contract_lists(error: ServiceError, metadata: dict[str, str]) -> None:
    assert dict(error.metadata) == metadata
    assert error.message == str(error)
    assert "\n" not in error.message


def test_message_lists_every_violation() -> None:
    error = InvalidRequest([FieldViolation("a", "is wrong"), FieldViolation("b", "is worse")])
    assert error.message == "a: is wrong; b: is worse"
    assert [violation.field for violation in InvalidPageToken().violations] == ["page_token"]
