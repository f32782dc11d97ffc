"""Rules that turn the output of a policy into a decision: threshold, levels, size and reasoning."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from operator import itemgetter
from statistics import fmean

from .bars import price_problem
from .calibration import LEAST_CASES, WinCalibration
from .costs import NO_CHARGES, Charges, round_trip
from .indicators import Indicators, side_of
from .protections import NO_PROTECTIONS, Protections
from .rule import ObjectionRule
from .signals import Action, Decision, Probabilities, WinEstimate, reached_from
from .values import dataclass
from .wording import counted, percent

KELLY_MINIMUM_TRADES = 20
"""Closed positions that Kelly's fraction needs without a win probability; with fewer, it is POSITION_SIZE_PCT."""

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


MAX_AGE_BARS = 3
"""Bars after which stored bars are too old for a trade, unless a time is set."""


@dataclass(frozen=True, slots=True)
class RiskRules:
    """Rules of risk and position management, one field for each setting of the same name (config.Settings checks them).

    Fractions are of equity, 0..1; distances are multiples of the ATR; `max_bar_age` is trading time, None for
    MAX_AGE_BARS bars of the symbol's interval; `max_price_jump` is a fraction of the last price. For these last two and
    `min_win_probability`, 0 means no limit. `protections` look at the account, all others at the symbol.
    """

    confidence_threshold: float = 0.65
    min_win_probability: float = 0.0
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
    slippage: Charges = NO_CHARGES
    initial_equity: float = 100_000.0
    account_currency: str = "USD"
    max_bar_age: timedelta | None = None
    max_price_jump: float = 0.5
    protections: Protections = NO_PROTECTIONS

    def costs(self, symbol: str, entry: float, exit_: float, *, at_limit: bool = False) -> float:
        """Return the costs in price of a trade of one unit. See costs.round_trip."""
        spread, commission, slippage = self.spread.of(symbol), self.commission.of(symbol), self.slippage.of(symbol)
        return round_trip(spread, commission, slippage, entry, exit_, at_limit=at_limit)

    def max_bar_age_of(self, interval: timedelta) -> timedelta:
        """Return the trading time after which bars of `interval` are too old for a trade; 0 means no limit."""
        return MAX_AGE_BARS * interval if self.max_bar_age is None else self.max_bar_age

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
    symbol: str,
    probabilities: Probabilities,
    price: float,
    indicators: Indicators,
    rules: RiskRules,
    tally: TradeTally,
    calibration: WinCalibration | None = None,
) -> Decision:
    """Turn the output of a policy into a decision.

    The most probable action is taken if its probability reaches the threshold, if its win probability reaches the
    minimum, if its levels are valid prices, and if the risk-reward ratio reaches the minimum. Otherwise the action is
    HOLD, and the reasoning states the rule. A size of 0 opens nothing, but does not change the action. Stop = entry -/+
    ATR x atr_multiplier_sl, target = entry +/- ATR x atr_multiplier_tp.

    Args:
        symbol: instrument, for its costs.
        probabilities: output of the policy.
        price: entry price, in quote currency.
        indicators: indicators at the newest bar; without an ATR there are no levels.
        rules: threshold, multipliers and sizing.
        tally: closed positions at the time of the decision (TradeTally.at).
        calibration: that of the policy's model; None if it has none.
    """
    choice = choice_of(symbol, probabilities, price, indicators, rules, calibration)
    action, confidence, win = choice.action, choice.confidence, choice.win
    why = [f"Model confidence: {confidence:.1%}"]
    if win is not None:
        why.append(f"Win probability: {percent(win.probability, 1)} ({counted(win.cases, 'case')})")
    for rule in DECISION_RULES:
        if (reason := rule.objection(choice)) is not None:
            sentences = (*why, reason, *_observations(price, indicators))
            return Decision(Action.HOLD, confidence, win, reasoning=sentences)
    stop_loss, take_profit = choice.levels
    kelly = None
    if rules.sizing is Sizing.KELLY:
        kelly = tally.kelly() if win is None else kelly_of(win, symbol, price, stop_loss, take_profit, rules)
    size = _size(confidence, price, abs(price - stop_loss), rules, kelly)
    sentences = (*why, *_observations(price, indicators))
    return Decision(action, confidence, win, stop_loss, take_profit, rules.risk_reward_ratio, size, sentences)


@dataclass(frozen=True, slots=True)
class PolicyChoice:
    """The most probable action of a policy, and all else that the rules of a decision depend on.

    `win` is None without a calibration, and where that knows no chance. The others: see `decide`.
    """

    symbol: str
    action: Action
    confidence: float
    win: WinEstimate | None
    price: float
    indicators: Indicators
    rules: RiskRules
    is_calibrated: bool

    @property
    def levels(self) -> tuple[float, float]:
        """Stop and target, in quote currency; both are the price without an ATR."""
        distance = self.action.direction * (self.indicators.atr or 0.0)
        return (
            self.price - distance * self.rules.atr_multiplier_sl,
            self.price + distance * self.rules.atr_multiplier_tp,
        )


def choice_of(
    symbol: str,
    probabilities: Probabilities,
    price: float,
    indicators: Indicators,
    rules: RiskRules,
    calibration: WinCalibration | None = None,
) -> PolicyChoice:
    """Return the choice of a policy. The arguments are those of `decide`."""
    action, confidence = probabilities.choice()
    win = None if calibration is None else calibration.estimate(action, confidence)
    return PolicyChoice(symbol, action, confidence, win, price, indicators, rules, calibration is not None)


def _choice_objection(choice: PolicyChoice) -> str | None:
    return "Model chose HOLD" if choice.action is Action.HOLD else None


def _confidence_objection(choice: PolicyChoice) -> str | None:
    action, confidence, threshold = choice.action, choice.confidence, choice.rules.confidence_threshold
    if confidence < reached_from(threshold):
        given, needed = percent(confidence, 1, threshold), percent(threshold, 1, confidence)
        return f"{action} at {given} is below the threshold of {needed}: HOLD"
    return None


def _ratio_objection(choice: PolicyChoice) -> str | None:
    ratio, least = choice.rules.risk_reward_ratio, choice.rules.min_risk_reward
    # 0.45 / 0.3 is 1.5 in decimal, and slightly less in binary.
    if ratio < least * (1.0 - 1e-12):
        return f"Risk-reward ratio {ratio:.2f} is below the minimum of {least:.2f}: HOLD"
    return None


def _win_objection(choice: PolicyChoice) -> str | None:
    action, win, least = choice.action, choice.win, choice.rules.min_win_probability
    if least <= 0.0:
        return None
    if win is not None:
        chance, minimum = percent(win.probability, 1, least), percent(least, 1, win.probability)
        below = f"{action} wins in {chance} of {counted(win.cases, 'case')}, below the minimum of {minimum}: HOLD"
        return below if win.probability < least else None
    why = (
        f"fewer than {LEAST_CASES} cases are known at a confidence of {percent(choice.confidence, 1)}"
        if choice.is_calibrated
        else "its model is not calibrated"
    )
    return f"{action} has no win probability, for {why}, and the minimum is {percent(least, 1)}: HOLD"


def _atr_objection(choice: PolicyChoice) -> str | None:
    return None if choice.indicators.atr else f"{choice.action} has no levels because there is no ATR: HOLD"


def _price_objection(choice: PolicyChoice) -> str | None:
    levels = choice.levels
    if price_problem(min(levels)) or price_problem(max(levels)):
        return f"{choice.action} would need a level that cannot be a price: HOLD"
    return None


def _distance_objection(choice: PolicyChoice) -> str | None:
    side, price, (stop_loss, take_profit) = choice.action.direction, choice.price, choice.levels
    if side * (price - stop_loss) <= 0.0 or side * (take_profit - price) <= 0.0:
        return f"{choice.action} has no levels because the ATR is too small beside the price: HOLD"
    return None


DECISION_RULES: tuple[ObjectionRule[PolicyChoice], ...] = (
    ObjectionRule("MODEL_CHOICE", _choice_objection, lambda choice: choice.confidence),
    ObjectionRule(
        "CONFIDENCE_THRESHOLD",
        _confidence_objection,
        lambda choice: choice.confidence,
        lambda choice: choice.rules.confidence_threshold,
    ),
    ObjectionRule(
        "MIN_RISK_REWARD",
        _ratio_objection,
        lambda choice: choice.rules.risk_reward_ratio,
        lambda choice: choice.rules.min_risk_reward,
    ),
    ObjectionRule(
        "MIN_WIN_PROBABILITY",
        _win_objection,
        lambda choice: None if choice.win is None else choice.win.probability,
        lambda choice: choice.rules.min_win_probability,
    ),
    ObjectionRule("ATR", _atr_objection, lambda choice: choice.indicators.atr),
    ObjectionRule("LEVELS_ARE_PRICES", _price_objection, lambda choice: min(choice.levels)),
    ObjectionRule("LEVELS_ARE_APART", _distance_objection, lambda choice: abs(choice.price - choice.levels[0])),
)
"""The rules in the order in which `decide` applies them; the first that objects makes the action HOLD."""


def kelly_of(
    win: WinEstimate, symbol: str, price: float, stop_loss: float, take_profit: float, rules: RiskRules
) -> float:
    """Return Kelly's fraction p - (1 - p) / b, where p is the win probability and b the reward-risk ratio after costs.

    b = (distance to the target - costs) / (distance to the stop + costs). Where nothing is left of the target, it is 0.
    A session that ends before stop and target makes both win and loss smaller than b assumes. Source: J. L. Kelly, "A
    New Interpretation of Information Rate", 1956.

    Args:
        win: chance of a profit after costs.
        symbol: instrument, for its costs.
        price: entry price, in quote currency.
        stop_loss: price of the stop.
        take_profit: price of the target.
        rules: spread, commission and slippage.
    """
    reward = abs(take_profit - price) - rules.costs(symbol, price, take_profit, at_limit=True)
    risk = abs(price - stop_loss) + rules.costs(symbol, price, stop_loss)
    return 0.0 if reward <= 0.0 else win.probability - (1.0 - win.probability) * risk / reward


def _size(confidence: float, price: float, stop_distance: float, rules: RiskRules, kelly: float | None) -> float:
    """Return the fraction of equity to use, at most max_position_size_pct; `kelly` is None if it is not known."""
    match rules.sizing:
        case Sizing.CONFIDENCE:
            size = rules.position_size_pct * confidence
        case Sizing.FIXED:
            size = rules.position_size_pct
        case Sizing.RISK:
            size = rules.risk_per_trade_pct * price / stop_distance
        case Sizing.KELLY:
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
