"""Run benchmarks and print their figures: python -m benchmarks [NAME ...] [--quick] [--json FILE]."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser
from dataclasses import replace
from itertools import chain
from pathlib import Path
from time import perf_counter

import uvloop

from . import (
    bar_to_signal,
    catch_up,
    durable,
    fanout,
    followers,
    generate,
    history,
    inference,
    isolated,
    load_generator,
    pipeline,
    publish,
    replay,
    report,
    servers,
    stalled,
    startup,
    stream_generator,
)
from .load.limits import raise_file_limit
from .measure import FULL, QUICK, Effort, Figure

BENCHMARKS = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        inference,
        pipeline,
        load_generator,
        generate,
        history,
        bar_to_signal,
        publish,
        replay,
        startup,
        stream_generator,
        fanout,
        isolated,
        followers,
        stalled,
        catch_up,
        durable,
        servers,
    )
}
GROUPS = {
    "streams": ("stream_generator", "fanout", "isolated", "followers", "stalled", "catch_up", "durable", "servers"),
}
"""Names of groups of benchmarks."""


async def _measure(names: list[str], effort: Effort, figures: dict[str, list[Figure]]) -> None:
    for name in names:
        started = perf_counter()
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        figures[name] = [figure async for figure in BENCHMARKS[name].run(effort)]
        print(f"{perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    """Run the benchmarks named on the command line."""
    parser = ArgumentParser(prog="python -m benchmarks", description="Measure the service.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of {', '.join([*BENCHMARKS, *GROUPS])}; all of them if none"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test; its figures mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too, every run included")
    parser.add_argument(
        "--peer",
        type=Path,
        default=Path("build/peer/bin/python"),
        metavar="PYTHON",
        help="the Python that has the packages of benchmarks/peer/requirements.txt (%(default)s); without it the older "
        "design is left out",
    )
    parser.add_argument(
        "--markdown", type=Path, default=Path("build/benchmarks.md"), metavar="FILE", help="%(default)s"
    )
    parser.add_argument(
        "--picture", type=Path, default=Path("build/benchmarks.svg"), metavar="FILE", help="%(default)s"
    )
    given = parser.parse_args()
    names = list(chain.from_iterable(GROUPS.get(name, (name,)) for name in given.names)) or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    taken_on = report.machine()
    peer = given.peer if given.peer.exists() else None
    if peer is None:
        print(f"There is no {given.peer}: the older design is left out (see benchmarks/__init__.py).", file=sys.stderr)
    raise_file_limit()
    effort = replace(QUICK if given.quick else FULL, peer_python=peer)
    figures: dict[str, list[Figure]] = {}
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure(names, effort, figures))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # Also after a failure: the figures measured before it are still useful.
        if figures:
            report.show(figures, taken_on, quick=given.quick)
            report.show_ratios(figures)
            report.draw(given.picture, figures, taken_on, quick=given.quick)
            report.write_markdown(given.markdown, figures, taken_on, quick=given.quick)
        if given.json is not None:
            report.write(given.json, figures, taken_on, quick=given.quick)


if __name__ == "__main__":
    main()
