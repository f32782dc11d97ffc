"""Settings of where to listen, and of who may call."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from .application.access.limits import DEFAULT_RATES
from .setting_types import Days, Hosts, NotNegative, Port, Rates


class Auth(StrEnum):
    """Whether callers need credentials."""

    OFF = "off"
    ON = "on"


MIN_AUDIT_DAYS = 30
"""Younger entries cannot be deleted: the database refuses it."""


class AccessSettings(BaseSettings):
    """The part of the settings about listening and access."""

    # Where to listen
    signal_service_host: str = Field("127.0.0.1", description="Address of the public port.")
    signal_service_port: Port = Field(8003, description="The public port: REST, gRPC-Web and gRPC. 0 takes a free one.")
    allowed_hosts: Hosts = Field(
        (),
        description="Hosts that callers may name beside localhost and SIGNAL_SERVICE_HOST, separated by commas: "
        '"signals.example.com", "*.example.com", addresses; at any port. Other hosts are refused, and pages of other '
        "hosts change nothing.",
    )
    grpc_host: str = Field("127.0.0.1", description="Address of the gRPC server behind the edge.")
    grpc_port: Port = Field(50051, description="Port of the gRPC server behind the edge. 0 takes a free one.")

    fanout_port: Port = Field(
        50052,
        validation_alias=AliasChoices("fanout_port", "lean_port"),
        description="Port behind the edge of the HTTP/2 server with fan-out, which serves streams and unary calls at a "
        "fraction of the cost. 0: GRPC_PORT serves them, like all others. LEAN_PORT is accepted as its older name.",
    )

    # Who may call
    auth: Auth = Field(
        Auth.OFF,
        description="on: every call but health checks needs an API key, which `tradingsignals keys create` makes. off: "
        "everyone may do everything, so nothing may listen beyond this machine.",
    )
    allow_insecure: bool = Field(
        False,
        description="Listen beyond this machine although callers need no credentials, or what they send is not "
        "encrypted; /health warns of it.",
    )
    rate_limits: Rates = Field(
        DEFAULT_RATES,
        description="Calls a second of one caller with AUTH=on, by its role, such as publisher=1000,*=200; none is an "
        "address without credentials that are accepted. Two seconds of them may come at once. 0: no limit.",
    )
    max_streams_per_caller: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        200, description="Streams and uploads that one caller may have open with AUTH=on. 0: no limit."
    )
    max_stream_seconds: NotNegative = Field(
        0.0, description="A stream that has lasted for so long with AUTH=on is ended, to be followed again. 0: none is."
    )
    audit_retention_days: Days = Field(
        365, description="Entries of the audit log that are older are deleted: 30 days at least. 0: none is."
    )
    edge_secret: SecretStr | None = Field(
        None,
        description="Secret between the edge and its servers, which believe what the edge says of a caller's address "
        "only with it. `up` makes one at each start; `serve` and `edge` on their own need the same one.",
    )

    @model_validator(mode="after")
    def _audit_is_kept(self) -> Self:
        if 0 < self.audit_retention_days < MIN_AUDIT_DAYS:
            raise ValueError(f"AUDIT_RETENTION_DAYS must be 0, or at least {MIN_AUDIT_DAYS}")
        return self
