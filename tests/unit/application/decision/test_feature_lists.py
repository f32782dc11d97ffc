"""Bit identity for several lists of features: live, bar by bar, interleaved, restarted, and with a cut history."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pytest
from tests.support.builders import walk
from tests.support.feature_policies import FEATURE_LISTS, OF_POSITION, STACKED, RecurrentNumpyPolicy
from tests.support.memory_store import MemoryStore
from tests.support.running import patched, running_engine

from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.symbol_state import SymbolState
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.ingest.states import restored
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.events import Disposition, MarketUpdate
from tradingsignals_server.domain.features import M5_V1, Features
from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Signal

RULES = RiskRules(confidence_threshold=0.34)
LINES = {symbol: walk(330, seed=seed, symbol=symbol) for seed, symbol in enumerate(("USDCOP", "EURCOP"), 1)}
TOGETHER = list(chain.from_iterable(zip(*LINES.values(), strict=True)))


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """What an engine stored."""

    features: Features
    store: MemoryStore

    def of(self, symbol: str) -> list[Signal | Position]:
        """Return signals and positions of one symbol."""
        return [one for one in self.store.events if isinstance(one, Signal | Position) and one.symbol == symbol]


async def run_of(features: Features, parts: Sequence[Sequence[Bar]], *, forgets: bool = False) -> Run:
    """Publish each part to an engine of its own on the same store; `forgets`: the recurrent states are lost between."""
    store = MemoryStore()
    for part in parts:
        if forgets:
            store.checkpoints.clear()
        async with running_engine(store, RecurrentNumpyPolicy(features), RULES) as running:
            await running.publish(part)
    return Run(features, store)


@pytest.fixture(scope="module", params=FEATURE_LISTS.values(), ids=lambda features: features.name)
async def together(request: pytest.FixtureRequest) -> Run:
    """Both symbols in large batches, which are prefetched."""
    return await run_of(request.param, [TOGETHER])


def test_policy_trades_both_sides_on_each_list(together: Run) -> None:
    for symbol in LINES:
        sides = {one.action.value for one in together.of(symbol) if isinstance(one, Position)}
        assert sides == {"BUY", "SELL"}


async def test_bars_without_prefetching_give_the_same_bits(together: Run) -> None:
    with patched(Pipeline, "prefetch", no_prefetch):
        found = await run_of(together.features, [TOGETHER])
    assert found.store.events == together.store.events
    assert found.store.checkpoints == together.store.checkpoints


async def no_prefetch(pipeline: Pipeline, states: Mapping[str, SymbolState], bars: Sequence[Bar]) -> None:
    """Take the place of Pipeline.prefetch, so that each bar is computed by itself."""


async def test_symbol_alone_gives_the_same_bits(together: Run) -> None:
    for symbol, bars in LINES.items():
        assert (await run_of(together.features, [bars])).of(symbol) == together.of(symbol)


@pytest.mark.parametrize("forgets", [False, True])
async def test_restarted_engines_give_the_same_bits(together: Run, forgets: bool) -> None:
    if forgets and together.features.uses_position:
        pytest.skip("the positions at earlier bars are not known, so a lost state is only approximated")
    cuts = sorted(random.Random(1).sample(range(1, len(TOGETHER) - 100), 8))
    parts = [TOGETHER[start:end] for start, end in zip([0, *cuts], [*cuts, len(TOGETHER)], strict=True)]
    found = await run_of(together.features, parts, forgets=forgets)
    assert found.store.events == together.store.events
    assert found.store.checkpoints == together.store.checkpoints


async def test_decision_depends_only_on_the_newest_stored_bars(together: Run) -> None:
    """Each is made again from the stored bars before it, and the state and the position that were stored with them."""
    if together.features.uses_position:
        pytest.skip("needs the checkpoint of each bar; restarts show it")
    policy = RecurrentNumpyPolicy(together.features)
    pipeline = Pipeline(Trader(policy, RULES), calendar_for)
    signals = [one for one in together.of("USDCOP") if isinstance(one, Signal)]
    for signal in random.Random(2).sample(signals, 40):
        events = together.store.events
        end = next(
            number
            for number, one in enumerate(events)
            if isinstance(one, MarketUpdate) and one.bar.symbol == "USDCOP" and one.bar.time == signal.bar_time
        )
        store = MemoryStore()
        store.events, store.entries = events[:end], together.store.entries[:end]
        bar = events[end]
        assert isinstance(bar, MarketUpdate)
        step = pipeline.on_bar(await restored(store, pipeline, "USDCOP"), bar.bar)
        assert step.signal == signal


@pytest.mark.parametrize("shadow", [STACKED, OF_POSITION, M5_V1], ids=lambda features: features.name)
async def test_shadow_with_other_features_decides_as_if_it_were_live(shadow: Features) -> None:
    bars = LINES["USDCOP"]
    alone = await run_of(M5_V1, [bars])
    would_have = await run_of(shadow, [bars])
    async with running_engine(
        policy=RecurrentNumpyPolicy(M5_V1), shadow=RecurrentNumpyPolicy(shadow), rules=RULES
    ) as running:
        await running.publish(bars)
        assert running.store.events == alone.store.events, "the live policy is not affected"
        assert [one.event for one in running.store.shadow_events] == would_have.of("USDCOP")


async def test_symbol_is_decided_on_once_the_features_of_its_policy_are_warm() -> None:
    assert (STACKED.warm_bars, STACKED.history_bars) == (100, 132)
    async with running_engine(policy=RecurrentNumpyPolicy(STACKED)) as running:
        receipts = await running.publish(LINES["USDCOP"][:102])
        assert [receipt.disposition for receipt in receipts] == [Disposition.WARMING_UP] * 99 + [
            Disposition.ACCEPTED
        ] * 3
        (state,) = running.engine.states()
        assert state.window.limit == 132
        for lookback, needed in ((100, None), (60, "100")):
            if needed is None:
                again = running.signal(await running.engine.generate_from_stored("USDCOP", lookback))
                live = next(one for one in running.store.signals() if one.bar_time == again.bar_time)
                assert again.probabilities == live.probabilities, "the decision of the newest bar once more"
            else:
                with pytest.raises(Exception, match="100"):
                    await running.engine.generate_from_stored("USDCOP", lookback)


async def test_policy_observes_its_position_after_the_exits_of_the_bar() -> None:
    seen: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []

    class Watching(RecurrentNumpyPolicy):
        def decide(self, observation, state):  # type: ignore[no-untyped-def] # as in the base
            seen.append(observation)
            return super().decide(observation, state)

    async with running_engine(policy=Watching(OF_POSITION), rules=RULES) as running:
        await running.publish(LINES["USDCOP"])
        held: Position | None = None
        expected = []
        for event in running.store.events:
            if isinstance(event, Position):
                held = event if event.is_open else None
            elif isinstance(event, Signal):
                side = {None: 0, "BUY": 1, "SELL": -1}[held.action.value if held else None]
                expected.append([side, held.r_multiple if held else 0.0, held.bars_held if held else 0])
    found = [observation[2:].tolist() for observation in seen]
    assert found == [[side, float(np.float32(r)), bars] for side, r, bars in expected]
    assert {side for side, _, _ in expected} == {-1, 0, 1}
