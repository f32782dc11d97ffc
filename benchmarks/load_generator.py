"""The load generator against a server that does nothing: its upper limit.

Measured: calls a second over HTTP/1.1 and gRPC, from 1, 16 and 64 clients, to a process that writes bytes made
beforehand (load/canned.py). How: as `generate` and `history` do it, with the same code. A figure of theirs that is
near one of these would measure the generator and not the server; `generator busy`, beside every such
figure, is the share of a core that it took.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from .load import grpc_load, load_figure, rest_load
from .measure import Effort, Figure, in_turn
from .processes import ROOT, free_port, running, until_healthy
from .service import working_folder

CLIENTS = (1, 16, 64)
_REQUEST = b"x" * 60
"""As long as a GenerateSignalRequest."""


async def run(effort: Effort) -> AsyncIterator[Figure]:
    """Measure what the module describes."""
    with working_folder() as folder:
        port, log = free_port(), folder / "canned.log"
        async with running(("-m", "benchmarks.load.canned", str(port)), folder=ROOT, log=log) as process:
            await until_healthy(process, port)
            for clients in CLIENTS:
                loads = await in_turn(
                    effort,
                    {
                        "rest": partial(rest_load, port, "GET /", clients, effort.seconds),
                        "grpc": partial(grpc_load, port, "/canned.Service/Call", _REQUEST, clients, effort.seconds),
                    },
                )
                yield load_figure("ceiling over HTTP/1.1", loads["rest"])
                yield load_figure("ceiling over gRPC", loads["grpc"])
