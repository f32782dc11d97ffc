from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.resolved_trades import resolved_trade, some_trades

from tradingsignals_server.domain.performance.bootstrap import BootstrapSettings, Resamples
from tradingsignals_server.domain.performance.calibration import bin_sums, calibration_bins, calibration_figures
from tradingsignals_server.domain.performance.figures import Figure
from tradingsignals_server.domain.performance.trades import Trade, TradeColumns, in_order_of_exit

NO_WEIGHTS = np.empty((0, 0))


def forecasts(*cases: tuple[float, bool]) -> list[Trade]:
    return [
        resolved_trade(0.1 if won else -0.1, session=at, win_probability=chance)
        for at, (chance, won) in enumerate(cases)
    ]


def sums(trades: list[Trade]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return bin_sums(TradeColumns.of(in_order_of_exit(trades)))


def figures(trades: list[Trade]) -> dict[str, Figure]:
    return calibration_figures(sums(trades), NO_WEIGHTS)


def test_hand_computed_score_and_parts() -> None:
    # Bins: 0.2 wins 1 of 2, 0.8 wins 2 of 2; 3 of 4 win in all.
    found = figures(forecasts((0.2, True), (0.2, False), (0.8, True), (0.8, True)))
    assert {name: figure.value for name, figure in found.items()} == {
        "brier": pytest.approx((0.64 + 0.04 + 0.04 + 0.04) / 4.0),
        "brier_reliability": pytest.approx((2 * 0.3**2 + 2 * 0.2**2) / 4.0),
        "brier_resolution": pytest.approx((2 * 0.25**2 + 2 * 0.25**2) / 4.0),
        "brier_uncertainty": pytest.approx(0.1875),
        "brier_within_bins": pytest.approx(0.0, abs=1e-15),
        "brier_skill": pytest.approx(1.0 - 0.19 / 0.1875),
        "expected_calibration_error": pytest.approx(0.25),
    }
    assert {figure.n for figure in found.values()} == {4}


def test_a_constant_forecast_has_no_resolution_and_no_skill() -> None:
    found = figures(forecasts((0.5, True), (0.5, False), (0.5, True), (0.5, False)))
    assert found["brier_resolution"].value == 0.0
    assert found["brier_skill"].value == pytest.approx(0.0)


def test_skill_is_undefined_if_all_win() -> None:
    found = figures(forecasts((0.9, True), (0.8, True)))
    assert found["brier_skill"].value is None
    assert found["brier_uncertainty"].value == 0.0


def test_trades_without_win_probability_do_not_count() -> None:
    known = forecasts((0.2, True), (0.8, False))
    assert figures([*known, resolved_trade(session=9)]) == figures(known)
    assert {figure.value for figure in figures([resolved_trade()]).values()} == {None}
    assert {figure.value for figure in figures([]).values()} == {None}


@given(some_trades)
def test_the_parts_add_up_to_the_brier_score(trades: list[Trade]) -> None:
    values = {name: figure.value for name, figure in figures(trades).items()}
    known = [trade for trade in trades if trade.win_probability is not None]
    if not known:
        assert values["brier"] is None
        return
    direct = sum(((trade.win_probability or 0.0) - trade.won) ** 2 for trade in known) / len(known)
    parts = [values[f"brier_{name}"] or 0.0 for name in ("reliability", "resolution", "uncertainty", "within_bins")]
    assert parts[0] - parts[1] + parts[2] + parts[3] == pytest.approx(values["brier"], abs=1e-12)
    assert values["brier"] == pytest.approx(direct, abs=1e-12)


@given(st.floats(0.0, 1.0))
def test_each_forecast_has_one_bin(chance: float) -> None:
    (only,) = calibration_bins(sums(forecasts((chance, True))), NO_WEIGHTS)
    assert only.low <= chance <= only.high
    assert (only.n, only.mean_probability, only.win_rate.value) == (1, chance, 1.0)


def test_bounds_belong_to_the_bin_above_and_1_to_the_last() -> None:
    bins = calibration_bins(sums(forecasts((0.5, True), (1.0, True), (0.0, False))), NO_WEIGHTS)
    assert [(one.low, one.high) for one in bins] == [(0.0, 0.1), (0.5, 0.6), (0.9, 1.0)]


def test_intervals_hold_the_estimates() -> None:
    rng = np.random.default_rng(5)
    trades = forecasts(*((float(p), bool(rng.random() < p)) for p in rng.uniform(0.0, 1.0, 200)))
    weights = Resamples.of(200, BootstrapSettings(200)).weights()
    for name, figure in calibration_figures(sums(trades), weights).items():
        if name in ("brier", "brier_skill", "brier_within_bins"):
            assert figure.value is not None
            assert figure.interval is not None
            assert figure.interval.low < figure.value < figure.interval.high, name
    rates = [one.win_rate for one in calibration_bins(sums(trades), weights)]
    inside = [r.interval.low <= (r.value or 0.0) <= r.interval.high for r in rates if r.interval]
    assert len(inside) == 10
    assert all(inside)
