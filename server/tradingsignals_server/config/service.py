"""The settings of the service itself: its servers, what it keeps, and where its bars come from."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field, PostgresDsn, SecretStr
from pydantic_settings import BaseSettings

from ..adapters.feeds.simulate import SIMULATE
from ..domain.calendar import CalendarChoice
from ..domain.intervals import Intervals, allowed_intervals
from .field_types import BarIntervals, Feed, HeaderSecret, HttpsAddress, Networks, NotNegative, Port, Positive, Symbols


class ServiceSettings(BaseSettings):
    """The settings of the service. They are set as those of config.Settings, of which this is a base."""

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
        description="Events are kept for at least this many days in the log that streams resume from and replay; so "
        "are the inputs by which signals are explained and replayed. Signals, positions and bars stay. 0: all is kept.",
    )
    idempotency_seconds: Annotated[int, Field(ge=1, le=31_536_000)] = Field(
        86_400,
        description="How long an idempotency key is kept at least, with the response of its call. Pruned hourly.",
    )
    stream_stall_seconds: Positive = Field(
        300.0, description="A follower that takes nothing for so long is ended with RESOURCE_EXHAUSTED."
    )

    # Where notifications go
    webhook_networks: Networks = Field(
        (),
        description="Networks that notifications may be sent to besides public addresses, such as 10.1.0.0/16, "
        "separated by commas; to these also without encryption (http://). 127.0.0.0/8 for a receiver on this machine.",
    )

    # Where bars come from
    feed: Feed = Field(
        SIMULATE,
        description="simulate, replay (REPLAY_FILE), push (PublishBars only) or twelvedata (TWELVEDATA_API_KEY).",
    )
    replay_file: Path | None = Field(None, description="CSV, CSV.gz or Parquet file of bars, for FEED=replay.")
    replay_speed: NotNegative = Field(0.0, description="Replay this many times faster than the market; 0: no waiting.")
    symbols: Symbols = Field(
        ("USDCOP",),
        description="Symbols that FEED=simulate makes bars of, and FEED=twelvedata requests, separated by commas.",
    )
    simulate_seed: int = Field(85, description="Seed of the simulated market.")
    simulate_speed: NotNegative = Field(
        300.0, description="Simulate this many times faster than the market; 0: no waiting."
    )
    simulate_start: date = Field(date(2020, 1, 2), description="First day of the simulated market.")
    twelvedata_api_key: HeaderSecret | None = Field(
        None, description="Key of the account at Twelve Data, for FEED=twelvedata."
    )
    twelvedata_url: HttpsAddress = Field(
        "https://api.twelvedata.com", description="Address of its API, for a proxy that stands before it."
    )
    bar_interval: BarIntervals = Field(
        Intervals(),
        description=f"Interval of the bars by symbol, such as BTCUSDT=1h,*=5m, or one for all: {allowed_intervals()}. "
        "A model decides on symbols of its own interval only.",
    )
    session_calendar: CalendarChoice = Field(
        CalendarChoice.AUTO, description="auto (bogota for COP pairs, always for the rest), bogota or always."
    )
