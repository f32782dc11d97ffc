"""The kill switch: in force on every server, through kill -9 and restarts, until trading is resumed by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg
import httpx
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE, poll
from tests.support.folders import scratch_folder
from tests.support.service import RunningService, running_service

import tradingsignals
from tradingsignals import AsyncClient

EAGER = {"CONFIDENCE_THRESHOLD": "0.36", "ATR_MULTIPLIER_SL": "100", "ATR_MULTIPLIER_TP": "150"}
BARS = walk(300, seed=13)
HALTED = "Trading is halted by hand (news at 10): no position is opened"

T = TypeVar("T")


async def get(rest: httpx.AsyncClient, path: str) -> dict[str, Any]:
    found: dict[str, Any] = (await rest.get(path)).raise_for_status().json()
    return found


async def stopped_signals(rest: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return the newest BUYs and SELLs that the halt kept from opening a position, the newest first."""
    signals = (await get(rest, "/api/signals/history?limit=300"))["signals"]
    return [signal for signal in signals if signal["reasoning"][-1] == HALTED]


async def until(find: Callable[[], Awaitable[T]]) -> T:
    """Wait until `find` returns something that is true, and return it."""
    async with asyncio.timeout(6 * DEADLINE):
        while not (found := await find()):
            await poll()
    return found


async def halted_account(rest: httpx.AsyncClient) -> dict[str, Any]:
    account: dict[str, Any] = (await get(rest, "/api/account"))["account"]
    return account if account["trading_halted"] else {}


async def two_addresses(database: asyncpg.Connection) -> list[str]:
    found = [row["address"] for row in await database.fetch("SELECT address FROM servers ORDER BY address")]
    return found if len(found) == 2 else []


async def is_halted(client: AsyncClient) -> bool:
    return bool((await client.health()).trading_halted)


async def is_resumed(client: AsyncClient) -> bool:
    return not await is_halted(client)


async def opened(service: RunningService) -> int:
    async with service.database() as database:
        count: int = await database.fetchval("SELECT count(*) FROM positions")
    return count


async def test_halt_survives_kill_9_and_a_restart_until_trading_is_resumed() -> None:
    with scratch_folder() as folder:
        async with running_service(folder, **EAGER) as service:
            async with service.client() as client, service.rest() as rest:
                await client.publish_bars(messages(BARS[:100]))
                before = await opened(service)
                assert before > 0
                answer = await rest.post("/api/account/halt", json={"reason": "news at 10", "by": "ana"})
                halted = answer.raise_for_status().json()["trading"]
                assert (halted["halted"], halted["reason"], halted["by"]) == (True, "news at 10", "ana")
                again = (await rest.post("/api/account/halt", json={"reason": "other"})).json()["trading"]
                assert again == halted
                await client.publish_bars(messages(BARS[100:160]))
            await service.kill_everything()
            await service.start()
            async with service.client() as client, service.rest() as rest:
                health = await get(rest, "/health")
                assert (health["trading_halted"], health["trading_halt_reason"]) == (
                    True,
                    "halted by hand (news at 10)",
                )
                await client.publish_bars(messages(BARS[160:220]))
                assert await opened(service) == before
                account = await until(lambda: halted_account(rest))  # it follows the log
                assert (account["halt_reason"], account["halted_by"]) == ("news at 10", "ana")
                await explained(rest)
                resumed = (await rest.post("/api/account/resume", json={})).raise_for_status().json()["trading"]
                assert resumed["halted"] is False
                await client.publish_bars(messages(BARS[220:]))
                assert await opened(service) > before
                assert (await get(rest, "/health"))["trading_halted"] is False


async def explained(rest: httpx.AsyncClient) -> None:
    """Check that a signal from before the restart and one from after it name the rule, and replay equal."""
    stopped = await stopped_signals(rest)
    newest, oldest = stopped[0], stopped[-1]
    assert newest["bar_time"] > BARS[160].time.isoformat() > oldest["bar_time"]
    for signal in (newest, oldest):
        rules = (await get(rest, f"/api/signals/{signal['signal_id']}/explanation"))["explanation"]["rules"]
        assert [rule["rule"] for rule in rules if rule["verdict"] == "STOPPED"] == ["HALTED_BY_HAND"]
        replay = (await rest.post(f"/api/signals/{signal['signal_id']}/replay", json={})).json()["replay"]
        assert replay["equal"], replay


async def test_halt_by_setting_cannot_be_resumed_by_a_call() -> None:
    with scratch_folder() as folder:
        async with (
            running_service(folder, TRADING_HALTED="true", **EAGER) as service,
            service.client() as client,
            service.rest() as rest,
        ):
            await client.publish_bars(messages(BARS[:100]))
            assert await opened(service) == 0
            refused = await rest.post("/api/account/resume", json={"by": "ana"})
            assert refused.status_code == 400
            assert refused.json()["details"][0]["reason"] == "TRADING_HALTED_BY_SETTING"
            health = await get(rest, "/health")
            assert health["trading_halt_reason"] == "halted by the setting TRADING_HALTED"
            unknown = await rest.post("/api/account/halt", json={"why": "news"})
            assert (unknown.status_code, "why" in unknown.text) == (400, True)


async def test_halt_on_one_server_is_in_force_on_the_other() -> None:
    lines = [walk(80, seed=number, symbol=f"S{number}COP") for number in range(6)]
    with scratch_folder() as folder:
        async with running_service(folder, SERVERS="2", **EAGER) as service:
            async with service.database() as database:
                found = await until(lambda: two_addresses(database))
            one, other = (tradingsignals.connect(address, timeout=DEADLINE) for address in found)
            async with one, other:
                # Each server works on the symbols that come to it first.
                await published(one, lines[:3], 0, 50)
                await published(other, lines[3:], 0, 50)
                before = await opened(service)
                assert (await one.halt_trading("news at 10", by="ana")).halted
                await until(lambda: is_halted(other))
                await published(one, lines[:3], 50, 70)
                await published(other, lines[3:], 50, 70)
                assert await opened(service) == before
                assert not (await other.resume_trading()).halted
                await until(lambda: is_resumed(one))
                await published(one, lines[:3], 70, 80)
                await published(other, lines[3:], 70, 80)
                assert await opened(service) > before


async def published(client: AsyncClient, lines: Sequence[Sequence[Any]], first: int, end: int) -> None:
    for line in lines:
        response = await client.publish_bars(messages(line[first:end]))
        assert response.rejected == 0
