"""The results of a benchmark: figures, each of more than one run, some with a target."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

Side = TypeVar("Side", bound=Hashable)
Outcome = TypeVar("Outcome")
Outcome_co = TypeVar("Outcome_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure, and what.

    runs: number of measurements of each figure, which is their median.
    seconds: duration of a load in each run.
    share: fraction of the bars of a full run.
    service_python: the Python in whose environment the measured service is installed.
    peer_python: the Python that runs the older design; None leaves it out.
    after_each: awaited after each measurement, which lets another version take its turn.
    """

    runs: int
    seconds: float
    share: float
    service_python: Path = Path(sys.executable)
    peer_python: Path | None = None
    after_each: Callable[[], Awaitable[None]] | None = None

    def lasting(self, full: float) -> float:
        """Seconds of a measurement that takes `full` seconds in a full run."""
        return full * self.seconds / FULL.seconds

    def bars(self, full: int) -> int:
        """Number of bars of a measurement that uses `full` bars in a full run."""
        return max(100, round(full * self.share))


FULL = Effort(runs=3, seconds=2.0, share=1.0)
SHORT = Effort(runs=3, seconds=1.5, share=0.4)
QUICK = Effort(runs=1, seconds=0.5, share=0.05)


@dataclass(frozen=True, slots=True)
class Target:
    """A lower or upper bound for a figure."""

    bound: float
    at_most: bool = False

    def met_by(self, value: float) -> bool:
        """True if `value` meets the bound."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.bound:g}"


def at_least(bound: float) -> Target:
    """A lower bound."""
    return Target(bound)


def at_most(bound: float) -> Target:
    """An upper bound."""
    return Target(bound, at_most=True)


@dataclass(frozen=True, slots=True)
class Older:
    """The same figure of a variant of the older design. `target` is a bound for the ratio of ours to it."""

    runs: Sequence[float]
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    runs: one value a run.
    besides: further medians, by name.
    older: the same figure of the older design by variant, with the runs that were measured in turn with ours.
    """

    what: str
    unit: str
    runs: Sequence[float]
    target: Target | None = None
    besides: Mapping[str, float] = field(default_factory=dict)
    older: Mapping[str, Older] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The median of the runs."""
        return median(self.runs)

    @property
    def missed(self) -> bool:
        """True if there is a target and the figure does not meet it."""
        return self.target is not None and not self.target.met_by(self.value)

    def ratios(self) -> list[Figure]:
        """Ratios of ours to each variant of the older design."""
        return [ratio(f"{self.what}: ours to {name}", self.runs, o.runs, o.target) for name, o in self.older.items()]


def ratio(what: str, ours: Sequence[float], theirs: Sequence[float], target: Target | None = None) -> Figure:
    """The figure of `ours` over `theirs`, pair by pair."""
    return Figure(what, "times", [a / b if b else float("inf") for a, b in zip(ours, theirs, strict=True)], target)


async def in_turn(effort: Effort, sides: Mapping[Side, Callable[[], Awaitable[Outcome]]]) -> dict[Side, list[Outcome]]:
    """Measure each side once, then each once more, as often as `effort` says: A B A B."""
    outcomes: dict[Side, list[Outcome]] = {side: [] for side in sides}
    for _ in range(effort.runs):
        for side, measured in sides.items():
            outcomes[side].append(await measured())
            if effort.after_each is not None:
                await effort.after_each()
    return outcomes


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest of the values, which are in ascending order, that `percent` of them do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100.0))]
