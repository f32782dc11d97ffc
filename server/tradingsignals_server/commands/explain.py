"""`tradingsignals explain`: why a signal was given, and whether it comes out again."""

from __future__ import annotations

import json
from collections.abc import Iterator

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

import tradingsignals
from tradingsignals import Signal
from tradingsignals.v1.explanation_pb2 import Explanation, Replay, RuleResult

from ..domain.wording import counted
from .api_key import api_key, credentials
from .watch import ServiceAbsent

_VERDICTS = {
    RuleResult.PASSED: Text("passed", style="green"),
    RuleResult.STOPPED: Text("stopped", style="bold red"),
    RuleResult.NOT_REACHED: Text("not reached", style="dim"),
}


async def explain(
    address: str, signal_id: str, *, replays: bool = False, as_json: bool = False, console: Console | None = None
) -> int:
    """Print the explanation of a signal of the service at `address`; with `replays` its replay too.

    Args:
        address: host and port.
        signal_id: id of the signal.
        replays: whether to make the signal again, and say whether it is equal.
        as_json: print JSON instead of tables.
        console: where to print; default: standard output.

    Returns:
        The exit code: 1 if a replay was not equal, else 0.

    Raises:
        ServiceAbsent: the service is not reachable.
        TradingSignalsError: the service refuses the call; NotFound if there is no signal with this id.
    """
    console = console or Console()
    async with tradingsignals.connect(address, api_key=api_key(), credentials=credentials()) as client:
        try:
            found = await client.explain_signal(signal_id)
            replay = await client.replay_signal(signal_id) if replays else None
        except tradingsignals.Unavailable as error:
            raise ServiceAbsent(f"no service responds at {address}; `tradingsignals up` starts one") from error
    if as_json:
        console.print_json(json.dumps(_document(found, replay)))
    else:
        _print(console, found, replay)
    return 0 if replay is None or replay.equal else 1


def _document(found: Explanation, replay: Replay | None) -> dict[str, object]:
    document: dict[str, object] = {"explanation": MessageToDict(found, preserving_proto_field_name=True)}
    if replay is not None:
        document["replay"] = MessageToDict(
            replay, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    return document


def _print(console: Console, found: Explanation, replay: Replay | None) -> None:
    for line in _heading(found.signal):
        console.print(line, highlight=False)
    console.print(_rules(found))
    if found.HasField("attribution"):
        console.print(_contributions(found))
    if found.features:
        console.print(_features(found))
    for sentence in found.missing:
        console.print(f"Not known: {sentence}", style="yellow", highlight=False)
    if replay is not None:
        _print_replay(console, replay)


def _heading(signal: Signal) -> Iterator[str]:
    action, origin = Signal.Action.Name(signal.action), Signal.Origin.Name(signal.origin)
    yield f"{action} {signal.symbol} at {signal.entry_price:g}, {_minute(signal.timestamp)} UTC ({origin.lower()})"
    yield _validity(signal)
    shares = signal.probabilities
    yield f"HOLD {shares.hold:.1%}, BUY {shares.buy:.1%}, SELL {shares.sell:.1%} by model {signal.model_version}"
    for sentence in signal.reasoning:
        yield f"  {sentence}"


def _validity(signal: Signal) -> str:
    if not signal.HasField("valid_until"):
        return "Valid until an unknown time: a version of the service without valid_until made it"
    if signal.valid_until.ToDatetime() <= signal.timestamp.ToDatetime():
        return "Valid at no time: nothing may be opened"
    return f"Valid until {_minute(signal.valid_until)} UTC"


def _rules(found: Explanation) -> Table:
    table = Table("Rule", "Result", Column("Value", justify="right"), Column("Limit", justify="right"), box=None)
    table.title, table.title_justify = "Rules, in the order in which they decided", "left"
    for rule in found.rules:
        value = f"{rule.value:.6g}" if rule.HasField("value") else ""
        limit = f"{rule.limit:.6g}" if rule.HasField("limit") else ""
        table.add_row(rule.rule, _VERDICTS[rule.verdict], value, limit)
    return table


def _contributions(found: Explanation) -> Table:
    attribution = found.attribution
    table = Table("Group", Column("Log-odds", justify="right"), "Features", box=None)
    action = Signal.Action.Name(attribution.action)
    table.title, table.title_justify = f"What made the log-odds of {action}", "left"
    table.add_row(f"Baseline ({attribution.baseline})", f"{attribution.baseline_log_odds:+.3f}", "")
    for one in sorted(attribution.contributions, key=lambda one: -abs(one.log_odds)):
        table.add_row(one.group, f"{one.log_odds:+.3f}", ", ".join(one.features))
    table.add_row("Sum", f"{attribution.log_odds:+.3f}", "")
    return table


def _features(found: Explanation) -> Table:
    table = Table("Feature", Column("Value", justify="right"), "Unit", Column("Observed", justify="right"), box=None)
    table.title, table.title_justify = "Features", "left"
    for one in found.features:
        name = one.name if one.bars_ago == 0 else f"{one.name} ({counted(one.bars_ago, 'bar')} before)"
        value = f"{one.value:.6g}" if one.HasField("value") else ""
        table.add_row(name, value, one.unit, f"{one.observed:.6g}")
    return table


def _print_replay(console: Console, replay: Replay) -> None:
    if replay.equal:
        console.print("Replay: equal", style="green")
        return
    console.print("Replay: not equal", style="bold red")
    for cause in replay.causes:
        console.print(f"  because {cause.description}", highlight=False)
    for one in replay.differences:
        console.print(
            f"  {one.field}: stored {one.stored or 'nothing'}, now {one.recomputed or 'nothing'}", highlight=False
        )


def _minute(time: Timestamp) -> str:
    return time.ToDatetime().isoformat(" ", "minutes")
