"""Bars in a table of the user, which is only read."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg
import numpy as np

from ...domain.bars import Bar, foreign_spacing, spacing_problem
from ...domain.calendar import SessionCalendar
from ...domain.errors import ServiceError, StorageUnavailable
from ...domain.symbols import parse_symbol, slashed_pair
from .connection import Database

_logger = logging.getLogger(__name__)

_NAME = re.compile(r"(?:([A-Za-z_]\w*)\.)?([A-Za-z_]\w*)")
_COLUMNS = ("time", "symbol", "open", "high", "low", "close")
_TIME_TYPES = frozenset({"timestamp with time zone", "timestamp without time zone"})
_NUMBER_TYPES = frozenset({"smallint", "integer", "bigint", "real", "double precision", "numeric"})
_PAGE = 1000
_SPACING_ROWS = 5000
"""The newest rows, from which the interval of the bars is determined."""


class BarsTableError(Exception):
    """BARS_TABLE cannot be read. The message is one line."""


class BarsTable:
    """A table with time, symbol, open, high, low, close and perhaps volume.

    Its symbols may have a slash ("USD/COP"); a time without a zone is UTC. Rows that cannot be a bar, or one that has
    ended by the database's clock, are ignored, and of several bars for the same symbol and time one is taken, because
    the table may have no key; the first invalid row, and the first bars that contradict each other, are logged. A
    volume that is absent or NaN is 0.

    A table that cannot be read, because it is being replaced for example, is like a database that cannot be reached:
    all methods raise StorageUnavailable, but for `warnings`.
    """

    def __init__(
        self, name: str, has_volume: bool, has_zone: bool, calendar_of: Callable[[str], SessionCalendar]
    ) -> None:
        self._name = name
        self._calendar_of = calendar_of
        self._has_zone = has_zone
        self._readable = True
        self._logged = set[str]()
        volume = "nullif(volume::float8, 'NaN')" if has_volume else "0::float8"
        now = "now()" if has_zone else "(now() AT TIME ZONE 'UTC')"
        self._select = (
            "SELECT time, symbol, open::float8 AS open, high::float8 AS high, low::float8 AS low, "
            f"close::float8 AS close, coalesce({volume}, 0) AS volume, {now} AS now FROM {name} WHERE time < {now}"
        )

    @classmethod
    async def open(cls, database: Database, name: str, calendar_of: Callable[[str], SessionCalendar]) -> BarsTable:
        """Check the table and open it.

        Raises:
            BarsTableError: there is no such table, a column is missing or of a wrong type, it may not be read, or its
                newest bars have another interval than that of their symbol.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise BarsTableError(f"BARS_TABLE={name}: must be a table's name, with its schema before a dot if need be")
        # As in a query, a name without a schema is resolved along the search path.
        quoted = ".".join(f'"{part}"' for part in match.groups() if part)
        rows = await database.fetch(
            "SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute "
            "WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
            quoted,
        )
        types = {row["attname"]: row["type"] for row in rows}
        if not types:
            raise BarsTableError(f"BARS_TABLE={name}: there is no such table in the database")
        missing = [column for column in _COLUMNS if column not in types]
        if missing:
            raise BarsTableError(f"BARS_TABLE={name}: has no column {', '.join(missing)}")
        for column in (*_COLUMNS[:1], *_COLUMNS[2:], "volume"):
            allowed = _TIME_TYPES if column == "time" else _NUMBER_TYPES
            if column in types and types[column] not in allowed:
                needed = "a timestamp" if column == "time" else "a number"
                raise BarsTableError(f"BARS_TABLE={name}: its column {column} is {types[column]}, and must be {needed}")
        if not await database.fetchval("SELECT has_table_privilege($1, 'SELECT')", quoted):
            raise BarsTableError(f"BARS_TABLE={name}: the service's user may not read it")
        table = cls(quoted, "volume" in types, types["time"] == "timestamp with time zone", calendar_of)
        for symbol, times in (await table._newest_times(database)).items():
            interval = calendar_of(symbol).interval
            if (spacing := foreign_spacing(np.array(times, dtype=np.int64), interval)) is not None:
                raise BarsTableError(f"BARS_TABLE={name}: {spacing_problem(symbol, spacing, interval)}")
        return table

    async def warnings(self, database: Database) -> Sequence[str]:
        """Return what health reports of the table, in sentences: that it cannot be read, if so."""
        try:
            await self._fetch(database, f"{self._select} LIMIT 0")
        except StorageUnavailable as error:
            return [error.message]
        return []

    async def known_symbols(self, database: Database, symbols: Sequence[str]) -> set[str]:
        """Return those of `symbols` that the table has rows for."""
        spelled = {spelling: symbol for symbol in symbols for spelling in _spellings(symbol)}
        rows = await self._fetch(
            database,
            f"SELECT spelling FROM unnest($1::text[]) AS spelling "
            f"WHERE EXISTS (SELECT FROM {self._name} WHERE symbol = spelling)",
            list(spelled),
        )
        return {spelled[row["spelling"]] for row in rows}

    async def find(self, database: Database, symbols: Sequence[str], times: Sequence[datetime]) -> Sequence[Bar]:
        """Return the bars with these symbols and times."""
        keys = set(zip(symbols, times, strict=True))
        rows = await self._fetch(
            database,
            f"{self._select} AND symbol = ANY($1::text[]) AND time = ANY($2::{self._time_type}[])",
            [spelling for symbol in set(symbols) for spelling in _spellings(symbol)],
            [self._time_value(time) for time in set(times)],
        )
        return [bar for bar in self._bars(rows) if (bar.symbol, bar.time) in keys]

    async def session_bars(self, database: Database, symbol: str, before: datetime | None, limit: int) -> Sequence[Bar]:
        """Return the newest `limit` bars inside trading sessions with a time before `before`, oldest first."""
        calendar = self._calendar_of(symbol)
        found: list[Bar] = []
        more = True
        while more and len(found) < limit:
            bars, before, more = await self._page(database, symbol, None, before, _PAGE)
            found.extend(bar for bar in bars if calendar.session_of(bar.time) is not None)
        return found[:limit][::-1]

    async def newest(
        self,
        database: Database,
        symbol: str,
        start: datetime | None,
        end: datetime | None,
        limit: int,
    ) -> list[Bar]:
        """Return up to `limit` bars with start <= time < end, newest first."""
        found: list[Bar] = []
        more = True
        while more and len(found) < limit:
            bars, end, more = await self._page(database, symbol, start, end, limit)
            found.extend(bars)
        return found[:limit]

    async def newest_of(self, database: Database, symbols: Sequence[str]) -> dict[str, list[Bar]]:
        """Return the bars of `symbols` among the newest rows, newest first, by symbol: one query for all of them."""
        rows = await self._fetch(
            database,
            f"{self._select} AND symbol = ANY($1::text[]) ORDER BY time DESC LIMIT {_PAGE:d}",
            [spelling for symbol in symbols for spelling in _spellings(symbol)],
        )
        found: dict[str, list[Bar]] = {}
        for bar in self._bars(rows):
            found.setdefault(bar.symbol, []).append(bar)
        return found

    async def _page(
        self, database: Database, symbol: str, start: datetime | None, end: datetime | None, size: int
    ) -> tuple[list[Bar], datetime | None, bool]:
        """Return the bars of the newest `size` rows with start <= time < end, newest first, the `end` of the next page,
        and whether there may be one. A whole page of rows may contain no bar.
        """
        values: list[Any] = [_spellings(symbol)]
        where = "symbol = ANY($1::text[])"
        for comparison, time in ((">=", start), ("<", end)):
            if time is not None:
                values.append(self._time_value(time))
                where += f" AND time {comparison} ${len(values)}"
        rows = await self._fetch(database, f"{self._select} AND {where} ORDER BY time DESC LIMIT {size:d}", *values)
        return self._bars(rows), rows[-1]["time"] if rows else end, len(rows) == size

    async def _newest_times(self, database: Database) -> dict[str, list[int]]:
        """Return the times of the newest rows in seconds since 1970, by symbol; rows of no valid symbol are ignored."""
        times: dict[str, list[int]] = {}
        for row in await self._fetch(database, f"{self._select} ORDER BY time DESC LIMIT {_SPACING_ROWS:d}"):
            with suppress(ServiceError):
                times.setdefault(parse_symbol(row["symbol"]), []).append(int(self._time_of(row["time"]).timestamp()))
        return times

    @property
    def _time_type(self) -> str:
        return "timestamptz" if self._has_zone else "timestamp"

    def _time_value(self, time: datetime) -> datetime:
        return time if self._has_zone else time.replace(tzinfo=None)

    def _time_of(self, time: datetime) -> datetime:
        return time if self._has_zone else time.replace(tzinfo=UTC)

    def _bars(self, rows: Sequence[asyncpg.Record]) -> list[Bar]:
        """Return the bars that have ended, each once, in the order of the rows."""
        bars = dict[tuple[str, datetime], Bar]()
        for row in rows:
            try:
                prices = (row["open"], row["high"], row["low"], row["close"], row["volume"])
                symbol, time = parse_symbol(row["symbol"]), self._time_of(row["time"])
                bar = Bar(symbol, time, *prices, interval=self._calendar_of(symbol).interval)
                if bar.close_time > self._time_of(row["now"]):
                    continue
            except (ServiceError, TypeError) as error:
                self._log_once("rows that are not bars are ignored", row, str(error))
                continue
            if bars.setdefault((symbol, time), bar) != bar:
                self._log_once("of bars that contradict each other one is taken", row, "there is another")
        return list(bars.values())

    def _log_once(self, what: str, row: asyncpg.Record, why: str) -> None:
        if what not in self._logged:
            self._logged.add(what)
            _logger.warning(
                "BARS_TABLE: in %s %s, such as %s at %s: %s", self._name, what, row["symbol"], row["time"], why
            )

    async def _fetch(self, database: Database, query: str, *values: object) -> list[asyncpg.Record]:
        """Return the rows of a query.

        Raises:
            StorageUnavailable: the table is gone, has lost a column or may not be read.
        """
        try:
            rows = await database.fetch(query, *values)
        except asyncpg.SyntaxOrAccessError as error:
            unreadable = StorageUnavailable(f"BARS_TABLE cannot be read, try again: {error}")
            if self._readable:
                _logger.warning("%s", unreadable.message)
            self._readable = False
            raise unreadable from error
        if not self._readable:
            _logger.warning("BARS_TABLE can be read again")
        self._readable = True
        return rows


def _spellings(symbol: str) -> list[str]:
    """Return the possible spellings of `symbol` in a table: USDCOP, and USD/COP for a pair."""
    return [symbol, *filter(None, [slashed_pair(symbol)])]
