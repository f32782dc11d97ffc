"""The inputs of a signal, as they are stored with it: enough to explain it, and to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from ...domain.protections import AccountAtDecision
from ...domain.signals import Action
from ...domain.values import dataclass


@dataclass(frozen=True, slots=True)
class HeldAtDecision:
    """An open position as a decision depends on it. `pnl_pct` is net, in percent of the entry price."""

    action: Action
    entry_time: datetime
    pnl_pct: float
    r_multiple: float
    bars_held: int


@dataclass(frozen=True, slots=True)
class SignalInputs:
    """What a signal was made from. Bars, model and closed positions are stored elsewhere, and named here.

    settings_id, settings: hash and text of the settings in force; see domain.decision_settings.
    window_bars: number of closed bars that the decision rests on; the newest is the one of Signal.bar_time.
    indicator_bars: number of bars of the indicators, with the quote.
    first_bar: open of the oldest of these bars, in seconds since 1970; None without a bar.
    window_hash: of these bars.
    state: recurrent state that the inference started from (RecurrentState.to_bytes), empty if it is zeros.
    state_hash, next_state_hash: of the states before and after the inference.
    held: the open position that the policy and the rules saw.
    quote: the values of a requested signal that its caller gave, by the name of their field; None without a quote.
    awaits_market: the quote came before the first bar of a market whose time is that of its bars.
    account: what the protections looked at, None if they did not.
    """

    signal_id: UUID
    settings_id: bytes
    settings: str
    window_bars: int
    indicator_bars: int
    first_bar: int | None
    window_hash: bytes
    state: bytes
    state_hash: bytes
    next_state_hash: bytes
    held: HeldAtDecision | None = None
    quote: Mapping[str, float] | None = None
    awaits_market: bool = False
    account: AccountAtDecision | None = None


@dataclass(frozen=True, slots=True)
class StoredSignal:
    """A stored signal: its encoded message, its sequence, and its inputs, None if none are stored."""

    message: bytes
    sequence: int
    inputs: SignalInputs | None
