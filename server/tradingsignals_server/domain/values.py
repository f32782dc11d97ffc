"""Frozen dataclasses with a constructor as fast as that of others.

The constructor of a frozen dataclass sets each field by a call of `object.__setattr__`, which takes about five times as
long as an assignment, and a bar makes some twenty values with 150 fields: without this module a bar takes 1.15 times
the processor time. So the classes are frozen for mypy, which refuses every assignment to a field, and not at run time.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen=False, slots=False, eq=True):
        """Do as dataclasses.dataclass, without refusing assignments at run time."""
        return dataclasses.dataclass(slots=slots, eq=eq, unsafe_hash=frozen and eq)
