"""The environment: trades equal those of the engine, rewards sum to their profit, and no look-ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from models.training.episode import Episode
from models.training.history import History
from tests.support.builders import simulated_bars

from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.positions import ExitReason, Position
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

from .conftest import live, script_for

COSTS = RiskRules(spread=Charges.flat(1.0), commission=Charges(Charge(1.0, in_bp=True)))
RULES = (
    COSTS,
    replace(COSTS, trailing_stop_atr=1.0, max_holding_bars=9),
    replace(COSTS, atr_multiplier_sl=0.5, atr_multiplier_tp=0.8),
)


def episodes(history: History, rules: RiskRules, script: Sequence[Action]) -> list[tuple[Episode, list[float]]]:
    """Run the script through every session of the history, and return the episodes with their rewards."""
    actions, played = iter(script), []
    for session in history.sessions:
        episode, rewards = Episode(history, session, rules), list[float]()
        while not episode.is_over:
            rewards.append(episode.step(next(actions)))
        played.append((episode, rewards))
    return played


def anonymous(position: Position) -> Position:
    """Return a position without signal ids, which a history does not have."""
    assert position.exit is not None
    unknown = UUID(int=0)
    return replace(position, position_id=unknown, signal_id=unknown, exit=replace(position.exit, signal_id=None))


def assert_as_live(history: History, rules: RiskRules, seed: int) -> list[Position]:
    script = script_for(history, seed)
    _, expected = live(history, rules, script)
    made = [position for episode, _ in episodes(history, rules, script) for position in episode.book.closed]
    assert [anonymous(p) for p in made] == [anonymous(p) for p in expected]
    return made


@pytest.mark.parametrize(
    ("rules", "reasons"),
    [
        (RULES[0], {ExitReason.STOP_LOSS, ExitReason.TAKE_PROFIT, ExitReason.SESSION_END, ExitReason.REVERSED}),
        (RULES[1], {ExitReason.TRAILING_STOP, ExitReason.TIME_LIMIT, ExitReason.REVERSED}),
        (RULES[2], {ExitReason.STOP_LOSS, ExitReason.TAKE_PROFIT, ExitReason.REVERSED}),
    ],
)
def test_positions_equal_those_of_the_live_pipeline(
    market: History, rules: RiskRules, reasons: set[ExitReason]
) -> None:
    made = [position for seed in range(3) for position in assert_as_live(market, rules, seed)]
    assert reasons <= {position.exit.reason for position in made if position.exit is not None}


@pytest.mark.parametrize("rules", RULES)
def test_positions_on_an_uneven_feed_equal_those_of_the_live_pipeline(uneven_month: History, rules: RiskRules) -> None:
    cut_short = [s for s in uneven_month.sessions if not uneven_month.last_of_session[s.last]]
    assert cut_short, "a session without its closing bar should be among them"
    assert len(assert_as_live(uneven_month, rules, 1)) > 50


@pytest.mark.parametrize("rules", RULES)
def test_rewards_sum_to_the_profit_of_the_positions(market: History, rules: RiskRules) -> None:
    for episode, rewards in episodes(market, rules, script_for(market, 5)):
        assert episode.book.position is None or episode.session is market.sessions[-1]
        assert sum(rewards) == pytest.approx(episode.book.net_pct, abs=1e-9)
        assert episode.book.net_pct == sum(position.pnl_pct for position in episode.book.closed)


def test_costs_are_charged_at_the_opening(market: History) -> None:
    session = market.sessions[2]
    with_costs, without = (Episode(market, session, rules) for rules in (COSTS, RiskRules()))
    first = market.bars[session.first]
    second = market.bars[session.first + 1]
    spread_and_commission = 100.0 * 1.0 / first.close + 0.01 * (1.0 + second.close / first.close)
    assert without.step(Action.BUY) - with_costs.step(Action.BUY) == pytest.approx(spread_and_commission)
    assert without.step(Action.HOLD) == pytest.approx(with_costs.step(Action.HOLD), abs=1e-4)


def test_session_starts_flat_and_its_last_bar_opens_nothing(market: History) -> None:
    for session in market.sessions[:2]:
        episode = Episode(market, session, COSTS)
        rewards = list[float]()
        while not episode.is_over:
            rewards.append(episode.step(Action.SELL if episode.index == session.last else Action.HOLD))
        opens = not market.last_of_session[session.last]
        assert len(episode.book.closed) == opens
        assert (rewards[-1] != 0.0) == opens, "without its closing bar the next bar of the file ends what was opened"
    with pytest.raises(ValueError, match="over"):
        episode.step(Action.HOLD)


def test_rules_without_session_end_are_refused(market: History) -> None:
    with pytest.raises(ValueError, match="close_at_session_end"):
        Episode(market, market.sessions[0], replace(COSTS, close_at_session_end=False))


def test_future_bars_change_no_observation_and_no_reward() -> None:
    bars = simulated_bars(4)
    history = History.of(bars)
    script = script_for(history, 7)
    before = [step for _, rewards in episodes(history, COSTS, script) for step in rewards]
    first = history.sessions[0].first
    for cut in range(first + 2, len(bars), 17):
        moved = [replace(b, open=b.open + 9, high=b.high + 9, low=b.low + 9, close=b.close + 9) for b in bars[cut:]]
        other = History.of(bars[:cut] + moved)
        after = [step for _, rewards in episodes(other, COSTS, script) for step in rewards]
        # The reward of bar t depends on bar t + 1.
        known = cut - 1 - first
        assert after[:known] == before[:known]
        assert other.observations[:cut].tobytes() == history.observations[:cut].tobytes()
        assert after != before
