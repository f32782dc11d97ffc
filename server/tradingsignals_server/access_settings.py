"""Settings of where to listen, and of who may call."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings

from .setting_types import Hosts, Port


class Auth(StrEnum):
    """Whether callers need credentials."""

    OFF = "off"
    ON = "on"


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
    edge_secret: SecretStr | None = Field(
        None,
        description="Secret between the edge and its servers, which believe what the edge says of a caller's address "
        "only with it. `up` makes one at each start; `serve` and `edge` on their own need the same one.",
    )
