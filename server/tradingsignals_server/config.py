"""Settings: the only reader of the environment.

Each setting is an environment variable of the same name in capitals; a `.env` file in the working folder is read first.
`tradingsignals config` prints them all, and `.env.example` is written from here. A name in `.env`, or one in the
environment that begins like a setting, that is not declared here is refused: see `setting_errors`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import quote

from pydantic import Field, PostgresDsn, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict

from .access_settings import AccessSettings
from .adapters.feeds.simulate import SIMULATE
from .domain.calendar import CalendarChoice, SessionCalendar, calendar_for
from .domain.costs import NO_CHARGES, Charge, Charges
from .domain.intervals import Intervals, allowed_intervals
from .domain.risk import RiskRules, Sizing
from .setting_errors import impossible_value, names_in, unknown_names
from .setting_types import (
    DEFAULT_SPREAD,
    BarIntervals,
    Collector,
    CommissionCharges,
    Feed,
    Fraction,
    LogFormat,
    LogLevel,
    Multiple,
    NotNegative,
    Port,
    Positive,
    Share,
    SpreadCharges,
    Symbols,
)

ENV_FILE = Path(".env")
"""Settings in the working folder, one NAME=value a line. The environment wins over it."""

RENAMED = {"lean_port": "fanout_port"}
"""Older names of settings, which are still accepted."""

PLACEHOLDER_PATH = Path("placeholder")
"""MODEL_PATH for predictions that are made up."""


RULE_SETTINGS = (
    "bar_interval",
    "session_calendar",
    "confidence_threshold",
    "min_win_probability",
    "min_risk_reward",
    "atr_multiplier_sl",
    "atr_multiplier_tp",
    "position_sizing",
    "position_size_pct",
    "max_position_size_pct",
    "risk_per_trade_pct",
    "kelly_fraction",
    "trailing_stop_atr",
    "max_holding_bars",
    "close_at_session_end",
    "spread",
    "commission",
    "commission_pct",
    "initial_equity",
    "max_price_jump",
    "outcome_expiry_bars",
)
"""The settings that a decision on a bar, a position or an amount depends on, besides the model."""


class InvalidSettings(Exception):
    """A setting is unknown or impossible. The message is one line and names it."""


class Settings(AccessSettings):
    """All settings. Immutable; built by `from_env`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, validate_default=False)

    # Several servers on one database
    servers: Annotated[int, Field(ge=1, le=64)] = Field(
        1,
        description="Servers that `up` starts, for a machine with more cores: at GRPC_PORT and the ports after it, and "
        "their HTTP/2 servers with fan-out at the ports after those, unless FANOUT_PORT is 0.",
    )
    peer_host: str | None = Field(
        None,
        description="Address at which the other servers of the same database reach this one. Absent: GRPC_HOST, or "
        "this machine's name if that is every interface.",
    )
    drain_seconds: NotNegative = Field(
        0.0, description="Seconds that a stopping server reports NOT_SERVING and goes on, until balancers know."
    )

    # Where to keep things
    data_dir: Path = Field(Path("data"), description="Folder of the embedded database and of what runs beside it.")
    database_url: PostgresDsn | None = Field(
        None, description="A PostgreSQL server to use instead of the embedded one, as one URL. Wins over POSTGRES_HOST."
    )
    postgres_host: str | None = Field(None, description="A PostgreSQL server to use instead of the embedded one.")
    postgres_port: Port = Field(5432, description="Its port.")
    postgres_db: str = Field("tradingsignals", description="Its database.")
    postgres_user: str = Field("postgres", description="Its user.")
    postgres_password: SecretStr = Field(SecretStr(""), description="The user's password.")
    bars_table: str | None = Field(
        None,
        description="A table of your own with bars (time, symbol, open, high, low, close, volume) in the same "
        "database; stored bars are read from it too.",
    )

    max_symbols: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10_000,
        description="Symbols that may be in use: a bar or a signal of a further one is refused with TOO_MANY_SYMBOLS. "
        "Each keeps some 15 KB of memory at the server that works on it.",
    )

    # Retention, and followers that do not read
    signal_retention_days: Annotated[int, Field(ge=0, le=36500)] = Field(
        90,
        description="Events older than this many days are pruned from the log that streams resume from and replay; "
        "so are the inputs by which signals are explained and replayed; signals, positions and bars stay. 0: none is.",
    )
    stream_stall_seconds: Positive = Field(
        300.0, description="A follower that takes nothing for so long is ended with RESOURCE_EXHAUSTED."
    )

    # Where bars come from
    feed: Feed = Field(SIMULATE, description="simulate, replay (REPLAY_FILE) or push (PublishBars only).")
    replay_file: Path | None = Field(None, description="CSV, CSV.gz or Parquet file of bars, for FEED=replay.")
    replay_speed: NotNegative = Field(0.0, description="Replay this many times faster than the market; 0: no waiting.")
    symbols: Symbols = Field(("USDCOP",), description="Symbols that FEED=simulate makes bars of, separated by commas.")
    simulate_seed: int = Field(85, description="Seed of the simulated market.")
    simulate_speed: NotNegative = Field(
        300.0, description="Simulate this many times faster than the market; 0: no waiting."
    )
    simulate_start: date = Field(date(2020, 1, 2), description="First day of the simulated market.")
    bar_interval: BarIntervals = Field(
        Intervals(),
        description=f"Interval of the bars by symbol, such as BTCUSDT=1h,*=5m, or one for all: {allowed_intervals()}. "
        "A model decides on symbols of its own interval only.",
    )
    session_calendar: CalendarChoice = Field(
        CalendarChoice.AUTO, description="auto (bogota for COP pairs, always for the rest), bogota or always."
    )

    # How to decide
    model_path: Path | None = Field(
        None,
        description="The policy: an ONNX file, or a folder of versions (<version>/model.onnx), of which the newest is "
        "taken, also when it comes later. Absent: the policy that is shipped. placeholder: made-up predictions.",
    )
    shadow_model_path: Path | None = Field(
        None, description="A second policy on the same bars, in the same forms: scored, never traded."
    )
    features: str | None = Field(
        None,
        description="Features of your own, as module:attribute such as myfeatures:features, for models that were "
        "trained on them. The module is imported from the working folder or from what is installed, and runs in the "
        "service. Absent: none.",
    )
    max_bar_age: Annotated[float, Field(ge=0, le=31_536_000)] | None = Field(
        None,
        description="Seconds of trading time, nights and weekends left out: a signal that is asked for on older bars "
        "trades nothing. 0: no limit. Absent: three bars of the symbol's interval.",
    )
    confidence_threshold: Annotated[float, Field(ge=0, le=1)] = Field(
        0.65, description="A choice below this probability becomes HOLD."
    )
    min_win_probability: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="A choice whose calibrated chance to win is below this, or not known because the model is not "
        "calibrated, becomes HOLD. 0: none does.",
    )
    min_risk_reward: NotNegative = Field(1.5, description="A choice below this ratio of target to stop becomes HOLD.")
    atr_multiplier_sl: Multiple = Field(2.0, description="Distance of the stop, in ATR.")
    atr_multiplier_tp: Multiple = Field(3.0, description="Distance of the target, in ATR.")

    # How much to take, and when to leave
    position_sizing: Sizing = Field(
        Sizing.FIXED,
        description="fixed (POSITION_SIZE_PCT), confidence (POSITION_SIZE_PCT times confidence), risk "
        "(RISK_PER_TRADE_PCT lost at the stop) or kelly (KELLY_FRACTION of Kelly, from the win probability; without "
        "one from the closed positions of the last 30 days, at most 100).",
    )
    position_size_pct: Fraction = Field(0.02, description="Base size, as a fraction of equity.")
    max_position_size_pct: Fraction = Field(0.05, description="Largest size, as a fraction of equity.")
    risk_per_trade_pct: Fraction = Field(0.001, description="Fraction of equity lost at the stop, for sizing by risk.")
    kelly_fraction: Fraction = Field(0.25, description="Part of the Kelly fraction taken, for sizing by Kelly.")
    trailing_stop_atr: Annotated[float, Field(ge=0, le=1000)] = Field(
        0.0, description="Trail the stop by this many ATR; 0: a fixed stop."
    )
    max_holding_bars: Annotated[int, Field(ge=0)] = Field(0, description="Close after this many bars; 0: no limit.")
    close_at_session_end: bool = Field(True, description="Close at the last bar of the session.")
    spread: SpreadCharges = Field(
        Charges(DEFAULT_SPREAD),
        description="Bid-ask spread by symbol, half of it paid on each side, such as USDCOP=1.0,EURUSD=0.9pip,*=2bp: "
        "in price, pips or basis points of the price; * is every other symbol, 2bp if it is not named.",
    )
    commission: CommissionCharges = Field(
        NO_CHARGES, description="Commission by symbol, paid on each side, in the form of SPREAD."
    )
    commission_pct: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] | None = Field(
        None, description="Commission in percent of the price for the symbols that COMMISSION does not name."
    )
    initial_equity: Annotated[float, Field(gt=0, le=1e15)] = Field(
        100_000.0, description="Account size that profit and loss is counted on."
    )
    outcome_expiry_bars: Annotated[int, Field(ge=1, le=100_000)] = Field(
        288, description="Bars after which a signal that is still open is resolved as EXPIRED; a position never is."
    )
    account_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = Field(
        "USD",
        description="Currency of the account, such as USD: see docs/outcomes.md for what a pair's profit is in it.",
    )
    max_price_jump: Annotated[float, Field(ge=0, le=1000)] = Field(
        0.5,
        description="A price further from the last one known of its symbol than this fraction of it is refused: of a "
        "bar within an hour of the one before, of a quote or a closing price always. A later bar is refused beyond a "
        "factor of 20, if a position is held. 0: none is.",
    )

    # What to report
    metrics_host: str = Field("127.0.0.1", description="Address of the metrics.")
    metrics_port: Port = Field(
        9464,
        description="Port of the metrics of the server, GET /metrics for Prometheus. Further servers have the ports "
        "after it. 0: there are none.",
    )
    edge_metrics_port: Port = Field(
        9463, description="Port of the metrics of the edge, GET /stats/prometheus, at METRICS_HOST. 0: there are none."
    )
    otel_exporter_otlp_endpoint: Collector | None = Field(
        None, description="Collector that gets traces by OTLP over gRPC: http://host:4317. Absent: there are no traces."
    )
    otel_traces_sampler_arg: Share = Field(1.0, description="Share of the calls, and batches of bars, that are traced.")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_format: LogFormat = Field(
        LogFormat.AUTO, description="text, json, or auto: text on a terminal, JSON elsewhere."
    )

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """Read the environment over `.env`; `overrides` (from the command line) win over both.

        Raises:
            InvalidSettings: a name is no setting, or a value is impossible. The message is one line that names every
                such setting, and what it should be.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        set_names = [name for name, value in os.environ.items() if value]
        try:
            wrong = unknown_names(cls.model_fields, RENAMED, set_names, ENV_FILE)
        except ValueError as error:
            raise InvalidSettings(str(error)) from error
        if wrong:
            raise InvalidSettings("; ".join(wrong))
        try:
            return cls(_env_file=ENV_FILE, **given)
        except ValidationError as error:
            names = {name.lower() for name in (*set_names, *names_in(ENV_FILE))}
            phrases = (cls._phrase_of(each, names) for each in error.errors(include_url=False))
            raise InvalidSettings("; ".join(phrases)) from error

    @staticmethod
    def ignored() -> list[str]:
        """Return a message for each older name of a setting whose newer name is set too, which wins."""
        names = {name.lower() for name in (*(name for name, value in os.environ.items() if value), *names_in(ENV_FILE))}
        both = [(old, new) for old, new in RENAMED.items() if {old, new} <= names]
        return [f"{old.upper()} is the older name of {new.upper()}; both are set: remove it" for old, new in both]

    @classmethod
    def _phrase_of(cls, error: ErrorDetails, set_names: Collection[str]) -> str:
        """One error of the validation in a phrase that names the setting, as it is among `set_names`."""
        name = str(error["loc"][0]).lower() if error["loc"] else ""
        name = RENAMED.get(name, name)
        field = cls.model_fields.get(name)
        if field is None:  # settings that do not go together; the message names them
            return error["msg"].removeprefix("Value error, ")
        older = next((old for old, new in RENAMED.items() if new == name), name)
        name = older if older in set_names and name not in set_names else name
        return impossible_value(name, field, error["input"], error["msg"])

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (problem := self.feed.problem(self)) is not None:
            raise ValueError(problem)
        last_port = self.grpc_port + self.servers * (2 if self.fanout_port else 1) - 1
        if self.servers > 1 and self.grpc_port and last_port > 65535:
            raise ValueError(
                f"GRPC_PORT={self.grpc_port}: SERVERS={self.servers} would use the ports up to {last_port}; "
                "the highest is 65535"
            )
        if self.position_size_pct > self.max_position_size_pct:
            raise ValueError("POSITION_SIZE_PCT must not be above MAX_POSITION_SIZE_PCT")
        if self.commission_pct is not None and self.commission != NO_CHARGES:
            raise ValueError(
                "COMMISSION and COMMISSION_PCT must not both be set; COMMISSION=*=1bp is COMMISSION_PCT=0.01"
            )
        return self

    @property
    def embedded_database(self) -> bool:
        """True if no PostgreSQL server is named, so that one is started under `data_dir`."""
        return self.database_url is None and self.postgres_host is None

    @property
    def dsn(self) -> str:
        """Address of the PostgreSQL server that is named, for asyncpg."""
        if self.database_url is not None:
            return str(self.database_url)
        user, password = quote(self.postgres_user, safe=""), quote(self.postgres_password.get_secret_value(), safe="")
        # The host may be the folder of a Unix socket, which only fits into the query.
        host = quote(self.postgres_host or "", safe="")
        name = quote(self.postgres_db, safe="")
        return f"postgresql://{user}:{password}@/{name}?host={host}&port={self.postgres_port}"

    def is_replayed(self, symbol: str) -> bool:
        """True if the feed brings the market of `symbol`, which then has the time of its bars and not the clock's."""
        return self.feed.sets_market_time(self, symbol)

    def calendar_of(self, symbol: str) -> SessionCalendar:
        """Return the sessions of `symbol`, of bars of its interval."""
        return calendar_for(symbol, self.session_calendar, self.bar_interval.of(symbol))

    @property
    def charged_commission(self) -> Charges:
        """The commission by symbol, in whichever of the two forms it was set."""
        if self.commission_pct is None:
            return self.commission
        return Charges(Charge(100.0 * self.commission_pct, in_bp=True))

    @property
    def reachable_host(self) -> str:
        """Where other servers reach this one."""
        everywhere = self.grpc_host in {"0.0.0.0", "::"}  # noqa: S104 - looked for, not listened on
        return self.peer_host or (socket.gethostname() if everywhere else self.grpc_host)

    @property
    def risk_rules(self) -> RiskRules:
        """The part of the settings that the domain works by."""
        return RiskRules(
            confidence_threshold=self.confidence_threshold,
            min_win_probability=self.min_win_probability,
            min_risk_reward=self.min_risk_reward,
            atr_multiplier_sl=self.atr_multiplier_sl,
            atr_multiplier_tp=self.atr_multiplier_tp,
            sizing=self.position_sizing,
            position_size_pct=self.position_size_pct,
            max_position_size_pct=self.max_position_size_pct,
            risk_per_trade_pct=self.risk_per_trade_pct,
            kelly_fraction=self.kelly_fraction,
            trailing_stop_atr=self.trailing_stop_atr,
            max_holding_bars=self.max_holding_bars,
            close_at_session_end=self.close_at_session_end,
            spread=self.spread,
            commission=self.charged_commission,
            initial_equity=self.initial_equity,
            account_currency=self.account_currency,
            max_bar_age=None if self.max_bar_age is None else timedelta(seconds=self.max_bar_age),
            max_price_jump=self.max_price_jump,
        )
