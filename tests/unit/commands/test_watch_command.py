from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from tests.support.deadlines import DEADLINE

from tradingsignals import Backoff, Event, Position, Signal
from tradingsignals.v1 import event_service_pb2 as events
from tradingsignals.v1.event_pb2 import Heartbeat, StreamError
from tradingsignals_server.commands.watch import ServiceAbsent, watch
from tradingsignals_server.domain.errors import InvalidRequest

AT = datetime(2024, 1, 2, 14, 5, tzinfo=UTC)
BUY = Signal(
    timestamp=AT,
    symbol="USDCOP",
    action=Signal.BUY,
    confidence=0.852,
    entry_price=4012.35,
    stop_loss=4001.1,
    take_profit=4029.225,
    reasoning=["Model confidence: 85.2%", "RSI oversold (28.5)", "MACD bullish cross"],
    valid_until=AT + timedelta(minutes=5),
)
HOLD = Signal(
    timestamp=AT,
    symbol="USDCOP",
    action=Signal.HOLD,
    confidence=0.5,
    entry_price=1.08345,
    simulated=True,
    reasoning=["Model confidence: 50.0%"],
)
OPENED = Position(
    symbol="USDCOP",
    action=Signal.BUY,
    entry_time=AT,
    entry_price=4012.35,
    stop_loss=4001.1,
    take_profit=4029.225,
    position_size=0.017,
    status=Position.OPEN,
)
MARKED = Position(symbol="USDCOP", action=Signal.BUY, status=Position.OPEN, bars_held=1)
CLOSED = Position(
    symbol="USDCOP",
    action=Signal.SELL,
    entry_price=4012.35,
    exit_time=AT,
    exit_price=4029.225,
    exit_reason=Position.STOP_LOSS,
    status=Position.CLOSED,
    current_pnl=-16.875,
    current_pnl_pct=-0.4206,
    r_multiple=-1.5,
    current_pnl_account=-7.15,
    bars_held=8,
)
AT_ONCE = Backoff(first_seconds=0.0, max_seconds=0.0)


def sent(first: int, *payloads: Signal | Position) -> events.StreamEventsResponse:
    made = [
        Event(sequence=number, signal=payload)
        if isinstance(payload, Signal)
        else Event(sequence=number, position_update=payload)
        for number, payload in enumerate(payloads, first)
    ]
    return events.StreamEventsResponse(events=made, through_sequence=made[-1].sequence)


async def watch_until(script: Any, screen: Any, reached: Coroutine[Any, Any, Any], **options: Any) -> None:
    """Run `watch` until `reached` returns, then stop it as Ctrl-C does; fail if it ends earlier."""
    watching = asyncio.create_task(watch(script.address, console=screen.console, **options))
    reaching = asyncio.create_task(reached)
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait((watching, reaching), return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        reaching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching


async def test_events_are_printed_as_lines(script: Any, screen: Any) -> None:
    script.streams = [([sent(1, BUY, OPENED, MARKED, HOLD, CLOSED)], script.fine)]
    await watch_until(script, screen, screen.shows("on the account"), what="all")
    assert screen.lines == [
        f"signals and positions of all symbols at {script.address}",
        "TIME (UTC)        SYMBOL             CONF       ENTRY        STOP      TARGET  UNTIL   WHY",
        "2024-01-02 14:05  USDCOP    BUY     85.2%    4,012.35    4,001.10    4,029.22  14:10   "
        "RSI oversold (28.5); MACD bullish cross",
        "2024-01-02 14:05  USDCOP    LONG             4,012.35    4,001.10    4,029.22          "
        "opened with 1.70% of equity",
        "simulated: the market or the predictions are made up, not for real money",
        "2024-01-02 14:05  USDCOP    HOLD    50.0%     1.08345                                  "
        "Model confidence: 50.0%",
        "2024-01-02 14:05  USDCOP    LOSS             4,012.35                                  "
        "short closed at 4,029.22 by stop loss: -16.88, -0.42%, -1.50 R, -7.15 on the account",
    ]


@pytest.mark.parametrize(
    ("after", "shown"),
    [
        (timedelta(0), "4,029.22  never   RSI oversold"),
        (timedelta(minutes=5), "4,029.22  14:10   RSI oversold"),
        (timedelta(hours=18), "4,029.22  08:05+  RSI oversold"),
        (None, "4,029.22          RSI oversold"),
    ],
)
async def test_signal_shows_until_when_it_is_valid(
    script: Any, screen: Any, after: timedelta | None, shown: str
) -> None:
    made = Signal()
    made.CopyFrom(BUY)
    made.ClearField("valid_until")
    if after is not None:
        made.valid_until.FromDatetime(AT + after)
    script.streams = [([sent(1, made)], script.fine)]
    await watch_until(script, screen, screen.shows("MACD bullish cross"))
    assert shown in screen.lines[-1]


@pytest.mark.parametrize(
    ("entry", "exit_", "pnl", "shown"),
    [
        (0.00001234, 0.00001230, -4e-8, ("0.000012340", "0.000012300", "-0.000000040")),
        (0.0843, 0.0843, 0.0, ("0.084300", "0.084300", "+0.000000")),
        (1.1, 1.1001, 0.0001, ("1.10000", "1.10010", "+0.00010")),
        (4012.35, 4012.35, -0.001, ("4,012.35", "4,012.35", "+0.00")),
        (1e12, 1e12, 0.0, ("1,000,000,000,000.00", "1,000,000,000,000.00", "+0.00")),
    ],
)
async def test_decimals_depend_on_the_price_and_zero_has_no_minus(
    script: Any, screen: Any, entry: float, exit_: float, pnl: float, shown: tuple[str, str, str]
) -> None:
    ended = Position()
    ended.CopyFrom(CLOSED)
    ended.entry_price, ended.exit_price, ended.current_pnl = entry, exit_, pnl
    ended.current_pnl_pct = ended.r_multiple = ended.current_pnl_account = -0.0001
    script.streams = [([sent(1, ended)], script.fine)]
    await watch_until(script, screen, screen.shows("on the account"), what="all")
    line = screen.lines[-1]
    assert shown[0] in line
    assert f"closed at {shown[1]} by stop loss: {shown[2]}, +0.00%, +0.00 R, +0.00 on the account" in line


@pytest.mark.parametrize(
    ("what", "kinds"),
    [
        ("signals", [Event.SIGNAL]),
        ("positions", [Event.POSITION_UPDATE]),
        ("all", [Event.SIGNAL, Event.POSITION_UPDATE]),
    ],
)
async def test_kind_and_symbols_select_the_events(script: Any, screen: Any, what: str, kinds: list[Any]) -> None:
    script.through_sequence = 41
    await watch_until(script, screen, script.idle.wait(), what=what, symbols=["USD/COP", "EURCOP"])
    filters: dict[str, Any] = {"symbols": ["USDCOP", "EURCOP"], "kinds": kinds}
    assert script.followed == [events.StreamEventsRequest(**filters, resume_after=41, heartbeat_seconds=15)]


@pytest.mark.parametrize(
    "how",
    [
        (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"),
        (grpc.StatusCode.INTERNAL, ""),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    ],
)
async def test_broken_stream_is_resumed(script: Any, screen: Any, how: tuple[grpc.StatusCode, str]) -> None:
    code, reason = how
    heartbeat = Event(sequence=9, heartbeat=Heartbeat())
    last = Event(sequence=9, error=StreamError(reason=reason, message="it broke", retryable=True))
    broken = script.broken(code, reason)
    script.streams = [
        ([sent(3, BUY), events.StreamEventsResponse(events=[heartbeat], through_sequence=9)], broken),
        ([events.StreamEventsResponse(events=[last], through_sequence=9)], broken),
        ([sent(12, BUY)], broken),
    ]
    await watch_until(script, screen, screen.shows("following again", 3), backoff=AT_ONCE)
    assert [request.resume_after for request in script.followed] == [0, 9, 9, 12]
    assert [line for line in screen.lines if "gone away" in line] == [
        f"{script.address} has gone away ({reason or code.name}: it broke); trying again"
    ] * 3
    assert screen.lines.count("following again") == 3
    assert sum("BUY" in line for line in screen.lines) == 2


async def test_outage_is_reported_once(script: Any, screen: Any) -> None:
    refusal: Any = ([], script.broken())
    script.streams = [([sent(1, BUY)], script.broken()), refusal, refusal, refusal]
    script.epoch = ""  # so that a stream is only known to be one by what comes on it
    await watch_until(script, screen, script.idle.wait(), backoff=AT_ONCE)
    assert [request.resume_after for request in script.followed] == [0, 1, 1, 1, 1]
    assert sum("gone away" in line for line in screen.lines) == 1


@pytest.mark.parametrize(
    ("intervals", "shown"),
    [({}, ""), ({"*": "5m"}, ", bars of 5m"), ({"BTCUSDT": "1h", "*": "5m"}, ", bars of BTCUSDT=1h,*=5m")],
)
async def test_title_states_the_intervals_of_the_bars(
    script: Any, screen: Any, intervals: dict[str, str], shown: str
) -> None:
    script.intervals = intervals
    script.streams = [([sent(1, BUY)], script.fine)]
    await watch_until(script, screen, screen.shows("BUY"))
    assert screen.lines[0] == f"signals of all symbols at {script.address}{shown}"


async def test_new_epoch_is_followed_from_its_beginning(script: Any, screen: Any) -> None:
    unknown = script.broken(grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_UNKNOWN", epoch="of-a-new-database")
    script.epoch = "of-the-old-one"

    async def replaced(context: Any) -> None:
        script.epoch = "of-a-new-database"
        await unknown(context)

    script.streams = [([sent(5, BUY)], script.broken()), ([], replaced)]
    await watch_until(script, screen, script.idle.wait(), backoff=AT_ONCE)
    assert [request.resume_after for request in script.followed] == [0, 5, 0]
    warning = "the database is a new one (epoch of-a-new-database); following it from its beginning"
    assert screen.lines.count(warning) == 1


async def test_restored_database_is_followed_from_its_beginning(script: Any, screen: Any) -> None:
    unknown = script.broken(grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_UNKNOWN", epoch="the-same")
    script.epoch = "the-same"
    script.streams = [([sent(5, BUY)], script.broken()), ([], unknown)]
    await watch_until(script, screen, script.idle.wait(), backoff=AT_ONCE)
    assert [request.resume_after for request in script.followed] == [0, 5, 0]
    assert "the database was set back to an older state; following it from its beginning" in screen.lines


async def test_pruned_events_are_reported(script: Any, screen: Any) -> None:
    pruned = script.broken(grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_PRUNED", oldest_sequence="1201")
    script.streams = [([sent(5, BUY)], script.broken()), ([], pruned)]
    await watch_until(script, screen, script.idle.wait(), backoff=AT_ONCE)
    assert [request.resume_after for request in script.followed] == [0, 5, 1200]
    assert "events 6 to 1,200 are no longer kept; going on after them" in screen.lines


async def test_lines_on_a_terminal_are_coloured_and_cut_to_its_width(script: Any, terminal: Any) -> None:
    screen = terminal(98)
    script.streams = [([sent(1, BUY)], script.fine)]
    await watch_until(script, screen, screen.shows("BUY"))
    (line,) = [line for line in screen.lines if "BUY" in line]
    assert "\x1b[1;32mBUY" in line
    assert "RSI over" in line
    assert "cross" not in line


async def test_unreachable_service_fails_in_one_line(screen: Any) -> None:
    with pytest.raises(ServiceAbsent, match=r"no service responds at 127.0.0.1:1; `tradingsignals up` starts one"):
        await watch("127.0.0.1:1", console=screen.console)
    assert screen.lines == []


async def test_invalid_symbol_is_refused(script: Any, screen: Any) -> None:
    with pytest.raises(InvalidRequest, match="such as USDCOP"):
        await watch(script.address, symbols=["usd cop"], console=screen.console)
    assert script.followed == []
