"""The split of sessions into training, validation, calibration and test."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

from .history import History, Session


@dataclass(frozen=True, slots=True)
class Months:
    """Length of the last ranges of a split, in months, at least 1 each."""

    validation: int = 12
    calibration: int = 6
    test: int = 12


@dataclass(frozen=True, slots=True)
class Split:
    """Sessions of a history, split by time: all of `training` come first, then those of the others in this order.

    `training` sets the weights, `validation` chooses among the runs and moments, `calibration` fits the win probability
    and chooses nothing, `test` is looked at once. Sessions are never shared, and a position never outlives its own, so
    no reward and no label of one range depends on the next. Indicators at the start of a range use bars of the one
    before, as they do live.
    """

    training: tuple[Session, ...]
    validation: tuple[Session, ...]
    calibration: tuple[Session, ...]
    test: tuple[Session, ...]

    @classmethod
    def of(cls, history: History, months: Months) -> Self:
        """The last months are the test, those before them the calibration, then validation, and the rest is training.

        Raises:
            ValueError: a range has no session.
        """
        after = history.bars[-1].time.date() + timedelta(days=1)
        test = _months_before(after, months.test)
        calibration = _months_before(after, months.test + months.calibration)
        validation = _months_before(after, months.test + months.calibration + months.validation)
        day = timedelta(days=1)
        split = cls(
            history.between(date.min, validation - day),
            history.between(validation, calibration - day),
            history.between(calibration, test - day),
            history.between(test, after),
        )
        if not (split.training and split.validation and split.calibration and split.test):
            raise ValueError(
                f"the bars must reach from before {validation} to {after - day} without a gap of months: the last "
                f"{months.test} months are the test, {months.calibration} before them the calibration, "
                f"{months.validation} before those the validation, and the rest is for training"
            )
        return split

    @property
    def judged(self) -> tuple[Session, ...]:
        """The sessions after the training."""
        return self.validation + self.calibration + self.test


def _months_before(day: date, months: int) -> date:
    whole = day.year * 12 + day.month - 1 - months
    year, month = divmod(whole, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
