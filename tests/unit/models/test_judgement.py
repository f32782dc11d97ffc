"""Evaluation of policies: outcomes, calibration, baselines, and the model card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models.training.book import CERTAIN, Book
from models.training.calibration import (
    LEAST_BIN,
    Choices,
    auc,
    bins_of,
    brier,
    estimates,
    fit,
    grouped,
    pool_adjacent_violators,
)
from models.training.card import conclusion, model_card, verdict, worth, write_card
from models.training.evaluation import (
    Result,
    always,
    average_cross,
    coin,
    long_each_session,
    one_bar_late,
    served,
    trade,
)
from models.training.history import History
from models.training.outcomes import Outcomes, outcome
from models.training.recipe import Recipe, Variant, rules_for
from models.training.split import Split
from models.training.trial import Deflated, Foretelling, Trial, evaluate, policy_probabilities
from tests.support.builders import position
from tests.support.calibrations import CALIBRATION, RANGE

from tradingsignals_server.adapters.onnx.declared_features import DeclaredFeatures
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.application.ports.policy import PolicyDescription
from tradingsignals_server.domain.calibration import SideCalibration, WinBin, WinCalibration
from tradingsignals_server.domain.costs import NO_CHARGES, Charges
from tradingsignals_server.domain.features import Observation
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.recurrent_state import RecurrentState
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Probabilities

from .conftest import live

RULES = rules_for("USDCOP", "1.0")


def test_outcome_is_that_of_an_undisturbed_position(market: History) -> None:
    outcomes = Outcomes.of(market, market.sessions[1:3], RULES)
    session = market.sessions[1]
    for index in (session.first, session.first + 20):
        for column, side in enumerate((Action.BUY, Action.SELL)):
            script = [side if i == index else Action.HOLD for s in market.sessions for i in range(s.first, s.last + 1)]
            (alone,) = live(market, RULES, script)[1]
            assert outcomes.net_pct[index, column] == alone.pnl_pct
    closing = market.sessions[2].last
    assert market.last_of_session[closing]
    assert outcome(market, closing, Action.BUY, RULES) is None
    assert np.isnan(outcomes.net_pct[[closing, market.sessions[3].first]]).all()


def choices(confidence: Sequence[float], won: Sequence[bool], side: int = 0) -> Choices:
    """Return choices of one side with these confidences and results of +/- 1%."""
    came = np.array(won, dtype=np.float64)
    return Choices(np.array(confidence), np.full(len(came), side, dtype=np.intp), 2.0 * came - 1.0, len(came))


def test_choices_are_the_bars_with_an_action(market: History) -> None:
    session = market.sessions[2]
    outcomes = Outcomes.of(market, [session], RULES)
    probabilities = np.tile((1.0, 0.0, 0.0), (len(market.bars), 1))
    probabilities[session.first] = 0.1, 0.6, 0.3
    probabilities[session.first + 1] = 0.1, 0.2, 0.7
    probabilities[session.last] = 0.0, 1.0, 0.0  # opens nothing, so it has no outcome
    found = Choices.of(probabilities, outcomes, [session])
    assert found.bars == len(session)
    assert (found.side.tolist(), found.confidence.tolist()) == ([0, 1], [0.6, 0.7])
    assert found.net_pct.tolist() == [outcomes.net_pct[session.first, 0], outcomes.net_pct[session.first + 1, 1]]
    assert found.where(found.side == 1).confidence.tolist() == [0.7]


def test_calibration_finds_the_frequency_of_winning() -> None:
    """Winning rises with the confidence from 20% to 60%."""
    dice = np.random.default_rng(1)
    confidence = dice.uniform(0.4, 0.9, 40_000)
    true = 0.2 + 0.8 * (confidence - 0.4)
    found = fit(choices(confidence.tolist(), (dice.random(40_000) < true).tolist()), RANGE)
    assert found.sell.bins == ()
    for at in (0.45, 0.6, 0.8):
        estimate = found.estimate(Action.BUY, at)
        assert estimate is not None
        assert estimate.probability == pytest.approx(0.2 + 0.8 * (at - 0.4), abs=0.05)
        assert estimate.cases >= LEAST_BIN
    assert found.buy.cases == 40_000
    assert (found.start, found.end) == RANGE


def test_confidence_that_foretells_nothing_has_one_frequency() -> None:
    """The more confident, the less often it wins: pooled into one."""
    dice = np.random.default_rng(2)
    confidence = dice.uniform(0.4, 0.9, 20_000)
    found = fit(choices(confidence.tolist(), (dice.random(20_000) > confidence).tolist(), side=1), RANGE)
    assert len(found.sell.bins) == 1
    assert found.sell.bins[0].cases == 20_000


def test_few_choices_are_one_bin() -> None:
    found = fit(choices([0.5, 0.6, 0.7], [True, False, True]), RANGE)
    assert [(one.confidence, one.cases) for one in found.buy.bins] == [(0.5, 3)]
    assert found.buy.highest == 0.7
    assert found.estimate(Action.BUY, 0.6) is None, "of three cases nothing is said"


def test_equal_confidences_are_in_one_group() -> None:
    confidence = np.array([0.5] * 150 + [0.6] * 150 + [0.7] * 50)
    assert [(low, cases) for low, _, cases in grouped(confidence, np.zeros(350))] == [(0.5, 150), (0.6, 200)]


groups = st.lists(
    st.integers(1, 50).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=30
)


@given(groups)
def test_pooled_frequencies_rise_and_keep_every_case(counts: list[tuple[int, int]]) -> None:
    given_groups = [(float(place), float(won), cases) for place, (won, cases) in enumerate(counts)]
    pooled = pool_adjacent_violators(given_groups)
    frequencies = [won / cases for _, won, cases in pooled]
    assert all(one < other for one, other in pairwise(frequencies))
    assert sum(cases for _, _, cases in pooled) == sum(cases for _, _, cases in given_groups)
    assert sum(won for _, won, _ in pooled) == sum(won for _, won, _ in given_groups)
    assert pooled[0][0] == 0.0


def test_pooling_is_the_isotonic_regression() -> None:
    """The textbook example 1, 3, 2, 4 becomes 1, 2.5, 4."""
    pooled = pool_adjacent_violators([(0.0, 1.0, 10), (1.0, 3.0, 10), (2.0, 2.0, 10), (3.0, 4.0, 10)])
    assert pooled == [(0.0, 1.0, 10), (1.0, 5.0, 20), (3.0, 4.0, 10)]


def test_estimates_are_those_of_the_service() -> None:
    found = estimates(CALIBRATION, Choices(np.array([0.9, 0.9, 0.5]), np.array([0, 1, 1]), np.zeros(3), 3))
    assert found[:2].tolist() == [0.55, 0.45]
    assert np.isnan(found[2])


@pytest.mark.parametrize(
    ("said", "won", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 1.0),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], 0.0),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 1, 0], 0.5),
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
    ],
)
def test_auc_is_the_share_of_pairs_in_order(said: list[float], won: list[int], expected: float) -> None:
    assert auc(np.array(said), np.array(won, dtype=float)) == expected


def test_auc_of_cases_that_are_all_alike_is_unknown() -> None:
    assert np.isnan(auc(np.array([0.1, 0.2]), np.ones(2)))


def test_brier_score_is_the_mean_squared_difference() -> None:
    assert brier(np.array([1.0, 0.5]), np.array([0.0, 1.0])) == 0.625


def test_bins_have_the_frequency_of_a_profit() -> None:
    cases = choices([0.3, 0.66, 0.67, 1.0], [False, True, False, True])
    found = list(bins_of(cases.confidence, cases))
    assert [(one.low, one.high, one.count, one.won) for one in found] == [
        (0.0, 0.4, 1, 0.0),
        (0.65, 0.7, 2, 0.5),
        (0.9, 1.0, 1, 1.0),
    ]


def test_figures_of_a_result_match_its_positions() -> None:
    closed = [replace(position(), pnl_pct=pnl) for pnl in (1.0, -0.5, -1.0, 2.0)]
    result = Result(np.array([0.5, 1.0, 0.0]), tuple(closed), 0.1)
    assert result.mean == pytest.approx(0.5)
    assert result.win_rate == 0.5
    assert result.profit_factor == 2.0
    assert result.max_drawdown == 1.5
    low, high = result.interval()
    assert 0.0 <= low < 0.5 < high <= 1.0
    assert result.interval() == (low, high), "the same sessions give the same interval"
    assert result.mean_without_best(1) == pytest.approx(0.25)
    assert np.isnan(result.mean_without_best(5))


def test_baselines_without_a_model_have_their_results(market: History) -> None:
    sessions = market.sessions
    nothing = trade(market, sessions, RULES, always(Action.HOLD))
    assert (nothing.mean, nothing.acted, nothing.positions) == (0.0, 0.0, ())
    far = replace(RULES, atr_multiplier_sl=100.0, atr_multiplier_tp=150.0)
    long = trade(market, sessions, far, long_each_session(sessions))
    complete = next(s for s in sessions if market.last_of_session[s.last])
    entry, exit_ = market.bars[complete.first].close, market.bars[complete.last].close
    assert long.session_pct[sessions.index(complete)] == pytest.approx(100.0 * (exit_ - entry - 1.0) / entry)
    entries = {session.first + 5 for session in sessions}
    tosses = trade(market, sessions, RULES, coin(1, entries))
    assert [p.entry_price for p in tosses.positions] == [market.bars[index].close for index in sorted(entries)]
    assert {p.action for p in tosses.positions} == {Action.BUY, Action.SELL}
    cross = average_cross(market)
    for index in range(sessions[0].first + 1, sessions[-1].last + 1):
        now, before = market.indicators[index], market.indicators[index - 1]
        if now and before and now.ema_20 and now.ema_50 and before.ema_20 and before.ema_50:
            above = now.ema_20 > now.ema_50
            crossed = above != (before.ema_20 > before.ema_50)
            expected = Action.HOLD if not crossed else Action.BUY if above else Action.SELL
            assert cross(index) is CERTAIN[expected]


def test_delay_of_one_bar_shifts_entries_by_one_bar(market: History) -> None:
    sessions = market.sessions[1:2]
    first = sessions[0].first
    table = np.tile((1.0, 0.0, 0.0), (len(market.bars), 1))
    table[first] = 0.0, 1.0, 0.0
    at_once = trade(market, sessions, RULES, served(table))
    late = trade(market, sessions, RULES, one_bar_late(sessions, served(table)))
    assert at_once.positions[0].entry_price == market.bars[first].close
    assert late.positions[0].entry_price == market.bars[first + 1].close


def test_threshold_reduces_entries(market: History) -> None:
    index = market.sessions[1].first
    book = Book(market, RULES)
    assert book.decide(index, Probabilities(0.2, 0.64, 0.16)).action is Action.HOLD
    assert book.decide(index, Probabilities(0.2, 0.66, 0.14)).action is Action.BUY


class Counting:
    """A policy that counts the bars since its state was reset, and buys at every fourth."""

    specification = SimpleNamespace(
        name="counting", version="1", file_sha256="0" * 64, features=DeclaredFeatures(), interval=DEFAULT_INTERVAL
    )

    def __init__(self, calibration: WinCalibration | None = None) -> None:
        self.description = PolicyDescription("1", "test", "onnx", win_calibration=calibration)

    def initial_state(self) -> RecurrentState:
        return RecurrentState.zeros(1, 1)

    def decide(self, _: Observation, state: RecurrentState) -> tuple[Probabilities | None, RecurrentState]:
        before = int(state.values[0, 0, 0])
        output = Probabilities(0.1, 0.8, 0.1) if before % 4 == 0 else Probabilities(0.8, 0.1, 0.1)
        return output, RecurrentState(state.values + np.float32(1.0))


def test_recurrent_state_is_reset_at_each_session(market: History) -> None:
    probabilities = policy_probabilities(cast(OnnxPolicy, Counting()), market, market.sessions[1:3])
    for session in market.sessions[1:3]:
        buys = np.flatnonzero(probabilities[session.first : session.last + 1, 1] > 0.5)
        assert buys.tolist() == list(range(0, len(session), 4))
    assert probabilities[market.sessions[3].first].tolist() == [1.0, 0.0, 0.0]


def record_of(**changed: Any) -> dict[str, Any]:
    """Return the record of a training."""
    candidate = {
        "variant": "r",
        "seed": 1,
        "timesteps": 9,
        "acted": 0.1,
        "trades": 3,
        "mean_pct": 0.01,
        "standard_error": 0.02,
        "sharpe": 0.05,
    }
    runs = [{"before": {**candidate, "acted": 0.001, "timesteps": 0}, "best": candidate}]
    return {"chosen": candidate, "runs": runs, "candidates": [0.01, 0.05], "minutes": 1.0} | changed


RECIPE = Recipe((Variant("r"),), tried=3, notes=("A note.",))


def split_of(history: History) -> Split:
    """Return a split of two weeks."""
    sessions = history.sessions
    return Split(sessions[:2], sessions[2:4], sessions[4:7], sessions[7:])


def card_of(history: History, rules: RiskRules, calibration: WinCalibration | None = None) -> str:
    """Return the card of a policy that buys at every fourth bar."""
    policy, split = cast(OnnxPolicy, Counting(calibration)), split_of(history)
    return model_card(policy, evaluate(policy, history, split, rules), history, split, rules, RECIPE, record_of())


@pytest.mark.slow
def test_card_agrees_with_its_figures(market: History) -> None:
    side = SideCalibration((WinBin(0.5, 0.4, 300),))
    lost = card_of(market, replace(RULES, spread=Charges.flat(20.0)), WinCalibration(*RANGE, side, side))
    assert lost.startswith("# counting 1 lost out of sample after costs\n")
    assert "it is no reason to trade." in lost
    assert "| r, 1 | acts on 0.1% | +0.010% ± 0.020, acts on 10.0% | 9 |" in lost
    assert "chosen from 5 candidates, 3 of them before this training" in lost
    assert "| BUY | 0.500 | 1.000 | 40.0% | 300 |" in lost
    assert "300 choices of BUY" in lost
    assert "- A note." in lost
    assert "one price" not in lost, "few of its bars are"

    gift = replace(RULES, spread=NO_CHARGES, atr_multiplier_sl=30.0, atr_multiplier_tp=45.0)
    rising = History.of(replace(bar, open=p, high=p, low=p, close=p) for bar, p in _rising(market))
    earned = card_of(rising, gift)
    assert earned.startswith("# counting 1 earned a little out of sample after costs, on paper\n")
    assert "In 100% of the bars open, high, low and" in earned
    assert "The model has no calibration" in earned

    silent = card_of(market, replace(RULES, confidence_threshold=0.9))
    assert silent.startswith("# counting 1 opened no position out of sample\n")
    assert "it was never sure enough to open a position" in silent
    assert "nan" not in silent


def result(session_pct: Sequence[float]) -> Result:
    return Result(np.array(session_pct), (position(),), 0.1)


SKILL = Deflated(validation=0.3, trials=5, expected=0.1, skill=0.99, test=0.3, above_zero=0.99)
GOOD = [0.2, 0.3, 0.1] * 3


@pytest.mark.parametrize(
    ("made", "late", "coins", "skill", "text", "expected"),
    [
        ([-0.2, -0.1, -0.3], [0.0], [0.0], 0.99, "lost out of sample", "it is no reason to trade"),
        ([-0.2, 0.1, -0.1], [0.0], [0.0], 0.99, "earned nothing", "it is no reason to trade"),
        ([-0.2, 0.3, 0.1], [0.1], [0.0], 0.99, "that chance does not explain", "it is no reason to trade"),
        (GOOD, [0.05], [0.0], 0.99, "earned a little", "prints that a desk may not get, so it is no reason"),
        (GOOD, [0.2], [0.3], 0.99, "earned a little", "its choices are no reason to trade"),
        ([0.5] * 5 + [-0.01] * 4, [0.3], [0.0], 0.99, "earned a little", "Its best 5 sessions made all of it"),
        (GOOD, [0.2], [0.0], 0.94, "earned a little", "may look as good without any skill"),
        (GOOD, [0.2], [0.0], 0.99, "earned a little", "a reason to watch it beside the policy that trades"),
    ],
)
def test_verdict_follows_from_the_figures(
    made: list[float], late: list[float], coins: list[float], skill: float, text: str, expected: str
) -> None:
    trial = Trial(result(made), result(late), {}, {}, tuple(result([coin]) for coin in coins))
    assert text in verdict(trial.policy)
    assert expected in conclusion(trial, replace(SKILL, skill=skill))


@pytest.mark.parametrize(
    ("auc_", "score", "sentence"),
    [
        (
            0.51,
            0.24,
            "says next to nothing about winning on the test range (AUC 0.51), and as a probability of winning it "
            "is better than one frequency for all (Brier score 0.240, against 0.250).",
        ),
        (
            0.44,
            0.26,
            "is higher where it wins less often on the test range (AUC 0.44), and as a probability of winning it "
            "is no better than",
        ),
        (0.6, 0.25, "is higher where it wins more often"),
    ],
)
def test_worth_of_a_confidence_follows_from_its_figures(auc_: float, score: float, sentence: str) -> None:
    (made,) = worth([Foretelling("confidence", 100, 0.4, score, 0.25, auc_)])
    assert made.startswith(f"The confidence {sentence}")


@pytest.mark.slow
def test_card_is_written_with_its_record(market: History, tmp_path: Path) -> None:
    policy, split = cast(OnnxPolicy, Counting()), split_of(market)
    card = write_card(policy, tmp_path, market, split, RULES, RECIPE, record_of())
    assert (tmp_path / "MODEL_CARD.md").read_text() == card
    record = json.loads((tmp_path / "training.json").read_text())
    assert {key: record[key] for key in record_of()} == record_of()
    made = evaluate(policy, market, split, RULES)
    assert record["evaluation"]["test"]["mean_pct"] == made.trial.policy.mean
    assert record["evaluation"]["validation"]["trades"] == len(made.validation.positions)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MODEL_CARD.md", "training.json"]


def _rising(market: History) -> list[tuple[Any, float]]:
    return [(bar, 4000.0 + number) for number, bar in enumerate(market.bars)]
