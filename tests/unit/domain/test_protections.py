"""Protections: each rule at its limit and just below it, and the account that they look at."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timedelta

import pytest
from tests.support.builders import MONDAY, OPENING, bar, signal

from tradingsignals_server.domain.account import Account
from tradingsignals_server.domain.events import Disposition, MarketUpdate, TradingControl
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.positions import Exit, ExitReason, Position, close, open_position
from tradingsignals_server.domain.protections import (
    NO_PROTECTIONS,
    PROTECTION_RULES,
    AccountAtDecision,
    PlannedPosition,
    Protections,
    ProtectionState,
    protection_objection,
    protection_states,
)
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.rule_results import RuleVerdict, protection_rule_results
from tradingsignals_server.domain.signals import Action

RULES = RiskRules(account_currency="COP")
LOSS = Protections(max_daily_loss_pct=0.02)
DRAWDOWN = Protections(max_drawdown_pct=0.1)
COOLDOWN = Protections(cooldown_after_stops=2, cooldown_minutes=30.0)
POSITIONS = Protections(max_open_positions=3)
EXPOSURE = Protections(max_exposure_pct=0.1)
EVERY = Protections(0.02, 0.1, 2, 30.0, 3, 0.1, trading_halted=True)
HALF_AN_HOUR_AGO = OPENING - timedelta(minutes=30)
NONE = ": no position is opened"


def objection(protections: Protections, account: AccountAtDecision, size: float = 0.02) -> str | None:
    return protection_objection(PlannedPosition(protections, account, size, OPENING))


@pytest.mark.parametrize(
    ("protections", "allowed", "stopped", "sentence"),
    [
        (
            LOSS,
            AccountAtDecision(day_loss_pct=1.9999),
            AccountAtDecision(day_loss_pct=2.0),
            "The loss of the day, 2.00% of equity, has reached the limit of 2.00%",
        ),
        (
            DRAWDOWN,
            AccountAtDecision(drawdown_pct=9.9999),
            AccountAtDecision(drawdown_pct=12.5),
            "Equity is 12.50% below its peak, which reaches the limit of 10.00%",
        ),
        (
            COOLDOWN,
            AccountAtDecision(stops_in_row=1, last_stop=OPENING),
            AccountAtDecision(stops_in_row=2, last_stop=OPENING),
            "Cool-down until 2024-03-04 13:30 UTC, after 2 stops in a row",
        ),
        (
            COOLDOWN,
            AccountAtDecision(stops_in_row=3, last_stop=HALF_AN_HOUR_AGO),
            AccountAtDecision(stops_in_row=3, last_stop=HALF_AN_HOUR_AGO + timedelta(minutes=5)),
            "Cool-down until 2024-03-04 13:05 UTC, after 3 stops in a row",
        ),
        (
            POSITIONS,
            AccountAtDecision(open_positions=2),
            AccountAtDecision(open_positions=3),
            "3 positions are open, and the limit is 3",
        ),
        (
            EXPOSURE,
            AccountAtDecision(exposure=0.02 + 0.02 + 0.02 + 0.02),
            AccountAtDecision(exposure=0.0801),
            "Exposure would be 10.01% of equity, above the limit of 10.00%",
        ),
        (
            NO_PROTECTIONS,
            AccountAtDecision(),
            AccountAtDecision(halted=True, halt_reason="news at 10"),
            "Trading is halted by hand (news at 10)",
        ),
        (NO_PROTECTIONS, AccountAtDecision(), AccountAtDecision(halted=True), "Trading is halted by hand"),
    ],
)
def test_rule_objects_at_its_limit_and_not_before(
    protections: Protections, allowed: AccountAtDecision, stopped: AccountAtDecision, sentence: str
) -> None:
    assert objection(protections, allowed) is None
    assert objection(protections, stopped) == sentence + NONE


def test_setting_halts_whatever_the_account_is() -> None:
    halted = Protections(trading_halted=True)
    assert objection(halted, AccountAtDecision()) == "Trading is halted by the setting TRADING_HALTED" + NONE


def test_rules_that_are_off_do_not_object() -> None:
    worst = AccountAtDecision(False, "", 100.0, 100.0, 99, OPENING, 99, 99.0)
    assert objection(NO_PROTECTIONS, worst) is None
    assert objection(replace(COOLDOWN, cooldown_minutes=0.0), worst) is None


def test_limit_that_a_sum_reaches_in_decimal_alone_counts_as_reached() -> None:
    assert 0.1 + 0.2 > 0.3
    assert objection(Protections(max_exposure_pct=0.3), AccountAtDecision(exposure=0.1), 0.2) is None
    assert objection(Protections(max_daily_loss_pct=0.07), AccountAtDecision(day_loss_pct=6.9999999999)) is not None


def test_first_rule_that_objects_is_named_and_the_rules_behind_it_are_not_reached() -> None:
    account = AccountAtDecision(day_loss_pct=5.0, open_positions=7)
    planned = PlannedPosition(replace(EVERY, trading_halted=False), account, 0.02, OPENING)
    results = protection_rule_results(planned, reached=True)
    assert [one.rule for one in results] == [rule.name for rule in PROTECTION_RULES]
    passed, stopped, behind = results[:2], results[2], results[3:]
    assert {one.verdict for one in passed} == {RuleVerdict.PASSED}
    assert (stopped.rule, stopped.verdict, stopped.value, stopped.limit) == (
        "MAX_DAILY_LOSS_PCT",
        RuleVerdict.STOPPED,
        0.05,
        0.02,
    )
    assert stopped.sentence + NONE == protection_objection(planned)
    assert {(one.verdict, one.value) for one in behind} == {(RuleVerdict.NOT_REACHED, None)}
    assert [one.limit for one in behind] == [0.1, 2.0, 3.0, 0.1]


def test_rule_that_is_off_has_no_value() -> None:
    results = protection_rule_results(PlannedPosition(NO_PROTECTIONS, AccountAtDecision(), 0.02, OPENING), reached=True)
    assert [one.value for one in results] == [0.0, 0.0, None, None, None, None, None]


def test_every_setting_but_the_length_of_the_cooldown_is_a_rule() -> None:
    names = {rule.name for rule in PROTECTION_RULES} - {"HALTED_BY_HAND"}
    assert {field.name.upper() for field in fields(Protections)} == names | {"COOLDOWN_MINUTES"}


@pytest.mark.parametrize("protections", [LOSS, DRAWDOWN, COOLDOWN, POSITIONS, EXPOSURE])
def test_each_limit_makes_the_account_matter(protections: Protections) -> None:
    assert protections.has_limits


def test_a_halt_alone_does_not_make_the_positions_of_the_account_matter() -> None:
    assert not NO_PROTECTIONS.has_limits
    assert not Protections(trading_halted=True).has_limits


def position(name: int) -> Position:
    return open_position(signal(Action.BUY, name=name, rules=RULES), RULES, MONDAY)


def stopped(name: int, bars: int) -> Position:
    return close(position(name), Exit(OPENING + bars * DEFAULT_INTERVAL, 98.0, ExitReason.STOP_LOSS), RULES)


EVENTS = (
    MarketUpdate(bar(0), Disposition.ACCEPTED),
    position(1),
    stopped(1, 1),
    position(2),
    stopped(2, 2),
    position(3),
    TradingControl(True, "news", "ana", OPENING),
)


def test_protections_look_at_what_the_account_came_to() -> None:
    found = Account.opened(100_000.0).guarded(EVENTS, EVERY).at_decision(EVERY)
    # Two stops lost 2% of 2% of the equity each, and a third position is open.
    assert found == AccountAtDecision(True, "news", 0.08, 0.08, 2, OPENING + 2 * DEFAULT_INTERVAL, 1, 0.02)


def test_without_a_limit_only_halts_are_followed() -> None:
    opening = Account.opened(100_000.0)
    assert opening.guarded(EVENTS[:-1], NO_PROTECTIONS) is opening
    assert opening.guarded(EVENTS, NO_PROTECTIONS).at_decision(NO_PROTECTIONS) == AccountAtDecision(True, "news")


def states(
    protections: Protections, account: AccountAtDecision, time: datetime = OPENING
) -> dict[str, ProtectionState]:
    return {state.name: state for state in protection_states(protections, account, time)}


def test_every_protection_has_a_state_and_none_is_reached_by_an_account_without_losses() -> None:
    free = states(replace(EVERY, trading_halted=False), AccountAtDecision())
    assert list(free) == [rule.name for rule in PROTECTION_RULES]
    assert not any(state.reason or state.until for state in free.values())
    off = states(NO_PROTECTIONS, AccountAtDecision())
    assert {name for name, state in off.items() if state.limit == 0} == set(off) - {"TRADING_HALTED", "HALTED_BY_HAND"}
    assert {name for name, state in off.items() if state.value is None} == set(off) - {
        "TRADING_HALTED",
        "HALTED_BY_HAND",
    }


@pytest.mark.parametrize(
    ("name", "protections", "account", "value", "until"),
    [
        ("TRADING_HALTED", Protections(trading_halted=True), AccountAtDecision(), 1.0, None),
        ("HALTED_BY_HAND", NO_PROTECTIONS, AccountAtDecision(halted=True), 1.0, None),
        (
            "MAX_DAILY_LOSS_PCT",
            LOSS,
            AccountAtDecision(day_loss_pct=2.5),
            0.025,
            OPENING.replace(hour=0, minute=0) + timedelta(days=1),
        ),
        ("MAX_DRAWDOWN_PCT", DRAWDOWN, AccountAtDecision(drawdown_pct=10.0), 0.1, None),
        (
            "COOLDOWN_AFTER_STOPS",
            COOLDOWN,
            AccountAtDecision(stops_in_row=3, last_stop=OPENING - timedelta(minutes=10)),
            3.0,
            OPENING + timedelta(minutes=20),
        ),
        ("MAX_OPEN_POSITIONS", POSITIONS, AccountAtDecision(open_positions=3), 3.0, None),
        ("MAX_EXPOSURE_PCT", EXPOSURE, AccountAtDecision(exposure=0.1), 0.1, None),
    ],
)
def test_state_of_a_reached_protection_says_why_and_until_when(
    name: str, protections: Protections, account: AccountAtDecision, value: float, until: datetime | None
) -> None:
    found = states(protections, account)
    assert [each.name for each in found.values() if each.reason is not None] == [name]
    state = found[name]
    assert state.value == pytest.approx(value)
    assert state.until == until
    if name != "MAX_EXPOSURE_PCT":  # its sentence has the exposure with the position, which no position has yet
        assert f"{state.reason}{NONE}" == objection(protections, account)


def test_cool_down_that_is_over_is_not_reached_though_its_stops_are() -> None:
    state = states(COOLDOWN, AccountAtDecision(stops_in_row=2, last_stop=HALF_AN_HOUR_AGO))["COOLDOWN_AFTER_STOPS"]
    assert (state.value, state.limit, state.reason, state.until) == (2, 2.0, None, None)


def test_day_whose_last_bar_closes_at_midnight_ends_then() -> None:
    midnight = OPENING.replace(hour=0, minute=0)
    assert states(LOSS, AccountAtDecision(day_loss_pct=3.0), midnight)["MAX_DAILY_LOSS_PCT"].until == midnight
