"""`tradingsignals edge`: the files for an Envoy that runs outside this program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from ..adapters.envoy.hosts import parse_hosts
from ..adapters.envoy.render import Address, EdgeConfig, write_edge_files


def write(
    out: Path,
    backends: Sequence[str],
    listen: str,
    fanout: Sequence[str],
    allowed_hosts: str,
    metrics: str | None = None,
) -> None:
    """Write the files of an edge for the gRPC servers at `backends` and the fan-out servers at `fanout` into `out`.

    EDGE_SECRET of the environment is that of these servers.
    """
    # Such an Envoy may have a read-only folder, so its admin interface is a port of its loopback interface.
    try:
        hosts = parse_hosts(allowed_hosts)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--allowed-hosts") from error
    first, *further = (_address(backend, "--backend") for backend in backends)
    config = EdgeConfig(
        listen=_address(listen, "--listen"),
        backend=first,
        further_backends=tuple(further),
        fanout=tuple(_address(address, "--fanout") for address in fanout),
        allowed_hosts=hosts,
        metrics=None if metrics is None else _address(metrics, "--metrics"),
        admin=Address("127.0.0.1", 9901),
        secret=os.environ.get("EDGE_SECRET", ""),
    )
    write_edge_files(config, out)
    print(f"wrote {out}/envoy.yaml and what it needs")


def _address(text: str, option: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise click.BadParameter("must be HOST:PORT", param_hint=option)
    return Address(host, int(port))
