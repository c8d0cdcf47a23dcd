"""Is the doubt honest? How often readings fell inside the intervals that were foreseen.

Owns    the arithmetic of calibration: shares inside central intervals, bias, spread.
Never   foresees: it is handed z = (measured − foreseen) / σ, foreseen before the reading was known.

Of a twin in step with its asset z is white N(0, 1). So the share of readings inside the central
interval of a level is that level, the mean of z (bias) is 0 and its standard deviation (spread) is
1; a spread above 1 says that the twin is too sure of itself.
Source: Gneiting, Balabdaoui & Raftery (2007), probabilistic forecasts, calibration and sharpness.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from gemel.records import Floats

LEVELS = (0.5, 0.8, 0.9, 0.95)
WIDTHS = ndtri(0.5 + np.array(LEVELS) / 2)  # σ to either side


@dataclass(frozen=True)
class Calibration:
    """Of G groups: count (G,) · inside (G,L) of LEVELS · bias, spread (G,); NaN where none counts.

    inside_std (G,L): standard deviation of `inside`, as if the readings were independent.
    """

    count: NDArray[np.int64]
    inside: Floats
    bias: Floats
    spread: Floats

    @property
    def inside_std(self) -> Floats:
        return np.sqrt(self.inside * (1.0 - self.inside) / np.maximum(self.count, 1)[:, None])


def calibrate(z: Floats, group: NDArray[np.int64] | None = None, groups: int = 1) -> Calibration:
    """Sums of z (N,) by group (N,), 0 … groups − 1; without one, all are one.

    >>> told = calibrate(np.array([-0.5, 0.3, 1.0, -3.0]))
    >>> told.inside[0].tolist(), float(told.bias[0])
    ([0.5, 0.75, 0.75, 0.75], -0.55)
    """
    group = np.zeros(len(z), np.int64) if group is None else group
    count = np.bincount(group, minlength=groups)
    some = np.where(count, count, np.nan)

    def mean(of: Floats) -> Floats:
        return np.asarray(np.bincount(group, of, groups) / some)

    bias = mean(z)
    inside = np.stack([mean(np.abs(z) <= width) for width in WIDTHS], axis=1)
    return Calibration(count, inside, bias, np.sqrt(mean((z - bias[group]) ** 2)))


def histogram(z: Floats, bins: int = 20) -> NDArray[np.int64]:
    """How many Φ(z) fall into each of `bins` equal parts of 0 … 1: flat when the doubt is honest.

    >>> histogram(np.array([-9.0, 0.1, 9.0]), 2).tolist()
    [1, 2]
    """
    part = np.minimum((ndtr(z) * bins).astype(np.int64), bins - 1)
    return np.bincount(part, minlength=bins)
