"""What a model file says of itself in its metadata (`metadata_props`): read here, and written by the exporter.

Every key begins with "tradingsignals."; every value is a text, JSON where it is a list or an object. models/README.md
has the whole list.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeGuard, TypeVar

from ...domain.features import FEATURE_NAMES, FEATURE_SPECIFICATION
from ...domain.recurrent_state import ResetRule
from ...domain.signals import Action
from ...domain.window import LOOKBACK_BARS
from .errors import Unfit

PREFIX = "tradingsignals."
FORMAT = 1
"""The newest format of a model file that is understood, and the one that is written."""
ACTIONS = (Action.HOLD, Action.BUY, Action.SELL)
"""What a model chooses among, in the order of the seed contract and of what `tradingsignals export` writes."""
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
NOTHING = '{"kind": "none"}'
"""The normalisation or calibration of a model that has none."""

_AGAIN = "export the model again"
_EXAMPLE_RANGE = '["2021-01-04T13:00:00Z", "2022-12-30T17:55:00Z"]'

E = TypeVar("E", bound=StrEnum)


class OutputKind(StrEnum):
    """What a model's output is, and its name."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    """Put through a softmax by the service."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """A model's words on itself. The texts are JSON as it stands in the file; what the file leaves out is None or none.

    actions: what the columns of its output stand for.
    normalisation: how the graph normalises the observation; the service itself never does.
    calibration: how the graph tempers its confidence, and the range that was found on.
    training_range: first and last instant of the data it was trained on.
    """

    name: str
    version: str
    type: str
    output: OutputKind
    reset: ResetRule
    normalisation: str = NOTHING
    calibration: str = NOTHING
    training_range: tuple[datetime, datetime] | None = None
    git_revision: str | None = None
    seed: str | None = None
    actions: tuple[Action, ...] = ACTIONS

    def to_properties(self) -> dict[str, str]:
        """The metadata_props of a file that says this, in the order they are written."""
        texts = {
            "format": str(FORMAT),
            "name": self.name,
            "version": self.version,
            "type": self.type,
            "feature_specification": FEATURE_SPECIFICATION,
            "feature_names": json.dumps(FEATURE_NAMES),
            "lookback_bars": str(LOOKBACK_BARS),
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
    """The metadata in a file's properties, None if it has none of ours, or only `actions`: a plain file.

    Raises:
        Unfit: it is there and does not fit this service, lacks something, or cannot be read.
    """
    ours = _ours(properties)
    if ours.keys() <= {"actions"}:
        return None
    _require_format(ours)
    if missing := [PREFIX + key for key in REQUIRED if not ours.get(key, "").strip()]:
        raise Unfit(f"lacks the metadata {', '.join(missing)}; set it, or {_AGAIN}")
    _require_features(ours)
    return Metadata(
        name=_word(ours, "name"),
        version=_word(ours, "version"),
        type=_word(ours, "type"),
        output=_choice(ours, "output", OutputKind),
        reset=_choice(ours, "recurrent_reset", ResetRule),
        normalisation=_normalisation(ours),
        calibration=_calibration(ours),
        training_range=_range(_json(ours, "training_range"), "training_range") if "training_range" in ours else None,
        git_revision=ours.get("git_revision") or None,
        seed=ours.get("seed") or None,
        actions=_actions(ours),
    )


def plain_actions(properties: Mapping[str, str]) -> tuple[Action, ...] | None:
    """What a plain file says its columns stand for, None if it does not say.

    Raises:
        Unfit: they are not HOLD, BUY and SELL, each once.
    """
    ours = _ours(properties)
    return _actions(ours) if "actions" in ours else None


def range_text(span: tuple[datetime, datetime]) -> str:
    """Two instants as JSON, RFC 3339."""
    return json.dumps([instant.isoformat().replace("+00:00", "Z") for instant in span])


def _require_format(ours: Mapping[str, str]) -> None:
    text = ours.get("format")
    if text is None:
        raise Unfit(f'lacks the metadata {PREFIX}format; set it to "{FORMAT}", or {_AGAIN}')
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise Unfit(f'says {PREFIX}format={short(text)}, which is no format; set it to "{FORMAT}", or {_AGAIN}')
    if int(text) > FORMAT:
        raise Unfit(
            f"is of format {text} and this service reads up to {FORMAT}; update the service, or {_AGAIN} with its own"
        )


def _require_features(ours: Mapping[str, str]) -> None:
    specification = ours["feature_specification"]
    if specification != FEATURE_SPECIFICATION:
        raise Unfit(
            f"was made for the features {short(specification)} and this service computes {FEATURE_SPECIFICATION}; "
            "train it on those, or run the service that it was made for"
        )
    names = _texts(ours, "feature_names")
    if len(names) != len(FEATURE_NAMES):
        raise Unfit(
            f"names {len(names)} features and {FEATURE_SPECIFICATION} has {len(FEATURE_NAMES)}; train it on those"
        )
    for place, (theirs, known) in enumerate(zip(names, FEATURE_NAMES, strict=True)):
        if theirs != known:
            raise Unfit(
                f"has {short(theirs)} as feature {place} where {FEATURE_SPECIFICATION} has {known}; "
                f"train it on the features in the order of {FEATURE_SPECIFICATION}"
            )
    if ours["lookback_bars"] != str(LOOKBACK_BARS):
        raise Unfit(
            f"wants features of the last {short(ours['lookback_bars'])} bars and {FEATURE_SPECIFICATION} is computed "
            f"from {LOOKBACK_BARS}; train it on those"
        )


def _ours(properties: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(PREFIX): text for key, text in properties.items() if key.startswith(PREFIX)}


def _actions(ours: Mapping[str, str]) -> tuple[Action, ...]:
    names = _texts(ours, "actions")
    known = ", ".join(ACTIONS)
    if len(names) != len(ACTIONS):
        raise Unfit(f"chooses among {len(names)} actions; {len(ACTIONS)} are needed: {known}")
    if unknown := [name for name in names if name not in ACTIONS]:
        raise Unfit(
            f"has an action {short(unknown[0])}; the actions are {known}: name them so in {PREFIX}actions, in the "
            "order of its output"
        )
    if len(set(names)) != len(names):
        raise Unfit(
            f"has an action twice in {PREFIX}actions; {known} are needed, each once, in the order of its output"
        )
    return tuple(Action(name) for name in names)


def _normalisation(ours: Mapping[str, str]) -> str:
    said = _object(ours, "normalisation", ("none", "in_graph"))
    if said["kind"] == "in_graph":
        for name, least in (("mean", -math.inf), ("variance", 0.0)):
            numbers = said.get(name)
            if not (
                isinstance(numbers, list)
                and len(numbers) == len(FEATURE_NAMES)
                and all(_number(number) and number >= least for number in numbers)
            ):
                raise Unfit(f"does not have {len(FEATURE_NAMES)} numbers as {name} in {PREFIX}normalisation; {_AGAIN}")
    return ours.get("normalisation", NOTHING)


def _calibration(ours: Mapping[str, str]) -> str:
    said = _object(ours, "calibration", ("none", "temperature"))
    if said["kind"] == "temperature":
        temperature = said.get("temperature")
        if not (_number(temperature) and temperature > 0.0):
            raise Unfit(
                f"has {short(str(temperature))} as temperature in {PREFIX}calibration; a number above 0 is needed"
            )
        if said.get("range") is not None:
            _range(said["range"], "calibration")
    return ours.get("calibration", NOTHING)


def _word(ours: Mapping[str, str], key: str) -> str:
    text = ours[key]
    if not text.isprintable() or len(text) > 64:
        raise Unfit(f"says {PREFIX}{key}={short(text)}; up to 64 characters on one line are needed")
    return text


def _choice(ours: Mapping[str, str], key: str, choices: type[E]) -> E:
    try:
        return choices(ours[key])
    except ValueError as error:
        known = ", ".join(choices)
        raise Unfit(f"says {PREFIX}{key}={short(ours[key])}; it must be one of {known}") from error


def _json(ours: Mapping[str, str], key: str) -> Any:
    try:
        return json.loads(ours[key])
    except (ValueError, RecursionError) as error:
        raise Unfit(f"says {PREFIX}{key}={short(ours[key])}, which is not JSON; {_AGAIN}") from error


def _texts(ours: Mapping[str, str], key: str) -> list[str]:
    texts = _json(ours, key)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Unfit(f"says {PREFIX}{key}={short(ours[key])}, which is not a list of texts; {_AGAIN}")
    return texts


def _object(ours: Mapping[str, str], key: str, kinds: Sequence[str]) -> dict[str, Any]:
    if key not in ours:
        return {"kind": "none"}
    said = _json(ours, key)
    if not isinstance(said, dict) or said.get("kind") not in kinds:
        raise Unfit(f"says {PREFIX}{key}={short(ours[key])}; an object whose kind is {' or '.join(kinds)} is needed")
    return said


def _range(ends: Any, key: str) -> tuple[datetime, datetime]:
    try:
        start, end = (datetime.fromisoformat(text) for text in ends)
        in_order = start <= end and start.tzinfo is not None
    except (TypeError, ValueError):
        in_order = False
    if not in_order:
        raise Unfit(f"has no range of two instants in {PREFIX}{key}, such as {_EXAMPLE_RANGE}; {_AGAIN}")
    return start, end


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def short(text: str) -> str:
    """A text of a file as it can stand in a message: in quotes, on one line, and not a page of it."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
