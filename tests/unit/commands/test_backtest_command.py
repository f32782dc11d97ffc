"""`tradingsignals backtest` on files: the table, the JSON file, grids, the proof, and wrong options."""

from __future__ import annotations

import json
from errno import ENOSPC
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.support.bars import a_month, write_csv
from tests.support.builders import walk

from tradingsignals_server.cli.main import main
from tradingsignals_server.config.rules import RULE_SETTINGS
from tradingsignals_server.config.settings import Settings

TRADING = ("--model", "placeholder", "--confidence-threshold", "0.4")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working folder and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("tradingsignals_server.logs.configure", lambda *_: None)


@pytest.fixture
def month(tmp_path: Path) -> str:
    """A file of a month of bars."""
    return str(write_csv(tmp_path / "month.csv", a_month()))


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["backtest", *words], prog_name="tradingsignals")


def document(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text())
    return found


def test_a_file_is_tested_and_described(month: str, tmp_path: Path) -> None:
    done = run(month, *TRADING, "--json", "out.json")
    assert done.exit_code == 0, done.output
    for words in ("month.csv: USDCOP", "profit factor", "Beside it", "coin", "Exits", "not traded", "placeholder"):
        assert words in done.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["facts"]["settings"]["CONFIDENCE_THRESHOLD"] == "0.4"
    assert set(found["facts"]["settings"]) == {name.upper() for name in RULE_SETTINGS}
    assert found["performance"]["figures"]["trades"]["value"] == len(found["positions"]) > 10


def test_a_report_has_what_the_document_has(month: str, tmp_path: Path) -> None:
    done = run(month, *TRADING, "--json", "out.json", "--report", "out.html")
    assert done.exit_code == 0, done.output
    assert "report: out.html" in done.output
    found, page = json.loads((tmp_path / "out.json").read_text()), (tmp_path / "out.html").read_text()
    assert found["facts"]["bars_sha256"] in page
    assert found["facts"]["settings_sha256"] in page
    assert "PLACEHOLDER DECISIONS" in page
    trades = json.loads(page.split('id="trades-data">', 1)[1].split("</script>", 1)[0])
    assert len(trades["entry"]) == len(found["positions"])
    pnl = sum(position["pnl_account"] for position in found["positions"])
    assert sum(trades["pnl"]) / 100 == pytest.approx(pnl, abs=0.005 * len(trades["pnl"]))
    assert f'data-figure="trades">{len(found["positions"])}<' in page
    for comparison in found["comparisons"]:
        assert comparison["definition"] in page


def test_a_setting_has_one_value_in_every_form(month: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPREAD", "*=9bp")
    hashes = set()
    for words in (("--set", "SPREAD=USDCOP=1.5"), ("--set", "spread=USDCOP=1.5"), ("--spread", "USDCOP=1.5")):
        assert run(month, *TRADING, "--no-compare", *words, "--json", "out.json").exit_code == 0
        hashes.add(json.loads((tmp_path / "out.json").read_text())["facts"]["settings_sha256"])
    assert len(hashes) == 1


def test_a_period_is_tested_after_the_bars_before_it_have_warmed_up(month: str, tmp_path: Path) -> None:
    done = run(month, *TRADING, "--from", "2024-06-10", "--to", "2024-06-12", "--json", "out.json")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["facts"]["first_bar"].startswith("2024-06-10") or found["facts"]["first_bar"].startswith("2024-06-11")
    assert found["facts"]["last_bar"] < "2024-06-12"
    assert found["facts"]["warm_up_bars"] > 400
    assert found["bars"]["warming_up"] == 0


@pytest.mark.slow
def test_a_grid_is_ranked_deflated_and_tested_forward(month: str, tmp_path: Path) -> None:
    done = run(
        month, *TRADING[:2], "--grid", "CONFIDENCE_THRESHOLD=0.36,0.4", "ATR_MULTIPLIER_TP=3,4", "--walk-forward", "2",
        "--json", "out.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "4 combinations tried" in done.output
    assert "Deflated for 4 tries" in done.output
    assert "Walk-forward: the best of 4" in done.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["tried"] == len(found["points"]) == 4
    assert len(found["walk_forward"]["folds"]) == 2


@pytest.mark.slow
def test_a_proof_is_reported(month: str) -> None:
    done = run(month, *TRADING, "--prove")
    assert done.exit_code == 0, done.output
    assert "No lookahead: " in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name a FILE of bars, or --database"),
        (("{file}", "--database"), "name a FILE of bars, or --database"),
        (("nowhere.csv",), "nowhere.csv: there is no such file"),
        (("{file}", "{file}"), "one FILE is needed, not 2"),
        (("{file}", "--set", "CONFIDENCE_TRESHOLD=1"), "did you mean CONFIDENCE_THRESHOLD?"),
        (("{file}", "--set", "CONFIDENCE_THRESHOLD"), "must be NAME=VALUE"),
        (("{file}", "--set", "GRPC_PORT=1"), "GRPC_PORT is no setting that a backtest depends on"),
        (("{file}", "--confidence-threshold", "high"), "CONFIDENCE_THRESHOLD"),
        (("{file}", "--grid", "SPREAD="), "SPREAD= names no value to try"),
        (("{file}", "--grid", "CONFIDENCE_THRESHOLD=0.5,7"), "CONFIDENCE_THRESHOLD"),
        (("{file}", "--grid", "SPREAD=1,2", "--set", "SPREAD=3"), "SPREAD is set and in the grid"),
        (("{file}", "--set", "SPREAD=1", "--spread", "2"), "SPREAD is set twice"),
        (("{file}", "--from", "yesterday"), "'yesterday' is no time"),
        (("{file}", "--from", "0001-01-01T00:00+14:00"), "in UTC it is before the year 1"),
        (("{file}", "--from", "2024-06-02", "--to", "2024-06-01"), "--from must be before --to"),
        (("{file}", "--from", "2030-01-01"), "there is no bar to test on in the period"),
        (("{file}", "--prove", "--walk-forward", "2"), "--prove does not go with"),
        (("{file}", "--json", "nowhere/out.json"), "nowhere/out.json cannot be written"),
        (("{file}", "--report", "nowhere/out.html"), "nowhere/out.html cannot be written"),
        (("{file}", "--report", "out.html", "--prove"), "--report is of one run"),
        (("{file}", "--report", "out.html", "--grid", "SPREAD=1,2"), "--report is of one run"),
        (("{file}", "--symbol", "EURUSD"), "there are no bars to test on"),
    ],
)
def test_what_cannot_be_tested_is_refused_in_one_line(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    file = str(write_csv(tmp_path / "few.csv", walk(60)))
    done = run(*(word.format(file=file) for word in words), "--model", "placeholder")
    assert done.exit_code == 1, done.output
    assert message in done.output
    assert done.output.count("\n") == 1


def test_more_combinations_than_allowed_are_refused(month: str) -> None:
    many = ",".join(map(str, range(1, 102)))
    done = run(month, "--grid", f"MAX_HOLDING_BARS={many}", f"ATR_MULTIPLIER_TP={many}")
    assert "10,201 combinations are more than 10,000" in done.output


def test_the_bars_are_never_overwritten_by_the_result(month: str, tmp_path: Path) -> None:
    before = Path(month).read_bytes()
    (tmp_path / "link").symlink_to(month)
    for out in (month, "month.csv", "link"):
        for option in ("--json", "--report"):
            done = run(month, *TRADING, option, out)
            assert (done.exit_code, Path(month).read_bytes()) == (1, before), done.output
            assert "has the bars: write the result to another file" in done.output
    done = run(month, *TRADING, "--json", "out", "--report", str(tmp_path / "out"))
    assert "name the same file" in done.output


def test_a_result_that_cannot_be_written_leaves_the_file_that_was_there(
    month: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    out.write_text("kept")

    def full(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        done = run(month, *TRADING, "--no-compare", "--json", "out.json")
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == "tradingsignals: out.json: cannot be written (No space left on device)"
    assert out.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["month.csv", "out.json"]


@pytest.mark.slow
def test_values_of_a_setting_that_is_twice_in_the_grid_are_all_tried(month: str, tmp_path: Path) -> None:
    values = ("CONFIDENCE_THRESHOLD=0.4", "CONFIDENCE_THRESHOLD=0.4,0.5")
    done = run(month, "--model", "placeholder", "--jobs", "1", "--grid", *values, "--json", "out.json")
    assert done.exit_code == 0, done.output
    assert "2 combinations tried" in done.output
    assert document(tmp_path / "out.json")["tried"] == 2
    done = run(month, "--model", "placeholder", "--jobs", "1", "--grid", values[0])
    assert "1 combination tried" in done.output
