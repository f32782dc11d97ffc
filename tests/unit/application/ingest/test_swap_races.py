"""A swap while the state of a symbol is read: the state read for the old policy is not used for the new one."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.builders import walk
from tests.support.by_hand import observations_of, outputs_of
from tests.support.onnx_models import policy_file, random_weights
from tests.support.running import PausingStore, running_engine, started

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.domain.risk import RiskRules

WALK = walk(90)


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> list[OnnxPolicy]:
    """Two policies of the same size, each with recurrent states of its own."""
    folder = tmp_path_factory.mktemp("models")
    return [OnnxPolicy(policy_file(folder, random_weights(1, 8, seed=seed))) for seed in (1, 2)]


@pytest.mark.parametrize("meanwhile", [0, 5])
async def test_state_read_before_a_swap_is_not_used_after_it(policies: list[OnnxPolicy], meanwhile: int) -> None:
    """The same holds for a state without the bars that were processed meanwhile."""
    first, second = policies
    store = PausingStore()
    async with running_engine(store, first) as running:
        await running.publish(WALK[:80])
    async with running_engine(store, first) as running:
        store.pauses = True
        reading = asyncio.create_task(running.engine.last_bar("USDCOP"))
        await store.paused.wait()
        published, swapped = await started(
            running.publish(WALK[80 : 80 + meanwhile]), running.engine.swap(Trader(second, RiskRules()), None)
        )
        store.resume.set()
        newest = await reading
        await asyncio.gather(published, swapped)
        await running.publish(WALK[80 + meanwhile :])
    assert newest == WALK[79]
    expected = outputs_of(second, observations_of(WALK))[-(10 - meanwhile) :]
    found = store.signals()[-(10 - meanwhile) :]
    assert [one.probabilities for one in found] == [one.probabilities for one in expected]
