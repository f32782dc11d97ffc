"""From the policy's choice to a decision: threshold, levels, size, and the sentences that say why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from .indicators import Indicators
from .signals import Action, Decision, Probabilities

KELLY_MINIMUM_TRADES = 20
"""Closed positions before Kelly's fraction is trusted; until then POSITION_SIZE_PCT is taken."""

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

    Fractions are of equity, 0..1; distances in ATR; `spread` in price; `commission_pct` in percent of the price. They
    are checked where they are read (config.Settings) and mean what the settings of the same name mean.
    """

    confidence_threshold: float = 0.65
    min_risk_reward: float = 1.5
    atr_multiplier_sl: float = 2.0
    atr_multiplier_tp: float = 3.0
    sizing: Sizing = Sizing.CONFIDENCE
    position_size_pct: float = 0.02
    max_position_size_pct: float = 0.05
    risk_per_trade_pct: float = 0.001
    kelly_fraction: float = 0.25
    trailing_stop_atr: float = 0.0
    max_holding_bars: int = 0
    close_at_session_end: bool = True
    spread: float = 0.0
    commission_pct: float = 0.0
    initial_equity: float = 100_000.0

    @property
    def risk_reward_ratio(self) -> float:
        """Distance to the target over distance to the stop. Both are multiples of one ATR, so it cancels out."""
        return self.atr_multiplier_tp / self.atr_multiplier_sl


@dataclass(frozen=True, slots=True)
class TradeTally:
    """What Kelly's formula needs of a symbol's closed positions: how many won and lost, and how much, in percent."""

    wins: int = 0
    losses: int = 0
    won_pct: float = 0.0
    lost_pct: float = 0.0

    def with_trade(self, pnl_pct: float) -> TradeTally:
        """This tally and one more closed position; one that came out even counts on neither side."""
        if pnl_pct > 0.0:
            return TradeTally(self.wins + 1, self.losses, self.won_pct + pnl_pct, self.lost_pct)
        if pnl_pct < 0.0:
            return TradeTally(self.wins, self.losses + 1, self.won_pct, self.lost_pct - pnl_pct)
        return self

    def kelly(self) -> float | None:
        """Kelly's fraction W - (1 - W) / R, with W the rate of wins and R the mean win over the mean loss.

        None while there are fewer than KELLY_MINIMUM_TRADES trades. Source: J. L. Kelly, "A New Interpretation of
        Information Rate", 1956, in its two-outcome form.
        """
        trades = self.wins + self.losses
        if trades < KELLY_MINIMUM_TRADES:
            return None
        if not self.wins:
            return 0.0
        if not self.losses:
            return 1.0
        win_rate = self.wins / trades
        payoff = (self.won_pct / self.wins) / (self.lost_pct / self.losses)
        return win_rate - (1.0 - win_rate) / payoff


def decide(
    probabilities: Probabilities, price: float, indicators: Indicators, rules: RiskRules, tally: TradeTally
) -> Decision:
    """Turn what the policy says at `price` into a decision.

    The most probable action stands if it is sure enough, if its levels can be had, and if they pay enough; else it
    becomes HOLD, and the reasoning says by which rule. Stop = entry -/+ ATR x atr_multiplier_sl, target = entry +/-
    ATR x atr_multiplier_tp.
    """
    action, confidence = probabilities.choice()
    why = [f"Model confidence: {confidence:.1%}"]

    def hold(*reasons: str) -> Decision:
        return Decision(Action.HOLD, confidence, reasoning=(*why, *reasons, *_observations(price, indicators)))

    if action is Action.HOLD:
        return hold("Model chose HOLD")
    if confidence < rules.confidence_threshold:
        return hold(f"{action} at {confidence:.1%} is below the threshold of {rules.confidence_threshold:.1%}: HOLD")
    if not indicators.atr:
        known = "unknown" if indicators.atr is None else "0"
        return hold(f"{action} has no levels because the ATR is {known}: HOLD")
    ratio = rules.risk_reward_ratio
    # 0.45 over 0.3 is 1.5 on paper, and a little less in binary.
    if ratio < rules.min_risk_reward * (1.0 - 1e-12):
        return hold(f"Risk-reward ratio {ratio:.2f} is below the minimum of {rules.min_risk_reward:.2f}: HOLD")
    side = action.direction
    stop_loss = price - side * indicators.atr * rules.atr_multiplier_sl
    take_profit = price + side * indicators.atr * rules.atr_multiplier_tp
    if stop_loss <= 0.0 or take_profit <= 0.0:
        return hold(f"{action} would need a level at or below 0: HOLD")
    if side * (price - stop_loss) <= 0.0 or side * (take_profit - price) <= 0.0:
        return hold(f"{action} has no levels because the ATR is too small beside the price: HOLD")
    size = _size(confidence, price, abs(price - stop_loss), rules, tally)
    if size <= 0.0:
        return hold(f"Kelly's fraction of the closed positions leaves nothing to take: {action} becomes HOLD")
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
    """What stands out in the indicators, in sentences."""
    known = indicators
    if known.rsi is not None:
        if known.rsi <= RSI_OVERSOLD:
            yield f"RSI oversold ({known.rsi:.1f})"
        elif known.rsi >= RSI_OVERBOUGHT:
            yield f"RSI overbought ({known.rsi:.1f})"
        else:
            yield f"RSI neutral ({known.rsi:.1f})"
    if known.macd_histogram is not None:
        before = known.macd_histogram_before
        if known.macd_histogram > 0.0:
            yield "MACD bullish cross" if before is not None and before <= 0.0 else "MACD above its signal line"
        elif known.macd_histogram < 0.0:
            yield "MACD bearish cross" if before is not None and before >= 0.0 else "MACD below its signal line"
    if known.bb_lower is not None and price <= known.bb_lower:
        yield "Price at or below the lower Bollinger band"
    if known.bb_upper is not None and price >= known.bb_upper:
        yield "Price at or above the upper Bollinger band"
    if known.ema_20 is not None and known.ema_50 is not None:
        if known.ema_20 > known.ema_50:
            yield "EMA 20 above EMA 50"
        elif known.ema_20 < known.ema_50:
            yield "EMA 20 below EMA 50"
