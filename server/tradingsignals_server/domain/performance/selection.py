"""Probabilistic and deflated Sharpe ratio: how likely skill is, given the length of the record and the number of tries.

Sources: D. Bailey and M. Lopez de Prado, "The Sharpe Ratio Efficient Frontier" (2012) and "The Deflated Sharpe Ratio"
(2014). All Sharpe ratios here are for one session, not annualised.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist, variance
from typing import Self

import numpy as np

from ..values import dataclass
from .figures import Figure
from .trades import FloatArray

_NORMAL = NormalDist()
_EULER_MASCHERONI = float(np.euler_gamma)


@dataclass(frozen=True, slots=True)
class Trials:
    """What was tried to find the best strategy.

    count: number of independent trials, >= 2. sharpe_variance: variance of their Sharpe ratios, each for one session.
    """

    count: int
    sharpe_variance: float

    def __post_init__(self) -> None:
        if self.count < 2 or not 0.0 <= self.sharpe_variance < math.inf:
            raise ValueError("trials are 2 or more, and the variance of their Sharpe ratios is not negative")

    @classmethod
    def of(cls, sharpe_ratios: Iterable[float]) -> Self:
        """Return the trials of Sharpe ratios, each for one session; one of a trial without a Sharpe ratio is left out.

        Raises:
            ValueError: there are fewer than 2.
        """
        ratios = list(sharpe_ratios)
        if len(ratios) < 2:
            raise ValueError("trials are 2 or more")
        return cls(len(ratios), variance(ratios))


def expected_maximum_sharpe(trials: Trials) -> float:
    """Return the Sharpe ratio (SR0) that the best of `trials` is expected to have if none has skill."""
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials.count)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials.count * math.e))
    return math.sqrt(trials.sharpe_variance) * ((1.0 - _EULER_MASCHERONI) * first + _EULER_MASCHERONI * second)


def probabilistic_sharpe(sharpe: float, benchmark: float, n: int, skewness: float, kurtosis: float) -> float | None:
    """Return the probability that the true Sharpe ratio exceeds `benchmark`; None if its standard error is undefined.

    Args:
        sharpe: the observed Sharpe ratio, for one session.
        benchmark: the Sharpe ratio to exceed, for one session.
        n: number of returns.
        skewness: of the returns.
        kurtosis: of the returns, 3 for normal ones.
    """
    spread = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if n < 2 or not spread > 0.0:
        return None
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(n - 1) / math.sqrt(spread))


def selection_figures(
    returns: FloatArray | None, sharpe: float | None, moments: tuple[Figure, Figure], trials: Trials | None
) -> dict[str, Figure]:
    """Return the probabilistic Sharpe ratio against 0, and the deflated one against the best of `trials`.

    Args:
        returns: session returns, shape (sessions,); None if they are undefined.
        sharpe: their Sharpe ratio for one session.
        moments: their skewness and kurtosis.
        trials: None if nothing was selected: then there is no deflated ratio.
    """
    n = 0 if returns is None else len(returns)
    skewness, kurtosis = (figure.value for figure in moments)

    def exceeding(benchmark: float) -> float | None:
        if sharpe is None or skewness is None or kurtosis is None:
            return None
        return probabilistic_sharpe(sharpe, benchmark, n, skewness, kurtosis)

    return {
        "probabilistic_sharpe": Figure(exceeding(0.0), n),
        "deflated_sharpe": Figure(None if trials is None else exceeding(expected_maximum_sharpe(trials)), n),
        "trials": Figure(None if trials is None else float(trials.count), 0 if trials is None else trials.count),
    }
