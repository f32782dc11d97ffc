"""docs/examples/follow.js in a real browser: an EventSource gets every event exactly once."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.support.bars import messages
from tests.support.browser import CHROMIUM, PAGES, Page, page_in_browser
from tests.support.builders import walk
from tests.support.folders import scratch_folder
from tests.support.publishing import published
from tests.support.service import running_service
from tests.support.settled import settled

BARS = messages(walk(100, seed=13))
SCRIPT = Path(__file__).parents[2] / "docs/examples/follow.js"
HTML = b"""<!doctype html><script type="module">
import { follow } from "/follow.js";
const parameters = new URLSearchParams(location.search);
let telling = Promise.resolve();
const post = (what) => fetch("/report", { method: "POST", body: JSON.stringify(what) });
const tell = (what) => { telling = telling.then(() => post(what)); };
follow(parameters.get("service"), {
  bookmark: JSON.parse(parameters.get("bookmark")),
  heartbeatSeconds: 5,
  onEvent: (event, bookmark) => tell({ sequence: Number(event.sequence), bookmark }),
  onNotice: (what, detail) => tell({ what, detail }),
});
</script>"""
FILES = {"/": ("text/html", HTML), "/follow.js": ("text/javascript", SCRIPT.read_bytes())}
LEFT_TO_ITSELF = b"""<!doctype html><script type="module">
let telling = Promise.resolve();
const post = (what) => fetch("/report", { method: "POST", body: JSON.stringify(what) });
const source = new EventSource(`${new URLSearchParams(location.search).get("service")}/api/events?resume_after=20`);
source.onmessage = (message) => {
  for (const event of JSON.parse(message.data).events) {
    if (!event.heartbeat) telling = telling.then(() => post({ sequence: Number(event.sequence) }));
  }
};
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


async def reports_until(page: Page, last: int) -> tuple[list[int], list[Any]]:
    """Return the events up to `last`, and the notices between them."""
    sequences: list[int] = []
    notices: list[Any] = []
    while not sequences or sequences[-1] < last:
        report = await page.next_report()
        if "what" in report:
            notices.append(report)
        else:
            sequences.append(report["sequence"])
            assert report["bookmark"]["sequence"] == report["sequence"]
    return sequences, notices


async def test_event_source_resumes_after_interruptions(folder: Path) -> None:
    async with running_service(folder, CORS_ORIGINS=PAGES) as service, service.client() as client:
        epoch = (await client.service_info()).epoch
        query = {"service": f"http://{service.address}", "bookmark": f'{{"epoch": "{epoch}", "sequence": 0}}'}
        with scratch_folder() as profile:
            async with page_in_browser(profile, FILES, urlencode(query)) as page:
                last = await published(service, BARS[:60])
                assert (await reports_until(page, last))[0] == list(range(1, last + 1))

                os.kill(service.child("envoy").pid, signal.SIGKILL)
                after_envoy = await published(service, BARS[:80])
                found, notices = await reports_until(page, after_envoy)
                assert found == list(range(last + 1, after_envoy + 1))
                assert {"lost", "connected"} <= {notice["what"] for notice in notices}

                await service.kill()
                await service.start()
                await published(service, BARS[:100])
                after_kill = await settled(client)
                assert (await reports_until(page, after_kill))[0] == list(range(after_envoy + 1, after_kill + 1))

                assert await service.stop() == 0
                shutil.rmtree(service.data_dir)
                await service.start()
                anew = await published(service, BARS[:60])
                found, notices = await reports_until(page, anew)
                assert found == list(range(1, anew + 1))
                (change,) = [notice["detail"] for notice in notices if notice["what"] == "new epoch"]
                assert change["old"] == {"epoch": epoch, "sequence": after_kill}
                assert change["epoch"] != epoch


async def test_plain_event_source_resumes_by_its_last_event_id(folder: Path) -> None:
    """It repeats its URL with the old `resume_after`; the Last-Event-ID that it sends has precedence."""
    async with running_service(folder, CORS_ORIGINS=PAGES) as service:
        query = urlencode({"service": f"http://{service.address}"})
        page_files = {"/": ("text/html", LEFT_TO_ITSELF)}
        last = await published(service, BARS[:60])
        with scratch_folder() as profile:
            async with page_in_browser(profile, page_files, query) as page:
                report = [(await page.next_report())["sequence"] for _ in range(20, last)]
                os.kill(service.child("envoy").pid, signal.SIGKILL)
                after = await published(service, BARS[:80])
                report += [(await page.next_report())["sequence"] for _ in range(last, after)]
    assert report == list(range(21, after + 1))


async def test_pruned_events_are_reported_to_the_page(folder: Path) -> None:
    async with running_service(folder, CORS_ORIGINS=PAGES) as service, service.client() as client:
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
                found, notices = await reports_until(page, last)
        assert found == list(range(41, last + 1))
        assert {"what": "pruned", "detail": {"after": 10, "oldest": 41}} in notices
