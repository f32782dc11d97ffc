"""A backtest of bars and a live engine that gets the same bars agree in every field."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.backtests import NO_INTERVALS
from tests.support.bars import a_month
from tests.support.engine import running_engine
from tests.support.memory_store import MemoryStore
from tests.support.onnx_models import policy_file, random_weights

from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.adapters.placeholder_policy import PlaceholderPolicy
from tradingsignals_server.application.backtest.run import BacktestPlan, BacktestRun
from tradingsignals_server.application.ports.policy import Policy
from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.events import Event
from tradingsignals_server.domain.ledger import Ledger
from tradingsignals_server.domain.protections import Protections
from tradingsignals_server.domain.risk import RiskRules, Sizing

RULES = (
    RiskRules(confidence_threshold=0.36, spread=Charges(Charge(2.0, in_bp=True))),
    RiskRules(
        confidence_threshold=0.36,
        min_risk_reward=1.0,
        atr_multiplier_tp=2.0,
        sizing=Sizing.KELLY,
        trailing_stop_atr=1.5,
        max_holding_bars=9,
        close_at_session_end=False,
    ),
    RiskRules(
        confidence_threshold=0.36,
        slippage=Charges(Charge(1.0, in_bp=True)),
        position_size_pct=0.05,
        protections=Protections(
            max_daily_loss_pct=0.0002,
            max_drawdown_pct=0.01,
            cooldown_after_stops=1,
            cooldown_minutes=40.0,
            max_open_positions=2,
            max_exposure_pct=0.09,
        ),
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("rules", RULES, ids=("closed with the session", "trailing, over night", "protected"))
@pytest.mark.parametrize("recurrent", [False, True], ids=("placeholder", "recurrent"))
async def test_every_event_outcome_and_account_value_is_that_of_the_live_engine(
    tmp_path: Path, rules: RiskRules, *, recurrent: bool
) -> None:
    policy: Policy = OnnxPolicy(policy_file(tmp_path, random_weights(1, 8))) if recurrent else PlaceholderPolicy()
    bars, store = a_month(), MemoryStore()
    async with running_engine(store, policy=policy, rules=rules) as live:
        for start in range(0, len(bars), 200):
            await live.publish(bars[start : start + 200])

    events: list[Event] = []
    plan = BacktestPlan(policy, rules, calendar_for, compare=False, performance=NO_INTERVALS)
    result = await BacktestRun(plan, lambda one: events.extend(() if one.step is None else one.step.events)).run(
        [bars], len(bars)
    )

    assert events == store.events
    ledger, account = Ledger(rules, calendar_for, model_key=policy.description.key), Account.opened(100_000.0)
    outcomes = []
    for event in store.events:
        outcomes += ledger.apply(event)
        account = account.after(event)
    assert list(result.outcomes) == outcomes
    assert len(result.positions) > 20
    assert list(result.positions) == [held for held in store.position_changes() if held.exit is not None]
    assert result.equity is not None
    assert result.equity.equity[-1] == account.equity
    assert result.actions["HOLD"] == sum(signal.action == "HOLD" for signal in store.signals())
