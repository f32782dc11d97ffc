"""Options of `tradingsignals export`: what a zip does not contain of a policy, compared with what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import prod
from pathlib import Path

from ..adapters.onnx.declared_features import BARS, DeclaredFeatures
from ..adapters.onnx.errors import ExportRefused, Unfit
from ..adapters.onnx.metadata import Metadata, OutputKind
from ..adapters.onnx.policy_features import own_features, python_features
from ..domain.features import Features
from ..domain.features.specification import BAR_COLUMNS
from ..domain.intervals import DEFAULT_INTERVAL, INTERVALS
from ..domain.recurrent_state import ResetRule
from ..domain.signals import Action
from .actions import example_of, require_actions
from .stamp import own_of, parsed_features, with_lookback

Range = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What a zip does not contain of a policy.

    features: the specification of its observations: m5-v1, a list of expressions of the catalogue, bars, or
        module:attribute of features of the user's own. No zip proves it, so it is required.
    lookback: bars that the features are computed from, or that an observation of `bars` has.
    stack: number of frames in an observation, as VecFrameStack makes them.
    interval: of the bars.
    actions: the meaning of actions 0, 1, ... in training, required likewise; two may have one meaning.
    branch: index of the branch of MultiDiscrete actions that is the action.
    trust: classes of the user in the zip, each as module:Class, which are imported.
    vecnormalize: file of VecNormalize.save(), if the policy was trained behind VecNormalize.
    observations: raw observations recorded in training, shape (n, size), in a file of numpy.save.
    actions_taken: the actions that the trained policy took at each of `observations`, in a file of numpy.save.
    episode_starts: whether an episode began at each of `observations`, in a file of numpy.save.
    name: name of the model; default: that of the zip.
    version: version of the model; default: the beginning of a hash of the content of the file without its version.
    reset: SESSION or NEVER, according to the episodes in training.
    training_range: first and last time of the training data.
    git_revision: revision of the training code.
    """

    features: str | None = None
    lookback: int | None = None
    stack: int = 1
    interval: timedelta = DEFAULT_INTERVAL
    actions: Sequence[str] | None = None
    branch: int | None = None
    trust: tuple[str, ...] = ()
    vecnormalize: Path | None = None
    observations: Path | None = None
    actions_taken: Path | None = None
    episode_starts: Path | None = None
    name: str | None = None
    version: str | None = None
    reset: ResetRule = ResetRule.SESSION
    training_range: Range | None = None
    git_revision: str | None = None


@dataclass(frozen=True, slots=True)
class TrainedFeatures:
    """What a policy observes: as the model file declares it, and as it is computed."""

    declared: DeclaredFeatures
    features: Features


def require_valid(options: ExportOptions) -> None:
    """Check the options that do not depend on the policy.

    Raises:
        ExportRefused: one is invalid.
    """
    if options.reset is ResetRule.NONE:
        raise ExportRefused("--reset none: session or never is needed; a policy without a state has no reset anyway")
    for text in options.trust:
        module, _, name = text.partition(":")
        if not (module and name):
            raise ExportRefused(f"--trust {text}: a class such as mymodule:MyExtractor is needed")
    for option, given in (("--actions-taken", options.actions_taken), ("--episode-starts", options.episode_starts)):
        if given is not None and options.observations is None:
            raise ExportRefused(f"{option} {given}: add --observations FILE, the observations that it belongs to")


def require_observed(
    policy: Path, shape: tuple[int, ...], branches: Sequence[int], options: ExportOptions
) -> TrainedFeatures:
    """Return what the policy observes according to the options, for a policy that observes arrays of `shape`.

    Raises:
        ExportRefused: `--features` is missing or invalid, or an observation of these has another size.
    """
    size = prod(shape)
    if options.features is None:
        acts = "" if options.actions else f" and its {' x '.join(map(str, branches))} actions"
        example = "" if options.actions else f" --actions {example_of(branches[0])}"
        raise ExportRefused(
            f"{policy}: does not define its {size} observations{acts}; if they are those of models/README.md, add "
            f"--features m5-v1{example}, or name others of `tradingsignals features` in their order, or `bars`"
        )
    if options.features == BARS and options.lookback is None:
        count, odd = divmod(size, len(BAR_COLUMNS))
        advice = "the number of bars" if odd else f"bars of {len(BAR_COLUMNS)} columns are {count}"
        raise ExportRefused(f"{policy}: observes {size} numbers; {advice}: add --lookback {'N' if odd else count}")
    observed = observed_by(policy, options)
    if observed.declared.size != size:
        raise ExportRefused(f"{policy}: observes {size} numbers; {_size_advice(observed.declared, size, options)}")
    return observed


def observed_by(policy: Path, options: ExportOptions) -> TrainedFeatures:
    """Return what the policy observes according to the options.

    Raises:
        ExportRefused: `--features` names none, or they do not fit together.
        FeaturesRefused: they are of a module that cannot be used.
    """
    declared = replace(parsed_features(options.features or ""), stack=options.stack)
    declared = with_lookback(declared, options.lookback)
    probe = Metadata("-", "-", "-", OutputKind.PROBABILITIES, options.reset, features=declared)
    try:
        features = own_features(probe, None) or python_features(policy, declared, own_of(options.features))
    except Unfit as unfit:
        raise ExportRefused(f"--features {options.features}: {unfit}") from unfit
    return TrainedFeatures(declared, features)


def require_branch(policy: Path, branches: Sequence[int], options: ExportOptions) -> tuple[int, tuple[Action, ...]]:
    """Return the index of the branch that is the action, and the meaning of each of its actions.

    Raises:
        ExportRefused: `--branch` or `--actions` is missing, or does not fit the policy.
    """
    branch = options.branch
    if branch is None and len(branches) > 1:
        raise ExportRefused(
            f"{policy}: chooses in {len(branches)} branches of {', '.join(map(str, branches))} actions; name the one "
            f"that is the action with --branch, from 0 to {len(branches) - 1}, and its meaning with --actions"
        )
    if branch is not None and not 0 <= branch < len(branches):
        raise ExportRefused(f"--branch {branch}: {policy} has {len(branches)}; 0 to {len(branches) - 1} is needed")
    count = branches[branch or 0]
    actions = require_actions(options.actions, f"{policy}: does not define its actions 0 to {count - 1}", count)
    return branch or 0, actions


def parse_interval(text: str) -> timedelta:
    """Parse an interval of bars such as `5m`.

    Raises:
        ExportRefused: it is none.
    """
    if text not in INTERVALS:
        raise ExportRefused(f"--interval {text}: one of {', '.join(INTERVALS)} is needed")
    return INTERVALS[text]


def parse_range(text: str) -> Range:
    """Parse a range such as `2021-01-04..2022-12-30`, in UTC without an offset; a date stands for its beginning.

    Raises:
        ExportRefused: the text is not a range.
    """
    ends = text.split("..")
    try:
        start, end = (datetime.fromisoformat(end) for end in ends)
    except ValueError as error:
        raise ExportRefused(f"{text}: a range such as 2021-01-04..2022-12-30 is needed") from error
    start, end = (time if time.tzinfo else time.replace(tzinfo=UTC) for time in (start, end))
    if start > end:
        raise ExportRefused(f"{text}: ends before it begins")
    return start, end


def _size_advice(declared: DeclaredFeatures, size: int, options: ExportOptions) -> str:
    """Say what the named features have, and which option may be missing. Nothing is guessed."""
    width = len(declared.names)
    if declared.specification == BARS:
        advice = f"; add --lookback {size // width}" if size % width == 0 else ""
        return f"{declared.lookback_bars} bars of {width} columns are {declared.size}{advice}"
    if options.stack > 1:
        return f"{width} features in {options.stack} frames are {declared.size}"
    stacked = f": if {size // width} frames were stacked, add --stack {size // width}" if size % width == 0 else ""
    return f"{declared.specification} has {width}{stacked or '; name those that it was trained on with --features'}"
