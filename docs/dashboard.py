"""Writes the Grafana dashboard, deploy/grafana/tradingsignals.json, from the panels here. See docs.generate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

DASHBOARD = Path(__file__).resolve().parents[1] / "deploy" / "grafana" / "tradingsignals.json"

COLUMNS: Final = 24
"""Of Grafana's grid."""

HEIGHT: Final = 7

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel. queries: each an expression and the legend of its series. unit: Grafana's name of it.

    kind: "timeseries", or "stat" for the newest value of a short panel.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    description: str = ""


def _quantiles(histogram: str, by: str = "") -> tuple[tuple[str, str], ...]:
    """Return the median and the 99th percentile of a histogram over the interval of the picture."""
    labels = f"le, {by}" if by else "le"
    rate = f"sum by ({labels}) (rate({histogram}_bucket[$__rate_interval]))"
    legend = f"{{{{{by}}}}} " if by else ""
    return tuple((f"histogram_quantile({share}, {rate})", f"{legend}p{round(100 * share)}") for share in (0.5, 0.99))


def _rate(counter: str, by: str) -> str:
    return f"sum by ({by}) (rate({counter}[$__rate_interval]))"


ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "At a glance": (
        Panel("Servers", (('sum(up{job="tradingsignals"})', ""),), kind="stat", width=3),
        Panel("Database", (("min(tradingsignals_database_up)", ""),), kind="stat", width=3, description="1: responds."),
        Panel("Newest bar, age", (("time() - max(tradingsignals_last_bar_timestamp_seconds)", ""),), "s", "stat", 4),
        Panel(
            "Newest commit, age", (("time() - max(tradingsignals_last_commit_timestamp_seconds)", ""),), "s", "stat", 4
        ),
        Panel("Stale symbols", (("sum(tradingsignals_stale_symbols)", ""),), kind="stat", width=3),
        Panel("Trading halted", (("max(tradingsignals_trading_halted)", ""),), kind="stat", width=3),
        Panel("Equity", (("max(tradingsignals_equity)", ""),), kind="stat", width=4),
    ),
    "Bars and signals": (
        Panel("Bars", ((_rate("tradingsignals_bars_total", "disposition"), "{{disposition}}"),), "ops"),
        Panel("Signals", ((_rate("tradingsignals_signals_total", "action, origin"), "{{action}} {{origin}}"),), "ops"),
        Panel("From a bar to its commit", _quantiles("tradingsignals_bar_to_commit_seconds"), "s"),
        Panel("Inference", _quantiles("tradingsignals_inference_seconds"), "s"),
        Panel("Commands that wait", (("sum by (instance) (tradingsignals_queued_commands)", "{{instance}}"),)),
        Panel("Refused bars", ((_rate("tradingsignals_bar_refusals_total", "reason"), "{{reason}}"),), "ops"),
        Panel(
            "Age of the newest bar, ten oldest symbols",
            (("topk(10, time() - max by (symbol) (tradingsignals_symbol_bar_close_timestamp_seconds))", "{{symbol}}"),),
            "s",
            description="By the market's clock: large for a market that is simulated or replayed.",
        ),
        Panel("Missing bars", (("max by (symbol) (tradingsignals_symbol_missing_bars) > 0", "{{symbol}}"),)),
        Panel(
            "Symbols",
            (
                ("sum(tradingsignals_symbols)", "in use"),
                ("sum(max by (symbol) (tradingsignals_symbol_stale))", "stale"),
            ),
        ),
    ),
    "Commits and the database": (
        Panel("Commits", _quantiles("tradingsignals_commit_seconds"), "s"),
        Panel(
            "Entries of the log",
            (
                ("sum(rate(tradingsignals_commit_entries_total[$__rate_interval]))", "committed a second"),
                ("sum(rate(tradingsignals_commit_failures_total[$__rate_interval]))", "failures a second"),
                ("deriv(max(tradingsignals_log_newest_sequence)[10m:])", "growth of the log a second"),
            ),
            "ops",
        ),
        Panel(
            "Connections",
            (
                ("sum by (pool, state) (tradingsignals_database_connections)", "{{pool}} {{state}}"),
                ("sum(tradingsignals_waiting_reads)", "reads that wait"),
            ),
        ),
    ),
    "Streams and calls": (
        Panel("Followers", (("sum by (stream, transport) (tradingsignals_followers)", "{{stream}} {{transport}}"),)),
        Panel(
            "Entries that the last follower lacks",
            (
                ("max by (stream, transport) (tradingsignals_follower_lag_entries)", "{{stream}} {{transport}}"),
                ("max(tradingsignals_ledger_lag_entries)", "ledger"),
            ),
        ),
        Panel("Calls", ((_rate("tradingsignals_calls_total", "method"), "{{method}}"),), "ops"),
        Panel("Calls, slowest hundredth", (_quantiles("tradingsignals_call_seconds", "method")[1],), "s"),
        Panel("Errors by reason", ((_rate("tradingsignals_call_errors_total", "reason"), "{{reason}}"),), "ops"),
        Panel(
            "Faults of ours, share of the calls",
            (
                ("tradingsignals:call_faults:ratio_rate5m", "5 minutes"),
                ("tradingsignals:call_faults:ratio_rate6h", "6 hours"),
            ),
            "percentunit",
        ),
        Panel(
            "Requests at the edge",
            (
                (
                    "sum by (envoy_response_code_class) (rate(envoy_http_downstream_rq_xx"
                    '{envoy_http_conn_manager_prefix="edge"}[$__rate_interval]))',
                    "{{envoy_response_code_class}}xx",
                ),
            ),
            "ops",
        ),
        Panel(
            "Connections at the edge",
            (('sum(envoy_http_downstream_cx_active{envoy_http_conn_manager_prefix="edge"})', "open"),),
        ),
        Panel(
            "Healthy servers at the edge",
            (
                (
                    'sum by (envoy_cluster_name) (envoy_cluster_membership_healthy{envoy_cluster_name!="admin"})',
                    "{{envoy_cluster_name}}",
                ),
            ),
        ),
    ),
    "Account": (
        Panel("Equity", (("max(tradingsignals_equity)", "equity"),)),
        Panel("Drawdown", (("max(tradingsignals_drawdown_ratio)", "from the peak"),), "percentunit"),
        Panel("Open positions", (("max(tradingsignals_open_positions)", "open"),)),
        Panel(
            "Protections: value as a share of the limit",
            (
                (
                    "max by (protection) (tradingsignals_protection_value) "
                    "/ (max by (protection) (tradingsignals_protection_limit) > 0)",
                    "{{protection}}",
                ),
            ),
            "percentunit",
        ),
        Panel(
            "Protections that keep positions from being opened",
            (("max by (protection) (tradingsignals_protection_reached)", "{{protection}}"),),
        ),
        Panel(
            "Outcomes a day", (("sum by (resolution) (increase(tradingsignals_outcomes_total[1d]))", "{{resolution}}"),)
        ),
        Panel(
            "Brier score of the win probability, a week",
            (
                (
                    "sum(rate(tradingsignals_win_probability_squared_error_total[7d])) "
                    "/ sum(rate(tradingsignals_win_probability_outcomes_total[7d]))",
                    "below 0.25 is better than saying 50%",
                ),
            ),
        ),
        Panel(
            "Drift of features (PSI), ten largest",
            (("topk(10, max by (feature) (tradingsignals_feature_drift_psi))", "{{feature}}"),),
            description="Above 0.25 the model gets other values than before.",
        ),
    ),
    "Process": (
        Panel("Event loop, delay", _quantiles("tradingsignals_event_loop_delay_seconds", "instance"), "s"),
        Panel(
            "Processor", (('rate(process_cpu_seconds_total{job="tradingsignals"}[$__rate_interval])', "{{instance}}"),)
        ),
        Panel("Memory", (('process_resident_memory_bytes{job="tradingsignals"}', "{{instance}}"),), "bytes"),
        Panel("Open files", (('process_open_fds{job="tradingsignals"}', "{{instance}}"),)),
        Panel("Model", (("max by (version, type, simulated) (tradingsignals_model_info)", "{{type}} {{version}}"),)),
        Panel(
            "Versions, and inferences that failed",
            (
                ("count by (version) (tradingsignals_build_info)", "servers of {{version}}"),
                ("sum(increase(tradingsignals_inference_failures_total[1h]))", "failed inferences an hour"),
            ),
        ),
    ),
}
"""The panels by the title of their row."""


def queries() -> Iterator[str]:
    """Yield the expression of every query."""
    for panels in ROWS.values():
        for panel in panels:
            yield from (expression for expression, _ in panel.queries)


def dashboard() -> str:
    """Return the dashboard as JSON, to be imported into Grafana."""
    content = {
        "uid": "tradingsignals",
        "title": "Trading Signals Service",
        "description": "Written by `make generate` from docs/dashboard.py.",
        "tags": ["tradingsignals"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {"list": [_alerts()]},
        "panels": list(_placed()),
    }
    return json.dumps(content, indent=2) + "\n"


def _alerts() -> dict[str, Any]:
    """Mark where an alert fired."""
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing"}',
        "titleFormat": "{{alertname}}",
    }


def _placed() -> Iterator[dict[str, Any]]:
    """Yield rows and panels from left to right and from the top down."""
    ids, y = count(1), 0
    for title, panels in ROWS.items():
        yield {
            "id": next(ids),
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": _at(0, y, COLUMNS, 1),
        }
        x, y = 0, y + 1
        height = 4 if panels[0].kind == "stat" else HEIGHT
        for panel in panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + height
            yield _panel(panel, next(ids), _at(x, y, panel.width, height))
            x += panel.width
        y += height


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, id_: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + at), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
        for at, (expression, legend) in enumerate(panel.queries)
    ]
    return {
        "id": id_,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {},
        "targets": targets,
    }
