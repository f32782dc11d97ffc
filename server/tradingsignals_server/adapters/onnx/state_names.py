"""Which input and output of a graph are a tensor of its recurrent state: as declared, or by the names in use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from .errors import Unfit

Pairs = tuple[tuple[str, str], ...]

_DIRECTIONS = frozenset(
    {"in", "input", "out", "output", "next", "new", "prev", "previous", "last", "n", "0", "1", "t", "tm1", "init"}
    | {"initial", "state", "states", "final", "y", "x", "updated", "old"}
)
"""Parts of a name that say only whether it is the state before or after."""
_SYNONYMS = {"h": "hidden", "hs": "hidden", "hid": "hidden", "c": "cell", "cs": "cell"}
_ORDER = {"hidden": 0, "cell": 1}
_COMPACT = re.compile(r"^(h|c|hidden|cell)(0|1|n|x|y|t|in|out|next|new|prev|state)$")
"""Names of one part, such as h0 and hn, hx and hy."""


def pairs_of(inputs: Sequence[str], outputs: Sequence[str], declared: Pairs) -> Pairs:
    """Return input and output of each tensor of the state, as declared, or if nothing is, those that names identify.

    Names identify a pair if they are equal without the parts that mean before and after, and no other name is. The
    hidden state comes before the cell state, other tensors in the order of the inputs.

    Raises:
        Unfit: a declared name is not in the graph, or two are equal.
    """
    if not declared:
        return _by_names(inputs, outputs)
    for what, known, named in (
        ("input", inputs, [given for given, _ in declared]),
        ("output", outputs, [returned for _, returned in declared]),
    ):
        if absent := [name for name in named if name not in known]:
            raise Unfit(
                f"has no {what} {absent[0]}, which its state names; its {what}s are {', '.join(known)}: correct "
                "tradingsignals.state"
            )
        if len(set(named)) != len(named):
            raise Unfit(f"names an {what} twice in tradingsignals.state; each tensor has one of its own")
    return declared


def _by_names(inputs: Iterable[str], outputs: Iterable[str]) -> Pairs:
    given, returned = _by_key(inputs), _by_key(outputs)
    pairs = [
        (key, names[0], returned[key][0])
        for key, names in given.items()
        if len(names) == 1 and len(returned.get(key, ())) == 1
    ]
    pairs.sort(key=lambda pair: _ORDER.get(pair[0].rsplit("_", 1)[-1], 2))
    return tuple((name, after) for _, name, after in pairs)


def _by_key(names: Iterable[str]) -> Mapping[str, list[str]]:
    by_key = dict[str, list[str]]()
    for name in names:
        if key := _key(name):
            by_key.setdefault(key, []).append(name)
    return by_key


def _key(name: str) -> str:
    """Return what a name says apart from before and after, such as hidden for h0 and h_n; "" if it says no more."""
    parts = [part for part in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) if part]
    kept = []
    for part in parts:
        compact = _COMPACT.match(part)
        plain = compact.group(1) if compact else part
        if plain not in _DIRECTIONS:
            kept.append(_SYNONYMS.get(plain, plain))
    if not kept and "state" in parts:
        return "state"
    return "_".join(kept)
