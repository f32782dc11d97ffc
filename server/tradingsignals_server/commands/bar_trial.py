"""What a model decides on the bars of a file, as the service does, for `tradingsignals check --bars`."""

from __future__ import annotations

from collections import Counter, deque
from datetime import timedelta
from pathlib import Path

from ..adapters.feeds.files import load_bars
from ..adapters.onnx.policy import OnnxPolicy
from ..application.decision.pipeline import Pipeline
from ..application.decision.trader import Trader
from ..application.ingest.states import nothing_stored, state_of
from ..config.settings import Settings
from ..domain.bars import Bar
from ..domain.calendar import calendar_for
from ..domain.signals import Action, Signal
from .feature_check import made_up_bars

DECIDED_BARS = 300
"""The newest bars of a file that are decided on, beside those that the features need."""
SHOWN = 3


def decisions_on(policy: OnnxPolicy, path: Path | None, settings: Settings) -> str:
    """Run the policy on the newest bars of the first symbol of a file, and describe its decisions in lines of text.

    Without a file it runs on a made-up market.

    Raises:
        UnreadableFile: the file cannot be read, or has bars of another interval.
        InvalidRequest: its rows have no symbol.
    """
    interval = policy.specification.interval
    pipeline = Pipeline(
        Trader(policy, settings.risk_rules), lambda symbol: calendar_for(symbol, settings.session_calendar, interval)
    )
    count = pipeline.history_bars + DECIDED_BARS
    bars = made_up_bars(count, seed=3, interval=interval) if path is None else _newest(path, interval, count)
    if not bars:
        return f"{path}: has no bars"
    symbol = bars[0].symbol
    state = state_of(nothing_stored(), pipeline, symbol)
    signals = list[Signal]()
    for bar in bars:
        step = pipeline.on_bar(state, bar)
        state = step.state
        if step.signal is not None:
            signals.append(step.signal)
    actions = Counter(signal.action for signal in signals)
    counts = ", ".join(f"{actions[action]} {action}" for action in Action)
    where = "made-up bars" if path is None else f"bars of {symbol} in {path}"
    head = f"on {'' if path is None else 'the newest '}{len(bars)} {where}: {counts}"
    return "\n".join([head, *(f"  {_shown(signal)}" for signal in signals[-SHOWN:])])


def _newest(path: Path, interval: timedelta, count: int) -> list[Bar]:
    """Return the newest bars of the symbol of the first bar of a file, one for each time."""
    newest = deque[Bar](maxlen=count)
    for chunk in load_bars(path, interval_of=lambda _: interval).chunks():
        for bar in chunk:
            if not newest or (bar.symbol == newest[0].symbol and bar.time > newest[-1].time):
                newest.append(bar)
    return list(newest)


def _shown(signal: Signal) -> str:
    found = signal.probabilities
    reason = f": {signal.decision.reasoning[-1]}" if signal.decision.reasoning else ""
    return (
        f"{signal.timestamp:%Y-%m-%d %H:%M} UTC at {signal.entry_price:g}: {signal.action}, probabilities HOLD "
        f"{found.hold:.3f}, BUY {found.buy:.3f}, SELL {found.sell:.3f}{reason}"
    )
