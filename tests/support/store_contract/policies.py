"""The contract of recurrent states and shadow policies in a store."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from tests.support.builders import NOW, bar, position, signal

from tradingsignals_server.application.ports.store import (
    RecurrentCheckpoint,
    ShadowEvent,
    ShadowScore,
    StaleState,
    Store,
)
from tradingsignals_server.domain.events import EventKind
from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.recurrent_state import RecurrentState
from tradingsignals_server.domain.signals import Action, Signal

from ..trades import closed, update

ODD = np.array([[[0.1, -0.0], [1e-45, 3.4e38]], [[-2.5, 7.0], [1 / 3, -1e-20]]], dtype=np.float32)
"""Two layers of two: numbers that a lossy round trip would change."""


def checkpoint(
    number: int = 0, policy: str = "v1@ab", symbol: str = "USDCOP", *, shadow: bool = False
) -> RecurrentCheckpoint:
    before, after = RecurrentState(ODD * np.float32(0.5)), RecurrentState(ODD)
    return RecurrentCheckpoint(symbol, policy, shadow, bar(number).time, before, after)


def decided(name: int, action: Action = Action.HOLD, symbol: str = "USDCOP") -> Signal:
    """Return a shadow's signal on the bar of that number."""
    return replace(signal(action, name=name, symbol=symbol), bar_time=bar(name).time)


def held(name: int, symbol: str = "USDCOP") -> Position:
    return replace(position(), position_id=UUID(int=1000 + name), signal_id=UUID(int=name), symbol=symbol)


class CheckpointContract:
    """Recurrent states."""

    async def test_state_is_read_back_bit_by_bit(self, store: Store) -> None:
        await store.commit([update(0)], NOW, checkpoints=[checkpoint()])
        found = (await store.load_symbol("USDCOP", 1, "v1@ab", None)).live.checkpoint
        assert found == checkpoint()
        assert found is not None
        assert found.after.values.tobytes() == ODD.tobytes()

    async def test_newest_state_of_each_symbol_and_policy_is_kept(self, store: Store) -> None:
        both = [checkpoint(), checkpoint(policy="v2@cd"), checkpoint(symbol="EURUSD")]
        await store.commit([update(0)], NOW, checkpoints=both)
        await store.commit([update(1)], NOW, checkpoints=[checkpoint(1)])
        assert (await store.load_symbol("USDCOP", 1, "v1@ab", None)).live.checkpoint == checkpoint(1)
        assert (await store.load_symbol("USDCOP", 1, "v2@cd", None)).live.checkpoint == checkpoint(policy="v2@cd")
        assert (await store.load_symbol("EURUSD", 1, "v1@ab", None)).live.checkpoint == checkpoint(symbol="EURUSD")
        assert (await store.load_symbol("USDCOP", 1, "v3@ef", None)).live.checkpoint is None

    async def test_one_policy_may_be_live_and_shadow(self, store: Store) -> None:
        mine, its = checkpoint(), replace(checkpoint(shadow=True), after=checkpoint().before)
        await store.commit([update(0)], NOW, checkpoints=[mine, its])
        found = await store.load_symbol("USDCOP", 1, "v1@ab", "v1@ab")
        assert found.shadow is not None
        assert (found.live.checkpoint, found.shadow.checkpoint) == (mine, its)

    async def test_state_is_stored_with_its_bar_or_not_at_all(self, store: Store) -> None:
        await store.commit([update(0)], NOW, checkpoints=[checkpoint()])
        with pytest.raises(StaleState):
            await store.commit([update(0)], NOW, checkpoints=[checkpoint(1)])
        assert (await store.load_symbol("USDCOP", 1, "v1@ab", None)).live.checkpoint == checkpoint()


class ShadowContract:
    """Results of shadow policies."""

    async def test_shadow_trades_apart_from_the_live_policy(self, store: Store) -> None:
        opened, other = held(1), held(2)
        shadowed: list[Signal | Position] = [
            decided(1, Action.BUY),
            opened,
            decided(2),
            closed(opened, 103.0),
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

    async def test_later_change_replaces_the_position(self, store: Store) -> None:
        opened = held(1)
        await store.commit(
            [update(1)], NOW, shadow_events=[ShadowEvent("s1@", decided(1, Action.BUY)), ShadowEvent("s1@", opened)]
        )
        await store.commit([update(2)], NOW, shadow_events=[ShadowEvent("s1@", closed(opened, 99.0))])
        shadow = (await store.load_symbol("USDCOP", 1, "v1@", "s1@")).shadow
        assert shadow is not None
        assert (shadow.position, list(shadow.closed)) == (None, [(NOW, -1.0)])
        score = await store.shadow_score("s1@")
        assert (score.closed, score.total_pnl) == (1, -1.0)

    async def test_score_counts_decisions_agreements_and_results(self, store: Store) -> None:
        """Agreement is counted on the bars that both policies decided on."""
        live = [decided(n, action) for n, action in ((1, Action.BUY), (2, Action.HOLD), (3, Action.SELL))]
        first, second = held(1), held(3)
        shadowed: list[Signal | Position] = [
            *(
                decided(n, action)
                for n, action in ((1, Action.BUY), (2, Action.HOLD), (3, Action.BUY), (4, Action.HOLD))
            ),
            *(first, closed(first, 102.0), second, closed(second, 99.5), held(4)),
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
