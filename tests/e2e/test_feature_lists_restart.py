"""Policies of several lists of features at two intervals: stop and kill -9 change no bit of what they decide."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE
from tests.support.folders import scratch_folder
from tests.support.onnx_models import RECURRENT, policy_file, random_weights
from tests.support.publisher import Publisher, committed
from tests.support.service import RunningService, running_service
from tests.support.tables import Tables, assert_same, tables_of

from tradingsignals_server.adapters.onnx.declared_features import CATALOGUE, DeclaredFeatures
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL

HOUR = timedelta(hours=1)
STACKED = ("return(1)", "rsi(9)", "ema_gap(100)", "adx(14)", "hour_sin", "bars_to_session_end")
OF_POSITION = ("return(1)", "zscore(20)", "position_side", "position_pnl_r", "bars_held")


@dataclass(frozen=True, slots=True)
class Case:
    """A list of features, and the interval of the bars that a policy of it decides on."""

    features: DeclaredFeatures
    interval: timedelta = DEFAULT_INTERVAL


CASES: Mapping[str, Case] = {
    "m5-v1 on bars of 1h": Case(DeclaredFeatures(), HOUR),
    "longer lookback and frames": Case(DeclaredFeatures(CATALOGUE, STACKED, STACKED, lookback_bars=130, stack=3)),
    "position on bars of 1h": Case(DeclaredFeatures(CATALOGUE, OF_POSITION, OF_POSITION, lookback_bars=60), HOUR),
}
"""m5-v1 on bars of 5m is in test_recurrent_restart.py."""


async def stored(service: RunningService) -> Tables:
    """Return the tables of its database."""
    async with service.database() as database:
        return await tables_of(database)


@pytest.mark.parametrize("name", CASES)
async def test_interruptions_change_no_bit(folder: Path, name: str) -> None:
    case = CASES[name]
    weights = random_weights(hidden=(), observed=case.features.size, seed=3)
    model = policy_file(folder, weights, replace(RECURRENT, features=case.features, interval=case.interval))
    settings = {
        "MODEL_PATH": str(model),
        "CONFIDENCE_THRESHOLD": "0.4",
        "BAR_INTERVAL": "1h" if case.interval == HOUR else "5m",
    }
    bars = messages(walk(420, interval=case.interval))
    with scratch_folder() as other:
        async with running_service(other, **settings) as service:
            await Publisher(service, bars).run()
            undisturbed = await stored(service)
    assert len(undisturbed["positions"]) > 10
    last = undisturbed["event_log"][0]["last_sequence"]
    async with running_service(folder, **settings) as service:
        publishing = Publisher(service, bars)
        async with asyncio.timeout(3 * DEADLINE), asyncio.TaskGroup() as group:
            publishing.pause()
            group.create_task(publishing.run())
            for moment, end in ((last // 3, service.kill), (last // 2, service.stop), (last * 2 // 3, service.kill)):
                publishing.hold_at = moment  # a late check finds it waiting, not done
                publishing.go_on()
                await committed(service, moment)
                assert publishing.acknowledged < publishing.total
                await end()
                await service.start()
            publishing.hold_at = None
            publishing.go_on()
        assert_same(await stored(service), undisturbed)
