"""`tradingsignals watch`: follow a running service in the terminal, across its restarts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console

import tradingsignals
from tradingsignals import Backoff, Connected, Disconnected, Event, Notice, Skipped, StartedOver
from tradingsignals.v1.system_service_pb2 import GetServiceInfoResponse

from ..domain.symbols import parse_symbol
from .api_key import api_key, credentials
from .table import EventTable

_KINDS: dict[str, tuple[Event.Kind, ...]] = {
    "signals": (Event.SIGNAL,),
    "positions": (Event.POSITION_UPDATE,),
    "all": (Event.SIGNAL, Event.POSITION_UPDATE),
}
_TITLES = {"signals": "signals", "positions": "positions", "all": "signals and positions"}


class ServiceAbsent(Exception):
    """No service is reachable. The message is one line."""


async def watch(
    address: str,
    *,
    symbols: Sequence[str] = (),
    what: str = "signals",
    console: Console | None = None,
    backoff: Backoff | None = None,
) -> int:
    """Print the events of the service at `address` until cancelled.

    A stream that breaks is resumed where it ended, with retries without a limit.

    Args:
        address: host and port.
        symbols: symbols to follow; all if empty.
        what: "signals", "positions" as they open and close, or "all".
        console: where to print; default: standard output.
        backoff: pauses between retries.

    Raises:
        ServiceAbsent: the service is not reachable at the start.
        InvalidRequest: a symbol is not valid.
        TradingSignalsError: the service refuses the call.
    """
    symbols = [parse_symbol(symbol) for symbol in symbols]
    table = EventTable(console or Console())
    async with tradingsignals.connect(address, api_key=api_key(), credentials=credentials()) as client:
        try:
            info = await client.service_info()
        except tradingsignals.Unavailable as error:
            raise ServiceAbsent(f"no service responds at {address}; `tradingsignals up` starts one") from error
        table.head(f"{_TITLES[what]} of {', '.join(symbols) or 'all symbols'} at {address}{_bars_of(info)}")
        follower = client.follow(
            symbols=symbols,
            kinds=_KINDS[what],
            resume_after=info.through_sequence,
            epoch=info.epoch or None,
            on_new_epoch="start_over",
            on_pruned="skip",
            backoff=backoff or Backoff(),
            notify=_notice_printer(table, address),
        )
        async with follower:
            async for event in follower:
                table.show(event)
    raise AssertionError("a follower has no end")


def _bars_of(info: GetServiceInfoResponse) -> str:
    """Return the intervals of the bars as the title shows them; nothing if the service is older and does not say."""
    *named, every_other = [(item.symbol, item.interval) for item in info.bar_intervals] or [("", "")]
    shown = ",".join(f"{symbol}={interval}" for symbol, interval in (*named, every_other)) if named else every_other[1]
    return f", bars of {shown}" if shown else ""


def _notice_printer(table: EventTable, address: str) -> Callable[[Notice], None]:
    """Return a function that prints notices of the follower; of each outage it prints the begin and the end."""
    lost = False

    def print_notice(notice: Notice) -> None:
        nonlocal lost
        match notice:
            case Disconnected(attempt=1):
                lost = True
                table.remark(f"{address} has gone away ({notice.error}); trying again")
            case Connected() if lost:
                lost = False
                table.remark("following again")
            case StartedOver(old_epoch, epoch) if old_epoch == epoch:
                table.remark("the database was set back to an older state; following it from its beginning")
            case StartedOver():
                table.remark(f"the database is a new one (epoch {notice.epoch}); following it from its beginning")
            case Skipped():
                first, last = notice.sequence + 1, notice.oldest_sequence - 1
                table.remark(f"events {first:,} to {last:,} are no longer kept; going on after them")

    return print_notice
