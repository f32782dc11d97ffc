"""Explanations and replays of stored signals, for callers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from ...domain.bars import Bar
from ...domain.decision_settings import UnreadableSettings, parse_settings
from ...domain.errors import (
    Overloaded,
)
from ...domain.events import Disposition, MarketUpdate
from ...domain.signal_errors import InputsNotStored, SignalNotFound
from ...domain.signals import Signal
from ...domain.values import dataclass
from ..ports.inputs import SignalInputs, StoredSignal
from ..ports.policy import Policy
from ..ports.store import Store
from .differences import CauseKind, FieldDifference, ReplayCause, bar_causes
from .explanation import SignalExplanation, explain
from .remake import Material
from .replay import SignalReplay, is_window_intact, replay

FindPolicy = Callable[[str], Policy | None]
"""Loads the policy with a key (PolicyDescription.key), None if its file is not available. It may take a second."""

MOST_PENDING = 32
"""Explanations and replays that wait for the one that is computed."""
KEPT_POLICIES = 2
"""Policies that are kept for further explanations, the newest ones."""

DECIDED_ON = frozenset({Disposition.ACCEPTED, Disposition.WARMING_UP, Disposition.OTHER_INTERVAL})
NOT_STORED = "Inputs: they are not stored, because the signal is older than SIGNAL_RETENTION_DAYS or this version"


@dataclass(frozen=True, slots=True)
class Decoders:
    """Read the messages of the log: of a signal, and of a stored bar."""

    signal: Callable[[bytes], Signal]
    market_update: Callable[[bytes], MarketUpdate]


@dataclass(frozen=True, slots=True)
class Explained:
    """A stored signal with its explanation."""

    stored: StoredSignal
    explanation: SignalExplanation


@dataclass(frozen=True, slots=True)
class Replayed:
    """A stored signal with its replay."""

    stored: StoredSignal
    replay: SignalReplay


class SignalExplainer:
    """Explains and replays stored signals, one at a time, in a thread: it takes tens of milliseconds.

    Its policies are its own, because a policy serves one caller at a time, and the engine's is in use.
    """

    def __init__(self, store: Store, find_policy: FindPolicy, decoders: Decoders) -> None:
        self._store = store
        self._find_policy = find_policy
        self._decode = decoders
        self._policies: dict[str, Policy] = {}
        self._one_at_a_time = asyncio.Lock()
        self._computing = threading.Lock()
        """A call that was cancelled leaves its thread running."""
        self._pending = 0

    async def explain(self, signal_id: UUID) -> Explained:
        """Say why a signal was given, as far as that is known.

        Raises:
            SignalNotFound: there is no signal with this id.
            Overloaded: too many explanations and replays are pending.
        """
        async with self._turn():
            stored = await self._stored(signal_id)
            if stored.inputs is None:
                return Explained(stored, SignalExplanation(missing=(NOT_STORED,)))
            try:
                material = await self._material(stored, stored.inputs)
            except UnreadableSettings as error:
                return Explained(stored, SignalExplanation(missing=(f"Settings: {error}",)))
            return Explained(stored, await asyncio.to_thread(self._explain, material))

    async def replay(self, signal_id: UUID) -> Replayed:
        """Make a signal again from what is stored, and compare.

        Raises:
            SignalNotFound: there is no signal with this id.
            InputsNotStored: what it was made from is not stored.
            Overloaded: too many explanations and replays are pending.
        """
        async with self._turn():
            stored = await self._stored(signal_id)
            if stored.inputs is None:
                raise InputsNotStored(str(signal_id))
            try:
                material = await self._material(stored, stored.inputs)
            except UnreadableSettings as error:
                difference = FieldDifference("settings", stored.inputs.settings_id.hex(), "")
                cause = ReplayCause(CauseKind.SETTINGS, f"the settings in force at the signal: {error}")
                return Replayed(stored, SignalReplay((difference,), (cause,)))
            altered = await self._altered(material)
            return Replayed(stored, await asyncio.to_thread(self._replay, material, altered))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._pending >= MOST_PENDING:
            raise Overloaded(MOST_PENDING)
        self._pending += 1
        try:
            async with self._one_at_a_time:
                yield
        finally:
            self._pending -= 1

    async def _stored(self, signal_id: UUID) -> StoredSignal:
        stored = await self._store.signal(signal_id)
        if stored is None:
            raise SignalNotFound(None, signal_id=str(signal_id))
        return stored

    async def _material(self, stored: StoredSignal, inputs: SignalInputs) -> Material:
        signal = self._decode.signal(stored.message)
        settings = parse_settings(inputs.settings)
        bars: Sequence[Bar] = ()
        if signal.bar_time is not None and inputs.window_bars:
            bars = await self._store.bars_until(signal.symbol, signal.bar_time, inputs.window_bars)
        trades = await self._store.closed_trades(signal.symbol, stored.sequence)
        return Material(signal, inputs, settings, bars, trades)

    async def _altered(self, material: Material) -> list[ReplayCause]:
        """Compare the bars of the window with the log, if they are not those that the signal was made from."""
        inputs, newest = material.inputs, material.signal.bar_time
        if is_window_intact(inputs, material.bars) or inputs.first_bar is None or newest is None:
            return []
        first = datetime.fromtimestamp(inputs.first_bar, UTC)
        logged = map(self._decode.market_update, await self._store.logged_bars(material.signal.symbol, first, newest))
        original = [update.bar for update in logged if update.disposition in DECIDED_ON]
        return bar_causes([bar for bar in material.bars if bar.time >= first], original)

    def _explain(self, material: Material) -> SignalExplanation:
        with self._computing:
            return explain(material, self._policy(material.settings.policy))

    def _replay(self, material: Material, altered: Sequence[ReplayCause]) -> SignalReplay:
        with self._computing:
            return replay(material, self._policy(material.settings.policy), altered)

    def _policy(self, key: str) -> Policy | None:
        found = self._policies.pop(key, None) or self._find_policy(key)
        if found is not None:
            self._policies[key] = found
            while len(self._policies) > KEPT_POLICIES:
                del self._policies[next(iter(self._policies))]
        return found
