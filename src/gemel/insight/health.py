"""Health index per failure mode: how far each limit is, and how surely.

Owns    turning margins into indices with a standard deviation.
Never   is a probability: 1 as new, 0 at the limit (ISO 13381-1's event state).

    index = clip(m(x), 0, 1)        std = √(g P gᵀ),  g = ∂m/∂x
"""

import numpy as np

from gemel.kernels import lanes
from gemel.kernels.base import Kernel
from gemel.records import Estimate, Floats


def health(
    kernel: Kernel, estimate: Estimate, u: Floats, p: Floats
) -> dict[str, tuple[Floats, Floats]]:
    """mode → (index (A,), std (A,))."""
    out = {}
    for mode, (margin, g) in lanes.limits_jacobian(kernel, estimate.mean, u, p).items():
        spread = np.sqrt(np.maximum(np.einsum("ax,axz,az->a", g, estimate.cov, g), 0.0))
        out[mode] = (np.clip(margin, 0.0, 1.0), spread)
    return out
