"""How far one asset is from each of its limits, and how surely: written out as scalars.

Owns    the program of the margins and their doubt, for all failure modes at once.
Never   clips or judges: a margin may be over 1 or under 0.

    m = limits(x, u, p)        var m = g P gᵀ,  g = ∂m/∂x, exact
"""

from typing import Any

import numpy as np

from gemel.kernels import lanes
from gemel.kernels.base import Kernel
from gemel.kernels.dual import Dual, value_of
from gemel.kernels.expression import Graph
from gemel.kernels.program import Program


def margins(kernel: type[Kernel]) -> Program | None:
    """margin.MODE and spread.MODE (a standard deviation) from x.*, P.*.* (upper), u.*, p.*; None
    where the kernel declares no limit."""
    layout, graph = kernel.layout, Graph()
    names = list(layout.states)
    x = [Dual(graph.input(f"x.{name}"), {k: 1.0}) for k, name in enumerate(names)]
    u = [graph.input(f"u.{name}") for name in layout.inputs]
    p = [graph.input(f"p.{name}") for name in layout.parameters]
    told: dict[str, Any] = {}
    for mode, margin in lanes.limits(kernel(), list(x), u, p).items():
        slope = margin.grad if isinstance(margin, Dual) else {}
        variance: Any = 0.0
        for j, b in enumerate(names):
            for i, a in enumerate(names[: j + 1]):
                if i in slope and j in slope:
                    part = slope[i] * slope[j] * graph.input(f"P.{a}.{b}")
                    variance = variance + (part if i == j else 2.0 * part)
        told[f"margin.{mode}"] = value_of(margin)
        told[f"spread.{mode}"] = np.sqrt(np.maximum(variance, 0.0))
    return Program.of(f"{kernel.__name__}.margins", graph, told) if told else None
