"""The option `--actions`: the actions of the outputs of a model, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from ..adapters.onnx.entries import ACTIONS
from ..adapters.onnx.errors import ExportRefused
from ..domain.signals import Action

EXAMPLE = f"--actions {','.join(ACTIONS)}"


def parse_actions(text: str) -> tuple[str, ...]:
    """Split the value of `--actions`, such as `HOLD,BUY,SELL`, and convert it to upper case."""
    return tuple(action.strip().upper() for action in text.split(","))


def require_actions(actions: Sequence[str] | None, why: str) -> tuple[Action, ...]:
    """Return the three actions in the given order.

    Raises:
        ExportRefused: `actions` is None, and `why` states why they are required; or they are not the three, each once.
    """
    if actions is None:
        raise ExportRefused(f"{why}; name them in that order, such as {EXAMPLE}")
    if sorted(actions) != sorted(ACTIONS):
        raise ExportRefused(f"--actions {','.join(actions)}: {', '.join(ACTIONS)} are needed, each once")
    return tuple(map(Action, actions))
