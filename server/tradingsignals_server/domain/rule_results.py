"""What each rule said to a decision, in the order in which the rules decided."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from .protections import PROTECTION_RULES, PlannedPosition
from .risk import DECISION_RULES, PolicyChoice
from .rule import ObjectionRule, Subject
from .values import dataclass


class RuleVerdict(StrEnum):
    """Results of a rule. Names are those of tradingsignals.v1.RuleResult.Verdict."""

    PASSED = "PASSED"
    STOPPED = "STOPPED"
    """The decision became HOLD, or opened no position, by this rule."""
    NOT_REACHED = "NOT_REACHED"
    """An earlier rule had stopped it."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What a rule said. `value` is what it looked at, `limit` what that was compared with; None if it is no number."""

    rule: str
    verdict: RuleVerdict
    value: float | None = None
    limit: float | None = None
    sentence: str = ""


def decision_rule_results(choice: PolicyChoice) -> list[RuleResult]:
    """Return the results of the rules that `risk.decide` applies to `choice`."""
    return _results(DECISION_RULES, choice, reached=True)


def protection_rule_results(planned: PlannedPosition, *, reached: bool) -> list[RuleResult]:
    """Return the results of the protections for a position that is about to be opened; `reached`: it was."""
    return _results(PROTECTION_RULES, planned, reached=reached)


def _results(rules: Iterable[ObjectionRule[Subject]], subject: Subject, *, reached: bool) -> list[RuleResult]:
    results: list[RuleResult] = []
    for rule in rules:
        if not reached:
            results.append(RuleResult(rule.name, RuleVerdict.NOT_REACHED, None, rule.limit(subject)))
            continue
        reason = rule.objection(subject)
        reached = reason is None
        verdict = RuleVerdict.PASSED if reached else RuleVerdict.STOPPED
        results.append(RuleResult(rule.name, verdict, rule.value(subject), rule.limit(subject), reason or ""))
    return results
