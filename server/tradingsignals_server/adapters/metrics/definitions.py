"""All metrics, each declared once: what counts them and `docs/metrics.md` derive from this table.

Names follow the conventions of Prometheus: base units, `_total` for what only grows, timestamps instead of ages, since
`time() - timestamp` grows even if the server no longer does anything. A label has few values: symbols are the 50 that
/health names, and methods, codes, reasons and features are those of the program.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PREFIX: Final = "tradingsignals_"


class MetricKind(StrEnum):
    """The types of Prometheus that are used."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class MetricGroup(StrEnum):
    """Headings of the document."""

    FLOW = "Bars and signals"
    STORAGE = "Commits and the database"
    STREAMS = "Streams"
    NOTIFICATIONS = "Notifications"
    CALLS = "Calls"
    SYMBOLS = "Symbols"
    ACCOUNT = "Account and outcomes"
    MODEL = "Model"
    PROCESS = "Process"


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """A metric. `buckets` are the upper bounds of a histogram, without infinity."""

    name: str
    kind: MetricKind
    group: MetricGroup
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: Final[dict[str, MetricDefinition]] = {}
"""All of them by name, in the order of the document."""


class _Declared:
    """Declares the metrics of one group."""

    def __init__(self, group: MetricGroup) -> None:
        self._group = group

    def counter(self, name: str, help_: str, *labels: str) -> MetricDefinition:
        return self._declare(f"{name}_total", MetricKind.COUNTER, help_, labels)

    def gauge(self, name: str, help_: str, *labels: str) -> MetricDefinition:
        return self._declare(name, MetricKind.GAUGE, help_, labels)

    def histogram(self, name: str, buckets: tuple[float, ...], help_: str, *labels: str) -> MetricDefinition:
        return self._declare(name, MetricKind.HISTOGRAM, help_, labels, buckets)

    def _declare(
        self, name: str, kind: MetricKind, help_: str, labels: tuple[str, ...], buckets: tuple[float, ...] = ()
    ) -> MetricDefinition:
        found = MetricDefinition(PREFIX + name, kind, self._group, help_, labels, buckets)
        if METRICS.setdefault(found.name, found) is not found:
            raise ValueError(f"{found.name} is declared twice")
        return found


_MICROSECONDS = (10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3)
_LATENCIES = (1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

_flow = _Declared(MetricGroup.FLOW)
BARS = _flow.counter(
    "bars",
    "Bars that the engine has handled, by their disposition (BarReceipt.Disposition), or REFUSED.",
    "disposition",
)
BAR_REFUSALS = _flow.counter("bar_refusals", "Bars that the engine has refused, by the reason (ErrorReason).", "reason")
SIGNALS = _flow.counter(
    "signals",
    "Signals of the live policy that are durable, by their action, origin (BAR, REQUEST or DATABASE), and whether they "
    "are simulated (true or false).",
    *("action", "origin", "simulated"),
)
INFERENCE_SECONDS = _flow.histogram(
    "inference_seconds",
    _MICROSECONDS,
    "Time of the inference of a decision; its share, if several were made in one micro-batch.",
)
BAR_TO_COMMIT_SECONDS = _flow.histogram(
    "bar_to_commit_seconds",
    _LATENCIES,
    "Time from when a publication, of up to 64 bars, came to the engine until it is durable.",
)
QUEUED_COMMANDS = _flow.gauge(
    "queued_commands", "Publications and calls that wait for the engine; at most 4096, then calls are refused."
)
PENDING_COMMANDS = _flow.gauge(
    "pending_commands",
    "Publications and calls that have come to the engine and have no result yet.",
)
HANDLED_COMMANDS = _flow.counter(
    "handled_commands", "Publications and calls whose result is durable, refusals of what they ask for included."
)
LAST_BAR = _flow.gauge(
    "last_bar_timestamp_seconds", "When this server last made a bar durable, by its clock. Absent before the first."
)

_storage = _Declared(MetricGroup.STORAGE)
COMMIT_SECONDS = _storage.histogram("commit_seconds", _LATENCIES, "Time of a commit of bars, signals and positions.")
COMMIT_ENTRIES = _storage.counter("commit_entries", "Entries of the log that these commits appended.")
COMMIT_FAILURES = _storage.counter("commit_failures", "Commits that have failed; what they held is refused or retried.")
LAST_COMMIT = _storage.gauge(
    "last_commit_timestamp_seconds", "When a commit of this server last succeeded. Absent before the first."
)
DATABASE_UP = _storage.gauge("database_up", "1 if the database responds, else 0, as in /health.")
DATABASE_CONNECTIONS = _storage.gauge(
    "database_connections",
    "Connections by pool (engine; readers, for reads of callers) and state (in_use, idle; closed: may be opened).",
    *("pool", "state"),
)
WAITING_READS = _storage.gauge("waiting_reads", "Reads of callers that wait for a connection; at most 500.")
LOG_SEQUENCE = _storage.gauge("log_newest_sequence", "Sequence of the newest entry of the log that this server knows.")
LEDGER_LAG = _storage.gauge(
    "ledger_lag_entries",
    "Entries of the log that ledger and account have not followed yet. Only the server that keeps them has it.",
)

_streams = _Declared(MetricGroup.STREAMS)
FOLLOWERS = _streams.gauge(
    "followers",
    "Open streams by method and transport (grpc, which includes gRPC-Web; sse; ndjson).",
    *("stream", "transport"),
)
FOLLOWER_LAG = _streams.gauge(
    "follower_lag_entries",
    "Entries of the log that the furthest behind of the open streams was not sent yet, replays left out.",
    *("stream", "transport"),
)

_notifications = _Declared(MetricGroup.NOTIFICATIONS)
_DELIVERER = "Only the server that delivers has it."
_AGES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 3600.0, 86400.0)
NOTIFICATION_ATTEMPTS = _notifications.counter(
    "notification_attempts",
    "Attempts of this server to deliver an entry of the log, by kind of endpoint and result (delivered, failed).",
    *("kind", "result"),
)
NOTIFICATION_AGE = _notifications.histogram(
    "notification_age_seconds", _AGES, "Age of an entry when it was delivered: since its commit.", "kind"
)
NOTIFICATION_PENDING = _notifications.gauge(
    "notification_pending_entries",
    "Entries of the log that an endpoint, by its name, has not passed, as of the last ten seconds; most may not pass "
    f"its filter. Paused ones are left out. {_DELIVERER}",
    "endpoint",
)
NOTIFICATION_FAILING = _notifications.gauge(
    "notification_failing",
    "1 if the last attempt at an endpoint has failed, or it is disabled, else 0. Paused ones are left out. "
    f"{_DELIVERER}",
    "endpoint",
)

_calls = _Declared(MetricGroup.CALLS)
CALLS = _calls.counter(
    "calls",
    "Calls that have ended, by service, method and gRPC code. REST calls are those of the services of the edge.",
    *("service", "method", "code"),
)
CALL_SECONDS = _calls.histogram(
    "call_seconds", _LATENCIES, "Duration of a call with one request and one response.", *("service", "method")
)
CALL_ERRORS = _calls.counter(
    "call_errors", "Calls that have ended with an error, by its reason (ErrorReason), else by its code.", "reason"
)

_symbols = _Declared(MetricGroup.SYMBOLS)
SYMBOLS = _symbols.gauge("symbols", "Symbols that this server works on.")
STALE_SYMBOLS = _symbols.gauge(
    "stale_symbols",
    "Symbols whose session is open and of which no bar has closed in two intervals. 0 for a feed that is not live.",
)
SYMBOL_STALE = _symbols.gauge(
    "symbol_stale", "1 if the symbol is stale, else 0. All that are, and 50 at least.", "symbol"
)
SYMBOL_BAR_CLOSE = _symbols.gauge(
    "symbol_bar_close_timestamp_seconds",
    "Close of the newest bar, by the market's clock: in the past for a market that is replayed. At most 50 symbols.",
    "symbol",
)
SYMBOL_MISSING_BARS = _symbols.gauge(
    "symbol_missing_bars",
    "Bars that the newest session lacks before its newest bar. All that lack some, and 50 at least.",
    "symbol",
)

_account = _Declared(MetricGroup.ACCOUNT)
_KEEPER = "Only the server that keeps the ledger has it."
POSITIONS = _account.gauge("open_positions", f"Open positions of all symbols. {_KEEPER}")
EQUITY = _account.gauge("equity", f"Equity in account currency, open positions marked to the newest bars. {_KEEPER}")
DRAWDOWN = _account.gauge("drawdown_ratio", f"How far equity is below its peak, as a fraction of it. {_KEEPER}")
HALTED = _account.gauge("trading_halted", f"1 if trading is halted, by a call or by TRADING_HALTED, else 0. {_KEEPER}")
PROTECTION_LIMIT = _account.gauge(
    "protection_limit",
    f"Limit of a protection as it is set, 0 for off: a fraction, or a number for stops and positions. {_KEEPER}",
    "protection",
)
PROTECTION_VALUE = _account.gauge(
    "protection_value",
    f"What is compared with the limit of a protection that is on; for a halt 1 while it is in force, else 0. {_KEEPER}",
    "protection",
)
PROTECTION_REACHED = _account.gauge(
    "protection_reached",
    f"1 while a protection keeps positions from being opened, else 0, as of the newest bar. {_KEEPER}",
    "protection",
)
OUTCOMES = _account.counter(
    "outcomes",
    "Outcomes of live signals that this server has resolved, by resolution, fill, and whether they won (true, false).",
    *("resolution", "fill", "won"),
)
BRIER_SUM = _account.counter(
    "win_probability_squared_error",
    "Sum of (win_probability - won)^2 over the outcomes of acted signals that have one; divided by the number below it "
    "is the Brier score, over any time.",
)
BRIER_COUNT = _account.counter("win_probability_outcomes", "Outcomes in that sum.")

_model = _Declared(MetricGroup.MODEL)
MODEL_INFO = _model.gauge(
    "model_info",
    "Always 1; the labels name the live policy. simulated: true for placeholder predictions.",
    *("version", "type", "simulated"),
)
INFERENCE_FAILURES = _model.counter("inference_failures", "Inferences of the live policy that were not finite.")
FEATURE_DRIFT = _model.gauge(
    "feature_drift_psi",
    "Population stability index of a feature: the newest 500 decisions on bars against the training of the model, or, "
    "if its file does not state it, against the first 500 since the start of the server or the swap of the model. "
    "Absent until there are 500, or 1,000.",
    "feature",
)
FEATURE_DRIFT_LIMIT = _model.gauge(
    "feature_drift_limit",
    "The index above which the feature has drifted: the highest of any 500 successive bars of the training, and at "
    "least 0.25.",
    "feature",
)

_process = _Declared(MetricGroup.PROCESS)
CERTIFICATE_EXPIRY = _process.gauge(
    "certificate_expiry_timestamp_seconds",
    "When the certificate of the ports behind the edge expires (GRPC_TLS_CERT), or the last of its authorities. Absent "
    "without TLS there.",
)
BUILD_INFO = _process.gauge("build_info", "Always 1; the label is the version of the service.", "version")
EVENT_LOOP_DELAY = _process.histogram(
    "event_loop_delay_seconds",
    _LATENCIES,
    "How much later than asked the event loop woke a task, which asks twice a second: what every call waits besides.",
)
