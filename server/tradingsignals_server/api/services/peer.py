"""tradingsignals.peer.v1.PeerService."""

from __future__ import annotations

from dataclasses import replace

from ...application.cluster.router import Router
from ...application.ports.feed import BarResult
from ...domain.errors import NotAPeer, ServiceError
from ...domain.intervals import IntervalOf
from ...internal import peer_service_pb2 as pb
from ...transport.grpc.metadata import is_forwarded
from ..mapping import from_proto, to_proto


class PeerServicer:
    """Processes bars that other servers of the same database send."""

    def __init__(self, router: Router, interval_of: IntervalOf) -> None:
        self._router = router
        self._interval_of = interval_of

    async def process_bars(self, request: pb.ProcessBarsRequest) -> pb.ProcessBarsResponse:
        """Process bars of symbols that this server owns or can take over.

        Raises:
            NotAPeer: the caller is not a server of the same database.
        """
        if not is_forwarded():
            raise NotAPeer
        bars = [
            replace(from_proto.bar_of(offered.bar, self._interval_of), simulated=offered.simulated)
            for offered in request.bars
        ]
        return pb.ProcessBarsResponse(outcomes=map(outcome_message, await self._router.process_here(bars)))


def outcome_message(result: BarResult) -> pb.BarOutcome:
    """Convert the result of a bar."""
    if not isinstance(result, ServiceError):
        return pb.BarOutcome(receipt=to_proto.receipt_message(result))
    violations = [pb.FieldViolation(field=v.field, description=v.description) for v in result.violations]
    refusal = pb.BarRefusal(
        reason=result.reason, message=result.message, metadata=result.metadata, violations=violations
    )
    return pb.BarOutcome(refusal=refusal)
