"""RunBacktest: bounds of requests, and the responses of a running backtest in every form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.support.backtests import result_of
from tests.support.bars import a_month, message, messages
from tests.support.builders import walk

from tradingsignals.v1.backtest_service_pb2 import RunBacktestRequest, RunBacktestResponse
from tradingsignals_server.api.mapping.backtests import order_of, result_messages
from tradingsignals_server.api.mapping.bounds import LENGTHS
from tradingsignals_server.api.services.backtests import METHOD, STALL_SECONDS, BacktestResponses, BacktestServicer
from tradingsignals_server.application.ports.backtests import BacktestOrder
from tradingsignals_server.domain.errors import BacktestFailed, FollowerStalled, InvalidRequest, ServiceError
from tradingsignals_server.domain.intervals import default_interval
from tradingsignals_server.internal.newline_delimited_service_pb2 import LinesOfBodyRequest
from tradingsignals_server.transport.methods import Budget

PUBLIC = f"/tradingsignals.v1.BacktestService/{METHOD.name}"
NDJSON = f"/tradingsignals.edge.v1.NewlineDelimitedService/{METHOD.name}"
SSE = f"/tradingsignals.edge.v1.ServerSentEventsService/{METHOD.name}"


class Scripted:
    """A backtest that sends given responses, then fails or ends."""

    def __init__(self, responses: Sequence[RunBacktestResponse] = (), error: ServiceError | None = None) -> None:
        self._left = [response.SerializeToString() for response in responses]
        self._error = error
        self.ended = False
        self.blocks = asyncio.Event()

    async def next(self) -> bytes | None:
        if self._left:
            return self._left.pop(0)
        if self._error is not None:
            raise self._error
        return None

    def end(self) -> None:
        self.ended = True


def progress(bars: int) -> RunBacktestResponse:
    response = RunBacktestResponse()
    response.progress.bars = bars
    return response


async def sent_by(source: BacktestResponses) -> list[bytes]:
    """Return all that a source gives."""
    found = []
    while source.awaits != "end":
        if (response := source.next(0.0, Budget())) is not None:
            found.append(response)
        elif source.awaits == "page":
            await source.read()
    return found


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (RunBacktestRequest(symbols=["US DCOP"]), "symbols"),
        (RunBacktestRequest(start_date="yesterday"), "start_date"),
        (RunBacktestRequest(start_date="2024-03-05", end_date="2024-03-04"), "end_date"),
        (RunBacktestRequest(symbols=["USDCOP"], bars=messages(walk(2))), "symbols"),
        (RunBacktestRequest(settings=["A=1"] * 51), "settings"),
        (RunBacktestRequest(bars=[message(walk(1)[0])] * (LENGTHS["RunBacktestRequest.bars"] + 1)), "bars"),
    ],
)
def test_requests_out_of_bounds_are_refused_by_field(request_: RunBacktestRequest, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        order_of(request_, default_interval)
    assert {violation.field.partition("[")[0] for violation in refused.value.violations} == {field}


def test_an_invalid_bar_is_named_by_its_index() -> None:
    bars = messages(walk(3))
    bars[1].high = 1.0
    with pytest.raises(InvalidRequest, match=r"bars\[1\]\.high"):
        order_of(RunBacktestRequest(bars=bars), default_interval)


def test_an_order_has_all_of_the_request() -> None:
    request = RunBacktestRequest(
        start_date="2024-03-04", settings=["SPREAD=1"], model_version="2", compare=True, seed=3
    )
    order = order_of(request, default_interval)
    assert order.bars is None
    assert (order.settings, order.model_version, order.compare, order.seed) == (("SPREAD=1",), "2", True, 3)
    assert order_of(RunBacktestRequest(bars=messages(walk(3))), default_interval).bars == walk(3)


async def test_a_result_is_sent_in_parts_that_lose_nothing() -> None:
    result = await result_of(a_month(), compare=True)
    parts = list(result_messages(result))
    positions = [one.position_id for part in parts for one in part.positions.positions]
    assert positions == [str(position.position_id) for position in result.positions]
    points = [point.equity for part in parts for point in part.equity.points]
    assert result.equity is not None
    assert points == list(result.equity.equity)
    final = parts[-1].result
    assert {figure.name: figure.n for figure in final.figures} == {
        name: figure.n for name, figure in result.performance.figures.items()
    }
    assert [one.name for one in final.comparisons] == ["buy and hold", "coin", "moving average cross"]
    assert all(part.ByteSize() < 1 << 20 for part in parts)


async def test_callers_get_the_messages_as_they_are() -> None:
    running = Scripted([progress(1), progress(2)])
    source = BacktestResponses(running, None)
    assert await sent_by(source) == [progress(1).SerializeToString(), progress(2).SerializeToString()]
    assert source.end is not None
    assert source.end.error is None
    assert running.ended


async def test_rest_callers_get_text_and_the_error_as_the_last_line() -> None:
    async def start(order: BacktestOrder) -> Scripted:
        assert order.settings == ("SPREAD=1",)
        return Scripted([progress(7)], BacktestFailed("no bars"))

    methods = BacktestServicer(start, default_interval).methods()
    sent = LinesOfBodyRequest(body=HttpBody(content_type="application/json", data=b'{"settings": ["SPREAD=1"]}'))
    for path, prefix in ((NDJSON, b""), (SSE, b"id: 0\ndata: ")):
        source = await methods[path].open(sent.SerializeToString())
        assert isinstance(source, BacktestResponses)
        (text,) = (HttpBody.FromString(one).data for one in await sent_by(source))
        assert json.loads(text.removeprefix(prefix))["progress"]["bars"] == "7"
        assert source.end is not None
        assert isinstance(source.end.error, BacktestFailed)
        assert source.end.response is not None
        last = json.loads(HttpBody.FromString(source.end.response).data.removeprefix(prefix))
        assert last["error"]["reason"] == "BACKTEST_FAILED"


async def test_an_unknown_field_of_a_body_is_refused() -> None:
    async def start(_: BacktestOrder) -> Scripted:
        raise AssertionError

    methods = BacktestServicer(start, default_interval).methods()
    sent = LinesOfBodyRequest(body=HttpBody(content_type="application/json", data=b'{"setings": []}'))
    with pytest.raises(InvalidRequest, match="setings"):
        await methods[NDJSON].open(sent.SerializeToString())


async def test_a_caller_that_takes_nothing_is_ended_with_its_backtest() -> None:
    running = Scripted([progress(1), progress(2)])
    source = BacktestResponses(running, None)
    await source.read()
    assert source.next(0.0, Budget()) is not None
    source.blocked(5.0)
    assert source.due_at == 5.0 + STALL_SECONDS
    assert source.next(5.0 + STALL_SECONDS, Budget()) is None
    assert source.end is not None
    assert isinstance(source.end.error, FollowerStalled)
    assert running.ended


async def test_a_cancelled_read_ends_the_backtest() -> None:
    class Waiting(Scripted):
        async def next(self) -> bytes | None:
            await self.blocks.wait()
            return None

    running = Waiting()
    reading = asyncio.ensure_future(BacktestResponses(running, None).read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert running.ended
