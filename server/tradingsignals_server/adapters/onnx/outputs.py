"""From the output of a model for one observation to the probabilities of HOLD, BUY and SELL."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ...domain.signals import Action, Probabilities
from .metadata import OutputKind

_ROUNDING = 1e-4
"""How far float32 rounding may take a probability, such as the sum over a forest of trees, below 0 or above 1."""

_CHOICES = {
    Action.HOLD: Probabilities(1.0, 0.0, 0.0),
    Action.BUY: Probabilities(0.0, 1.0, 0.0),
    Action.SELL: Probabilities(0.0, 0.0, 1.0),
}
"""The probabilities of a model that gives only a choice."""

Conversion = Callable[[Sequence[float]], Probabilities | None]


def conversion_of(kind: OutputKind, actions: Sequence[Action]) -> Conversion:
    """Return the function that converts an output; it returns None for one that is invalid, such as NaN.

    `actions` are those of the columns. Columns of one action are added, and an action without a column is 0. Values
    that rounding takes below 0 or above 1 are clipped.
    """
    if kind is OutputKind.ACTION:
        return lambda output: _chosen(output, actions)
    if kind is OutputKind.ACTION_VALUES:
        return lambda output: _of_highest(output, actions)
    added = _columns(actions)
    if kind is OutputKind.LOGITS:
        return lambda output: _softmaxed(output, added)
    return lambda output: _added(output, added)


def _columns(actions: Sequence[Action]) -> tuple[tuple[int, ...], ...]:
    """Return the columns of HOLD, of BUY and of SELL."""
    return tuple(
        tuple(column for column, of_column in enumerate(actions) if of_column is action)
        for action in (Action.HOLD, Action.BUY, Action.SELL)
    )


def _added(output: Sequence[float], columns: Sequence[Sequence[int]]) -> Probabilities | None:
    values = output
    if not _are_within(values):
        values = [min(max(value, 0.0), 1.0) if abs(value - 0.5) <= 0.5 + _ROUNDING else value for value in output]
        if not _are_within(values):
            return None
    hold, buy, sell = [
        values[of[0]] if len(of) == 1 else min(math.fsum(values[column] for column in of), 1.0) for of in columns
    ]
    if len(values) != len(columns) and abs(math.fsum(values) - 1.0) > 1e-3:
        return None
    try:
        return Probabilities(hold, buy, sell)
    except ValueError:
        return None


def _are_within(values: Sequence[float]) -> bool:
    """Return whether all are from 0 to 1, in a third of the time that `all` takes for three."""
    for value in values:  # noqa: SIM110
        if not 0.0 <= value <= 1.0:
            return False
    return True


def _softmaxed(output: Sequence[float], columns: Sequence[Sequence[int]]) -> Probabilities | None:
    if not all(map(math.isfinite, output)):
        return None
    highest = max(output)
    weights = [math.exp(logit - highest) for logit in output]
    total = sum(weights)
    return _added([weight / total for weight in weights], columns)


def _of_highest(output: Sequence[float], actions: Sequence[Action]) -> Probabilities | None:
    if not all(map(math.isfinite, output)):
        return None
    return _CHOICES[actions[output.index(max(output))]]


def _chosen(output: Sequence[float], actions: Sequence[Action]) -> Probabilities | None:
    (index,) = output
    return (
        _CHOICES[actions[int(index)]]
        if math.isfinite(index) and index == int(index) and 0 <= index < len(actions)
        else None
    )
