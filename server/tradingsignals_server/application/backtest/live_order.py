"""The order in which a service took its bars, as far as what it keeps tells it."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime
from operator import itemgetter

from ...domain.bars import Bar
from ...domain.events import Disposition
from .columns import BarColumns
from .live_record import BarKey, LiveRecord


def live_order(columns: BarColumns, live: LiveRecord) -> list[tuple[int, datetime, str]]:
    """Return keys by which bars come in the order of the log, those that it has no more as far as that is known.

    A late bar comes at its time: before the first bar that is newer, of those that were not late.
    """
    bars = columns.bars(0, len(columns))
    places, newer, keys = _places(bars, live), dict[str, int](), list[tuple[int, datetime, str]]()
    for bar in reversed(bars):
        if not live.is_late((bar.symbol, bar.time)):
            newer[bar.symbol] = places[bar.symbol, bar.time]
        keys.append((newer.get(bar.symbol, live.log.newest + 1), bar.close_time, bar.symbol))
    return keys[::-1]


def _places(bars: Sequence[Bar], live: LiveRecord) -> dict[BarKey, int]:
    """Return the places of the bars that were not late, which are in the order of their times.

    A bar that the log has no more is at its signal; without one, before the next signal by commit and close. The bars
    of a symbol stay in order.
    """
    taken = [(live.bars[bar.symbol, bar.time], bar) for bar in bars if not live.is_late((bar.symbol, bar.time))]
    taken.sort(key=lambda one: (one[0].received_at, one[1].close_time))
    places, following = dict[BarKey, int](), live.log.newest + 1
    for how, bar in reversed(taken):
        known = how.decided if how.sequence is None else how.sequence
        if known is not None:
            following = min(following, known)
        places[bar.symbol, bar.time] = following if known is None else known
    reached = dict[str, int]()
    for key in sorted(places, key=itemgetter(1)):
        places[key] = reached[key[0]] = max(places[key], reached.get(key[0], 0))
    return places


def unordered_commits(live: LiveRecord) -> Set[datetime]:
    """Return when commits of several symbols were made of whose bars not all have a known place.

    They are of bars that the log has no more and that no signal was made of: while a symbol warmed up, and outside its
    sessions. At which of their closes the service had stored its account is unknown.
    """
    symbols, unknown = dict[datetime, set[str]](), set[datetime]()
    for (symbol, _), taken in live.bars.items():
        symbols.setdefault(taken.received_at, set()).add(symbol)
        if taken.sequence is None and taken.decided is None and taken.disposition is not Disposition.LATE:
            unknown.add(taken.received_at)
    return {at for at in unknown if len(symbols[at]) > 1}
