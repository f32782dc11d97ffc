"""Rules that turn the output of a policy into a decision: threshold, levels, size and reasoning."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from operator import itemgetter
from statistics import fmean

from .bars import BAR_INTERVAL, price_problem
from .costs import NO_CHARGES, Charges
from .indicators import Indicators, side_of
from .signals import Action, Decision, Probabilities, reached_from
from .values import dataclass

KELLY_MINIMUM_TRADES = 20
"""Closed positions that Kelly's fraction needs; with fewer, the size is POSITION_SIZE_PCT."""

KELLY_WINDOW = 100
"""Closed positions that Kelly's fraction uses at most, the newest ones."""

KELLY_MAX_AGE = timedelta(days=30)
"""Age of the oldest closed position that Kelly's fraction uses.

A fraction of 0 opens nothing, so no new trade could ever raise it: only the expiry of old losses can.
"""

RSI_OVERSOLD = 30.0
RSI_OVERBOUGHT = 70.0


class Sizing(StrEnum):
    """Methods of position sizing."""

    CONFIDENCE = "confidence"
    FIXED = "fixed"
    RISK = "risk"
    KELLY = "kelly"


@dataclass(frozen=True, slots=True)
class RiskRules:
    """Rules of risk and position management, one field for each setting of the same name (config.Settings checks them).

    Fractions are of equity, 0..1; distances are multiples of the ATR; `max_bar_age` is trading time, `max_price_jump` a
    fraction of the last price. For these last two, 0 means no limit.
    """

    confidence_threshold: float = 0.65
    min_risk_reward: float = 1.5
    atr_multiplier_sl: float = 2.0
    atr_multiplier_tp: float = 3.0
    sizing: Sizing = Sizing.FIXED
    position_size_pct: float = 0.02
    max_position_size_pct: float = 0.05
    risk_per_trade_pct: float = 0.001
    kelly_fraction: float = 0.25
    trailing_stop_atr: float = 0.0
    max_holding_bars: int = 0
    close_at_session_end: bool = True
    spread: Charges = NO_CHARGES
    commission: Charges = NO_CHARGES
    initial_equity: float = 100_000.0
    max_bar_age: timedelta = 3 * BAR_INTERVAL
    max_price_jump: float = 0.5

    @property
    def risk_reward_ratio(self) -> float:
        """Distance to the target divided by the distance to the stop. The ATR, a factor of both, cancels out."""
        return self.atr_multiplier_tp / self.atr_multiplier_sl


@dataclass(frozen=True, slots=True)
class TradeTally:
    """Closed positions of a symbol, for Kelly's formula.

    `trades` contains the exit time (UTC) and the profit in percent of the newest KELLY_WINDOW, the oldest first.
    """

    trades: tuple[tuple[datetime, float], ...] = ()

    def with_trade(self, ended: datetime, pnl_pct: float) -> TradeTally:
        """Return this tally with one more closed position."""
        return TradeTally((*self.trades, (ended, pnl_pct))[-KELLY_WINDOW:])

    def at(self, time: datetime) -> TradeTally:
        """Return the trades that are not older than KELLY_MAX_AGE at `time`."""
        first = bisect_left(self.trades, time - KELLY_MAX_AGE, key=itemgetter(0))
        return TradeTally(self.trades[first:]) if first else self

    def kelly(self) -> float | None:
        """Return Kelly's fraction W - (1 - W) / R, where W is the win rate and R the mean win over the mean loss.

        None if fewer than KELLY_MINIMUM_TRADES trades have won or lost. Source: J. L. Kelly, "A New Interpretation of
        Information Rate", 1956, in its two-outcome form.
        """
        won = [pnl_pct for _, pnl_pct in self.trades if pnl_pct > 0.0]
        lost = [-pnl_pct for _, pnl_pct in self.trades if pnl_pct < 0.0]
        if len(won) + len(lost) < KELLY_MINIMUM_TRADES:
            return None
        if not won:
            return 0.0
        if not lost:
            return 1.0
        win_rate = len(won) / (len(won) + len(lost))
        return win_rate - (1.0 - win_rate) * fmean(lost) / fmean(won)


def decide(
    probabilities: Probabilities, price: float, indicators: Indicators, rules: RiskRules, tally: TradeTally
) -> Decision:
    """Turn the output of a policy into a decision.

    The most probable action is taken if its probability reaches the threshold, if its levels are valid prices, and if
    the risk-reward ratio reaches the minimum. Otherwise the action is HOLD, and the reasoning states the rule. A size
    of 0 opens nothing, but does not change the action. Stop = entry -/+ ATR x atr_multiplier_sl, target = entry +/-
    ATR x atr_multiplier_tp.

    Args:
        probabilities: output of the policy.
        price: entry price, in quote currency.
        indicators: indicators at the newest bar; without an ATR there are no levels.
        rules: threshold, multipliers and sizing.
        tally: closed positions at the time of the decision (TradeTally.at).
    """
    action, confidence = probabilities.choice()
    why = [f"Model confidence: {confidence:.1%}"]

    def hold(*reasons: str) -> Decision:
        return Decision(Action.HOLD, confidence, reasoning=(*why, *reasons, *_observations(price, indicators)))

    if action is Action.HOLD:
        return hold("Model chose HOLD")
    if confidence < reached_from(rules.confidence_threshold):
        return hold(f"{action} at {confidence:.1%} is below the threshold of {rules.confidence_threshold:.1%}: HOLD")
    if not indicators.atr:
        return hold(f"{action} has no levels because there is no ATR: HOLD")
    ratio = rules.risk_reward_ratio
    # 0.45 / 0.3 is 1.5 in decimal, and slightly less in binary.
    if ratio < rules.min_risk_reward * (1.0 - 1e-12):
        return hold(f"Risk-reward ratio {ratio:.2f} is below the minimum of {rules.min_risk_reward:.2f}: HOLD")
    side = action.direction
    stop_loss = price - side * indicators.atr * rules.atr_multiplier_sl
    take_profit = price + side * indicators.atr * rules.atr_multiplier_tp
    if price_problem(min(stop_loss, take_profit)) or price_problem(max(stop_loss, take_profit)):
        return hold(f"{action} would need a level that cannot be a price: HOLD")
    if side * (price - stop_loss) <= 0.0 or side * (take_profit - price) <= 0.0:
        return hold(f"{action} has no levels because the ATR is too small beside the price: HOLD")
    size = _size(confidence, price, abs(price - stop_loss), rules, tally)
    return Decision(action, confidence, stop_loss, take_profit, ratio, size, (*why, *_observations(price, indicators)))


def _size(confidence: float, price: float, stop_distance: float, rules: RiskRules, tally: TradeTally) -> float:
    """Return the fraction of equity to use, at most max_position_size_pct."""
    match rules.sizing:
        case Sizing.CONFIDENCE:
            size = rules.position_size_pct * confidence
        case Sizing.FIXED:
            size = rules.position_size_pct
        case Sizing.RISK:
            size = rules.risk_per_trade_pct * price / stop_distance
        case Sizing.KELLY:
            kelly = tally.kelly()
            size = rules.position_size_pct if kelly is None else max(0.0, kelly) * rules.kelly_fraction
    return min(size, rules.max_position_size_pct)


def _observations(price: float, indicators: Indicators) -> Iterator[str]:
    """Yield a sentence for each observation that the indicators allow; absent values and mere rounding yield none."""
    known = indicators
    if known.rsi is not None:
        if known.rsi <= RSI_OVERSOLD:
            yield f"RSI oversold ({known.rsi:.1f})"
        elif known.rsi >= RSI_OVERBOUGHT:
            yield f"RSI overbought ({known.rsi:.1f})"
        else:
            yield f"RSI neutral ({known.rsi:.1f})"
    yield from _macd(price, indicators)
    yield from _bands(price, indicators)
    if known.ema_20 is not None and known.ema_50 is not None and (side := side_of(known.ema_20 - known.ema_50, price)):
        yield "EMA 20 above EMA 50" if side > 0 else "EMA 20 below EMA 50"


def _macd(price: float, known: Indicators) -> Iterator[str]:
    if known.macd_histogram is None:
        return
    side = side_of(known.macd_histogram, price)
    before = side if known.macd_histogram_before is None else side_of(known.macd_histogram_before, price)
    if side > 0:
        yield "MACD above its signal line" if before > 0 else "MACD bullish cross"
    elif side < 0:
        yield "MACD below its signal line" if before < 0 else "MACD bearish cross"


def _bands(price: float, known: Indicators) -> Iterator[str]:
    lower, upper = known.bb_lower, known.bb_upper
    if lower is not None and upper is not None and not side_of(upper - lower, price):
        return
    if lower is not None and price <= lower:
        yield "Price at or below the lower Bollinger band"
    if upper is not None and price >= upper:
        yield "Price at or above the upper Bollinger band"
