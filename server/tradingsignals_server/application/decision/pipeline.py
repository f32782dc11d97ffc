"""The main job, as pure steps: bar -> features -> policy -> signal -> risk levels -> position.

A step takes the state of a symbol and gives the next one with the events that happened, in their order. Nothing here
waits, stores or sends; the engine commits what a step gives, and only then is it true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from time import perf_counter
from uuid import UUID

from ...domain.bars import Bar
from ...domain.calendar import SessionCalendar
from ...domain.events import Disposition, Event, MarketUpdate
from ...domain.features import Observation, observation
from ...domain.indicators import Indicators, indicators_of
from ...domain.positions import Position
from ...domain.recurrent_state import RecurrentState
from ...domain.signals import Origin, Signal, bar_signal_id
from .symbol_state import Book, SymbolState
from .trader import Opinion, Sight, Trader, Trades

SESSION_ENDS = "The session ends with this bar: no position is opened"


@dataclass(frozen=True, slots=True)
class Step:
    """The next state of the symbol, and what happened on the way there."""

    state: SymbolState
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class BarStep(Step):
    """What a bar led to; `signal` is None unless the disposition is ACCEPTED.

    `shadowed` is what the shadow policy decided and would have traded: stored beside, and never an event.
    """

    disposition: Disposition
    signal: Signal | None = None
    shadowed: tuple[Signal | Position, ...] = ()


@dataclass(frozen=True, slots=True)
class SignalStep(Step):
    """What a request led to."""

    signal: Signal


@dataclass(frozen=True, slots=True)
class Scene:
    """One more bar of a session as it is shown to policies: the state it came to, and the one with it, books aside.

    ms: what it took to make, in milliseconds.
    """

    bar: Bar
    before: SymbolState
    after: SymbolState
    session_progress: float
    indicators: Indicators
    features: Observation
    ms: float


@dataclass(frozen=True, slots=True)
class Memories:
    """The recurrent states with which the policies meet a bar; `shadow` is None if there is no shadow."""

    live: RecurrentState
    shadow: RecurrentState | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the policies say to a scene. It knows nothing of positions.

    ms: what it took, in milliseconds; its share, if it was made together with others.
    """

    scene: Scene
    live: Opinion
    shadow: Opinion | None
    ms: float

    @property
    def memories(self) -> Memories:
        """With what the policies meet the next bar."""
        return Memories(self.live.after, None if self.shadow is None else self.shadow.after)

    def holds_for(self, state: SymbolState) -> bool:
        """True if `state` is, as far as policies look at it, the one that was foreseen."""
        return self.scene.before.window is state.window


class Pipeline:
    """The steps: the live trader acts, the shadow, if there is one, only shows what it would have done."""

    def __init__(
        self, live: Trader, calendar_of: Callable[[str], SessionCalendar], shadow: Trader | None = None
    ) -> None:
        self.live = live
        self.shadow = shadow
        self.calendar_of = calendar_of

    def memories_of(self, state: SymbolState) -> Memories:
        """With what the policies meet the next bar of `state`."""
        shadow = None
        if self.shadow is not None:
            shadow = self.shadow.policy.initial_state() if state.shadow is None else state.shadow.recurrent
        return Memories(state.live.recurrent, shadow)

    def look(self, scenes: Sequence[Scene], memories: Sequence[Memories]) -> list[Outlook]:
        """What the policies say to each scene after the memories of the same place, asked once for all of them.

        It is what they would say to each alone.
        """
        started = perf_counter()
        live = _opinions(self.live, scenes, [memory.live for memory in memories])
        shadow: Sequence[Opinion | None] = [None] * len(scenes)
        if self.shadow is not None:
            recalled = [memory.shadow for memory in memories if memory.shadow is not None]
            shadow = _opinions(self.shadow, scenes, recalled)
        ms = (perf_counter() - started) * 1e3 / len(scenes)
        return [
            Outlook(scene, of_live, of_shadow, scene.ms + ms)
            for scene, of_live, of_shadow in zip(scenes, live, shadow, strict=True)
        ]

    def on_bar(self, state: SymbolState, bar: Bar, outlook: Outlook | None = None) -> BarStep:
        """Process a bar that is newer than every bar of `state`.

        `outlook` is how the bar looks from a state foreseen; if it is another than `state`, the bar is looked at anew.
        """
        started = perf_counter()
        if outlook is None or not outlook.holds_for(state):
            outlook = self._outlook(state, bar)
        else:
            started -= outlook.ms / 1e3
        day = state.calendar.session_of(bar.time) if outlook is None else outlook.scene.after.session_day
        last_of_session = day is not None and state.calendar.is_last_bar(bar.time)
        live, exits = self.live.check_exits(state.live, bar, session_day=day, last_of_session=last_of_session)
        shadow, shadowed = self._check_shadow_exits(state, bar, day, last_of_session=last_of_session)
        if outlook is None:
            disposition = Disposition.OUTSIDE_SESSION if day is None else Disposition.WARMING_UP
            events: tuple[Event, ...] = (MarketUpdate(bar, disposition), *exits)
            return BarStep(
                replace(state.after_bar(bar, day), live=live, shadow=shadow), events, disposition, shadowed=shadowed
            )
        scene = outlook.scene
        sight = Sight(
            symbol=bar.symbol,
            timestamp=bar.close_time,
            origin=Origin.BAR,
            window=scene.after.window,
            indicators=scene.indicators,
            price=bar.close,
            session_progress=scene.session_progress,
            session_day=day,
            simulated=scene.after.simulated_left > 0,
            closed_door=SESSION_ENDS if last_of_session and self.live.rules.close_at_session_end else None,
            started=started,
        )
        live, signal, trades = _trade(self.live, live, sight, outlook.live)
        if self.shadow is not None and shadow is not None and outlook.shadow is not None:
            shadow, watched, watched_trades = _trade(self.shadow, shadow, sight, outlook.shadow)
            shadowed = (*shadowed, watched, *watched_trades)
        events = (MarketUpdate(bar, Disposition.ACCEPTED), *exits, signal, *trades)
        return BarStep(replace(scene.after, live=live, shadow=shadow), events, Disposition.ACCEPTED, signal, shadowed)

    def on_request(self, state: SymbolState, sight: Sight, recurrent: RecurrentState, signal_id: UUID) -> SignalStep:
        """Make a signal that was asked for, outside the flow of bars, and act on it; what the bars carry stays."""
        (opinion,) = self.live.ask([observation(sight.window, sight.indicators, sight.session_progress)], [recurrent])
        live, signal, trades = self.live.conclude(state.live, sight, opinion, signal_id)
        return SignalStep(replace(state, live=live), (signal, *trades), signal)

    def on_close(self, state: SymbolState, price: float, at: datetime) -> Step:
        """Close the open position of `state` by hand at `price`."""
        live, closed = self.live.close_by_hand(state.live, price, at)
        return Step(replace(state, live=live), (closed,))

    def _outlook(self, state: SymbolState, bar: Bar) -> Outlook | None:
        scene = scene_of(state, bar)
        return None if scene is None else self.look([scene], [self.memories_of(state)])[0]

    def _check_shadow_exits(
        self, state: SymbolState, bar: Bar, day: date | None, *, last_of_session: bool
    ) -> tuple[Book | None, tuple[Signal | Position, ...]]:
        if self.shadow is None or state.shadow is None:
            return None, ()
        return self.shadow.check_exits(state.shadow, bar, session_day=day, last_of_session=last_of_session)


def scene_of(state: SymbolState, bar: Bar) -> Scene | None:
    """What a decision on `bar` looks at; None outside sessions and as long as the window is not warm."""
    started = perf_counter()
    day = state.calendar.session_of(bar.time)
    if day is None or not state.warm:
        return None
    after = state.with_session_bar(bar, day)
    progress = state.calendar.progress(bar.time)
    indicators = indicators_of(after.window)
    features = observation(after.window, indicators, progress)
    return Scene(bar, state, after, progress, indicators, features, (perf_counter() - started) * 1e3)


def _opinions(trader: Trader, scenes: Sequence[Scene], recalled: Sequence[RecurrentState]) -> list[Opinion]:
    recurrent = [
        trader.recurrent_at(memory, new_session=scene.after.session_day != scene.before.session_day)
        for scene, memory in zip(scenes, recalled, strict=True)
    ]
    return trader.ask([scene.features for scene in scenes], recurrent)


def _trade(trader: Trader, book: Book, sight: Sight, opinion: Opinion) -> tuple[Book, Signal, Trades]:
    """One bar's decision of one trader, and the state it carries on from it."""
    signal_id = bar_signal_id(sight.symbol, sight.window.time or sight.timestamp, trader.policy.description.key)
    book, signal, trades = trader.conclude(book, sight, opinion, signal_id)
    return book.after_bar(opinion.before, opinion.after), signal, trades
