"""Settings in force as a text: the same for the same settings, and read back as they were."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from tradingsignals_server.domain.calendar import CalendarChoice, SessionCalendar, calendar_for
from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.decision_settings import (
    DecisionSettings,
    UnreadableSettings,
    parse_settings,
    settings_id,
)
from tradingsignals_server.domain.intervals import INTERVALS
from tradingsignals_server.domain.risk import RiskRules, Sizing

RULES = RiskRules(
    confidence_threshold=0.1 + 0.2,
    sizing=Sizing.KELLY,
    spread=Charges(Charge(1 / 3, in_bp=True), {"USDCOP": Charge(1e-17)}),
    max_bar_age=timedelta(seconds=90),
)


def settings(rules: RiskRules = RULES, calendar: SessionCalendar | None = None) -> DecisionSettings:
    return DecisionSettings("1.0@abc", "m5-v1", rules, calendar or calendar_for("USDCOP"), "0.1")


@pytest.mark.parametrize("rules", [RULES, RiskRules()])
@pytest.mark.parametrize("choice", [CalendarChoice.BOGOTA, CalendarChoice.ALWAYS])
@pytest.mark.parametrize("interval", INTERVALS.values())
def test_settings_are_read_back(rules: RiskRules, choice: CalendarChoice, interval: timedelta) -> None:
    written = settings(rules, calendar_for("", choice, interval))
    read = parse_settings(written.text)
    assert (read.policy, read.features, read.program) == ("1.0@abc", "m5-v1", "0.1")
    assert read.rules == rules
    assert read.calendar is written.calendar
    assert read.id == written.id == settings_id(written.text)


def test_every_rule_is_part_of_the_text() -> None:
    assert json.loads(settings().text)["rules"].keys() == {field.name for field in fields(RiskRules)}


def test_other_settings_have_another_id() -> None:
    assert settings(replace(RULES, min_risk_reward=1.6)).id != settings().id
    assert settings(calendar=calendar_for("EURUSD")).id != settings().id


def test_rule_that_a_text_lacks_has_its_default() -> None:
    document = json.loads(settings().text)
    del document["rules"]["kelly_fraction"]
    assert parse_settings(json.dumps(document)).rules == RULES


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"rules": 3}'])
def test_text_that_is_no_settings_is_refused(text: str) -> None:
    with pytest.raises(UnreadableSettings, match="cannot be read"):
        parse_settings(text)


def test_unknown_rule_is_refused_by_its_name() -> None:
    document = json.loads(settings().text)
    document["rules"]["moon_phase"] = 0.5
    with pytest.raises(UnreadableSettings, match="moon_phase"):
        parse_settings(json.dumps(document))
