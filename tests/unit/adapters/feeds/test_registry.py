"""Each feed declares its settings and properties."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.builders import now
from tests.support.twelvedata import KEY

from tradingsignals_server.adapters.feeds.kind import FeedContext
from tradingsignals_server.adapters.feeds.registry import FEEDS
from tradingsignals_server.adapters.feeds.replay import ReplayFeed
from tradingsignals_server.adapters.feeds.simulate import SimulatedFeed
from tradingsignals_server.adapters.feeds.twelvedata.feed import TwelveDataFeed
from tradingsignals_server.bootstrap.supervisor import server_environment
from tradingsignals_server.config.settings import Settings
from tradingsignals_server.domain.calendar import calendar_for


def settings_of(feed: str) -> Settings:
    return Settings.from_env(feed=feed, replay_file="bars.csv", twelvedata_api_key=KEY)


def test_feeds_read_existing_settings_only() -> None:
    for kind in FEEDS.values():
        assert set(kind.settings) <= set(Settings.model_fields)
        assert kind.speed is None or kind.speed in kind.settings


def test_only_the_simulation_is_simulated_and_real_markets_are_live() -> None:
    assert {name for name, kind in FEEDS.items() if kind.is_simulated} == {"simulate"}
    assert {name for name, kind in FEEDS.items() if kind.is_live} == {"push", "twelvedata"}


def test_only_bars_that_are_faster_than_the_market_set_its_time() -> None:
    settings = Settings.from_env()
    assert {name for name, kind in FEEDS.items() if kind.sets_market_time(settings, "USDCOP")} == {"simulate", "replay"}


@pytest.mark.parametrize(
    ("name", "type_"),
    [("simulate", SimulatedFeed), ("replay", ReplayFeed), ("push", type(None)), ("twelvedata", TwelveDataFeed)],
)
def test_feed_is_built_from_the_settings(name: str, type_: type) -> None:
    settings = settings_of(name)
    assert isinstance(settings.feed.build(settings, FeedContext(now, calendar_for)), type_)


def test_only_the_replay_feed_reads_a_file() -> None:
    files = {name: settings_of(name) for name in FEEDS}
    assert {name: settings.feed.file(settings) for name, settings in files.items()} == {
        "simulate": None,
        "replay": Path("bars.csv"),
        "push": None,
        "twelvedata": None,
    }


@pytest.mark.parametrize("name", ["simulate", "twelvedata"])
def test_server_of_a_cluster_gets_every_setting_of_its_feed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Options of the command line reach the servers that it starts, and secrets as they are."""
    settings = Settings.from_env(
        feed=name,
        twelvedata_api_key=KEY,
        symbols="USDCOP,EURUSD",
        simulate_speed=7.0,
        simulate_start="2021-01-04",
        servers=2,
    )
    for variable, value in server_environment(settings, "postgresql:///x?host=h&port=1").items():
        monkeypatch.setenv(variable, value)
    read = Settings.from_env()
    assert read.feed is settings.feed
    assert [getattr(read, each) for each in settings.feed.settings] == [
        getattr(settings, each) for each in settings.feed.settings
    ]
