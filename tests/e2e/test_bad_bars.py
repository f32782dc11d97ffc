"""Invalid bars over gRPC and REST: each has its own error, and valid bars beside them are stored."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest
from tests.support.bars import as_json, message, messages, timestamp
from tests.support.builders import OPENING, bar, walk
from tests.support.deadlines import DEADLINE, within
from tests.support.service import RunningService

import tradingsignals
from tradingsignals import AsyncClient, BarReceipt
from tradingsignals.errors import from_rpc_error
from tradingsignals.v1.bar_pb2 import Bar as BarMessage
from tradingsignals.v1.market_data_service_pb2 import PublishBarRequest, PublishBarsRequest, PublishBarsResponse
from tradingsignals.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
PRICES = ("open", "high", "low", "close")
BAD_SYMBOLS = [
    *("", "USD COP", "USD/", "EUR/USD/COP", "-USD", "USDCOP;", "A" * 21),
    *("\u00dcSDCOP", "USD\nCOP", "\N{PILE OF POO}", "USDCOP\0", "\uff35SDCOP"),
]


def good(symbol: str) -> BarMessage:
    return message(bar(0, 4000.0, 4002.0, 3998.0, 4001.0, symbol=symbol))


def _next_bar() -> datetime:
    """Return the open of the next bar."""
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() // 300 * 300, UTC) + DEFAULT_INTERVAL


def _bad() -> dict[str, tuple[Callable[[BarMessage], None], set[str]]]:
    """A change that makes a bar invalid, and the fields of the expected violations."""

    def price(name: str, value: float) -> Callable[[BarMessage], None]:
        return lambda found: setattr(found, name, value)

    def time(at: datetime) -> Callable[[BarMessage], None]:
        return lambda found: found.time.CopyFrom(timestamp(at))

    def both(**values: float) -> Callable[[BarMessage], None]:
        def spoil(found: BarMessage) -> None:
            for name, value in values.items():
                setattr(found, name, value)

        return spoil

    def named(symbol: str) -> Callable[[BarMessage], None]:
        return lambda found: setattr(found, "symbol", symbol)

    bad: dict[str, tuple[Callable[[BarMessage], None], set[str]]] = {}
    for name in PRICES:
        for shown, value in {**NOT_FINITE, "0": 0.0, "-0": -0.0, "negative": -4000.0}.items():
            bad[f"{name} is {shown}"] = price(name, value), {name}
    for shown, value in {**NOT_FINITE, "negative": -1.0}.items():
        bad[f"volume is {shown}"] = price("volume", value), {"volume"}
    bad |= {
        "high below low": (both(high=3998.0, low=4002.0, open=4000.0, close=4000.0), {"high"}),
        "open above high": (price("open", 4003.0), {"open"}),
        "open below low": (price("open", 3997.0), {"open"}),
        "close above high": (price("close", 4003.0), {"close"}),
        "close below low": (price("close", 3997.0), {"close"}),
        "every price is NaN": (both(open=math.nan, high=math.nan, low=math.nan, close=math.nan), set(PRICES)),
        "no time": (lambda found: found.ClearField("time"), {"time"}),
        "time between two bars": (time(OPENING + timedelta(minutes=1)), {"time"}),
        "time with seconds": (time(OPENING + timedelta(seconds=1)), {"time"}),
        "time with a millisecond": (time(OPENING + timedelta(milliseconds=1)), {"time"}),
        "time of another century": (time(datetime(1899, 12, 31, tzinfo=UTC)), {"time"}),
        "time in the year 1": (time(datetime(1, 1, 1, tzinfo=UTC)), {"time"}),
        "time in the year 9999": (time(datetime(9999, 12, 31, tzinfo=UTC)), {"time"}),
        "time of tomorrow": (lambda found: found.time.CopyFrom(timestamp(_next_bar() + timedelta(days=1))), {"time"}),
        "a bar that is still to come": (lambda found: found.time.CopyFrom(timestamp(_next_bar())), {"time"}),
        "everything at once": (
            both(open=-1.0, high=math.nan, low=0.0, close=math.inf, volume=-1.0),
            {*PRICES, "volume"},
        ),
    }
    for name in BAD_SYMBOLS:
        bad[f"symbol is {name!r}"] = named(name), {"symbol"}
    return bad


BAD = _bad()
ONLY_GRPC: dict[str, Callable[[BarMessage], None]] = {
    "time beyond every calendar": lambda found: setattr(found.time, "seconds", 2**62),
    "time before every calendar": lambda found: setattr(found.time, "seconds", -(2**62)),
    "negative nanoseconds": lambda found: setattr(found.time, "nanos", -1),
    "too many nanoseconds": lambda found: setattr(found.time, "nanos", 2**31 - 1),
    "a nanosecond past the hour": lambda found: setattr(found.time, "nanos", 1),
}


@pytest.fixture(scope="module")
async def stub(service: RunningService) -> AsyncIterator[Any]:
    """The generated stub, which validates nothing; its types only know the sync API of streams."""
    async with grpc.aio.insecure_channel(service.address) as channel:
        yield MarketDataServiceStub(channel)


async def stored(client: AsyncClient, symbol: str) -> list[BarMessage]:
    return [found async for found in client.bars(symbol)]


@pytest.mark.parametrize(("spoil", "fields"), BAD.values(), ids=BAD)
async def test_invalid_bar_over_grpc_is_refused_with_its_fields(
    client: AsyncClient, symbol: str, spoil: Callable[[BarMessage], None], fields: set[str]
) -> None:
    sent = good(symbol)
    spoil(sent)
    with pytest.raises(tradingsignals.InvalidRequest) as caught:
        await client.publish_bar(sent)
    assert caught.value.reason == "INVALID_BAR"
    assert {violation.field for violation in caught.value.violations} == {f"bar.{field}" for field in fields}
    assert all(violation.description for violation in caught.value.violations)
    assert await stored(client, symbol) == []


@pytest.mark.parametrize("spoil", ONLY_GRPC.values(), ids=ONLY_GRPC)
async def test_times_outside_the_range_are_refused_over_grpc(
    client: AsyncClient, symbol: str, spoil: Callable[[BarMessage], None]
) -> None:
    sent = good(symbol)
    spoil(sent)
    with pytest.raises(tradingsignals.InvalidRequest) as caught:
        await client.publish_bar(sent)
    assert [violation.field for violation in caught.value.violations] == ["bar.time"]


@pytest.mark.parametrize(("spoil", "fields"), BAD.values(), ids=BAD)
async def test_invalid_bar_over_rest_is_refused_with_its_fields(
    rest: httpx.AsyncClient, client: AsyncClient, symbol: str, spoil: Callable[[BarMessage], None], fields: set[str]
) -> None:
    sent = good(symbol)
    spoil(sent)
    response = await rest.post("/api/market/bars", json=_json(sent))
    assert response.status_code == 400, response.text
    info, bad = response.json()["details"]
    assert info["reason"] == "INVALID_BAR"
    assert {violation["field"] for violation in bad["field_violations"]} == {f"bar.{field}" for field in fields}
    assert await stored(client, symbol) == []


def _json(sent: BarMessage) -> dict[str, Any]:
    """Return the bar as JSON, with strings for NaN and infinity."""
    numbers = {name: getattr(sent, name) for name in (*PRICES, "volume")}
    words = {math.inf: "Infinity", -math.inf: "-Infinity"}
    shown = {name: "NaN" if math.isnan(value) else words.get(value, value) for name, value in numbers.items()}
    time = {"time": sent.time.ToJsonString()} if sent.HasField("time") else {}
    return {"symbol": sent.symbol, **time, **shown}


BAD_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "an empty object": b"{}",
    "a list of bars": b"[{}]",
    "a bar in a bar": b'{"bar": {"symbol": "USDCOP"}}',
    "a price in words": b'{"symbol": "USDCOP", "time": "2024-03-04T13:00:00Z", "open": "high"}',
    "a time in words": b'{"symbol": "USDCOP", "time": "monday"}',
    "a time as a number": b'{"symbol": "USDCOP", "time": 1709557200}',
    "a time without a zone": b'{"symbol": "USDCOP", "time": "2024-03-04T13:00:00"}',
    "a day that does not exist": b'{"symbol": "USDCOP", "time": "2024-02-30T13:00:00Z"}',
    "broken JSON": b'{"symbol": "USDCOP", ',
    "XML": b"<bar/>",
    "no UTF-8": b'{"symbol": "\xe9"}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_bodies_without_a_bar_are_refused(rest: httpx.AsyncClient, body: bytes) -> None:
    response = await rest.post("/api/market/bars", content=body)
    assert response.status_code == 400, response.text
    assert response.json()["code"] == 3


async def test_call_without_a_bar_is_refused(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.PublishBar(PublishBarRequest(), timeout=DEADLINE)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "bar: is required"


# -------------------------------------------------------------------------------------------------------------- streams


async def publish(stub: Any, *requests: list[BarMessage]) -> PublishBarsResponse:
    """Send a stream of exactly these messages."""
    sent = iter([PublishBarsRequest(bars=bars) for bars in requests])
    response: PublishBarsResponse = await stub.PublishBars(sent, timeout=DEADLINE)
    return response


async def test_invalid_bars_of_a_stream_are_reported_by_index_and_valid_ones_stored(
    client: AsyncClient, symbol: str
) -> None:
    bars = walk(300, seed=4, symbol=symbol)
    sent, expected = [], dict[int, str]()
    spoilers = [(name, spoil) for name, (spoil, _) in BAD.items()] + list(ONLY_GRPC.items())
    for number, found in enumerate(bars):
        sent.append(message(found))
        if number % 3 == 0 and spoilers:
            name, spoil = spoilers.pop()
            broken = good(symbol)
            spoil(broken)
            expected[len(sent)] = name
            sent.append(broken)
    assert not spoilers
    response = await client.publish_bars(sent, batch_size=64)

    assert (response.received, response.rejected) == (len(sent), len(expected))
    assert [rejection.index for rejection in response.rejections] == list(expected)
    assert {rejection.reason for rejection in response.rejections} == {"INVALID_BAR"}
    assert all(rejection.message for rejection in response.rejections)
    assert (response.warming_up, response.accepted) == (49, 251)
    assert await stored(client, symbol) == messages(reversed(bars))


async def test_stream_reports_late_duplicate_and_conflicting_bars(client: AsyncClient, symbol: str) -> None:
    bars = walk(60, seed=4, symbol=symbol)
    late = bars.pop(20)
    different = Bar(symbol, bars[30].time, 1.0, 1.0, 1.0, 1.0)
    response = await client.publish_bars(messages([*bars, late, bars[7], late, different, bars[-1]]))
    assert (response.received, response.warming_up, response.accepted) == (64, 49, 10)
    assert (response.late, response.duplicates, response.rejected) == (1, 3, 1)
    (rejection,) = response.rejections
    assert (rejection.index, rejection.reason, rejection.symbol) == (62, "BAR_CONFLICT", symbol)
    assert rejection.time.ToDatetime(UTC) == different.time
    assert await stored(client, symbol) == messages(sorted([*bars, late], key=lambda b: b.time, reverse=True))

    again = await client.publish_bars(messages([*bars, late]))
    assert (again.duplicates, again.accepted, again.rejected) == (60, 0, 0)


async def test_stream_accepts_bars_of_many_symbols(client: AsyncClient, symbol: str) -> None:
    symbols = [f"{symbol[:-3]}{letter}COP" for letter in "ABCDE"]
    series = [walk(60, seed=n, symbol=name) for n, name in enumerate(symbols)]
    mixed = [found for together in zip(*series, strict=True) for found in together]
    response = await client.publish_bars(messages(mixed), batch_size=17)
    assert (response.warming_up, response.accepted) == (5 * 49, 5 * 11)
    for name, bars in zip(symbols, series, strict=True):
        assert await stored(client, name) == messages(reversed(bars))


async def test_empty_stream_is_accepted(stub: Any) -> None:
    assert await publish(stub) == PublishBarsResponse()


async def test_message_with_more_than_1000_bars_is_refused(stub: Any, client: AsyncClient, symbol: str) -> None:
    before = messages(walk(10, symbol=symbol))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await publish(stub, before, [good(symbol)] * 1001)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "1000" in str(caught.value.details())
    assert await stored(client, symbol) == before[::-1]
    assert (await publish(stub, before)).duplicates == len(before)


async def test_malformed_message_ends_a_stream_after_the_bars_before_it(
    service: RunningService, client: AsyncClient, symbol: str
) -> None:
    """The error has the index of the message; bars of earlier messages are stored, those of later ones are not."""
    bars = messages(walk(30, symbol=symbol))
    sent = [PublishBarsRequest(bars=bars[start : start + 5]).SerializeToString() for start in range(0, 30, 5)]
    sent[4] = sent[4][:-1]
    async with grpc.aio.insecure_channel(service.address) as channel:
        publishing: Any = channel.stream_unary("/tradingsignals.v1.MarketDataService/PublishBars", None, None)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await publishing(iter(sent), timeout=DEADLINE)
    found = from_rpc_error(caught.value)
    assert isinstance(found, tradingsignals.InvalidRequest)
    assert (found.reason, found.metadata["index"]) == ("MALFORMED_MESSAGE", "4")
    assert await stored(client, symbol) == bars[:20][::-1]


async def test_message_of_10_megabytes_is_refused(stub: Any, client: AsyncClient, symbol: str) -> None:
    sent = good(symbol)
    sent.symbol = "X" * 10_000_000
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.PublishBar(PublishBarRequest(bar=sent), timeout=DEADLINE)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await publish(stub, [sent])
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await client.publish_bar(good(symbol))).disposition == BarReceipt.WARMING_UP


async def test_rejections_in_a_response_are_limited(client: AsyncClient, symbol: str) -> None:
    broken = good(symbol)
    broken.close = -1.0
    response = await within(client.publish_bars([broken] * 1500 + [good(symbol)]))
    assert (response.received, response.rejected, response.warming_up) == (1501, 1500, 1)
    assert [rejection.index for rejection in response.rejections] == list(range(1000))


async def test_bars_of_an_interrupted_publisher_are_stored_once(stub: Any, client: AsyncClient, symbol: str) -> None:
    bars = messages(walk(500, seed=8, symbol=symbol))
    publishing = stub.PublishBars(timeout=DEADLINE)
    for start in range(0, 200, 50):
        await publishing.write(PublishBarsRequest(bars=bars[start : start + 50]))
    publishing.cancel()
    response = await client.publish_bars(bars)
    assert response.received == 500
    assert response.accepted + response.warming_up + response.duplicates == 500
    assert await stored(client, symbol) == bars[::-1]


async def test_conflicting_bar_is_refused_over_grpc_and_rest(
    client: AsyncClient, rest: httpx.AsyncClient, symbol: str
) -> None:
    first = bar(0, 4000.0, symbol=symbol)
    await client.publish_bar(message(first))
    for field, value in {"open": 3999.0, "high": 4001.0, "low": 3990.0, "volume": 1.0}.items():
        other = {**as_json(first), "low": 3999.0, field: value} if field == "open" else {**as_json(first), field: value}
        response = await rest.post("/api/market/bars", json=other)
        assert response.status_code == 409
        assert response.json()["details"][0]["metadata"]["time"] == "2024-03-04T13:00:00Z"
    with pytest.raises(tradingsignals.AlreadyExists) as caught:
        await client.publish_bar(message(bar(0, 4000.5, symbol=symbol)))
    assert caught.value.reason == "BAR_CONFLICT"
    assert caught.value.metadata["symbol"] == symbol
    assert await stored(client, symbol) == [message(first)]
