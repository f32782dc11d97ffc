"""The command line of API keys: `tradingsignals keys`."""

from __future__ import annotations

from datetime import timedelta

import click

from ..config.settings import Settings
from ..domain.access import Role
from .options import FiniteRange
from .run import run


@click.group()
def keys() -> None:
    """Make, list and revoke API keys, in the database of the settings.

    It works beside a running service, whose servers know of a change within a second.
    """


@keys.command()
@click.option("--name", required=True, help="Whom or what it is for, such as 'execution engine'.")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="What it may do.")
@click.option("--days", type=FiniteRange(0, 36_500, min_open=True), help="Days until it expires; never if not given.")
@click.option("--network", "networks", multiple=True, help="Only from here, such as 10.0.0.0/8; may be given again.")
def create(name: str, role: str, days: float | None, networks: tuple[str, ...]) -> None:
    """Make a key, and print it: it is shown this once, and stored as a hash."""
    from ..commands import keys as command

    lifetime = None if days is None else timedelta(days=days)
    run(command.create(Settings.from_env(), name, Role(role), lifetime, networks))


@keys.command(name="list")
def list_() -> None:
    """List all keys, revoked and expired ones included."""
    from ..commands import keys as command

    run(command.list_keys(Settings.from_env()))


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke the key KEY_ID: the second part of the key, between the underscores. Its streams end within a second."""
    from ..commands import keys as command

    run(command.revoke(Settings.from_env(), key_id))
