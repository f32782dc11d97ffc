"""How a signal that was made again differs from the stored one, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from enum import StrEnum

from ...domain.bars import Bar
from ...domain.errors import time_text
from ...domain.signals import Signal
from ...domain.values import dataclass

NOT_SENT = frozenset({"macd_histogram_before", "window_volatility", "bar_interval"})
"""Fields that the message of a signal does not have."""


class CauseKind(StrEnum):
    """Reasons for a difference. Names are those of tradingsignals.v1.ReplayCause.Kind."""

    BAR = "BAR"
    MODEL = "MODEL"
    SETTINGS = "SETTINGS"
    RECURRENT_STATE = "RECURRENT_STATE"
    SIGNAL = "SIGNAL"


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """A field that differs: what is stored, and what comes out now, both as text."""

    field: str
    stored: str
    recomputed: str


@dataclass(frozen=True, slots=True)
class ReplayCause:
    """Why a signal does not come out as it is stored, in a sentence.

    time: open of the bar, if it is one. stored, original: the bar as it is now, and as it was when it was processed;
    None if there is none.
    """

    kind: CauseKind
    sentence: str
    time: datetime | None = None
    stored: Bar | None = None
    original: Bar | None = None


def signal_differences(stored: Signal, recomputed: Signal) -> list[FieldDifference]:
    """Return the fields of a signal's message that differ; its latency is none of them."""
    if stored.valid_until is None:  # an earlier version made it
        recomputed = replace(recomputed, valid_until=None)
    return list(_differences("", stored, recomputed))


def _differences(path: str, stored: object, recomputed: object) -> Iterator[FieldDifference]:
    if is_dataclass(stored) and not isinstance(stored, type) and type(stored) is type(recomputed):
        for field in fields(stored):
            if field.compare and field.name not in NOT_SENT:
                name = f"{path}.{field.name}" if path else field.name
                yield from _differences(name, getattr(stored, field.name), getattr(recomputed, field.name))
    elif stored != recomputed:
        yield FieldDifference(path, _text(stored), _text(recomputed))


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, tuple):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)


def bar_causes(stored: Sequence[Bar], original: Sequence[Bar]) -> list[ReplayCause]:
    """Name each bar of a window that is no longer as it was when it was processed.

    Args:
        stored: the bars that the store has now.
        original: those that the log has for the same time.
    """
    now, then = {bar.time: bar for bar in stored}, {bar.time: bar for bar in original}
    causes = []
    for time in sorted(now.keys() | then.keys()):
        present, before = now.get(time), then.get(time)
        if present is not None and before is not None and not present.agrees_with(before):
            changes = "; ".join(
                f"{name} was {getattr(before, name)!r} and is {getattr(present, name)!r}"
                for name in ("open", "high", "low", "close", "volume")
                if getattr(before, name) != getattr(present, name)
            )
            sentence = f"the bar of {time_text(time)} was altered: {changes}"
        elif present is None:
            sentence = f"the bar of {time_text(time)} is no longer stored"
        else:
            continue
        causes.append(ReplayCause(CauseKind.BAR, sentence, time, present, before))
    return causes
