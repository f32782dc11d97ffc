"""A rule that may object to something, declared once for those who apply it and those who explain it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True)
class ObjectionRule(Generic[Subject]):
    """A rule about a `Subject`.

    objection: says in a sentence why the rule objects; None if it does not.
    value: what the rule looks at, None if there is no such number. limit: the number it is compared with.
    """

    name: str
    objection: Callable[[Subject], str | None]
    value: Callable[[Subject], float | None] = lambda _: None
    limit: Callable[[Subject], float | None] = lambda _: None
