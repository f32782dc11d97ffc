"""An engine that runs on a store in memory, and policies with scripted outputs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.symbol_state import NO_STATE
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.ingest.account_guard import AccountSource
from tradingsignals_server.application.ingest.engine import Engine
from tradingsignals_server.application.ingest.states import MAX_SYMBOLS
from tradingsignals_server.application.ports.clock import Clock
from tradingsignals_server.application.ports.observer import EngineObserver
from tradingsignals_server.application.ports.ownership import Ownership
from tradingsignals_server.application.ports.policy import Policy, PolicyDescription, PolicyOutput
from tradingsignals_server.application.ports.store import StoredSymbol
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import SessionCalendar, calendar_for
from tradingsignals_server.domain.errors import ServiceError
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate, Receipt, SymbolEvent, TradingControl
from tradingsignals_server.domain.features import M5_V1, Features, Observation
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.outcomes import Outcome
from tradingsignals_server.domain.recurrent_state import RecurrentState
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action, Probabilities, Signal

from .builders import SURE, now
from .deadlines import DEADLINE
from .memory_store import MemoryStore

T = TypeVar("T")

Script = Callable[[Observation], Probabilities | None]


class ScriptedPolicy:
    """A policy whose output is a function of the observation. It has no recurrent state."""

    def __init__(self, script: Script, version: str = "v1", interval: timedelta = DEFAULT_INTERVAL) -> None:
        self.description = PolicyDescription(version=version, type="test", mode="onnx", interval=interval)
        self.features: Features = M5_V1
        self._script = script

    def initial_state(self) -> RecurrentState:
        """See Policy."""
        return NO_STATE

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """See Policy."""
        return self._script(observation), state

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        """See Policy."""
        return [self.decide(row, state) for row, state in zip(observations, states, strict=True)]


def always(action: Action, interval: timedelta = DEFAULT_INTERVAL) -> ScriptedPolicy:
    """Return a policy for bars of `interval` that always prefers the same action."""
    return ScriptedPolicy(lambda _: SURE[action], interval=interval)


def in_turn(*actions: Action) -> ScriptedPolicy:
    """Return a policy that prefers the actions in turn, and then holds."""
    left: Iterator[Action] = iter(actions)
    return ScriptedPolicy(lambda _: SURE[next(left, Action.HOLD)])


def following() -> ScriptedPolicy:
    """Return a policy whose output depends on the whole observation, and often changes sides."""

    def probabilities(observation: Observation) -> Probabilities:
        features = dict(zip(M5_V1.names, observation.tolist(), strict=True))
        score = features["return_3"] * 3 + features["macd_histogram"] + sum(features.values()) * 1e-3
        share = 0.99 - 0.98 / (1.0 + min(abs(score), 100.0) * 10.0)
        buy, sell = (share, 0.0) if score > 0 else (0.0, share)
        return Probabilities(1.0 - share, buy, sell)

    return ScriptedPolicy(probabilities)


class PausingStore(MemoryStore):
    """A store whose next read of a symbol takes until `resume` is set, once `pauses` is True.

    `paused` is set when the read has been made, and its result is about to be returned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pauses = False
        self.paused, self.resume = asyncio.Event(), asyncio.Event()

    async def load_symbol(self, symbol: str, session_bars: int, live: str, shadow: str | None) -> StoredSymbol:
        """See Store."""
        found = await super().load_symbol(symbol, session_bars, live, shadow)
        if self.pauses:
            self.pauses = False
            self.paused.set()
            await self.resume.wait()
        return found


@dataclass
class Running:
    """A running engine, and its parts."""

    engine: Engine
    pipeline: Pipeline
    log_tail: LogTail
    store: MemoryStore
    writer: asyncio.Task[None]

    async def publish(self, bars: Sequence[Bar]) -> list[Receipt]:
        """Publish bars, none of which may be refused."""
        receipts = []
        for result in await self.engine.publish(bars):
            assert isinstance(result, Receipt), result
            receipts.append(result)
        return receipts

    def signal(self, encoded: bytes) -> Signal:
        """Return the stored signal that the engine returned encoded: the messages of the store are sequences."""
        found = self.store.events[int(encoded) - 1]
        assert isinstance(found, Signal), found
        return found


@asynccontextmanager
async def running_engine(
    store: MemoryStore | None = None,
    policy: Policy | None = None,
    rules: RiskRules | None = None,
    shadow: Policy | None = None,
    ownership: Ownership | None = None,
    clock: Clock = now,
    *,
    market_is_replayed: bool = False,
    calendar_of: Callable[[str], SessionCalendar] = calendar_for,
    max_symbols: int = MAX_SYMBOLS,
    observers: Sequence[EngineObserver] = (),
    accounts: AccountSource | None = None,
) -> AsyncIterator[Running]:
    """Run an engine, and stop it at the end, within the deadline."""
    store = store or MemoryStore()
    log_tail = LogTail(store, await store.log_head())
    rules = rules or RiskRules()
    watched = None if shadow is None else Trader(shadow, rules)
    pipeline = Pipeline(Trader(policy or following(), rules), calendar_of, watched)
    engine = Engine(
        store,
        pipeline,
        log_tail,
        clock,
        ownership=ownership,
        max_symbols=max_symbols,
        is_replayed=lambda _: market_is_replayed,
        observers=observers,
        accounts=accounts,
    )
    writer = asyncio.create_task(engine.run())
    async with asyncio.timeout(DEADLINE):
        try:
            yield Running(engine, pipeline, log_tail, store, writer)
        finally:
            store.gate.set()
            await engine.stop()
            await writer


@asynccontextmanager
async def commit_held_up(running: Running, first: Bar) -> AsyncIterator[asyncio.Task[list[Receipt | ServiceError]]]:
    """Run the body while the commit of `first` is held up; yield the task that publishes it."""
    running.store.gate.clear()
    publisher = asyncio.create_task(running.engine.publish([first]))
    try:
        await running.store.committing.wait()
        yield publisher
    finally:
        running.store.gate.set()


async def started(*work: Coroutine[Any, Any, T]) -> list[asyncio.Task[T]]:
    """Start tasks, and let them run until they wait for something."""
    tasks = [asyncio.create_task(one) for one in work]
    for _ in range(10):
        await asyncio.sleep(0)
    return tasks


@contextmanager
def patched(target: object, name: str, value: object) -> Iterator[None]:
    """Give a constant of a module another value, for tests with hypothesis, which cannot use monkeypatch."""
    before = getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, before)


def dispositions(results: Sequence[Receipt | ServiceError]) -> list[Disposition | str]:
    """Return the disposition of each bar, or the reason why it was refused."""
    return [result.disposition if isinstance(result, Receipt) else result.reason for result in results]


def of_symbol(events: Sequence[Event], symbol: str) -> list[SymbolEvent]:
    """Return the events of one symbol, in their order."""
    of_symbols = [event for event in events if not isinstance(event, TradingControl | Outcome)]
    return [one for one in of_symbols if (one.bar.symbol if isinstance(one, MarketUpdate) else one.symbol) == symbol]
