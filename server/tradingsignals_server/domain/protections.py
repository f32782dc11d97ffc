"""Protections: limits of the account that keep a decision from opening a position. They change nothing else of it.

A position that is open is kept and left as if there were no protections, and an opposite signal closes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass as plain_dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from .rule import ObjectionRule
from .values import dataclass
from .wording import counted, percent

_PRECISION = 1e-9
"""Sums of sizes and losses that reach a limit in decimal may miss it by less than this in binary."""


@dataclass(frozen=True, slots=True)
class Protections:
    """Limits, one field for each setting of the same name; 0 is off.

    Fractions: `max_daily_loss_pct` of the equity at the start of the day in UTC, `max_drawdown_pct` of the highest
    equity since trading was last resumed by hand, `max_exposure_pct` of the initial equity. `cooldown_minutes` is
    market time.
    """

    max_daily_loss_pct: float = 0.0
    max_drawdown_pct: float = 0.0
    cooldown_after_stops: int = 0
    cooldown_minutes: float = 60.0
    max_open_positions: int = 0
    max_exposure_pct: float = 0.0
    trading_halted: bool = False

    @property
    def has_limits(self) -> bool:
        """Whether a limit is on, so that the positions and profits of the account matter."""
        return bool(
            self.max_daily_loss_pct
            or self.max_drawdown_pct
            or self.cooldown_after_stops
            or self.max_open_positions
            or self.max_exposure_pct
        )


NO_PROTECTIONS = Protections()
"""All limits off, and trading not halted."""


@dataclass(frozen=True, slots=True)
class AccountAtDecision:
    """What the protections look at of an account. Without a limit only the halt is known. See Account for the meanings.

    open_positions: their number. exposure: a fraction of the initial equity.
    """

    halted: bool = False
    halt_reason: str = ""
    day_loss_pct: float = 0.0
    drawdown_pct: float = 0.0
    stops_in_row: int = 0
    last_stop: datetime | None = None
    open_positions: int = 0
    exposure: float = 0.0


@dataclass(frozen=True, slots=True)
class PlannedPosition:
    """A position that is about to be opened: its size, as a fraction of the initial equity, and the time."""

    protections: Protections
    account: AccountAtDecision
    size: float
    time: datetime

    @property
    def cooldown_ends(self) -> datetime | None:
        """End of the cool-down after the last stop of a row, None if there is none."""
        account, limits = self.account, self.protections
        if not limits.cooldown_after_stops or account.stops_in_row < limits.cooldown_after_stops:
            return None
        return account.last_stop and account.last_stop + timedelta(minutes=limits.cooldown_minutes)


HALTED_BY_SETTING = "halted by the setting TRADING_HALTED"


def halted_by_hand(reason: str) -> str:
    """Return the words for a halt by hand, for this reason or for none."""
    return f"halted by hand ({reason})" if reason else "halted by hand"


def _setting_objection(planned: PlannedPosition) -> str | None:
    return f"Trading is {HALTED_BY_SETTING}" if planned.protections.trading_halted else None


def _hand_objection(planned: PlannedPosition) -> str | None:
    account = planned.account
    return f"Trading is {halted_by_hand(account.halt_reason)}" if account.halted else None


def _daily_loss_objection(planned: PlannedPosition) -> str | None:
    lost, limit = planned.account.day_loss_pct / 100.0, planned.protections.max_daily_loss_pct
    if not limit or lost < limit - _PRECISION:
        return None
    return f"The loss of the day, {percent(lost, 2)} of equity, has reached the limit of {percent(limit, 2)}"


def _drawdown_objection(planned: PlannedPosition) -> str | None:
    lost, limit = planned.account.drawdown_pct / 100.0, planned.protections.max_drawdown_pct
    if not limit or lost < limit - _PRECISION:
        return None
    return f"Equity is {percent(lost, 2)} below its peak, which reaches the limit of {percent(limit, 2)}"


def _cooldown_objection(planned: PlannedPosition) -> str | None:
    ends = planned.cooldown_ends
    if ends is None or planned.time >= ends:
        return None
    until = ends.isoformat(" ", "minutes")[: len("2024-03-04 13:05")]
    return f"Cool-down until {until} UTC, after {counted(planned.account.stops_in_row, 'stop')} in a row"


def _positions_objection(planned: PlannedPosition) -> str | None:
    held, limit = planned.account.open_positions, planned.protections.max_open_positions
    if not limit or held < limit:
        return None
    return f"{counted(held, 'position is', 'positions are')} open, and the limit is {limit}"


def _exposure_objection(planned: PlannedPosition) -> str | None:
    exposure, limit = planned.account.exposure + planned.size, planned.protections.max_exposure_pct
    if not limit or exposure <= limit + _PRECISION:
        return None
    would, most = percent(exposure, 2, limit), percent(limit, 2, exposure)
    return f"Exposure would be {would} of equity, above the limit of {most}"


class ProtectionUnit(StrEnum):
    """What limit and value of a protection are. Names are those of tradingsignals.v1.Protection.Unit."""

    FRACTION = "FRACTION"
    """A fraction: 0.02 is 2%."""
    COUNT = "COUNT"
    SWITCH = "SWITCH"
    """1 if it is on, else 0; there is no limit."""


@plain_dataclass(frozen=True, slots=True)
class ProtectionRule(ObjectionRule[PlannedPosition]):
    """A protection. unit: that of limit and value. until: when it lets go by itself, None if it does not."""

    unit: ProtectionUnit = ProtectionUnit.FRACTION
    until: Callable[[PlannedPosition], datetime | None] = lambda _: None


def _end_of_day(planned: PlannedPosition) -> datetime:
    """Return the midnight in UTC at which the day of the newest bar ends, which closes at the time at the latest."""
    midnight = planned.time.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == planned.time else midnight + timedelta(days=1)


def _if_on(value: float, limit: float) -> float | None:
    """Return what a rule looks at; None if its limit is off, so that it looks at nothing."""
    return value if limit else None


PROTECTION_RULES: tuple[ProtectionRule, ...] = (
    ProtectionRule(
        "TRADING_HALTED",
        _setting_objection,
        lambda planned: float(planned.protections.trading_halted),
        unit=ProtectionUnit.SWITCH,
    ),
    ProtectionRule(
        "HALTED_BY_HAND", _hand_objection, lambda planned: float(planned.account.halted), unit=ProtectionUnit.SWITCH
    ),
    ProtectionRule(
        "MAX_DAILY_LOSS_PCT",
        _daily_loss_objection,
        lambda planned: _if_on(planned.account.day_loss_pct / 100.0, planned.protections.max_daily_loss_pct),
        lambda planned: planned.protections.max_daily_loss_pct,
        until=_end_of_day,
    ),
    ProtectionRule(
        "MAX_DRAWDOWN_PCT",
        _drawdown_objection,
        lambda planned: _if_on(planned.account.drawdown_pct / 100.0, planned.protections.max_drawdown_pct),
        lambda planned: planned.protections.max_drawdown_pct,
    ),
    ProtectionRule(
        "COOLDOWN_AFTER_STOPS",
        _cooldown_objection,
        lambda planned: _if_on(planned.account.stops_in_row, planned.protections.cooldown_after_stops),
        lambda planned: float(planned.protections.cooldown_after_stops),
        unit=ProtectionUnit.COUNT,
        until=lambda planned: planned.cooldown_ends,
    ),
    ProtectionRule(
        "MAX_OPEN_POSITIONS",
        _positions_objection,
        lambda planned: _if_on(planned.account.open_positions, planned.protections.max_open_positions),
        lambda planned: float(planned.protections.max_open_positions),
        unit=ProtectionUnit.COUNT,
    ),
    ProtectionRule(
        "MAX_EXPOSURE_PCT",
        _exposure_objection,
        lambda planned: _if_on(planned.account.exposure + planned.size, planned.protections.max_exposure_pct),
        lambda planned: planned.protections.max_exposure_pct,
    ),
)
"""The rules in the order in which they are applied; the first that objects keeps the position from being opened."""


def protection_objection(planned: PlannedPosition) -> str | None:
    """Return the sentence that says why a position is not opened; None if it may be."""
    for rule in PROTECTION_RULES:
        if (reason := rule.objection(planned)) is not None:
            return f"{reason}: no position is opened"
    return None


@dataclass(frozen=True, slots=True)
class ProtectionState:
    """How a protection stands.

    name, unit: those of its rule. limit: as it is set, 0 for off, None for a switch. value: what is compared with it,
    None while the limit is off. reason: why it keeps positions from being opened now, None if it does not.
    until: when that ends by itself, by the time of the market.
    """

    name: str
    unit: ProtectionUnit
    limit: float | None
    value: float | None
    reason: str | None
    until: datetime | None


def protection_states(protections: Protections, account: AccountAtDecision, time: datetime) -> list[ProtectionState]:
    """Return how each protection stands for any position that would be opened now, in the order of the rules."""
    nothing = PlannedPosition(protections, account, 0.0, time)
    least = PlannedPosition(protections, account, 2 * _PRECISION, time)
    states = []
    for rule in PROTECTION_RULES:
        reason = rule.objection(least)
        until = None if reason is None else rule.until(nothing)
        states.append(ProtectionState(rule.name, rule.unit, rule.limit(nothing), rule.value(nothing), reason, until))
    return states
