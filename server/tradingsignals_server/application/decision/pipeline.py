"""The main job, as pure steps: bar -> features -> policy -> signal -> risk levels -> position.

A step takes the state of a symbol and returns the next one with the events between, in their order. Nothing here waits,
stores or sends; a step counts only once the engine has committed it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from ...domain.account import Account
from ...domain.bars import Bar
from ...domain.calendar import SessionCalendar
from ...domain.events import Disposition, MarketUpdate, SymbolEvent
from ...domain.positions import Position
from ...domain.recurrent_state import RecurrentState
from ...domain.signals import Signal
from ...domain.values import dataclass
from .inputs import BarInput, DecisionInput
from .prefetch import PrefetchingInputs, prefetch_inputs, prefetch_outputs
from .source import DecisionSource
from .symbol_state import Book, SymbolState
from .trader import Trader

_DECIDED_ON = frozenset({Disposition.ACCEPTED, Disposition.WARMING_UP})
"""What becomes of the bars of a session if the policy is for their interval."""


@dataclass(frozen=True, slots=True)
class Step:
    """The next state of the symbol, the events between, and what the signals among them were made from.

    account: the next one, as far as the protections look at it (Account.guarded); None if none was given.
    """

    state: SymbolState
    events: tuple[SymbolEvent, ...]
    sources: tuple[DecisionSource, ...]
    account: Account | None


@dataclass(frozen=True, slots=True)
class BarStep(Step):
    """The result of a bar; `signal` is None unless the disposition is ACCEPTED.

    shadowed: what the shadow policy decided and would have traded; it is stored separately and is never an event.
    bar_input: what the step was computed from.
    """

    disposition: Disposition
    bar_input: BarInput
    signal: Signal | None = None
    shadowed: tuple[Signal | Position, ...] = ()


class Pipeline:
    """The steps: the live trader acts; the shadow, if there is one, only records what it would have done.

    The protections look at the account that is given with a step; without one they are not applied, and never to the
    shadow, which has no account.
    """

    def __init__(
        self, live: Trader, calendar_of: Callable[[str], SessionCalendar], shadow: Trader | None = None
    ) -> None:
        self.live = live
        self.shadow = shadow
        self.calendar_of = calendar_of
        self._inputs = PrefetchingInputs()

    @property
    def history_bars(self) -> int:
        """Number of bars that the window of a symbol keeps: those that the policies in use and the indicators need."""
        return max(trader.history_bars for trader in (self.live, self.shadow) if trader is not None)

    def on_bar(self, state: SymbolState, bar: Bar, account: Account | None = None) -> BarStep:
        """Process a bar that is newer than every bar of `state`."""
        features = self._inputs.of(state, bar)
        live, happened, source = self.live.on_bar(state.live, bar, features, account)
        shadow: Book | None = None
        shadowed: tuple[Signal | Position, ...] = ()
        if self.shadow is not None and state.shadow is not None:
            shadow, shadowed, _ = self.shadow.on_bar(state.shadow, bar, features)
        signal = None if source is None else source.signal
        disposition = features.disposition
        if disposition in _DECIDED_ON and not self.live.is_for(bar.interval):
            disposition = Disposition.OTHER_INTERVAL
        elif features.decision is not None and signal is None:
            disposition = Disposition.WARMING_UP
        events = (MarketUpdate(bar, disposition), *happened)
        return BarStep(
            state=features.state.with_books(live, shadow),
            events=events,
            sources=() if source is None else (source,),
            account=self._account_after(account, events),
            disposition=disposition,
            bar_input=features,
            signal=signal,
            shadowed=shadowed,
        )

    def on_request(
        self,
        state: SymbolState,
        decision_input: DecisionInput,
        recurrent: RecurrentState,
        signal_id: UUID,
        account: Account | None = None,
    ) -> Step:
        """Make a requested signal and act on it. The recurrent state that the bars carry does not change."""
        inference = self.live.infer(decision_input, recurrent, state.live.position)
        guarded = None if account is None else lambda: account
        live, source, trades = self.live.decide(state.live, decision_input, inference, signal_id, guarded)
        events: tuple[SymbolEvent, ...] = (source.signal, *trades)
        after = self._account_after(account, events)
        return Step(state.with_books(live, state.shadow), events, (source,), after)

    def on_close(self, state: SymbolState, price: float, at: datetime, account: Account | None = None) -> Step:
        """Close the open position of `state` by hand at `price`."""
        live, closed = self.live.close_by_hand(state.live, price, at)
        return Step(state.with_books(live, state.shadow), (closed,), (), self._account_after(account, (closed,)))

    def _account_after(self, account: Account | None, events: Sequence[SymbolEvent]) -> Account | None:
        return None if account is None else account.guarded(events, self.live.rules.protections)

    async def prefetch(self, states: Mapping[str, SymbolState], bars: Sequence[Bar]) -> None:
        """Compute what `on_bar` will need for `bars`, given in their order. See decision.prefetch.

        A single bar gains nothing from it, and is left to `on_bar`.
        """
        self._inputs.clear()
        for trader in filter(None, (self.live, self.shadow)):
            trader.clear_prefetched()
        if len(bars) == 1:
            return
        inputs = await prefetch_inputs(self._inputs, states, bars)
        live = {symbol: states[symbol].live.recurrent for symbol in inputs if _is_for(self.live, states[symbol])}
        await _prefetch_outputs(self.live, inputs, live)
        if self.shadow is not None:
            shadow = {
                symbol: book.recurrent
                for symbol in inputs
                if (book := states[symbol].shadow) is not None and _is_for(self.shadow, states[symbol])
            }
            await _prefetch_outputs(self.shadow, inputs, shadow)


async def _prefetch_outputs(
    trader: Trader, inputs: Mapping[str, Sequence[DecisionInput]], carried: Mapping[str, RecurrentState]
) -> None:
    of_trader = {symbol: inputs[symbol] for symbol in carried}
    await prefetch_outputs(trader.prefetch, trader.policy.description.reset, of_trader, carried)


def _is_for(trader: Trader, state: SymbolState) -> bool:
    return trader.is_for(state.calendar.interval)
