"""Replay of a stored signal: it is made again from its stored inputs, and compared."""

from __future__ import annotations

from collections.abc import Sequence

from ... import __version__
from ...domain.bars import Bar
from ...domain.decision_settings import settings_id
from ...domain.values import dataclass
from ...domain.window import Window
from ...domain.wording import counted
from ..decision.source import state_hash, window_hash
from ..ports.inputs import SignalInputs
from ..ports.policy import Policy
from .differences import CauseKind, FieldDifference, ReplayCause, signal_differences
from .remake import CannotRemake, Material, recurrent_state, remake


@dataclass(frozen=True, slots=True)
class SignalReplay:
    """The result of a replay. Without differences the signal came out as it is stored, to the bit."""

    differences: tuple[FieldDifference, ...]
    causes: tuple[ReplayCause, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def missing_model(key: str) -> ReplayCause:
    """Return the cause of a signal whose model file is gone."""
    return ReplayCause(CauseKind.MODEL, f"the file of model {key} is no longer available; put it back to replay")


def is_window_intact(inputs: SignalInputs, bars: Sequence[Bar]) -> bool:
    """Return whether `bars` are those that the signal was made from."""
    return len(bars) == inputs.window_bars and window_hash(Window.of(bars)) == inputs.window_hash


def replay(material: Material, policy: Policy | None, altered: Sequence[ReplayCause]) -> SignalReplay:
    """Make a signal again, and compare it with the stored one.

    Args:
        material: the signal and what it was made from.
        policy: the policy that made it, None if its file is no longer available.
        altered: the bars of its window that were altered.
    """
    inputs, causes, differences = material.inputs, list(altered), list[FieldDifference]()
    if not is_window_intact(inputs, material.bars):
        found = window_hash(Window.of(material.bars))
        differences.append(FieldDifference("window_hash", inputs.window_hash.hex(), found.hex()))
        if not causes:
            causes.append(ReplayCause(CauseKind.BAR, _unnamed_bars(inputs, material.bars)))
    if settings_id(inputs.settings) != inputs.settings_id:
        found = settings_id(inputs.settings)
        differences.append(FieldDifference("settings_id", inputs.settings_id.hex(), found.hex()))
        causes.append(ReplayCause(CauseKind.SETTINGS, "the stored settings were altered"))
    if policy is None:
        differences.append(FieldDifference("model", material.settings.policy, ""))
        return SignalReplay(tuple(differences), (*causes, missing_model(material.settings.policy)))
    try:
        before = recurrent_state(inputs, policy)
        if state_hash(before) != inputs.state_hash:
            found = state_hash(before)
            differences.append(FieldDifference("recurrent_state", inputs.state_hash.hex(), found.hex()))
            causes.append(ReplayCause(CauseKind.RECURRENT_STATE, "the stored recurrent state was altered"))
        made = remake(material, policy)
    except CannotRemake as error:
        kind = CauseKind.BAR if causes else CauseKind.SIGNAL
        differences.append(FieldDifference("signal", str(material.signal.signal_id), ""))
        return SignalReplay(tuple(differences), (*causes, ReplayCause(kind, f"it cannot be made again: {error}")))
    differences += signal_differences(material.signal, made.signal)
    if (found := state_hash(made.inference.after)) != inputs.next_state_hash:
        differences.append(FieldDifference("next_recurrent_state", inputs.next_state_hash.hex(), found.hex()))
    if differences and not causes:
        causes.append(ReplayCause(CauseKind.SIGNAL, _unexplained(material.settings.program)))
    return SignalReplay(tuple(differences), tuple(causes))


def _unnamed_bars(inputs: SignalInputs, bars: Sequence[Bar]) -> str:
    if len(bars) < inputs.window_bars:
        return f"of the {counted(inputs.window_bars, 'bar')} of the window only {len(bars)} can be read"
    return "bars of the window were altered or added, and the log does not have them as they were"


def _unexplained(program: str) -> str:
    if program != __version__:
        return f"version {program} made the signal, and this is {__version__}"
    return (
        "bars, model, settings and recurrent state are as they were: the stored signal or a closed position before it "
        "was altered, or another processor made it"
    )
