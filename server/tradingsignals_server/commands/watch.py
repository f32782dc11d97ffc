"""`tradingsignals watch`: follows a running service in the terminal, through its restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rich.console import Console

import tradingsignals
from tradingsignals import Event, OutOfRange, TemporaryError

from ..adapters.feeds.delivery import pauses
from ..application.ports import Sleep
from ..domain.bars import parse_symbol
from .table import EventTable

_KINDS: dict[str, tuple[Event.Kind, ...]] = {
    "signals": (Event.SIGNAL,),
    "positions": (Event.POSITION_UPDATE,),
    "all": (Event.SIGNAL, Event.POSITION_UPDATE),
}
_TITLES = {"signals": "signals", "positions": "positions", "all": "signals and positions"}


class ServiceAbsent(Exception):
    """No service answers. The message is one line."""


async def watch(
    address: str,
    *,
    symbols: Sequence[str] = (),
    what: str = "signals",
    console: Console | None = None,
    sleep: Sleep = asyncio.sleep,
) -> int:
    """Print what happens at `address` until cancelled: "signals", "positions" as they open and close, or "all".

    A stream that breaks is taken up again where it ended, however long that takes.

    Raises:
        ServiceAbsent: nothing answers at the beginning.
        InvalidRequest: a symbol is none.
        TradingSignalsError: the service refuses the call.
    """
    wanted = [parse_symbol(symbol) for symbol in symbols]
    table = EventTable(console or Console())
    async with tradingsignals.connect(address) as client:
        try:
            resume_after: int | None = (await client.service_info()).through_sequence
        except tradingsignals.Unavailable as error:
            raise ServiceAbsent(f"no service answers at {address}; `tradingsignals up` starts one") from error
        table.head(f"{_TITLES[what]} of {', '.join(wanted) or 'all symbols'} at {address}")
        broken = False
        pause = pauses()
        while True:
            stream = client.stream_events(symbols=wanted, kinds=_KINDS[what], resume_after=resume_after)
            try:
                async with stream:
                    if broken:
                        table.remark("following again")
                        broken, pause = False, pauses()
                    async for event in stream:
                        table.show(event)
                why = "the stream ended"
            except TemporaryError as error:
                why = str(error)
            except OutOfRange as error:
                table.remark(f"what happened meanwhile cannot be had any more ({error}); following from now on")
                resume_after = None
                continue
            if stream.through_sequence is not None:
                resume_after = stream.through_sequence
            if not broken:
                table.remark(f"{address} has gone away ({why}); trying again")
            broken = True
            await sleep(next(pause))
