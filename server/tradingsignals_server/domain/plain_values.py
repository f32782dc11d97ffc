"""Dataclasses of the domain as plain values that JSON has, and back: for states that are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_type_hints
from uuid import UUID

T = TypeVar("T")

_AS_THEY_ARE = frozenset({NoneType, bool, int, float, str})

_FROM_TEXT = {datetime: datetime.fromisoformat, date: date.fromisoformat, UUID: UUID}


def plain(value: object) -> Any:
    """Return a value as JSON has it: dataclasses as objects, times in ISO 8601, ids and enums as text."""
    if type(value) in _AS_THEY_ARE:  # most are; it comes first because the ledger's state has thousands
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in _names(type(value))}
    if isinstance(value, StrEnum | UUID):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    return value


def parsed(kind: type[T], value: Any) -> T:
    """Return the `kind` of which `plain` made `value`. Fields that `value` lacks get their defaults.

    Raises:
        ValueError, TypeError: `plain` did not make it.
    """
    if is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise TypeError(f"a {kind.__name__} is an object")
        types = _types(kind)
        return kind(**{name: None if item is None else parsed(types[name], item) for name, item in value.items()})
    if kind in _FROM_TEXT or issubclass(kind, StrEnum):
        made: T = _FROM_TEXT.get(kind, kind)(value)  # type: ignore[operator]  # each takes a text
        return made
    if not isinstance(value, int if kind is float else kind) and not isinstance(value, kind):
        raise TypeError(f"a {kind.__name__} is needed, not {type(value).__name__}")
    return kind(value)  # type: ignore[call-arg]  # numbers, texts and booleans take one


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _types(kind: type[Any]) -> Mapping[str, type[Any]]:
    """Return the type of each field, without None."""
    hints = get_type_hints(kind)
    return {field.name: _without_none(hints[field.name]) for field in fields(kind)}


def _without_none(hint: Any) -> type[Any]:
    if isinstance(hint, UnionType):
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    found: type[Any] = hint
    return found
