"""`tradingsignals features`: the catalogue of features, as a table or as the page docs/features.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from textwrap import wrap

from ..domain.features import M5_V1
from ..domain.features.catalogue import GROUPS
from ..domain.features.expression import Feature
from ..domain.features.kind import FeatureKind

_WIDTH = 100

_HEAD = """\
# Features

Written by `make generate` from the catalogue in `server/tradingsignals_server/domain/features/`; `tradingsignals
features` prints it too.

A model file names the features that it was trained on, each as a kind with its parameters, such as `rsi(14)`.
Parameters that are left out have their defaults. In the formulas `c`, `o`, `h`, `l` and `v` are close, open, high,
low and volume of the newest bar, `c[n]` is the close `n` bars before, and `ATR 14` is the average true range of 14
bars: one basis point of the close where the market has not moved. A bar counts once it has closed; at a quote it is
the bar in the making.

- **warm-up**: bars from which on the value is defined, for the default parameters. Before, and where prices that do
  not move leave it undefined, it has its **neutral** value. A symbol is decided on once all features of its model are
  warm, and never with fewer than 50 bars.
- Every value is a function of the last `lookback_bars` bars alone (100 unless the model says otherwise), so that
  live, backtest and a restart give the same bits.
- The limit of a model (`feature_limit`, 10 unless it says otherwise) bounds the absolute value of each feature,
  except those of the unit price, volume, bars and RSI points, marked *raw*.
- Times are in UTC. The sessions are those of the calendar of the symbol.
- A model with a feature of *Position* sees its own position after the exits of the newest bar.
"""


def table() -> str:
    """Return the catalogue in lines of text."""
    lines = list[str]()
    for group in GROUPS:
        lines += ["", group.title]
        for kind in group.kinds:
            lines.append(f"  {Feature(kind)}")
            about = f"{kind.meaning}: {kind.formula}. {_facts(kind)}"
            lines += [f"      {line}" for line in wrap(about, _WIDTH)]
    return "\n".join(lines[1:]) + "\n"


def page() -> str:
    """Return the catalogue as a page of Markdown."""
    return "\n".join([_HEAD, *_sections(), *_m5_v1()])


def _sections() -> Iterator[str]:
    for group in GROUPS:
        yield f"## {group.title}\n"
        yield "| feature | meaning | formula | unit | bounds | warm-up | neutral | source |"
        yield "|---|---|---|---|---|---|---|---|"
        for kind in group.kinds:
            cells = (
                f"`{Feature(kind)}`{_parameters(kind)}",
                kind.meaning + ("; needs volumes" if kind.needs_volume else ""),
                f"`{kind.formula}`",
                kind.unit + (", *raw*" if kind.raw else ""),
                _bounds(kind) or "none",
                str(Feature(kind).warm_bars),
                f"{kind.neutral:g}",
                kind.source,
            )
            yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
        yield ""


def _m5_v1() -> Iterator[str]:
    yield f"## {M5_V1.name}\n"
    yield f"The features of the shipped policy: {M5_V1.size}, of the last {M5_V1.lookback_bars} bars, limited to "
    yield f"+/- {M5_V1.limit:g}, under names of their own.\n"
    yield "| name | feature |"
    yield "|---|---|"
    for name, feature in zip(M5_V1.names, M5_V1.features, strict=True):
        yield f"| `{name}` | `{feature}` |"
    yield ""


def _parameters(kind: FeatureKind) -> str:
    """Return names and bounds of the parameters, "" without any."""
    if not kind.parameters:
        return ""
    return " " + ", ".join(f"{one.name} {one.lowest:g} to {one.highest:g}" for one in kind.parameters)


def _facts(kind: FeatureKind) -> str:
    facts = [f"Unit: {kind.unit}", f"warm-up: {Feature(kind).warm_bars} bars", f"neutral: {kind.neutral:g}"]
    if bounds := _bounds(kind):
        facts.append(f"bounds: {bounds}")
    if kind.needs_volume:
        facts.append("needs volumes")
    if kind.source:
        facts.append(f"source: {kind.source}")
    return "; ".join(facts) + "."


def _bounds(kind: FeatureKind) -> str:
    """Return the bounds of the value before the limit, "" if it has none."""
    if math.isinf(kind.highest):
        return "" if math.isinf(kind.lowest) else f"at least {kind.lowest:g}"
    return f"{kind.lowest:g} to {kind.highest:g}"
