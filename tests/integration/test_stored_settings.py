"""Settings that contradict the database: equity and currency of the account, and the market of its bars."""

from __future__ import annotations

import pytest
from tests.support.builders import NOW, bar

from tradingsignals_server.adapters.postgres.connection import Connections
from tradingsignals_server.adapters.postgres.membership import Membership
from tradingsignals_server.adapters.postgres.outcomes import PostgresOutcomes
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.api.mapping.log_messages import LOG_DECODERS
from tradingsignals_server.bootstrap.storage import open_storage, require_account, require_feed
from tradingsignals_server.commands.doctor.storage import check_database
from tradingsignals_server.commands.ledger import rebuild
from tradingsignals_server.config.settings import InvalidSettings, Settings
from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.events import Disposition, MarketUpdate
from tradingsignals_server.domain.ledger import LEDGER_VERSION

REFUSAL = (
    "INITIAL_EQUITY=100000 and ACCOUNT_CURRENCY={}: the account began with 1000000 USD; set INITIAL_EQUITY=1000000 and "
    "ACCOUNT_CURRENCY=USD, or run `tradingsignals ledger rebuild` with the new values, which values the whole account "
    "by them"
)


@pytest.fixture(autouse=True)
def configured(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the database, which may be one behind a socket, in the settings."""
    monkeypatch.setattr(Settings, "dsn", dsn)
    monkeypatch.setattr(Settings, "embedded_database", False)


@pytest.fixture
async def began(pool: Connections) -> None:
    """An account of a million dollars."""
    outcomes = PostgresOutcomes(pool, encode, LOG_DECODERS)
    await outcomes.restart_ledger(LEDGER_VERSION, Account.opened(1_000_000.0), "USD")


def settings_with(**changed: object) -> Settings:
    return Settings.from_env(**{"feed": "push", "initial_equity": 100_000.0, **changed})


@pytest.mark.usefixtures("began")
@pytest.mark.parametrize("currency", ["USD", "EUR"])
async def test_start_is_refused_with_another_account(pool: Connections, dsn: str, currency: str) -> None:
    settings = settings_with(account_currency=currency)
    with pytest.raises(InvalidSettings) as refused:
        async with open_storage(settings, dsn):
            pass
    assert str(refused.value) == REFUSAL.format(currency)
    await require_account(pool, settings_with(initial_equity=1_000_000.0))


async def test_account_that_has_yet_to_begin_takes_any_settings(pool: Connections) -> None:
    await require_account(pool, settings_with())


@pytest.mark.usefixtures("began")
async def test_rebuild_takes_the_new_values_once_the_servers_have_stopped(pool: Connections, dsn: str) -> None:
    settings = settings_with()
    server = Membership(dsn, lambda: None)
    await server.join("127.0.0.1:50051")
    with pytest.raises(InvalidSettings, match="stop the servers of the database before a rebuild with other values: "):
        await rebuild(settings)
    await rebuild(settings_with(initial_equity=1_000_000.0))
    await server.leave()
    await rebuild(settings)
    await require_account(pool, settings)


@pytest.mark.usefixtures("began")
async def test_doctor_reports_what_the_start_refuses() -> None:
    found = await check_database(settings_with())
    assert REFUSAL.format("USD") in [each.text for each in found]
    found = await check_database(settings_with(initial_equity=1_000_000.0))
    assert [each.level for each in found if each.subject in {"settings", "stored"}] == ["ok"]


@pytest.mark.usefixtures("began")
async def test_doctor_reports_every_setting_that_the_start_refuses(pool: Connections) -> None:
    await PostgresStore(pool, encode).commit([MarketUpdate(bar(0), Disposition.ACCEPTED)], NOW)
    found = await check_database(settings_with(bar_interval="15m", feed="simulate"))
    named = [each.text.partition("=")[0] for each in found if (each.subject, each.level) == ("settings", "problem")]
    assert named == ["BAR_INTERVAL", "INITIAL_EQUITY", "FEED"]
    found = await check_database(settings_with(bars_table="no_such_table", initial_equity=1_000_000.0))
    problems = [each.text for each in found if (each.subject, each.level) == ("settings", "problem")]
    assert problems == ["BARS_TABLE=no_such_table: there is no such table in the database"]


@pytest.mark.parametrize(
    ("bars", "refused"),
    [
        ([], False),
        ([bar(0), bar(1, simulated=True)], False),
        ([bar(0, simulated=True), bar(1)], True),
        ([bar(0, symbol="EURUSD")], False),
    ],
)
async def test_simulated_bars_never_follow_real_ones(pool: Connections, bars: list[Bar], *, refused: bool) -> None:
    store = PostgresStore(pool, encode)
    if bars:
        await store.commit([MarketUpdate(one, Disposition.ACCEPTED) for one in bars], NOW)
    await require_feed(pool, settings_with())
    settings = settings_with(feed="simulate")
    if refused:
        with pytest.raises(InvalidSettings, match="FEED=simulate: the stored bars of USDCOP are not simulated"):
            await require_feed(pool, settings)
    else:
        await require_feed(pool, settings)
