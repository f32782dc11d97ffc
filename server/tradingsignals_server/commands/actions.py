"""The option `--actions`: what the outputs of a model stand for."""

from __future__ import annotations

from collections.abc import Sequence

from ..adapters.onnx.errors import ExportRefused
from ..adapters.onnx.metadata import ACTIONS
from ..domain.signals import Action

EXAMPLE = f"--actions {','.join(ACTIONS)}"


def parse_actions(text: str) -> tuple[str, ...]:
    """`HOLD,BUY,SELL` in any order and case."""
    return tuple(action.strip().upper() for action in text.split(","))


def require_actions(actions: Sequence[str] | None, why: str) -> tuple[Action, ...]:
    """The three actions in the order given.

    Raises:
        ExportRefused: they are not given, for which `why` is the reason to ask, or are not the three, each once.
    """
    if actions is None:
        raise ExportRefused(f"{why}; name them in that order, such as {EXAMPLE}")
    if sorted(actions) != sorted(ACTIONS):
        raise ExportRefused(f"--actions {','.join(actions)}: {', '.join(ACTIONS)} are needed, each once")
    return tuple(map(Action, actions))
