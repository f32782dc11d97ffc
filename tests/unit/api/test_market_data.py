"""Publishing bars: one is stored or refused; those of a stream are counted, and invalid ones lose no others."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from datetime import UTC

import pytest
from tests.support.builders import NOW, bar, walk
from tests.support.memory_outcomes import MemoryOutcomes
from tests.support.memory_store import Fault
from tests.support.running import Running, always, running_engine, started

from tradingsignals.v1 import bar_pb2, signal_pb2
from tradingsignals.v1 import market_data_service_pb2 as pb
from tradingsignals_server.api.mapping import from_proto, to_proto
from tradingsignals_server.api.mapping.validation import messages_of
from tradingsignals_server.api.services.market_data import MarketDataServicer
from tradingsignals_server.application.queries import Queries
from tradingsignals_server.domain.errors import (
    BarConflict,
    InvalidBar,
    InvalidRequest,
    MalformedMessage,
    ShuttingDown,
    StorageUnavailable,
)
from tradingsignals_server.domain.intervals import default_interval
from tradingsignals_server.domain.signals import Action

WALK = walk(60)


def servicer_of(running: Running) -> MarketDataServicer:
    return MarketDataServicer(
        running.engine, Queries(running.store, running.log_tail, MemoryOutcomes()), default_interval
    )


def messages(count: int, start: int = 0) -> list[bar_pb2.Bar]:
    return [to_proto.bar_message(one) for one in WALK[start : start + count]]


async def stream(*calls: Sequence[bar_pb2.Bar]) -> AsyncIterator[pb.PublishBarsRequest]:
    for bars in calls:
        yield pb.PublishBarsRequest(bars=bars)


async def test_published_bar_returns_its_receipt() -> None:
    async with running_engine() as running:
        response = await servicer_of(running).publish_bar(pb.PublishBarRequest(bar=messages(1)[0]))
        assert response.receipt.disposition == bar_pb2.BarReceipt.WARMING_UP
        assert response.receipt.through_sequence == 1


async def test_invalid_bar_is_refused_with_its_fields_below_bar() -> None:
    async with running_engine() as running:
        servicer = servicer_of(running)
        with pytest.raises(InvalidRequest, match="bar: is required"):
            await servicer.publish_bar(pb.PublishBarRequest())
        broken = messages(1)[0]
        broken.high = math.nan
        with pytest.raises(InvalidBar) as caught:
            await servicer.publish_bar(pb.PublishBarRequest(bar=broken))
        assert [violation.field for violation in caught.value.violations] == ["bar.high"]
        unfinished = to_proto.bar_message(bar(NOW))
        with pytest.raises(InvalidBar, match="in the future"):
            await servicer.publish_bar(pb.PublishBarRequest(bar=unfinished))
        await servicer.publish_bar(pb.PublishBarRequest(bar=messages(1)[0]))
        other = messages(1)[0]
        other.volume = 3.0
        with pytest.raises(BarConflict):
            await servicer.publish_bar(pb.PublishBarRequest(bar=other))


async def test_bars_of_a_stream_are_counted_by_result() -> None:
    first, second = messages(55), messages(3, start=57)
    night = to_proto.bar_message(bar(100, 4000.0))
    conflict = messages(1)[0]
    conflict.volume = 3.0
    async with running_engine() as running:
        response = await servicer_of(running).publish_bars(
            stream(first, [*second, night, *messages(2, start=55), *first[:4], conflict])
        )
        assert response == pb.PublishBarsResponse(
            received=66,
            accepted=9,
            warming_up=49,
            outside_session=1,
            late=2,
            duplicates=4,
            rejected=1,
            rejections=response.rejections,
            through_sequence=len(running.store.events),
        )
        assert [(one.index, one.reason) for one in response.rejections] == [(65, "BAR_CONFLICT")]


async def test_rejections_have_the_index_in_the_whole_stream() -> None:
    sent = messages(9)
    sent[1].close = math.inf
    sent[4].symbol = "?"
    sent[8].ClearField("time")
    sent.append(to_proto.bar_message(bar(NOW)))
    sent.append(messages(1)[0])
    sent[10].volume = 3.0
    async with running_engine() as running:
        response = await servicer_of(running).publish_bars(stream(sent[:3], sent[3:5], [], sent[5:]))
        assert (response.received, response.warming_up, response.rejected) == (11, 6, 5)
        assert [(one.index, one.reason) for one in response.rejections] == [
            (1, "INVALID_BAR"),
            (4, "INVALID_BAR"),
            (8, "INVALID_BAR"),
            (9, "INVALID_BAR"),
            (10, "BAR_CONFLICT"),
        ]
        assert len(running.store.market_updates()) == 6


async def test_rejections_come_in_the_order_of_the_stream() -> None:
    """A conflict is found later than an invalid bar, even if it was sent earlier."""
    conflict = messages(1)[0]
    conflict.volume = 3.0
    async with running_engine() as running:
        await running.publish(WALK[:1])
        response = await servicer_of(running).publish_bars(stream([conflict], [bar_pb2.Bar()], [conflict]))
        assert [(one.index, one.reason) for one in response.rejections] == [
            (0, "BAR_CONFLICT"),
            (1, "INVALID_BAR"),
            (2, "BAR_CONFLICT"),
        ]


async def test_first_rejections_are_returned_and_all_are_counted() -> None:
    conflict, broken = messages(1)[0], bar_pb2.Bar(symbol="?")
    conflict.volume = 3.0
    async with running_engine() as running:
        await running.publish(WALK[:1])
        response = await servicer_of(running).publish_bars(stream([conflict] * 5, [broken] * 1000))
        assert (response.rejected, len(response.rejections)) == (1005, 1000)
        assert [one.index for one in response.rejections] == list(range(1000))


async def test_empty_stream_is_accepted() -> None:
    async with running_engine() as running:
        assert await servicer_of(running).publish_bars(stream()) == pb.PublishBarsResponse()


async def test_rejections_in_a_response_are_limited_across_messages() -> None:
    broken = bar_pb2.Bar(symbol="?")
    async with running_engine() as running:
        response = await servicer_of(running).publish_bars(stream([broken] * 1000, [broken] * 7))
        assert (response.received, response.rejected, len(response.rejections)) == (1007, 1007, 1000)
        assert [one.index for one in response.rejections] == list(range(1000))


async def test_message_with_more_than_1000_bars_is_refused() -> None:
    async with running_engine() as running:
        with pytest.raises(InvalidRequest, match="at most 1000"):
            await servicer_of(running).publish_bars(stream([bar_pb2.Bar()] * 1001))


@pytest.mark.parametrize("behind", [1, 4, 9])
async def test_invalid_message_loses_no_bars_before_it(behind: int) -> None:
    sent = [pb.PublishBarsRequest(bars=messages(3, start=3 * n)).SerializeToString() for n in range(behind)]
    never = pb.PublishBarsRequest(bars=messages(1, start=40)).SerializeToString()

    async def raw() -> AsyncIterator[bytes]:
        for one in (*sent, b"\xff\xff", never):
            yield one

    async with running_engine() as running:
        with pytest.raises(MalformedMessage) as caught:
            await servicer_of(running).publish_bars(messages_of(pb.PublishBarsRequest.FromString, raw()))
        assert caught.value.metadata == {"index": str(behind)}
        assert len(running.store.market_updates()) == 3 * behind, (
            "all of them, by the time that the caller has the response"
        )
        too_long = [bar_pb2.Bar()] * 1001
        with pytest.raises(InvalidRequest, match="at most 1000"):
            await servicer_of(running).publish_bars(stream(messages(2, start=50), too_long))
        assert len(running.store.market_updates()) == 3 * behind + 2


async def test_storage_error_precedes_the_error_of_a_later_message() -> None:
    """The stream can be repeated; the invalid message is found again then."""
    async with running_engine() as running:
        running.store.faults.append(Fault.BEFORE)
        with pytest.raises(StorageUnavailable):
            await servicer_of(running).publish_bars(stream(messages(3), [bar_pb2.Bar()] * 1001))


async def test_stream_that_was_not_stored_can_be_repeated() -> None:
    async with running_engine() as running:
        running.store.faults.append(Fault.BEFORE)
        with pytest.raises(StorageUnavailable):
            await servicer_of(running).publish_bars(stream(messages(3)))
        response = await servicer_of(running).publish_bars(stream(messages(3)))
        assert (response.received, response.warming_up) == (3, 3)


async def test_later_messages_of_a_stream_do_not_overtake_a_failure() -> None:
    """Otherwise the bars that failed would be late when they are repeated, and would get no signals."""
    async with running_engine() as running:
        running.store.faults.append(Fault.BEFORE)

        async def one_after_the_other() -> AsyncIterator[pb.PublishBarsRequest]:
            yield pb.PublishBarsRequest(bars=messages(2))
            await running.store.committing.wait()
            await started()
            yield pb.PublishBarsRequest(bars=messages(2, start=2))

        with pytest.raises(StorageUnavailable):
            await servicer_of(running).publish_bars(one_after_the_other())
    assert running.store.events == [], "not even later"


async def test_stopped_server_refuses_a_stream() -> None:
    async with running_engine() as running:
        await running.engine.stop()
        with pytest.raises(ShuttingDown):
            await servicer_of(running).publish_bars(stream(messages(3)))


@pytest.mark.parametrize("limit", [0, 1001, -1])
async def test_page_size_outside_its_bounds_is_refused(limit: int) -> None:
    async with running_engine() as running:
        with pytest.raises(InvalidRequest, match="limit"):
            await servicer_of(running).list_bars(pb.ListBarsRequest(limit=limit))


async def test_bars_are_listed_newest_first() -> None:
    async with running_engine() as running:
        await running.publish(WALK[:5])
        servicer = servicer_of(running)
        first = await servicer.list_bars(pb.ListBarsRequest(limit=3))
        rest = await servicer.list_bars(pb.ListBarsRequest(limit=3, page_token=first.next_page_token))
        assert [from_proto.bar_of(one, default_interval) for one in (*first.bars, *rest.bars)] == WALK[:5][::-1]
        assert (first.count, rest.count, rest.next_page_token) == (3, 2, "")
        assert (await servicer.list_bars(pb.ListBarsRequest(symbol="EURUSD"))).count == 0


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListSymbolsRequest(limit=0), "limit"),
        (pb.ListSymbolsRequest(closes=101), "closes"),
        (pb.ListSymbolsRequest(symbols=["USDCOP", "no symbol"]), r"symbols\[1\]"),
        (pb.ListSymbolsRequest(page_token="AAAA"), "page_token"),  # noqa: S106 - it is no secret
    ],
)
async def test_list_of_symbols_outside_its_bounds_is_refused(request_: pb.ListSymbolsRequest, field: str) -> None:
    async with running_engine() as running:
        with pytest.raises(InvalidRequest, match=field):
            await servicer_of(running).list_symbols(request_)


async def test_symbols_are_listed_with_bar_signal_and_position() -> None:
    opened = WALK[:56]  # before the session ends
    async with running_engine(policy=always(Action.BUY)) as running:
        await running.publish([*opened, bar(3, symbol="EURUSD")])
        listed = await servicer_of(running).list_symbols(pb.ListSymbolsRequest(closes=5))
        assert (listed.count, listed.next_page_token) == (2, "")
        assert listed.through_sequence == len(running.store.entries)
        euro, cop = listed.symbols
        assert (cop.interval, cop.last_close, list(cop.closes)) == (
            "5m",
            opened[-1].close,
            [b.close for b in opened[-5:]],
        )
        assert cop.last_bar_time.ToDatetime(UTC) == opened[-1].time
        made = running.store.signals()[-1]
        assert (cop.latest_signal.signal_id, cop.latest_signal.action) == (str(made.signal_id), signal_pb2.Signal.BUY)
        assert cop.latest_signal.bar_time.ToDatetime(UTC) == opened[-1].time
        (held,) = [one for one in running.store.positions() if one.is_open]
        assert (cop.open_position.position_id, cop.open_position.current_pnl_pct) == (
            str(held.position_id),
            held.pnl_pct,
        )
        assert not euro.HasField("latest_signal")
        assert not euro.HasField("open_position")
        assert (euro.symbol, euro.last_close, list(euro.closes)) == ("EURUSD", bar(3).close, [bar(3).close])


async def test_page_of_symbols_continues_the_same_list_only() -> None:
    async with running_engine() as running:
        await running.publish([bar(0, symbol=symbol) for symbol in ("EURUSD", "GBPUSD", "USDCOP")])
        servicer = servicer_of(running)
        first = await servicer.list_symbols(pb.ListSymbolsRequest(limit=2))
        rest = await servicer.list_symbols(pb.ListSymbolsRequest(limit=2, page_token=first.next_page_token))
        assert [[found.symbol for found in page.symbols] for page in (first, rest)] == [
            ["EURUSD", "GBPUSD"],
            ["USDCOP"],
        ]
        assert (list(first.symbols[0].closes), rest.next_page_token) == ([], "")
        for other in ({"symbols": ["USDCOP"]}, {"page_token": first.next_page_token[:-2]}):
            request = pb.ListSymbolsRequest(limit=2, **{"page_token": first.next_page_token, **other})  # type: ignore[arg-type]
            with pytest.raises(InvalidRequest, match="page_token"):
                await servicer.list_symbols(request)
