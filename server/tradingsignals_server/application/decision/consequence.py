"""What a decision does to the position of its symbol: the rules that it passes before it opens one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from ...domain.protections import AccountAtDecision, PlannedPosition, protection_objection
from ...domain.risk import RiskRules
from ...domain.signals import Action, Decision, Origin
from ...domain.values import dataclass
from .inputs import DecisionInput, Held

SESSION_ENDS = "The session ends with this bar: no position is opened"
ENTERED_LATER = "The position was entered after this bar closed: it is kept"
CLOSES = "Closes the opposite position"

LookAtAccount = Callable[[], AccountAtDecision | None]
"""Returns the account as it is once an opposite position is closed, None if no protection looks at it. It is called
only for a decision that nothing else keeps from opening a position."""


class TradeRule(StrEnum):
    """What may keep a decision from opening a position, in the order in which `consequence_of` looks at it."""

    ACTION = "ACTION"
    HELD_POSITION = "HELD_POSITION"
    SESSION_AND_AGE = "SESSION_AND_AGE"
    ENTRY_TIME = "ENTRY_TIME"
    POSITION_SIZE = "POSITION_SIZE"
    PROTECTIONS = "PROTECTIONS"
    """All of domain.protections.PROTECTION_RULES."""


@dataclass(frozen=True, slots=True)
class Consequence:
    """The effect of a decision on the position of the symbol, and the sentences that describe it.

    stopped_by: the rule by which the decision opens nothing, None if it opens a position.
    account: what the protections looked at, None if they did not.
    """

    stopped_by: TradeRule | None
    sentences: tuple[str, ...] = ()
    closes: bool = False
    opens: bool = False
    account: AccountAtDecision | None = None


def consequence_of(
    decision: Decision, held: Held | None, decision_input: DecisionInput, rules: RiskRules, look: LookAtAccount
) -> Consequence:
    """Find what a decision does to the symbol's position, given the position `held`."""
    if decision.action is Action.HOLD:
        return Consequence(TradeRule.ACTION)
    side = "long" if decision.action is Action.BUY else "short"
    if held is not None and held.action is decision.action:
        return Consequence(TradeRule.HELD_POSITION, (f"Already {side}: the position is kept",))
    if (reason := _no_trade_reason(decision_input, rules)) is not None:
        return Consequence(TradeRule.SESSION_AND_AGE, (reason,))
    if held is not None and decision_input.origin is Origin.BAR and decision_input.timestamp <= held.entry_time:
        return Consequence(TradeRule.ENTRY_TIME, (ENTERED_LATER,))
    closes = held is not None
    closing = (CLOSES,) if closes else ()
    if decision.position_size <= 0.0:
        nothing = f"Sizing by {rules.sizing} comes to 0: no position is opened"
        return Consequence(TradeRule.POSITION_SIZE, (*closing, nothing), closes=closes)
    if (account := look()) is not None:
        planned = PlannedPosition(rules.protections, account, decision.position_size, decision_input.timestamp)
        if (reason := protection_objection(planned)) is not None:
            return Consequence(TradeRule.PROTECTIONS, (*closing, reason), closes=closes, account=account)
    sentence = f"{CLOSES} and goes {side}" if closes else f"Goes {side}"
    return Consequence(None, (sentence,), closes=closes, opens=True, account=account)


def valid_until(decision_input: DecisionInput, rules: RiskRules) -> datetime:
    """Return the time before which a signal may be acted on: when the next bar closes, and is decided on.

    Its own time where session or age of the bars keep it from opening a position: it may be acted on at no time.
    """
    if _no_trade_reason(decision_input, rules) is not None:
        return decision_input.timestamp
    return decision_input.calendar.next_close(decision_input.timestamp)


def _no_trade_reason(decision_input: DecisionInput, rules: RiskRules) -> str | None:
    """Say in a sentence why the decision does not trade; None if it may."""
    if decision_input.ends_session and rules.close_at_session_end:
        return SESSION_ENDS
    return decision_input.no_trade_reason
