"""`tradingsignals up` and `tradingsignals serve`: start the service, print its address, and run until stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from ..adapters.envoy.hosts import is_loopback
from ..adapters.feeds.kind import OnProgress
from ..application.decision.pipeline import Pipeline
from ..bootstrap.edge import all_in_one
from ..bootstrap.exposure import exposure, require_protection
from ..bootstrap.server import serving
from ..bootstrap.storage import database
from ..bootstrap.supervisor import multi_server
from ..config.settings import Settings
from .banner import banner
from .progress import ReplayDisplay

log = logging.getLogger(__name__)


async def up(settings: Settings) -> None:
    """Run the service, its database and its edge until cancelled, or until the database needs a newer program."""
    _protect(settings, "SIGNAL_SERVICE_HOST", "GRPC_HOST")
    with _replay_display(settings) as on_progress:
        async with all_in_one(settings, on_progress) as running:
            _warn_of_placeholder(running.service.pipeline)
            address = settings.public_address(running.edge.port)
            print(banner(address, settings, running.service.dsn), file=sys.stderr, flush=True)
            await running.service.until_refused()


@contextmanager
def _replay_display(settings: Settings) -> Iterator[OnProgress | None]:
    """Provide a progress bar for the file feed on a terminal; None otherwise, and then the progress is logged."""
    console = Console(stderr=True)
    file = settings.feed.file(settings)
    if file is None or not console.is_terminal:
        yield None
        return
    with ReplayDisplay(console, file.name, time.monotonic) as display:
        yield display.update


async def up_multi_server(settings: Settings) -> None:
    """Run several servers with their database and edge until cancelled; SIGHUP restarts the servers one by one."""
    _protect(settings, "SIGNAL_SERVICE_HOST")
    restart = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, restart.set)
    async with multi_server(settings) as running:
        print(banner(settings.public_address(running.edge.port), settings, running.dsn), file=sys.stderr, flush=True)
        while True:
            await restart.wait()
            restart.clear()
            await running.restart_in_turn()


async def serve(settings: Settings) -> None:
    """Run the gRPC server, and the embedded database if no other is configured, until cancelled.

    It ends too when the database needs a newer program.
    """
    _protect(settings, "GRPC_HOST")
    async with database(settings) as dsn, serving(settings, dsn) as service:
        _warn_of_placeholder(service.pipeline)
        log.info("serving gRPC on %s:%d, feed %s", settings.grpc_host, service.grpc_port, settings.feed)
        await service.until_refused()


def _protect(settings: Settings, *names: str) -> None:
    """Refuse to listen without protection beyond this machine, and warn where it was asked for outright."""
    require_protection(settings, *names)
    for sentence in exposure(settings):
        log.warning(sentence)
    if (settings.metrics_port or settings.edge_metrics_port) and not is_loopback(settings.metrics_host):
        log.warning(
            "METRICS_HOST=%s listens beyond this machine, also with AUTH=on: whatever reaches it can read equity and "
            "signals in the metrics",
            settings.metrics_host,
        )


def _warn_of_placeholder(pipeline: Pipeline) -> None:
    if pipeline.live.policy.description.simulated:
        log.warning("no model is loaded (MODEL_PATH): predictions are placeholders, signals are marked simulated")
