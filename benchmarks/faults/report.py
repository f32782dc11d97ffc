"""What users saw of a fault, and whether the database agrees with what was acknowledged and sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from .observers import NO_RESPONSE, Follower, Prober, Publisher


class PromiseBroken(Exception):
    """Something was lost, doubled or out of order. The message quotes the promise."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen of a fault, in seconds.

    wait: longest time until a bar was acknowledged; errors: how often each was returned to publishers. recovery: from
    the end of the fault until bars of every symbol were acknowledged again. silence: longest time that a follower was
    without an event. unhealthy, unresponsive: for how long /health said so, or did not respond. bars, entries: of the
    database and its log, each of which every follower has received once. alerts: those that fired.
    """

    fault: str
    wait: float
    errors: Mapping[str, int]
    recovery: float
    silence: float
    unhealthy: float
    unresponsive: float
    bars: int
    entries: int
    alerts: Sequence[str] = ()

    def row(self) -> str:
        """Format it as a row of the table in docs/faults.md."""
        errors = ", ".join(f"{name} {times}" for name, times in self.errors.items()) or "none"
        cells = (
            f"`{self.fault}`",
            f"{self.wait:.1f} s",
            errors,
            f"{self.recovery:.1f} s",
            f"{self.silence:.1f} s",
            f"{self.unhealthy:.0f} s / {self.unresponsive:.0f} s",
            ", ".join(self.alerts) or "none",
            f"{self.bars} bars, {self.entries} entries",
        )
        return f"| {' | '.join(cells)} |"


COLUMNS = (
    "fault",
    "a bar waited up to",
    "errors of publishers",
    "normal after its end in",
    "followers without an event",
    "/health unhealthy / no response",
    "alerts",
    "none lost, none doubled of",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


async def report_of(
    fault: str,
    dsn: str,
    publishers: Sequence[Publisher],
    followers: Sequence[Follower],
    prober: Prober,
    recovery: float,
) -> Report:
    """Compare what was acknowledged and sent to users with the database, and sum up what they saw.

    Args:
        fault: its name.
        dsn: address of the database.
        publishers: after their end.
        followers: after they have received the newest entry.
        prober: of /health.
        recovery: see Report.

    Raises:
        PromiseBroken: an acknowledged bar is not stored, the log has a gap, or a follower received anything else.
    """
    sequences, bars = await _stored(dsn)
    if sequences != list(range(1, len(sequences) + 1)):
        raise PromiseBroken("every event has a sequence, gap-free within an epoch: the stored log has a gap")
    acknowledged = set[tuple[str, datetime]]().union(*(publisher.acknowledged for publisher in publishers))
    if lost := acknowledged - bars:
        raise PromiseBroken(f"nothing that was acknowledged is lost: {len(lost)} bars are, such as {min(lost)}")
    for follower in followers:
        if follower.sequences != sequences:
            received, different = len(follower.sequences), len(set(follower.sequences))
            raise PromiseBroken(
                f"no gap and no duplicate: a follower received {received} events of {len(sequences)}, {different} of "
                "them different"
            )
    return Report(
        fault,
        wait=max(publisher.longest_wait for publisher in publishers),
        errors=sum((publisher.errors for publisher in publishers), Counter[str]()),
        recovery=recovery,
        silence=max(follower.longest_silence for follower in followers),
        unhealthy=prober.seconds["unhealthy"],
        unresponsive=prober.seconds[NO_RESPONSE],
        bars=len(bars),
        entries=len(sequences),
    )


async def _stored(dsn: str) -> tuple[list[int], set[tuple[str, datetime]]]:
    """Return the sequences of the log, and the symbol and time of every bar."""
    database = await asyncpg.connect(dsn, timeout=10.0)
    try:
        async with database.transaction(isolation="repeatable_read", readonly=True):
            events = await database.fetch("SELECT sequence FROM events ORDER BY sequence")
            bars = await database.fetch("SELECT symbol, time FROM bars")
    finally:
        await database.close()
    return [row["sequence"] for row in events], {(row["symbol"], row["time"]) for row in bars}
