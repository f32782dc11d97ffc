"""Settings of where to listen, and of who may call."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from ..adapters.envoy.identity import EdgeTls, EdgeTokens
from ..application.access.limits import DEFAULT_RATES
from ..transport.certificates import TlsFiles
from .field_types import NO_ROLES, Days, Hosts, NamedRoles, Networks, NotNegative, Origins, Port, Rates


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
        '"signals.example.com", "*.example.com", addresses; at any port. Other hosts are refused.',
    )
    grpc_host: str = Field("127.0.0.1", description="Address of the gRPC server behind the edge.")
    grpc_port: Port = Field(50051, description="Port of the gRPC server behind the edge. 0 takes a free one.")

    fanout_port: Port = Field(
        50052,
        validation_alias=AliasChoices("fanout_port", "lean_port"),
        description="Port behind the edge of the HTTP/2 server with fan-out, which serves streams and unary calls at a "
        "fraction of the cost. 0: GRPC_PORT serves them, like all others. LEAN_PORT is accepted as its older name.",
    )

    grpc_tls_cert: Path | None = Field(
        None,
        description="Certificate chain (PEM) of GRPC_PORT and FANOUT_PORT, which then accept only callers with a "
        "certificate of GRPC_TLS_CA. Edge and servers show it to each other too. It is read again when it changes.",
    )
    grpc_tls_key: Path | None = Field(None, description="Private key (PEM) of GRPC_TLS_CERT.")
    grpc_tls_ca: Path | None = Field(
        None,
        description="Certificate authorities (PEM) of edge and servers, which should sign nothing else.",
    )
    grpc_tls_name: str = Field(
        "tradingsignals-server",
        description="DNS name that is in the certificate of every server, whatever its address is.",
    )

    cors_origins: Origins = Field(
        (),
        description="Origins, such as https://desk.example, whose pages may call from a browser, beside the service's "
        "own: scheme, host and port that a request is sent to. Behind a proxy that ends TLS or changes the host: the "
        "origin that browsers see.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Networks of proxies in front of the public port, such as 10.0.0.0/8, separated by commas: their "
        "x-forwarded-for names the address of a caller, for the networks of keys, limits and the audit log. Absent: "
        "the other end of the connection is the caller.",
    )
    tls_cert: Path | None = Field(
        None,
        description="Certificate chain (PEM) of the public port, which is encrypted then. It is read again when a file "
        "is moved into its folder.",
    )
    tls_key: Path | None = Field(None, description="Private key (PEM) of TLS_CERT.")
    tls_client_ca: Path | None = Field(
        None, description="Certificate authorities (PEM) of clients, which are then asked for a certificate."
    )
    tls_client_required: bool = Field(True, description="Refuse clients without a certificate, with TLS_CLIENT_CA.")
    tls_client_roles: NamedRoles = Field(
        NO_ROLES,
        description="Roles of clients by a DNS name or URI of their certificate, such as "
        "engine.desk.example=trader,*.desk.example=viewer: the first that matches counts, with AUTH=on.",
    )
    jwt_issuer: str | None = Field(
        None, description="Issuer of tokens (JWT) that the public port accepts with AUTH=on."
    )
    jwt_audience: str | None = Field(None, description="Audience that these tokens must name.")
    jwt_jwks: str | None = Field(
        None, description="Their public keys (JWKS): a file, or a URL, which is read again every five minutes."
    )
    jwt_role_claim: str = Field("role", description="Claim of a token that names its role.")
    jwt_max_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        3600, description="Longest lifetime of a token, from when it was issued; longer ones are refused."
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
    def _complete(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("TLS_CERT and TLS_KEY must be set together")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("TLS_CLIENT_CA needs TLS_CERT and TLS_KEY")
        if self.tls_client_roles and self.tls_client_ca is None:
            raise ValueError("TLS_CLIENT_ROLES needs TLS_CLIENT_CA")
        behind = (self.grpc_tls_cert, self.grpc_tls_key, self.grpc_tls_ca)
        if any(behind) and not all(behind):
            raise ValueError("GRPC_TLS_CERT, GRPC_TLS_KEY and GRPC_TLS_CA must be set together")
        tokens = (self.jwt_issuer, self.jwt_audience, self.jwt_jwks)
        if any(tokens) and not all(tokens):
            raise ValueError("JWT_ISSUER, JWT_AUDIENCE and JWT_JWKS must be set together")
        return self

    @property
    def tls(self) -> EdgeTls | None:
        """TLS of the public port, if it is set."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return EdgeTls(self.tls_cert, self.tls_key, self.tls_client_ca, self.tls_client_required)

    @property
    def grpc_tls(self) -> TlsFiles | None:
        """TLS of the ports behind the edge, if it is set."""
        if self.grpc_tls_cert is None or self.grpc_tls_key is None or self.grpc_tls_ca is None:
            return None
        return TlsFiles(self.grpc_tls_cert, self.grpc_tls_key, self.grpc_tls_ca, self.grpc_tls_name)

    @property
    def tokens(self) -> EdgeTokens | None:
        """The tokens that are accepted, if any are."""
        if self.auth is Auth.OFF or not (self.jwt_issuer and self.jwt_audience and self.jwt_jwks):
            return None
        return EdgeTokens(self.jwt_issuer, self.jwt_audience, self.jwt_jwks, self.jwt_max_seconds)

    @model_validator(mode="after")
    def _audit_is_kept(self) -> Self:
        if 0 < self.audit_retention_days < MIN_AUDIT_DAYS:
            raise ValueError(f"AUDIT_RETENTION_DAYS must be 0, or at least {MIN_AUDIT_DAYS}")
        return self
