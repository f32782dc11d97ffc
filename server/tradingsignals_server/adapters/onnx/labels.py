"""Class labels of a classifier's graph, and the order of its actions that they tell.

Converters of scikit-learn, LightGBM and XGBoost write the labels that a classifier was trained with into the graph, in
the order of the columns of its probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from ...domain.signals import Action
from .errors import Unfit
from .metadata import ACTIONS, PREFIX, short
from .wire import fields, integers

_ML = b"ai.onnx.ml"
_CLASSIFIERS = frozenset({b"TreeEnsembleClassifier", b"LinearClassifier", b"SVMClassifier", b"ZipMap"})
_INTEGERS = frozenset({b"classlabels_int64s", b"classlabels_ints"})
_TEXTS = b"classlabels_strings"
_PICKED_FROM = b"ArrayFeatureExtractor"
"""How a converter that knows no classifier node for a model turns its best column into a label: out of a constant."""

_BY_SIGN = {"-1": Action.SELL, "0": Action.HOLD, "1": Action.BUY}
_INT32, _INT64, _STRING = 6, 7, 8


class ActionSource(StrEnum):
    """Where the order of a model's actions is told."""

    METADATA = "metadata"
    LABELS = "labels"
    SEED_CONTRACT = "seed contract"
    """Nothing in the file tells it: [HOLD, BUY, SELL] is the contract of a plain file."""


@dataclass(slots=True)
class LabelLists:
    """The class labels that the nodes of a model give, as they are found."""

    _lists: list[tuple[str, ...]] = field(default_factory=list)
    _picked_from: list[bytes] = field(default_factory=list)
    _initializers: dict[bytes, memoryview] = field(default_factory=dict)

    def add_node(self, node: memoryview) -> None:
        """Look at one node of a graph."""
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
            self._lists += [found for attribute in attributes if (found := tuple(_class_labels(attribute)))]
        elif operator == _PICKED_FROM and inputs:
            self._picked_from.append(inputs[0])

    def add_initializer(self, tensor: memoryview) -> None:
        """Look at one constant of a graph."""
        name = next(
            (bytes(value) for number, value in fields(tensor) if number == 8 and not isinstance(value, int)), b""
        )
        self._initializers[name] = tensor

    def found(self) -> tuple[tuple[str, ...], ...]:
        """Each distinct list of labels."""
        constants = (self._initializers[name] for name in self._picked_from if name in self._initializers)
        return tuple(dict.fromkeys((*self._lists, *filter(None, map(_constant_labels, constants)))))


def action_order(
    said: tuple[Action, ...] | None, lists: Sequence[Sequence[str]]
) -> tuple[tuple[Action, ...], ActionSource]:
    """What a model's columns stand for, by its metadata `said` and by its class labels; and which of them tells it.

    Raises:
        Unfit: its labels are others than three actions, contradict each other or the metadata, or tell nothing.
    """
    meanings = dict[tuple[Action, ...], str]()
    unclear = ""
    # A list of another length is of a part of the model: one class against the rest, or the classes of the neighbours.
    of_columns = [labels for labels in lists if len(labels) == len(ACTIONS)]
    if lists and not of_columns and said is None:
        words = short(", ".join(lists[0]))
        raise Unfit(f"has {len(lists[0])} class labels ({words}); {len(ACTIONS)} are needed: {', '.join(ACTIONS)}")
    for labels in of_columns:
        words = short(", ".join(labels))
        if (meaning := _meaning(labels)) is None:
            unclear = words
        else:
            meanings[meaning] = words
    if said is not None:
        for meaning, words in meanings.items():
            if meaning != said:
                raise Unfit(
                    f"says {PREFIX}actions={','.join(said)} and its graph has the class labels {words}, which are "
                    f"{','.join(meaning)}; correct the metadata"
                )
        return said, ActionSource.METADATA
    if len(meanings) > 1:
        raise Unfit(
            f"has class labels in two orders ({'; '.join(meanings.values())}); set {PREFIX}actions to the right one"
        )
    if meanings:
        return next(iter(meanings)), ActionSource.LABELS
    if unclear:
        raise Unfit(
            f"has the class labels {unclear}, which do not say what is {', '.join(ACTIONS)}; name the actions in "
            "that order: `tradingsignals export FILE --actions SELL,HOLD,BUY --out NEW_FILE`, or the metadata "
            f"{PREFIX}actions"
        )
    return ACTIONS, ActionSource.SEED_CONTRACT


def _meaning(labels: Sequence[str]) -> tuple[Action, ...] | None:
    """What three labels mean: the names of the actions in any case, or -1, 0 and 1; None if they do not say."""
    names = [label.strip().upper() for label in labels]
    if sorted(names) == sorted(ACTIONS):
        return tuple(Action(name) for name in names)
    if sorted(names) == sorted(_BY_SIGN):
        return tuple(_BY_SIGN[name] for name in names)
    return None


def _class_labels(attribute: memoryview) -> Iterator[str]:
    """The labels in an attribute of a classifier; none if it is another attribute."""
    found = list(fields(attribute))
    name = next((bytes(value) for number, value in found if number == 1 and not isinstance(value, int)), b"")
    if name in _INTEGERS:
        yield from (str(number) for place, value in found if place == 8 for number in integers(value))
    elif name == _TEXTS:
        yield from (str(value, "utf-8") for place, value in found if place == 9 and not isinstance(value, int))


def _constant_labels(tensor: memoryview) -> tuple[str, ...]:
    """The labels in a constant of integers or texts."""
    found = list(fields(tensor))
    data_type = dict(found).get(2)
    if data_type == _STRING:
        return tuple(str(value, "utf-8") for number, value in found if number == 6 and not isinstance(value, int))
    if data_type not in {_INT32, _INT64}:
        return ()
    raw = b"".join(bytes(value) for number, value in found if number == 9 and not isinstance(value, int))
    width = np.dtype("<i4" if data_type == _INT32 else "<i8")
    numbers = np.frombuffer(raw[: len(raw) - len(raw) % width.itemsize], width).tolist() or [
        number for place, value in found if place in {5, 7} for number in integers(value)
    ]
    return tuple(map(str, numbers))
