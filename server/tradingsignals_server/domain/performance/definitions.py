"""The definition of each figure: declared here, and nowhere else.

`docs/statistics.md` and the comment of `Figure.name` in the contract are generated from this table.
"""

from __future__ import annotations

from enum import StrEnum

from ..values import dataclass


class FigureGroup(StrEnum):
    """Groups of figures, in the order in which they are shown."""

    TRADES = "Trades"
    DRAWDOWN = "Drawdown"
    ACTIVITY = "Exposure and turnover"
    RETURNS = "Returns and risk"
    SELECTION = "Skill and selection"
    CALIBRATION = "Calibration of win_probability"
    LATENCY = "Latency"


class FigureUnit(StrEnum):
    """Units of figures."""

    COUNT = "count"
    PERCENT = "percent"
    ACCOUNT = "account currency"
    R = "R"
    RATIO = "ratio"
    PROBABILITY = "probability"
    DAYS = "calendar days"
    MILLISECONDS = "ms"


@dataclass(frozen=True, slots=True)
class FigureDefinition:
    """What a figure is.

    formula: in words and symbols. counted: what `n` counts, the denominator of a mean. undefined: when the value is
    None, besides n = 0. periodicity: the period of its terms, and how it is annualised, empty if it has none.
    estimate: whether it has an interval by bootstrap over sessions.
    """

    name: str
    group: FigureGroup
    unit: FigureUnit
    formula: str
    counted: str
    undefined: str = ""
    periodicity: str = ""
    estimate: bool = False


_BY_BAR = "equity after each bar, not annualised"
_BY_SESSION = "equity at the end of each session, not annualised"
_ANNUALISED = "session returns, times the square root of the sessions of a year (252)"
_SHORT = "fewer than 20 sessions"
_RUIN = "the equity was ever 0 or below"


def _trades() -> tuple[FigureDefinition, ...]:
    group, counted = FigureGroup.TRADES, "trades"

    def count(name: str, formula: str) -> FigureDefinition:
        return FigureDefinition(name, group, FigureUnit.COUNT, formula, counted)

    def estimate(name: str, unit: FigureUnit, formula: str, undefined: str = "", of: str = counted) -> FigureDefinition:
        return FigureDefinition(name, group, unit, formula, of, undefined, estimate=True)

    return (
        count("trades", "BUY and SELL that were resolved; HOLD and open ones never count"),
        count("wins", "trades with a net profit above 0"),
        count("losses", "trades with a net profit below 0"),
        count("breakeven", "trades with a net profit of exactly 0"),
        FigureDefinition("pnl", group, FigureUnit.ACCOUNT, "sum of the net profit of all trades", counted),
        estimate("win_rate_pct", FigureUnit.PERCENT, "100 wins / trades; a trade that broke even is no win"),
        estimate(
            "profit_factor",
            FigureUnit.RATIO,
            "sum of the net profit of wins / sum of the net loss of losses",
            "no losses",
        ),
        estimate("expectancy", FigureUnit.ACCOUNT, "mean net profit"),
        estimate("expectancy_r", FigureUnit.R, "mean net profit in units of the distance to the first stop"),
        estimate(
            "expectancy_pct", FigureUnit.PERCENT, "mean net profit in percent of the entry price, sizes not counted"
        ),
        estimate("average_win", FigureUnit.ACCOUNT, "mean net profit of wins", "no wins", "wins"),
        estimate("average_loss", FigureUnit.ACCOUNT, "mean net profit of losses, below 0", "no losses", "losses"),
        estimate("average_win_r", FigureUnit.R, "mean R multiple of wins", "no wins", "wins"),
        estimate("average_loss_r", FigureUnit.R, "mean R multiple of losses, below 0", "no losses", "losses"),
        estimate("payoff", FigureUnit.RATIO, "average_win / -average_loss", "no wins, or no losses"),
        estimate("average_cost_pct", FigureUnit.PERCENT, "mean gross less net profit, in percent of the entry price"),
        estimate("average_mfe_r", FigureUnit.R, "mean largest excursion in favor of the trade, without costs"),
        estimate("average_mae_r", FigureUnit.R, "mean largest excursion against the trade, without costs"),
        count("longest_win_streak", "longest run of wins in the order of exit; a trade that broke even ends it"),
        count("longest_loss_streak", "longest run of losses in the order of exit; a trade that broke even ends it"),
    )


def _drawdowns() -> tuple[FigureDefinition, ...]:
    group, counted = FigureGroup.DRAWDOWN, "bars"

    def by_bar(name: str, unit: FigureUnit, formula: str, undefined: str = "") -> FigureDefinition:
        return FigureDefinition(name, group, unit, formula, counted, undefined, _BY_BAR)

    return (
        by_bar(
            "max_drawdown_pct",
            FigureUnit.PERCENT,
            "largest 100 (peak - equity) / peak; the peak is the highest equity so far, the initial one included",
        ),
        by_bar("max_drawdown", FigureUnit.ACCOUNT, "largest peak - equity"),
        by_bar(
            "longest_drawdown_days",
            FigureUnit.DAYS,
            "longest time from a peak to the recovery, or to the end of the curve",
        ),
        by_bar(
            "max_drawdown_recovery_days",
            FigureUnit.DAYS,
            "time from the trough of the deepest drawdown to its recovery",
            "it has not recovered",
        ),
        by_bar("time_under_water_pct", FigureUnit.PERCENT, "100 bars with equity below the peak / bars"),
    )


def _activity() -> tuple[FigureDefinition, ...]:
    group = FigureGroup.ACTIVITY

    def by_bar(name: str, formula: str) -> FigureDefinition:
        return FigureDefinition(name, group, FigureUnit.PERCENT, formula, "bars", periodicity="after each bar")

    return (
        by_bar("average_exposure_pct", "mean of 100 times the sum of open sizes"),
        by_bar("max_exposure_pct", "largest 100 times the sum of open sizes"),
        by_bar("time_in_market_pct", "100 bars with an open position / bars"),
        FigureDefinition(
            "turnover",
            group,
            FigureUnit.RATIO,
            "sum of entry and exit sizes (2 sizes a trade), in multiples of the initial equity, a year",
            "sessions",
            periodicity="times the sessions of a year (252) / sessions",
        ),
    )


def _of_sessions(
    name: str, unit: FigureUnit, formula: str, undefined: str, periodicity: str = _BY_SESSION
) -> FigureDefinition:
    """Return the definition of an estimate of session returns."""
    return FigureDefinition(name, FigureGroup.RETURNS, unit, formula, "sessions", undefined, periodicity, estimate=True)


def _growth() -> tuple[FigureDefinition, ...]:
    group, counted = FigureGroup.RETURNS, "sessions"
    percent = FigureUnit.PERCENT
    return (
        FigureDefinition(
            "total_return_pct", group, percent, "100 (last equity / initial equity - 1)", counted, _RUIN, _BY_SESSION
        ),
        FigureDefinition(
            "cagr_pct",
            group,
            percent,
            "100 ((last equity / initial equity)^(1 / years) - 1)",
            counted,
            f"{_SHORT}; {_RUIN}",
            "years are calendar days from the first session to the last, both included, / 365.25",
        ),
        _of_sessions(
            "annual_return_pct",
            percent,
            "100 ((last equity / initial equity)^(252 / sessions) - 1)",
            f"{_SHORT}; {_RUIN}",
            "a year has 252 sessions",
        ),
        _of_sessions(
            "volatility_pct",
            percent,
            "100 times the standard deviation (n - 1) of returns",
            "fewer than 2 sessions, or all returns equal",
            _ANNUALISED,
        ),
    )


def _ratios() -> tuple[FigureDefinition, ...]:
    ratio = FigureUnit.RATIO
    return (
        _of_sessions(
            "sharpe",
            ratio,
            "mean return / standard deviation (n - 1); no risk-free rate is subtracted",
            "fewer than 2 sessions, or all returns equal",
            _ANNUALISED,
        ),
        _of_sessions(
            "sortino",
            ratio,
            "mean return / square root of the mean of min(return, 0)^2 over all sessions",
            "no session lost",
            _ANNUALISED,
        ),
        _of_sessions(
            "calmar",
            ratio,
            "annual_return_pct / max_session_drawdown_pct",
            f"{_SHORT}, or no drawdown",
            "a year has 252 sessions",
        ),
        _of_sessions("omega", ratio, "sum of returns above 0 / -(sum of returns below 0)", "no session lost"),
    )


def _losses_and_moments() -> tuple[FigureDefinition, ...]:
    percent, ratio = FigureUnit.PERCENT, FigureUnit.RATIO
    return (
        _of_sessions("max_session_drawdown_pct", percent, "as max_drawdown_pct, by session", _RUIN),
        _of_sessions("ulcer_index_pct", percent, "square root of the mean of the squared drawdown in percent", _RUIN),
        _of_sessions(
            "var_95_pct",
            percent,
            "-100 times the 5% quantile of returns (historical, linear interpolation): a loss is above 0",
            _SHORT,
        ),
        _of_sessions("cvar_95_pct", percent, "-100 times the mean of the returns at or below that quantile", _SHORT),
        _of_sessions(
            "skewness", ratio, "third central moment / variance^1.5 (n)", "fewer than 4 sessions, or all returns equal"
        ),
        _of_sessions(
            "kurtosis",
            ratio,
            "fourth central moment / variance^2 (n); 3 for a normal distribution",
            "fewer than 4 sessions, or all returns equal",
        ),
    )


def _selection() -> tuple[FigureDefinition, ...]:
    group, chance, once = FigureGroup.SELECTION, FigureUnit.PROBABILITY, "session returns, not annualised"
    undefined = "where sharpe or the moments are"
    return (
        FigureDefinition(
            "probabilistic_sharpe",
            group,
            chance,
            "Phi((SR - 0) sqrt(n - 1) / sqrt(1 - skewness SR + (kurtosis - 1) / 4 SR^2)): the probability that the "
            "true Sharpe ratio is above 0 (Bailey and Lopez de Prado 2012)",
            "sessions",
            undefined,
            once,
        ),
        FigureDefinition(
            "deflated_sharpe",
            group,
            chance,
            "the same with SR0 in place of 0, the Sharpe ratio expected of the best of N trials without skill: "
            "sqrt(V) ((1 - g) Z(1 - 1 / N) + g Z(1 - 1 / (N e))), V the variance of the trials' Sharpe ratios, g the "
            "constant of Euler and Mascheroni, Z the inverse of Phi (Bailey and Lopez de Prado 2014)",
            "sessions",
            f"{undefined}; nothing was selected among trials",
            once,
        ),
        FigureDefinition(
            "trials", group, FigureUnit.COUNT, "number of trials that were compared", "trials", "nothing was selected"
        ),
    )


def _calibration() -> tuple[FigureDefinition, ...]:
    group, counted = FigureGroup.CALIBRATION, "trades with win_probability"
    ratio, undefined = FigureUnit.RATIO, "all trades won, or none did"

    def estimate(name: str, formula: str, missing: str = "", of: str = counted) -> FigureDefinition:
        return FigureDefinition(name, group, ratio, formula, of, missing, estimate=True)

    return (
        estimate("brier", "mean of (p - y)^2, p the win_probability, y 1 for a win and 0 for any other trade"),
        estimate("brier_reliability", "sum over bins of n (mean p - mean y)^2 / trades; ten bins of equal width"),
        estimate("brier_resolution", "sum over bins of n (mean y - win rate)^2 / trades; 0 for a constant forecast"),
        estimate("brier_uncertainty", "win rate (1 - win rate)"),
        estimate(
            "brier_within_bins",
            "variance of p within bins less twice its covariance with y; "
            "brier = reliability - resolution + uncertainty + within_bins",
        ),
        estimate("brier_skill", "1 - brier / brier_uncertainty; 0 for a forecast of the win rate", undefined),
        estimate("expected_calibration_error", "sum over bins of n |mean p - mean y| / trades"),
        estimate(
            "auc_confidence",
            "probability that a win has a higher confidence than a trade that did not win; a tie counts half, "
            "so a constant has 0.5",
            undefined,
            "trades",
        ),
        estimate("auc_win_probability", "the same of win_probability", undefined),
    )


def _latencies() -> tuple[FigureDefinition, ...]:
    terms = {
        "inference_ms": (
            "milliseconds that a signal spent on features and inference, its latency_ms",
            "signals, HOLD included",
        ),
        "close_to_commit_ms": (
            "milliseconds from the close of a bar to the beginning of the commit of its signal, the arrival of the bar "
            "included",
            "signals on bars that were committed within an interval of their close; of others, such as simulated, "
            "replayed and late ones, it is no latency",
        ),
    }
    return tuple(
        FigureDefinition(
            f"{name}_p{percent}",
            FigureGroup.LATENCY,
            FigureUnit.MILLISECONDS,
            f"{percent}% quantile (linear interpolation) of the {term}",
            counted,
        )
        for name, (term, counted) in terms.items()
        for percent in PERCENTILES
    )


PERCENTILES = (50, 95, 99)
"""Of latencies."""

DEFINITIONS = {
    definition.name: definition
    for table in (
        _trades(),
        _drawdowns(),
        _activity(),
        _growth(),
        _ratios(),
        _losses_and_moments(),
        _selection(),
        _calibration(),
    )
    for definition in table
}
"""All figures of trades and equity by name, in the order in which they are shown."""

LATENCIES = {definition.name: definition for definition in _latencies()}
"""All figures of latencies by name, in the same way. Only a service that has run has them, no backtest."""
