"""`tradingsignals parity`: a backtest of the stored bars against what the service made of them, bar by bar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from google.protobuf.message import Message
from rich.console import Console

from tradingsignals.v1 import signal_pb2

from ...adapters.postgres.connection import connections
from ...adapters.postgres.live_record import bar_evidence, live_record, recurrent_states
from ...adapters.postgres.outcomes import PostgresOutcomes
from ...api.mapping.log_encoding import encode
from ...api.mapping.log_messages import LOG_DECODERS, market_update_of
from ...api.mapping.to_proto import signal_message
from ...application.backtest.differences import Difference, first_difference
from ...application.backtest.live_record import LiveRecord
from ...application.backtest.opening import Opening, opening_of
from ...application.backtest.parity import (
    OF_BARS,
    OF_MODEL,
    OF_OUTPUT,
    SETTINGS,
    LiveComparison,
    ParityFailure,
)
from ...application.backtest.parity_run import ParityPlan, run_parity
from ...application.backtest.run import NothingToTest
from ...bootstrap.backtest import load_policy
from ...bootstrap.engine import books
from ...bootstrap.storage import readable_database
from ...config.settings import Settings
from ...domain.account import Account
from ...domain.decision_settings import UnreadableSettings, parse_settings
from ...domain.ledger import Ledger
from ...domain.signals import Signal
from ...domain.symbols import parse_symbol
from ...domain.wording import counted
from .display import BacktestDisplay
from .options import BacktestOptions

DIFFERENT = 1
"""Exit code if something differs."""

_NOT_COMPARED = {"sequence", "latency_ms"}
"""Fields of a signal that depend on when and where it was made."""

_EVIDENT_BARS = 500
"""Bars before a difference that are compared with the log to find an altered one."""


async def parity(options: BacktestOptions, *, skip_late: bool, as_json: bool, console: Console | None = None) -> int:
    """Compare, print the result and return the exit code.

    Args:
        options: the period, the symbols, the model and the settings.
        skip_late: leave out bars that came late, as the service did.
        as_json: print the result as JSON.
        console: where to print; default: standard output.

    Raises:
        NothingToTest: the service has stored no bars, or none of the period.
        LogTooShort: the log does not reach back to the begin of the period.
        InvalidSettings: a setting is impossible.
        StorageUnavailable, DatabaseRefused, EmbeddedPostgresError: the database cannot be read.
    """
    console, settings = console or Console(), options.settings()
    policy = load_policy(settings)
    symbols = tuple(parse_symbol(symbol) for symbol in options.symbols)
    ledger = books(settings).make_ledger("")
    ledger = replace(ledger, model_key=policy.description.key)
    with BacktestDisplay(console) as display:
        async with readable_database(settings) as dsn:
            live = await live_record(dsn, symbols, options.end, LOG_DECODERS.trading_control)
            if not len(live.columns.between(options.start, None)):
                raise NothingToTest(_nothing(options))
            opening = await _opening(dsn, options, live, ledger, settings)
            comparison = LiveComparison(
                live,
                opening,
                ledger,
                signal_difference,
                start=options.start,
                ends=options.end is None,
                skips_late=skip_late,
            )
            plan = ParityPlan(policy, settings.risk_rules, settings.calendar_of, live, opening, options.start)
            await run_parity(plan, comparison, display.progress)
            failure = comparison.failure
            if failure is not None:
                failure = await _explained(dsn, failure, live, settings)
    _print(console, comparison, failure, live, as_json=as_json)
    return 0 if failure is None else DIFFERENT


def _nothing(options: BacktestOptions) -> str:
    of = f" of {', '.join(options.symbols)}" if options.symbols else ""
    return f"the service has stored no bars{of}" + (" in this period" if options.start or options.end else "")


async def _opening(dsn: str, options: BacktestOptions, live: LiveRecord, ledger: Ledger, settings: Settings) -> Opening:
    """Return what the backtest begins with; `ledger` has the entries that are open then."""
    if options.start is None:
        return Opening(Account.opened(settings.risk_rules.initial_equity))
    async with connections(dsn) as pool:
        store = PostgresOutcomes(pool, encode, LOG_DECODERS)
        states = await recurrent_states(dsn, live.first_sequence(options.start) or 0)
        return await opening_of(live, options.start, store, ledger, states)


# ------------------------------------------------------------------------------------------------------------ reasons


async def _explained(dsn: str, failure: ParityFailure, live: LiveRecord, settings: Settings) -> ParityFailure:
    """Return a failure with what the log says of its bar, if that explains it better."""
    evidence = await bar_evidence(dsn, (failure.symbol, failure.time), _EVIDENT_BARS)
    stored = {bar.time: bar for bar in live.columns.of_symbols([failure.symbol]).bars(0, len(live.columns))}
    for payload in evidence.bars:
        logged = market_update_of(payload).bar
        found = stored.get(logged.time)
        if found is not None and (changed := first_difference(logged, replace(found, simulated=False))) is not None:
            what = f"its {changed.field} was {changed.one}, and {changed.other} is stored"
            return replace(failure, why=f"altered bar: that of {logged.time:%Y-%m-%d %H:%M}, {what}")
    if failure.why.startswith(SETTINGS) and evidence.settings is not None:
        with suppress(UnreadableSettings):
            other = first_difference(parse_settings(evidence.settings).rules, settings.risk_rules)
            if other is not None:
                return replace(failure, why=f"{SETTINGS}: {other.field} was {other.one}, and {other.other} is set")
    return failure


def signal_difference(sent: bytes, signal: Signal) -> Difference | None:
    """Return the first field of the contract in which a stored signal and one of a backtest differ."""
    stored = signal_pb2.Signal.FromString(sent)
    made = signal_message(signal, stored.sequence)
    if not stored.HasField("valid_until"):  # an earlier version made it
        made.ClearField("valid_until")
    one, other = _fields(stored), _fields(made)
    for name in _in_order(stored):
        if one.get(name) != other.get(name):
            return _narrowed(name, one.get(name, "absent"), other.get(name, "absent"))
    return None


def _narrowed(name: str, one: object, other: object) -> Difference:
    """Return the difference in a field, or in the first field of the message that it is."""
    if isinstance(one, Message) and isinstance(other, Message):
        inner, outer = _fields(one), _fields(other)
        for field in one.DESCRIPTOR.fields:
            if inner.get(field.name) != outer.get(field.name):
                found = inner.get(field.name, "absent"), outer.get(field.name, "absent")
                return Difference(f"{name}.{field.name}", *map(str, found))
    return Difference(name, str(one), str(other))


def _fields(message: Message) -> Mapping[str, Any]:
    return {field.name: value for field, value in message.ListFields()}


def _in_order(message: Message) -> list[str]:
    """Return the names of the fields, those first that say more about the reason of a difference."""
    names = [field.name for field in message.DESCRIPTOR.fields if field.name not in _NOT_COMPARED]
    telling = [name for group in (OF_MODEL, OF_BARS, OF_OUTPUT) for name in names if name.startswith(group)]
    return list(dict.fromkeys([*telling, *names]))


# -------------------------------------------------------------------------------------------------------------- output


def _print(
    console: Console, comparison: LiveComparison, failure: ParityFailure | None, live: LiveRecord, *, as_json: bool
) -> None:
    if as_json:
        console.print_json(json.dumps(_document(comparison, failure)))
        return
    compared = comparison.compared
    parts = [counted(compared.signals, "signal"), counted(compared.positions, "closed position")]
    parts.append(counted(compared.outcomes, "outcome"))
    if not comparison.account_left_out:
        parts.append(f"the account at {counted(compared.equity, 'close')}")
    counts = " and ".join((", ".join(parts[:-1]), parts[-1]))
    if failure is None:
        console.print(
            f"equal: {counts} are those of a backtest, in every field", style="green", highlight=False, soft_wrap=True
        )
    else:
        named = f", field {failure.difference.field}" if failure.difference.field else ""
        console.print(
            f"different from the bar of {failure.symbol} at {failure.time:%Y-%m-%d %H:%M} UTC on, after {counts}: "
            f"{failure.what}{named}: live {failure.difference.one}, backtest {failure.difference.other}\n{failure.why}",
            style="bold red",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    for note in _notes(comparison, live):
        console.print(note, style="yellow", highlight=False, soft_wrap=True)


def _notes(comparison: LiveComparison, live: LiveRecord) -> list[str]:
    notes = []
    if comparison.account_left_out:
        notes.append(f"the account was not compared: {comparison.account_left_out}")
    if not live.log.has_followed(live.log.newest):
        through = f"entry {live.log.followed:,} of {live.log.newest:,}"
        notes.append(f"outcomes and account were compared as far as the service has followed its log: {through}")
    return notes


def _document(comparison: LiveComparison, failure: ParityFailure | None) -> dict[str, Any]:
    difference = None
    if failure is not None:
        difference = {
            "symbol": failure.symbol,
            "bar_time": failure.time.isoformat(),
            "what": failure.what,
            "field": failure.difference.field,
            "live": failure.difference.one,
            "backtest": failure.difference.other,
            "reason": failure.why,
        }
    return {
        "equal": failure is None,
        "compared": asdict(comparison.compared),
        "account_left_out": comparison.account_left_out,
        "difference": difference,
    }
