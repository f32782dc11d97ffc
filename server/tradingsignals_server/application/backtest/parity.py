"""A backtest of stored bars against what the service made of them: the first field that differs, and why."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from ...domain.account import Account
from ...domain.bars import Bar
from ...domain.equity import AccountFold, EquityPoint
from ...domain.events import Disposition, TradingControl
from ...domain.ledger import Ledger
from ...domain.outcomes import Outcome
from ...domain.positions import Position
from ...domain.signals import Signal
from ...domain.values import dataclass
from .differences import Difference, first_difference
from .engine import ProcessedBar
from .live_order import unordered_commits
from .live_record import LiveRecord
from .opening import Opening

SignalDifference = Callable[[bytes, Signal], Difference | None]
"""Returns the first field in which a signal that was sent and one of a backtest differ."""

OF_MODEL = ("signal_id", "model_version", "model_type")
OF_BARS = ("technical_factors", "market_regime", "trend_direction", "entry_price")
OF_OUTPUT = ("probabilities",)

ACCOUNT = "account"
"""What differs if it is the account, to which all symbols contribute."""

SETTINGS = "other settings"
"""Begin of the reason that is given if nothing else explains a difference."""


class Differs(Exception):
    """Ends a comparison at the first difference."""


@dataclass(frozen=True, slots=True)
class ParityFailure:
    """The first thing that differs: at which bar, what of it, and the most likely reason."""

    symbol: str
    time: datetime
    what: str
    difference: Difference
    why: str


@dataclass(frozen=True, slots=True)
class Compared:
    """How much was compared, up to the end or the first difference. equity: closes of bars."""

    signals: int = 0
    positions: int = 0
    outcomes: int = 0
    equity: int = 0


class LiveComparison:
    """Compares what each bar of a backtest led to with what the service has stored of it.

    Args:
        live: what is stored.
        opening: what the backtest begins with.
        ledger: of the live policy, with the open entries of `opening`; nothing else changes it.
        difference: compares signals.
        start: begin of the period, None for the first stored bar.
        ends: the backtest ends with the newest stored bar.
        skips_late: late bars are left out.
    """

    def __init__(
        self,
        live: LiveRecord,
        opening: Opening,
        ledger: Ledger,
        difference: SignalDifference,
        *,
        start: datetime | None,
        ends: bool,
        skips_late: bool,
    ) -> None:
        self.compared = Compared()
        self.failure: ParityFailure | None = None
        self.account_left_out = "symbols are left out" if live.other_symbols else ""
        self._live, self._opening, self._ledger, self._difference = live, opening, ledger, difference
        self._start, self._ends, self.skips_late = start, ends, skips_late
        self._fold = AccountFold(opening.account, ledger.calendar_of)
        self._through: dict[str, Bar] = {}
        self._newest: Bar | None = None
        self._places: list[int | None] = []
        self._unordered, self._is_ordered = unordered_commits(live), True
        self._pending = _by_exit(live, opening.resolved)

    @property
    def account(self) -> Account:
        """The account after the bars compared."""
        return self._fold.account

    def take(self, processed: ProcessedBar) -> None:
        """Compare what a bar led to.

        Raises:
            Differs: something does; `failure` says what.
        """
        bar, step = processed.bar, processed.step
        if self.account.as_of is None or bar.close_time > self.account.as_of:
            self._compare_equity()
        self._through[bar.symbol] = self._newest = bar
        taken = self._live.bars[bar.symbol, bar.time]
        sequence = taken.sequence
        self._places.append(sequence)
        self._is_ordered &= taken.received_at not in self._unordered
        signal = None if step is None else step.signal
        self._compare_signal(bar, signal)
        if step is None:
            return
        resolved = list[Outcome]()
        for event in step.events:
            resolved += self._ledger.apply(event)
            self._fold.apply(event)
            if isinstance(event, Position) and event.exit is not None:
                self._compare_position(bar, event)
        if self._live.log.has_followed(sequence):
            self._compare_outcomes(bar, resolved)

    def take_control(self, control: TradingControl) -> None:
        """Let the account take in that trading was halted or resumed."""
        self._fold.apply(control)

    def finish(self) -> None:
        """Compare what is left after the last bar: open positions, and the account.

        Raises:
            Differs: something does.
        """
        self._compare_equity()
        for position in self.account.open_positions.values():
            last = self._through.get(position.symbol)
            if last is not None:
                self._compare_open(last, position)
        self._compare_account()

    # --------------------------------------------------------------------------------------------------- comparisons

    def _compare_signal(self, bar: Bar, signal: Signal | None) -> None:
        sent = self._live.signals.get((bar.symbol, bar.time))
        if signal is None or sent is None:
            if signal is not None or sent is not None:
                self._fail(bar, "signal", Difference("", _is_there(sent), _is_there(signal)))
            return
        self._check(bar, "signal", self._difference(sent, signal))
        self._count("signals")

    def _compare_position(self, bar: Bar, position: Position) -> None:
        stored = self._live.positions.get(position.position_id)
        if stored is None:
            self._fail(bar, "position", Difference("", "none", "one"))
        self._check(bar, "position", first_difference(stored, position))
        self._count("positions")

    def _compare_open(self, last: Bar, position: Position) -> None:
        """Compare a position that is open at the end. What is stored of it is as of its newest mark or its exit."""
        stored = self._live.positions.get(position.position_id)
        if stored is None:
            self._fail(last, "position", Difference("", "none", "one"))
        ended = stored is not None and stored.exit is not None and stored.exit.time <= last.close_time
        if ended or (self._ends and stored is not None and stored.exit is None):
            whole = self._opening.whole(position, self._live)
            self._check(last, "position", first_difference(stored, whole))

    def _compare_outcomes(self, bar: Bar, resolved: list[Outcome]) -> None:
        pending = self._pending.get(bar.symbol, {})
        for made in resolved:
            stored = pending.pop(made.outcome_id, None)
            if stored is None:
                self._fail(bar, "outcome", Difference("", "none", _named(made)))
            elif not stored.model_key:  # of a signal whose inputs are pruned, or were never stored
                stored = replace(stored, model_key=made.model_key)
            self._check(bar, f"outcome of {_named(made)}", first_difference(stored, made))
            self._count("outcomes")
        # They are in the order of their exits.
        left = next(iter(pending.values()), None)
        if left is not None and left.exit_time < bar.close_time:
            self._fail(bar, "outcome", Difference("", _named(left), "none"))

    def _compare_equity(self) -> None:
        """Compare the account at the newest close, once all bars that closed then are processed."""
        point, newest = self._point(), self._newest
        places, self._places = self._places, []
        is_ordered, self._is_ordered = self._is_ordered, True
        if point is None or newest is None or not all(map(self._live.log.has_followed, places)):
            return
        if self.account_left_out or not is_ordered:
            return
        stored = self._live.equity.get(point.time)
        if stored is None:
            self._fail(newest, ACCOUNT, Difference("equity", "none", f"{point.equity}"))
        self._check(newest, ACCOUNT, first_difference(stored, point))
        self._count("equity")

    def _point(self) -> EquityPoint | None:
        points = self._fold.take_points()
        return points[-1] if points else None

    def _compare_account(self) -> None:
        stored, newest = self._live.account, self._newest
        is_current = self._ends and self._live.log.has_followed(self._live.log.newest)
        if stored is None or newest is None or not is_current or self.account_left_out:
            return
        one, other = (replace(account, open_positions={}) for account in (stored.account, self.account))
        self._check(newest, ACCOUNT, first_difference(one, other))

    def _count(self, what: str) -> None:
        self.compared = replace(self.compared, **{what: attrgetter(what)(self.compared) + 1})

    # ------------------------------------------------------------------------------------------------------- reasons

    def _check(self, bar: Bar, what: str, difference: Difference | None) -> None:
        if difference is not None:
            self._fail(bar, what, difference)

    def _fail(self, bar: Bar, what: str, difference: Difference) -> None:
        why = self._reason(bar, what, difference.field)
        self.failure = ParityFailure(bar.symbol, bar.time, what, difference, why)
        raise Differs

    def _reason(self, bar: Bar, what: str, name: str) -> str:
        live, symbol = self._live, bar.symbol
        late = None if self.skips_late else live.late_until(symbol, self._start, bar.time)
        if late is not None:
            at, received = late
            return f"late bar: that of {at:%Y-%m-%d %H:%M} came at {received:%Y-%m-%d %H:%M:%S}, after newer ones"
        if (missing := live.missing_until(symbol, bar.time)) is not None:
            return f"missing bar: the service took that of {missing:%Y-%m-%d %H:%M}, and it is not stored any more"
        if name.startswith(OF_MODEL) and what == "signal":
            return "other model: the service decided with another model file"
        if (request := self._request_before(bar, what)) is not None:
            return request
        if what == "signal":
            return self._reason_of_signal(bar, name)
        if name == "rules_version":
            return "other rules of outcomes: run `tradingsignals ledger rebuild`"
        return f"{SETTINGS}: the same signals led to another result"

    def _reason_of_signal(self, bar: Bar, name: str) -> str:
        if name.startswith(OF_BARS):
            return "other bars before it: the service had not the same history when it decided"
        if name.startswith(OF_OUTPUT):
            return "other recurrent state or model: the same features led to other probabilities"
        if not name:
            how = self._live.bars[bar.symbol, bar.time].disposition
            return f"other history: the service took the bar as {how}"
        return f"{SETTINGS}: the same probabilities led to another decision"

    def _request_before(self, bar: Bar, what: str) -> str | None:
        """Say what changed the symbol, or the account, in the period up to the bar after this one."""
        live, until = self._live, self._live.next_bar((bar.symbol, bar.time))

        def is_in_period(place: int) -> bool:
            return self._opening.sequence <= place < until

        of_account = itertools.chain.from_iterable(live.interventions.values())
        if any(map(is_in_period, of_account if what == ACCOUNT else live.interventions.get(bar.symbol, ()))):
            return "request in between: a requested signal or a call changed a position before"
        if any(is_in_period(place) for place, _ in live.controls):
            return "request in between: trading was halted or resumed before"
        return None


def is_of_period(bar: Bar, live: LiveRecord, start: datetime | None, opening: Opening) -> bool:
    """Return whether a bar is compared: it is of the period, or the log has it behind the begin of the period."""
    if start is None or bar.time >= start:
        return True
    taken = live.bars[bar.symbol, bar.time]
    return taken.disposition is not Disposition.LATE and (taken.sequence or 0) >= opening.sequence


def _by_exit(live: LiveRecord, resolved: frozenset[UUID]) -> Mapping[str, dict[UUID, Outcome]]:
    """Return the outcomes that are not resolved at the begin, by symbol and id, in the order of their exits."""
    found: dict[str, dict[UUID, Outcome]] = {}
    for outcome in sorted(live.outcomes.values(), key=attrgetter("exit_time")):
        if outcome.outcome_id not in resolved:
            found.setdefault(outcome.symbol, {})[outcome.outcome_id] = outcome
    return found


def _named(outcome: Outcome) -> str:
    return f"{outcome.action} at {outcome.entry_time:%Y-%m-%d %H:%M}, {outcome.fill}"


def _is_there(value: object) -> str:
    return "none" if value is None else "one"
