"""Ten model swaps in a running service while bars are published over gRPC; one of the new models is broken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.support.bars import a_month, messages
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE, poll
from tests.support.model_files import release, variant
from tests.support.service import running_service
from tests.support.swaps import Abreast, Decided, check_decisions

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.domain.bars import Bar

MONTH = a_month()
LINES = {"USDCOP": MONTH} | {
    symbol: walk(len(MONTH), seed=seed, symbol=symbol, times=[bar.time for bar in MONTH])
    for seed, symbol in enumerate(("EURCOP", "EURUSD"))
}
NEW = [str(number) for number in range(2, 12)]
BROKEN, UNASKED = "5", "11"
"""The service finds the last version by itself, without a reload request."""
BARS_A_CALL = 20


async def test_ten_model_swaps_during_publishing_lose_no_bar(folder: Path) -> None:
    models = folder / "models"
    contents = {version: variant(version, sharper=0.8 + 0.05 * int(version)) for version in ("1", *NEW)}
    contents[BROKEN] = contents[BROKEN][:20_000]
    policies = {"1": OnnxPolicy(release(models, "1", contents["1"]))}

    async with running_service(folder, MODEL_PATH=str(models)) as service, service.client() as client:
        async with service.rest() as rest, asyncio.timeout(4 * DEADLINE), asyncio.TaskGroup() as group:

            async def send(bars: Sequence[Bar]) -> None:
                response = await client.publish_bars(messages(bars))
                assert (response.received, response.rejected, response.late, response.duplicates) == (
                    len(bars),
                    0,
                    0,
                    0,
                )

            async def bring(version: str) -> None:
                before = (await client.model_info()).model.version
                file = release(models, version, contents[version])
                if version != BROKEN:
                    policies[version] = OnnxPolicy(file)
                if version == UNASKED:
                    while (await client.model_info()).model.version == before:
                        await poll()
                    return
                response = await rest.post("/api/signals/model/reload", json={})
                if version == BROKEN:
                    assert response.status_code == 400, response.text
                    (detail,) = response.json()["details"]
                    assert detail["reason"] == "MODEL_REFUSED"
                    assert str(file) in response.json()["message"]
                else:
                    assert response.json()["model"]["version"] == version
                in_use = (await client.model_info()).model
                assert in_use.version == (before if version == BROKEN else version)
                assert in_use.file_sha256 == policies[in_use.version].description.file_sha256

            abreast = Abreast(sum(map(len, LINES.values())), len(NEW))
            for bars in LINES.values():
                group.create_task(abreast.publish(bars, send, BARS_A_CALL))
            group.create_task(abreast.swap([partial(bring, version) for version in NEW]))

        async with service.database() as database:
            for symbol, bars in LINES.items():
                rows = await database.fetch("SELECT time FROM bars WHERE symbol = $1 ORDER BY time", symbol)
                assert [row["time"] for row in rows] == [bar.time for bar in bars]
            signals = await database.fetch("SELECT * FROM signals ORDER BY sequence")
        decided = [Decided.of(row) for row in signals]
        check_decisions(LINES, decided, policies, ["1", *(version for version in NEW if version != BROKEN)])
        assert "Traceback" not in service.log, service.log
