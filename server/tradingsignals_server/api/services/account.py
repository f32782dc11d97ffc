"""tradingsignals.v1.AccountService."""

from __future__ import annotations

from tradingsignals.v1 import account_service_pb2 as pb

from ...application.account_queries import AccountQueries
from ...application.ports.account import EquityQuery, EquityResolution
from ..mapping.account_to_proto import account_message, equity_point_message
from ..mapping.validation import Checks


class AccountServicer:
    """Gives the account and its equity."""

    def __init__(self, queries: AccountQueries) -> None:
        self._queries = queries

    async def get_account(self, _: pb.GetAccountRequest) -> pb.GetAccountResponse:
        """Get the account as it is now."""
        stored = await self._queries.account()
        return pb.GetAccountResponse(account=account_message(stored), through_sequence=stored.sequence)

    async def list_equity(self, request: pb.ListEquityRequest) -> pb.ListEquityResponse:
        """List a page of equity."""
        with Checks() as checks:
            limit = checks.number(request, "limit")
            query = EquityQuery(
                checks.equity_resolution(request.resolution, "resolution")
                if request.HasField("resolution")
                else EquityResolution.BAR,
                checks.date(request.start_date, "start_date"),
                checks.date(request.end_date, "end_date"),
            )
        page, token = await self._queries.equity(query, request.page_token, limit)
        return pb.ListEquityResponse(
            points=map(equity_point_message, page.points),
            count=len(page.points),
            next_page_token=token,
            through_sequence=page.through_sequence,
        )
