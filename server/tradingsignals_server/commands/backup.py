"""`tradingsignals backup` and `tradingsignals restore`: the whole database in one file, and back."""

from __future__ import annotations

from pathlib import Path

from ..adapters.postgres import backup as adapter
from ..bootstrap.embedded import REAL, SIMULATED
from ..bootstrap.storage import database_as_is
from ..config.settings import Settings


async def backup(settings: Settings, out: Path) -> None:
    """Write a backup to the new file `out`, beside a running service if there is one, and print what it has."""
    async with database_as_is(settings) as dsn:
        contents = await adapter.back_up(dsn, out)
    print(f"{out}: {_size(out)}; {contents}")


async def restore(settings: Settings, file: Path, *, same_epoch: bool) -> None:
    """Restore a backup into the empty database that is configured, and print what that has then, and its valid keys.

    Of the embedded databases it is that of simulated bars for a backup of those, and the other one for any other.
    """
    is_simulated = await adapter.holds_simulated_bars(file, named={SIMULATED})
    async with database_as_is(settings, holds=SIMULATED if is_simulated else REAL) as dsn:
        contents = await adapter.restore(dsn, file, same_epoch=same_epoch)
        keys = await adapter.valid_keys(dsn)
    epoch = "its epoch is kept" if same_epoch else "its log has a new epoch, so followers stop and say so"
    print(f"restored: {contents}; {epoch}")
    if keys:
        are, those = ("key is", "it if it was") if len(keys) == 1 else ("keys are", "those that were")
        print(f"{len(keys):,} API {are} valid as at the backup; revoke {those} revoked since: {', '.join(keys)}")


def _size(file: Path) -> str:
    return f"{file.stat().st_size:,} bytes"
