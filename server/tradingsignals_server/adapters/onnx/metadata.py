"""The metadata of a model file (`metadata_props`): parsed here, and written by `export` and `stamp`.

Every key begins with "tradingsignals."; models/README.md documents all keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from ...domain.calibration import WIN_PROBABILITY, WinCalibration
from ...domain.drift import Distribution
from ...domain.intervals import DEFAULT_INTERVAL, LONGEST_INTERVAL, interval_name
from ...domain.recurrent_state import ResetRule
from ...domain.signals import Action
from .declared_features import CATALOGUE, DeclaredFeatures, read_features
from .entries import ACTIONS, PREFIX, Entries, is_number, parsed_range, quoted
from .errors import Unfit

FORMAT = 2
"""Newest supported format of a model file, and the format of files that are written."""
REQUIRED = ("name", "version", "type", "feature_specification", "actions", "output", "recurrent_reset")
REQUIRED_BY_FORMAT_1 = ("feature_names", "lookback_bars")
KIND_NONE = '{"kind": "none"}'
"""The normalisation or calibration of a model that has none."""

_EXPORT_AGAIN = "export the model again"


class OutputKind(StrEnum):
    """Kinds of output of a model. The value is also the usual name of the output tensor."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    """The service applies a softmax."""
    ACTION_VALUES = "action_values"
    """A value of each column, such as the Q of a DQN; the highest is chosen, with confidence 1."""
    ACTION = "action"
    """The index of the column that is chosen, with confidence 1."""

    @property
    def greedy(self) -> bool:
        """Whether the model gives a choice without probabilities."""
        return self in {OutputKind.ACTION_VALUES, OutputKind.ACTION}


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of a model file. An absent entry is None, or has the kind "none".

    actions: the action of each column of the output; the probabilities of columns of one action are added.
    normalisation: JSON from the file: "in_graph" describes what the graph does, "standard" is applied by the service.
    calibration: JSON from the file: that of the win probability (domain.calibration); in older files the temperature of
        the graph's logits, and the range of the data that it was fitted to.
    training_range: first and last time (UTC) of the training data.
    features: the observation. interval: of the bars.
    state: names of the input and the output of each tensor of the recurrent state; empty if they follow a convention.
    output_tensor: name of the output, None if it follows from the kind.
    distributions: of each feature of the newest frame in training, as the policy gets it; empty if they are not known.
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
    features: DeclaredFeatures = field(default_factory=DeclaredFeatures)
    interval: timedelta = DEFAULT_INTERVAL
    state: tuple[tuple[str, str], ...] = ()
    output_tensor: str | None = None
    distributions: tuple[Distribution, ...] = ()

    def to_properties(self) -> dict[str, str]:
        """Return the metadata_props of a file with this metadata, in the order in which they are written."""
        features = self.features
        texts = {
            "format": str(FORMAT),
            "name": self.name,
            "version": self.version,
            "type": self.type,
            "feature_specification": features.specification,
            "features": json.dumps(features.expressions) if features.expressions else None,
            "feature_names": None if features.expressions else json.dumps(features.names),
            "lookback_bars": str(features.lookback_bars),
            "frame_stack": None if features.stack == 1 else str(features.stack),
            "feature_limit": _limit_text(features),
            "feature_source_sha256": features.source_sha256,
            "interval": interval_name(self.interval),
            "actions": json.dumps(self.actions),
            "output": self.output.value,
            "output_tensor": self.output_tensor,
            "state": json.dumps(self.state) if self.state else None,
            "recurrent_reset": self.reset.value,
            "normalisation": self.normalisation,
            "calibration": self.calibration,
            "training_range": range_text(self.training_range) if self.training_range else None,
            "git_revision": self.git_revision,
            "seed": self.seed,
            "distributions": distributions_text(self.distributions) if self.distributions else None,
        }
        return {PREFIX + key: text for key, text in texts.items() if text is not None}


def read_metadata(properties: Mapping[str, str]) -> Metadata | None:
    """Parse the metadata in the properties of a file; None for a plain file, which has none or `actions` alone.

    Raises:
        Unfit: the metadata is incomplete, malformed, or not supported by this service.
    """
    entries = Entries(properties)
    if entries.keys <= {"actions"}:
        return None
    format_1 = _format(entries) == 1
    required = (*REQUIRED, *(REQUIRED_BY_FORMAT_1 if format_1 else ()))
    if missing := [PREFIX + key for key in required if not (entries.text(key) or "").strip()]:
        raise Unfit(
            f"lacks the metadata {', '.join(missing)}; set it, write it with `tradingsignals stamp`, or {_EXPORT_AGAIN}"
        )
    features = read_features(entries, format_1=format_1)
    metadata = Metadata(
        name=entries.line("name"),
        version=entries.line("version"),
        type=entries.line("type"),
        output=entries.choice("output", OutputKind),
        reset=entries.choice("recurrent_reset", ResetRule),
        normalisation=entries.normalisation(features.sizes, format_1=format_1),
        calibration=_calibration(entries),
        training_range=entries.range("training_range"),
        git_revision=entries.text("git_revision"),
        seed=entries.text("seed"),
        actions=entries.actions(),
        features=features,
        interval=DEFAULT_INTERVAL if format_1 else entries.interval(),
        state=entries.state(),
        output_tensor=entries.text("output_tensor"),
        distributions=entries.distributions(len(features.names)),
    )
    if metadata.reset is ResetRule.SESSION and metadata.interval >= LONGEST_INTERVAL:
        raise Unfit(
            f"has {PREFIX}recurrent_reset=session and bars of a day, each of which is a session of its own; set never"
        )
    return metadata


def plain_actions(properties: Mapping[str, str]) -> tuple[Action, ...] | None:
    """Return the action of each column of the output as a plain file declares it, None if it does not.

    Raises:
        Unfit: they are not actions.
    """
    entries = Entries(properties)
    return entries.actions() if "actions" in entries else None


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


def training_mean_of(normalisation: str) -> tuple[float, ...] | None:
    """Return the mean of the observations, or frames, in training, as the policy gets them; None without it.

    What the service normalises has a mean of zeros.
    """
    entry = json.loads(normalisation)
    mean = entry.get("mean") or ()
    if entry["kind"] == "standard":
        return (0.0,) * len(mean) or None
    return tuple(map(float, mean)) or None


def range_text(span: tuple[datetime, datetime]) -> str:
    """Format two times as a JSON list in RFC 3339."""
    return json.dumps([instant.isoformat().replace("+00:00", "Z") for instant in span])


def distributions_text(distributions: Sequence[Distribution]) -> str:
    """Format the distributions of features as JSON."""
    return json.dumps([asdict(each) for each in distributions])


def _limit_text(features: DeclaredFeatures) -> str | None:
    if features.specification != CATALOGUE and not features.expressions:
        return None
    return "none" if features.limit is None else f"{features.limit:g}"


def _format(entries: Entries) -> int:
    text = entries.text("format")
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
    return int(text)


def _calibration(entries: Entries) -> str:
    entry = entries.object("calibration", ("none", "temperature", WIN_PROBABILITY))
    if entry["kind"] == "temperature":
        temperature = entry.get("temperature")
        if not (is_number(temperature) and temperature > 0.0):
            raise Unfit(
                f"has {quoted(str(temperature))} as temperature in {PREFIX}calibration; a number above 0 is needed"
            )
        if entry.get("range") is not None:
            parsed_range(entry["range"], "calibration")
    text = entries.text("calibration") or KIND_NONE
    win_calibration_of(text)
    return text
