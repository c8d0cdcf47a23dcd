"""Innovation tests: is the asset doing what its kernel foresees?

Owns    the running mean of each sensor's innovation and of NIS, and their thresholds.
Never   says why: an anomaly is a statistic over a threshold, not yet a fault.

    z = ν / √S        b ← (1 − λ) b + λ z        statistic = |b| / √(λ / (2 − λ))

For a kernel in step with its asset z is white N(0, 1), so the statistic is |N(0, 1)| and the
threshold follows from the false-alarm rate per frame.
Source: Roberts (1959), control charts on geometric moving averages.
"""

import numpy as np
from scipy.special import ndtri

from gemel.records import Estimate, Floats

LAMBDA = 0.02
OUTLIER = 4.0  # one reading counts at most this many σ: a spike is no anomaly


def follow_bias(bias: Floats, estimate: Estimate) -> Floats:
    """The new running mean of z: (A,Y)."""
    z = np.clip(estimate.innovation / np.sqrt(estimate.innovation_var), -OUTLIER, OUTLIER)
    return np.where(estimate.mask, (1.0 - LAMBDA) * bias + LAMBDA * z, bias)


def statistic(bias: Floats) -> Floats:
    """How far a running mean is from 0, in its own standard deviations: (A,Y)."""
    return np.asarray(np.abs(bias) / np.sqrt(LAMBDA / (2.0 - LAMBDA)))


def follow_nis(mean: Floats, estimate: Estimate) -> Floats:
    """Running mean of NIS per measured sensor (A,): 1 when the doubt is honest."""
    count = estimate.mask.sum(axis=1)
    ratio = np.minimum(estimate.nis / np.maximum(count, 1), OUTLIER**2)
    return np.where(count > 0, (1.0 - LAMBDA) * mean + LAMBDA * ratio, mean)


def threshold(false_alarms: float) -> float:
    """The statistic that white innovations exceed with this probability a frame.

    >>> round(threshold(0.05), 2)
    1.96
    """
    return float(-ndtri(false_alarms / 2.0))
