"""The alerts that are shipped: each is tested, documented, and of metrics that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs.dashboard import queries
from tests.support.prometheus import DEPLOY, RULES, needs_promtool, promtool

from tradingsignals_server.adapters.metrics.definitions import METRICS, MetricKind

TESTS = RULES.with_name("alerts_test.yaml")
FAULT_TESTS = DEPLOY.parent / "tests" / "e2e" / "test_alerts.py"
PAGE = DEPLOY.parent / "docs" / "observability.md"

EXPORTED = {
    name + end
    for name, metric in METRICS.items()
    for end in (("_bucket", "_count", "_sum") if metric.kind is MetricKind.HISTOGRAM else ("",))
}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"tradingsignals_\w+", expression))


def test_rules_and_dashboard_ask_for_metrics_that_exist() -> None:
    expressions = [rule["expr"] for rule in rules()] + list(queries())
    assert {name for each in expressions for name in metrics_in(each)} <= EXPORTED
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert {name for each in expressions for name in re.findall(r"tradingsignals:[\w:]+", each)} <= recorded


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires, silent = set[str](), set[str]()
    for test in yaml.safe_load(TESTS.read_text())["tests"]:
        for case in test.get("alert_rule_test", ()):
            (fires if case["exp_alerts"] else silent).add(case["alertname"])
    assert fires == silent == set(alerts())


def test_every_alert_says_how_urgent_it_is_and_has_a_section_in_the_document() -> None:
    sections = set(re.findall(r"^### (\w+)$", PAGE.read_text("utf-8"), re.MULTILINE))
    for name, alert in alerts().items():
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert alert["annotations"]["summary"]
        assert name in sections, f"docs/observability.md needs a section ### {name}"
    assert sections == set(alerts()), "a section without an alert"


def test_every_alert_fires_and_clears_in_a_fault_of_a_running_service() -> None:
    waits = dict[str, set[str]]()
    for call in (node for node in ast.walk(ast.parse(FAULT_TESTS.read_text())) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Attribute):
            names = {each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)}
            waits.setdefault(call.func.attr, set()).update(names)
    assert waits["until_firing"] == waits["until_clear"] == set(alerts())


@pytest.mark.slow
@needs_promtool
async def test_alerts_fire_and_clear_as_their_tests_say() -> None:
    code, output = await promtool("test", "rules", TESTS)
    assert code == 0, output


@needs_promtool
async def test_configuration_of_prometheus_is_valid() -> None:
    code, output = await promtool("check", "config", RULES.with_name("prometheus.yml"))
    assert code == 0, output


@needs_promtool
async def test_prometheus_parses_every_query_of_the_dashboard(tmp_path: Path) -> None:
    recorded = [
        {"record": f"query:{at}", "expr": expression.replace("$__rate_interval", "1m")}
        for at, expression in enumerate(queries())
    ]
    assert len(recorded) > 40
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
    code, output = await promtool("check", "rules", tmp_path / "queries.yaml")
    assert code == 0, output
    assert f"{len(recorded)} rules found" in output
