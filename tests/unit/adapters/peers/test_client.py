"""Results of bars that a peer returns are rebuilt as they were."""

from __future__ import annotations

import pytest
from tests.support.builders import bar

from tradingsignals_server.adapters.peers.client import _result
from tradingsignals_server.api.mapping.errors import code_of
from tradingsignals_server.api.services.peer import outcome_message
from tradingsignals_server.domain import errors
from tradingsignals_server.domain.errors import FieldViolation, InvalidRequest, ReadTimedOut, ServiceError
from tradingsignals_server.internal import peer_service_pb2 as pb

BAR = bar(0)


def kinds(base: type[ServiceError] = ServiceError) -> list[type[ServiceError]]:
    """Return every class of error of the domain that has a reason of its own."""
    below = [found for child in base.__subclasses__() for found in kinds(child)]
    named = base.__module__ == errors.__name__ and "reason" in vars(base)
    return [base, *below] if named else below


def sent(error: ServiceError) -> ServiceError:
    """Return the error as the server that called its owner gets it."""
    outcome = pb.BarOutcome.FromString(outcome_message(error).SerializeToString())
    rebuilt = _result(outcome, BAR)
    assert isinstance(rebuilt, ServiceError)
    return rebuilt


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_error_of_a_peer_is_rebuilt_as_the_same_error(kind: type[ServiceError]) -> None:
    """A bar that is refused for good would be sent again for ever if its error became an outage."""
    error = kind.__new__(kind)
    ServiceError.__init__(error, "it is wrong", symbol="USDCOP", limit="7")
    if isinstance(error, InvalidRequest):
        error.violations = (FieldViolation("high", "is absurd"), FieldViolation("low", "is absurd"))
    rebuilt = sent(error)
    assert type(rebuilt) is kind
    assert (rebuilt.args, vars(rebuilt)) == (error.args, vars(error) | {"violations": error.violations})


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_reason_names_one_class(kind: type[ServiceError]) -> None:
    assert [other for other in kinds() if other.reason == kind.reason] == [kind]


def test_error_keeps_its_code_if_it_has_the_reason_of_its_base() -> None:
    error = ReadTimedOut(10.0)
    rebuilt = sent(error)
    assert (rebuilt.reason, rebuilt.message, rebuilt.metadata) == (error.reason, error.message, error.metadata)
    assert code_of(rebuilt) is code_of(error)


def test_error_of_an_unknown_reason_may_be_tried_again() -> None:
    outcome = pb.BarOutcome(refusal=pb.BarRefusal(reason="OF_A_NEWER_VERSION", message="it is new"))
    rebuilt = _result(outcome, BAR)
    assert isinstance(rebuilt, errors.StorageUnavailable)
