"""Figures of the benchmarks: medians, ratios of neighbouring runs, targets."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from benchmarks.measure import FULL, QUICK, Figure, Older, at_least, at_most, in_turn, percentile, ratio


def test_a_ratio_is_the_median_of_the_ratios_of_neighbouring_runs() -> None:
    # The machine became twice as slow after the first run: the ratio of the medians would be 1.
    figure = ratio("calls", ours=[200.0, 100.0, 100.0], theirs=[100.0, 50.0, 100.0])
    assert figure.runs == [2.0, 2.0, 1.0]
    assert (figure.value, figure.unit) == (2.0, "times")


def test_a_ratio_to_nothing_is_infinite() -> None:
    assert ratio("calls", [1.0], [0.0]).value == float("inf")


def test_a_ratio_of_different_numbers_of_runs_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio("calls", [1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("target", "value", "missed"),
    [(at_least(3.0), 2.9, True), (at_least(3.0), 3.0, False), (at_most(0.8), 0.81, True), (at_most(0.8), 0.8, False)],
)
def test_a_figure_on_the_wrong_side_of_its_target_is_missed(target: object, value: float, *, missed: bool) -> None:
    assert Figure("calls", "times", [value], target).missed is missed  # type: ignore[arg-type]


def test_each_variant_of_the_older_design_has_its_own_ratio_and_target() -> None:
    older = {"volatile": Older([100.0, 50.0], at_least(0.8)), "durable": Older([10.0, 10.0])}
    to_volatile, to_durable = Figure("calls", "calls/s", [50.0, 50.0], older=older).ratios()
    assert (to_volatile.what, to_volatile.runs) == ("calls: ours to volatile", [0.5, 1.0])
    assert to_volatile.missed
    assert (to_durable.value, to_durable.target) == (5.0, None)


async def test_the_sides_of_a_comparison_are_measured_in_turn() -> None:
    measured: list[str] = []

    async def measure(side: str) -> int:
        measured.append(side)
        return len(measured)

    async def pause() -> None:
        measured.append("-")

    sides = {side: partial(measure, side) for side in ("ours", "theirs")}
    outcomes = await in_turn(replace(QUICK, runs=2, after_each=pause), sides)
    assert measured == ["ours", "-", "theirs", "-", "ours", "-", "theirs", "-"]
    assert outcomes == {"ours": [1, 5], "theirs": [3, 7]}


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 3.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 99) == 4.0
    assert percentile([1.0], 0) == 1.0


def test_a_full_effort_measures_as_long_as_a_benchmark_says() -> None:
    assert (FULL.lasting(8.0), FULL.bars(20_000)) == (8.0, 20_000)
