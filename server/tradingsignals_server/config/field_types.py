"""Types of settings: bounds of numbers, and values that are written as text, each with the parser of that text.

A parser raises ValueError with a message of one line that says what the value must be.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr
from pydantic_settings import NoDecode

from ..adapters.envoy.hosts import is_loopback, parse_hosts
from ..adapters.envoy.identity import parse_origins
from ..adapters.feeds.kind import FeedKind
from ..adapters.feeds.registry import FEEDS, AnyFeed
from ..application.access.limits import CallRates
from ..domain.access import Network, RolesByName, parse_networks
from ..domain.costs import Charge, Charges
from ..domain.errors import InvalidRequest
from ..domain.intervals import Intervals
from ..domain.symbols import parse_symbol

DEFAULT_SPREAD = Charge(2.0, in_bp=True)
"""Of a symbol that SPREAD does not name: about that of a liquid pair. What trades for nothing flatters every figure."""

COLLECTOR_PORT = 4317
"""Of OTLP over gRPC, unless it is named."""

DEFAULT_SLIPPAGE = Charge(0.5, in_bp=True)
"""Of a symbol that SLIPPAGE does not name: a quarter of the default spread, for orders small beside the book."""

_CURRENCY = re.compile("[A-Z]{3}")
_HEADER_TEXT = re.compile(r"[!-~]+")

NO_ROLES = RolesByName(())
"""No name of a certificate has a role."""

Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Multiple = Annotated[float, Field(gt=0, le=1000)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class LogFormat(StrEnum):
    """How log lines are written: `auto` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


def _collector(value: object) -> object:
    address = urlsplit(str(value).rstrip("/"))
    try:
        port = address.port or COLLECTOR_PORT
    except ValueError:
        port = 0
    known = address.scheme == "http" and address.hostname and not (address.path or address.query or address.username)
    if not known or not port:
        raise ValueError("must be http://host:port, the OTLP port for gRPC of a collector without TLS")
    host = f"[{address.hostname}]" if ":" in str(address.hostname) else address.hostname
    return f"http://{host}:{port}"


Collector = Annotated[str, BeforeValidator(_collector)]
"""Address of a collector of OpenTelemetry, with its port."""


def _https(value: object) -> object:
    text = str(value).rstrip("/")
    address = urlsplit(text)
    try:
        known = address.port != 0 and not (address.query or address.fragment or address.username)
    except ValueError:
        known = False
    host = address.hostname or ""
    is_safe = address.scheme == "https" or (address.scheme == "http" and is_loopback(host))
    if not (known and host and is_safe):
        raise ValueError("must be https://host, with a port and a path if need be; http:// on this machine only")
    return text


HttpsAddress = Annotated[str, BeforeValidator(_https)]
"""Address of a server that gets a secret: without encryption only on this machine."""


def _header_text(value: SecretStr) -> SecretStr:
    if not _HEADER_TEXT.fullmatch(value.get_secret_value()):
        raise ValueError("must be letters, digits and other visible characters of ASCII, without spaces")
    return value


def _currency(value: str) -> str:
    if not _CURRENCY.fullmatch(value):
        raise ValueError("must be three capital letters, such as USD")
    return value


CurrencyCode = Annotated[str, AfterValidator(_currency)]
"""Code of a currency by ISO 4217."""

HeaderSecret = Annotated[SecretStr, AfterValidator(_header_text)]
"""A secret that is sent in a header, where other characters would end it or be refused."""

Days = Annotated[int, Field(ge=0, le=36_500)]


def _rates(value: object) -> CallRates:
    return value if isinstance(value, CallRates) else CallRates.parse(str(value))


def _symbols(value: object) -> object:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise ValueError("must name at least one symbol")
    try:
        return tuple(dict.fromkeys(parse_symbol(str(name).strip()) for name in names))
    except InvalidRequest as error:
        raise ValueError(error.violations[0].description) from error


def _hosts(value: object) -> object:
    return parse_hosts(value) if isinstance(value, str) else value


def _origins(value: object) -> object:
    return parse_origins(value) if isinstance(value, str) else value


def _networks(value: object) -> object:
    return parse_networks([each for each in value.split(",") if each.strip()]) if isinstance(value, str) else value


def _named_roles(value: object) -> RolesByName:
    return value if isinstance(value, RolesByName) else RolesByName.parse(str(value))


def _charges(value: object, every_other: Charge) -> Charges:
    return value if isinstance(value, Charges) else Charges.parse(str(value), every_other)


def _intervals(value: object) -> Intervals:
    return value if isinstance(value, Intervals) else Intervals.parse(str(value))


def _feed(value: object) -> AnyFeed:
    if isinstance(value, FeedKind):
        return value
    if (kind := FEEDS.get(str(value))) is None:
        *first, last = FEEDS
        raise ValueError(f"must be {', '.join(first)} or {last}")
    return kind


def _level(value: object) -> str:
    level = str(value).upper()
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
    return level


Symbols = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_symbols)]
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)]
SpreadCharges = Annotated[Charges, NoDecode, PlainValidator(partial(_charges, every_other=DEFAULT_SPREAD))]
CommissionCharges = Annotated[Charges, NoDecode, PlainValidator(partial(_charges, every_other=Charge()))]
SlippageCharges = Annotated[Charges, NoDecode, PlainValidator(partial(_charges, every_other=DEFAULT_SLIPPAGE))]
BarIntervals = Annotated[Intervals, NoDecode, PlainValidator(_intervals)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]
Networks = Annotated[tuple[Network, ...], NoDecode, PlainValidator(_networks)]
NamedRoles = Annotated[RolesByName, NoDecode, PlainValidator(_named_roles)]
Rates = Annotated[CallRates, NoDecode, PlainValidator(_rates)]
Feed = Annotated[AnyFeed, NoDecode, PlainValidator(_feed)]
LogLevel = Annotated[str, PlainValidator(_level)]
