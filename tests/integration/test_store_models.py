"""What every store promises of recurrent states and of shadow policies. See application.ports.Store."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import asyncpg
import numpy as np
import pytest
from tests.support.builders import NOW, bar, position, signal

from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.application.ports.store import RecurrentCheckpoint, ShadowEvent, ShadowScore, StaleState
from tradingsignals_server.domain.events import Disposition, EventKind, MarketUpdate
from tradingsignals_server.domain.positions import Exit, ExitReason, Position, close
from tradingsignals_server.domain.recurrent_state import RecurrentState
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Signal

RULES = RiskRules()
ODD = np.array([[[0.1, -0.0], [1e-45, 3.4e38]], [[-2.5, 7.0], [1 / 3, -1e-20]]], dtype=np.float32)
"""Two layers of two: numbers that a careless round trip would change."""


def carried(
    number: int = 0, policy: str = "v1@ab", symbol: str = "USDCOP", *, shadow: bool = False
) -> RecurrentCheckpoint:
    before, after = RecurrentState(ODD * np.float32(0.5)), RecurrentState(ODD)
    return RecurrentCheckpoint(symbol, policy, shadow, bar(number).time, before, after)


def decided(name: int, action: Action = Action.HOLD, symbol: str = "USDCOP") -> Signal:
    """A shadow's decision on the bar of that number."""
    return replace(signal(action, name=name, symbol=symbol), bar_time=bar(name).time)


def held(name: int, symbol: str = "USDCOP") -> Position:
    return replace(position(), position_id=UUID(int=1000 + name), signal_id=UUID(int=name), symbol=symbol)


def ended(opened: Position, price: float) -> Position:
    return close(opened, Exit(NOW, price, ExitReason.MANUAL), RULES)


def update(number: int) -> MarketUpdate:
    return MarketUpdate(bar(number), Disposition.ACCEPTED)


class TestRecurrentStates:
    async def test_a_state_comes_back_to_the_bit(self, store: PostgresStore) -> None:
        await store.commit([update(0)], NOW, checkpoints=[carried()])
        found = (await store.load_symbol("USDCOP", 1, "v1@ab", None)).live.checkpoint
        assert found == carried()
        assert found is not None
        assert found.after.values.tobytes() == ODD.tobytes()

    async def test_there_is_one_for_each_symbol_and_policy_and_it_is_the_newest(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        both = [carried(), carried(policy="v2@cd"), carried(symbol="EURUSD")]
        await store.commit([update(0)], NOW, checkpoints=both)
        await store.commit([update(1)], NOW, checkpoints=[carried(1)])
        assert await sql.fetchval("SELECT count(*) FROM recurrent_states") == 3
        assert (await store.load_symbol("USDCOP", 1, "v1@ab", None)).live.checkpoint == carried(1)
        assert (await store.load_symbol("USDCOP", 1, "v2@cd", None)).live.checkpoint == carried(policy="v2@cd")
        assert (await store.load_symbol("USDCOP", 1, "v3@ef", None)).live.checkpoint is None

    async def test_the_same_policy_may_be_live_and_shadow(self, store: PostgresStore) -> None:
        mine, its = carried(), replace(carried(shadow=True), after=carried().before)
        await store.commit([update(0)], NOW, checkpoints=[mine, its])
        found = await store.load_symbol("USDCOP", 1, "v1@ab", "v1@ab")
        assert found.shadow is not None
        assert (found.live.checkpoint, found.shadow.checkpoint) == (mine, its)

    async def test_it_is_stored_with_its_bar_or_not_at_all(self, store: PostgresStore) -> None:
        await store.commit([update(0)], NOW, checkpoints=[carried()])
        with pytest.raises(StaleState):
            await store.commit([update(0)], NOW, checkpoints=[carried(1)])
        assert (await store.load_symbol("USDCOP", 1, "v1@ab", None)).live.checkpoint == carried()


class TestShadows:
    async def test_it_has_a_book_of_its_own(self, store: PostgresStore) -> None:
        opened, other = held(1), held(2)
        shadowed: list[Signal | Position] = [
            decided(1, Action.BUY),
            opened,
            decided(2),
            ended(opened, 103.0),
            decided(3, Action.BUY),
            other,
        ]
        await store.commit([update(1)], NOW, shadow_events=[ShadowEvent("s1@", one) for one in shadowed])
        found = await store.load_symbol("USDCOP", 1, "v1@", "s1@")
        assert (found.live.position, list(found.live.closed)) == (None, [])
        assert found.shadow is not None
        assert (found.shadow.position, [pnl_pct for _, pnl_pct in found.shadow.closed]) == (other, [3.0])
        assert (await store.load_symbol("USDCOP", 1, "v1@", "s2@")).shadow is not None
        assert await store.symbols_with_open_positions() == []
        assert (await store.statistics()).positions.opened == 0
        assert [entry.kind for entry in await store.entries_after(0, 9)] == [EventKind.MARKET_UPDATE]

    async def test_a_later_change_of_a_position_takes_its_place(
        self, store: PostgresStore, sql: asyncpg.Connection
    ) -> None:
        opened = held(1)
        await store.commit(
            [update(1)], NOW, shadow_events=[ShadowEvent("s1@", decided(1, Action.BUY)), ShadowEvent("s1@", opened)]
        )
        await store.commit([update(2)], NOW, shadow_events=[ShadowEvent("s1@", ended(opened, 99.0))])
        rows = await sql.fetch("SELECT status, pnl FROM shadow_positions")
        assert [tuple(row) for row in rows] == [("CLOSED", -1.0)]

    async def test_its_score(self, store: PostgresStore) -> None:
        """Agreement is counted on the bars that the live policy decided on too."""
        live = [decided(n, action) for n, action in ((1, Action.BUY), (2, Action.HOLD), (3, Action.SELL))]
        first, second = held(1), held(3)
        shadowed: list[Signal | Position] = [
            *(
                decided(n, action)
                for n, action in ((1, Action.BUY), (2, Action.HOLD), (3, Action.BUY), (4, Action.HOLD))
            ),
            *(first, ended(first, 102.0), second, ended(second, 99.5), held(4)),
        ]
        await store.commit(
            [*(update(n) for n in range(1, 5)), *live],
            NOW,
            shadow_events=[ShadowEvent("s1@", outcome) for outcome in shadowed],
        )
        assert await store.shadow_score("s1@") == ShadowScore(
            decisions=4, agreements=2, closed=2, winning=1, total_pnl=1.5
        )
        assert await store.shadow_score("s2@") == ShadowScore(0, 0, 0, 0, 0.0)
