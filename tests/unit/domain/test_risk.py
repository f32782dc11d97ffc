"""From the output of a policy to a decision: thresholds at their boundaries, exact levels, methods of sizing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import NOW, OPENING, SURE
from tests.support.calibrations import CALIBRATION

from tradingsignals_server.domain.calibration import WinCalibration
from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.indicators import Indicators
from tradingsignals_server.domain.risk import (
    KELLY_MAX_AGE,
    KELLY_MINIMUM_TRADES,
    KELLY_WINDOW,
    RiskRules,
    Sizing,
    TradeTally,
    decide,
    kelly_of,
)
from tradingsignals_server.domain.signals import Action, Decision, Probabilities, WinEstimate

SIDES = pytest.mark.parametrize("side", [Action.BUY, Action.SELL])
RULES = RiskRules()
NOTHING = TradeTally()

prices = st.floats(0.01, 1e6)
ranges = st.floats(1e-6, 1e6)
multipliers = st.floats(0.1, 20.0)


def decided(
    side: Action = Action.BUY,
    price: float = 4000.0,
    atr: float | None = 10.0,
    rules: RiskRules = RULES,
    tally: TradeTally = NOTHING,
    calibration: WinCalibration | None = None,
) -> Decision:
    """Return the decision for a policy output of 90% for `side`."""
    return decide("USDCOP", SURE[side], price, Indicators(atr=atr), rules, tally, calibration)


def likely(side: Action, probability: float) -> Probabilities:
    rest = 1.0 - probability
    return Probabilities(rest, probability, 0.0) if side is Action.BUY else Probabilities(rest, 0.0, probability)


def is_hold(decision: Decision) -> bool:
    """Return whether a decision is HOLD and has no levels and no size."""
    without_levels = (decision.stop_loss, decision.take_profit, decision.risk_reward_ratio) == (None, None, None)
    return decision.action is Action.HOLD and without_levels and decision.position_size == 0.0


# ------------------------------------------------------------------------------------------------------- levels


@given(st.sampled_from(list(Action)), prices, ranges, st.tuples(multipliers, multipliers), st.floats(0.0, 3.0))
def test_decision_has_all_levels_or_is_hold(
    side: Action, price: float, atr: float, distances: tuple[float, float], minimum: float
) -> None:
    stop, target = distances
    rules = RiskRules(atr_multiplier_sl=stop, atr_multiplier_tp=target, min_risk_reward=minimum)
    made = decided(side, price, atr, rules)
    assert made.reasoning[0] == "Model confidence: 90.0%"
    assert made.confidence == 0.9
    if made.action is Action.HOLD:
        assert is_hold(made)
        assert len(made.reasoning) > 1
        return
    assert made.action is side
    assert made.stop_loss is not None
    assert made.take_profit is not None
    assert made.stop_loss > 0.0
    assert made.take_profit > 0.0
    assert side.direction * (price - made.stop_loss) > 0.0
    assert side.direction * (made.take_profit - price) > 0.0
    assert made.risk_reward_ratio == target / stop
    assert 0.0 < made.position_size <= rules.max_position_size_pct


@given(prices, ranges, multipliers, multipliers)
def test_levels_are_entry_plus_or_minus_atr_times_multiplier(
    price: float, atr: float, stop: float, target: float
) -> None:
    rules = RiskRules(atr_multiplier_sl=stop, atr_multiplier_tp=target, min_risk_reward=0.0)
    long, short = decided(Action.BUY, price, atr, rules), decided(Action.SELL, price, atr, rules)
    if price > atr * stop:
        assert (long.stop_loss, long.take_profit) == (price - atr * stop, price + atr * target)
    else:
        assert is_hold(long)
    if price > atr * target:
        assert (short.stop_loss, short.take_profit) == (price + atr * stop, price - atr * target)
    else:
        assert is_hold(short)


@SIDES
@pytest.mark.parametrize("atr", [1e-300, 1e-12])
def test_atr_too_small_to_separate_the_levels_gives_hold(side: Action, atr: float) -> None:
    for sizing in Sizing:
        made = decided(side, 4000.0, atr, RiskRules(sizing=sizing))
        assert is_hold(made) or made.stop_loss != 4000.0 != made.take_profit


@SIDES
def test_missing_atr_gives_hold(side: Action) -> None:
    made = decided(side, atr=None)
    assert is_hold(made)
    assert f"{side} has no levels because there is no ATR: HOLD" in made.reasoning


def test_level_at_or_below_0_gives_hold() -> None:
    at_zero = decided(Action.BUY, price=20.0, atr=10.0)
    assert is_hold(at_zero)
    assert "BUY would need a level that cannot be a price: HOLD" in at_zero.reasoning
    assert decided(Action.BUY, price=20.001, atr=10.0).action is Action.BUY
    assert is_hold(decided(Action.SELL, price=30.0, atr=10.0))
    assert decided(Action.SELL, price=30.001, atr=10.0).action is Action.SELL


# --------------------------------------------------------------------------------------------------- thresholds


@SIDES
@given(threshold=st.floats(0.51, 1.0))
def test_action_stands_at_the_threshold_and_is_hold_below_it(side: Action, threshold: float) -> None:
    rules = RiskRules(confidence_threshold=threshold)
    found = Indicators(atr=10.0)
    at = decide("USDCOP", likely(side, threshold), 4000.0, found, rules, NOTHING)
    by_a_model = decide("USDCOP", likely(side, float(np.float32(threshold))), 4000.0, found, rules, NOTHING)
    below = decide("USDCOP", likely(side, threshold - 2e-7), 4000.0, found, rules, NOTHING)
    assert at.action is by_a_model.action is side
    assert is_hold(below)
    assert below.confidence == threshold - 2e-7


def test_float32_of_the_threshold_passes() -> None:
    at = float(np.float32(0.65))
    assert at < 0.65
    assert decide("USDCOP", likely(Action.BUY, at), 4000.0, Indicators(atr=10.0), RULES, NOTHING).action is Action.BUY


def test_reasoning_names_the_action_below_the_threshold() -> None:
    made = decide("USDCOP", likely(Action.SELL, 0.6), 4000.0, Indicators(atr=10.0), RULES, NOTHING)
    assert made.reasoning[:2] == ("Model confidence: 60.0%", "SELL at 60.0% is below the threshold of 65.0%: HOLD")


def test_reasoning_states_that_the_model_chose_hold() -> None:
    assert decided(Action.HOLD).reasoning == ("Model confidence: 90.0%", "Model chose HOLD")


@given(ranges)
def test_ratio_at_the_minimum_passes_for_any_atr(atr: float) -> None:
    assert decided(Action.BUY, 1e8, atr).action is Action.BUY
    assert is_hold(decided(Action.BUY, 1e8, atr, replace(RULES, atr_multiplier_tp=2.9999)))


def test_ratio_rounded_below_the_minimum_passes() -> None:
    """For example 3.3 / 2.2, which is slightly less than 1.5 in floating point."""
    on_paper = [(hundredths / 100, hundredths * 3 // 2 / 100) for hundredths in range(2, 1000, 2)]
    rules = [RiskRules(atr_multiplier_sl=stop, atr_multiplier_tp=target) for stop, target in on_paper]
    held = [(one.atr_multiplier_sl, one.atr_multiplier_tp) for one in rules if is_hold(decided(rules=one))]
    assert held == []


def test_ratio_below_the_minimum_gives_hold_with_its_reason() -> None:
    made = decided(rules=RiskRules(atr_multiplier_tp=2.9))
    assert is_hold(made)
    assert "Risk-reward ratio 1.45 is below the minimum of 1.50: HOLD" in made.reasoning


# ---------------------------------------------------------------------------------------------- win probability


def test_calibrated_model_has_a_win_probability_beside_its_confidence() -> None:
    made = decided(Action.BUY, calibration=CALIBRATION)
    assert (made.confidence, made.win) == (0.9, WinEstimate(0.55, 40))
    assert made.reasoning == ("Model confidence: 90.0%", "Win probability: 55.0% (40 cases)")
    assert decided(Action.SELL, calibration=CALIBRATION).win == WinEstimate(0.45, 20)
    assert decided(Action.HOLD, calibration=CALIBRATION).win is None
    assert decided().win is None
    refused = decided(Action.BUY, rules=RiskRules(confidence_threshold=0.95), calibration=CALIBRATION)
    assert (refused.action, refused.win) == (Action.HOLD, WinEstimate(0.55, 40)), "still that of the choice"


@pytest.mark.parametrize(
    ("side", "minimum", "sentence"),
    [
        (Action.BUY, 0.55, None),
        (Action.BUY, 0.56, "BUY wins in 55.0% of 40 cases, below the minimum of 56.0%: HOLD"),
        (Action.SELL, 0.0, None),
        (Action.SELL, 0.5, "SELL wins in 45.0% of 20 cases, below the minimum of 50.0%: HOLD"),
    ],
)
def test_choice_below_the_minimum_win_probability_is_hold(side: Action, minimum: float, sentence: str | None) -> None:
    made = decided(side, rules=RiskRules(min_win_probability=minimum), calibration=CALIBRATION)
    assert is_hold(made) == (sentence is not None)
    assert sentence is None or made.reasoning[2] == sentence
    assert made.win is not None


def test_choice_without_a_win_probability_is_hold_if_a_minimum_is_set() -> None:
    rules = RiskRules(min_win_probability=0.01, confidence_threshold=0.5)
    uncalibrated = decided(rules=rules)
    assert is_hold(uncalibrated)
    assert uncalibrated.reasoning[1] == (
        "BUY has no win probability, for its model is not calibrated, and the minimum is 1.0%: HOLD"
    )
    few = decide("USDCOP", likely(Action.SELL, 0.55), 4000.0, Indicators(atr=10.0), rules, NOTHING, CALIBRATION)
    assert is_hold(few)
    assert few.reasoning[1] == (
        "SELL has no win probability, for fewer than 20 cases are known at a confidence of 55.0%, and the minimum is "
        "1.0%: HOLD"
    )
    assert decided(Action.HOLD, rules=rules).reasoning[1] == "Model chose HOLD"


@pytest.mark.parametrize(
    ("probability", "rules", "fraction"),
    [
        (0.5, RiskRules(), 0.5 - 0.5 / 1.5),
        (0.4, RiskRules(), 0.0),
        (0.3, RiskRules(), 0.3 - 0.7 / 1.5),
        # 30 to win and 20 to lose become 28 and 22.
        (0.5, RiskRules(spread=Charges.flat(2.0)), 0.5 - 0.5 * 22.0 / 28.0),
        (0.5, RiskRules(commission=Charges(Charge(1.0), {"EURUSD": Charge(9.0)})), 0.5 - 0.5 * 22.0 / 28.0),
        # The costs take the whole target.
        (0.9, RiskRules(spread=Charges.flat(30.0)), 0.0),
    ],
)
def test_kelly_of_a_win_probability_is_after_costs(probability: float, rules: RiskRules, fraction: float) -> None:
    win = WinEstimate(probability, 100)
    long = kelly_of(win, "USDCOP", 4000.0, 3980.0, 4030.0, rules)
    assert long == pytest.approx(fraction, abs=1e-12)
    assert kelly_of(win, "USDCOP", 4000.0, 4020.0, 3970.0, rules) == pytest.approx(long, abs=1e-12)


def test_kelly_sizing_uses_the_win_probability_before_the_closed_positions() -> None:
    rules = RiskRules(sizing=Sizing.KELLY, kelly_fraction=0.1, max_position_size_pct=1.0)
    won = tally(40, 0)
    assert decided(Action.BUY, rules=rules, tally=won).position_size == pytest.approx(0.1)
    assert decided(Action.BUY, rules=rules, tally=won, calibration=CALIBRATION).position_size == pytest.approx(
        0.1 * (0.55 - 0.45 / 1.5)
    )
    costly = replace(rules, spread=Charges.flat(10.0))
    assert decided(Action.SELL, rules=costly, tally=won, calibration=CALIBRATION).position_size == 0.0


# ------------------------------------------------------------------------------------------------------- sizing


@SIDES
@pytest.mark.parametrize(
    ("rules", "size"),
    [
        (RiskRules(sizing=Sizing.CONFIDENCE, position_size_pct=0.02), 0.02 * 0.9),
        (RiskRules(sizing=Sizing.FIXED, position_size_pct=0.02), 0.02),
        # 0.1% of equity is lost when a price of 4000 falls by 2 x 50: 0.001 = size x 100 / 4000.
        (RiskRules(sizing=Sizing.RISK, risk_per_trade_pct=0.001), 0.04),
        (RiskRules(sizing=Sizing.KELLY, position_size_pct=0.02), 0.02),
        (RiskRules(sizing=Sizing.CONFIDENCE, position_size_pct=0.5), 0.05),
        (RiskRules(sizing=Sizing.FIXED, position_size_pct=0.5), 0.05),
        (RiskRules(sizing=Sizing.RISK, risk_per_trade_pct=0.5), 0.05),
        (RiskRules(sizing=Sizing.KELLY, position_size_pct=0.5), 0.05),
        (RiskRules(sizing=Sizing.RISK, risk_per_trade_pct=0.5, max_position_size_pct=1.0), 1.0),
    ],
)
def test_size_by_method_is_capped(side: Action, rules: RiskRules, size: float) -> None:
    assert decided(side, 4000.0, 50.0, rules).position_size == pytest.approx(size, rel=1e-12)


@given(price=prices, share=st.floats(1e-3, 0.4), risk=st.floats(1e-4, 1e-3))
def test_risk_sizing_loses_the_given_fraction_at_the_stop(price: float, share: float, risk: float) -> None:
    rules = RiskRules(sizing=Sizing.RISK, risk_per_trade_pct=risk, max_position_size_pct=1.0)
    made = decided(Action.BUY, price, share * price, rules)
    assert made.stop_loss is not None
    assert made.position_size * (price - made.stop_loss) / price == pytest.approx(risk, rel=1e-9)


def tally(wins: int, losses: int, won: float = 1.0, lost: float = 1.0) -> TradeTally:
    """Return trades with the given profits and losses in percent."""
    found = TradeTally()
    for hour, pnl_pct in enumerate([won] * wins + [-lost] * losses):
        found = found.with_trade(OPENING + timedelta(hours=hour), pnl_pct)
    return found


@pytest.mark.parametrize(
    ("closed", "fraction"),
    [
        (tally(10, 9), None),
        (tally(10, 10), 0.0),
        (tally(12, 8), 0.2),
        (tally(8, 12), -0.2),
        (tally(10, 10, won=2.0), 0.25),
        (tally(10, 10, lost=2.0), -0.5),
        (tally(20, 0), 1.0),
        (tally(0, 20), 0.0),
        (tally(30, 10, won=0.5, lost=1.5), 0.0),
    ],
)
def test_kelly_matches_the_formula(closed: TradeTally, fraction: float | None) -> None:
    assert closed.kelly() == (None if fraction is None else pytest.approx(fraction, abs=1e-12))


def test_trade_without_profit_or_loss_does_not_count() -> None:
    assert tally(12, 7).with_trade(NOW, 0.0).kelly() is None
    assert tally(12, 8).with_trade(NOW, 0.0).kelly() == tally(12, 8).kelly()
    assert KELLY_MINIMUM_TRADES == 20


def test_kelly_uses_the_newest_trades_only() -> None:
    losing = tally(0, 40)
    for hour in range(KELLY_WINDOW):
        losing = losing.with_trade(NOW + timedelta(hours=hour), 1.0)
    assert losing.kelly() == 1.0
    assert len(losing.trades) == KELLY_WINDOW


@pytest.mark.parametrize(("later", "fraction"), [(timedelta(0), 0.0), (timedelta(hours=5), None)])
def test_old_losses_expire_so_that_trading_resumes(later: timedelta, fraction: float | None) -> None:
    """There are 20 trades, one each hour; the first is exactly as old as the limit, or older."""
    assert tally(0, 20).at(OPENING + KELLY_MAX_AGE + later).kelly() == fraction
    made = decided(rules=RiskRules(sizing=Sizing.KELLY), tally=tally(0, 20).at(OPENING + 2 * KELLY_MAX_AGE))
    assert made.position_size == RULES.position_size_pct


def test_kelly_sizing_uses_part_of_the_fraction_after_enough_trades() -> None:
    rules = RiskRules(sizing=Sizing.KELLY, kelly_fraction=0.2, position_size_pct=0.01)
    assert decided(rules=rules, tally=tally(11, 8)).position_size == 0.01
    assert decided(rules=rules, tally=tally(12, 8)).position_size == pytest.approx(0.04)


@pytest.mark.parametrize("closed", [tally(10, 10), tally(5, 20), tally(0, 25)])
def test_kelly_size_is_0_for_a_fraction_of_0_or_less(closed: TradeTally) -> None:
    made, other = decided(rules=RiskRules(sizing=Sizing.KELLY), tally=closed), decided()
    assert made.position_size == 0.0
    assert replace(made, position_size=other.position_size) == other, "sizing changes the size and nothing else"


# ---------------------------------------------------------------------------------------------------- reasoning


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (Indicators(rsi=28.5), "RSI oversold (28.5)"),
        (Indicators(rsi=30.0), "RSI oversold (30.0)"),
        (Indicators(rsi=30.1), "RSI neutral (30.1)"),
        (Indicators(rsi=69.9), "RSI neutral (69.9)"),
        (Indicators(rsi=70.0), "RSI overbought (70.0)"),
        (Indicators(macd_histogram=0.1, macd_histogram_before=-0.1), "MACD bullish cross"),
        (Indicators(macd_histogram=0.1, macd_histogram_before=0.0), "MACD bullish cross"),
        (Indicators(macd_histogram=0.1, macd_histogram_before=0.2), "MACD above its signal line"),
        (Indicators(macd_histogram=0.1), "MACD above its signal line"),
        (Indicators(macd_histogram=-0.1, macd_histogram_before=0.1), "MACD bearish cross"),
        (Indicators(macd_histogram=-0.1, macd_histogram_before=0.0), "MACD bearish cross"),
        (Indicators(macd_histogram=-0.1, macd_histogram_before=-0.2), "MACD below its signal line"),
        (Indicators(macd_histogram=-0.1), "MACD below its signal line"),
        (Indicators(bb_lower=4000.0), "Price at or below the lower Bollinger band"),
        (Indicators(bb_upper=4000.0), "Price at or above the upper Bollinger band"),
        (Indicators(ema_20=2.0, ema_50=1.0), "EMA 20 above EMA 50"),
        (Indicators(ema_20=1.0, ema_50=2.0), "EMA 20 below EMA 50"),
    ],
)
def test_reasoning_contains_the_observation(found: Indicators, sentence: str) -> None:
    for action in Action:
        reasoning = decide("USDCOP", SURE[action], 4000.0, replace(found, atr=10.0), RULES, NOTHING).reasoning
        assert reasoning[-1] == sentence


@pytest.mark.parametrize(
    "found",
    [
        Indicators(),
        Indicators(macd_histogram=0.0, macd_histogram_before=1.0),
        Indicators(macd_histogram=1e-13, macd_histogram_before=-1e-13),
        Indicators(bb_lower=4000.0, bb_upper=4000.0),
        Indicators(ema_20=4000.0, ema_50=4000.0 + 1e-12),
        Indicators(bb_lower=3999.0, bb_upper=4001.0),
        Indicators(ema_20=1.0, ema_50=1.0),
        Indicators(ema_20=1.0),
    ],
)
def test_reasoning_omits_absent_observations(found: Indicators) -> None:
    assert decide("USDCOP", SURE[Action.BUY], 4000.0, replace(found, atr=10.0), RULES, NOTHING).reasoning == (
        "Model confidence: 90.0%",
    )
