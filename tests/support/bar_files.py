"""Bar files for tests, and helpers that read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tradingsignals_server.adapters.feeds.files import load_bars
from tradingsignals_server.adapters.feeds.rows import UnreadableFile
from tradingsignals_server.domain.bars import Bar

HEADER = "time,symbol,open,high,low,close,volume\n"
FIRST = "2024-01-02T13:00:00Z,USDCOP,3870,3871.5,3869,3870.25,0\n"
SECOND = "2024-01-02T13:05:00Z,USDCOP,3870.25,3872,3870,3871,12\n"
BARS = [
    Bar("USDCOP", datetime(2024, 1, 2, 13, 0, tzinfo=UTC), 3870.0, 3871.5, 3869.0, 3870.25, 0.0),
    Bar("USDCOP", datetime(2024, 1, 2, 13, 5, tzinfo=UTC), 3870.25, 3872.0, 3870.0, 3871.0, 12.0),
]


def write(folder: Path, text: str, name: str = "bars.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def bars_in(path: Path, **options: Any) -> list[Bar]:
    return list(chain.from_iterable(load_bars(path, **options).chunks()))


def refusal_of(path: Path, **options: Any) -> str:
    """Return the reason of the refusal, after checking that the message is one line with the path."""
    with pytest.raises(UnreadableFile) as refused:
        load_bars(path, **options)
    named, _, reason = str(refused.value).partition(": ")
    assert named == str(path)
    assert "\n" not in reason
    assert len(reason) < 400
    return reason


def at(minutes: float, symbol: str = "USDCOP", price: float = 3870.0) -> str:
    """Return a row of a bar that opens `minutes` after the first one."""
    time = BARS[0].time + timedelta(minutes=minutes)
    return f"{time.isoformat()},{symbol},{price},{price},{price},{price},0\n"
