"""What each rule said to a decision, in the order in which the rules decided."""

from __future__ import annotations

from enum import StrEnum

from .risk import DECISION_RULES, PolicyChoice
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
    results: list[RuleResult] = []
    stopped = False
    for rule in DECISION_RULES:
        if stopped:
            results.append(RuleResult(rule.name, RuleVerdict.NOT_REACHED, None, rule.limit(choice)))
            continue
        reason = rule.objection(choice)
        stopped = reason is not None
        verdict = RuleVerdict.STOPPED if stopped else RuleVerdict.PASSED
        results.append(RuleResult(rule.name, verdict, rule.value(choice), rule.limit(choice), reason or ""))
    return results
