"""What `tradingsignals backtest` takes: settings, bounds of time, and grids."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ...application.backtest.grid import MAX_COMBINATIONS
from ...application.backtest.proof import DEFAULT_CUTS
from ...application.backtest.run import DEFAULT_SEED
from ...bootstrap.backtest import parse_settings
from ...config.settings import Settings


class InvalidOptions(Exception):
    """An option is impossible, or options do not go together. The message is one line."""


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """The options of the command, parsed.

    file: None for stored bars. symbols: only these; one is also that of rows without a symbol.
    changed: settings that differ from the environment, by name, as text.
    grid: values of the settings to vary. splits: of a walk-forward, None for none. cuts: of a proof, None for none.
    jobs: processes of a grid, None for as many as there are cores.
    """

    file: Path | None = None
    database: bool = False
    symbols: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    model: Path | None = None
    changed: Mapping[str, str] = field(default_factory=dict)
    grid: Mapping[str, Sequence[str]] = field(default_factory=dict)
    splits: int | None = None
    cuts: int | None = None
    json: Path | None = None
    report: Path | None = None
    compare: bool = True
    seed: int = DEFAULT_SEED
    jobs: int | None = None

    def __post_init__(self) -> None:
        if self.database == (self.file is not None):
            raise InvalidOptions("name a FILE of bars, or --database for the bars that the service has stored")
        if self.cuts is not None and (self.grid or self.splits is not None):
            raise InvalidOptions("--prove does not go with --grid or --walk-forward")
        if self.report is not None and (self.grid or self.splits is not None or self.cuts is not None):
            raise InvalidOptions("--report is of one run: it does not go with --grid, --walk-forward or --prove")
        if self.json is not None and self.report is not None and self.json.resolve() == self.report.resolve():
            raise InvalidOptions("--json and --report name the same file")
        if self.file is not None and any(out is not None and _is_same(out, self.file) for out in self._outputs):
            raise InvalidOptions(f"{self.file} has the bars: write the result to another file")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise InvalidOptions("--from must be before --to")

    @property
    def _outputs(self) -> tuple[Path | None, Path | None]:
        return self.json, self.report

    def settings(self, more: Mapping[str, str] | None = None) -> Settings:
        """Return the settings of the environment with those changed, and `more` of them.

        Raises:
            InvalidSettings: one is impossible.
        """
        return Settings.from_env(model_path=self.model, **{**self.changed, **(more or {})})

    def combinations(self) -> list[Mapping[str, str]]:
        """Return every combination of the values of the grid; one without changes if there is no grid."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def parse_time(text: str) -> datetime:
    """Parse a day or a time in ISO 8601; without an offset it is in UTC.

    Raises:
        InvalidOptions: it is neither.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidOptions(f"{text!r} is no time; write 2024-03-04 or 2024-03-04T13:00") from None
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:
        raise InvalidOptions(f"{text!r} is no time: in UTC it is before the year 1 or after 9999") from None


def parse_grid(assignments: Iterable[str]) -> dict[str, list[str]]:
    """Parse NAME=VALUE,VALUE,... of settings to vary; values that contain commas are separated by semicolons.

    A setting that is named twice has the values of both.

    Raises:
        InvalidSettings: one names no setting.
        InvalidOptions: one names no value, or there are more than MAX_COMBINATIONS combinations.
    """
    grid: dict[str, list[str]] = {}
    for name, text in (parsed for one in assignments for parsed in parse_settings([one]).items()):
        values = [value.strip() for value in text.split(";" if ";" in text else ",") if value.strip()]
        if not values:
            raise InvalidOptions(f"{name.upper()}= names no value to try")
        grid[name] = list(dict.fromkeys([*grid.get(name, ()), *values]))
    combinations = math.prod(map(len, grid.values()))
    if combinations > MAX_COMBINATIONS:
        raise InvalidOptions(f"{combinations:,} combinations are more than {MAX_COMBINATIONS:,}; try fewer values")
    return grid


def cuts_of(prove: bool) -> int | None:
    """Return the number of cuts of a proof, None without one."""
    return DEFAULT_CUTS if prove else None
