"""A policy beside strategies without a model, over the same sessions, and what its figures of confidence are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.domain.calibration import WinCalibration
from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

from .calibration import Choices, auc, brier, estimates, fit
from .evaluation import Result, Strategy, always, average_cross, coin, long_each_session, one_bar_late, served, trade
from .history import History, Session, bars_of
from .outcomes import Outcomes
from .sharpe import Returns, expected_best, probability_above
from .split import Split

COINS = 100
FAR_ATR = 100.0
"""A stop, and a target 1.5 times as far, that no session touches."""
BEST_SESSIONS = 5
"""Sessions that are left out to see whether a few lucky ones carry the result."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The policy and the strategies that it is compared with, over the same sessions.

    coins: its results if a coin chooses the side of each position that it opened.
    """

    policy: Result
    late: Result
    by_spread: Mapping[Charge, Result]
    others: Mapping[str, Result]
    coins: tuple[Result, ...]

    @property
    def as_good(self) -> int:
        """Number of coins that did as well as the policy or better."""
        return sum(toss.mean >= self.policy.mean for toss in self.coins)


def policy_probabilities(policy: OnnxPolicy, history: History, sessions: Sequence[Session]) -> npt.NDArray[np.float64]:
    """The model file's probabilities at each bar of `sessions`, one by one as the service runs it: shape (bars, 3).

    Its state begins at zeros with each session. [1, 0, 0] at other bars, and where its output was not finite.
    """
    found = np.tile((1.0, 0.0, 0.0), (len(history.bars), 1))
    for session in sessions:
        state = policy.initial_state()
        for index in range(session.first, session.last + 1):
            probabilities, state = policy.decide(history.observations[index], state)
            if probabilities is not None:
                found[index] = probabilities.hold, probabilities.buy, probabilities.sell
    return found


def run_trial(history: History, sessions: Sequence[Session], rules: RiskRules, strategy: Strategy) -> Trial:
    """Run a policy's `strategy`, and those that need no model, through `sessions`."""

    def follow(other: Strategy, by: RiskRules = rules) -> Result:
        return trade(history, sessions, by, other)

    policy = follow(strategy)
    opened = {position.entry_time for position in policy.positions}
    entries = {index for index, bar in enumerate(history.bars) if bar.close_time in opened}
    no_exits = replace(rules, atr_multiplier_sl=FAR_ATR, atr_multiplier_tp=1.5 * FAR_ATR)
    return Trial(
        policy,
        follow(one_bar_late(sessions, strategy)),
        {
            spread: follow(strategy, replace(rules, spread=Charges(spread)))
            for spread in (Charge(), rules.spread.of(history.symbol).times(2.0))
        },
        {
            "always hold": follow(always(Action.HOLD)),
            "buy and hold, each session, no stop": follow(long_each_session(sessions), no_exits),
            "long each session, with stop and target": follow(long_each_session(sessions)),
            "EMA 20/50 cross": follow(average_cross(history)),
        },
        tuple(follow(coin(seed, entries)) for seed in range(COINS)),
    )


def win_calibration(policy: OnnxPolicy, history: History, split: Split, rules: RiskRules) -> WinCalibration:
    """The calibration of the policy in a model file, by its choices on the calibration range."""
    probabilities = policy_probabilities(policy, history, split.calibration)
    outcomes = Outcomes.of(history, split.calibration, rules)
    return fit(Choices.of(probabilities, outcomes, split.calibration), history.span(split.calibration))


@dataclass(frozen=True, slots=True)
class Foretelling:
    """How well a figure foretells a profit over `count` cases, of which the fraction `won` had one.

    constant: Brier score of a figure that is always the frequency of the calibration range.
    """

    name: str
    count: int
    won: float
    brier: float
    constant: float
    auc: float


@dataclass(frozen=True, slots=True)
class Deflated:
    """Sharpe ratios of a session, and what is left of them for the number of trials.

    validation: ratio of the policy that was chosen. trials: candidates it was chosen from, with those before.
    expected: ratio that the best of as many without skill is expected to have. skill: probability that the true ratio
    is above that. test: ratio on the test range, asked once. above_zero: probability that the true one is above 0.
    """

    validation: float
    trials: int
    expected: float
    skill: float
    test: float
    above_zero: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of a policy by today's rules.

    trial: over the test range. validation, calibration: the policy alone, over those ranges. calibrated, tested: its
    choices on the calibration and on the test range; said: their win probabilities, NaN where there are none.
    chance: frequency of a profit of a side taken at random on the test range.
    """

    trial: Trial
    validation: Result
    calibration: Result
    calibrated: Choices
    tested: Choices
    said: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
    chance: float

    def foretelling(self, least_confidence: float = 0.0) -> list[Foretelling]:
        """Confidence and win probability on the test range, over choices with a win probability and a confidence."""
        kept = (self.tested.confidence >= least_confidence) & ~np.isnan(self.said[1])
        cases = self.tested.where(kept)
        if not len(cases.won):
            return []
        constant = brier(np.full(len(cases.won), float(self.calibrated.won.mean())), cases.won)
        return [
            Foretelling(
                name, len(cases.won), float(cases.won.mean()), brier(said, cases.won), constant, auc(said, cases.won)
            )
            for name, said in (("confidence", cases.confidence), ("win probability", self.said[1][kept]))
        ]

    def deflated(self, ratios: Sequence[float], tried: int) -> Deflated:
        """The deflated Sharpe ratio of a policy chosen from candidates with these `ratios`, and `tried` others."""
        trials = len(ratios) + tried
        variance = float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 0.0
        validation, test = (Returns.of(result.session_pct) for result in (self.validation, self.trial.policy))
        expected = expected_best(variance, trials)
        return Deflated(
            validation.sharpe,
            trials,
            expected,
            probability_above(validation, expected),
            test.sharpe,
            probability_above(test, 0.0),
        )

    def record(self) -> dict[str, Any]:
        """The part that training.json stores."""
        results = {"validation": self.validation, "calibration": self.calibration, "test": self.trial.policy}
        return {
            name: {
                "mean_pct": result.mean,
                "interval_pct": result.interval(),
                "standard_error": result.standard_error,
                "trades": len(result.positions),
                "acted": result.acted,
            }
            for name, result in results.items()
        }


def evaluate(policy: OnnxPolicy, history: History, split: Split, rules: RiskRules) -> Evaluation:
    """Run a model file over the ranges that were held out, and trade its choices there."""
    probabilities = policy_probabilities(policy, history, split.judged)
    outcomes = Outcomes.of(history, split.calibration + split.test, rules)
    calibrated = Choices.of(probabilities, outcomes, split.calibration)
    tested = Choices.of(probabilities, outcomes, split.test)
    table = policy.description.win_calibration or fit(calibrated, history.span(split.calibration))
    strategy = served(probabilities)
    bars = bars_of(split.test)
    net_pct = outcomes.net_pct[bars]
    return Evaluation(
        run_trial(history, split.test, rules, strategy),
        trade(history, split.validation, rules, strategy),
        trade(history, split.calibration, rules, strategy),
        calibrated,
        tested,
        (estimates(table, calibrated), estimates(table, tested)),
        float((net_pct[~np.isnan(net_pct)] > 0.0).mean()),
    )
