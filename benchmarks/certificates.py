"""What TLS behind the edge costs: the same load on services with and without it, side by side.

Measured: processor time of server and edge for a thousand events of bursts to 1,000 followers through Envoy by gRPC
(100 streams a connection), and for a POST generate (16 clients). Envoy's connections to the server are
few, whatever the number of callers is. Ratios are to the service without TLS.

How: two services, each on a PostgreSQL of its own, measured in turn; the certificates are those of
deploy/certificates.sh.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, simulated_bars
from .cpu import compared, metered
from .load import Followers, following
from .measure import Effort, Figure, at_most, in_turn
from .observability import generated
from .processes import ROOT
from .service import Service, running_database, running_service
from .streams import SYMBOL, Publisher, publishing, through_envoy

FOLLOWERS, SIGNALS = 1_000, 200
PLAIN, TLS = "without TLS", "with TLS"
TARGET = at_most(1.1)


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    async with AsyncExitStack() as stack:
        services = {
            name: await stack.enter_async_context(_service(effort, with_tls=name == TLS)) for name in (PLAIN, TLS)
        }
        for service in services.values():
            await service.publish(simulated_bars(SYMBOL, WARMING_BARS), by_edge=True)
        calls = {name: partial(generated, service, effort.seconds) for name, service in services.items()}
        for figure in await _compared(effort, services, "POST generate, 16 clients", calls):
            yield figure
        bursts = {
            name: partial(
                _burst,
                await stack.enter_async_context(following(through_envoy(service)[0], FOLLOWERS)),
                await stack.enter_async_context(publishing(service.rest_port)),
                iter(simulated_bars(SYMBOL, WARMING_BARS + (effort.runs + 1) * SIGNALS)[WARMING_BARS:]),
            )
            for name, service in services.items()
        }
        what = f"burst to {FOLLOWERS:,} by gRPC through Envoy, for 1,000 events"
        for figure in await _compared(effort, services, what, bursts):
            yield figure


async def _compared(
    effort: Effort, services: Mapping[str, Service], what: str, loads: Mapping[str, Callable[[], Awaitable[float]]]
) -> list[Figure]:
    """Return processor time of server and edge by side, and its ratio to that without TLS."""
    sides = {name: partial(metered, services[name].processes, load) for name, load in loads.items()}
    runs = await in_turn(effort, sides)
    cpu = {name: [(one.cpu_seconds, one.result) for one in of_side] for name, of_side in runs.items()}
    return compared(what, cpu, PLAIN, TARGET)


async def _burst(followers: Followers, publisher: Publisher, bars: Iterator[Bar]) -> float:
    delivered = await followers.receive(SIGNALS, publisher.burst(list(islice(bars, SIGNALS))))
    return delivered.events * delivered.followers / 1_000


@asynccontextmanager
async def _service(effort: Effort, *, with_tls: bool) -> AsyncIterator[Service]:
    async with running_database() as database:
        folder = database.folder / "certificates"
        settings: dict[str, str] = {}
        if with_tls:
            settings = _certificates(folder)
        async with running_service(database, effort.service_python, settings=settings) as service:
            yield service


def _certificates(folder: Path) -> dict[str, str]:
    """Make certificates in a folder; return the settings of a server with them."""
    subprocess.run(["/bin/sh", ROOT / "deploy" / "certificates.sh", folder], check=True, capture_output=True)
    files = {"CERT": "tls.crt", "KEY": "tls.key", "CA": "ca.crt"}
    return {f"GRPC_TLS_{name}": str(folder / "server" / file) for name, file in files.items()}
