"""From the policy's choice to a decision: threshold, levels, size, and the sentences that say why."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from operator import itemgetter
from statistics import fmean

from .bars import BAR_INTERVAL, price_problem
from .costs import NO_CHARGES, Charges
from .indicators import Indicators, side_of
from .signals import Action, Decision, Probabilities, reached_from

KELLY_MINIMUM_TRADES = 20
"""Closed positions before Kelly's fraction is trusted; until then POSITION_SIZE_PCT is taken."""

KELLY_WINDOW = 100
"""Closed positions that Kelly's fraction looks back on at most."""

KELLY_MEMORY = timedelta(days=30)
"""How far back it looks. A fraction of 0 opens nothing, so it is only time that can end it."""

RSI_OVERSOLD = 30.0
RSI_OVERBOUGHT = 70.0


class Sizing(StrEnum):
    """How the size of a position is found."""

    CONFIDENCE = "confidence"
    FIXED = "fixed"
    RISK = "risk"
    KELLY = "kelly"


@dataclass(frozen=True, slots=True)
class RiskRules:
    """The rules of the desk.

    Fractions are of equity, 0..1; distances in ATR; `max_bar_age` is trading time, `max_price_jump` a fraction of the
    last price, and 0 is no limit of either. They are checked where they are read (config.Settings) and mean what the
    settings of the same name mean.
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
        """Distance to the target over distance to the stop. Both are multiples of one ATR, so it cancels out."""
        return self.atr_multiplier_tp / self.atr_multiplier_sl


@dataclass(frozen=True, slots=True)
class TradeTally:
    """What Kelly's formula needs of a symbol's closed positions: when each ended and what it made, in percent.

    `trades` are the last KELLY_WINDOW of them, the oldest first.
    """

    trades: tuple[tuple[datetime, float], ...] = ()

    def with_trade(self, ended: datetime, pnl_pct: float) -> TradeTally:
        """This tally and one more closed position."""
        return TradeTally((*self.trades, (ended, pnl_pct))[-KELLY_WINDOW:])

    def at(self, time: datetime) -> TradeTally:
        """What of it Kelly's formula remembers at `time`."""
        first = bisect_left(self.trades, time - KELLY_MEMORY, key=itemgetter(0))
        return TradeTally(self.trades[first:]) if first else self

    def kelly(self) -> float | None:
        """Kelly's fraction W - (1 - W) / R, with W the rate of wins and R the mean win over the mean loss.

        None while fewer than KELLY_MINIMUM_TRADES trades have won or lost. Source: J. L. Kelly, "A New Interpretation
        of Information Rate", 1956, in its two-outcome form.
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
    """Turn what the policy says at `price` into a decision.

    The most probable action stands if it is sure enough, if its levels can be had, and if they pay enough; else it
    becomes HOLD, and the reasoning says by which rule. Its size may be 0, which opens nothing and leaves it as it is;
    the tally is that of the moment (TradeTally.at). Stop = entry -/+ ATR x atr_multiplier_sl, target = entry +/-
    ATR x atr_multiplier_tp.
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
    # 0.45 over 0.3 is 1.5 on paper, and a little less in binary.
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
    """Fraction of equity to take, at most max_position_size_pct."""
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
    """What stands out in the indicators, in sentences; what is absent, or no more than rounding, says nothing."""
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
