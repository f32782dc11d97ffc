"""What is stored of one policy's trading: the book that it goes on with, and what a shadow came to."""

from __future__ import annotations

from ...application.ports.store import ShadowScore, StoredTraderState
from ...domain.risk import KELLY_WINDOW
from .connection import Database, fetch_one
from .rows import position_of, state_of


async def load_book(database: Database, symbol: str, policy: str, *, shadow: bool) -> StoredTraderState:
    """One policy's trading in one symbol. Positions of the live one stay when the policy is another."""
    held, whose = ("shadow_positions", (symbol, policy)) if shadow else ("positions", (symbol,))
    condition = "symbol = $1 AND policy = $2" if shadow else "symbol = $1"
    position = await database.fetchrow(f"SELECT * FROM {held} WHERE {condition} AND status = 'OPEN'", *whose)
    closed = await database.fetch(
        f"SELECT exit_time, pnl_pct FROM {held} WHERE {condition} AND status = 'CLOSED' "
        f"ORDER BY sequence DESC, exit_time DESC LIMIT {KELLY_WINDOW}",
        *whose,
    )
    checkpoint = await database.fetchrow(
        "SELECT * FROM recurrent_states WHERE symbol = $1 AND policy = $2 AND shadow = $3", symbol, policy, shadow
    )
    return StoredTraderState(
        position=None if position is None else position_of(position),
        closed=[(row["exit_time"], row["pnl_pct"]) for row in reversed(closed)],
        checkpoint=None if checkpoint is None else state_of(checkpoint),
    )


async def shadow_score(database: Database, policy: str) -> ShadowScore:
    """What the shadow policy of this key came to."""
    decisions = await fetch_one(
        database,
        "SELECT count(*) AS decisions, count(*) FILTER (WHERE signals.action = shadow_signals.action) "
        "AS agreements FROM shadow_signals LEFT JOIN signals USING (symbol, bar_time) "
        "WHERE policy = $1 AND coalesce(origin, 'BAR') = 'BAR'",
        policy,
    )
    positions = await fetch_one(
        database,
        "SELECT count(*) AS closed, count(*) FILTER (WHERE pnl > 0) AS winning, "
        "coalesce(sum(pnl), 0) AS total_pnl FROM shadow_positions WHERE policy = $1 AND status = 'CLOSED'",
        policy,
    )
    return ShadowScore(**decisions, **positions)
