"""The contract of the inputs of signals, and of what a replay reads."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from tests.support.builders import NOW, OPENING

from tradingsignals_server.application.ports.inputs import HeldAtDecision, SignalInputs
from tradingsignals_server.application.ports.store import Store
from tradingsignals_server.domain.decision_settings import settings_id
from tradingsignals_server.domain.protections import AccountAtDecision
from tradingsignals_server.domain.signals import Action

from ..trades import closed, trade, update

SETTINGS = '{"rules": {}}'


def inputs_of_signal(
    signal_id: UUID, *, held: HeldAtDecision | None = None, account: AccountAtDecision | None = None
) -> SignalInputs:
    """Return inputs with a value in every field."""
    return SignalInputs(
        signal_id=signal_id,
        settings_id=settings_id(SETTINGS),
        settings=SETTINGS,
        window_bars=99,
        indicator_bars=100,
        first_bar=1_700_000_000,
        window_hash=bytes(range(8)),
        state=bytes(range(256)) * 4,
        state_hash=bytes(8),
        next_state_hash=b"\xff" * 8,
        held=held,
        account=account,
        quote={"close_price": 0.1 + 0.2, "rsi": 30.0},
        awaits_market=True,
    )


class InputsContract:
    """Inputs are committed with their signal, read with it, and pruned with its entry."""

    async def test_inputs_are_read_with_their_signal(self, store: Store, another_store: Store) -> None:
        first, opened = trade(1)
        second, _ = trade(2, action=Action.SELL)
        held = HeldAtDecision(Action.BUY, OPENING, -0.25, -1.5, 7)
        account = AccountAtDecision(True, "news", 0.1 + 0.2, 1.5, 3, OPENING, 2, 0.04)
        with_held = inputs_of_signal(second.signal_id, held=held, account=account)
        without = inputs_of_signal(first.signal_id)
        await store.commit([update(0), first, opened], NOW, inputs=[without])
        await store.commit([second], NOW, inputs=[with_held])

        for reading in (store, another_store):
            found = await reading.signal(first.signal_id)
            assert found is not None
            assert (found.sequence, found.inputs) == (2, without)
            assert found.message == (await store.entries_after(1, 1))[0].payload
            found = await reading.signal(second.signal_id)
            assert found is not None
            assert (found.sequence, found.inputs) == (4, with_held)

    async def test_signal_without_inputs_is_read(self, store: Store) -> None:
        made, opened = trade(1)
        await store.commit([made, opened], NOW)
        found = await store.signal(made.signal_id)
        assert found is not None
        assert (found.sequence, found.inputs) == (1, None)

    async def test_unknown_signal_is_none(self, store: Store) -> None:
        assert await store.signal(UUID(int=77)) is None

    async def test_inputs_are_pruned_with_the_entry(self, store: Store) -> None:
        first, opened = trade(1)
        second, _ = trade(2)
        await store.commit([first, opened], NOW, inputs=[inputs_of_signal(first.signal_id)])
        later = inputs_of_signal(second.signal_id)
        await store.commit([second], NOW + timedelta(days=2), inputs=[later])

        assert await store.prune(NOW + timedelta(days=1), 100) == 2
        pruned, kept = await store.signal(first.signal_id), await store.signal(second.signal_id)
        assert pruned is not None
        assert pruned.inputs is None
        assert kept is not None
        assert kept.inputs == later

    async def test_bars_until_a_time_are_the_newest_before_it(self, store: Store) -> None:
        updates = [update(number) for number in range(6)]
        await store.commit(updates, NOW)
        bars = [one.bar for one in updates]
        assert list(await store.bars_until("USDCOP", bars[4].time, 3)) == bars[2:5]
        assert list(await store.bars_until("USDCOP", bars[1].time, 3)) == bars[:2]
        assert list(await store.bars_until("EURUSD", bars[4].time, 3)) == []

    async def test_logged_bars_are_the_messages_of_a_range(self, store: Store) -> None:
        updates = [update(number) for number in range(6)]
        entries = await store.commit(updates, NOW)
        found = await store.logged_bars("USDCOP", updates[1].bar.time, updates[3].bar.time)
        assert list(found) == [entry.payload for entry in entries[1:4]]
        assert list(await store.logged_bars("EURUSD", updates[1].bar.time, updates[3].bar.time)) == []

    async def test_closed_trades_are_those_before_a_sequence(self, store: Store) -> None:
        first, opened = trade(1)
        await store.commit([first, opened, ended := closed(opened)], NOW)
        second, other = trade(2)
        await store.commit([second, other, later := closed(other)], NOW)
        assert ended.exit is not None
        assert later.exit is not None
        both = [(ended.exit.time, ended.pnl_pct), (later.exit.time, later.pnl_pct)]
        assert list(await store.closed_trades("USDCOP", 100)) == both
        assert list(await store.closed_trades("USDCOP", 6)) == both[:1]
        assert list(await store.closed_trades("USDCOP", 3)) == []
