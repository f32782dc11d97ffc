"""The report in a real browser: no error, no blocked script, and the figures of the data on the page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.support.browser import CHROMIUM
from tests.support.report_data import report_data

from tradingsignals_server.adapters.report.page import render_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


def shown_page(folder: Path, page: str) -> tuple[str, list[str]]:
    """Return the document after its scripts have run, and what the browser wrote to the console."""
    assert CHROMIUM is not None
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    reported = ("--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom")
    done = subprocess.run(
        [CHROMIUM, *options, *reported, f"--user-data-dir={folder / 'profile'}", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_scripts_run_without_errors_and_show_every_trade(tmp_path: Path) -> None:
    data = report_data(bars=1_500, trades=20, symbols=("EURUSD", "USDCOP"))
    shown, console = shown_page(tmp_path, render_report(data))
    assert console == []
    assert shown.count("<canvas") > 3
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", shown.split('id="trade-rows">', 1)[1].split("</tbody>", 1)[0])
    newest = sorted(data.trades, key=lambda one: (one.trade.entry_time, one.trade.exit_time, one.trade.symbol))[::-1]
    assert len(rows) == min(25, len(newest))
    for row, one in zip(rows, newest, strict=False):
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
        assert cells[:3] == [f"{one.trade.entry_time:%Y-%m-%d %H:%M}", one.trade.symbol, one.trade.action.value]
        numbers = [float(cell.replace(",", "").replace("\N{MINUS SIGN}", "-")) for cell in (*cells[3:5], *cells[6:10])]
        expected = [
            one.trade.r_multiple,
            one.trade.pnl,
            one.entry_price,
            one.exit_price,
            one.stop_loss,
            one.take_profit,
        ]
        assert numbers == pytest.approx(expected, abs=0.0051)
        assert cells[5] == one.trade.resolution


def test_a_script_that_is_not_ours_does_not_run(tmp_path: Path) -> None:
    page = render_report(report_data(bars=300, trades=5))
    altered = page.replace("</footer>", "</footer><script>document.title = 'altered'</script>")
    shown, console = shown_page(tmp_path, altered)
    assert "<title>altered" not in shown
    assert any("Content Security Policy" in line for line in console)


def test_a_report_without_trades_and_bars_has_no_error(tmp_path: Path) -> None:
    _, console = shown_page(tmp_path, render_report(report_data(bars=10, trades=0)))
    assert console == []
