"""The settings in force at a decision, as a text that is stored once for all decisions with the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b
from typing import Any

from .calendar import BogotaCalendar, CalendarChoice, SessionCalendar, calendar_for
from .costs import Charge, Charges
from .intervals import INTERVALS, interval_name
from .plain_values import parsed, plain
from .protections import Protections
from .risk import RiskRules

ID_BYTES = 16


class UnreadableSettings(ValueError):
    """A text is no settings that this version knows. The message says what is wrong with it."""


@dataclass(frozen=True, eq=False)
class DecisionSettings:
    """What decisions depend on besides bars, recurrent state and position.

    policy: key of the policy (PolicyDescription.key). features: name of its feature specification. program: version of
    the service, which decides nothing but may explain a difference.
    """

    policy: str
    features: str
    rules: RiskRules
    calendar: SessionCalendar
    program: str

    @cached_property
    def text(self) -> str:
        """The settings as JSON, the same for the same settings."""
        sessions = CalendarChoice.BOGOTA if isinstance(self.calendar, BogotaCalendar) else CalendarChoice.ALWAYS
        document = {
            "policy": self.policy,
            "features": self.features,
            "program": self.program,
            "sessions": sessions.value,
            "interval": interval_name(self.calendar.interval),
            "rules": {field.name: _plain(getattr(self.rules, field.name)) for field in fields(self.rules)},
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    @cached_property
    def id(self) -> bytes:
        """Hash of the text, of ID_BYTES bytes."""
        return settings_id(self.text)


def settings_id(text: str) -> bytes:
    """Return the hash by which a text of settings is known."""
    return blake2b(text.encode(), digest_size=ID_BYTES).digest()


def parse_settings(text: str) -> DecisionSettings:
    """Return the settings in a text. Rules that it lacks have their defaults, as they did when it was written.

    Raises:
        UnreadableSettings: it is not one of DecisionSettings, or has a rule that this version does not know.
    """
    try:
        document = json.loads(text)
        known = {field.name: field.default for field in fields(RiskRules)}
        if unknown := document["rules"].keys() - known.keys():
            raise UnreadableSettings(f"they have a rule that this version does not know: {min(unknown)}")
        rules = RiskRules(**{name: _parsed(value, known[name]) for name, value in document["rules"].items()})
        choice, interval = CalendarChoice(document["sessions"]), INTERVALS[document["interval"]]
        calendar = calendar_for("", choice, interval)
        return DecisionSettings(document["policy"], document["features"], rules, calendar, document["program"])
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise UnreadableSettings(f"they cannot be read: {error!r}") from error


def _plain(value: object) -> Any:
    match value:
        case Charges():
            named = {symbol: [charge.amount, charge.in_bp] for symbol, charge in value.by_symbol.items()}
            return {"charges": named, "every_other": [value.every_other.amount, value.every_other.in_bp]}
        case Protections():
            return {"protections": plain(value)}
        case timedelta():
            return {"seconds": value.total_seconds()}
        case StrEnum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"a rule cannot be a {type(value).__name__}")


def _parsed(value: Any, default: object) -> Any:
    if isinstance(value, Mapping) and "seconds" in value:
        return timedelta(seconds=value["seconds"])
    if isinstance(value, Mapping) and "protections" in value:
        return parsed(Protections, value["protections"])
    if isinstance(value, Mapping):
        named = {symbol: Charge(*charge) for symbol, charge in value["charges"].items()}
        return Charges(Charge(*value["every_other"]), named)
    return type(default)(value) if isinstance(default, StrEnum) else value
