"""Run benchmarks and print their figures: python -m benchmarks [NAME ...] [--short] [--against COMMIT]."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

from . import (
    access,
    bar_to_signal,
    catch_up,
    certificates,
    dashboard,
    durable,
    fanout,
    followers,
    generate,
    history,
    idempotency,
    inference,
    isolated,
    load_generator,
    observability,
    pipeline,
    publish,
    replay,
    report,
    servers,
    stalled,
    startup,
    stream_generator,
)
from .against import Turn, Version, built, turns
from .load.limits import raise_file_limit
from .measure import FULL, QUICK, SHORT, Effort, Figure

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
        observability,
        access,
        certificates,
        idempotency,
        dashboard,
    )
}
GROUPS = {
    "callers": (
        *("generate", "history", "bar_to_signal", "publish", "replay"),
        *("fanout", "isolated", "catch_up", "stalled", "durable"),
    ),
    "streams": ("stream_generator", "fanout", "isolated", "followers", "stalled", "catch_up", "durable", "servers"),
}
"""Names of groups of benchmarks. `callers` measure what a caller of the service sees."""

NO_SERVICE = (
    "inference",
    "pipeline",
    "load_generator",
    "stream_generator",
    "observability",
    "access",
    "certificates",
    "idempotency",
    "dashboard",
)
"""Benchmarks that import this tree's server, know its page, metrics or keys, or measure the load generator: no other
commit can be measured by them."""

Results = dict[str, list[Figure]]
"""Figures by benchmark."""


async def _measure(names: list[str], effort: Effort, figures: Results) -> None:
    for name in names:
        with _announced(name):
            figures[name] = [figure async for figure in BENCHMARKS[name].run(effort)]


async def _measure_against(
    names: list[str], effort: Effort, before: Path, figures: Results, figures_before: Results
) -> None:
    """Measure this tree's service and the one of the Python `before`, in turns after each measurement."""
    for name in names:
        first, second = turns()

        async def measure(side: Turn, measured: Effort, found: Results, name: str = name) -> None:
            async with side:
                taking_turns = replace(measured, peer_python=None, after_each=side.measured)
                found[name] = [figure async for figure in BENCHMARKS[name].run(taking_turns)]

        with _announced(name):
            async with asyncio.TaskGroup() as group:
                group.create_task(measure(first, replace(effort, service_python=before), figures_before))
                group.create_task(measure(second, effort, figures))


@contextmanager
def _announced(what: str) -> Iterator[None]:
    started = perf_counter()
    print(f"{what} ...", end=" ", file=sys.stderr, flush=True)
    yield
    print(f"{perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    """Run the benchmarks named on the command line."""
    parser = _parser()
    given = parser.parse_args()
    default = GROUPS["callers"] if given.against else tuple(BENCHMARKS)
    names = list(chain.from_iterable(GROUPS.get(name, (name,)) for name in given.names or default))
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if given.against and (impossible := [name for name in names if name in NO_SERVICE]):
        parser.error(f"{', '.join(impossible)}: measures this tree only, so leave it out with --against")
    peer = given.peer if given.peer.exists() else None
    if peer is None and not given.against:
        print(f"There is no {given.peer}: the older design is left out (see benchmarks/__init__.py).", file=sys.stderr)
    raise_file_limit()
    effort = replace(QUICK if given.quick else SHORT if given.short else FULL, peer_python=peer)
    effort = replace(effort, runs=given.runs or effort.runs)
    before = built(given.against) if given.against else None
    taken_on = report.machine()
    figures: Results = {}
    figures_before: Results = {}
    started = perf_counter()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if before is None:
                runner.run(_measure(names, effort, figures))
            else:
                runner.run(_measure_against(names, effort, before.python, figures, figures_before))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # Also after a failure: the figures measured before it are still useful.
        print(f"{(perf_counter() - started) / 60:.0f} minutes in all", file=sys.stderr)
        _report(given, figures, figures_before, taken_on, before)


def _report(
    given: Namespace,
    figures: Results,
    figures_before: Results,
    taken_on: dict[str, Any],
    before: Version | None,
) -> None:
    if before is not None:
        report.show_comparison(figures, figures_before, before.title, given.markdown, quick=given.quick)
    elif figures:
        report.show(figures, taken_on, quick=given.quick)
        report.show_ratios(figures)
        report.draw(given.picture, figures, taken_on, quick=given.quick)
        report.write_markdown(given.markdown, figures, taken_on, quick=given.quick)
    if given.json is not None:
        report.write(given.json, figures, taken_on, quick=given.quick)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m benchmarks", description="Measure the service.")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"one of {', '.join([*BENCHMARKS, *GROUPS])}; all of them if none, with --against those of callers",
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test; its figures mean nothing")
    parser.add_argument("--short", action="store_true", help="shorter loads and fewer bars")
    parser.add_argument("--runs", type=int, metavar="N", help="measurements of each figure")
    parser.add_argument(
        "--against", metavar="COMMIT", help="build that commit in build/against/, and measure it and this tree in turn"
    )
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
    return parser


if __name__ == "__main__":
    main()
