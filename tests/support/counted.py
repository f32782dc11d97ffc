"""Statistics, counted from the rows: the totals that commits update must agree with them."""

from __future__ import annotations

import asyncpg
import pytest

from tradingsignals_server.domain.bars import HIGHEST_PRICE
from tradingsignals_server.domain.statistics import PositionCounts, SignalCounts, Statistics


async def assert_counted(found: Statistics, sql: asyncpg.Connection) -> None:
    """Check that `found` equals the counts of the rows; sums may differ by rounding."""
    (made,) = await sql.fetch(
        "SELECT count(*) AS total, count(*) FILTER (WHERE action = 'BUY') AS buy, "
        "count(*) FILTER (WHERE action = 'SELL') AS sell, count(*) FILTER (WHERE action = 'HOLD') AS hold, "
        "count(*) FILTER (WHERE simulated) AS simulated, coalesce(avg(latency_ms), 0) AS avg_latency_ms FROM signals"
    )
    (held,) = await sql.fetch(
        "SELECT count(*) AS opened, count(*) FILTER (WHERE status = 'CLOSED') AS closed, "
        "count(*) FILTER (WHERE status = 'CLOSED' AND pnl > 0) AS winning, "
        "count(*) FILTER (WHERE status = 'CLOSED' AND pnl < 0) AS losing, "
        f"coalesce(sum(pnl) FILTER (WHERE exit_price <= {HIGHEST_PRICE}), 0) AS total_pnl, "
        f"coalesce(sum(pnl_account) FILTER (WHERE exit_price <= {HIGHEST_PRICE}), 0) AS total_pnl_account "
        "FROM positions"
    )
    signals, positions = SignalCounts(**made), PositionCounts(**held)
    assert found.signals.avg_latency_ms == pytest.approx(signals.avg_latency_ms)
    assert found.positions.total_pnl == pytest.approx(positions.total_pnl)
    assert found.positions.total_pnl_account == pytest.approx(positions.total_pnl_account)
    assert _whole(found.signals) == _whole(signals)
    assert _whole(found.positions) == _whole(positions)
    assert found.bars_stored == await sql.fetchval("SELECT count(*) FROM bars")
    symbols = "SELECT count(*) FROM (SELECT symbol FROM bars UNION SELECT symbol FROM positions) AS used"
    assert found.symbols == await sql.fetchval(symbols)


def _whole(counts: SignalCounts | PositionCounts) -> dict[str, int]:
    fields = ((name, getattr(counts, name)) for name in counts.__slots__)
    return {name: value for name, value in fields if isinstance(value, int)}
