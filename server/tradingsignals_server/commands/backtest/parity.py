"""`tradingsignals parity`: a backtest of the stored bars against what the service made of them, bar by bar."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from rich.console import Console

from tradingsignals.v1 import signal_pb2

from ...adapters.postgres.bar_history import bar_history
from ...adapters.postgres.live_record import LiveRecord, live_record
from ...api.mapping.to_proto import signal_message
from ...application.backtest.columns import BarColumns
from ...application.backtest.differences import Difference, first_difference
from ...application.backtest.engine import ProcessedBar
from ...application.backtest.run import BacktestRun, NothingToTest
from ...bootstrap.backtest import backtest_plan, load_policy
from ...bootstrap.storage import readable_database
from ...domain.events import Disposition
from ...domain.positions import Position
from ...domain.signals import Signal
from ...domain.symbols import parse_symbol
from .display import BacktestDisplay
from .options import BacktestOptions

DIFFERENT = 3
"""Exit code if something differs."""

_NOT_COMPARED = {"sequence", "latency_ms"}
"""Fields of a signal that depend on when and where it was made."""

_OF_MODEL = ("signal_id", "model_version", "model_type")
_OF_BARS = ("technical_factors", "market_regime", "trend_direction", "entry_price")
_OF_OUTPUT = ("probabilities",)


@dataclass(frozen=True, slots=True)
class ParityFailure:
    """The first thing that differs: at which bar, what of it, and the most likely reason."""

    processed: ProcessedBar
    what: str
    difference: Difference
    why: str


class _Stop(Exception):
    """Ends a run at the first difference."""


class LiveComparison:
    """Compares each bar of a backtest with the record of the service."""

    def __init__(self, live: LiveRecord, options: BacktestOptions) -> None:
        self._live = live
        self._start = options.start
        self.signals = self.positions = 0
        self.failure: ParityFailure | None = None

    def take(self, processed: ProcessedBar) -> None:
        """Compare what a bar led to.

        Raises:
            _Stop: something differs.
        """
        if self._start is not None and processed.bar.time < self._start:
            return
        key = processed.bar.symbol, processed.bar.time
        signal = None if processed.step is None else processed.step.signal
        sent = self._live.signals.get(key)
        if signal is None or sent is None:
            if signal is not None or sent is not None:
                self._fail(processed, "signal", Difference("", _is_there(sent), _is_there(signal)))
            return
        self.signals += 1
        if (difference := signal_difference(sent, signal)) is not None:
            self._fail(processed, "signal", difference)
        for event in processed.step.events if processed.step is not None else ():
            if isinstance(event, Position) and event.exit is not None:
                self._compare_position(processed, event)

    def _compare_position(self, processed: ProcessedBar, position: Position) -> None:
        self.positions += 1
        stored = self._live.positions.get(position.position_id)
        difference = first_difference(stored, position)
        if difference is not None:
            self._fail(processed, "position", difference if stored else Difference("", "none", "one"))

    def _fail(self, processed: ProcessedBar, what: str, difference: Difference) -> None:
        why = self._reason(processed, difference)
        self.failure = ParityFailure(processed, what, difference, why)
        raise _Stop

    def _reason(self, processed: ProcessedBar, difference: Difference) -> str:
        bar, field = processed.bar, difference.field
        if (late := self._live.late_until(bar.symbol, bar.time)) is not None:
            at, received = late
            return f"late bar: that of {at:%Y-%m-%d %H:%M} came at {received:%Y-%m-%d %H:%M:%S}, after newer ones"
        if field.startswith(_OF_MODEL):
            return "other model: the service decided with another model file"
        if any(at <= bar.close_time for at in self._live.interventions.get(bar.symbol, ())):
            return "request in between: a requested signal or a call changed a position before"
        if field.startswith(_OF_BARS):
            return "other bars before it: the service had not the same history when it decided"
        if field.startswith(_OF_OUTPUT):
            return "other recurrent state or model: the same features led to other probabilities"
        if not field:
            taken = self._live.bars.get((bar.symbol, bar.time))
            how = Disposition.DUPLICATE if taken is None else taken.disposition
            return f"other history: the service took the bar as {how}"
        return "other settings: the same probabilities led to another decision"


def signal_difference(sent: bytes, signal: Signal) -> Difference | None:
    """Return the first field of the contract in which a stored signal and one of a backtest differ."""
    stored = signal_pb2.Signal.FromString(sent)
    made = signal_message(signal, stored.sequence)
    one, other = _fields(stored), _fields(made)
    for name in _in_order(stored):
        if one.get(name) != other.get(name):
            return Difference(name, str(one.get(name, "absent")), str(other.get(name, "absent")))
    return None


def _fields(message: Message) -> Mapping[str, Any]:
    return {field.name: value for field, value in message.ListFields()}


def _in_order(message: Message) -> list[str]:
    """Return the names of the fields, those first that say more about the reason of a difference."""
    names = [field.name for field in message.DESCRIPTOR.fields if field.name not in _NOT_COMPARED]
    telling = [name for group in (_OF_MODEL, _OF_BARS, _OF_OUTPUT) for name in names if name.startswith(group)]
    return list(dict.fromkeys([*telling, *names]))


def _is_there(value: object) -> str:
    return "none" if value is None else "one"


async def parity(options: BacktestOptions, *, skip_late: bool, console: Console | None = None) -> int:
    """Compare, print the result and return the exit code.

    Args:
        options: the period, the symbols, the model and the settings.
        skip_late: leave out bars that came late, as the service did.
        console: where to print; default: standard output.

    Raises:
        NothingToTest: the service has stored no bars.
        InvalidSettings: a setting is impossible.
        StorageUnavailable, DatabaseRefused, EmbeddedPostgresError: the database cannot be read.
    """
    console, settings = console or Console(), options.settings()
    policy = load_policy(settings)
    symbols = tuple(parse_symbol(symbol) for symbol in options.symbols)
    with BacktestDisplay(console) as display:
        async with readable_database(settings) as dsn:
            live = await live_record(dsn, symbols, None, options.end)
            columns = await BarColumns.read(bar_history(dsn, symbols, None, options.end))
        if skip_late:
            columns = columns.where(lambda bar: live.bars[bar.symbol, bar.time].disposition is not Disposition.LATE)
        if not len(columns):
            raise NothingToTest("the service has stored no bars")
        comparison = LiveComparison(live, options)
        plan = backtest_plan(settings, policy, "stored bars", compare=False, resamples=0)
        with suppress(_Stop):
            await BacktestRun(plan, comparison.take).run(columns.chunks(), len(columns), display.progress)
    return _report(console, comparison)


def _report(console: Console, comparison: LiveComparison) -> int:
    if (found := comparison.failure) is None:
        console.print(
            f"equal: {comparison.signals:,} signals and {comparison.positions:,} closed positions are those of a "
            "backtest, in every field",
            style="green",
            highlight=False,
        )
        return 0
    bar, difference = found.processed.bar, found.difference
    field = f", field {difference.field}" if difference.field else ""
    console.print(
        f"different from the bar of {bar.symbol} at {bar.time:%Y-%m-%d %H:%M} UTC on, after {comparison.signals:,} "
        f"signals: {found.what}{field}: live {difference.one}, backtest {difference.other}\n{found.why}",
        style="bold red",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return DIFFERENT
