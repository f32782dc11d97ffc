"""Outcomes: what each BUY and SELL was worth, acted on or not, from its fill to its resolution."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from .positions import ExitReason, Position
from .signals import Action, Origin
from .values import dataclass

_NAMESPACE = uuid5(NAMESPACE_URL, "tradingsignals.v1.Outcome")


class Fill(StrEnum):
    """Price at which a signal is taken to be filled. Names are those of tradingsignals.v1.Outcome.Fill."""

    CLOSE = "CLOSE"
    """At the signal's own price, which for the signal of a bar is the close of the bar."""
    NEXT_OPEN = "NEXT_OPEN"
    """At the open of the next bar of a session: the first price that a follower of the signal could get."""


class Resolution(StrEnum):
    """How an outcome ended. Names are those of tradingsignals.v1.Outcome.Resolution."""

    TARGET = "TARGET"
    STOP = "STOP"
    TRAILING = "TRAILING"
    REVERSED = "REVERSED"
    TIME_LIMIT = "TIME_LIMIT"
    SESSION_END = "SESSION_END"
    MANUAL = "MANUAL"
    EXPIRED = "EXPIRED"


RESOLUTION_OF = {
    ExitReason.TAKE_PROFIT: Resolution.TARGET,
    ExitReason.STOP_LOSS: Resolution.STOP,
    ExitReason.TRAILING_STOP: Resolution.TRAILING,
    ExitReason.REVERSED: Resolution.REVERSED,
    ExitReason.TIME_LIMIT: Resolution.TIME_LIMIT,
    ExitReason.SESSION_END: Resolution.SESSION_END,
    ExitReason.MANUAL: Resolution.MANUAL,
}
"""The resolution that each reason of an exit is; EXPIRED is none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a BUY or SELL under one fill. HOLD has none.

    Prices are in quote currency, `gross_pct` (before costs) and `net_pct` (after them) in percent of the entry price,
    `pnl_account` net in account currency, `size` a fraction of equity. `r_multiple` is the net profit over the distance
    from entry to stop; `mfe_r` and `mae_r` are the largest moves in favor and against, before costs, over the same
    distance, both >= 0. `confidence` and `win_probability` are 0..1, the latter None if the model is not calibrated.

    model_key: key of the policy that made the signal, "" if the record of the signal does not have it.
    shadow: a shadow policy made the signal, so nothing was traded.
    acted: the signal opened a position; with fill CLOSE the outcome is that position's exit.
    bars_held: bars from the fill to the exit.
    rules_version: LEDGER_VERSION of the rules by which it was followed.
    """

    outcome_id: UUID
    signal_id: UUID
    symbol: str
    action: Action
    model_version: str
    model_key: str
    shadow: bool
    acted: bool
    simulated: bool
    origin: Origin
    confidence: float
    win_probability: float | None
    size: float
    fill: Fill
    entry_time: datetime
    entry_price: float
    stop_loss: float
    take_profit: float
    exit_time: datetime
    exit_price: float
    resolution: Resolution
    r_multiple: float
    gross_pct: float
    net_pct: float
    pnl_account: float
    mfe_r: float
    mae_r: float
    bars_held: int
    rules_version: int

    @property
    def seconds_to_resolve(self) -> float:
        """Time from the fill to the exit, in seconds, >= 0."""
        return (self.exit_time - self.entry_time).total_seconds()

    @property
    def won(self) -> bool:
        """Whether there is a profit after costs."""
        return self.net_pct > 0.0


def outcome_id(signal_id: UUID, fill: Fill, *, shadow: bool) -> UUID:
    """Return the id of an outcome. A policy that is live and shadow at once makes two signals of one id."""
    return uuid5(_NAMESPACE, f"{signal_id}|{fill}{'|shadow' if shadow else ''}")


def gross_pct(position: Position) -> float:
    """Return the move from the entry to the newest price in the direction of the position, in percent of the entry."""
    move = position.action.direction * (position.current_price - position.entry_price)
    return 100.0 * move / position.entry_price + 0.0
