"""The metadata of a model file (`metadata_props`): parsed here, and written by the exporter.

Every key begins with "tradingsignals."; every value is a string, JSON if it is a list or an object. models/README.md
documents all keys.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeGuard, TypeVar

from ...domain.calibration import WIN_PROBABILITY, WinCalibration
from ...domain.features import M5_V1
from ...domain.recurrent_state import ResetRule
from ...domain.signals import Action
from .errors import Unfit

PREFIX = "tradingsignals."
FORMAT = 1
"""Newest supported format of a model file, and the format of exported files."""
ACTIONS = (Action.HOLD, Action.BUY, Action.SELL)
"""Actions of a model, in the order of the seed contract and of exported files."""
REQUIRED = (
    "name",
    "version",
    "type",
    "feature_specification",
    "feature_names",
    "lookback_bars",
    "actions",
    "output",
    "recurrent_reset",
)
KIND_NONE = '{"kind": "none"}'
"""The normalisation or calibration of a model that has none."""

_EXPORT_AGAIN = "export the model again"
_EXAMPLE_RANGE = '["2021-01-04T13:00:00Z", "2022-12-30T17:55:00Z"]'

E = TypeVar("E", bound=StrEnum)


class OutputKind(StrEnum):
    """Kinds of output of a model. The value is also the name of the output tensor."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    """The service applies a softmax."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of a model file. An absent entry is None, or has the kind "none".

    actions: the action of each column of the output.
    normalisation: JSON from the file: how the graph normalises the observation. The service never normalises.
    calibration: JSON from the file: that of the win probability (domain.calibration); in older files the temperature of
        the graph's logits, and the range of the data that it was fitted to.
    training_range: first and last time (UTC) of the training data.
    """

    name: str
    version: str
    type: str
    output: OutputKind
    reset: ResetRule
    normalisation: str = KIND_NONE
    calibration: str = KIND_NONE
    training_range: tuple[datetime, datetime] | None = None
    git_revision: str | None = None
    seed: str | None = None
    actions: tuple[Action, ...] = ACTIONS

    def to_properties(self) -> dict[str, str]:
        """Return the metadata_props of a file with this metadata, in the order in which they are written."""
        texts = {
            "format": str(FORMAT),
            "name": self.name,
            "version": self.version,
            "type": self.type,
            "feature_specification": M5_V1.name,
            "feature_names": json.dumps(M5_V1.names),
            "lookback_bars": str(M5_V1.lookback_bars),
            "actions": json.dumps(self.actions),
            "output": self.output.value,
            "recurrent_reset": self.reset.value,
            "normalisation": self.normalisation,
            "calibration": self.calibration,
            "training_range": range_text(self.training_range) if self.training_range else None,
            "git_revision": self.git_revision,
            "seed": self.seed,
        }
        return {PREFIX + key: text for key, text in texts.items() if text is not None}


def read_metadata(properties: Mapping[str, str]) -> Metadata | None:
    """Parse the metadata in the properties of a file; None for a plain file, which has none or `actions` alone.

    Raises:
        Unfit: the metadata is incomplete, malformed, or not supported by this service.
    """
    own = _own_properties(properties)
    if own.keys() <= {"actions"}:
        return None
    _require_format(own)
    if missing := [PREFIX + key for key in REQUIRED if not own.get(key, "").strip()]:
        raise Unfit(f"lacks the metadata {', '.join(missing)}; set it, or {_EXPORT_AGAIN}")
    _require_features(own)
    return Metadata(
        name=_line(own, "name"),
        version=_line(own, "version"),
        type=_line(own, "type"),
        output=_choice(own, "output", OutputKind),
        reset=_choice(own, "recurrent_reset", ResetRule),
        normalisation=_normalisation(own),
        calibration=_calibration(own),
        training_range=_range(_json(own, "training_range"), "training_range") if "training_range" in own else None,
        git_revision=own.get("git_revision") or None,
        seed=own.get("seed") or None,
        actions=_actions(own),
    )


def plain_actions(properties: Mapping[str, str]) -> tuple[Action, ...] | None:
    """Return the action of each column of the output as a plain file declares it, None if it does not.

    Raises:
        Unfit: they are not HOLD, BUY and SELL, each once.
    """
    own = _own_properties(properties)
    return _actions(own) if "actions" in own else None


def win_calibration_of(text: str) -> WinCalibration | None:
    """Return the calibration of the win probability in an entry `calibration`; None if it is of another kind.

    Raises:
        Unfit: it is malformed.
    """
    entry = json.loads(text)
    if entry["kind"] != WIN_PROBABILITY:
        return None
    try:
        return WinCalibration.of_entry(entry)
    except ValueError as error:
        raise Unfit(f"has a {PREFIX}calibration that cannot be used: {error}; {_EXPORT_AGAIN}") from error


def range_text(span: tuple[datetime, datetime]) -> str:
    """Format two times as a JSON list in RFC 3339."""
    return json.dumps([instant.isoformat().replace("+00:00", "Z") for instant in span])


def _require_format(own: Mapping[str, str]) -> None:
    text = own.get("format")
    if text is None:
        raise Unfit(f'lacks the metadata {PREFIX}format; set it to "{FORMAT}", or {_EXPORT_AGAIN}')
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise Unfit(
            f'has {PREFIX}format={quoted(text)}, which is not a format; set it to "{FORMAT}", or {_EXPORT_AGAIN}'
        )
    if int(text) > FORMAT:
        raise Unfit(
            f"is of format {text} and this service reads up to {FORMAT}; update the service, or "
            f"{_EXPORT_AGAIN} with its own"
        )


def _require_features(own: Mapping[str, str]) -> None:
    specification = own["feature_specification"]
    if specification != M5_V1.name:
        raise Unfit(
            f"was made for the features {quoted(specification)} and this service computes {M5_V1.name}; "
            "train it on those, or run the service that it was made for"
        )
    names = _strings(own, "feature_names")
    if len(names) != len(M5_V1.names):
        raise Unfit(f"names {len(names)} features and {M5_V1.name} has {len(M5_V1.names)}; train it on those")
    for index, (name, known) in enumerate(zip(names, M5_V1.names, strict=True)):
        if name != known:
            raise Unfit(
                f"has {quoted(name)} as feature {index} where {M5_V1.name} has {known}; "
                f"train it on the features in the order of {M5_V1.name}"
            )
    if own["lookback_bars"] != str(M5_V1.lookback_bars):
        raise Unfit(
            f"needs features of the last {quoted(own['lookback_bars'])} bars and {M5_V1.name} is computed "
            f"from {M5_V1.lookback_bars}; train it on those"
        )


def _own_properties(properties: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(PREFIX): text for key, text in properties.items() if key.startswith(PREFIX)}


def _actions(own: Mapping[str, str]) -> tuple[Action, ...]:
    names = _strings(own, "actions")
    known = ", ".join(ACTIONS)
    if len(names) != len(ACTIONS):
        raise Unfit(f"chooses among {len(names)} actions; {len(ACTIONS)} are needed: {known}")
    if unknown := [name for name in names if name not in ACTIONS]:
        raise Unfit(
            f"has an action {quoted(unknown[0])}; the actions are {known}: use these names in {PREFIX}actions, in the "
            "order of its output"
        )
    if len(set(names)) != len(names):
        raise Unfit(
            f"has an action twice in {PREFIX}actions; {known} are needed, each once, in the order of its output"
        )
    return tuple(Action(name) for name in names)


def _normalisation(own: Mapping[str, str]) -> str:
    entry = _object(own, "normalisation", ("none", "in_graph"))
    if entry["kind"] == "in_graph":
        for name, least in (("mean", -math.inf), ("variance", 0.0)):
            numbers = entry.get(name)
            if not (
                isinstance(numbers, list)
                and len(numbers) == len(M5_V1.names)
                and all(_number(number) and number >= least for number in numbers)
            ):
                raise Unfit(
                    f"does not have {len(M5_V1.names)} numbers as {name} in {PREFIX}normalisation; {_EXPORT_AGAIN}"
                )
    return own.get("normalisation", KIND_NONE)


def _calibration(own: Mapping[str, str]) -> str:
    entry = _object(own, "calibration", ("none", "temperature", WIN_PROBABILITY))
    if entry["kind"] == "temperature":
        temperature = entry.get("temperature")
        if not (_number(temperature) and temperature > 0.0):
            raise Unfit(
                f"has {quoted(str(temperature))} as temperature in {PREFIX}calibration; a number above 0 is needed"
            )
        if entry.get("range") is not None:
            _range(entry["range"], "calibration")
    text = own.get("calibration", KIND_NONE)
    win_calibration_of(text)
    return text


def _line(own: Mapping[str, str], key: str) -> str:
    text = own[key]
    if not text.isprintable() or len(text) > 64:
        raise Unfit(f"has {PREFIX}{key}={quoted(text)}; up to 64 characters on one line are needed")
    return text


def _choice(own: Mapping[str, str], key: str, choices: type[E]) -> E:
    try:
        return choices(own[key])
    except ValueError as error:
        known = ", ".join(choices)
        raise Unfit(f"has {PREFIX}{key}={quoted(own[key])}; it must be one of {known}") from error


def _json(own: Mapping[str, str], key: str) -> Any:
    try:
        return json.loads(own[key])
    except (ValueError, RecursionError) as error:
        raise Unfit(f"has {PREFIX}{key}={quoted(own[key])}, which is not JSON; {_EXPORT_AGAIN}") from error


def _strings(own: Mapping[str, str], key: str) -> list[str]:
    texts = _json(own, key)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Unfit(f"has {PREFIX}{key}={quoted(own[key])}, which is not a list of strings; {_EXPORT_AGAIN}")
    return texts


def _object(own: Mapping[str, str], key: str, kinds: Sequence[str]) -> dict[str, Any]:
    if key not in own:
        return {"kind": "none"}
    entry = _json(own, key)
    if not isinstance(entry, dict) or entry.get("kind") not in kinds:
        raise Unfit(f"has {PREFIX}{key}={quoted(own[key])}; an object whose kind is {' or '.join(kinds)} is needed")
    return entry


def _range(ends: Any, key: str) -> tuple[datetime, datetime]:
    try:
        start, end = (datetime.fromisoformat(text) for text in ends)
        in_order = start <= end and start.tzinfo is not None
    except (TypeError, ValueError):
        in_order = False
    if not in_order:
        raise Unfit(f"has no range of two times in {PREFIX}{key}, such as {_EXAMPLE_RANGE}; {_EXPORT_AGAIN}")
    return start, end


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def quoted(text: str) -> str:
    """Return a string from a file in a form fit for a message: in quotes, on one line, 60 characters at most."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
