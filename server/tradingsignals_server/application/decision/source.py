"""What a signal was made from: kept until its commit, which stores the inputs with the signal."""

from __future__ import annotations

from hashlib import blake2b

from ...domain.decision_settings import DecisionSettings
from ...domain.positions import Position
from ...domain.protections import AccountAtDecision
from ...domain.recurrent_state import RecurrentState
from ...domain.signals import Origin, Signal
from ...domain.values import dataclass
from ...domain.window import Window
from ..ports.inputs import HeldAtDecision, SignalInputs
from .inputs import DecisionInput
from .prefetch import Inference

HASH_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class DecisionSource:
    """A signal and what it was made from. The inputs to store are computed only if they are stored.

    held: the open position before the signal acted. history_bars: bars that the features of the policy rest on.
    account: what the protections looked at, None if they did not.
    """

    signal: Signal
    decision_input: DecisionInput
    inference: Inference
    held: Position | None
    settings: DecisionSettings
    history_bars: int
    account: AccountAtDecision | None = None

    def inputs(self) -> SignalInputs:
        """Return what is stored with the signal."""
        found, before = self.decision_input, self.inference.before
        closed = closed_window(found, self.history_bars)
        content = before.to_bytes()
        return SignalInputs(
            signal_id=self.signal.signal_id,
            settings_id=self.settings.id,
            settings=self.settings.text,
            window_bars=len(closed),
            indicator_bars=found.indicator_bars,
            first_bar=None if not len(closed) else int(closed.times[0]),
            window_hash=window_hash(closed),
            state=content if any(content) else b"",
            state_hash=state_hash(before),
            next_state_hash=state_hash(self.inference.after),
            held=None if self.held is None else held_at_decision(self.held),
            quote=found.quoted,
            awaits_market=found.awaits_market,
            account=self.account,
        )


def held_at_decision(position: Position) -> HeldAtDecision:
    """Return an open position as a decision depends on it."""
    return HeldAtDecision(
        position.action, position.entry_time, position.pnl_pct, position.r_multiple, position.bars_held
    )


def closed_window(decision_input: DecisionInput, history_bars: int) -> Window:
    """Return the closed bars that a decision rests on: those of the indicators and of `history_bars` for features."""
    used = decision_input.window.newest(max(decision_input.indicator_bars, history_bars))
    if decision_input.origin is not Origin.REQUEST:
        return used
    return Window(used.rows[:, :-1], used.time, used.limit)


def window_hash(window: Window) -> bytes:
    """Return a hash of prices, volumes and times of bars; equal hashes mean equal bars, to the bit."""
    return blake2b(window.rows.astype("<f8", copy=False).tobytes(), digest_size=HASH_BYTES).digest()


def state_hash(state: RecurrentState) -> bytes:
    """Return a hash of the values of a recurrent state."""
    return blake2b(state.to_bytes(), digest_size=HASH_BYTES).digest()
