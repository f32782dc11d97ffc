"""The recurrent state of a policy: the values carried from one bar to the next, and the rules that reset them."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

import numpy as np
import numpy.typing as npt

from .values import dataclass

_STORED, _FLOAT32 = np.dtype("<f4"), np.dtype(np.float32)


class ResetRule(StrEnum):
    """When a recurrent state is reset to zeros. The values are those of the metadata of a model file."""

    SESSION = "session"
    """At the first bar of each session."""
    NEVER = "never"
    """Only at the first bar of a policy, and when a value is not finite."""
    NONE = "none"
    """The policy has no state."""


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentState:
    """The tensors of a recurrent state: `values` is float32 of shape (tensors, layers, size) and read-only.

    The two tensors of an LSTM are its hidden state and its cell state; a GRU has one. Tensors of different shapes are
    one tensor of one layer, end to end. A policy that is not recurrent has layers = size = 0. Two states are equal if
    they are bit-identical.

    Raises:
        ValueError: on construction, if the shape or the dtype is wrong.
    """

    values: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        values = self.values
        if values.dtype != _FLOAT32 or values.ndim != 3 or not len(values):
            raise ValueError(f"not a recurrent state: {values.dtype} of shape {values.shape}")
        values.setflags(write=False)

    @classmethod
    def zeros(cls, layers: int, size: int, tensors: int = 2) -> Self:
        """Return the state before the first bar."""
        return cls(np.zeros((tensors, layers, size), dtype=np.float32))

    @classmethod
    def from_bytes(cls, content: bytes, layers: int, size: int) -> Self:
        """Parse the bytes that `to_bytes` returned; their length defines the number of tensors.

        Raises:
            ValueError: `content` does not have the length of a state of this shape.
        """
        tensors = -1 if layers * size else 2
        return cls(np.frombuffer(content, dtype=_STORED).reshape(tensors, layers, size).astype(np.float32))

    def to_bytes(self) -> bytes:
        """Encode tensor by tensor, such as the hidden state, then the cell state, as little-endian float32."""
        return self.values.astype(_STORED, copy=False).tobytes()

    @property
    def hidden(self) -> npt.NDArray[np.float32]:
        """Hidden state, shape (layers, size), float32."""
        hidden: npt.NDArray[np.float32] = self.values[0]
        return hidden

    @property
    def cell(self) -> npt.NDArray[np.float32]:
        """Cell state, shape (layers, size), float32. A GRU has none."""
        cell: npt.NDArray[np.float32] = self.values[1]
        return cell

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecurrentState):
            return NotImplemented
        return self.values.shape == other.values.shape and self.values.tobytes() == other.values.tobytes()

    def __hash__(self) -> int:
        return hash(self.values.tobytes())
