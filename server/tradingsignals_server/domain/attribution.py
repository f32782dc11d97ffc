"""Exact Shapley values: how much each of a few groups of inputs contributes to a number.

Source: L. S. Shapley, "A Value for n-Person Games", Contributions to the Theory of Games II, 1953.
"""

from __future__ import annotations

from math import factorial

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST_PLAYERS = 10
"""Groups at most, so that 2^10 coalitions are computed."""


def coalitions(players: int) -> npt.NDArray[np.bool_]:
    """Return all coalitions of `players`, shape (2^players, players): row k has the players of the bits of k."""
    bits = np.arange(2**players)[:, None] >> np.arange(players)
    members: npt.NDArray[np.bool_] = (bits & 1).astype(bool)
    return members


def shapley_values(worths: Floats) -> Floats:
    """Return the contribution of each player, shape (n,), to worths[-1] - worths[0], which is their sum.

    `worths` has the worth of each of the 2^n coalitions, in the order of `coalitions`. A player's contribution is the
    mean, over all orders in which the players may join, of what the worth grows by when it joins.

    Raises:
        ValueError: the number of worths is no power of two.
    """
    players = len(worths).bit_length() - 1
    if len(worths) != 2**players:
        raise ValueError(f"{len(worths)} worths; a power of two is needed")
    members = coalitions(players)
    sizes = members.sum(axis=1)
    share = np.array([factorial(size) * factorial(players - size - 1) for size in range(players)], dtype=np.float64)
    share /= factorial(players)
    found = np.zeros(players)
    for player in range(players):
        without = np.flatnonzero(~members[:, player])
        found[player] = np.dot(share[sizes[without]], worths[without + 2**player] - worths[without])
    return found
