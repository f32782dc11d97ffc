"""Class labels in the graph of a classifier, and the order of its actions that follows from them.

Converters for scikit-learn, LightGBM and XGBoost write the labels of the training data into the graph, in the order of
the columns of the probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from ...domain.signals import Action
from .entries import ACTIONS, PREFIX, quoted
from .errors import Unfit
from .wire import fields, integers

_ML = b"ai.onnx.ml"
_CLASSIFIERS = frozenset({b"TreeEnsembleClassifier", b"LinearClassifier", b"SVMClassifier", b"ZipMap"})
_INTEGERS = frozenset({b"classlabels_int64s", b"classlabels_ints"})
_STRINGS = b"classlabels_strings"
_LOOKUP = b"ArrayFeatureExtractor"
"""Operator that maps the best column to its label in a constant, for models without a classifier node of their own."""

_BY_SIGN = {"-1": Action.SELL, "0": Action.HOLD, "1": Action.BUY}
_INT32, _INT64, _STRING = 6, 7, 8


class ActionSource(StrEnum):
    """Where the order of the actions of a model comes from."""

    METADATA = "metadata"
    LABELS = "labels"
    SEED_CONTRACT = "seed contract"
    """Not in the file: the contract of a plain file is [HOLD, BUY, SELL]."""


@dataclass(slots=True)
class LabelLists:
    """Collects the lists of class labels of a model while its graph is traversed."""

    _lists: list[tuple[str, ...]] = field(default_factory=list)
    _lookups: list[bytes] = field(default_factory=list)
    _initializers: dict[bytes, memoryview] = field(default_factory=dict)

    def add_node(self, node: memoryview) -> None:
        """Collect the labels of a node."""
        operator, domain, inputs, attributes = b"", b"", list[bytes](), list[memoryview]()
        for number, value in fields(node):
            match number, value:
                case 1, memoryview():
                    inputs.append(bytes(value))
                case 4, memoryview():
                    operator = bytes(value)
                case 5, memoryview():
                    attributes.append(value)
                case 7, memoryview():
                    domain = bytes(value)
        if domain != _ML:
            return
        if operator in _CLASSIFIERS:
            self._lists += [found for attribute in attributes if (found := tuple(class_labels(attribute)))]
        elif operator == _LOOKUP and inputs:
            self._lookups.append(inputs[0])

    def add_initializer(self, tensor: memoryview) -> None:
        """Keep a constant of a graph, which may contain labels."""
        name = next(
            (bytes(value) for number, value in fields(tensor) if number == 8 and not isinstance(value, int)), b""
        )
        self._initializers[name] = tensor

    def found(self) -> tuple[tuple[str, ...], ...]:
        """Return each distinct list of labels."""
        constants = (self._initializers[name] for name in self._lookups if name in self._initializers)
        return tuple(dict.fromkeys((*self._lists, *filter(None, map(_constant_labels, constants)))))


def action_order(
    declared: tuple[Action, ...] | None, lists: Sequence[Sequence[str]]
) -> tuple[tuple[Action, ...], ActionSource]:
    """Return the action of each column of a model's output, and where that order comes from.

    `declared` is the order in the metadata, None if there is none; `lists` are the class labels in the graph.

    Raises:
        Unfit: the labels contradict each other or the metadata, or have no known meaning.
    """
    orders = dict[tuple[Action, ...], str]()
    unknown = list[Sequence[str]]()
    for labels in lists:
        if (order := _actions_of(labels)) is None:
            unknown.append(labels)
        else:
            orders[order] = quoted(", ".join(labels))
    if declared is not None:
        for order, text in orders.items():
            if order != declared and len(order) == len(declared):
                raise Unfit(
                    f"has {PREFIX}actions={','.join(declared)} and its graph has the class labels {text}, which are "
                    f"{','.join(order)}; correct the metadata"
                )
        return declared, ActionSource.METADATA
    if len(orders) > 1:
        raise Unfit(
            f"has class labels in two orders ({'; '.join(orders.values())}); set {PREFIX}actions to the right one"
        )
    if orders:
        return next(iter(orders)), ActionSource.LABELS
    if unknown:
        # A list of another length can belong to a part of the model, such as one class against the rest.
        labels = next((labels for labels in unknown if len(labels) == len(ACTIONS)), unknown[0])
        raise Unfit(
            f"has the class labels {quoted(', '.join(labels))}, which do not identify {', '.join(ACTIONS)}; name their "
            f"actions in that order: `tradingsignals stamp FILE --actions SELL,HOLD,BUY --out NEW_FILE`, or the "
            f"metadata {PREFIX}actions"
        )
    return ACTIONS, ActionSource.SEED_CONTRACT


def _actions_of(labels: Sequence[str]) -> tuple[Action, ...] | None:
    """Return the actions of two or three labels: their names in any case, or -1, 0 and 1. None for other labels.

    Labels without -1 are not read by their sign: 0 and 1 can as well be down and up.
    """
    names = [label.strip().upper() for label in labels]
    if len(set(names)) != len(names) or not 2 <= len(names) <= len(ACTIONS):
        return None
    if set(names) <= set(ACTIONS):
        return tuple(Action(name) for name in names)
    if "-1" in names and set(names) <= set(_BY_SIGN):
        return tuple(_BY_SIGN[name] for name in names)
    return None


def class_labels(attribute: memoryview) -> Iterator[str]:
    """Yield the labels in an attribute of a node; none for other attributes."""
    found = list(fields(attribute))
    name = next((bytes(value) for number, value in found if number == 1 and not isinstance(value, int)), b"")
    if name in _INTEGERS:
        yield from (str(label) for number, value in found if number == 8 for label in integers(value))
    elif name == _STRINGS:
        yield from (str(value, "utf-8") for number, value in found if number == 9 and not isinstance(value, int))


def _constant_labels(tensor: memoryview) -> tuple[str, ...]:
    """Return the labels in a constant of integers or strings; empty for another type."""
    found = list(fields(tensor))
    data_type = dict(found).get(2)
    if data_type == _STRING:
        return tuple(str(value, "utf-8") for number, value in found if number == 6 and not isinstance(value, int))
    if data_type not in {_INT32, _INT64}:
        return ()
    raw = b"".join(bytes(value) for number, value in found if number == 9 and not isinstance(value, int))
    width = np.dtype("<i4" if data_type == _INT32 else "<i8")
    labels = np.frombuffer(raw[: len(raw) - len(raw) % width.itemsize], width).tolist() or [
        label for number, value in found if number in {5, 7} for label in integers(value)
    ]
    return tuple(map(str, labels))
