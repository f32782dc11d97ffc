"""What TLS behind the edge costs: the same load on services with and without it, side by side.

Measured: processor time, of the server and of server and edge, for a thousand signals sent to 1,000 followers through
Envoy by gRPC (100 streams a connection), and for a POST generate (16 clients). Envoy's connections to the server are
few, whatever the number of callers is. Ratios are to the service without TLS.

How: two services, each on a PostgreSQL of its own, measured in turn; the certificates are those of
deploy/certificates.sh.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from tradingsignals_server.domain.bars import Bar

from .bars import WARMING_BARS, simulated_bars
from .cpu import ENVOY, SERVER, Metered, metered
from .load import Followers, following
from .measure import Effort, Figure, at_most, in_turn, ratio
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
        for figure in await _compared(effort, services, "POST generate, 16 clients", "ms CPU", 1e3, calls):
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
        what = f"1,000 signals in a burst to {FOLLOWERS:,} followers through Envoy"
        for figure in await _compared(effort, services, what, "ms CPU", 1e6, bursts):
            yield figure


async def _compared(
    effort: Effort,
    services: Mapping[str, Service],
    what: str,
    unit: str,
    scale: float,
    loads: Mapping[str, Callable[[], Awaitable[float]]],
) -> list[Figure]:
    """Return processor time by side, of the server and with the edge, and the ratios to the side without TLS."""
    runs = await in_turn(
        effort, {name: partial(metered, services[name].processes, load) for name, load in loads.items()}
    )
    figures = []
    for part, of in {"server": (SERVER,), "server and edge": (SERVER, ENVOY)}.items():
        costs = {name: [_cost(one, of, scale) for one in of_side] for name, of_side in runs.items()}
        figures += [Figure(f"{what}, {name}: {part}", unit, of_side) for name, of_side in costs.items()]
        figures.append(ratio(f"{what}, {part}: {TLS} to {PLAIN}", costs[TLS], costs[PLAIN], TARGET))
    return figures


def _cost(one: Metered[float], of: Sequence[str], scale: float) -> float:
    return scale * sum(one.cpu_seconds.get(name, 0.0) for name in of) / one.result


async def _burst(followers: Followers, publisher: Publisher, bars: Iterator[Bar]) -> float:
    delivered = await followers.receive(SIGNALS, publisher.burst(list(islice(bars, SIGNALS))))
    return float(delivered.events * delivered.followers)


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
