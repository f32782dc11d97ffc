"""Ten model swaps during publishing to a real database: no bar is lost, and each is decided by one model."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from tests.support.bars import a_month
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE
from tests.support.engine import running_engine
from tests.support.model_files import release, variant
from tests.support.onnx_models import doubling
from tests.support.swaps import Abreast, Decided, check_decisions

from tradingsignals_server.adapters.onnx import confinement
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.adapters.onnx.repository import fingerprint, load_newest, versions
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.application.models import ModelKeeper, ModelSource
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import ModelNotLoaded
from tradingsignals_server.domain.risk import RiskRules

MONTH = a_month()
LINES = {"USDCOP": MONTH} | {
    symbol: walk(len(MONTH), seed=seed, symbol=symbol, times=[bar.time for bar in MONTH])
    for seed, symbol in enumerate(("EURCOP", "EURUSD", "GBPUSD"))
}
NEW = [str(number) for number in range(2, 11)]
BROKEN = "6"
NEVER_RESET = {"3", "5", "9"}
ORDER = ["1", "2", "3", "4", "5", "7", "8", "9", "10", "9"]
"""The last version is withdrawn by removing its folder."""
MOST_BARS_A_CALL = 30


def content_of(version: str) -> bytes:
    """Write a model that decides differently from all others."""
    reset = {"recurrent_reset": "never"} if version in NEVER_RESET else {}
    content = variant(version, sharper=0.8 + 0.05 * int(version), **reset)
    return content[: len(content) // 2] if version == BROKEN else content


async def test_ten_model_swaps_during_publishing_lose_no_bar(
    tmp_path: Path, store: PostgresStore, sql: asyncpg.Connection
) -> None:
    folder = tmp_path / "models"
    policies = {"1": OnnxPolicy(release(folder, "1", content_of("1")))}
    load = partial(load_newest, folder, "MODEL_PATH")
    source = ModelSource(partial(fingerprint, folder), load, partial(versions, folder))
    contents = {version: content_of(version) for version in NEW}

    async with running_engine(store, policy=load()) as running:
        keeper = ModelKeeper(running.engine, running.pipeline, RiskRules(), source)

        async def send(bars: Sequence[Bar]) -> None:
            await running.publish(bars)

        async def bring(version: str) -> None:
            file = release(folder, version, contents[version])
            if version == BROKEN:
                with pytest.raises(ModelNotLoaded, match=re.escape(str(file))):
                    await keeper.reload()
            else:
                assert await keeper.reload()
                policies[version] = OnnxPolicy(file)

        async def take_back() -> None:
            shutil.rmtree(folder / "10")
            assert await keeper.reload()

        abreast = Abreast(sum(map(len, LINES.values())), len(NEW) + 1)
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            for symbol, bars in LINES.items():
                size = random.Random(symbol).randrange(1, MOST_BARS_A_CALL)
                group.create_task(abreast.publish(bars, send, size))
            group.create_task(abreast.swap([*(partial(bring, version) for version in NEW), take_back]))

    for symbol, bars in LINES.items():
        times = await sql.fetch("SELECT time FROM bars WHERE symbol = $1 ORDER BY time", symbol)
        assert [row["time"] for row in times] == [bar.time for bar in bars]
    rows = await sql.fetch("SELECT * FROM signals ORDER BY sequence")
    check_decisions(LINES, [Decided.of(row) for row in rows], policies, ORDER)


async def test_model_that_hangs_is_refused_while_bars_are_decided(
    tmp_path: Path, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "CPU_SECONDS", 4)  # starting Python takes one, without compiled modules
    folder = tmp_path / "models"
    release(folder, "1", content_of("1"))
    load = partial(load_newest, folder, "MODEL_PATH")
    source = ModelSource(partial(fingerprint, folder), load, partial(versions, folder))
    async with running_engine(store, policy=load()) as running:
        keeper = ModelKeeper(running.engine, running.pipeline, RiskRules(), source)
        hanging = release(folder, "2", doubling())
        reloading = asyncio.create_task(keeper.reload())
        await running.publish(MONTH[:100])
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(ModelNotLoaded, match=f"{re.escape(str(hanging))}: does not load and decide within 4 s"):
                await reloading
        await running.publish(MONTH[100:120])
        assert running.pipeline.live.policy.description.version == "1"
