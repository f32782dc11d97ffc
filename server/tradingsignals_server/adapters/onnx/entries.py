"""The entries of a model file's metadata, each parsed and checked by its key. Every value is text, JSON for a list."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeGuard, TypeVar

from ...domain.drift import BINS, Distribution
from ...domain.intervals import DEFAULT_INTERVAL, INTERVALS
from ...domain.signals import Action
from .errors import Unfit

PREFIX = "tradingsignals."
ACTIONS = (Action.HOLD, Action.BUY, Action.SELL)
"""Actions of a model, in the order of the seed contract."""
MAX_ACTIONS = 64
MAX_FEATURES = 4096

_EXPORT_AGAIN = "export the model again"
_EXAMPLE_RANGE = '["2021-01-04T13:00:00Z", "2022-12-30T17:55:00Z"]'

E = TypeVar("E", bound=StrEnum)


class Entries:
    """The entries of a file whose keys begin with PREFIX, without it. Each method raises Unfit for an invalid value."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._texts = {key.removeprefix(PREFIX): text for key, text in properties.items() if key.startswith(PREFIX)}

    @property
    def keys(self) -> frozenset[str]:
        """The keys that are present, without PREFIX."""
        return frozenset(self._texts)

    def __contains__(self, key: str) -> bool:
        return key in self._texts

    def text(self, key: str) -> str | None:
        """Return a text as it is; None if it is absent or empty."""
        return self._texts.get(key) or None

    def line(self, key: str, limit: int = 64) -> str:
        """Return a text of one line of at most `limit` characters."""
        text = self._texts[key]
        if not text.isprintable() or len(text) > limit:
            raise Unfit(f"has {PREFIX}{key}={quoted(text)}; up to {limit} characters on one line are needed")
        return text

    def whole(self, key: str, default: int, most: int) -> int:
        """Return a whole number from 1 to `most`, `default` if it is absent."""
        text = self._texts.get(key)
        if text is None:
            return default
        if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
            raise Unfit(f"has {PREFIX}{key}={quoted(text)}; a whole number from 1 to {most} is needed")
        return int(text)

    def choice(self, key: str, choices: type[E]) -> E:
        """Return one of `choices`."""
        try:
            return choices(self._texts[key])
        except ValueError as error:
            known = ", ".join(choices)
            raise Unfit(f"has {PREFIX}{key}={quoted(self._texts[key])}; it must be one of {known}") from error

    def json(self, key: str) -> Any:
        """Return a value of JSON."""
        try:
            return json.loads(self._texts[key])
        except (ValueError, RecursionError) as error:
            raise Unfit(f"has {PREFIX}{key}={quoted(self._texts[key])}, which is not JSON; {_EXPORT_AGAIN}") from error

    def strings(self, key: str) -> list[str]:
        """Return a list of texts."""
        texts = self.json(key)
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise Unfit(
                f"has {PREFIX}{key}={quoted(self._texts[key])}, which is not a list of strings; {_EXPORT_AGAIN}"
            )
        return texts

    def object(self, key: str, kinds: Sequence[str]) -> dict[str, Any]:
        """Return an object whose kind is one of `kinds`; of the kind "none" if it is absent."""
        if key not in self._texts:
            return {"kind": "none"}
        entry = self.json(key)
        if not isinstance(entry, dict) or entry.get("kind") not in kinds:
            known = " or ".join((", ".join(kinds[:-1]), kinds[-1]))
            raise Unfit(f"has {PREFIX}{key}={quoted(self._texts[key])}; an object whose kind is {known} is needed")
        return entry

    def interval(self) -> timedelta:
        """Return the interval of the bars, five minutes if it is absent."""
        text = self._texts.get("interval")
        if text is None:
            return DEFAULT_INTERVAL
        if text not in INTERVALS:
            raise Unfit(f"has {PREFIX}interval={quoted(text)}; it must be one of {', '.join(INTERVALS)}")
        return INTERVALS[text]

    def actions(self) -> tuple[Action, ...]:
        """Return the action of each column of the output."""
        return actions_of(self.strings("actions"))

    def state(self) -> tuple[tuple[str, str], ...]:
        """Return the names of the input and of the output of each tensor of the state; empty if they are absent."""
        if "state" not in self._texts:
            return ()
        pairs = self.json("state")
        if not isinstance(pairs, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(name, str) for name in pair) for pair in pairs
        ):
            raise Unfit(
                f"has {PREFIX}state={quoted(self._texts['state'])}; a list of pairs of an input and an output is needed"
            )
        return tuple((given, returned) for given, returned in pairs)

    def limit(self, default: float) -> float | None:
        """Return the bound of the absolute value of a feature, None for "none"."""
        text = self._texts.get("feature_limit")
        if text is None or text == "none":
            return default if text is None else None
        value = self.json("feature_limit")
        if not (is_number(value) and value > 0.0):
            raise Unfit(f"has {PREFIX}feature_limit={quoted(text)}; a number above 0 or none is needed")
        return float(value)

    def normalisation(self, sizes: Collection[int], *, format_1: bool) -> str:
        """Return the normalisation as it is in the file, checked for statistics of one of the `sizes`."""
        entry = self.object("normalisation", ("none", "in_graph") if format_1 else ("none", "in_graph", "standard"))
        if entry["kind"] != "none":
            check_statistics(entry, sizes)
        return self._texts.get("normalisation", '{"kind": "none"}')

    def distributions(self, count: int) -> tuple[Distribution, ...]:
        """Return the distribution of each of `count` features; empty if they are absent."""
        if "distributions" not in self._texts:
            return ()
        found = self.json("distributions")
        if not isinstance(found, list) or len(found) != count:
            raise Unfit(f"does not have {count} distributions in {PREFIX}distributions, one for each feature")
        return tuple(_distribution(entry, number) for number, entry in enumerate(found, 1))

    def range(self, key: str) -> tuple[datetime, datetime] | None:
        """Return two times in order; None if they are absent."""
        return parsed_range(self.json(key), key) if key in self._texts else None


def actions_of(names: Sequence[str]) -> tuple[Action, ...]:
    """Return the actions with these names, one for each column of an output.

    Raises:
        Unfit: one is unknown, or there is neither BUY nor SELL.
    """
    known = ", ".join(ACTIONS)
    if unknown := [name for name in names if name not in ACTIONS]:
        raise Unfit(
            f"has an action {quoted(unknown[0])}; the actions are {known}: use these names in {PREFIX}actions, in the "
            "order of its output; two columns may have one name"
        )
    if not 2 <= len(names) <= MAX_ACTIONS:
        raise Unfit(f"chooses among {len(names)} actions; 2 to {MAX_ACTIONS} are needed, each {known}")
    if not {Action.BUY, Action.SELL} & set(names):
        raise Unfit(f"never buys or sells by {PREFIX}actions; at least one of BUY and SELL is needed")
    return tuple(Action(name) for name in names)


def check_statistics(entry: Mapping[str, Any], sizes: Collection[int]) -> None:
    """Check the numbers of a normalisation: there are as many as in an observation, or in one frame or bar of it.

    Raises:
        Unfit: they are missing, not finite, or of another count.
    """
    second = "scale" if "scale" in entry else "variance"
    for name in ("mean", second):
        numbers = entry.get(name)
        if not (
            isinstance(numbers, list)
            and len(numbers) in sizes
            and all(is_number(number) and (name == "mean" or number >= 0.0) for number in numbers)
        ):
            count = " or ".join(map(str, sizes))
            raise Unfit(f"does not have {count} numbers as {name} in {PREFIX}normalisation; {_EXPORT_AGAIN}")
    for name in ("epsilon", "clip"):
        if entry.get(name) is not None and not (is_number(entry[name]) and entry[name] >= 0.0):
            raise Unfit(f"has {quoted(str(entry[name]))} as {name} in {PREFIX}normalisation; a number is needed")
    if second == "scale" and not all(entry["scale"]):
        raise Unfit(f"has a scale of 0 in {PREFIX}normalisation; a number above 0 is needed")


def _distribution(entry: Any, number: int) -> Distribution:
    edges, shares, highest = (
        (entry.get("edges"), entry.get("shares"), entry.get("highest", 0.0)) if isinstance(entry, dict) else (None,) * 3
    )
    try:
        if not (_are_few_numbers(edges) and _are_few_numbers(shares) and is_number(highest)):
            raise ValueError(f"no edges and shares of up to {BINS} numbers")
        return Distribution(tuple(edges), tuple(shares), highest)
    except ValueError as error:
        raise Unfit(f"has {error} for feature {number} in {PREFIX}distributions; {_EXPORT_AGAIN}") from error


def _are_few_numbers(value: Any) -> TypeGuard[list[float]]:
    return isinstance(value, list) and len(value) <= BINS and all(map(is_number, value))


def parsed_range(ends: Any, key: str) -> tuple[datetime, datetime]:
    """Return the two times in `ends`, in order.

    Raises:
        Unfit: they are not.
    """
    try:
        start, end = (datetime.fromisoformat(text) for text in ends)
        in_order = start <= end and start.tzinfo is not None
    except (TypeError, ValueError):
        in_order = False
    if not in_order:
        raise Unfit(f"has no range of two times in {PREFIX}{key}, such as {_EXAMPLE_RANGE}; {_EXPORT_AGAIN}")
    return start, end


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value of JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def quoted(text: str) -> str:
    """Return a string from a file in a form fit for a message: in quotes, on one line, 60 characters at most."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
