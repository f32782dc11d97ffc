"""The command line of notifications: `tradingsignals notifications`."""

from __future__ import annotations

import click

from ..config.settings import Settings
from ..domain.events import EventKind
from .options import FiniteRange
from .run import run

_KIND = click.Choice([kind.value for kind in EventKind], case_sensitive=False)


@click.group()
def notifications() -> None:
    """Make, list and change endpoints that the log is delivered to, in the database of the settings.

    It works beside a running service, which knows of a change at once. Endpoints are named by their names.
    """


@notifications.command()
@click.argument("name")
@click.argument("url")
@click.option("--kind", "kinds", type=_KIND, multiple=True, help="Only entries of this kind; may be given again.")
@click.option("--symbol", "symbols", multiple=True, help="Only entries of this symbol; may be given again.")
@click.option("--min-confidence", type=FiniteRange(0, 1), help="Only signals with at least this confidence.")
@click.option("--after", type=click.IntRange(min=0), help="Deliver what comes after this sequence, not from now on.")
def create(
    name: str,
    url: str,
    kinds: tuple[str, ...],
    symbols: tuple[str, ...],
    min_confidence: float | None,
    after: int | None,
) -> None:
    """Make the endpoint NAME at URL, and print the secret that verifies its messages: it is shown this once."""
    from ..commands import notifications as command

    run(command.create(Settings.from_env(), name, url, kinds, symbols, min_confidence, after))


@notifications.command(name="list")
def list_() -> None:
    """List all endpoints: how far each is, and why it is disabled."""
    from ..commands import notifications as command

    run(command.list_endpoints(Settings.from_env()))


@notifications.command()
@click.argument("name")
@click.option("--url", help="Another URL.")
@click.option("--pause/--activate", "paused", default=None, help="Pause it, or activate it, also if it is disabled.")
@click.option("--after", type=click.IntRange(min=0), help="Deliver what comes after this sequence.")
def update(name: str, url: str | None, paused: bool | None, after: int | None) -> None:
    """Change the endpoint NAME; what is not given stays as it is."""
    from ..commands import notifications as command

    run(command.update(Settings.from_env(), name, url, paused, after))


@notifications.command()
@click.argument("name")
def test(name: str) -> None:
    """Send a test message to the endpoint NAME, from this machine, and print the result."""
    from ..commands import notifications as command

    run(command.test(Settings.from_env(), name))


@notifications.command()
@click.argument("name")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many to list.")
def deliveries(name: str, limit: int) -> None:
    """List the newest attempts to deliver to the endpoint NAME."""
    from ..commands import notifications as command

    run(command.deliveries(Settings.from_env(), name, limit))


@notifications.command()
@click.argument("name")
def delete(name: str) -> None:
    """Delete the endpoint NAME and its deliveries."""
    from ..commands import notifications as command

    run(command.delete(Settings.from_env(), name))
