"""What the faults report, and that it is compared with what was acknowledged and sent."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from benchmarks.faults import report
from benchmarks.faults.faults import FAULTS
from benchmarks.faults.observers import Follower, Prober, Publisher, _status, bars_of
from benchmarks.faults.report import COLUMNS, PromiseBroken, Report, report_of

BAR = ("BTCUSDT", datetime(2024, 1, 1, tzinfo=UTC))
ADDRESS = "127.0.0.1:9"


async def reported(
    monkeypatch: pytest.MonkeyPatch, sequences: list[int], received: list[int], bars: set[tuple[str, datetime]]
) -> Report:
    """The report of a fault after which the database has `sequences` and `bars`, and a follower `received`."""

    async def stored(_: str) -> tuple[list[int], set[tuple[str, datetime]]]:
        return sequences, bars

    monkeypatch.setattr(report, "_stored", stored)
    publisher, follower = Publisher(ADDRESS, bars_of("BTCUSDT")), Follower(ADDRESS)
    publisher.acknowledged.add(BAR)
    publisher.errors.update(["UNAVAILABLE", "UNAVAILABLE"])
    follower.sequences.extend(received)
    return await report_of("a-fault", "", [publisher], [follower], Prober(ADDRESS), recovery=1.25)


async def test_report_sums_up_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await reported(monkeypatch, [1, 2, 3], [1, 2, 3], {BAR})
    assert (found.entries, found.bars, found.recovery) == (3, 1, 1.25)
    assert found.errors == Counter(UNAVAILABLE=2)
    assert found.row().count("|") == len(COLUMNS) + 1


@pytest.mark.parametrize(
    ("sequences", "received", "bars", "promise"),
    [
        ([1, 3], [1, 3], {BAR}, "the stored log has a gap"),
        ([1, 2], [1, 2], set(), "nothing that was acknowledged is lost"),
        ([1, 2], [1], {BAR}, "no gap and no duplicate"),
        ([1, 2], [1, 1, 2], {BAR}, "no gap and no duplicate"),
        ([1, 2], [2, 1], {BAR}, "no gap and no duplicate"),
    ],
)
async def test_broken_promise_is_quoted(
    monkeypatch: pytest.MonkeyPatch,
    sequences: list[int],
    received: list[int],
    bars: set[tuple[str, datetime]],
    promise: str,
) -> None:
    with pytest.raises(PromiseBroken, match=promise):
        await reported(monkeypatch, sequences, received, bars)


@pytest.mark.parametrize(
    ("health", "status"),
    [
        ({"status": "degraded"}, "degraded"),
        ({"code": 14, "details": [{"reason": "STORAGE_UNAVAILABLE"}]}, "unhealthy"),
        ({"code": 14, "details": [{"reason": "SERVER_UNAVAILABLE"}]}, "no response"),
        ({}, "no response"),
    ],
)
def test_health_is_told_from_an_edge_without_a_server(health: dict[str, object], status: str) -> None:
    assert _status(health) == status


def test_every_fault_is_described() -> None:
    assert all(name == fault.name and fault.about for name, fault in FAULTS.items())
