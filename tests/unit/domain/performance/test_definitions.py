from __future__ import annotations

from itertools import groupby

from tradingsignals_server.domain.performance.definitions import DEFINITIONS, LATENCIES, FigureGroup, FigureUnit


def test_every_figure_states_its_formula_and_what_n_counts() -> None:
    assert all(definition.formula and definition.counted for definition in DEFINITIONS.values())


def test_names_end_in_the_unit_percent() -> None:
    wrong = [name for name, found in DEFINITIONS.items() if name.endswith("_pct") != (found.unit is FigureUnit.PERCENT)]
    assert wrong == []


def test_groups_are_together_and_in_order() -> None:
    groups = [
        group for group, _ in groupby((DEFINITIONS | LATENCIES).values(), key=lambda definition: definition.group)
    ]
    assert groups == list(FigureGroup)


def test_figures_of_bars_and_sessions_state_their_period() -> None:
    timed = [definition for definition in DEFINITIONS.values() if definition.counted in ("bars", "sessions")]
    assert [definition.name for definition in timed if not definition.periodicity] == []
