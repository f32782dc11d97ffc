"""What the database refuses is reported as refused: not as an outage, and not as stale state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import asyncpg
import pytest
from tests.support.builders import NOW, bar, signal

from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.application.ports.store import RefusedByStore, StaleState
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate
from tradingsignals_server.domain.signals import Action, Signal

from .test_store_contract import trade


def hold(**changes: object) -> Signal:
    """A signal that opens nothing, with `changes`."""
    return replace(signal(Action.HOLD, name=1), **changes)  # type: ignore[arg-type]


def position_without_a_price() -> Event:
    _, held = trade(1)
    return replace(held, current_price=-1.0)


REFUSED: dict[str, tuple[Callable[[], Event], str]] = {
    "a check constraint": (position_without_a_price, "positions_check"),
    "a value outside its type": (lambda: hold(latency_ms="long"), "TypeError"),
    "text that cannot be stored": (lambda: hold(model_version="1\0"), "CharacterNotInRepertoireError"),
    "text that cannot be encoded": (lambda: hold(model_version="\ud800"), "UnicodeEncodeError"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refusal_names_the_rule_and_stores_nothing(store: PostgresStore, what: str) -> None:
    make, rule = REFUSED[what]
    opened, _ = trade(1)
    events = [opened, make()] if what == "a check constraint" else [make()]
    for _ in range(2):
        with pytest.raises(RefusedByStore, match=rule):
            await store.commit(events, NOW)
        assert (await store.log_head()).newest == 0
    await store.commit([MarketUpdate(bar(0), Disposition.WARMING_UP)], NOW)


async def test_what_a_trigger_raises_is_a_refusal(store: PostgresStore, sql: asyncpg.Connection) -> None:
    await sql.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this'; END $$; "
        "CREATE TRIGGER refuse BEFORE INSERT ON signals FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(RefusedByStore, match="RaiseError"):
        await store.commit([hold()], NOW)
    await store.commit([MarketUpdate(bar(0), Disposition.WARMING_UP)], NOW)


async def test_what_is_stored_already_is_stale_state(store: PostgresStore) -> None:
    await store.commit([MarketUpdate(bar(0), Disposition.WARMING_UP)], NOW)
    with pytest.raises(StaleState):
        await store.commit([MarketUpdate(bar(0), Disposition.WARMING_UP)], NOW)
