"""Table of events: coloured and cut to the width on a terminal, otherwise plain and complete."""

from __future__ import annotations

import math
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.text import Text

from tradingsignals import Event, Position, Signal

_STYLES = {
    "BUY": "bold green",
    "SELL": "bold red",
    "LONG": "green",
    "SHORT": "red",
    "PROFIT": "bold green",
    "LOSS": "bold red",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table: the text of each column."""

    time: str
    symbol: str
    label: str
    remark: str = ""
    confidence: str = ""
    entry: str = ""
    stop: str = ""
    target: str = ""
    until: str = ""

    def text(self, style: str = "") -> Text:
        """Format the line; the color of the label depends on its text."""
        return Text.assemble(
            f"{self.time:<16}  {self.symbol:<8}  ",
            (f"{self.label:<6}", _STYLES.get(self.label, "")),
            f"{self.confidence:>7}{self.entry:>12}{self.stop:>12}{self.target:>12}  {self.until:<6}  {self.remark}",
            style=style,
        )


class EventTable:
    """Prints signals as they are made, and positions as they open and close."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._simulated_noted = False

    def head(self, title: str) -> None:
        """Print the title and the names of the columns."""
        self.remark(title)
        names = _Row("TIME (UTC)", "SYMBOL", "", "WHY", "CONF", "ENTRY", "STOP", "TARGET", "UNTIL")
        self._line(names.text("dim"))

    def remark(self, text: str) -> None:
        """Print a line about the stream itself."""
        self._line(Text(text, style="dim italic"))

    def show(self, event: Event) -> None:
        """Print a line for a signal, or for a position that has opened or closed; ignore other events."""
        match event.WhichOneof("payload"):
            case "signal":
                self._mark_simulated(event.signal.simulated)
                self._line(_signal_row(event.signal).text("dim" if event.signal.action == Signal.HOLD else ""))
            case "position_update" if event.position_update.status == Position.CLOSED:
                self._line(_closing_row(event.position_update).text())
            case "position_update" if event.position_update.bars_held == 0:
                self._mark_simulated(event.position_update.simulated)
                self._line(_opening_row(event.position_update).text())

    def _mark_simulated(self, simulated: bool) -> None:
        if simulated and not self._simulated_noted:
            self._simulated_noted = True
            self.remark("simulated: the market or the predictions are made up, not for real money")

    def _line(self, text: Text) -> None:
        if self._console.is_terminal:
            self._console.print(text, no_wrap=True, overflow="ellipsis")
        else:
            self._console.print(text, soft_wrap=True)


def _signal_row(signal: Signal) -> _Row:
    return _Row(
        _minute(signal.timestamp),
        signal.symbol,
        Signal.Action.Name(signal.action),
        # The first sentence is the confidence, which has a column of its own.
        "; ".join(signal.reasoning[1:] or signal.reasoning),
        confidence=f"{signal.confidence:.1%}",
        entry=_price(signal.entry_price),
        stop=_price(signal.stop_loss) if signal.HasField("stop_loss") else "",
        target=_price(signal.take_profit) if signal.HasField("take_profit") else "",
        until=_until(signal),
    )


def _opening_row(position: Position) -> _Row:
    return _Row(
        _minute(position.entry_time),
        position.symbol,
        _side(position),
        f"opened with {position.position_size:.2%} of equity",
        entry=_price(position.entry_price),
        stop=_price(position.stop_loss),
        target=_price(position.take_profit),
    )


def _closing_row(position: Position) -> _Row:
    pnl, reason = position.current_pnl, Position.ExitReason.Name(position.exit_reason).lower().replace("_", " ")
    return _Row(
        _minute(position.exit_time),
        position.symbol,
        "PROFIT" if pnl > 0 else "LOSS" if pnl < 0 else "EVEN",
        f"{_side(position).lower()} closed at {_price(position.exit_price)} by {reason}: "
        f"{_signed(pnl, _decimals(position.entry_price))}, {_signed(position.current_pnl_pct)}%, "
        f"{_signed(position.r_multiple)} R, {_signed(position.current_pnl_account)} on the account",
        entry=_price(position.entry_price),
    )


def _until(signal: Signal) -> str:
    """Return the time before which a signal may be acted on, with a + if it is on a later day; never: at no time."""
    if not signal.HasField("valid_until"):  # the service is older
        return ""
    made, until = signal.timestamp.ToDatetime(), signal.valid_until.ToDatetime()
    if until <= made:
        return "never"
    return until.strftime("%H:%M" if until.date() == made.date() else "%H:%M+")


def _minute(time: Timestamp) -> str:
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M")


def _side(position: Position) -> str:
    return "LONG" if position.action == Signal.BUY else "SHORT"


def _price(price: float) -> str:
    """Format a price with the number of decimals that is usual for its magnitude."""
    return f"{price:,.{_decimals(price)}f}"


def _decimals(price: float) -> int:
    """Return 2 decimals from 100 on, 5 from 0.1 on, and below that as many as show five significant digits."""
    if price >= 100.0:
        return 2
    return max(5, 4 - math.floor(math.log10(price)))


def _signed(value: float, decimals: int = 2) -> str:
    """Format a number with its sign; a number that rounds to 0 is +0.00, never -0.00."""
    return f"{round(value, decimals) + 0.0:+,.{decimals}f}"
