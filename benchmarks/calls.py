"""Loads of one call, with the processor time that it takes, and the same call to the older design in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from .cpu import Cpu, Metered, cpu_figures, metered
from .load import Load, counted, load_figure, rest_load
from .measure import Effort, Figure, Older, Target, in_turn
from .service import Peer, Service

Loads = Sequence[Metered[Load]]
"""The runs of one load."""


def call_figures(
    what: str, loads: Loads, older: Mapping[str, Loads] | None = None, targets: Mapping[str, Target] | None = None
) -> list[Figure]:
    """Calls a second, p99, and processor time a call.

    Args:
        what: the call, without the number of clients.
        loads: the runs of ours.
        older: those of the older design, by variant.
        targets: bounds of the ratio of our calls a second to those of a variant.
    """
    older, targets = older or {}, targets or {}
    rate = load_figure(what, [load.result for load in loads])
    rates = {name: Older([load.result.per_second for load in runs], targets.get(name)) for name, runs in older.items()}
    p99s = {name: Older([load.result.p99_ms for load in runs]) for name, runs in older.items()}
    named = f"{what}, {counted(loads[0].result.clients)}"
    return [
        replace(rate, older=rates),
        Figure(f"{named}, p99", "ms", [load.result.p99_ms for load in loads], older=p99s),
        *cpu_figures(f"{named}, server CPU a call", _cpu(loads), {name: _cpu(runs) for name, runs in older.items()}),
    ]


async def beside_peers(
    effort: Effort,
    what: str,
    request: str,
    *,
    service: Service,
    peers: Mapping[str, Peer],
    clients: int,
    body: str = "",
    targets: Mapping[str, Target] | None = None,
    others: Mapping[str, Callable[[], Awaitable[Load]]] | None = None,
) -> list[Figure]:
    """Load the service through Envoy, and the variants of the older design, with one REST call in turn.

    Args:
        effort: how long to measure.
        what: the call, as figures name it.
        request: method and path.
        service: the service.
        peers: the older design, by variant.
        clients: number of concurrent clients.
        body: JSON of the request.
        targets: bounds of the ratio of our calls a second to those of a variant.
        others: further loads of the service by name, measured in the same turns.
    """
    others = others or {}
    sides = {name: partial(metered, service.processes, load) for name, load in others.items()}
    loaded = {what: (service.rest_port, service.processes)}
    loaded |= {name: (peer.port, peer.processes) for name, peer in peers.items()}
    for name, (port, processes) in loaded.items():
        load = partial(rest_load, port, request, clients, effort.seconds, body)
        sides[name] = partial(metered, processes, load)
    loads = await in_turn(effort, sides)
    figures = [figure for name in others for figure in call_figures(name, loads[name])]
    return figures + call_figures(f"{what} through Envoy", loads[what], {name: loads[name] for name in peers}, targets)


def _cpu(loads: Loads) -> Cpu:
    return [(load.cpu_seconds, load.result.sent) for load in loads]
