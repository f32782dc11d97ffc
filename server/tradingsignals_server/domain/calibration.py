"""Calibration of a policy: how often the positions behind its confidences ended with a net profit."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Self

from .signals import Action, WinEstimate
from .values import dataclass

LEAST_CASES = 20
"""Cases that an estimate needs. The standard error of a frequency of one half over 20 cases is 11 percentage points."""

WIN_PROBABILITY = "win_probability"
"""Kind of the entry in a model's metadata."""


@dataclass(frozen=True, slots=True)
class WinBin:
    """Choices of one side with a confidence from `confidence` on, up to that of the next bin.

    probability: frequency, 0..1, with which they ended with a net profit, after costs. cases: their number.
    """

    confidence: float
    probability: float
    cases: int


@dataclass(frozen=True, slots=True)
class SideCalibration:
    """Bins of one side by confidence, with frequencies that do not fall, and the highest confidence among the cases.

    Raises:
        ValueError: on construction, if the bins are not that. The message says what is needed.
    """

    bins: tuple[WinBin, ...] = ()
    highest: float = 1.0
    _confidences: tuple[float, ...] = field(init=False, default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        confidences = tuple(one.confidence for one in self.bins)
        ends = (*confidences, self.highest)
        frequencies = [one.probability for one in self.bins]
        if any(not 0.0 <= number <= 1.0 for number in (*ends, *frequencies)) or any(one.cases < 0 for one in self.bins):
            raise ValueError("confidences and probabilities from 0 to 1 and cases from 0 are needed")
        if sorted(set(confidences)) != list(confidences) or ends[-1] < max(confidences, default=0.0):
            raise ValueError("bins of rising confidence, up to the highest one, are needed")
        if sorted(frequencies) != frequencies:
            raise ValueError("probabilities that do not fall as the confidence rises are needed")
        object.__setattr__(self, "_confidences", confidences)

    @property
    def cases(self) -> int:
        """Number of cases in all bins."""
        return sum(one.cases for one in self.bins)

    def at(self, confidence: float) -> WinEstimate | None:
        """Return the estimate of the bin of `confidence`; None outside the cases, or with less than LEAST_CASES."""
        index = bisect_right(self._confidences, confidence) - 1
        if index < 0 or confidence > self.highest or self.bins[index].cases < LEAST_CASES:
            return None
        found = self.bins[index]
        return WinEstimate(found.probability, found.cases)


@dataclass(frozen=True, slots=True)
class WinCalibration:
    """Chance of a net profit by side and confidence, from the results of a policy's own choices in a range of time.

    start, end: range of the bars, UTC. It must have chosen nothing: neither weights nor moment nor recipe. A case is a
    bar at which the policy chose BUY or SELL; it won if the position that it would have opened, left to its stop, its
    target and the end of its session, ended with a profit after costs. Neighbouring cases share much of their future,
    so their number overstates how sure a frequency is.
    """

    start: datetime
    end: datetime
    buy: SideCalibration
    sell: SideCalibration

    @property
    def cases(self) -> int:
        """Number of cases of both sides."""
        return self.buy.cases + self.sell.cases

    def estimate(self, action: Action, confidence: float) -> WinEstimate | None:
        """Return the chance that the position of `action` wins; None for HOLD, and see SideCalibration.at."""
        if action is Action.HOLD:
            return None
        return (self.buy if action is Action.BUY else self.sell).at(confidence)

    def entry(self) -> dict[str, Any]:
        """Return the entry of a model's metadata, for JSON."""
        span = [instant.isoformat().replace("+00:00", "Z") for instant in (self.start, self.end)]
        return {
            "kind": WIN_PROBABILITY,
            "range": span,
            "buy": _side_entry(self.buy),
            "sell": _side_entry(self.sell),
        }

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> Self:
        """Parse what `entry` returns.

        Raises:
            ValueError: it is not that. The message says what is needed.
        """
        try:
            start, end = (datetime.fromisoformat(text) for text in entry["range"])
            ordered = start <= end and start.tzinfo is not None
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("a range of two times is needed") from error
        if not ordered:
            raise ValueError("a range of two times in order, with their offset from UTC, is needed")
        return cls(start, end, _side_of(entry.get("buy")), _side_of(entry.get("sell")))


def _side_entry(side: SideCalibration) -> dict[str, Any]:
    bins = [{"confidence": one.confidence, "probability": one.probability, "cases": one.cases} for one in side.bins]
    return {"highest": side.highest, "bins": bins}


def _side_of(entry: Any) -> SideCalibration:
    try:
        return SideCalibration(tuple(map(_bin_of, _list(entry["bins"]))), _number(entry["highest"]))
    except (KeyError, TypeError) as error:
        raise ValueError(
            "bins with confidence, probability and cases, and the highest confidence, are needed"
        ) from error


def _bin_of(entry: Any) -> WinBin:
    cases = entry["cases"]
    if not isinstance(cases, int) or isinstance(cases, bool):
        raise TypeError("cases are counted")
    return WinBin(_number(entry["confidence"]), _number(entry["probability"]), cases)


def _list(entry: Any) -> Sequence[Any]:
    if not isinstance(entry, list):
        raise TypeError("bins are a list")
    return entry


def _number(entry: Any) -> float:
    if not isinstance(entry, int | float) or isinstance(entry, bool) or not math.isfinite(entry):
        raise TypeError("a number is needed")
    return float(entry)
