"""tradingsignals.v1.AccountService."""

from __future__ import annotations

from tradingsignals.v1 import account_service_pb2 as pb

from ...application.account_queries import AccountQueries
from ...application.ingest.engine import Engine
from ...application.ports.account import EquityQuery, EquityResolution
from ...domain.protections import Protections
from ..encoding import wire
from ..mapping.account_to_proto import (
    account_message,
    equity_point_message,
    protection_messages,
    trading_message,
)
from ..mapping.validation import Checks
from ..once import RunOnce

LONGEST_REASON, LONGEST_NAME = 200, 100
"""Characters of why and by whom trading is halted: they stand in the reasoning of signals, and in the log."""


class AccountServicer:
    """Gives the account and its equity, and halts trading."""

    def __init__(self, queries: AccountQueries, engine: Engine, protections: Protections, once: RunOnce) -> None:
        self._queries = queries
        self._engine = engine
        self._protections = protections
        self._once = once

    async def get_account(self, _: pb.GetAccountRequest) -> pb.GetAccountResponse:
        """Get the account as it is now."""
        stored = await self._queries.account()
        return pb.GetAccountResponse(
            account=account_message(stored, self._protections),
            through_sequence=stored.sequence,
            protections=protection_messages(stored.account, self._protections),
        )

    async def list_equity(self, request: pb.ListEquityRequest) -> pb.ListEquityResponse:
        """List a page of equity."""
        with Checks() as checks:
            limit = checks.number(request, "limit")
            start, end = checks.period(request.start_date, request.end_date)
            query = EquityQuery(
                checks.equity_resolution(request.resolution, "resolution")
                if request.HasField("resolution")
                else EquityResolution.BAR,
                start,
                end,
            )
        page, token = await self._queries.equity(query, request.page_token, limit)
        return pb.ListEquityResponse(
            points=map(equity_point_message, page.points),
            count=len(page.points),
            next_page_token=token,
            through_sequence=page.through_sequence,
        )

    async def halt_trading(self, request: pb.HaltTradingRequest) -> bytes:
        """Halt trading by hand."""
        return await self._controlled(request, halted=True)

    async def resume_trading(self, request: pb.ResumeTradingRequest) -> bytes:
        """Resume trading that was halted by hand."""
        return await self._controlled(request, halted=False)

    async def _controlled(self, request: pb.HaltTradingRequest | pb.ResumeTradingRequest, *, halted: bool) -> bytes:
        with Checks() as checks:
            reason = checks.line(request.reason, "reason", LONGEST_REASON)
            by = checks.line(request.by, "by", LONGEST_NAME)
        return await self._once(
            request,
            lambda account: wire.record(trading_message(account, self._protections).SerializeToString()),
            lambda key: self._engine.control_trading(reason, by, halted=halted, key=key),
        )
