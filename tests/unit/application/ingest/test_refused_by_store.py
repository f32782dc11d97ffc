"""A batch that the store refuses is divided: only the invalid item is refused, and the others are stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.builders import walk
from tests.support.memory_store import MemoryStore
from tests.support.running import Running, commit_held_up, dispositions, running_engine, started

from tradingsignals_server.application.decision.quotes import Quote
from tradingsignals_server.application.ingest import writer as writer_module
from tradingsignals_server.application.ports.event_log import LogEntry
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import NotStorable
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate
from tradingsignals_server.domain.signals import Origin, Signal

WARMING_UP = Disposition.WARMING_UP
SYMBOLS = [f"S{n}COP" for n in range(8)]
WALKS = {symbol: walk(40, seed=n, symbol=symbol) for n, symbol in enumerate(SYMBOLS)}


def refuse_bars(running: Running, *bars: Bar) -> None:
    """Make the store refuse every commit that contains one of these bars."""
    keys = {(bar.symbol, bar.time) for bar in bars}

    def refuses(event: Event) -> bool:
        return isinstance(event, MarketUpdate) and (event.bar.symbol, event.bar.time) in keys

    running.store.refuses = refuses


async def test_one_refused_bar_is_reported_alone_and_the_others_are_stored() -> None:
    async with running_engine() as running:
        bars = WALKS["S0COP"]
        refuse_bars(running, bars[7])
        results = await running.engine.publish(bars)
        assert dispositions(results) == [WARMING_UP] * 7 + ["NOT_STORABLE"] + [WARMING_UP] * 32
        assert [update.bar for update in running.store.market_updates()] == [*bars[:7], *bars[8:]]
        assert running.engine.commits.failed_at is None, "the database works"


async def test_later_bars_of_the_publisher_of_a_refused_bar_are_stored() -> None:
    async with running_engine() as running:
        bars = walk(200)
        refuse_bars(running, bars[3])
        results = await running.engine.publish(bars)
        assert dispositions(results).count("NOT_STORABLE") == 1
        assert len(running.store.market_updates()) == 199


async def test_refused_call_does_not_affect_commands_that_share_its_commit() -> None:
    async with running_engine() as running:
        await running.publish(WALKS["S0COP"])
        running.store.refuses = lambda event: isinstance(event, Signal) and event.origin is Origin.REQUEST
        async with commit_held_up(running, WALKS["S1COP"][0]) as first:
            before, refused, after = await started(
                running.engine.publish(WALKS["S2COP"]),
                running.engine.generate("S0COP", Quote(4000.0)),
                running.engine.publish(WALKS["S3COP"]),
            )
        with pytest.raises(NotStorable):
            await refused
        for task in (first, before, after):
            assert set(dispositions(await task)) == {WARMING_UP}  # type: ignore[arg-type]


async def test_commands_staged_on_and_queued_behind_a_refused_batch_are_processed() -> None:
    async with running_engine() as running:
        first_bar = WALKS["S0COP"][0]
        refuse_bars(running, first_bar)
        async with commit_held_up(running, first_bar) as first:
            rest = await started(*(running.engine.publish(WALKS[symbol]) for symbol in SYMBOLS[1:]))
        assert dispositions(await first) == ["NOT_STORABLE"]
        for task in rest:
            assert set(dispositions(await task)) == {WARMING_UP}


async def test_stopping_engine_divides_a_refused_batch_first() -> None:
    async with running_engine() as running:
        bars = WALKS["S0COP"]
        refuse_bars(running, bars[0])
        async with commit_held_up(running, bars[0]) as first:
            (waiting,) = await started(running.engine.publish(bars[1:3]))
            await running.engine.stop()
        await running.writer
        assert dispositions([*await first, *await waiting]) == ["NOT_STORABLE", WARMING_UP, WARMING_UP]


@settings(max_examples=30)
@given(
    refused=st.sets(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 39)), max_size=6),
    size=st.integers(1, 40),
)
@pytest.mark.slow
async def test_exactly_the_refused_bars_are_missing(refused: set[tuple[str, int]], size: int) -> None:
    async with running_engine() as running:
        refuse_bars(running, *(WALKS[symbol][n] for symbol, n in refused))
        for at in range(0, 40, size):
            calls = await asyncio.gather(*(running.engine.publish(WALKS[symbol][at : at + size]) for symbol in SYMBOLS))
            for symbol, results in zip(SYMBOLS, calls, strict=True):
                for n, result in enumerate(dispositions(results), at):
                    assert result == ("NOT_STORABLE" if (symbol, n) in refused else WARMING_UP)
        assert len(running.store.market_updates()) == 8 * 40 - len(refused)


class SlowStore(MemoryStore):
    """A store whose commits take a number of turns of the event loop."""

    turns = 0

    async def commit(self, events: Sequence[Event], at: datetime, **others: Any) -> Sequence[LogEntry]:
        """See Store."""
        for _ in range(self.turns):
            await asyncio.sleep(0)
        return await super().commit(events, at, **others)


@pytest.mark.parametrize("turns", range(12))
async def test_commands_behind_a_refused_one_are_processed_once_and_in_order(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused commit ends at each point of the staging of what lies on top of it."""
    monkeypatch.setattr(writer_module, "BARS_BETWEEN_YIELDS", 1)
    store, quoted, bars = SlowStore(), WALKS["S0COP"], WALKS["S1COP"]
    async with running_engine(store) as running:
        await running.publish(quoted)
        refuse_bars(running, WALKS["S2COP"][0], WALKS["S3COP"][0])
        store.turns = turns
        tasks, asking = [], []
        for refused, at in (("S2COP", 0), ("S3COP", 4), ("S2COP", 8)):
            publishing = (running.engine.publish([bar]) for bar in bars[at : at + 4])
            tasks += await started(running.engine.publish([WALKS[refused][0]]), *publishing)
            asking += await started(*(running.engine.generate("S0COP", Quote(quoted[-1].close)) for _ in range(6)))
        assert len(set(await asyncio.gather(*asking))) == 18
        results = dispositions([one for found in await asyncio.gather(*tasks) for one in found])
        assert results == (["NOT_STORABLE"] + [WARMING_UP] * 4) * 3
        assert [update.bar for update in store.market_updates("S1COP")] == list(bars[:12])
        assert len([made for made in store.signals() if made.origin is Origin.REQUEST]) == 18
