"""API keys of a running service, made by the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

from .commands import run
from .deadlines import DEADLINE
from .service import RunningService

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


async def created_key(
    service: RunningService, role: str, *options: str, sent_with: Mapping[str, str] = NO_HEADERS
) -> str:
    """Make a key of a role, and return it once the service accepts it in a call with these headers."""
    settings = {"DATA_DIR": str(service.data_dir), "FEED": "push"}
    ended = await run("keys", "create", "--name", role, "--role", role, *options, **settings)
    assert ended.code == 0, ended.output
    key = ended.output.splitlines()[-1]
    async with service.rest() as rest, asyncio.timeout(DEADLINE):
        while (await rest.get("/", headers={"x-api-key": key, **sent_with})).status_code != 200:
            pass
    return key
