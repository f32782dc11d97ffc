"""The proof finds a policy that sees later bars, and nothing in one that does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from tests.support.backtests import plan
from tests.support.builders import walk

from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.application.backtest.columns import BarColumns
from tradingsignals_server.application.backtest.proof import prove
from tradingsignals_server.application.backtest.run import NothingToTest
from tradingsignals_server.application.ports.policy import PolicyOutput
from tradingsignals_server.domain.features import Observation
from tradingsignals_server.domain.recurrent_state import RecurrentState

BARS = BarColumns.of([walk(900)])


class PeeksAhead(PlaceholderPolicy):
    """Decides on a bar by the observation of the one that was prefetched after it."""

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> Sequence[PolicyOutput]:
        later = np.roll(observations, -1, axis=0)
        return [self.decide(row, state) for row, state in zip(later, states, strict=True)]


class Forgetful(PlaceholderPolicy):
    """Decides by the number of observations so far, which no restored engine has."""

    calls = 0

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        self.calls += 1
        return super().decide(observation * np.float32(1.0 + 1e-3 * (self.calls % 7)), state)


async def test_a_policy_that_sees_no_later_bar_passes() -> None:
    done: list[int] = []
    proof = await prove(plan(), BARS, 3, done.append)
    assert proof.lookahead is None
    assert done == [1, 2, 3]
    assert proof.bars > 1000


@pytest.mark.parametrize("policy", [PeeksAhead(), Forgetful()], ids=lambda policy: type(policy).__name__)
async def test_a_policy_that_decides_by_more_than_earlier_bars_is_found(policy: PlaceholderPolicy) -> None:
    proof = await prove(plan(policy=policy), BARS, 3)
    assert proof.lookahead is not None
    assert proof.lookahead.difference.field.startswith("events[")
    assert proof.lookahead.how in {"cut off", "altered"}
    assert proof.lookahead.bar.time <= proof.lookahead.cut.time


async def test_a_proof_needs_bars() -> None:
    with pytest.raises(NothingToTest):
        await prove(plan(), BarColumns.of([walk(1)]))
