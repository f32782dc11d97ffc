"""Results as tables that a person reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ...application.backtest.grid import GridComparison, WalkForward
from ...application.backtest.proof import Proof
from ...application.backtest.result import BacktestResult
from ...domain.performance.breakdowns import Dimension
from ...domain.performance.definitions import DEFINITIONS, FigureUnit
from ...domain.performance.figures import Figure
from ...domain.performance.texts import figure_text, interval_text, number
from ...domain.wording import counted

_SHOWN = (
    (
        "Trades",
        (
            ("trades", "trades"),
            ("win rate", "win_rate_pct"),
            ("profit factor", "profit_factor"),
            ("expectancy", "expectancy"),
            ("expectancy", "expectancy_r"),
            ("average win", "average_win_r"),
            ("average loss", "average_loss_r"),
            ("average cost", "average_cost_pct"),
            ("longest losing streak", "longest_loss_streak"),
        ),
    ),
    (
        "Return and risk",
        (
            ("profit after costs", "pnl"),
            ("total return", "total_return_pct"),
            ("a year", "cagr_pct"),
            ("volatility a year", "volatility_pct"),
            ("Sharpe", "sharpe"),
            ("Sortino", "sortino"),
            ("Calmar", "calmar"),
            ("largest drawdown", "max_drawdown_pct"),
            ("longest drawdown", "longest_drawdown_days"),
            ("time in the market", "time_in_market_pct"),
            ("chance that Sharpe > 0", "probabilistic_sharpe"),
        ),
    ),
    (
        "Judgement of the model",
        (
            ("AUC of confidence", "auc_confidence"),
            ("AUC of win probability", "auc_win_probability"),
            ("Brier score", "brier"),
            ("calibration error", "expected_calibration_error"),
        ),
    ),
)
_COMPARED = ("trades", "win_rate_pct", "pnl", "total_return_pct", "sharpe", "max_drawdown_pct")
_MOST_REJECTIONS = 8
_MOST_POINTS = 30


def print_result(console: Console, result: BacktestResult) -> None:
    """Print the facts of a run, its figures, the comparisons, and what was not traded."""
    parts: list[Table | Text] = [_facts(result), Text(), _figures(result.performance.figures), Text()]
    parts += [_exits(result), Text(), _comparisons(result), Text()]
    parts += [*_rejections(result), *_left_open(result), *_refused(result)]
    console.print(Group(*parts))
    if result.facts.model.type == "placeholder":
        console.print("The model is the placeholder: its decisions are made up.", style="bold yellow")


def print_comparison(console: Console, comparison: GridComparison) -> None:
    """Print the points of a grid, the best first, and what the best is worth after so many tries."""
    points, best = comparison.points, comparison.points[0]
    tried = counted(len(points), "combination")
    table = Table(title=f"{tried} tried, by Sharpe ratio", title_justify="left", box=None)
    table.add_column("#", justify="right", style="dim")
    for name in best.settings:
        table.add_column(name, justify="right")
    for name in _COMPARED:
        table.add_column(_title(name), justify="right")
    for rank, point in enumerate(points[:_MOST_POINTS], 1):
        figures = (figure_text(name, point.figures[name]) for name in _COMPARED)
        table.add_row(str(rank), *point.settings.values(), *figures, style="bold" if rank == 1 else "")
    console.print(table)
    if len(points) > _MOST_POINTS:
        console.print(f"and {len(points) - _MOST_POINTS} more; --json has all", style="dim")
    deflated = comparison.deflated_sharpe.value
    if comparison.trials is None or deflated is None:
        console.print("The best cannot be deflated: fewer than two combinations have a Sharpe ratio.")
        return
    console.print(
        f"\nDeflated for {comparison.trials.count} tries, the best has a true Sharpe ratio above that of luck with a "
        f"probability of {deflated:.1%}" + (": that is no evidence of skill." if deflated < 0.95 else "."),
        highlight=False,
    )


def print_walk_forward(console: Console, walked: WalkForward, tried: int) -> None:
    """Print the splits of a walk-forward, and all tests together."""
    how = f"the best of {tried} combinations on all sessions before" if tried > 1 else "the same settings throughout"
    table = Table(title=f"Walk-forward: {how}", title_justify="left", box=None)
    for name in ("from", "to", *(walked.folds[0].chosen)):
        table.add_column(name)
    table.add_column("Sharpe before", justify="right")
    for name in _COMPARED:
        table.add_column(_title(name), justify="right")
    for fold in walked.folds:
        figures = (figure_text(name, fold.out_of_sample[name]) for name in _COMPARED)
        before = figure_text("sharpe", fold.in_sample["sharpe"])
        table.add_row(str(fold.first_day), str(fold.last_day), *fold.chosen.values(), before, *figures)
    total = (figure_text(name, walked.out_of_sample[name]) for name in _COMPARED)
    blank = [""] * len(walked.folds[0].chosen)
    table.add_row(str(walked.folds[0].first_day), str(walked.folds[-1].last_day), *blank, "", *total, style="bold")
    console.print(table)


def print_proof(console: Console, proof: Proof) -> None:
    """Print whether a decision depends on a later bar."""
    if (found := proof.lookahead) is None:
        bars, cuts = counted(proof.bars, "bar"), counted(proof.cuts, "random cut")
        console.print(
            f"No lookahead: {bars} before {cuts} led to the same with the later bars, "
            "without them, and with others in their place.",
            style="green",
            highlight=False,
        )
        return
    console.print(
        f"LOOKAHEAD: with the bars after {found.cut.time:%Y-%m-%d %H:%M} {found.how}, the bar of {found.bar.symbol} at "
        f"{found.bar.time:%Y-%m-%d %H:%M} UTC leads to something else.\n  {found.difference.field}: "
        f"{found.difference.one} became {found.difference.other}",
        style="bold red",
        highlight=False,
        markup=False,
    )


def _facts(result: BacktestResult) -> Table:
    facts, bars = result.facts, result.bars
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    rate = facts.bars / result.seconds if result.seconds else 0.0
    kinds = ", ".join(
        f"{count:,} {kind}"
        for kind, count in (
            ("decided on", bars.accepted),
            ("warming up", bars.warming_up),
            ("outside sessions", bars.outside_session),
            ("of another interval", bars.other_interval),
            ("duplicates", bars.duplicate),
            ("refused", bars.refused),
        )
        if count
    )
    model = facts.model
    sha = "" if model.sha256 is None else f", sha256 {model.sha256[:12]}"
    table.add_row("bars", f"{facts.source}: {', '.join(facts.symbols)}, {facts.bars:,} ({kinds})")
    table.add_row("period", f"{facts.first_bar:%Y-%m-%d %H:%M} to {facts.last_bar:%Y-%m-%d %H:%M} UTC")
    table.add_row("model", f"{model.name} {model.version} ({model.type}{sha})".strip())
    if (overlap := _trained_within(result)) is not None:
        table.add_row("", Text(overlap, style="yellow"))
    table.add_row("hashes", f"bars {facts.bars_sha256[:12]}, settings {facts.settings_sha256[:12]}")
    actions = ", ".join(f"{count:,} {action}" for action, count in result.actions.items())
    table.add_row("signals", actions)
    table.add_row("took", f"{result.seconds:.1f} s of a core, {rate:,.0f} bars a second")
    return table


def _trained_within(result: BacktestResult) -> str | None:
    trained, facts = result.facts.model.training_range, result.facts
    if trained is None or trained[0] > facts.last_bar or trained[1] < facts.first_bar:
        return None
    return f"trained on {trained[0]:%Y-%m-%d} to {trained[1]:%Y-%m-%d}: figures of that time are flattered"


def _figures(figures: Mapping[str, Figure]) -> Table:
    outer = Table.grid(padding=(0, 4))
    columns = []
    for title, rows in _SHOWN:
        table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 1))
        table.add_column(style="dim")
        table.add_column(justify="right")
        table.add_column(style="dim")
        known = [(label, name, figures[name]) for label, name in rows if figures[name].value is not None]
        for label, name, figure in known:
            table.add_row(label, figure_text(name, figure), interval_text(name, figure))
        if known:
            columns.append(table)
    outer.add_row(*columns[:2])
    if len(columns) > 2:
        outer.add_row()
        outer.add_row(*columns[2:])
    return outer


def _exits(result: BacktestResult) -> Table:
    table = _table("Exits", ("reason",), ("trades", "win rate", "profit", "R"))
    for group in result.performance.breakdowns:
        if group.dimension is Dimension.RESOLUTION:
            names = ("trades", "win_rate_pct", "pnl", "expectancy_r")
            reason = group.key.lower().replace("_", " ")
            table.add_row(reason, *(figure_text(name, group.figures[name]) for name in names))
    return table


def _comparisons(result: BacktestResult) -> Table:
    table = _table("Beside it", ("",), tuple(map(_title, _COMPARED)))
    rows: Iterable[tuple[str, Mapping[str, Figure]]] = (
        ("this model", result.performance.figures),
        *((comparison.name, comparison.figures) for comparison in result.comparisons),
    )
    for name, figures in rows:
        table.add_row(name, *(_compared_text(each, figures) for each in _COMPARED))
    if not result.comparisons:
        table.add_row("not compared (--no-compare)", style="dim")
    return table


def _compared_text(name: str, figures: Mapping[str, Figure]) -> str:
    # Buy and hold closes no trade.
    is_of_trades = name in {"trades", "win_rate_pct", "pnl"}
    return "" if is_of_trades and not figures["trades"].value else figure_text(name, figures[name])


def _rejections(result: BacktestResult) -> Sequence[Table | Text]:
    if not result.rejections:
        return ()
    table = _table("Choices that were not traded", ("why",), ("times",))
    for rejection in result.rejections[:_MOST_REJECTIONS]:
        table.add_row(rejection.rule, f"{rejection.count:,}")
    if (more := len(result.rejections) - _MOST_REJECTIONS) > 0:
        table.add_row(f"and {more} other rules", "", style="dim")
    return (table,)


def _left_open(result: BacktestResult) -> Sequence[Text]:
    return [
        Text(
            f"Left open: {position.action} {position.symbol} since {position.entry_time:%Y-%m-%d %H:%M} UTC at "
            f"{position.entry_price:g}, {number(position.pnl_account, sign=True)} on the account"
        )
        for position in result.open_positions
    ]


def _refused(result: BacktestResult) -> Sequence[Text]:
    lines = [
        Text(f"Refused: {bar.symbol} at {bar.time:%Y-%m-%d %H:%M} UTC: {bar.problem}", style="yellow")
        for bar in result.refused_bars[:3]
    ]
    if (more := result.bars.refused - len(lines)) > 0:
        lines.append(Text(f"and {counted(more, 'more bar')}", style="yellow"))
    return lines


def _table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in texts:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _title(name: str) -> str:
    titles = {"win_rate_pct": "win rate", "pnl": "profit", "total_return_pct": "return", "max_drawdown_pct": "drawdown"}
    return titles.get(
        name, name.replace("_", " ") if DEFINITIONS[name].unit is not FigureUnit.RATIO else name.capitalize()
    )
