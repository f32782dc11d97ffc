"""Run faults and print what was seen: python -m benchmarks.faults [NAME ...] [--list]."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser

from ..service import working_folder
from .faults import FAULTS, Fault
from .report import HEAD, PromiseBroken


def main() -> int:
    """Run the named faults, or all; the exit code is 1 if a promise was broken."""
    parser = ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("names", nargs="*", choices=[*FAULTS, []], metavar="NAME")
    parser.add_argument("--list", action="store_true", help="list the faults")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{fault.name:<16} {fault.about}" for fault in FAULTS.values()))
        return 0
    print(HEAD, flush=True)
    return max([_run(FAULTS[name]) for name in options.names or FAULTS])


def _run(fault: Fault) -> int:
    if (reason := fault.needs()) is not None:
        print(f"{fault.name}: left out: {reason}", file=sys.stderr)
        return 0
    with working_folder() as folder:
        try:
            report = asyncio.run(fault.run(folder))
        except (PromiseBroken, TimeoutError) as error:
            why = str(error) or "users did not recover"
            print(f"{fault.name}: {why}\n{(folder / 'service.log').read_text()[-3000:]}", file=sys.stderr)
            return 1
    print(report.row(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
