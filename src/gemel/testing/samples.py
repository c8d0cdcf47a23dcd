"""Plausible assets to try a kernel on.

Owns    where their numbers come from: states about their start, parameters from the fleet's prior,
        inputs from given ranges or from the gold set beside the kernel.
Never   judges a kernel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gemel.errors import Invalid, NotFound
from gemel.flow.fleet import gold_set
from gemel.kernels import lanes
from gemel.kernels.base import Kernel
from gemel.records import Floats

COUNT = 64  # assets
WIDEST = 2.0  # standard deviations: further out a number is not plausible any more
MINUTE = 60.0  # s between two readings, where neither kernel nor gold set says

Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Samples:
    """x (L,X) · u (L,U) · p (L,P), each row one plausible asset · dt: s between two readings.

    The first quarter of the rows are as declared: at the start, with typical parameters.
    """

    kernel: type[Kernel]
    x: Floats
    u: Floats
    p: Floats
    dt: float

    @property
    def new(self) -> slice:
        """The rows that are as declared."""
        return slice(0, COUNT // 4)

    def columns(self) -> tuple[list[Any], list[Any], list[Any]]:
        """x, u and p as the author's methods get them: a fresh array each, (L,)."""
        x, u, p = ([a.copy() for a in array.T] for array in (self.x, self.u, self.p))
        return x, u, p

    def at(self, lane: int) -> str:
        """Where one of them is, to look it up by hand."""
        layout = self.kernel.layout
        names = (*layout.states, *layout.inputs)
        values = (*self.x[lane], *self.u[lane])
        return ", ".join(f"{name} {value:.6g}" for name, value in zip(names, values, strict=True))


def draw(kernel: type[Kernel], ranges: Ranges | None, seed: int) -> Samples:
    """Assets of a kernel. Raises Invalid `testing.ranges` when an input's range is not known."""
    rng, layout = np.random.default_rng(seed), kernel.layout
    gold = _gold(kernel)
    u = _inputs(kernel, ranges or {}, gold, rng)

    def normal(count: int) -> Floats:
        z = np.clip(rng.standard_normal((COUNT, count)), -WIDEST, WIDEST)
        z[: COUNT // 4] = 0.0
        return z

    p = normal(len(layout.parameters))
    for k, item in enumerate(layout.parameters.values()):
        shift = item.spread * p[:, k]
        p[:, k] = item.typical * np.exp(shift) if item.scale == "log" else item.typical + shift
        p[:, k] = np.clip(p[:, k], *item.bounds)
    spread = np.array([item.start_std for item in layout.states.values()])
    x = _begun(kernel, u, p) + spread * normal(len(layout.states))
    dt = min((float(case["dt"]) for case in gold.get("cases", [])), default=MINUTE)
    return Samples(kernel, single(x), single(u), single(p), dt)


def single(numbers: Floats) -> Floats:
    """The nearest float32: so that what differs later is the arithmetic, not the question."""
    return numbers.astype(np.float32).astype(np.float64)


def _gold(kernel: type[Kernel]) -> dict[str, Any]:
    """The gold set beside the kernel; empty where there is none, or it is another kernel's."""
    try:
        found = gold_set(kernel)
    except (NotFound, KeyError, AttributeError):
        return {}
    cases = [c for c in found.get("cases", []) if set(kernel.layout.inputs) <= set(c["inputs"])]
    return {"cases": cases}


def _inputs(kernel: type[Kernel], ranges: Ranges, gold: Any, rng: Any) -> Floats:
    """(L,U): an input whose range is given from there, others together from one row of the gold."""
    layout = kernel.layout
    cases = gold.get("cases", [])
    odd = [name for name in ranges if name not in layout.inputs]
    unknown = [name for name in layout.inputs if name not in ranges and not cases]
    if odd or unknown:
        shown = ", ".join(f'"{name}": (low, high)' for name in layout.inputs)
        raise Invalid(
            "testing.ranges",
            f"'{odd[0]}' has a range, and is no input"
            if odd
            else f"nobody says how large {', '.join(unknown)} can be: no range, and no gold set",
            where=f"kernel {kernel.__name__}",
            mend=f"kernel_checks({kernel.__name__}, ranges={{{shown}}})",
        )
    u = np.empty((COUNT, len(layout.inputs)))
    rows = [np.array([case["inputs"][name] for name in layout.inputs], float).T for case in cases]
    if rows and layout.inputs:
        known = np.concatenate(rows)
        u[:] = known[rng.integers(0, len(known), COUNT)]
    for k, name in enumerate(layout.inputs):
        if name in ranges:
            u[:, k] = rng.uniform(*ranges[name], COUNT)
    return u


def _begun(kernel: type[Kernel], u: Floats, p: Floats) -> Floats:
    """(L,X): the author's `initial`, or the declared starts where it cannot say."""
    declared = np.array([item.start for item in kernel.layout.states.values()])
    try:
        begun = lanes.begin(kernel(), list(u.T.copy()), list(p.T.copy()))
        x = lanes.dense(begun, COUNT)
    except Exception:  # whatever is wrong with it, the checks will tell
        return np.tile(declared, (COUNT, 1))
    return np.where(np.isfinite(x), x, declared)
