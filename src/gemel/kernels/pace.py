"""How many sub-steps a step takes: so that RK4 stays stable and true.

Owns    the rule, row by row: a row's steps hang on nothing but that row.
Never   moves a state.

RK4 is stable up to |∂ẋᵢ/∂xᵢ| h = 2.78; half of that is taken. A kernel that declares `max_step` is
taken at its word; one whose states swing against each other must, for its diagonal does not show
how fast it is.
"""

from typing import Any

import numpy as np

from gemel.kernels import lanes
from gemel.kernels.base import Kernel
from gemel.kernels.dual import Dual
from gemel.kernels.expression import Graph
from gemel.kernels.program import Program, once
from gemel.records import Floats

STABLE = 1.4  # |rate| · h of one sub-step
MOST = 10_000  # sub-steps of one step: beyond that the physics is stiffer than RK4 can take


@once
def rates(kernel: type[Kernel]) -> Program | None:
    """max |∂ẋᵢ/∂xᵢ| of one asset, from x.*, u.*, p.*; None where `max_step` settles it."""
    layout = kernel.layout
    if not layout.states or hasattr(kernel, "step") or np.isfinite(kernel.max_step):
        return None
    graph = Graph()
    x = [Dual(graph.input(f"x.{name}"), {k: 1.0}) for k, name in enumerate(layout.states)]
    u = [graph.input(f"u.{name}") for name in layout.inputs]
    p = [graph.input(f"p.{name}") for name in layout.parameters]
    slope = lanes.slopes(kernel(), lanes.named(layout.inputs, u), lanes.named(layout.parameters, p))
    fastest: Any = 0.0
    for k, rate in enumerate(slope(list(x))):
        if isinstance(rate, Dual) and k in rate.grad:
            fastest = np.maximum(fastest, np.abs(rate.grad[k]))
    return Program.of(f"{kernel.__name__}.rates", graph, {"rate": fastest})


def substeps(kernel: type[Kernel], dt: Floats, rate: Any = 0.0) -> Floats:
    """Equal parts that `dt` s are cut into: (A,), at least 1. rate: what `rates` says, (A,)."""
    if hasattr(kernel, "step"):
        return np.ones(np.shape(dt))
    fastest = np.nan_to_num(np.asarray(rate, np.float64), nan=0.0, posinf=1e30)
    parts = dt / kernel.max_step if np.isfinite(kernel.max_step) else dt * fastest / STABLE
    return np.clip(np.ceil(parts), 1.0, MOST)
