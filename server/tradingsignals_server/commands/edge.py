"""`tradingsignals edge`: the files for an Envoy that runs outside this program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from ..adapters.envoy.render import Address, write_edge_files
from ..bootstrap.edge import edge_config
from ..config.settings import Settings
from ..transport.certificates import load


def write(
    settings: Settings, out: Path, backends: Sequence[str], listen: str, fanout: Sequence[str], metrics: str | None
) -> None:
    """Write the files of an edge for the gRPC servers at `backends` and the fan-out servers at `fanout` into `out`.

    All else is as with `up` for the same settings. Files that these name are read by Envoy, by the same path.

    Raises:
        CertificateRefused: servers would refuse the certificate of GRPC_TLS_CERT, if it is here.
    """
    if (tls := settings.grpc_tls) is not None and tls.certificate.exists():
        load(tls, is_server=False)
    servers = [_address(backend, "--backend") for backend in backends]
    config = replace(
        edge_config(settings, servers, [_address(address, "--fanout") for address in fanout]),
        listen=_address(listen, "--listen"),
        metrics=None if metrics is None else _address(metrics, "--metrics"),
        # Such an Envoy may have a read-only folder, so its admin interface is a port of its loopback interface.
        admin=Address("127.0.0.1", 9901),
    )
    write_edge_files(config, out)
    print(f"wrote {out}/envoy.yaml and what it needs")


def _address(text: str, option: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise click.BadParameter("must be HOST:PORT", param_hint=option)
    return Address(host, int(port))
