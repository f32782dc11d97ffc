"""docs/examples/follow.js in a real browser: an EventSource that misses nothing and gets nothing twice."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.support.bars import messages
from tests.support.browser import CHROMIUM, Page, page_in_browser
from tests.support.builders import walk
from tests.support.folders import scratch_folder
from tests.support.publishing import published
from tests.support.service import running_service

BARS = messages(walk(100, seed=13))
SCRIPT = Path(__file__).parents[2] / "docs/examples/follow.js"
HTML = b"""<!doctype html><script type="module">
import { follow } from "/follow.js";
const asked = new URLSearchParams(location.search);
let telling = Promise.resolve();
const post = (what) => fetch("/told", { method: "POST", body: JSON.stringify(what) });
const tell = (what) => { telling = telling.then(() => post(what)); };
follow(asked.get("service"), {
  bookmark: JSON.parse(asked.get("bookmark")),
  heartbeatSeconds: 5,
  onEvent: (event, bookmark) => tell({ sequence: Number(event.sequence), bookmark }),
  onNotice: (what, detail) => tell({ what, detail }),
});
</script>"""
FILES = {"/": ("text/html", HTML), "/follow.js": ("text/javascript", SCRIPT.read_bytes())}
LEFT_TO_ITSELF = b"""<!doctype html><script type="module">
let telling = Promise.resolve();
const post = (what) => fetch("/told", { method: "POST", body: JSON.stringify(what) });
const source = new EventSource(`${new URLSearchParams(location.search).get("service")}/api/events?resume_after=20`);
source.onmessage = (message) => {
  for (const event of JSON.parse(message.data).events) {
    if (!event.heartbeat) telling = telling.then(() => post({ sequence: Number(event.sequence) }));
  }
};
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


async def told_until(page: Page, last: int) -> tuple[list[int], list[Any]]:
    """The events up to `last`, and the notices between them."""
    sequences: list[int] = []
    notices: list[Any] = []
    while not sequences or sequences[-1] < last:
        told = await page.tells()
        if "what" in told:
            notices.append(told)
        else:
            sequences.append(told["sequence"])
            assert told["bookmark"]["sequence"] == told["sequence"]
    return sequences, notices


async def test_it_resumes_by_itself(folder: Path) -> None:
    async with running_service(folder) as service, service.client() as client:
        epoch = (await client.service_info()).epoch
        query = {"service": f"http://{service.address}", "bookmark": f'{{"epoch": "{epoch}", "sequence": 0}}'}
        with scratch_folder() as profile:
            async with page_in_browser(profile, FILES, urlencode(query)) as page:
                last = await published(service, BARS[:60])
                assert (await told_until(page, last))[0] == list(range(1, last + 1))

                os.kill(service.child("envoy").pid, signal.SIGKILL)
                after_envoy = await published(service, BARS[:80])
                found, notices = await told_until(page, after_envoy)
                assert found == list(range(last + 1, after_envoy + 1))
                assert {"lost", "connected"} <= {notice["what"] for notice in notices}

                await service.kill()
                await service.start()
                after_kill = await published(service, BARS[:100])
                assert (await told_until(page, after_kill))[0] == list(range(after_envoy + 1, after_kill + 1))

                assert await service.stop() == 0
                shutil.rmtree(service.data_dir)
                await service.start()
                anew = await published(service, BARS[:60])
                found, notices = await told_until(page, anew)
                assert found == list(range(1, anew + 1))
                (change,) = [notice["detail"] for notice in notices if notice["what"] == "new epoch"]
                assert change["old"] == {"epoch": epoch, "sequence": after_kill}
                assert change["epoch"] != epoch


async def test_an_event_source_left_to_itself_comes_back_where_it_was(folder: Path) -> None:
    """It repeats its address, `resume_after` and all; the id that it sends beside it is what counts."""
    async with running_service(folder) as service:
        query = urlencode({"service": f"http://{service.address}"})
        page_files = {"/": ("text/html", LEFT_TO_ITSELF)}
        last = await published(service, BARS[:60])
        with scratch_folder() as profile:
            async with page_in_browser(profile, page_files, query) as page:
                told = [(await page.tells())["sequence"] for _ in range(20, last)]
                os.kill(service.child("envoy").pid, signal.SIGKILL)
                after = await published(service, BARS[:80])
                told += [(await page.tells())["sequence"] for _ in range(last, after)]
    assert told == list(range(21, after + 1))


async def test_what_is_no_longer_kept_is_told(folder: Path) -> None:
    async with running_service(folder) as service, service.client() as client:
        last = await published(service, BARS[:100])
        async with service.database() as database:
            await database.execute("DELETE FROM events WHERE sequence <= 40")
        await service.kill()
        await service.start()
        await published(service, BARS[:1])
        epoch = (await client.service_info()).epoch
        query = {"service": f"http://{service.address}", "bookmark": f'{{"epoch": "{epoch}", "sequence": 10}}'}
        with scratch_folder() as profile:
            async with page_in_browser(profile, FILES, urlencode(query)) as page:
                found, notices = await told_until(page, last)
        assert found == list(range(41, last + 1))
        assert {"what": "pruned", "detail": {"after": 10, "oldest": 41}} in notices
