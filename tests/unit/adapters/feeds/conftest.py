"""A sink that records bars, and a clock that advances only by sleeping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import ServiceError, StorageUnavailable
from tradingsignals_server.domain.events import Disposition, Receipt


class Enough(Exception):
    """Ends a feed that would run without end."""


@dataclass
class FakeTime:
    """A clock that sleeping advances at once."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


class RecordingSink:
    """Accepts bars as the engine does, and refuses those for which `refusal_of` returns an error."""

    def __init__(self) -> None:
        self.bars: list[Bar] = []
        self.calls: list[list[Bar]] = []
        self.newest: dict[str, Bar] = {}
        self.refusal_of: Callable[[int, Bar], ServiceError | None] = lambda _call, _bar: None
        self.unreadable = 0
        self.enough: int | None = None

    async def publish(self, bars: Sequence[Bar]) -> list[Receipt | ServiceError]:
        self.calls.append(list(bars))
        results: list[Receipt | ServiceError] = []
        for bar in bars:
            refusal = self.refusal_of(len(self.calls), bar)
            disposition = Disposition.ACCEPTED
            if refusal is None:
                self.bars.append(bar)
                known = self.newest.setdefault(bar.symbol, bar)
                if bar.time < known.time:
                    disposition = Disposition.LATE
                else:
                    self.newest[bar.symbol] = bar
            results.append(refusal or Receipt(bar.symbol, bar.time, disposition, None, len(self.bars)))
        if self.enough is not None and len(self.bars) >= self.enough:
            raise Enough
        return results

    async def last_bar(self, symbol: str) -> Bar | None:
        if self.unreadable:
            self.unreadable -= 1
            raise StorageUnavailable
        return self.newest.get(symbol)


@pytest.fixture
def sink() -> RecordingSink:
    return RecordingSink()


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def enough() -> type[Enough]:
    return Enough


@pytest.fixture
def bar_at() -> Callable[..., Bar]:
    def build(clock: str, symbol: str = "USDCOP", price: float = 4000.0) -> Bar:
        return Bar(symbol, datetime.fromisoformat(clock).replace(tzinfo=UTC), price, price + 1, price - 1, price)

    return build
