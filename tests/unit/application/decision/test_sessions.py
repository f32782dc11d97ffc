"""The state between two bars: the changes by a bar, and its restoration after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.builders import OPENING, bar, position, session_times, walk

from tradingsignals_server.application.decision.symbol_state import Book, SymbolState
from tradingsignals_server.application.ingest.states import LONGEST_SESSION
from tradingsignals_server.application.ports.store import StoredSymbol, StoredTraderState
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.calendar import BogotaCalendar
from tradingsignals_server.domain.positions import Exit, ExitReason, close
from tradingsignals_server.domain.recurrent_state import RecurrentState
from tradingsignals_server.domain.risk import RiskRules, TradeTally
from tradingsignals_server.domain.window import LOOKBACK_BARS, Window

CALENDAR = BogotaCalendar()


def fresh() -> SymbolState:
    return SymbolState("USDCOP", CALENDAR, Window.empty())


def stored_bars(bars: Sequence[Bar], last: Bar | None) -> StoredSymbol:
    """Return the stored state of a symbol that was never traded."""
    return StoredSymbol(bars, last, StoredTraderState(None, (), None), None)


def after(bars: Sequence[Bar]) -> SymbolState:
    """Return the state after session bars, processed one by one."""
    state = fresh()
    for one in bars:
        state = state.with_session_bar(one, CALENDAR.session_of(one.time))
    return state


CLOSED = tuple((OPENING + timedelta(hours=hour), pnl_pct) for hour, pnl_pct in enumerate((1.5, -0.5, 0.0)))
"""Times at which positions ended, and their results in percent."""


def contents(state: SymbolState) -> dict[str, object]:
    """Return the fields of a state in a form that can be compared: arrays as their bytes."""
    found = {field.name: getattr(state, field.name) for field in fields(state)}
    return {**found, "window": (state.window.rows.tobytes(), state.window.time)}


@given(st.lists(st.booleans(), min_size=1, max_size=240), st.integers(0, 240))
def test_restart_restores_the_state_after_the_bars(present: list[bool], simulated: int) -> None:
    times = [time for time, there in zip(session_times(4), present, strict=False) if there]
    bars = walk(len(times), times=times)
    if simulated < len(bars):
        bars[simulated] = bar(bars[simulated].time, simulated=True)
    stored = stored_bars(bars[-LONGEST_SESSION - LOOKBACK_BARS :], bars[-1] if bars else None)
    assert contents(SymbolState.restored("USDCOP", CALENDAR, stored, Book(), None)) == contents(after(bars))


def test_restart_restores_the_position_and_the_counts() -> None:
    held = position()
    before, after = RecurrentState.zeros(1, 2), RecurrentState.zeros(1, 2)
    book = Book.restored(StoredTraderState(held, CLOSED, None), before, after)
    assert book.position == held
    assert book.tally == TradeTally(CLOSED)
    assert (book.recurrent_before, book.recurrent) == (before, after)


def test_last_bar_may_lie_outside_every_session() -> None:
    night = bar(100)
    assert SymbolState.restored("USDCOP", CALENDAR, stored_bars([bar(0)], night), Book(), None).last_bar == night


def test_missing_bars_are_those_between_the_first_and_the_newest_of_a_session() -> None:
    counts = [after([bar(time) for time in (3, 4, 7, 8, 10)][:n]).missing_bars for n in range(1, 6)]
    assert counts == [0, 0, 2, 2, 3]
    assert after([bar(0), bar(9), bar(288)]).missing_bars == 0
    assert after([bar(0), bar(9), bar(288), bar(290)]).missing_bars == 1


@given(st.permutations(range(12)), st.integers(1, 12))
@example([0, 5, 2, *range(6, 12)], 3)
@example([5, 0, 2], 3)
def test_late_bars_are_missing_no_more_as_after_a_restart(order: Sequence[int], count: int) -> None:
    state, processed = fresh(), [bar(288 + number) for number in order[:count]]
    for one in processed:
        is_late = state.last_bar is not None and one.time <= state.last_bar.time
        state = state.after_late_bar(one) if is_late else state.with_session_bar(one, CALENDAR.session_of(one.time))
    stored = sorted(processed, key=lambda one: one.time)
    restored = SymbolState.restored("USDCOP", CALENDAR, stored_bars(stored, stored[-1]), Book(), None)
    assert (state.session_start, state.missing_bars) == (restored.session_start, restored.missing_bars)


def test_late_bar_of_another_session_is_not_counted() -> None:
    state = after([bar(0), bar(288), bar(290)])
    for late in (bar(1), bar(100), bar(300)):
        assert state.after_late_bar(late).missing_bars == state.missing_bars == 1


@given(st.integers(0, 20), st.integers(0, 220))
@example(0, 98)
@example(0, 99)
@example(0, 100)
def test_state_is_simulated_exactly_while_a_simulated_bar_is_in_the_window(before: int, later: int) -> None:
    bars = walk(before + 1 + later)
    bars[before] = bar(bars[before].time, simulated=True)
    state = after(bars)
    assert (state.simulated_left > 0) == any(one.simulated for one in bars[-LOOKBACK_BARS:])


def test_position_is_kept_while_it_is_open_and_counted_when_it_is_closed() -> None:
    held = position()
    holding = Book().with_position(held)
    assert holding.position == held
    ended = close(held, Exit(OPENING + timedelta(hours=1), 103.0, ExitReason.MANUAL), RiskRules())
    left = holding.with_position(ended)
    assert left.position is None
    assert left.tally == TradeTally(((OPENING + timedelta(hours=1), 3.0),))
    assert holding.tally == TradeTally(), "a state never changes"
