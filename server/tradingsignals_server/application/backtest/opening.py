"""What a comparison of a period begins with: account, books and ledger as the service had them before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from uuid import UUID

from ...domain.account import Account
from ...domain.equity import EquityPoint
from ...domain.ledger import FollowedSignal, Ledger
from ...domain.positions import Position
from ...domain.recurrent_state import RecurrentState
from ...domain.values import dataclass
from ..ports.outcomes import LIVE, OutcomeStore
from ..ports.policy import Policy
from ..ports.store import RecurrentCheckpoint, StoredTraderState
from .live_record import LiveRecord

FOLDED_ENTRIES = 8192
"""Entries of the log that are read and folded at once."""


class LogTooShort(Exception):
    """The log does not reach back to the begin of the period. The message is one line."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What was there before the first bar of the period.

    sequence: place of that bar in the log; 0 if the log is not needed.
    account: after all before it.
    resolved: ids of the outcomes that were resolved before it.
    states: recurrent state of the first decision of each symbol in the period, as stored; empty if it is zeros.
    """

    account: Account
    sequence: int = 0
    resolved: frozenset[UUID] = frozenset()
    states: Mapping[str, bytes] = field(default_factory=dict)

    def book_of(self, symbol: str, live: LiveRecord, policy: Policy, newest: datetime | None) -> StoredTraderState:
        """Return the book of a symbol before the period, whose last bar before it is that of `newest`.

        A recurrent state that is not one of the policy is left out, and computed from the bars then.
        """
        held = (one for one in self.account.open_positions.values() if one.symbol == symbol)
        position = next((self.whole(one, live) for one in held), None)
        closed = live.closed_before(self.sequence).get(symbol, ())
        return StoredTraderState(position, closed, self._checkpoint(symbol, policy, newest))

    @staticmethod
    def whole(position: Position, live: LiveRecord) -> Position:
        """Return a position of the log with what the log does not have of it."""
        stored = live.positions.get(position.position_id)
        if stored is None:
            return position
        return replace(position, trail_distance=stored.trail_distance, session_day=stored.session_day)

    def _checkpoint(self, symbol: str, policy: Policy, newest: datetime | None) -> RecurrentCheckpoint | None:
        state, initial = self.states.get(symbol), policy.initial_state()
        if state is None or newest is None:
            return None
        _, layers, size = initial.values.shape
        try:
            carried = RecurrentState.from_bytes(state, layers, size) if state else initial
        except ValueError:
            return None
        return RecurrentCheckpoint(symbol, policy.description.key, False, newest, initial, carried)


async def opening_of(
    live: LiveRecord, start: datetime, store: OutcomeStore, ledger: Ledger, states: Mapping[str, bytes]
) -> Opening:
    """Fold the log before the first bar from `start` on.

    Args:
        live: what is stored.
        start: begin of the period.
        store: has the log.
        ledger: an empty one of the live policy; it has the entries that are open then.
        states: see Opening.

    Raises:
        LogTooShort: the log begins later.
        StorageUnavailable: the database cannot be reached.
    """
    if live.account is None:
        raise LogTooShort("the service has not followed its account yet: start it, and try again")
    before = live.first_sequence(start)
    if before is None:
        raise LogTooShort(
            f"the log does not reach back to {start:%Y-%m-%d %H:%M} UTC: begin later, or leave --from out, so that the "
            "backtest begins with the first stored bar"
        )
    account, resolved = _before_log(live, live.account.account.initial_equity), set(live.of_pruned_signals)
    for after in range(live.log.oldest - 1, before - 1, FOLDED_ENTRIES):
        for each in await store.ledger_events(after, min(after + FOLDED_ENTRIES, before - 1)):
            if each.policy not in {None, LIVE}:
                continue
            if not isinstance(each.event, FollowedSignal):
                account = account.after(each.event)
            resolved.update(outcome.outcome_id for outcome in ledger.apply(each.event))
    return Opening(account, before, frozenset(resolved), states)


def _before_log(live: LiveRecord, initial_equity: float) -> Account:
    """Return the account before the oldest entry of the log, from what the positions of that time came to."""
    account, oldest = Account.opened(initial_equity), live.log.oldest
    earlier = [position for position in live.positions.values() if position.sequence < oldest]
    for position in sorted(earlier, key=lambda one: one.sequence):
        account = account.after(position)
    first = min((at for (_, at), taken in live.bars.items() if taken.sequence is not None), default=None)
    points = [point for time, point in live.equity.items() if oldest > 1 and first is not None and time <= first]
    if not points:
        return account
    peak = max(account.peak, _peak_at(max(points, key=lambda point: point.time)))
    return replace(account, peak=peak, protected_peak=peak)


def _peak_at(point: EquityPoint) -> float:
    """Return the peak from which the drawdown of a point was computed, to the last bit if one float explains it."""
    near = point.equity + point.drawdown
    for peak in (near, math.nextafter(near, math.inf), math.nextafter(near, -math.inf)):
        if peak - point.equity == point.drawdown and 100.0 * point.drawdown / peak == point.drawdown_pct:
            return peak
    return near
