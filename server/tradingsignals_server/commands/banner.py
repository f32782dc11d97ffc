"""The text that is printed at the start: the address of the service, and commands to paste."""

from __future__ import annotations

from .. import program
from ..adapters.postgres.embedded.programs import program as postgres_program
from ..config.settings import Settings


def banner(address: str, settings: Settings, dsn: str) -> str:
    """Return the banner of a service at the public `address`. Its commands work in any shell of this machine."""
    url = f"{'http' if settings.tls is None else 'https'}://{address}"
    client = f'import tradingsignals; print(tradingsignals.connect_sync("{address}").service_info())'
    database = f"{postgres_program('psql')} '{dsn}'" if settings.embedded_database else "the one you named"
    return f"""
Trading signals are served on {address}  (feed: {settings.feed})

  dashboard        {url}/
  in the terminal  {program.command("watch", "--address", address)}
  documentation    {url}/docs
  REST             curl '{url}/api/signals/latest'
  live (SSE)       curl -N -H 'Accept: text/event-stream' '{url}/api/signals/stream'
  gRPC             {program.python(client)}
  database         {database}

Ctrl-C stops it; everything is kept.
"""
