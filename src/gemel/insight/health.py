"""Health index per failure mode: how far each limit is, and how surely.

Owns    turning margins into indices with a standard deviation.
Never   is a probability: 1 as new, 0 at the limit (ISO 13381-1's event state).

    index = clip(m(x), 0, 1)        std = √(g P gᵀ),  g = ∂m/∂x
"""

import numpy as np

from gemel.kernels import estimate as filters
from gemel.kernels.base import Kernel
from gemel.kernels.margin import margins
from gemel.kernels.native import Native, padded
from gemel.kernels.program import once
from gemel.records import Estimate, Floats


def health(
    kernel: Kernel, estimate: Estimate, u: Floats, p: Floats
) -> dict[str, tuple[Floats, Floats]]:
    """mode → (index (A,), std (A,))."""
    cls = type(kernel)
    native = _compiled(cls)
    if native is None:
        return {}
    count = len(estimate.instant)
    lanes = padded(count)
    given = filters.columns_of(cls.layout, estimate.mean, estimate.cov, u, p)
    columns = {
        name: filters.whole(given.get(name), lanes, kind) for name, kind in native.columns.items()
    }
    native.apply(columns, lanes)
    modes = [name.removeprefix("margin.") for name in columns if name.startswith("margin.")]
    return {
        mode: (
            np.clip(columns[f"margin.{mode}"][:count], 0.0, 1.0),
            columns[f"spread.{mode}"][:count],
        )
        for mode in modes
    }


@once
def _compiled(kernel: type[Kernel]) -> Native | None:
    program = margins(kernel)
    return Native(program, "d") if program else None
