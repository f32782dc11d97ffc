"""What the rules said to a stored signal, in the order in which they decided."""

from __future__ import annotations

from ...domain.decision_settings import DecisionSettings
from ...domain.protections import AccountAtDecision, PlannedPosition
from ...domain.risk import PolicyChoice
from ...domain.rule_results import RuleResult, RuleVerdict, decision_rule_results, protection_rule_results
from ...domain.signals import Signal
from ..decision.consequence import Consequence, TradeRule
from ..ports.inputs import SignalInputs


def rule_results(signal: Signal, settings: DecisionSettings, *, is_calibrated: bool) -> list[RuleResult]:
    """Return the results of the rules that made the decision of a stored signal of the choice of the policy."""
    action, confidence = signal.probabilities.choice()
    decision = signal.decision
    choice = PolicyChoice(
        signal.symbol,
        action,
        confidence,
        decision.win,
        signal.entry_price,
        signal.indicators,
        settings.rules,
        is_calibrated,
    )
    return decision_rule_results(choice)


def trade_rule_results(
    signal: Signal, inputs: SignalInputs, settings: DecisionSettings, consequence: Consequence
) -> list[RuleResult]:
    """Return the results of the rules that a decision for BUY or SELL passes before it opens a position."""
    held = inputs.held
    limit = settings.rules.max_bar_age_of(settings.calendar.interval)
    side = 0.0 if held is None else float(held.action.direction)
    age = None if signal.bar_age is None else signal.bar_age.total_seconds()
    numbers: dict[TradeRule, tuple[float | None, float | None]] = {
        TradeRule.HELD_POSITION: (side, float(signal.action.direction)),
        TradeRule.SESSION_AND_AGE: (age, limit.total_seconds()),
        TradeRule.POSITION_SIZE: (signal.decision.position_size, settings.rules.max_position_size_pct),
    }
    results: list[RuleResult] = []
    verdict = RuleVerdict.PASSED
    if consequence.stopped_by is TradeRule.ACTION:
        verdict = RuleVerdict.NOT_REACHED
    for rule in TradeRule:
        if rule is TradeRule.ACTION:
            continue
        if rule is TradeRule.PROTECTIONS:
            results += _protection_results(signal, settings, consequence)
            continue
        value, most = numbers.get(rule, (None, None))
        sentence = ""
        if rule is consequence.stopped_by:
            verdict, sentence = RuleVerdict.STOPPED, "; ".join(consequence.sentences)
        results.append(
            RuleResult(rule.value, verdict, None if verdict is RuleVerdict.NOT_REACHED else value, most, sentence)
        )
        if verdict is RuleVerdict.STOPPED:
            verdict = RuleVerdict.NOT_REACHED
    return results


def _protection_results(signal: Signal, settings: DecisionSettings, consequence: Consequence) -> list[RuleResult]:
    account = consequence.account or AccountAtDecision()
    planned = PlannedPosition(settings.rules.protections, account, signal.decision.position_size, signal.timestamp)
    return protection_rule_results(planned, reached=consequence.account is not None or consequence.opens)
