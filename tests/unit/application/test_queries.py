"""Queries: consecutive pages, and tokens that are valid for one query only."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import NOW, OPENING, bar, position, signal
from tests.support.memory_outcomes import MemoryOutcomes
from tests.support.memory_store import MemoryStore
from tests.support.running import patched

from tradingsignals_server.application.event_log.tail import LogTail
from tradingsignals_server.application.paging import page_token
from tradingsignals_server.application.ports.event_log import LogHead
from tradingsignals_server.application.ports.store import SignalQuery
from tradingsignals_server.application.queries import Queries
from tradingsignals_server.domain.bars import Bar
from tradingsignals_server.domain.errors import (
    InvalidPageToken,
    StorageUnavailable,
)
from tradingsignals_server.domain.events import Disposition, Event, MarketUpdate
from tradingsignals_server.domain.positions import Exit, ExitReason, close
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signal_errors import SignalNotFound
from tradingsignals_server.domain.signals import Action

ANY = SignalQuery()


def store_of(*events: Event) -> MemoryStore:
    store = MemoryStore()
    store.put(events, NOW)
    return store


def queries_of(store: MemoryStore) -> Queries:
    """Queries with an empty tail, so that they read from the store."""
    return Queries(store, LogTail(store, LogHead(store.epoch, 1, len(store.entries))), MemoryOutcomes(store))


def signals(count: int) -> list[Event]:
    return [signal(list(Action)[n % 3], name=n + 1) for n in range(count)]


async def all_signals(queries: Queries, query: SignalQuery, limit: int) -> list[bytes]:
    """Return the items of all pages."""
    found, token = list[bytes](), ""
    while True:
        page, token = await queries.signals(query, token, limit)
        assert len(page.messages) <= limit
        found.extend(page.messages)
        if not token:
            return found


@given(count=st.integers(0, 30), limit=st.integers(1, 35), action=st.sampled_from([None, *Action]))
async def test_pages_of_any_size_contain_all_signals(count: int, limit: int, action: Action | None) -> None:
    store = store_of(*signals(count))
    found = await all_signals(queries_of(store), SignalQuery(action=action), limit)
    expected = [entry.payload for entry in store.entries if action in {None, entry.action}]
    assert found == expected[::-1]


made = st.lists(st.tuples(st.sampled_from(Action), st.sampled_from(["USDCOP", "EURCOP"])), max_size=30)


@given(made=made, in_memory=st.integers(0, 30), limit=st.integers(1, 12), data=st.data())
async def test_page_from_memory_equals_that_of_the_store(
    made: list[tuple[Action, str]], in_memory: int, limit: int, data: st.DataObject
) -> None:
    """This holds for any tail in memory, with and without a commit of another server in between."""
    events: list[Event] = [
        signal(action, name=n + 1, symbol=symbol) if n % 3 else MarketUpdate(bar(n, symbol=symbol), Disposition.LATE)
        for n, (action, symbol) in enumerate(made)
    ]
    store = store_of(*events[:-in_memory] if in_memory else events)
    log_tail = LogTail(store, LogHead(store.epoch, 1, len(store.entries)))
    for event in events[len(store.events) :]:
        entries = store.put([event], NOW)
        if data.draw(st.booleans(), label="has the commit"):
            log_tail.append(entries)
    action, symbol = data.draw(st.sampled_from([None, *Action])), data.draw(st.sampled_from([None, "USDCOP", "EURCOP"]))
    query = SignalQuery(action=action, symbol=symbol)
    assert await Queries(store, log_tail, MemoryOutcomes()).signals(query, "", limit) == await queries_of(
        store
    ).signals(query, "", limit)


async def test_commit_of_another_server_is_on_the_page() -> None:
    store = store_of()
    log_tail = LogTail(store, LogHead(store.epoch, 1, 0))
    log_tail.append(store.put(signals(10), NOW))
    newest = store.put([signal(Action.BUY, name=99)], NOW)
    page, _ = await Queries(store, log_tail, MemoryOutcomes()).signals(ANY, "", 4)
    assert (page.messages[0], page.through_sequence) == (newest[0].payload, 11)


async def test_newest_page_is_read_from_memory() -> None:
    store = store_of()
    log_tail = LogTail(store, LogHead(store.epoch, 1, 0))
    log_tail.append(store.put(signals(10), NOW))
    with patched(store, "list_signals", None):
        page, token = await Queries(store, log_tail, MemoryOutcomes()).signals(ANY, "", 4)
        assert len(page.messages) == 4
        store.down = True
        with pytest.raises(StorageUnavailable):
            await Queries(store, log_tail, MemoryOutcomes()).signals(ANY, "", 4)
    store.down = False
    assert (page, token) == await queries_of(store).signals(ANY, "", 4)


@given(count=st.integers(0, 30), limit=st.integers(1, 35), first=st.integers(0, 30), last=st.integers(0, 30))
async def test_pages_of_bars_contain_all_bars(count: int, limit: int, first: int, last: int) -> None:
    bars = [bar(n) for n in range(count)]
    queries = queries_of(store_of(*(MarketUpdate(one, Disposition.ACCEPTED) for one in bars)))
    found, token = list[Bar](), ""
    while True:
        page = await queries.bars("USDCOP", bar(first).time, bar(last).time, token, limit)
        assert len(page.bars) <= limit
        found.extend(page.bars)
        token = page.next_page_token
        if not token:
            break
    assert found == bars[first:last][::-1]


async def test_new_signals_do_not_shift_later_pages() -> None:
    store = store_of(*signals(10))
    queries = queries_of(store)
    page, token = await queries.signals(ANY, "", 4)
    store.put([signal(name=99)], NOW)
    rest, _ = await queries.signals(ANY, token, 10)
    assert [*page.messages, *rest.messages] == [entry.payload for entry in store.entries[:10]][::-1]
    assert (page.through_sequence, rest.through_sequence) == (10, 11)


async def test_closed_positions_are_paged() -> None:
    ended = [
        close(position(), Exit(OPENING, 101.0, ExitReason.MANUAL), RiskRules()),
        close(position(), Exit(OPENING, 102.0, ExitReason.MANUAL), RiskRules()),
    ]
    queries = queries_of(store_of(position(), *ended))
    page, token = await queries.closed_positions(None, "", 1)
    assert list(page.messages) == [b"3"]
    page, token = await queries.closed_positions(None, token, 1)
    assert (list(page.messages), token) == ([b"2"], "")


OTHER_QUERIES = [
    SignalQuery(symbol="USDCOP"),
    SignalQuery(action=Action.BUY),
    SignalQuery(start=OPENING),
    SignalQuery(end=OPENING),
    SignalQuery(start=OPENING + timedelta(days=1)),
]


@pytest.mark.parametrize("other", OTHER_QUERIES)
async def test_token_of_another_query_is_refused(other: SignalQuery) -> None:
    queries = queries_of(store_of(*signals(10)))
    _, token = await queries.signals(ANY, "", 4)
    with pytest.raises(InvalidPageToken):
        await queries.signals(other, token, 4)


async def test_token_of_another_list_is_refused() -> None:
    bars = [MarketUpdate(bar(n), Disposition.ACCEPTED) for n in range(9)]
    queries = queries_of(store_of(*signals(10), *bars))
    _, token = await queries.signals(ANY, "", 4)
    page = await queries.bars("USDCOP", None, None, "", 4)
    for wrong in (token, page.next_page_token):
        with pytest.raises(InvalidPageToken):
            await queries.closed_positions(None, wrong, 4)
    for call in (
        queries.signals(ANY, page.next_page_token, 4),
        queries.bars("USDCOP", None, None, token, 4),
        queries.bars("EURCOP", None, None, page.next_page_token, 4),
        queries.bars("USDCOP", OPENING, None, page.next_page_token, 4),
        queries.bars("USDCOP", None, OPENING, page.next_page_token, 4),
    ):
        with pytest.raises(InvalidPageToken):
            await call


@given(
    st.text(min_size=1, max_size=40) | st.binary(min_size=1, max_size=40).map(lambda b: urlsafe_b64encode(b).decode())
)
async def test_malformed_token_is_refused(token: str) -> None:
    queries = queries_of(store_of(*signals(3)))
    for call in (
        queries.signals(ANY, token, 2),
        queries.closed_positions(None, token, 2),
        queries.bars("USDCOP", None, None, token, 2),
    ):
        with pytest.raises(InvalidPageToken):
            await call


async def test_modified_token_is_refused() -> None:
    queries = queries_of(store_of(*signals(10)))
    _, token = await queries.signals(ANY, "", 4)
    raw = urlsafe_b64decode(token + "==")
    changed = [raw[:-1] + bytes([raw[-1] ^ 1]), raw + b"x", raw[:-1], raw[1:]]
    for wrong in [token[:-4], token + "AAAA", *(urlsafe_b64encode(one).decode() for one in changed)]:
        with pytest.raises(InvalidPageToken):
            await queries.signals(ANY, wrong, 4)


@pytest.mark.parametrize("place", [2**63, 2**64 - 1, 253_402_300_800, 0])
async def test_modified_position_in_a_token_is_refused(place: int) -> None:
    queries = queries_of(store_of(*signals(10)))
    _, token = await queries.signals(ANY, "", 4)
    forged = urlsafe_b64encode(place.to_bytes(8, "big") + urlsafe_b64decode(token + "==")[8:]).decode()
    with pytest.raises(InvalidPageToken):
        await queries.signals(ANY, forged, 4)


@pytest.mark.parametrize("place", [2**63, 2**64 - 1, 253_402_300_800])
async def test_impossible_position_in_a_token_is_refused(place: int) -> None:
    queries = queries_of(store_of(*signals(10)))
    forged = page_token(place, "bars|USDCOP|None|None")
    with pytest.raises(InvalidPageToken):
        await queries.bars("USDCOP", None, None, forged, 4)


async def test_latest_signal_is_returned_or_not_found() -> None:
    queries = queries_of(store_of(*signals(3), signal(name=50, symbol="EURCOP")))
    assert await queries.latest_signal(None) == b"4"
    assert await queries.latest_signal("USDCOP") == b"3"
    with pytest.raises(SignalNotFound) as caught:
        await queries.latest_signal("GBPUSD")
    assert caught.value.metadata == {"symbol": "GBPUSD"}
    with pytest.raises(SignalNotFound):
        await queries_of(MemoryStore()).latest_signal(None)
