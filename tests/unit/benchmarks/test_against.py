"""Two versions of the service are measured in turn, never at once."""

from __future__ import annotations

import asyncio

import pytest
from benchmarks.against import Turn, built, turns

DEADLINE_S = 5.0


async def measured_by(counts: dict[str, int], *, failing: str = "") -> list[str]:
    """The measurements of two versions that make `counts` of them, in order."""
    order: list[str] = []
    first, second = turns()

    async def measure(side: Turn, name: str) -> None:
        async with side:
            for _ in range(counts[name]):
                order.append(name)
                await asyncio.sleep(0)  # the other one could run now
                if name == failing:
                    raise RuntimeError(name)
                await side.measured()

    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(measure(first, "A"), measure(second, "B"), return_exceptions=True)
    return order


async def test_two_versions_alternate_with_the_order_reversed_each_time() -> None:
    assert await measured_by({"A": 4, "B": 4}) == list("ABBAABBA")


@pytest.mark.parametrize(
    ("counts", "order"), [((5, 2), "ABBAAAA"), ((1, 4), "ABBBB"), ((0, 3), "BBB"), ((3, 0), "AAA")]
)
async def test_a_version_with_more_measurements_continues_alone(counts: tuple[int, int], order: str) -> None:
    assert await measured_by(dict(zip("AB", counts, strict=True))) == list(order)


async def test_a_version_that_fails_does_not_block_the_other() -> None:
    assert await measured_by({"A": 3, "B": 3}, failing="B") == list("ABAA")


def test_a_commit_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SystemExit, match="no-such-revision cannot be built"):
        built("no-such-revision")
