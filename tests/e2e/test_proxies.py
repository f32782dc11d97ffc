"""A service behind proxies that it trusts: networks of keys, limits and audit go by the address that these name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
from tests.support.deadlines import DEADLINE, poll
from tests.support.keys import created_key
from tests.support.service import running_service

CALLER, OTHER = "203.0.113.9", "198.51.100.7"


async def status(rest: httpx.AsyncClient, key: str, address: str) -> int:
    """Return the status of a call that a proxy passes on for the caller at an address."""
    headers = {"x-forwarded-for": address, **({"x-api-key": key} if key else {})}
    return (await rest.get("/api/signals/history", headers=headers)).status_code


async def test_proxies_that_are_trusted_name_the_address_of_the_caller(folder: Path) -> None:
    settings = {"AUTH": "on", "TRUSTED_PROXIES": "127.0.0.0/8", "RATE_LIMITS": "*=0,none=1"}
    async with running_service(folder, **settings) as service, service.rest() as rest:
        desk = await created_key(
            service, "viewer", "--network", "203.0.113.0/24", sent_with={"x-forwarded-for": CALLER}
        )
        admin = await created_key(service, "admin")
        assert await status(rest, admin, "192.0.2.1") == 200
        assert await status(rest, desk, CALLER) == 200
        assert await status(rest, desk, f"6.6.6.6, {CALLER}") == 200
        assert await status(rest, desk, OTHER) == 403
        assert await status(rest, desk, f"{CALLER}, {OTHER}") == 403, "a caller writes before what the proxy appends"

        async with asyncio.timeout(DEADLINE):  # several at once: a slow machine may make one a second
            while 429 not in await asyncio.gather(*(status(rest, "", OTHER) for _ in range(5))):
                await poll()
        assert await status(rest, "", "198.51.100.8") == 401, "another caller has its own limit"

        probes = [await rest.get("/health", headers={"x-forwarded-for": OTHER}) for _ in range(5)]
        assert [probe.status_code for probe in probes] == [200] * 5, "a balancer would take the service for dead"

        async with asyncio.timeout(DEADLINE):
            while OTHER not in await audited(rest, admin, "NETWORK_NOT_ALLOWED"):
                await poll()
        assert CALLER not in await audited(rest, admin, "NETWORK_NOT_ALLOWED")


async def audited(rest: httpx.AsyncClient, key: str, reason: str) -> set[str]:
    """Return the addresses of the refusals of a reason."""
    found = (await rest.get("/api/access/audit", headers={"x-api-key": key})).json()["entries"]
    return {entry["address"] for entry in found if entry["reason"] == reason}
