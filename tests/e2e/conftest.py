"""A service that the tests share, and folders and symbols for single tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from string import ascii_uppercase

import httpx
import pytest
from tests.support.bars import messages
from tests.support.browser import PAGES
from tests.support.builders import walk
from tests.support.chromium import Tab, chromium
from tests.support.dashboard import Dashboard
from tests.support.dashboard_feed import Feed
from tests.support.folders import scratch_folder
from tests.support.service import RunningService, running_service
from tests.support.settled import settled

from tradingsignals import AsyncClient
from tradingsignals_server.domain.bars import Bar

SHIPPED_MODEL = Path(__file__).parents[2] / "models/ppo-lstm-usdcop/2.0.0/model.onnx"

_numbers = count(1)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for the files of a service."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def known_bars() -> list[Bar]:
    """Six sessions of USDCOP, which the shared service has stored from the start."""
    return walk(360, seed=13)


@pytest.fixture(scope="session")
async def service(known_bars: list[Bar]) -> AsyncIterator[RunningService]:
    """The shared service: the real command, the real database, the real edge."""
    with scratch_folder() as folder:
        async with running_service(folder, CORS_ORIGINS=PAGES) as service, service.client() as client:
            response = await client.publish_bars(messages(known_bars))
            assert response.accepted == len(known_bars) - 49
            await settled(client)
            yield service


@pytest.fixture
async def rest(service: RunningService) -> AsyncIterator[httpx.AsyncClient]:
    """A REST client of the shared service."""
    async with service.rest() as caller:
        yield caller


@pytest.fixture
async def client(service: RunningService) -> AsyncIterator[AsyncClient]:
    """The published client of the shared service."""
    async with service.client() as client:
        yield client


@pytest.fixture
def symbol() -> str:
    """A symbol that no other test uses. It trades at all hours, so a test may generate a signal at any time."""
    return f"T{next(_numbers)}COP"


@pytest.fixture
def peso_pair() -> str:
    """A currency pair that no other test uses. It trades in the sessions of Bogota."""
    number = next(_numbers)
    return f"X{ascii_uppercase[number // 26]}{ascii_uppercase[number % 26]}COP"


@pytest.fixture(scope="module")
async def replayed() -> AsyncIterator[RunningService]:
    """The service that the dashboard of a module's tests is of."""
    with scratch_folder() as folder:
        shadow = {"SHADOW_MODEL_PATH": str(SHIPPED_MODEL)}
        async with running_service(folder, CONFIDENCE_THRESHOLD="0.4", **shadow) as service:
            yield service


@pytest.fixture(scope="module")
async def feed(replayed: RunningService) -> Feed:
    """Its bars, of which the first have been published."""
    feed = Feed(replayed)
    await feed.publish(600)
    return feed


@pytest.fixture(scope="module")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tab]:
    """A tab of a browser for the tests of a module."""
    async with chromium(tmp_path_factory.mktemp("chromium")) as tab:
        await tab.resize(1440)
        yield tab


@pytest.fixture
async def page(tab: Tab, replayed: RunningService, feed: Feed) -> Dashboard:
    """The dashboard."""
    await tab.show("about:blank")  # what the page before still complains about is not of this test
    tab.complaints.clear()
    return Dashboard(tab, replayed.address)


@pytest.fixture
async def api(replayed: RunningService) -> AsyncIterator[httpx.AsyncClient]:
    """A REST client of the service of the dashboard."""
    async with replayed.rest() as rest:
        yield rest
