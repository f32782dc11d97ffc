from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from tests.support.report_data import report_data

from tradingsignals_server.adapters.report.page import MAX_BYTES, MIN_CANDLES, render_report
from tradingsignals_server.domain.performance.definitions import DEFINITIONS
from tradingsignals_server.domain.performance.summary import performance_of
from tradingsignals_server.domain.performance.texts import figure_text, interval_text

HOSTILE = "\"></script><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }} ' & <!--"
ATTRIBUTION = "https://www.tradingview.com/"


class PageReader(HTMLParser):
    """Elements of a page with their attributes, and the texts of scripts, styles and headings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.contents: list[tuple[str, dict[str, str], str]] = []
        self.text = ""
        self._inside: tuple[str, dict[str, str]] = ("", {})
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = (tag, {name: value or "" for name, value in attrs})
        self.elements.append(self._inside)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ("", {})

    def handle_data(self, data: str) -> None:
        tag, attributes = self._inside
        self.contents.append((tag, attributes, data))
        if tag not in {"script", "style"}:
            self.text += data

    def data(self, element: str) -> Any:
        """Return the JSON of the script element of this id."""
        return json.loads(next(text for _, attributes, text in self.contents if attributes.get("id") == element))


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(report_data())


@pytest.fixture(scope="module")
def read(page: str) -> PageReader:
    return PageReader(page)


def test_every_section_is_there(read: PageReader) -> None:
    headings = {text.strip() for tag, _, text in read.contents if tag in {"h1", "h2", "h3"}}
    assert headings >= {
        *("Backtest", "Equity", "Drawdown from the peak", "Price, entries and exits", "Statistics", "Compared with"),
        *("Monthly returns", "Rolling Sharpe ratio", "Distribution of R", "MAE against MFE", "Exit reasons"),
        *("By hour", "By weekday", "Calibration", "Results by group", "Left open at the end"),
        *("Signals that were not traded", "Trades", "Run and data"),
    }
    assert "5f" * 32 in read.text
    assert "confidence 0.55 is below the threshold 0.55" in read.text


def test_every_figure_has_its_value_interval_n_and_definition(page: str) -> None:
    data = report_data()
    for name, figure in data.performance.figures.items():
        row = page[page.index(f'<span data-figure="{name}">') :].split("</div>", 1)[0]
        value, interval, n = re.findall(r"<span[^>]*>([^<]*)</span>", row)
        assert value == figure_text(name, figure, "USD")
        assert interval == interval_text(name, figure)
        assert n == f"{figure.n:,}"
        tip = page[page.index(f'id="tip-{name}">') :].split("</span>", 1)[0]
        assert DEFINITIONS[name].formula.split("(")[0].split("'")[0].split("|")[0].strip()[:20] in tip


def test_the_same_data_give_the_same_page(page: str) -> None:
    assert render_report(report_data()) == page


def test_nothing_refers_to_the_outside_but_the_attribution(page: str, read: PageReader) -> None:
    addresses = {
        value
        for tag, attributes in read.elements
        for name, value in attributes.items()
        if name in {"src", "href", "action", "data", "srcset", "poster", "formaction", "background", "xlink:href"}
    }
    assert addresses == {ATTRIBUTION}
    assert not {"link", "iframe", "object", "embed", "img", "base", "form"} & {tag for tag, _ in read.elements}
    style = next(text for tag, _, text in read.contents if tag == "style")
    assert "url(" not in style
    assert "@import" not in style


def test_the_content_policy_allows_these_scripts_and_this_style_only(read: PageReader) -> None:
    policy = next(a["content"] for _, a in read.elements if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))

    def hashes(tag: str) -> set[str]:
        found = (text for kind, attributes, text in read.contents if kind == tag and "type" not in attributes)
        return {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in found}

    assert rules["default-src"] == "'none'"
    assert set(rules["script-src"].split()) == hashes("script")
    assert set(rules["style-src"].split()) == hashes("style")
    for _, attributes in read.elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_hostile_texts_stay_texts() -> None:
    data = report_data(symbols=(HOSTILE,), reason=HOSTILE, resolutions=(HOSTILE,))
    data = replace(
        data,
        title=HOSTILE,
        currency=HOSTILE,
        notes=(HOSTILE,),
        facts=tuple(replace(fact, group=HOSTILE, name=HOSTILE, value=HOSTILE) for fact in data.facts),
        comparisons=tuple(replace(one, name=HOSTILE, definition=HOSTILE) for one in data.comparisons),
        signals={HOSTILE: 3},
    )
    plain, found = PageReader(render_report(report_data())), PageReader(render_report(data))
    assert sum(tag == "script" for tag, _ in found.elements) == sum(tag == "script" for tag, _ in plain.elements)
    assert not any(tag == "img" for tag, _ in found.elements)
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert found.data("bars-data")[0]["symbol"] == HOSTILE
    assert found.data("trades-data")["reasons"] == [HOSTILE]
    assert "{{ 7*7 }}" in found.text


@pytest.mark.parametrize("simulated", [False, True])
@pytest.mark.parametrize("placeholder", [False, True])
def test_simulated_bars_and_placeholder_decisions_are_said_first(*, simulated: bool, placeholder: bool) -> None:
    page = render_report(report_data(bars=300, trades=5, simulated=simulated, placeholder=placeholder))
    body = page.split("<body>", 1)[1].split("<header>", 1)[0]
    assert ("SIMULATED DATA" in body) is simulated
    assert ("PLACEHOLDER DECISIONS" in body) is placeholder
    assert ("⚠" in page.split("<title>", 1)[1].split("</title>", 1)[0]) is (simulated or placeholder)


def test_a_period_without_trades_says_so() -> None:
    page = render_report(report_data(bars=10, trades=0))
    assert "No trade was closed" in page
    assert "No trade to show." in page


def test_a_period_without_bars_says_so() -> None:
    data = replace(
        report_data(bars=10, trades=0), performance=performance_of([], None), equity=None, prices=(), period=None,
        comparisons=(), open_trades=(), rejections=(), signals=None,
    )  # fmt: skip
    found = PageReader(render_report(data))
    assert "There is no bar, so there is no equity." in found.text
    assert found.data("bars-data") == []


@pytest.mark.slow
def test_80_000_bars_and_2_000_trades_stay_below_the_limit_and_no_trade_is_left_out() -> None:
    data = report_data(bars=80_000, trades=2_001)
    page = render_report(data)
    assert len(page.encode()) <= MAX_BYTES
    found = PageReader(page)
    assert len(found.data("trades-data")["entry"]) == len(data.trades) >= 2_000
    assert "for 80,000 bars" in found.text
    assert len(found.data("bars-data")[0]["c"]) > 10_000


def test_bars_that_fit_are_not_combined(read: PageReader) -> None:
    assert len(read.data("bars-data")[0]["c"]) == 3_000
    assert "each made of" not in read.text


@pytest.mark.slow
def test_more_trades_than_fit_are_all_there_with_the_fewest_candles() -> None:
    data = report_data(bars=30_000, trades=12_000)
    page = render_report(data)
    found = PageReader(page)
    assert len(found.data("trades-data")["entry"]) == len(data.trades) >= 12_000
    assert MIN_CANDLES <= len(found.data("bars-data")[0]["c"]) < 1_000
    assert len(page.encode()) < 1.3 * MAX_BYTES
