"""The recurrent state survives the process: restarts, kill -9 and a second replay change no bit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path

import pytest
from tests.support.bars import a_month, messages
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE
from tests.support.folders import scratch_folder
from tests.support.model_files import shipped_model
from tests.support.publisher import Publisher, committed
from tests.support.service import RunningService, running_service
from tests.support.tables import Tables, assert_same, by_symbol, tables_of

MONTH = a_month()
OTHER = walk(len(MONTH), seed=6, symbol="EURCOP", times=[bar.time for bar in MONTH])
BARS = messages(chain.from_iterable(zip(MONTH, OTHER, strict=True)))
"""Two symbols that share batches of the policy."""
INTERRUPTIONS = 3
SETTINGS = {
    "MODEL_PATH": str(shipped_model()),
    "SHADOW_MODEL_PATH": str(shipped_model()),
    "CONFIDENCE_THRESHOLD": "0.4",
}
"""With this threshold the policy trades both symbols."""


@pytest.fixture(scope="module")
async def undisturbed() -> AsyncIterator[tuple[RunningService, Tables]]:
    """A service that got the bars without a fault, and its tables."""
    with scratch_folder() as folder:
        async with running_service(folder, **SETTINGS) as service:
            await Publisher(service, BARS).run()
            yield service, await stored(service)


async def stored(service: RunningService) -> Tables:
    """Return the tables of its database."""
    async with service.database() as database:
        return await tables_of(database)


async def test_recurrent_state_of_both_symbols_is_stored(
    undisturbed: tuple[RunningService, Tables],
) -> None:
    _, tables = undisturbed
    assert len(tables["signals"]) == len(tables["shadow_signals"]) > 2000
    assert {(row["simulated"], row["model_failed"]) for row in tables["signals"]} == {(False, False)}
    assert {row["symbol"] for row in tables["positions"]} == {"USDCOP", "EURCOP"}
    states = {(row["symbol"], row["shadow"]): row for row in tables["recurrent_states"]}
    assert states.keys() == {(symbol, shadow) for symbol in ("USDCOP", "EURCOP") for shadow in (False, True)}
    for state in states.values():
        assert len({state["before"], state["after"], bytes(len(state["after"]))}) == 3


async def test_second_replay_changes_no_bit(undisturbed: tuple[RunningService, Tables]) -> None:
    service, tables = undisturbed
    async with service.client() as client:
        response = await client.publish_bars(BARS)
    assert (response.received, response.duplicates) == (len(BARS), len(BARS))
    assert_same(await stored(service), tables)


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_interruptions_change_no_bit(folder: Path, undisturbed: tuple[RunningService, Tables], how: str) -> None:
    _, tables = undisturbed
    last = tables["event_log"][0]["last_sequence"]
    moments = sorted(random.Random(how).sample(range(200, last * 4 // 5), INTERRUPTIONS))
    async with running_service(folder, **SETTINGS) as service:
        publishing = Publisher(service, BARS)
        async with asyncio.timeout(3 * DEADLINE), asyncio.TaskGroup() as group:
            publishing.pause()
            group.create_task(publishing.run())
            for moment in moments:
                publishing.hold_at = moment  # a late check finds it waiting, not done
                publishing.go_on()
                await committed(service, moment)
                assert publishing.acknowledged < publishing.total
                if how == "killed":
                    await service.kill()
                else:
                    assert await service.stop() == 0
                await service.start()
            publishing.hold_at = None
            publishing.go_on()
        # Order is promised for each symbol; how the two take turns may change where a call was broken off.
        found, expected = by_symbol(await stored(service)), by_symbol(tables)
        assert found.keys() == expected.keys()
        for symbol in found:
            assert_same(found[symbol], expected[symbol])
        assert "Traceback" not in service.log, service.log
