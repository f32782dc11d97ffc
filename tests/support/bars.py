"""Bars as callers send them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from tradingsignals.v1 import bar_pb2
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.intervals import interval_name

from .builders import feed_bars


def a_month() -> list[Bar]:
    """Return the bars of June 2024, with two holidays, and of the days before it, to warm up."""
    return feed_bars(date(2024, 5, 28), date(2024, 6, 30))


def timestamp(time: datetime) -> Timestamp:
    """Return a time as a Timestamp, to the microsecond."""
    found = Timestamp()
    found.FromDatetime(time)
    return found


def message(bar: Bar) -> bar_pb2.Bar:
    """Return a bar as a message."""
    return bar_pb2.Bar(
        time=timestamp(bar.time),
        symbol=bar.symbol,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        interval=interval_name(bar.interval),
    )


def messages(bars: Iterable[Bar]) -> list[bar_pb2.Bar]:
    """Return bars as messages."""
    return [message(bar) for bar in bars]


def as_json(bar: Bar) -> dict[str, object]:
    """Return a bar as the JSON of REST."""
    return {
        "time": rfc3339(bar.time),
        "symbol": bar.symbol,
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "volume": bar.volume,
        "interval": interval_name(bar.interval),
    }


def rfc3339(time: datetime) -> str:
    """Format a time as REST callers get it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def write_csv(path: Path, bars: Sequence[Bar]) -> Path:
    """Write a file of bars and return its path."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time", "symbol", "open", "high", "low", "close", "volume"])
        rows.writerows([rfc3339(b.time), b.symbol, b.open, b.high, b.low, b.close, b.volume] for b in bars)
    return path
