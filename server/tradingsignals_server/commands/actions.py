"""The option `--actions`: the actions of the outputs of a model, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from ..adapters.onnx.entries import ACTIONS
from ..adapters.onnx.errors import ExportRefused
from ..domain.signals import Action

EXAMPLE = f"--actions {','.join(ACTIONS)}"
_EXAMPLES = {2: "HOLD,BUY", 3: ",".join(ACTIONS), 5: "SELL,SELL,HOLD,BUY,BUY"}


def parse_actions(text: str) -> tuple[str, ...]:
    """Split the value of `--actions`, such as `HOLD,BUY,SELL`, and convert it to upper case."""
    return tuple(action.strip().upper() for action in text.split(","))


def require_actions(actions: Sequence[str] | None, why: str, count: int = len(ACTIONS)) -> tuple[Action, ...]:
    """Return `count` actions in the given order; several may be the same.

    Raises:
        ExportRefused: `actions` is None, and `why` states why they are required; or they do not fit.
    """
    if actions is None:
        raise ExportRefused(f"{why}; name them in that order, such as --actions {example_of(count)}")
    given = ",".join(actions)
    if unknown := [action for action in actions if action not in ACTIONS]:
        raise ExportRefused(f"--actions {given}: {unknown[0]} is none of {', '.join(ACTIONS)}")
    if len(actions) != count:
        raise ExportRefused(
            f"--actions {given}: {len(actions)} are named and the policy has {count}; name each in the order of its "
            f"number, such as --actions {example_of(count)}: two may be the same"
        )
    if not {Action.BUY, Action.SELL} & set(actions):
        raise ExportRefused(f"--actions {given}: none buys or sells")
    return tuple(map(Action, actions))


def example_of(count: int) -> str:
    """Return an example of the value of `--actions` for `count` actions."""
    return _EXAMPLES.get(count, ",".join(["HOLD"] * (count - 2) + ["BUY", "SELL"]))
