"""The policy port: decides on observations, with a recurrent state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...domain.calibration import WinCalibration
from ...domain.drift import Distribution
from ...domain.features import Features, Observation
from ...domain.intervals import DEFAULT_INTERVAL
from ...domain.recurrent_state import RecurrentState, ResetRule
from ...domain.signals import Action, Probabilities

PolicyOutput = tuple[Probabilities | None, RecurrentState]
"""Probabilities, None if the model gave none that are finite, and the recurrent state for the next bar."""


@dataclass(frozen=True, slots=True)
class TensorShape:
    """One input or output of a model file; -1 stands for an axis the file leaves open."""

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PolicyDescription:
    """What a policy is. `mode` is "onnx" or "placeholder"; the latter's decisions are made up and marked simulated.

    `layers` and `hidden_size` are those of its recurrent state, 0 without one. `win_calibration` is None if its
    decisions have no win probability. `key` names the very file, so that a state is never carried from one file to
    another under the same version. `interval` is that of the bars it decides on, None for any. `actions` are those of
    the columns of its output, and `output` is its kind: "action_values" and "action" give a choice with confidence 1.
    `feature_expressions` are those of the catalogue, empty for other features; an observation has `frame_stack` frames.
    `training_mean` is that of the observations, or frames, that it was trained on, None if the file does not state it;
    `distributions` are those of the features of its newest frame in training, empty if the file does not state them.
    """

    version: str
    type: str
    mode: str
    name: str = ""
    reset: ResetRule = ResetRule.NONE
    layers: int = 0
    hidden_size: int = 0
    interval: timedelta | None = DEFAULT_INTERVAL
    training_range: tuple[datetime, datetime] | None = None
    training_mean: tuple[float, ...] | None = None
    distributions: tuple[Distribution, ...] = ()
    win_calibration: WinCalibration | None = None
    git_revision: str | None = None
    providers: tuple[str, ...] = ()
    inputs: tuple[TensorShape, ...] = ()
    outputs: tuple[TensorShape, ...] = ()
    file_sha256: str | None = None
    actions: tuple[Action, ...] = (Action.HOLD, Action.BUY, Action.SELL)
    output: str = "probabilities"
    feature_expressions: tuple[str, ...] = ()
    frame_stack: int = 1

    @property
    def simulated(self) -> bool:
        """True if its decisions are made up."""
        return self.mode == "placeholder"

    @property
    def key(self) -> str:
        """Version and file."""
        return f"{self.version}@{(self.file_sha256 or '')[:16]}"


class Policy(Protocol):
    """Decides from an observation. Synchronous: an inference costs tens of microseconds (docs/performance.md)."""

    @property
    def description(self) -> PolicyDescription:
        """What it is."""
        ...

    @property
    def features(self) -> Features:
        """How its observations are computed."""
        ...

    def initial_state(self) -> RecurrentState:
        """The state before the first bar: zeros."""
        ...

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """What to do on an observation of `features`, float32, after `state`; and the state for the next bar.

        The probabilities are None if the output of the model is not probabilities, such as NaN, or if its state left
        the finite range; the next state is then the initial one.
        """
        ...

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> Sequence[PolicyOutput]:
        """What `decide` says to each row of `observations`, shape (n, size), after each of the n states; to the bit."""
        ...
