"""One REST call, sent to the service through Envoy and to the older design in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from .load import Load, counted, load_figure, rest_load
from .measure import Effort, Figure, Target, in_turn, ratio

Measured = Callable[[], Awaitable[Load]]


async def beside_peer(
    effort: Effort,
    what: str,
    request: str,
    *,
    service: int,
    peer: int | None,
    clients: int,
    body: str = "",
    target: Target | None = None,
    others: Mapping[str, Measured] | None = None,
) -> list[Figure]:
    """Send `request` to both ports under load, and measure `others` in the same turns.

    `target` applies to the ratio of calls per second. Without a peer, only the service's own figures are returned.
    """
    ours, theirs = f"{what} through Envoy", f"{what}, older design"
    sides: dict[str, Measured] = dict(others or {})
    sides[ours] = partial(rest_load, service, request, clients, effort.seconds, body)
    if peer is not None:
        sides[theirs] = partial(rest_load, peer, request, clients, effort.seconds, body)
    loads = await in_turn(effort.runs, sides)
    figures = [load_figure(side, runs) for side, runs in loads.items()]
    if peer is not None:
        rates = {side: [load.per_second for load in loads[side]] for side in (ours, theirs)}
        figures.append(ratio(f"{what}: ours to theirs, {counted(clients)}", rates[ours], rates[theirs], target))
    return figures
