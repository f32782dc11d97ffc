"""tradingsignals.v1.OutcomeService."""

from __future__ import annotations

from tradingsignals.v1 import outcome_service_pb2 as pb

from ...application.ports.outcomes import OutcomeQuery
from ...application.queries import Queries
from ...domain.signals import Action
from ..mapping.outcomes_to_proto import outcome_message
from ..mapping.validation import Checks


class OutcomeServicer:
    """Lists outcomes."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def list_outcomes(self, request: pb.ListOutcomesRequest) -> pb.ListOutcomesResponse:
        """List a page of outcomes."""
        with Checks() as checks:
            limit = checks.number(request, "limit")
            start, end = checks.period(request.start_date, request.end_date)
            query = OutcomeQuery(
                symbol=checks.symbol(request.symbol),
                action=checks.action(request.action, "action") if request.HasField("action") else None,
                resolution=(
                    checks.resolution(request.resolution, "resolution") if request.HasField("resolution") else None
                ),
                fill=checks.fill(request.fill, "fill") if request.HasField("fill") else None,
                model_version=request.model_version or None,
                shadow=request.shadow if request.HasField("shadow") else None,
                start=start,
                end=end,
            )
            if query.action is Action.HOLD:
                checks.refuse("action", "must be one of BUY, SELL: a HOLD has no outcome")
        page, token = await self._queries.outcomes(query, request.page_token, limit)
        return pb.ListOutcomesResponse(
            outcomes=map(outcome_message, page.outcomes),
            count=len(page.outcomes),
            next_page_token=token,
            through_sequence=page.through_sequence,
        )
