"""What a service has stored of the bars that a backtest is compared on, of one snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from uuid import UUID

from ...domain.equity import EquityPoint
from ...domain.events import Disposition, TradingControl
from ...domain.outcomes import Outcome
from ...domain.positions import Position
from ...domain.risk import KELLY_WINDOW
from ...domain.values import dataclass
from ..ports.outcomes import StoredAccount
from .columns import BarColumns

EVENTS_OF_A_BAR = 8
"""A bar has fewer entries in the log: itself, its signal, and the changes of a position."""

BarKey = tuple[str, datetime]
"""Symbol and time of a bar."""


@dataclass(frozen=True, slots=True)
class TakenBar:
    """How the service took a stored bar.

    received_at: when it was stored, that of all bars of one commit.
    sequence: its place in the log, None if the log has it no more.
    decided: the place of the signal that was made of it, which is kept; None if none was.
    """

    disposition: Disposition
    received_at: datetime
    sequence: int | None
    decided: int | None = None


@dataclass(frozen=True, slots=True)
class LogExtent:
    """What the log has, and how far outcomes and account have followed it.

    oldest: sequence of the oldest entry kept. newest: of the newest one that outcomes or account may depend on.
    followed: the ledger is at this sequence.
    """

    oldest: int
    newest: int
    followed: int

    def has_followed(self, sequence: int | None) -> bool:
        """Return whether what the bar at a place in the log led to is stored; that of one that was pruned is."""
        return sequence is None or self.followed >= min(sequence + EVENTS_OF_A_BAR, self.newest)


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """What a service made of its bars.

    columns: the stored bars of the symbols. other_symbols: there are bars of further symbols.
    bars, signals: by symbol and time of the bar; a signal as the message that was sent.
    positions, outcomes: by id; outcomes of the live policy's signals of bars.
    interventions: places in the log of requested signals and of calls that may have changed a position or an outcome of
        a symbol. They are known also where the log is pruned.
    controls: halts and resumes by hand, with their places in the log.
    of_pruned_signals: ids of the outcomes of signals that the log has no more.
    missing: bars that the log has and the table of bars has not.
    equity: by time. account: None if it has not been followed yet. log: see LogExtent.
    """

    columns: BarColumns
    log: LogExtent
    account: StoredAccount | None
    other_symbols: bool = False
    bars: dict[BarKey, TakenBar] = field(default_factory=dict)
    signals: dict[BarKey, bytes] = field(default_factory=dict)
    positions: dict[UUID, Position] = field(default_factory=dict)
    outcomes: dict[UUID, Outcome] = field(default_factory=dict)
    of_pruned_signals: set[UUID] = field(default_factory=set)
    interventions: dict[str, list[int]] = field(default_factory=dict)
    controls: list[tuple[int, TradingControl]] = field(default_factory=list)
    missing: list[BarKey] = field(default_factory=list)
    equity: dict[datetime, EquityPoint] = field(default_factory=dict)

    def is_late(self, key: BarKey) -> bool:
        """Return whether a bar came after a newer one of its symbol."""
        return self.bars[key].disposition is Disposition.LATE

    def place_of(self, key: BarKey) -> int | None:
        """Return the place in the log of a bar; None if that is not known any more, or the bar was late."""
        return None if self.is_late(key) else self.bars[key].sequence

    def controls_from(self, sequence: int) -> list[tuple[int, TradingControl]]:
        """Return the halts and resumes from a place in the log on, in its order, with their places."""
        return [(place, control) for place, control in self.controls if place >= sequence]

    def late_until(self, symbol: str, start: datetime | None, time: datetime) -> tuple[datetime, datetime] | None:
        """Return time and arrival of the first late bar of a symbol from `start` up to `time`, None if none is."""
        late = [
            (at, taken.received_at)
            for (of, at), taken in self.bars.items()
            if of == symbol and at <= time and taken.disposition is Disposition.LATE and (start is None or at >= start)
        ]
        return min(late, default=None)

    def missing_until(self, symbol: str, time: datetime) -> datetime | None:
        """Return the time of the first bar of a symbol up to `time` that the log has and the table has not."""
        return min((at for of, at in self.missing if of == symbol and at <= time), default=None)

    def first_sequence(self, start: datetime) -> int | None:
        """Return the place in the log of the first bar from `start` on that was not late.

        None without one, or if the log has one of them no more.
        """
        taken = [taken for (_, at), taken in self.bars.items() if at >= start]
        places = [one.sequence for one in taken if one.disposition is not Disposition.LATE]
        known = [place for place in places if place is not None]
        return min(known) if known and len(known) == len(places) else None

    def next_bar(self, key: BarKey) -> int:
        """Return the place in the log of the bar after one; that of the oldest entry if the log has it no more."""
        place = self.bars[key].sequence
        if place is None:
            return self.log.oldest
        later = (taken.sequence for taken in self.bars.values() if taken.sequence is not None)
        return min((other for other in later if other > place), default=self.log.newest + 1)

    def closed_before(self, sequence: int) -> Mapping[str, list[tuple[datetime, float]]]:
        """Return exit time and profit in percent of the newest positions closed before a place in the log, by symbol.

        At most KELLY_WINDOW of each symbol, in the order of closing.
        """
        closed: dict[str, list[Position]] = {}
        for position in self.positions.values():
            if position.exit is not None and position.sequence < sequence:
                closed.setdefault(position.symbol, []).append(position)
        return {symbol: _tally(positions) for symbol, positions in closed.items()}


def _tally(positions: list[Position]) -> list[tuple[datetime, float]]:
    ended = [(one.sequence, one.exit.time, one.pnl_pct) for one in positions if one.exit is not None]
    return [(time, pnl_pct) for _, time, pnl_pct in sorted(ended)[-KELLY_WINDOW:]]
