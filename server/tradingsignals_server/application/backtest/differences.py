"""The first field in which two values differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass

from ...domain.values import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """A field, by its path such as decision.stop_loss, and its two values as text."""

    field: str
    one: str
    other: str


def first_difference(one: object, other: object, field: str = "") -> Difference | None:
    """Return the first field that differs, None if the values are equal. Fields that are not compared do not count."""
    if is_dataclass(one) and not isinstance(one, type) and type(one) is type(other):
        for each in fields(one):
            if each.compare:
                path = f"{field}.{each.name}" if field else each.name
                if (found := first_difference(getattr(one, each.name), getattr(other, each.name), path)) is not None:
                    return found
        return None
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and not isinstance(one, str):
        return _in_sequences(one, other, field)
    return None if one == other else Difference(field, str(one), str(other))


def _in_sequences(one: Sequence[object], other: Sequence[object], field: str) -> Difference | None:
    for index, (each, counterpart) in enumerate(zip(one, other, strict=False)):
        kinds = "" if type(each) is type(counterpart) else " (kind)"
        if (found := first_difference(each, counterpart, f"{field}[{index}]{kinds}")) is not None:
            return found
    if len(one) != len(other):
        return Difference(f"{field} (number)", str(len(one)), str(len(other)))
    return None
