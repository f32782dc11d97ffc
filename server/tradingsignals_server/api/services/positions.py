"""tradingsignals.v1.PositionService."""

from __future__ import annotations

from uuid import UUID

from tradingsignals.v1 import position_service_pb2 as pb

from ...application.cluster.forwarding import OwnerForwarding
from ...application.ingest.engine import Engine
from ...application.queries import Queries
from ...domain.events import EventKind
from ..at_owner import at_owner
from ..encoding import wire
from ..encoding.listing import Listing
from ..mapping.validation import Checks
from ..once import RunOnce


class PositionServicer:
    """Lists and closes positions."""

    def __init__(self, engine: Engine, queries: Queries, owner: OwnerForwarding, once: RunOnce) -> None:
        self._engine = engine
        self._queries = queries
        self.owner = owner
        self._once = once

    async def list_active_positions(self, request: pb.ListActivePositionsRequest) -> Listing:
        """List all open positions."""
        with Checks() as checks:
            symbol = checks.symbol(request.symbol)
        page = await self._queries.store.active_positions(symbol)
        rest = pb.ListActivePositionsResponse(count=len(page.messages), through_sequence=page.through_sequence)
        return Listing(EventKind.POSITION_UPDATE, page.messages, rest)

    async def list_closed_positions(self, request: pb.ListClosedPositionsRequest) -> Listing:
        """List a page of closed positions."""
        with Checks() as checks:
            limit = checks.number(request, "limit")
            symbol = checks.symbol(request.symbol)
        page, token = await self._queries.closed_positions(symbol, request.page_token, limit)
        rest = pb.ListClosedPositionsResponse(
            count=len(page.messages), next_page_token=token, through_sequence=page.through_sequence
        )
        return Listing(EventKind.POSITION_UPDATE, page.messages, rest)

    async def _symbol_of_position(self, request: pb.ClosePositionRequest) -> str | None:
        try:
            position_id = UUID(request.position_id)
        except ValueError:
            return None
        found = await self._queries.store.symbol_of_position(position_id)
        return None if found is None else found[0]

    @at_owner(symbol=_symbol_of_position)
    async def close_position(self, request: pb.ClosePositionRequest) -> bytes:
        """Close a position by hand."""
        with Checks() as checks:
            position_id = checks.uuid(request.position_id, "position_id")
            price = checks.price(request.price, "price") if request.HasField("price") else None
        return await self._once(request, wire.record, lambda key: self._engine.close_position(position_id, price, key))
