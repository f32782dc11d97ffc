"""The Grafana dashboard."""

from __future__ import annotations

import json
from typing import Any

from docs.dashboard import COLUMNS, ROWS, dashboard, queries


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(dashboard())["panels"]
    return found


def test_every_panel_is_there_once_with_its_queries() -> None:
    titles = [panel["title"] for panel in panels() if panel["type"] != "row"]
    assert titles == [panel.title for row in ROWS.values() for panel in row]
    assert len({panel["id"] for panel in panels()}) == len(panels())
    asked = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    assert asked == list(queries())


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= COLUMNS
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
