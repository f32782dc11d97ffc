"""The account that the protections look at: that of the committed log, and on top of it that of each batch.

A batch begins with the account that the log and the commit under way lead to, and each step advances it. It is dropped
with its batch if the commit fails, so memory never holds what the database does not. What other servers commit comes in
through the log tail, in the order of the log. Without a limit only halts and resumes are followed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from ...domain.account import Account
from ...domain.events import Event, EventKind
from ...domain.ledger import FollowedSignal
from ...domain.protections import Protections
from ...domain.values import dataclass
from ..event_log.tail import LogTail
from ..ports.event_log import LogDecoders, LogEntry
from ..ports.outcomes import OutcomeStore, PolicyEvent
from .batch import Batch

PAGE_ENTRIES = 4096
"""Entries that are read and folded at once."""


@dataclass(frozen=True, slots=True)
class AccountSource:
    """Where the account is read from. store: of the account and the events after it. decoders: read the log."""

    store: OutcomeStore
    decoders: LogDecoders


class AccountGuard:
    """Follows the account of the log as far as the protections look at it.

    Args:
        opening: the account without entries.
        protections: those in force.
        log_tail: brings what is committed.
        source: where the account is read from; without one it begins with `opening`, and no other server commits.
    """

    def __init__(
        self, opening: Account, protections: Protections, log_tail: LogTail, source: AccountSource | None
    ) -> None:
        self.account = opening
        """After the newest entries that memory has; as it was before, while it has to be read again."""
        self._opening = opening
        self._protections = protections
        self._log_tail = log_tail
        self._source = source
        self._through = 0 if source is not None else log_tail.newest
        self._is_current = source is None
        self._own: deque[tuple[int, Event]] = deque()
        """What this server has committed behind entries of others that its tail does not have yet."""
        log_tail.subscribe(self._follow)

    async def load(self) -> bool:
        """Read the account, unless memory has it; return whether it was read.

        Raises:
            StorageUnavailable: it cannot be read.
        """
        if self._is_current or self._source is None:
            return False
        store = self._source.store
        stored = await store.load_account()
        account, through = (self._opening, 0) if stored is None else (stored.account, stored.sequence)
        newest = self._log_tail.newest
        while through < newest:
            until = min(through + PAGE_ENTRIES, newest)
            account = account.guarded(_events(await store.ledger_events(through, until)), self._protections)
            through = until
        self.account, self._through, self._is_current = account, through, True
        while self._own and self._own[0][0] <= through:
            self._own.popleft()
        self._follow()
        return True

    def opening_of(self, under_way: Batch | None) -> Account:
        """Return the account with which a batch begins that is staged on top of a commit."""
        account = self.account.guarded((event for _, event in self._own), self._protections)
        if under_way is None:
            return account
        if under_way.opening is account:
            return under_way.account
        return account.guarded(under_way.events, self._protections)

    def committed(self, batch: Batch, entries: Sequence[LogEntry]) -> None:
        """Take in a batch that is committed, before its entries reach the log tail."""
        follows = self._is_current and entries[0].sequence == self._through + 1 and not self._own
        if follows and batch.opening is self.account:
            self.account, self._through = batch.account, entries[-1].sequence
        else:
            self._own.extend((entry.sequence, event) for entry, event in zip(entries, batch.events, strict=True))

    def _follow(self) -> None:
        """Take in what the log tail has got."""
        while self._is_current and self._through < self._log_tail.newest:
            entries = self._log_tail.after(self._through, PAGE_ENTRIES)
            if not entries:
                self._is_current = False  # the tail has lost them: they are read from the store
                return
            self.account = self.account.guarded(filter(None, map(self._event_of, entries)), self._protections)
            self._through = entries[-1].sequence

    def _event_of(self, entry: LogEntry) -> Event | None:
        """Return the event of the next entry, None if the account does not depend on it."""
        while self._own and self._own[0][0] < entry.sequence:
            self._own.popleft()
        if self._own and self._own[0][0] == entry.sequence:
            return self._own.popleft()[1]
        if self._source is None:
            return None
        decoders = self._source.decoders
        match entry.kind:
            case EventKind.TRADING_CONTROL:
                return decoders.trading_control(entry.payload)
            case EventKind.MARKET_UPDATE if self._protections.has_limits:
                return decoders.market_update(entry.payload)
            case EventKind.POSITION_UPDATE if self._protections.has_limits:
                return decoders.position(entry.payload)
        return None


def _events(found: Sequence[PolicyEvent]) -> Iterator[Event]:
    """Yield the events of the account among those of the ledger."""
    for each in found:
        if not isinstance(each.event, FollowedSignal):
            yield each.event
