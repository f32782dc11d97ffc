"""Values: frozen for mypy, and equal, hashable and without other attributes at run time."""

from __future__ import annotations

import pytest

from tradingsignals_server.domain.values import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A value."""

    x: int
    y: int = 0


@dataclass(slots=True)
class Meter:
    """A dataclass that changes."""

    count: int = 0


def test_equal_values_have_equal_hashes() -> None:
    assert Point(1) == Point(1, 0)
    assert len({Point(1), Point(1, 0), Point(1, 2)}) == 2


def test_what_changes_has_no_hash() -> None:
    meter = Meter()
    meter.count += 1
    assert meter == Meter(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(meter)


def test_value_has_slots() -> None:
    assert not hasattr(Point(1), "__dict__")
