"""The arguments of `tradingsignals backtest` as options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...bootstrap.backtest import parse_settings
from ...config.rules import RULE_SETTINGS
from .options import BacktestOptions, InvalidOptions, cuts_of, parse_grid, parse_time

_ASSIGNMENT = re.compile(r"[A-Za-z_]+=.*")


def parse_options(given: Mapping[str, Any]) -> BacktestOptions:
    """Return the options that the command line has.

    Raises:
        InvalidOptions: one is impossible, or they do not go together.
    """
    file, grid = _file_and_grid(given["file"], given["grid"])
    changed = parse_settings(given["changed"])
    named = {name: value for name, value in given.items() if name in RULE_SETTINGS and value is not None}
    if twice := sorted(changed.keys() & named.keys()):
        raise InvalidOptions(f"{twice[0].upper()} is set twice; leave one out")
    if both := sorted({*changed, *named} & set(parsed_grid := parse_grid(grid))):
        raise InvalidOptions(f"{both[0].upper()} is set and in the grid; leave one out")
    return BacktestOptions(
        file=file,
        database=given["database"],
        symbols=given["symbols"],
        start=None if given["start"] is None else parse_time(given["start"]),
        end=None if given["end"] is None else parse_time(given["end"]),
        model=given["model"],
        changed={**changed, **named},
        grid=parsed_grid,
        splits=given["splits"],
        cuts=cuts_of(given["prove"]),
        json=given["json_out"],
        report=given["report"],
        compare=given["compare"],
        seed=given["seed"],
        jobs=given["jobs"],
    )


def parse_comparison(given: Mapping[str, Any]) -> BacktestOptions:
    """Return the options of a comparison with the service.

    Raises:
        InvalidOptions: one is impossible.
    """
    return BacktestOptions(
        database=True,
        symbols=given["symbols"],
        start=None if given["start"] is None else parse_time(given["start"]),
        end=None if given["end"] is None else parse_time(given["end"]),
        model=given["model"],
        changed=parse_settings(given["changed"]),
    )


def _file_and_grid(arguments: Sequence[str], grid: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Divide the arguments into the file and further settings of the grid, which stand behind `--grid`."""
    files = [argument for argument in arguments if not (grid and _ASSIGNMENT.fullmatch(argument))]
    if len(files) > 1:
        raise InvalidOptions(f"one FILE is needed, not {len(files)}: {', '.join(files)}")
    path = Path(files[0]) if files else None
    if path is not None and not path.is_file():
        raise InvalidOptions(f"{path}: there is no such file")
    return path, [*grid, *(argument for argument in arguments if argument not in files)]
