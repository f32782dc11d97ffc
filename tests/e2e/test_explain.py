"""A month of signals of the real command: each explains and replays equal, also after kill -9; changes are named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import httpx
import pytest
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.folders import scratch_folder
from tests.support.service import RunningService, running_service

import tradingsignals
from tradingsignals import AsyncClient, Signal
from tradingsignals.v1.explanation_pb2 import ReplayCause

BARS = walk(1320, seed=21)


@pytest.fixture(scope="module")
async def month() -> AsyncIterator[RunningService]:
    """A service with the signals of 22 sessions, and two requested ones."""
    with scratch_folder() as folder:
        async with running_service(folder) as service:
            async with service.client() as client:
                response = await client.publish_bars(messages(BARS))
                assert response.rejected == 0
                await client.generate_signal(BARS[-1].close, symbol="USDCOP", rsi=25.0)
                await client.generate_signal_from_db("USDCOP", lookback_bars=60)
            yield service


async def all_signals(client: AsyncClient) -> Sequence[Signal]:
    return [signal async for signal in client.signals(page_size=1000)]


@pytest.mark.slow
async def test_every_signal_explains_and_replays_equal_also_after_a_kill(month: RunningService) -> None:
    async with month.client() as client:
        signals = await all_signals(client)
        assert len(signals) == len(BARS) - 49 + 2
        for signal in signals:
            replay = await client.replay_signal(signal.signal_id)
            assert replay.equal, replay
        before = {}
        for signal in signals[::10]:
            found = await client.explain_signal(signal.signal_id)
            assert not found.missing
            parts = sum(one.log_odds for one in found.attribution.contributions)
            total = found.attribution.baseline_log_odds + parts
            assert total == pytest.approx(found.attribution.log_odds, abs=1e-6)
            before[signal.signal_id] = found
    await month.kill_everything()
    await month.start()
    async with month.client() as client:
        for signal_id, found in before.items():
            assert await client.explain_signal(signal_id) == found
            assert (await client.replay_signal(signal_id)).equal


async def test_altered_bar_is_named_over_rest(month: RunningService) -> None:
    async with month.client() as client, month.rest() as rest, month.database() as database:
        signal = next(one for one in await all_signals(client) if one.HasField("bar_time"))
        time = signal.bar_time.ToDatetime()
        change = (
            "UPDATE bars SET volume = volume + $2 WHERE symbol = 'USDCOP' AND time = $1::timestamp AT TIME ZONE 'UTC'"
        )
        await database.execute(change, time, 1.0)
        found = (await rest.post(f"/api/signals/{signal.signal_id}/replay")).json()["replay"]
        await database.execute(change, time, -1.0)
        restored = (await rest.post(f"/api/signals/{signal.signal_id}/replay")).json()["replay"]

    assert found["equal"] is False
    (cause,) = found["causes"]
    assert cause["kind"] == ReplayCause.Kind.Name(ReplayCause.BAR)
    assert cause["bar_time"] == time.isoformat() + ".000000Z"
    assert cause["stored_bar"]["volume"] == cause["original_bar"]["volume"] + 1.0
    assert "window_hash" in {one["field"] for one in found["differences"]}
    assert (restored["equal"], restored["causes"]) == (True, [])


async def test_explanation_over_rest_equals_that_over_grpc(rest: httpx.AsyncClient, client: AsyncClient) -> None:
    signal = await client.latest_signal("USDCOP")
    over_rest = (await rest.get(f"/api/signals/{signal.signal_id}/explanation")).json()["explanation"]
    over_grpc = await client.explain_signal(signal.signal_id)
    assert over_rest["signal"]["signal_id"] == signal.signal_id
    assert [one["rule"] for one in over_rest["rules"]] == [one.rule for one in over_grpc.rules]
    assert over_rest["attribution"]["log_odds"] == over_grpc.attribution.log_odds
    assert [one["name"] for one in over_rest["features"]] == [one.name for one in over_grpc.features]


async def test_unknown_and_malformed_ids_are_refused(rest: httpx.AsyncClient, client: AsyncClient) -> None:
    unknown = str(uuid4())
    with pytest.raises(tradingsignals.NotFound) as caught:
        await client.explain_signal(unknown)
    assert (caught.value.reason, caught.value.metadata["signal_id"]) == ("SIGNAL_NOT_FOUND", unknown)
    with pytest.raises(tradingsignals.NotFound):
        await client.replay_signal(unknown)
    with pytest.raises(tradingsignals.InvalidRequest, match="signal_id: must be a UUID"):
        await client.explain_signal("latest")
    assert (await rest.get(f"/api/signals/{unknown}/explanation")).status_code == 404
    assert (await rest.post("/api/signals/7/replay")).status_code == 400
