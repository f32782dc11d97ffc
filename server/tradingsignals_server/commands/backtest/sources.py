"""Where the bars of a backtest come from: a file, or the database of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from ...adapters.feeds.files import load_in_thread
from ...adapters.postgres.bar_history import bar_history
from ...adapters.postgres.place import place_of
from ...application.backtest.columns import BarColumns
from ...bootstrap.storage import readable_database
from ...config.settings import Settings
from ...domain.bars import Bar
from ...domain.symbols import parse_symbol
from ...domain.wording import counted
from .options import BacktestOptions


async def read_source(
    options: BacktestOptions, settings: Settings, on_rows: Callable[[int], None]
) -> tuple[BarColumns, str, list[str]]:
    """Read the bars up to the end of the period, with those before it.

    Returns the bars, where they come from in words, and warnings.

    Args:
        options: which bars.
        settings: where the database is, and the intervals of bars.
        on_rows: called with the number of rows read so far.

    Raises:
        UnreadableFile: the file cannot be read, or does not contain bars of the interval of their symbol.
        InvalidRequest: a symbol is not valid.
        StorageUnavailable, DatabaseRefused, EmbeddedPostgresError: the database cannot be read.
    """
    symbols = tuple(parse_symbol(symbol) for symbol in options.symbols)
    if options.file is None:
        return await _stored(options, symbols, settings, on_rows)
    default = symbols[0] if len(symbols) == 1 else None
    file = await load_in_thread(options.file, symbol=default, interval_of=settings.bar_interval.of, on_rows=on_rows)
    warnings = [f"skipped {skipped}" for skipped in file.skipped]
    if file.skipped_rows > len(file.skipped):
        warnings.append(f"{counted(file.skipped_rows, 'row was', 'rows were')} skipped in all")
    if file.damage is not None:
        warnings.append(f"the file was read only up to a damage: {file.damage}")
    columns = BarColumns.of(file.chunks()).of_symbols(symbols).between(None, options.end)
    return columns, options.file.name, warnings


async def _stored(
    options: BacktestOptions, symbols: tuple[str, ...], settings: Settings, on_rows: Callable[[int], None]
) -> tuple[BarColumns, str, list[str]]:
    async with readable_database(settings) as dsn:
        columns = await BarColumns.read(_counted(bar_history(dsn, symbols, None, options.end), on_rows))
    return columns, f"the bars stored at {place_of(dsn)}", []


async def _counted(chunks: AsyncIterator[list[Bar]], on_rows: Callable[[int], None]) -> AsyncIterator[list[Bar]]:
    rows = 0
    async for chunk in chunks:
        rows += len(chunk)
        on_rows(rows)
        yield chunk
