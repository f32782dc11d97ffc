"""The split of sessions into training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

from .history import History, Session


@dataclass(frozen=True, slots=True)
class Split:
    """Sessions of a history, split by time: every one of `training` is before `validation`, and those before `test`.

    Sessions are never shared, and a position never outlives its own, so no reward and no label of one range depends on
    the next. Indicators at the start of a range use bars of the one before, as they do live.
    """

    training: tuple[Session, ...]
    validation: tuple[Session, ...]
    test: tuple[Session, ...]

    @classmethod
    def of(cls, history: History) -> Self:
        """The last twelve months are the test, the twelve before them the validation, and the rest is for training.

        Raises:
            ValueError: a range has no session.
        """
        after = history.bars[-1].time.date() + timedelta(days=1)
        test_from, validation_from = _years_before(after, 1), _years_before(after, 2)
        day = timedelta(days=1)
        split = cls(
            history.between(date.min, validation_from - day),
            history.between(validation_from, test_from - day),
            history.between(test_from, after),
        )
        if not (split.training and split.validation and split.test):
            raise ValueError(
                f"the bars must reach from before {validation_from} to {after - day} without a missing year: the last "
                "twelve months are the test, the twelve before them the validation, and the rest is for training"
            )
        return split


def _years_before(day: date, years: int) -> date:
    return day.replace(year=day.year - years, day=min(day.day, 28) if day.month == 2 else day.day)
