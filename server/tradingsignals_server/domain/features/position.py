"""Features of the open position. Without one each is 0."""

from __future__ import annotations

import math

from .context import FeatureContext
from .kind import FeatureGroup

POSITION = FeatureGroup("Position")


@POSITION.add(
    "position_side",
    "Side of the open position, after the exits of this bar",
    "1 long, -1 short, 0 none",
    "-1, 0 or 1",
    warm=lambda: 1,
    bounds=(-1.0, 1.0),
    needs_position=True,
)
def _position_side(context: FeatureContext) -> float | None:
    return None if context.position is None else context.position.side


@POSITION.add(
    "position_pnl_pct",
    "Profit of the open position at the newest bar, net of costs",
    "100 (mark - entry) side / entry - costs",
    "percent of the entry price",
    warm=lambda: 1,
    needs_position=True,
)
def _position_pnl_pct(context: FeatureContext) -> float | None:
    return None if context.position is None else context.position.pnl_pct


@POSITION.add(
    "position_pnl_r",
    "Profit of the open position at the newest bar, net of costs, in units of its initial risk",
    "profit / |entry - initial stop|",
    "R",
    warm=lambda: 1,
    needs_position=True,
)
def _position_pnl_r(context: FeatureContext) -> float | None:
    return None if context.position is None else context.position.pnl_r


@POSITION.add(
    "bars_held",
    "Bars since the entry of the open position",
    "number of bars",
    "bars",
    warm=lambda: 1,
    bounds=(0.0, math.inf),
    needs_position=True,
    raw=True,
)
def _bars_held(context: FeatureContext) -> float | None:
    return None if context.position is None else context.position.bars_held
