"""The memory of a recurrent policy: what it carries from one bar to the next, and when it forgets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
import numpy.typing as npt

_STORED = np.dtype("<f4")


class ResetRule(StrEnum):
    """When a recurrent state goes back to zeros. The values are those of a model file's metadata."""

    SESSION = "session"
    """At each session's first bar."""
    NEVER = "never"
    """Only when a policy begins, and when its numbers leave the finite range."""
    NONE = "none"
    """There is no state."""


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentState:
    """Hidden and cell state of every LSTM layer: `values` is float32 of shape (2, layers, size), never written to.

    A policy without memory has layers = size = 0. Two states are equal if they are to the bit.

    Raises:
        ValueError: on construction, if the shape or the type is another.
    """

    values: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.values.dtype != np.float32 or self.values.ndim != 3 or self.values.shape[0] != 2:
            raise ValueError(f"not a recurrent state: {self.values.dtype} of shape {self.values.shape}")
        self.values.setflags(write=False)

    @classmethod
    def zeros(cls, layers: int, size: int) -> Self:
        """The state before the first bar."""
        return cls(np.zeros((2, layers, size), dtype=np.float32))

    @classmethod
    def from_bytes(cls, content: bytes, layers: int, size: int) -> Self:
        """The state that `to_bytes` wrote.

        Raises:
            ValueError: `content` is not that of a state of this size.
        """
        return cls(np.frombuffer(content, dtype=_STORED).reshape(2, layers, size).astype(np.float32))

    def to_bytes(self) -> bytes:
        """Hidden state, then cell state, layer by layer, as little-endian float32."""
        return self.values.astype(_STORED, copy=False).tobytes()

    @property
    def hidden(self) -> npt.NDArray[np.float32]:
        """Shape (layers, size)."""
        hidden: npt.NDArray[np.float32] = self.values[0]
        return hidden

    @property
    def cell(self) -> npt.NDArray[np.float32]:
        """Shape (layers, size)."""
        cell: npt.NDArray[np.float32] = self.values[1]
        return cell

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecurrentState):
            return NotImplemented
        return self.values.shape == other.values.shape and self.values.tobytes() == other.values.tobytes()

    def __hash__(self) -> int:
        return hash(self.values.tobytes())
