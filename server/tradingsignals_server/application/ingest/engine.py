"""The engine: takes commands from callers, and returns their results once they are durable."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from uuid import UUID

from ...domain.account import Account
from ...domain.bars import Bar
from ...domain.errors import PositionAlreadyClosed, PositionNotFound, ShuttingDown, StorageUnavailable
from ...domain.window import LOOKBACK_BARS
from ..decision.pipeline import Pipeline
from ..decision.quotes import Quote
from ..decision.symbol_state import SymbolState
from ..decision.trader import Trader
from ..event_log.tail import LogTail
from ..event_log.tailer import LogReader
from ..ports.clock import Clock
from ..ports.feed import BarResult
from ..ports.idempotency import CallKey
from ..ports.observer import EngineObserver
from ..ports.ownership import Ownership
from ..ports.store import Store
from .account_guard import AccountGuard, AccountSource
from .batch import QueuedCall
from .commands import (
    ClosePosition,
    ControlTrading,
    GenerateFromStored,
    GenerateSignal,
    PublishBars,
    PublishStream,
    QueuedPublication,
    ReadLastBar,
    ReleaseSymbols,
    SwapModel,
)
from .handlers import Handlers
from .queue import BarsCall
from .sole_ownership import SoleOwnership
from .states import MAX_SYMBOLS, SymbolStates
from .writer import Commits, Writer

COMMAND_BARS = 64
"""Bars of one publisher that form one command, so that publishers take turns."""


class Engine:
    """Processes bars and requests. Run `run` in a task.

    Args:
        store: where everything is committed, and restored from.
        pipeline: what decides on bars and requests.
        log_tail: gets the committed entries.
        clock: the wall clock.
        bars_elsewhere: others store bars of the same symbols too, so that memory may lack the newest.
        is_replayed: True for a symbol whose bars a feed replays or simulates, so that its time is that of its bars.
        ownership: the symbols that this server works on, the others are refused; all of them if it is None.
        reader: brings the entries that others commit to the log_tail.
        max_symbols: symbols that may be in use.
        observers: are notified of each batch.
        accounts: where the account is read from; without it, it begins with this engine.
    """

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        log_tail: LogTail,
        clock: Clock,
        *,
        bars_elsewhere: bool = False,
        is_replayed: Callable[[str], bool] = lambda _: False,
        ownership: Ownership | None = None,
        reader: LogReader | None = None,
        max_symbols: int = MAX_SYMBOLS,
        observers: Sequence[EngineObserver] = (),
        accounts: AccountSource | None = None,
    ) -> None:
        ownership = ownership or SoleOwnership()
        self._store = store
        self._bars_elsewhere = bars_elsewhere
        self._states = SymbolStates(store, pipeline, max_symbols)
        self._handlers = Handlers(pipeline, self._states, clock, ownership, is_replayed)
        reader = reader or LogReader(store, log_tail)
        rules = pipeline.live.rules
        opening = Account.opened(rules.initial_equity)
        self._guard = AccountGuard(opening, rules.protections, log_tail, accounts)
        states, guard, handlers = self._states, self._guard, self._handlers
        self._writer = Writer(store, pipeline, handlers, states, guard, log_tail, clock, ownership, reader, observers)

    async def publish(self, bars: Sequence[Bar]) -> list[BarResult]:
        """Process bars in their order and commit them. See MarketDataSink."""
        return await (await self.enqueue(bars, PublishStream())).results()

    async def enqueue(self, bars: Sequence[Bar], stream: PublishStream) -> QueuedPublication:
        """Queue bars as soon as there is room, without waiting until they are committed."""
        queued = []
        for start in range(0, len(bars), COMMAND_BARS):
            command = PublishBars(bars[start : start + COMMAND_BARS], stream)
            call = BarsCall(command, self._handlers.publish_bars)
            await self._writer.enqueue(call)
            queued.append((len(command.bars), call.result))
        return QueuedPublication(queued)

    async def generate(self, symbol: str, quote: Quote, key: CallKey[bytes] | None = None) -> bytes:
        """Make a signal at `quote`, act on it and commit both; return the signal encoded, as it was committed.

        `key`, here and below, is committed with it. KeyUsedMeanwhile is raised if another server was first.
        """
        return await self._writer.submit(QueuedCall(GenerateSignal(symbol, quote), self._handlers.generate, key=key))

    async def generate_from_stored(self, symbol: str, lookback_bars: int, key: CallKey[bytes] | None = None) -> bytes:
        """Make a signal from the newest `lookback_bars` stored bars, act on it and commit both; return it encoded.

        It is made as that of the newest bar was: with the recurrent state before it.

        Raises:
            NotEnoughBars: there are fewer than the slowest indicator needs.
        """
        stored: Sequence[Bar] | None = None
        if self._bars_elsewhere or lookback_bars > LOOKBACK_BARS:
            stored = await self._store.session_bars(symbol, max(lookback_bars, self._states.restore_bars(symbol)))
        command = GenerateFromStored(symbol, lookback_bars, stored)
        return await self._writer.submit(QueuedCall(command, self._handlers.generate, key=key))

    async def close_position(self, position_id: UUID, price: float | None, key: CallKey[bytes] | None = None) -> bytes:
        """Close a position by hand, at `price` or at its last mark; return it encoded, as it was committed.

        Raises:
            PositionNotFound: no position has this id.
            PositionAlreadyClosed: it is closed.
        """
        found = await self._store.symbol_of_position(position_id)
        if found is None:
            raise PositionNotFound(str(position_id))
        symbol, is_open = found
        if not is_open:
            raise PositionAlreadyClosed(str(position_id))
        command = ClosePosition(symbol, position_id, price)
        return await self._writer.submit(QueuedCall(command, self._handlers.close_position, key=key))

    async def control_trading(
        self, reason: str, by: str, *, halted: bool, key: CallKey[Account] | None = None
    ) -> Account:
        """Halt or resume trading for all symbols; return the account after it.

        Of the account only what the protections look at is current.

        Raises:
            TradingIsHalted: trading is to be resumed, and a setting halts it.
        """
        command = ControlTrading(halted, reason, by)
        return await self._writer.submit(QueuedCall(command, self._handlers.control_trading, key=key))

    async def last_bar(self, symbol: str) -> Bar | None:
        """Return the newest bar of `symbol` that was processed, or None."""
        if (state := self._states.get(symbol)) is not None:
            return state.last_bar
        return await self._writer.submit(QueuedCall(ReadLastBar(symbol), self._handlers.read_last_bar))

    async def swap(self, live: Trader, shadow: Trader | None) -> None:
        """Let these traders decide from the next batch on: no bar is lost, none is decided by two.

        The state it goes on with is computed from the stored bars of each symbol, when the symbol's next bar comes.
        """
        await self._writer.submit(QueuedCall(SwapModel(live, shadow), self._handlers.swap_model))

    async def release(self, buckets: Collection[int]) -> None:
        """Give up `buckets` of symbols as soon as every command queued for them before is done."""
        await self._writer.submit(QueuedCall(ReleaseSymbols(buckets), self._handlers.release_symbols))

    def states(self) -> Sequence[SymbolState]:
        """Return the committed state of every symbol in memory."""
        return self._states.all()

    @property
    def queued(self) -> int:
        """Number of commands that wait to be handled."""
        return self._writer.queued

    @property
    def refusal(self) -> ShuttingDown | None:
        """What every new command is refused with; None before `stop`."""
        return self._writer.refusal

    @property
    def pending(self) -> int:
        """Number of commands that have no result yet."""
        return self._writer.pending

    @property
    def account(self) -> Account:
        """The committed account, as far as the protections look at it."""
        return self._guard.account

    @property
    def commits(self) -> Commits:
        """How commits went."""
        return self._writer.commits

    async def run(self) -> None:
        """Process commands until `stop` was called and all that were queued before are done."""
        with suppress(StorageUnavailable):  # the first command reads it then
            await self._guard.load()
        await self._writer.run()

    async def stop(self) -> None:
        """Refuse new commands; `run` returns when those in the queue are done."""
        self._writer.stop()
