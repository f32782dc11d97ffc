"""A service that wants API keys, and keys of a running service, made by its own code or by the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from types import MappingProxyType

from tradingsignals_server.adapters.postgres.api_keys import PostgresKeys
from tradingsignals_server.adapters.postgres.connection import connections
from tradingsignals_server.application.access.key_service import KeyService, NewKey
from tradingsignals_server.bootstrap.engine import utc_now
from tradingsignals_server.domain.access import Role

from .commands import run
from .deadlines import DEADLINE, poll
from .service import RunningService, running_service

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


async def created_key(
    service: RunningService, role: str, *options: str, sent_with: Mapping[str, str] = NO_HEADERS
) -> str:
    """Make a key of a role, and return it once the service accepts it in a call with these headers."""
    settings = {"DATA_DIR": str(service.data_dir), "FEED": "push"}
    ended = await run("keys", "create", "--name", role, "--role", role, *options, **settings)
    assert ended.code == 0, ended.output
    key = ended.output.splitlines()[-1]
    await known(service, key, sent_with=sent_with)
    return key


async def known(
    service: RunningService, key: str, status: int = 200, sent_with: Mapping[str, str] = NO_HEADERS
) -> None:
    """Wait until the service knows of the last change of a key, which it is notified of: its calls get `status`."""
    async with service.rest() as rest, asyncio.timeout(DEADLINE):
        while (await rest.get("/", headers={"x-api-key": key, **sent_with})).status_code != status:
            await poll()


@dataclass(frozen=True)
class GuardedService:
    """A service with AUTH=on, and what makes keys for it."""

    service: RunningService
    made: KeyService

    async def key(self, role: Role = Role.VIEWER, name: str | None = None) -> NewKey:
        """Return a new key that the service knows."""
        new = await self.made.create(name or role.value, role, None, [])
        await known(self.service, new.text)
        return new


@asynccontextmanager
async def guarded_service(folder: Path, **settings: str) -> AsyncIterator[GuardedService]:
    """Run a service with AUTH=on in `folder`, without limits unless `settings` have them."""
    async with (
        running_service(folder, **{"AUTH": "on", "RATE_LIMITS": "*=0", **settings}) as service,
        connections(service.dsn) as pool,
    ):
        yield GuardedService(service, KeyService(PostgresKeys(pool, service.dsn), utc_now, token_bytes))
