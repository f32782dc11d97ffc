"""A swap while somebody reads a symbol's state: what was read for the old policy is not taken for the new one's."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.builders import walk
from tests.support.by_hand import said, shown
from tests.support.memory_store import MemoryStore
from tests.support.onnx_models import policy_file, random_weights
from tests.support.running import running_engine, started

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.ports.store import StoredSymbol
from tradingsignals_server.domain.risk import RiskRules

WALK = walk(90)


class SlowStore(MemoryStore):
    """What it has read of a symbol it hands over only when it may, if it is slow."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = False
        self.read, self.may_answer = asyncio.Event(), asyncio.Event()

    async def load_symbol(self, symbol: str, session_bars: int, live: str, shadow: str | None) -> StoredSymbol:
        """See Store."""
        found = await super().load_symbol(symbol, session_bars, live, shadow)
        if self.slow:
            self.slow = False
            self.read.set()
            await self.may_answer.wait()
        return found


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> list[OnnxPolicy]:
    """Two of the same size, whose states mean nothing to each other."""
    folder = tmp_path_factory.mktemp("models")
    return [OnnxPolicy(policy_file(folder, random_weights(1, 8, seed=seed))) for seed in (1, 2)]


@pytest.mark.parametrize("meanwhile", [0, 5])
async def test_a_state_read_before_a_swap_is_not_taken_after_it(policies: list[OnnxPolicy], meanwhile: int) -> None:
    """Nor is one that lacks bars which came meanwhile."""
    first, second = policies
    store = SlowStore()
    async with running_engine(store, first) as running:
        await running.publish(WALK[:80])
    async with running_engine(store, first) as running:
        store.slow = True
        asking = asyncio.create_task(running.engine.last_bar("USDCOP"))
        await store.read.wait()
        published, swapped = await started(
            running.publish(WALK[80 : 80 + meanwhile]), running.engine.swap(Trader(second, RiskRules()), None)
        )
        store.may_answer.set()
        newest = await asking
        await asyncio.gather(published, swapped)
        await running.publish(WALK[80 + meanwhile :])
    assert newest == WALK[79]
    expected = said(second, shown(WALK))[-(10 - meanwhile) :]
    found = store.signals()[-(10 - meanwhile) :]
    assert [one.probabilities for one in found] == [one.probabilities for one in expected]
