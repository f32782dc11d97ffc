"""What `tradingsignals backtest` takes: settings, bounds of time, and grids."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ...application.backtest.grid import MAX_COMBINATIONS
from ...application.backtest.proof import DEFAULT_CUTS
from ...application.backtest.run import DEFAULT_SEED
from ...bootstrap.backtest import parse_settings
from ...config import Settings


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
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise InvalidOptions("--from must be before --to")

    def settings(self, more: Mapping[str, str] | None = None) -> Settings:
        """Return the settings of the environment with those changed, and `more` of them.

        Raises:
            InvalidSettings: one is impossible.
        """
        return Settings.from_env(model_path=self.model, **{**self.changed, **(more or {})})

    def combinations(self) -> list[Mapping[str, str]]:
        """Return every combination of the values of the grid; one without changes if there is no grid."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]


def parse_time(text: str) -> datetime:
    """Parse a day or a time in ISO 8601; without an offset it is in UTC.

    Raises:
        InvalidOptions: it is neither.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidOptions(f"{text!r} is no time; write 2024-03-04 or 2024-03-04T13:00") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def parse_grid(assignments: Iterable[str]) -> dict[str, list[str]]:
    """Parse NAME=VALUE,VALUE,... of settings to vary; values that contain commas are separated by semicolons.

    Raises:
        InvalidSettings: one names no setting.
        InvalidOptions: one names no value, or there are more than MAX_COMBINATIONS combinations.
    """
    grid: dict[str, list[str]] = {}
    combinations = 1
    for name, text in parse_settings(assignments).items():
        values = [value.strip() for value in text.split(";" if ";" in text else ",") if value.strip()]
        if not values:
            raise InvalidOptions(f"{name.upper()}= names no value to try")
        grid[name] = list(dict.fromkeys(values))
        combinations *= len(grid[name])
    if combinations > MAX_COMBINATIONS:
        raise InvalidOptions(f"{combinations:,} combinations are more than {MAX_COMBINATIONS:,}; try fewer values")
    return grid


def cuts_of(prove: bool) -> int | None:
    """Return the number of cuts of a proof, None without one."""
    return DEFAULT_CUTS if prove else None
