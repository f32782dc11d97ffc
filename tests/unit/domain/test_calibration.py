"""Calibration of the win probability: bins by confidence, what is not known, and its form in a model's metadata."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.calibrations import CALIBRATION, RANGE

from tradingsignals_server.domain.calibration import LEAST_CASES, SideCalibration, WinBin, WinCalibration
from tradingsignals_server.domain.signals import Action, WinEstimate


@pytest.mark.parametrize(
    ("action", "confidence", "expected"),
    [
        (Action.BUY, 0.4, WinEstimate(0.4, 120)),
        (Action.BUY, 0.65, WinEstimate(0.4, 120)),
        (Action.BUY, 0.7, WinEstimate(0.55, 40)),
        (Action.BUY, 0.95, WinEstimate(0.55, 40)),
        (Action.SELL, 0.9, WinEstimate(0.45, LEAST_CASES)),
        # Outside the cases.
        (Action.BUY, 0.39, None),
        (Action.BUY, 0.951, None),
        # Too few of them.
        (Action.SELL, 0.5, None),
        (Action.HOLD, 0.7, None),
    ],
)
def test_estimate_is_that_of_the_bin_of_the_side(
    action: Action, confidence: float, expected: WinEstimate | None
) -> None:
    assert CALIBRATION.estimate(action, confidence) == expected


def test_side_without_bins_has_no_estimate() -> None:
    assert SideCalibration().at(1.0) is None


def test_cases_are_counted_by_side() -> None:
    assert (CALIBRATION.buy.cases, CALIBRATION.sell.cases, CALIBRATION.cases) == (160, 39, 199)


fractions = st.floats(0.0, 1.0)


@st.composite
def sides(draw: st.DrawFn) -> SideCalibration:
    starts = sorted(draw(st.sets(fractions, max_size=6)))
    frequencies = sorted(draw(st.lists(fractions, min_size=len(starts), max_size=len(starts))))
    cases = draw(st.lists(st.integers(0, 9999), min_size=len(starts), max_size=len(starts)))
    highest = draw(st.floats(max(starts, default=0.0), 1.0))
    return SideCalibration(tuple(map(WinBin, starts, frequencies, cases)), highest)


@given(sides(), sides())
def test_calibration_survives_json(buy: SideCalibration, sell: SideCalibration) -> None:
    made = WinCalibration(*RANGE, buy, sell)
    assert WinCalibration.of_entry(json.loads(json.dumps(made.entry()))) == made


@given(sides(), fractions, fractions)
def test_estimate_never_falls_as_the_confidence_rises(side: SideCalibration, one: float, other: float) -> None:
    low, high = side.at(min(one, other)), side.at(max(one, other))
    if low is not None and high is not None:
        assert low.probability <= high.probability


def test_entry_names_its_kind_and_range() -> None:
    entry = CALIBRATION.entry()
    assert entry["kind"] == "win_probability"
    assert entry["range"] == ["2023-07-04T13:00:00Z", "2023-12-29T18:00:00Z"]


def entry_with(**changed: Any) -> dict[str, Any]:
    return {**CALIBRATION.entry(), **changed}


def side_with(*bins: tuple[float, Any, Any], highest: Any = 1.0) -> dict[str, Any]:
    return {
        "highest": highest,
        "bins": [dict(zip(("confidence", "probability", "cases"), one, strict=True)) for one in bins],
    }


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (entry_with(range=None), "a range of two times is needed"),
        (entry_with(range=["2023-07-04T13:00:00Z"]), "a range of two times is needed"),
        (entry_with(range=["2024-07-04T13:00:00Z", "2023-07-04T13:00:00Z"]), "a range of two times in order"),
        (entry_with(range=["2022-07-04T13:00:00", "2023-07-04T13:00:00"]), "with their offset from UTC"),
        (entry_with(buy=None), "bins with confidence, probability and cases"),
        (entry_with(buy={"highest": 1.0, "bins": 3}), "bins with confidence, probability and cases"),
        (entry_with(buy=side_with((0.5, 0.4, 1.5))), "bins with confidence, probability and cases"),
        (entry_with(buy=side_with((0.5, "0.4", 30))), "bins with confidence, probability and cases"),
        (entry_with(buy=side_with((0.5, 0.4, -1))), "cases from 0"),
        (entry_with(sell=side_with((0.5, 1.4, 30))), "probabilities from 0 to 1"),
        (entry_with(sell=side_with((0.5, 0.4, 30), (0.5, 0.5, 30))), "bins of rising confidence"),
        (entry_with(sell=side_with((0.5, 0.4, 30), highest=0.4)), "bins of rising confidence"),
        (entry_with(sell=side_with((0.5, 0.4, 30), (0.6, 0.3, 30))), "probabilities that do not fall"),
        (entry_with(sell=side_with((0.5, 0.4, 30), highest=float("nan"))), "bins with confidence"),
    ],
)
def test_malformed_entry_is_refused_with_its_reason(entry: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        WinCalibration.of_entry(entry)


def test_range_is_in_utc() -> None:
    assert datetime(2023, 7, 4, 13, tzinfo=UTC) == WinCalibration.of_entry(CALIBRATION.entry()).start
