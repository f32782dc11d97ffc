"""Settings: the only reader of the environment.

They are declared here, in `access`, `service` and `rules`. Each is an environment variable of
the same name in capitals; a `.env` file in the working folder is read first. `tradingsignals config` prints them all,
and `.env.example` is written from them. A name in `.env`, or one in the environment that begins like a setting, that is
not declared is refused: see `errors`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict

from ..domain.calendar import SessionCalendar, calendar_for
from .access import AccessSettings
from .errors import impossible_value, names_in, unknown_names
from .field_types import Collector, LogFormat, LogLevel, Port, Share
from .rules import RuleSettings
from .service import ServiceSettings

ENV_FILE = Path(".env")
"""Settings in the working folder, one NAME=value a line. The environment wins over it."""

RENAMED = {"lean_port": "fanout_port"}
"""Older names of settings, which are still accepted."""

PLACEHOLDER_PATH = Path("placeholder")
"""MODEL_PATH for predictions that are made up."""


class InvalidSettings(Exception):
    """A setting is unknown or impossible. The message is one line and names it."""


class Settings(RuleSettings, ServiceSettings, AccessSettings):
    """All settings: those of the service, of the rules, and of the log. Immutable; built by `from_env`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, validate_default=False)

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
    otel_traces_sampler_arg: Share = Field(0.1, description="Share of the calls, and batches of bars, that are traced.")
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

    def public_address(self, port: int | None = None) -> str:
        """Return where programs on this machine reach the public port, which is `port` if it was a free one."""
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked for, not listened on
        host = local.get(self.signal_service_host, self.signal_service_host)
        return f"{f'[{host}]' if ':' in host else host}:{port or self.signal_service_port}"

    @property
    def reachable_host(self) -> str:
        """Where other servers reach this one."""
        everywhere = self.grpc_host in {"0.0.0.0", "::"}  # noqa: S104 - looked for, not listened on
        return self.peer_host or (socket.gethostname() if everywhere else self.grpc_host)
