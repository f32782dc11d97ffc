"""`tradingsignals stamp`: write into an ONNX file what it must say of itself to be served."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..adapters.onnx.declared_features import BARS, CATALOGUE, DeclaredFeatures
from ..adapters.onnx.entries import ACTIONS, actions_of, check_statistics
from ..adapters.onnx.envelope import Envelope, read_envelope
from ..adapters.onnx.errors import ExportRefused, ModelRefused, Unfit
from ..adapters.onnx.labels import ActionSource, action_order
from ..adapters.onnx.metadata import Metadata, OutputKind, plain_actions, read_metadata
from ..adapters.onnx.model_file import plain_metadata, read_model_file
from ..adapters.onnx.policy import OnnxPolicy
from ..adapters.onnx.rewriting import folded, properties_of, with_properties, without_map
from ..adapters.onnx.scaling import scaling_of
from ..adapters.onnx.signature import Signature, read_signature
from ..adapters.onnx.state_names import pairs_of
from ..adapters.python_features import PYTHON, PythonFeatures, load_features
from ..domain.drift import Distribution
from ..domain.features import M5_V1
from ..domain.features.expression import InvalidFeature, parse
from ..domain.features.specification import BAR_COLUMNS
from ..domain.intervals import INTERVALS
from ..domain.recurrent_state import ResetRule
from .arrays import LEAST_OBSERVATIONS, distributions_of, observations_of
from .check import described
from .new_file import new_file, require_new

_MODULE = re.compile(r"python:.*|[A-Za-z_][\w.]*:[A-Za-z_]\w*")
MAX_TEXT_BYTES = 1 << 20
"""Limit of a file of features or of a normalisation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StampOptions:
    """What is to be written; None keeps what the file says, or else the default of the format.

    features: "m5-v1", "bars", expressions of the catalogue separated by commas, @FILE with one expression a line, or
        module:attribute of features of the user's own, with or without "python:" before it.
    actions: the action of each column of the output.
    lookback: bars that the features are computed from. stack: frames in an observation.
    interval: of the bars, such as "5m". reset: when the recurrent state is reset.
    output, output_tensor: kind and name of the output.
    state: pairs of names, INPUT:OUTPUT, separated by commas.
    normalisation: file of JSON with mean, and variance or scale, that the service applies.
    observations: file of numpy.save with raw observations of the training, shape (n, size), of which the distributions
        are written, with which the service compares those that it sees.
    name, version, type: of the model; name and version follow from the path of the new file.
    """

    features: str | None = None
    actions: Sequence[str] | None = None
    lookback: int | None = None
    stack: int | None = None
    interval: str | None = None
    reset: ResetRule | None = None
    output: OutputKind | None = None
    output_tensor: str | None = None
    state: str | None = None
    normalisation: Path | None = None
    observations: Path | None = None
    name: str | None = None
    version: str | None = None
    type: str | None = None


def stamp(model: Path, out: Path, options: StampOptions) -> str:
    """Write a copy of the file `model` to `out` with metadata, with weights of other files in it, and without a map.

    Returns a description of the new file in lines of text.

    Raises:
        ExportRefused: an option is missing or wrong, or `out` exists.
        ModelRefused: the service would refuse the file.
        FeaturesRefused: the features are of a module that cannot be used.
    """
    require_new(out)
    own = own_of(options.features)
    content = read_model_file(model)
    try:
        source = _source(content, model)
        metadata = _metadata(source, model, out, options)
        content = with_properties(source.content, metadata.to_properties())
        read_metadata(metadata.to_properties())
    except Unfit as unfit:
        raise ModelRefused(model, str(unfit)) from unfit
    with new_file(out, content) as written:
        try:
            policy = OnnxPolicy(written, confined=True, own=own)
        except ModelRefused as refused:
            raise ModelRefused(out, refused.reason) from refused
    return described(out, policy)


def stamp_command(model: Path) -> str | None:
    """Return the command that stamps a file, with what it says filled in; None for a file that is not ONNX."""
    try:
        content = read_model_file(model)
        source = _source(content, model)
        return _command(source, model, StampOptions())
    except (Unfit, ModelRefused):
        return None


@dataclass(frozen=True, slots=True)
class _Source:
    """A file that is to be stamped, all in one, and what it says of itself."""

    content: bytes
    envelope: Envelope
    signature: Signature
    declared: Metadata | None
    plain_order: tuple[str, ...] | None

    @property
    def state(self) -> tuple[tuple[str, str], ...]:
        """The tensors of a recurrent state, as their names say."""
        declared = () if self.declared is None else self.declared.state
        return pairs_of(
            tuple(tensor.name for tensor in self.signature.inputs),
            tuple(tensor.name for tensor in self.signature.outputs),
            declared,
        )

    @property
    def labelled(self) -> tuple[str, ...] | None:
        """The actions that the class labels of the graph identify, None if they do not."""
        try:
            order, source = action_order(None, self.envelope.labels)
        except Unfit:
            return None
        return order if source is ActionSource.LABELS else None

    @property
    def observed(self) -> tuple[int, ...]:
        """The shape of the input that is not of the state, as far as it is known."""
        named = {given for given, _ in self.state}
        return next((tensor.shape for tensor in self.signature.inputs if tensor.name not in named), ())


def _source(content: bytes, model: Path) -> _Source:
    try:
        read_envelope(content, external=True)
        content = folded(content, model.parent)
        # The labels of a map are those of its probabilities, so they are read before it is taken off.
        envelope = read_envelope(content)
        content = without_map(content)
        properties = properties_of(content)
        declared = read_metadata(properties)
        plain = None if declared is not None else plain_actions(properties)
        return _Source(content, envelope, read_signature(content), declared, plain)
    except UnicodeDecodeError as error:
        raise Unfit("has names or metadata that are not UTF-8 text; copy or export it again") from error


def _metadata(source: _Source, model: Path, out: Path, options: StampOptions) -> Metadata:
    """Return the metadata by the options and by what the file says; what neither says is asked for."""
    named = plain_metadata(out)
    before = source.declared
    features = _features(options, None if before is None else before.features)
    actions = options.actions or (before and before.actions) or source.plain_order or source.labelled
    reset = options.reset or (before and before.reset)
    interval = options.interval or (None if before is None else "5m")
    state = _state(options.state) if options.state else (before.state if before else ())
    if features is not None and features.specification == M5_V1.name:
        interval = interval or "5m"
    recurrent = bool(state or source.state) or (features is not None and features.stack > 1)
    if features is None or actions is None or interval is None or (recurrent and reset is None):
        said = {"--features": features, "--actions": actions, "--interval": interval}
        absent = [option for option, value in said.items() if value is None]
        absent += ["--reset"] if recurrent and reset is None else []
        raise ExportRefused(
            f"{model}: does not say what {', '.join(absent)} would; as far as it is known:\n"
            f"  {_command(source, model, options, out)}"
        )
    if interval not in INTERVALS:
        raise ExportRefused(f"--interval {interval}: one of {', '.join(INTERVALS)} is needed")
    made = replace(
        before or named,
        features=features,
        actions=actions_of(actions),
        interval=INTERVALS[interval] if options.interval or before is None else before.interval,
        reset=reset or ResetRule.NONE,
        state=state,
        output=options.output or (before.output if before else OutputKind.PROBABILITIES),
        output_tensor=options.output_tensor or (before.output_tensor if before else None),
    )
    if options.normalisation is not None:
        made = replace(made, normalisation=_normalisation(options.normalisation, features))
    if options.features is not None or options.normalisation is not None:
        made = replace(made, distributions=())  # they were of other numbers
    if options.observations is not None:
        made = replace(made, distributions=_distributions(options.observations, made))
    for key in ("name", "version", "type"):
        if (text := getattr(options, key)) is not None:
            made = replace(made, **{key: text})
    return made


def _features(options: StampOptions, before: DeclaredFeatures | None) -> DeclaredFeatures | None:
    """Return the features of the options, or those of before with another lookback or stack."""
    features = before if options.features is None else parsed_features(options.features)
    if features is None:
        return None
    features = with_lookback(features, options.lookback)
    if options.stack is not None:
        features = replace(features, stack=options.stack)
    if features.specification == BARS and options.features is not None and options.lookback is None:
        raise ExportRefused("--features bars: --lookback is needed, the number of bars that the graph takes")
    return features


def own_of(text: str | None) -> PythonFeatures | None:
    """Import the features of the user's own that `--features` names; None if it names others.

    Raises:
        FeaturesRefused: they cannot be used.
    """
    if text is None or not _MODULE.fullmatch(text):
        return None
    return load_features(text)


def with_lookback(features: DeclaredFeatures, lookback: int | None) -> DeclaredFeatures:
    """Return features computed from `lookback` bars, if it is not None.

    Raises:
        ExportRefused: they are of a module, which says itself how many bars it takes.
    """
    if lookback is None or lookback == features.lookback_bars:
        return features
    if features.specification.startswith(PYTHON):
        raise ExportRefused(
            f"--lookback {lookback}: {features.specification.removeprefix(PYTHON)} has lookback_bars="
            f"{features.lookback_bars}; leave the option out"
        )
    return replace(features, lookback_bars=lookback)


def parsed_features(text: str) -> DeclaredFeatures:
    """Return what `--features` names.

    Raises:
        ExportRefused: it names nothing that can be computed.
        FeaturesRefused: it names a module that cannot be used.
    """
    if (own := own_of(text)) is not None:
        return DeclaredFeatures(
            own.name, (), own.names, own.lookback_bars, limit=None, source_sha256=own.source_sha256 or None
        )
    if text == M5_V1.name:
        return DeclaredFeatures()
    if text == BARS:
        return DeclaredFeatures(BARS, names=BAR_COLUMNS, limit=None)
    if text.startswith("@"):
        expressions = [line.strip() for line in _text_of(Path(text[1:])).splitlines()]
        expressions = [line for line in expressions if line and not line.startswith("#")]
    else:
        expressions = re.split(r",(?![^()]*\))", text)
    try:
        names = tuple(str(parse(expression)) for expression in expressions)
    except InvalidFeature as error:
        raise ExportRefused(f"--features {text[:60]}: {error}") from error
    if not names:
        raise ExportRefused(f"--features {text[:60]}: names no feature")
    return DeclaredFeatures(CATALOGUE, names, names)


def _state(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for pair in text.split(","):
        given, separator, returned = pair.strip().rpartition(":")
        if not (separator and given and returned):
            raise ExportRefused(f"--state {text}: pairs INPUT:OUTPUT are needed, separated by commas")
        pairs.append((given, returned))
    return tuple(pairs)


def _normalisation(path: Path, features: DeclaredFeatures) -> str:
    try:
        found = json.loads(_text_of(path))
    except ValueError as error:
        raise ExportRefused(f"{path}: is not JSON; {_STATISTICS}") from error
    if not isinstance(found, dict):
        raise ExportRefused(f"{path}: {_STATISTICS}")
    known = ("mean", "variance", "scale", "epsilon", "clip")
    entry = {"kind": "standard", **{key: found[key] for key in known if found.get(key) is not None}}
    try:
        check_statistics(entry, features.sizes)
    except Unfit as unfit:
        raise ExportRefused(f"{path}: {str(unfit).split(';', maxsplit=1)[0]}; {_STATISTICS}") from unfit
    return json.dumps(entry)


def _distributions(path: Path, metadata: Metadata) -> tuple[Distribution, ...]:
    rows = observations_of(path, metadata.features.size)
    scaling = scaling_of(metadata)
    if scaling is not None:
        rows = scaling.of(rows.reshape(len(rows), -1, len(scaling))).reshape(rows.shape)
    distributions = distributions_of(metadata.features, rows)
    if not distributions:
        raise ExportRefused(
            f"{path}: {len(rows)} observations of {metadata.features.specification}; at least {LEAST_OBSERVATIONS} of "
            "features other than raw bars are needed"
        )
    return distributions


_STATISTICS = 'an object such as {"mean": [...], "variance": [...], "epsilon": 1e-8, "clip": 10} is needed'


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise ExportRefused(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > MAX_TEXT_BYTES:
        raise ExportRefused(f"{path}: has more than {MAX_TEXT_BYTES >> 20} MiB")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ExportRefused(f"{path}: is not UTF-8 text") from error


def _command(source: _Source, model: Path, options: StampOptions, out: Path | None = None) -> str:
    """Return the command that stamps a file: known values filled in, unknown ones in capitals."""
    numbers = [axis for axis in source.observed if axis > 1]
    size = f"_OF_{'x'.join(map(str, numbers))}" if numbers else ""
    named = source.plain_order or source.labelled
    before = source.declared
    columns = next((tensor.shape[-1] for tensor in source.signature.outputs if len(tensor.shape) == 2), -1)
    parts = ["tradingsignals", "stamp", shlex.quote(str(model))]
    parts += ["--out", shlex.quote(str(out or model.with_name(f"{model.stem}-stamped.onnx")))]
    if options.features is not None:
        parts += ["--features", shlex.quote(options.features)]
    elif before is None:
        parts += ["--features", f"FEATURES{size}"]
    elif before.features.specification.startswith(PYTHON):
        parts += ["--features", shlex.quote(before.features.specification)]
    if options.actions or (before is None and named):
        parts += ["--actions", ",".join(options.actions or named or ())]
    elif before is None:
        parts += ["--actions", ",".join(ACTIONS) if columns < 0 else f"{columns}_OF_{'_'.join(ACTIONS)}"]
    if options.interval or (before is None and options.features != M5_V1.name):
        parts += ["--interval", options.interval or "INTERVAL"]
    given: dict[str, object] = {"--lookback": options.lookback, "--stack": options.stack, "--output": options.output}
    given |= {"--output-tensor": options.output_tensor, "--state": options.state}
    given |= {"--normalisation": options.normalisation, "--observations": options.observations}
    parts += [
        part for option, value in given.items() if value is not None for part in (option, shlex.quote(str(value)))
    ]
    if source.state or options.state or (options.stack or 1) > 1:
        parts += ["--reset", options.reset or "SESSION_OR_NEVER"]
    return " ".join(parts)
