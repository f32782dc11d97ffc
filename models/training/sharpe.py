"""The deflated Sharpe ratio: whether the best of many trials is better than chance alone makes the best of them.

Source: D. H. Bailey and M. Lopez de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management 40 (5), 2014.
Every ratio is of a period (here a session), not annualised.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import e, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

EULER_GAMMA = 0.5772156649015329
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Returns:
    """What the ratios need of the returns of a strategy.

    sharpe: mean over standard deviation of a period. skewness, kurtosis: of the periods, 0 and 3 if they are normal.
    periods: their number, at least 2.
    """

    sharpe: float
    skewness: float
    kurtosis: float
    periods: int

    @classmethod
    def of(cls, returns: npt.NDArray[np.float64]) -> Returns:
        """The figures of these returns, shape (periods,); a strategy without any variation has a ratio of 0."""
        deviation = float(returns.std(ddof=1))
        if deviation == 0.0:
            return cls(0.0, 0.0, 3.0, len(returns))
        standard = (returns - returns.mean()) / returns.std()
        return cls(
            float(returns.mean()) / deviation,
            float((standard**3).mean()),
            float((standard**4).mean()),
            len(returns),
        )


def expected_best(variance: float, trials: int) -> float:
    """The Sharpe ratio that the best of `trials` without any skill is expected to have; 0 for one trial.

    `variance`: that of the ratios of the trials. Formula 1 of the source.
    """
    if trials < 2:
        return 0.0
    first, second = _NORMAL.inv_cdf(1.0 - 1.0 / trials), _NORMAL.inv_cdf(1.0 - 1.0 / (trials * e))
    return sqrt(variance) * ((1.0 - EULER_GAMMA) * first + EULER_GAMMA * second)


def probability_above(returns: Returns, least: float) -> float:
    """The probability that the true Sharpe ratio is above `least`, 0..1: the probabilistic Sharpe ratio.

    With `least` the expected best of the trials it is the deflated one. Formula 2 of the source.
    """
    ratio = returns.sharpe
    spread = 1.0 - returns.skewness * ratio + (returns.kurtosis - 1.0) / 4.0 * ratio**2
    return _NORMAL.cdf((ratio - least) * sqrt(returns.periods - 1.0) / sqrt(spread))
