"""Evaluation of policies: outcomes, calibration, baselines, and the model card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from models.training.book import CERTAIN, Book
from models.training.calibration import (
    LEAST_ACTING,
    TEMPERATURES,
    Choices,
    fit_temperature,
    reliability,
    softmax,
)
from models.training.card import Trial, conclusion, evaluate, model_card, policy_probabilities, verdict, write_card
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
from models.training.outcomes import Outcomes, outcome, was_ahead
from models.training.recipe import rules_for
from models.training.split import Split
from tests.support.builders import position

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.domain.costs import NO_CHARGES, Charges
from tradingsignals_server.domain.features import Observation
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
            assert outcomes.ahead[index, column] == was_ahead(alone)
    closing = market.sessions[2].last
    assert market.last_of_session[closing]
    assert outcome(market, closing, Action.BUY, RULES) is None
    assert np.isnan(outcomes.net_pct[[closing, market.sessions[3].first]]).all()


def test_position_was_ahead_if_its_best_price_covered_its_costs() -> None:
    opened = position(Action.BUY, replace(RULES, spread=Charges.flat(0.1)))
    assert not was_ahead(replace(opened, max_favorable_excursion=opened.costs))
    assert was_ahead(replace(opened, max_favorable_excursion=opened.costs + 1e-9))


def choices(confidence: Sequence[float], ahead: Sequence[float], bars: int) -> Choices:
    """Return choices of BUY with these confidences and outcomes."""
    probabilities = np.array(confidence)
    logits = np.log(np.stack(((1.0 - probabilities) / 2.0, probabilities, (1.0 - probabilities) / 2.0), axis=1))
    came = np.array(ahead, dtype=float)
    return Choices(logits, np.ones(len(probabilities), dtype=np.intp), came, 2.0 * came - 1.0, bars)


def test_temperature_matches_confidence_to_frequency() -> None:
    dice = np.random.default_rng(1)
    true = dice.uniform(0.4, 0.9, 20_000)
    came = dice.random(20_000) < true
    honest = choices(true.tolist(), came.tolist(), 20_000)
    boastful = replace(honest, logits=3.0 * honest.logits)
    found = fit_temperature(boastful, 0.65)
    assert found is not None
    assert found == pytest.approx(3.0, rel=0.1)
    passing = [bin_ for bin_ in reliability(boastful, found) if bin_.low >= 0.65]
    assert all(abs(bin_.confidence - bin_.ahead) < 0.04 for bin_ in passing)
    assert sum(b.count for b in reliability(boastful, found)) == 20_000


def test_policy_with_few_actions_has_no_temperature() -> None:
    few = choices([0.9] * 10, [1.0] * 10, int(10 / LEAST_ACTING) + 1)
    assert fit_temperature(few, 0.65) is None
    assert fit_temperature(replace(few, bars=few.bars - 2), 0.65) is not None


def test_overconfident_policy_has_no_temperature() -> None:
    """Its most confident choices are right half of the time, and no temperature keeps them above the threshold."""
    boastful = choices([0.9] * 100, [1.0, 0.0] * 50, 100)
    assert fit_temperature(boastful, 0.65) is None
    assert fit_temperature(replace(boastful, ahead=np.ones(100)), 0.65) == pytest.approx(TEMPERATURES[0])


def test_choices_are_the_bars_with_an_action(market: History) -> None:
    session = market.sessions[2]
    outcomes = Outcomes.of(market, [session], RULES)
    logits = np.zeros((len(market.bars), 3))
    logits[:, 0] = 1.0
    logits[session.first] = 0.0, 2.0, 1.0
    logits[session.first + 1] = 0.0, 1.0, 2.0
    logits[session.last] = 0.0, 2.0, 1.0  # opens nothing, so it has no outcome
    found = Choices.of(logits, outcomes, [session])
    assert found.bars == len(session)
    assert found.chosen.tolist() == [1, 2]
    assert found.net_pct.tolist() == [outcomes.net_pct[session.first, 0], outcomes.net_pct[session.first + 1, 1]]
    assert found.confidence(1.0) == pytest.approx(softmax(np.array([0.0, 1.0, 2.0]))[2])


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

    specification = SimpleNamespace(name="counting", version="1", file_sha256="0" * 64, lookback_bars=100)

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
        "recipe": "r",
        "seed": 1,
        "timesteps": 9,
        "temperature": 1.5,
        "acted": 0.1,
        "trades": 3,
        "mean_pct": 0.01,
        "standard_error": 0.02,
    }
    recipe: dict[str, Any] = {
        "hidden_size": 8,
        "imitation_epochs": 2,
        "timesteps": 9,
        "environments": 4,
        "minibatch": 8,
        "epochs": 1,
        "learning_rate": 1e-4,
        "gamma": 0.9,
        "gae_lambda": 0.9,
        "entropy": 0.0,
    }
    runs = [{"before": {**candidate, "temperature": None, "timesteps": 0}, "best": candidate}]
    record = {
        "chosen": candidate,
        "recipe": recipe,
        "runs": runs,
        "minutes": 1.0,
        "notes": ["A note."],
        "fills": "target",
    }
    return record | changed


def card_of(history: History, rules: RiskRules, record: dict[str, Any]) -> str:
    """Return the card of a policy that buys at every fourth bar."""
    sessions, policy = history.sessions, cast(OnnxPolicy, Counting())
    split = Split(sessions[:4], sessions[4:7], sessions[7:])
    return model_card(policy, evaluate(policy, history, split, rules), history, split, rules, record)


@pytest.mark.slow
def test_card_agrees_with_its_figures(market: History) -> None:
    lost = card_of(market, replace(RULES, spread=Charges.flat(20.0)), record_of())
    assert lost.startswith("# counting 1 lost out of sample after costs\n")
    assert "it is no reason to trade." in lost
    assert "acts too little, or claims too much | +0.010% ± 0.020 | 9" in lost
    assert "which flatters" not in lost
    assert "- A note." in lost
    assert "one price" not in lost, "few of its bars are"
    assert len(lost.splitlines()) < 100

    gift = replace(RULES, spread=NO_CHARGES, atr_multiplier_sl=30.0, atr_multiplier_tp=45.0)
    rising = History.of(replace(bar, open=p, high=p, low=p, close=p) for bar, p in _rising(market))
    earned = card_of(rising, gift, record_of(fills="open"))
    assert earned.startswith("# counting 1 earned a little out of sample after costs, on paper\n")
    assert "no reason to trade" not in earned
    assert "a reason to watch it" in earned
    assert "In 100% of the bars open, high, low and" in earned
    assert (
        "counted at the open, which flatters; filled at the target, as everywhere else here, the chosen run made"
        in earned
    )

    silent = card_of(market, replace(RULES, confidence_threshold=0.9), record_of())
    assert silent.startswith("# counting 1 opened no position out of sample\n")
    assert "it was never sure enough to open a position" in silent
    assert "nan" not in silent


def result(session_pct: Sequence[float]) -> Result:
    return Result(np.array(session_pct), (position(),), 0.1)


@pytest.mark.parametrize(
    ("made", "late", "coins", "text", "expected"),
    [
        ([-0.2, -0.1, -0.3], [0.0], [0.0], "lost out of sample", "it is no reason to trade"),
        ([-0.2, 0.1, -0.1], [0.0], [0.0], "earned nothing", "it is no reason to trade"),
        ([-0.2, 0.3, 0.1], [0.1], [0.0], "that chance does not explain", "it is no reason to trade"),
        ([0.2, 0.3, 0.1], [0.05], [0.0], "earned a little", "prints that a desk may not get, so it is no reason"),
        ([0.2, 0.3, 0.1], [0.2], [0.3], "earned a little", "its choices are no reason to trade"),
        ([0.2, 0.3, 0.1], [0.2], [0.0], "earned a little", "a reason to watch it beside the policy that trades"),
    ],
)
def test_verdict_follows_from_the_figures(
    made: list[float], late: list[float], coins: list[float], text: str, expected: str
) -> None:
    trial = Trial(result(made), result(late), {}, {}, tuple(result([coin]) for coin in coins))
    assert text in verdict(trial.policy)
    assert expected in conclusion(trial)


@pytest.mark.slow
def test_card_is_written_with_its_record(market: History, tmp_path: Path) -> None:
    sessions, policy = market.sessions, cast(OnnxPolicy, Counting())
    split = Split(sessions[:4], sessions[4:7], sessions[7:])
    card = write_card(policy, tmp_path, market, split, RULES, record_of())
    assert (tmp_path / "MODEL_CARD.md").read_text() == card
    record = json.loads((tmp_path / "training.json").read_text())
    assert {key: record[key] for key in record_of()} == record_of()
    made = evaluate(policy, market, split, RULES)
    assert record["evaluation"]["fills"] == "target"
    assert record["evaluation"]["test"]["mean_pct"] == made.trial.policy.mean
    assert record["evaluation"]["validation"]["trades"] == len(made.validation.positions)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MODEL_CARD.md", "training.json"]


def _rising(market: History) -> list[tuple[Any, float]]:
    return [(bar, 4000.0 + number) for number, bar in enumerate(market.bars)]
