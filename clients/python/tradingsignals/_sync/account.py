# Generated from _async/account.py by `make generate`; do not edit.
"""The account, its positions, and whether it trades."""

from __future__ import annotations

from tradingsignals.v1 import account_service_pb2, position_service_pb2
from tradingsignals.v1.account_pb2 import EquityPoint, Trading
from tradingsignals.v1.account_service_pb2 import GetAccountResponse
from tradingsignals.v1.position_pb2 import Position

from ..requests import EquityResolution, When, when
from ..snapshot import Snapshot
from .caller import Caller
from .pages import Pages


class AccountMethods(Caller):
    """The methods about the account and its positions."""

    def get_account(self) -> GetAccountResponse:
        """Return the account as it is now, and the sequence of the log up to which it is."""
        return self._unary(self._account.GetAccount, account_service_pb2.GetAccountRequest())

    def list_equity(
        self,
        *,
        resolution: EquityResolution | None = None,
        start_date: When = None,
        end_date: When = None,
        page_size: int = 100,
    ) -> Pages[EquityPoint]:
        """List the equity by bar or by day, the newest first, from `start_date` to before `end_date`."""

        def fetch(page_token: str) -> account_service_pb2.ListEquityResponse:
            request = account_service_pb2.ListEquityRequest(
                limit=page_size,
                page_token=page_token,
                resolution=resolution,
                start_date=when(start_date),
                end_date=when(end_date),
            )
            return self._unary(self._account.ListEquity, request)

        return Pages(fetch, lambda page: page.points)

    def halt_trading(self, reason: str = "", *, by: str = "", idempotency_key: str | None = None) -> Trading:
        """Halt trading on all servers until it is resumed: signals are made, and none opens a position."""
        request = account_service_pb2.HaltTradingRequest(reason=reason, by=by)
        response = self._once(self._account.HaltTrading, request, idempotency_key)
        return response.trading

    def resume_trading(self, reason: str = "", *, by: str = "", idempotency_key: str | None = None) -> Trading:
        """Resume trading that was halted by hand. Raises FailedPrecondition if a setting of the server halts it."""
        request = account_service_pb2.ResumeTradingRequest(reason=reason, by=by)
        response = self._once(self._account.ResumeTrading, request, idempotency_key)
        return response.trading

    def active_positions(self, symbol: str | None = None) -> Snapshot[Position]:
        """Return all open positions, the newest first."""
        request = position_service_pb2.ListActivePositionsRequest(symbol=symbol)
        response = self._unary(self._positions.ListActivePositions, request)
        return Snapshot(response.positions, response.through_sequence)

    def closed_positions(self, *, symbol: str | None = None, page_size: int = 50) -> Pages[Position]:
        """List closed positions, the last closed first; pages are fetched as needed."""

        def fetch(page_token: str) -> position_service_pb2.ListClosedPositionsResponse:
            request = position_service_pb2.ListClosedPositionsRequest(
                limit=page_size, page_token=page_token, symbol=symbol
            )
            return self._unary(self._positions.ListClosedPositions, request)

        return Pages(fetch, lambda page: page.positions)

    def close_position(
        self, position_id: str, *, price: float | None = None, idempotency_key: str | None = None
    ) -> Position:
        """Close an open position, at `price` or at the last known price. Raises NotFound, FailedPrecondition."""
        request = position_service_pb2.ClosePositionRequest(position_id=position_id, price=price)
        response = self._once(self._positions.ClosePosition, request, idempotency_key)
        return response.position
