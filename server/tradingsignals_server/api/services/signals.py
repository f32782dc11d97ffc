"""tradingsignals.v1.SignalService."""

from __future__ import annotations

from tradingsignals.v1 import signal_service_pb2 as pb

from ...application.cluster.forwarding import OwnerForwarding
from ...application.decision.pipeline import Pipeline
from ...application.decision.quotes import Quote
from ...application.explain.service import SignalExplainer
from ...application.ingest.engine import Engine
from ...application.ports.performance import ComputePerformance
from ...application.ports.store import SignalQuery
from ...application.queries import Queries
from ...domain.events import EventKind
from ..at_owner import at_owner, symbol_in_request
from ..encoding import wire
from ..encoding.listing import Listing
from ..mapping import to_proto
from ..mapping.bounds import DEFAULT_SYMBOL
from ..mapping.explanations import explanation_message, replay_message
from ..mapping.performance import performance_query
from ..mapping.validation import Checks
from ..once import RunOnce


class SignalServicer:
    """Generates, lists and counts signals."""

    def __init__(
        self,
        engine: Engine,
        queries: Queries,
        pipeline: Pipeline,
        owner: OwnerForwarding,
        explainer: SignalExplainer,
        once: RunOnce,
        compute_performance: ComputePerformance,
    ) -> None:
        self._engine = engine
        self._queries = queries
        self._pipeline = pipeline
        self.owner = owner
        self._explainer = explainer
        self._once = once
        self._compute_performance = compute_performance

    async def get_latest_signal(self, request: pb.GetLatestSignalRequest) -> bytes:
        """Return the newest signal."""
        with Checks() as checks:
            symbol = checks.symbol(request.symbol)
        return wire.record(await self._queries.latest_signal(symbol))

    async def list_signals(self, request: pb.ListSignalsRequest) -> Listing:
        """List a page of signals."""
        with Checks() as checks:
            limit = checks.number(request, "limit")
            start, end = checks.period(request.start_date, request.end_date)
            query = SignalQuery(
                symbol=checks.symbol(request.symbol),
                action=checks.action(request.action, "action") if request.HasField("action") else None,
                start=start,
                end=end,
            )
        page, token = await self._queries.signals(query, request.page_token, limit)
        rest = pb.ListSignalsResponse(
            count=len(page.messages), next_page_token=token, through_sequence=page.through_sequence
        )
        return Listing(EventKind.SIGNAL, page.messages, rest)

    @at_owner(symbol=symbol_in_request)
    async def generate_signal(self, request: pb.GenerateSignalRequest) -> bytes:
        """Generate a signal at a quote."""
        with Checks() as checks:
            symbol = checks.symbol(request.symbol, default=DEFAULT_SYMBOL) or DEFAULT_SYMBOL
            if not request.HasField("close_price"):
                checks.refuse("close_price", "is required")
        given = {field.name: value for field, value in request.ListFields() if field.name != "symbol"}
        quote = Quote(**given)
        return await self._once(request, wire.record, lambda key: self._engine.generate(symbol, quote, key))

    @at_owner(symbol=symbol_in_request)
    async def generate_signal_from_db(self, request: pb.GenerateSignalFromDbRequest) -> bytes:
        """Generate a signal from stored bars."""
        with Checks() as checks:
            symbol = checks.symbol(request.symbol, default=DEFAULT_SYMBOL) or DEFAULT_SYMBOL
            lookback_bars = checks.number(request, "lookback_bars")
        return await self._once(
            request, wire.record, lambda key: self._engine.generate_from_stored(symbol, lookback_bars, key)
        )

    async def get_performance(self, request: pb.GetPerformanceRequest) -> pb.GetPerformanceResponse:
        """Compute the statistics of outcomes and equity."""
        response = await self._compute_performance(performance_query(request))
        return pb.GetPerformanceResponse.FromString(response)

    async def explain_signal(self, request: pb.ExplainSignalRequest) -> pb.ExplainSignalResponse:
        """Say why a signal was given."""
        with Checks() as checks:
            signal_id = checks.uuid(request.signal_id, "signal_id")
        return pb.ExplainSignalResponse(explanation=explanation_message(await self._explainer.explain(signal_id)))

    async def replay_signal(self, request: pb.ReplaySignalRequest) -> pb.ReplaySignalResponse:
        """Make a signal again, and compare."""
        with Checks() as checks:
            signal_id = checks.uuid(request.signal_id, "signal_id")
        return pb.ReplaySignalResponse(replay=replay_message(await self._explainer.replay(signal_id)))

    async def get_statistics(self, _: pb.GetStatisticsRequest) -> pb.GetStatisticsResponse:
        """Return counts over all stored signals, positions and bars."""
        live = self._pipeline.live
        loaded = not live.policy.description.simulated
        found = await self._queries.store.statistics()
        return pb.GetStatisticsResponse(statistics=to_proto.statistics_message(found, live.rules, model_loaded=loaded))
