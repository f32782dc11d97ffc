"""Protections on random markets: what an account under limits never does, through the steps of the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.builders import NOW, SURE, walk
from tests.support.running import ScriptedPolicy

from tradingsignals_server.application.backtest.engine import BacktestEngine, ProcessedBar
from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.ingest.states import nothing_stored, state_of
from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.costs import Charges
from tradingsignals_server.domain.events import Event, TradingControl
from tradingsignals_server.domain.positions import Position
from tradingsignals_server.domain.protections import NO_PROTECTIONS, Protections
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Signal

SYMBOLS = ("USDCOP", "EURCOP", "GBPCOP")
BARS = 75
choices = st.lists(st.sampled_from(list(Action)), min_size=len(SYMBOLS) * BARS, max_size=len(SYMBOLS) * BARS)
limits = st.builds(
    Protections,
    max_daily_loss_pct=st.sampled_from([0.0, 0.00005]),
    max_drawdown_pct=st.sampled_from([0.0, 0.0001]),
    cooldown_after_stops=st.sampled_from([0, 1, 2]),
    cooldown_minutes=st.sampled_from([5.0, 60.0]),
    max_open_positions=st.sampled_from([0, 1, 2]),
    max_exposure_pct=st.sampled_from([0.0, 0.045]),
)


def rules_under(protections: Protections) -> RiskRules:
    return RiskRules(protections=protections, slippage=Charges.flat(0.5), atr_multiplier_sl=1.0, atr_multiplier_tp=1.5)


def pipeline_of(actions: Sequence[Action], rules: RiskRules) -> Pipeline:
    left = iter(actions)
    return Pipeline(Trader(ScriptedPolicy(lambda _: SURE[next(left)]), rules), calendar_for)


def market(seed: int) -> list[Bar]:
    """Return bars of three symbols in the order of their times."""
    lines = [walk(BARS, seed=seed + number, symbol=symbol) for number, symbol in enumerate(SYMBOLS)]
    return [bar for bars in zip(*lines, strict=True) for bar in bars]


def opens(event: Event) -> bool:
    return isinstance(event, Position) and event.is_open and not event.bars_held


@settings(max_examples=30)
@given(choices, st.integers(0, 99), st.sets(st.integers(0, len(SYMBOLS) * BARS), max_size=6), limits)
def test_nothing_opens_while_trading_is_halted(
    actions: list[Action], seed: int, switches: set[int], protections: Protections
) -> None:
    pipeline, halted = pipeline_of(actions, rules_under(protections)), False
    account: Account | None = Account.opened(100_000.0)
    states = {symbol: state_of(nothing_stored(), pipeline, symbol) for symbol in SYMBOLS}
    for number, bar in enumerate(market(seed)):
        if number in switches and account is not None:
            halted = not halted
            account = account.guarded([TradingControl(halted, "", "", NOW)], protections)
        step = pipeline.on_bar(states[bar.symbol], bar, account)
        states[bar.symbol], account = step.state, step.account
        if halted:
            assert not any(map(opens, step.events))


async def decided(actions: Sequence[Action], seed: int, protections: Protections) -> list[Event]:
    """Return what a backtest of the market leads to."""
    events: list[Event] = []

    def take(processed: ProcessedBar) -> None:
        events.extend(() if processed.step is None else processed.step.events)

    await BacktestEngine(pipeline_of(actions, rules_under(protections))).process(market(seed), take)
    return events


@settings(max_examples=30)
@given(choices, st.integers(0, 99), limits)
async def test_no_position_is_opened_beyond_a_limit(actions: list[Action], seed: int, protections: Protections) -> None:
    account = Account.opened(100_000.0)
    for event in await decided(actions, seed, protections):
        before, account = account, account.after(event)
        if not opens(event):
            continue
        assert isinstance(event, Position)
        if protections.max_open_positions:
            assert len(account.open_positions) <= protections.max_open_positions
        if protections.max_exposure_pct:
            assert account.exposure <= protections.max_exposure_pct
        if protections.max_daily_loss_pct:
            assert before.day_loss_pct < 100.0 * protections.max_daily_loss_pct
        if protections.max_drawdown_pct:
            assert before.protected_drawdown_pct < 100.0 * protections.max_drawdown_pct
        if protections.cooldown_after_stops and before.stops_in_row >= protections.cooldown_after_stops:
            assert before.last_stop is not None
            assert (event.entry_time - before.last_stop).total_seconds() >= 60.0 * protections.cooldown_minutes


@settings(max_examples=15)
@given(choices, st.integers(0, 99), limits)
async def test_protections_change_no_signal(actions: list[Action], seed: int, protections: Protections) -> None:
    def made(events: Sequence[Event]) -> list[tuple[object, ...]]:
        decisions = [event.decision for event in events if isinstance(event, Signal)]
        return [(one.action, one.confidence, one.stop_loss, one.take_profit, one.position_size) for one in decisions]

    assert made(await decided(actions, seed, protections)) == made(await decided(actions, seed, NO_PROTECTIONS))


@settings(max_examples=15)
@given(choices, st.integers(0, 99), limits)
async def test_a_position_has_one_exit_and_none_before_its_entry(
    actions: list[Action], seed: int, protections: Protections
) -> None:
    changes = [event for event in await decided(actions, seed, protections) if isinstance(event, Position)]
    exits = Counter(one.position_id for one in changes if not one.is_open)
    assert set(exits.values()) <= {1}
    for earlier, later in pairwise(changes):
        if later.position_id == earlier.position_id:
            assert earlier.is_open, "nothing follows an exit"
    assert all(one.exit is None or one.exit.time >= one.entry_time for one in changes)
