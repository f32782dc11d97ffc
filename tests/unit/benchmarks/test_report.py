"""The tables of the benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import report
from benchmarks.measure import Figure, Older, at_least, at_most
from benchmarks.service import DURABLE, VOLATILE

MACHINE = {
    "cores": 2,
    "processor": "P",
    "memory_gib": 8,
    "system": "S",
    "python": "3",
    "load_average": 0.0,
    "taken_at": "T",
}
GENERATE = Figure(
    "POST generate, 16 clients",
    "calls/s",
    [900.0, 1000.0, 1100.0],
    besides={"p50 ms": 12.34},
    older={VOLATILE: Older([2000.0, 2000.0, 2000.0], at_least(0.8)), DURABLE: Older([250.0, 250.0, 250.0])},
)
START = Figure("second start", "s", [2.5], at_most(3.0))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| \n").split("|")]


def test_a_line_shows_both_variants_of_the_older_design_beside_ours(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "figures.md"
    report.write_markdown(path, {"generate": [GENERATE], "startup": [START]}, MACHINE, quick=False)
    lines = path.read_text().splitlines()
    headings, _, line = lines[4:7]
    assert dict(zip(cells(headings), cells(line), strict=True)) == {
        "what": "POST generate, 16 clients",
        "older, volatile": "2,000",
        "older, durable": "250",
        "ours": "1,000 calls/s",
        "runs": "900..1,100",
        "/ volatile": "0.5",
        "/ durable": "4",
        "target": "volatile >= 0.8 MISSED",
        "besides": "p50 ms 12.3",
    }
    assert "<= 3 met" in lines[-1]


def test_a_missed_ratio_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    report.show({"generate": [GENERATE]}, MACHINE, quick=False)
    shown = capsys.readouterr().out
    assert f"MISSED: POST generate, 16 clients: ours to {VOLATILE}: 0.5 times, target >= 0.8" in shown
    assert "is met" not in shown


def test_met_targets_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    report.show({"startup": [START]}, MACHINE, quick=False)
    assert "Every target of these benchmarks is met." in capsys.readouterr().out


def test_ratios_without_a_target_stay_in_the_large_table() -> None:
    own = Figure("two servers to one", "times", [1.4])
    assert [figure.what for figure in report.ratios({"generate": [GENERATE, START, own]})] == [
        f"POST generate, 16 clients: ours to {VOLATILE}",
        "two servers to one",
    ]


def test_a_comparison_has_the_ratios_of_neighbours_to_the_earlier_version(tmp_path: Path) -> None:
    now = {"generate": [Figure("a", "ms CPU", [1.0, 4.0], besides={"Envoy": 0.5}), Figure("new", "ms", [1.0])]}
    before = {"generate": [Figure("a", "ms CPU", [2.0, 2.0]), Figure("a", "ms", [9.0, 9.0])], "history": [START]}
    path = tmp_path / "comparison.md"
    report.show_comparison(now, before, "This tree against 1234", path, quick=True)
    lines = path.read_text().splitlines()
    assert lines[0] == "A QUICK RUN, WHOSE FIGURES MEAN NOTHING, This tree against 1234"
    assert [cells(line) for line in lines[4:]] == [
        ["what", "before", "now", "now / before", "lowest..highest", "besides, now"],
        ["---"] * 6,
        ["a", "2 ms CPU", "2.5 ms CPU", "1.25", "0.5..2", "Envoy 0.5"],
    ]


def test_all_runs_and_ratios_are_written_as_json(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    report.write(path, {"generate": [GENERATE]}, MACHINE, quick=True)
    figure, to_volatile, to_durable = json.loads(path.read_text())["figures"]
    assert figure["runs"] == [900.0, 1000.0, 1100.0]
    assert figure["older"] == {VOLATILE: [2000.0] * 3, DURABLE: [250.0] * 3}
    assert (to_volatile["runs"], to_volatile["missed"]) == ([0.45, 0.5, 0.55], True)
    assert (to_durable["median"], to_durable["target"]) == (4.0, None)
