"""What only PostgreSQL can refuse, beyond the contract: it is neither an outage nor stale state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import asyncpg
import pytest
from tests.support.builders import NOW, bar, signal
from tests.support.trades import trade, update

from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.application.ports.store import RefusedByStore
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate
from tradingsignals_server.domain.signals import Action, Signal


def hold(**changes: object) -> Signal:
    """Return a signal that opens nothing, with `changes`."""
    return replace(signal(Action.HOLD, name=1), **changes)  # type: ignore[arg-type]


def position_without_a_price() -> Event:
    _, opened = trade(1)
    return replace(opened, current_price=-1.0)


REFUSED: dict[str, tuple[Callable[[], Event], str]] = {
    "a check constraint": (position_without_a_price, "positions_check"),
    "a value outside its type": (lambda: hold(latency_ms="long"), "TypeError"),
    "text that cannot be stored": (lambda: hold(model_version="1\0"), "CharacterNotInRepertoireError"),
    "text that cannot be encoded": (lambda: hold(model_version="\ud800"), "UnicodeEncodeError"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_refusal_names_the_rule_and_stores_nothing(store: PostgresStore, what: str) -> None:
    make, rule = REFUSED[what]
    opening, _ = trade(1)
    events = [opening, make()] if what == "a check constraint" else [make()]
    for _ in range(2):
        with pytest.raises(RefusedByStore, match=rule):
            await store.commit(events, NOW)
        assert (await store.log_head()).newest == 0
    await store.commit([update(0)], NOW)


async def test_error_of_a_trigger_is_a_refusal(store: PostgresStore, sql: asyncpg.Connection) -> None:
    await sql.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this'; END $$; "
        "CREATE TRIGGER refuse BEFORE INSERT ON signals FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(RefusedByStore, match="RaiseError"):
        await store.commit([hold()], NOW)
    await store.commit([update(0)], NOW)


NOT_FINITE = ("NaN", "Infinity", "-Infinity")
NO_PRICE = (*NOT_FINITE, "0", "-1")
PRICES = ("open", "high", "low", "close")


class TestConstraints:
    """No table takes an impossible number, whatever the program sends."""

    async def test_impossible_bar_is_refused(self, store: PostgresStore, sql: asyncpg.Connection) -> None:
        await store.commit([MarketUpdate(bar(0, 100.0, 102.0, 98.0), Disposition.ACCEPTED)], NOW)
        for price in NO_PRICE:
            await refuse(sql, "bars", dict.fromkeys(PRICES, price))
            for column in PRICES:
                await refuse(sql, "bars", {column: price})
        for volume in (*NOT_FINITE, "-1"):
            await refuse(sql, "bars", {"volume": volume})
        for contradiction in ({"high": "99"}, {"low": "101"}, {"open": "103"}, {"close": "97"}):
            await refuse(sql, "bars", contradiction)
        await refuse(sql, "bars", {"high": "98", "low": "102"})

    async def test_impossible_signal_is_refused(self, store: PostgresStore, sql: asyncpg.Connection) -> None:
        await store.commit([signal(name=1)], NOW)
        for column in ("entry_price", "stop_loss", "take_profit"):
            for price in NO_PRICE:
                await refuse(sql, "signals", {column: price})
        for column in ("confidence", "position_size"):
            for fraction in (*NOT_FINITE, "-0.1", "1.1"):
                await refuse(sql, "signals", {column: fraction})
        for column in ("stop_loss", "take_profit"):
            await refuse(sql, "signals", {column: None})

    async def test_impossible_position_is_refused(self, store: PostgresStore, sql: asyncpg.Connection) -> None:
        await store.commit(list(trade(1)), NOW)
        for column in ("entry_price", "stop_loss", "take_profit", "initial_stop_loss", "current_price"):
            for price in NO_PRICE:
                await refuse(sql, "positions", {column: price})
        for column in ("pnl", "pnl_pct", "pnl_account", "r_multiple"):
            for value in NOT_FINITE:
                await refuse(sql, "positions", {column: value})
        await refuse(sql, "positions", {"status": "CLOSED"})


async def refuse(sql: asyncpg.Connection, table: str, values: Mapping[str, str | None]) -> None:
    """Check that the only row of `table` cannot have these values."""
    changes = ", ".join(f"{column} = ${number}::text::float8" for number, column in enumerate(values, 1))
    if "status" in values:
        changes = "status = $1"
    with pytest.raises(asyncpg.CheckViolationError):
        await sql.execute(f"UPDATE {table} SET {changes}", *values.values())
