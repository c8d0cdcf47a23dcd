"""One asset's physics, run over many lanes at once with NumPy.

Owns    calling the author's methods with columns, the RK4 step, and exact Jacobians.
Never   knows what a lane stands for: an asset, a window of history, a Monte Carlo path.

This is the reference back end: every other is tested against it.
"""

from typing import Any

import numpy as np

from gemel.errors import Invalid
from gemel.kernels.base import Kernel, Values
from gemel.kernels.dual import Dual, gradient, seeded, single, value_of
from gemel.records import Floats

PROBE = 1_000_000  # the first seed of a look at how fast the states are
MOST_PARTS = 10_000  # sub-steps of one step: beyond that the physics is stiffer than RK4 can take
Columns = list[Any]  # one array or dual a name, each (L,)


def columns(array: Floats) -> Columns:
    """(L, n) → n arrays (L,)."""
    return [array[..., k] for k in range(array.shape[-1])]


def named(names: Any, values: Columns) -> Values:
    """Names and columns → what the author's method reads."""
    return Values(dict(zip(names, values, strict=True)))


def advance(kernel: Kernel, x: Columns, u: Columns, p: Columns, dt: Any) -> Columns:
    """The states after `dt` seconds, inputs held: the author's `step`, or classical RK4 on `flow`.

        x' = x + h/6 (k1 + 2 k2 + 2 k3 + k4), in equal sub-steps h ≤ max_step

    x: X columns · u: U · p: P · dt: (L,) or a number, s. Columns may be duals.
    """
    layout = kernel.layout
    if not layout.states:
        return []
    inputs, parameters = named(layout.inputs, u), named(layout.parameters, p)
    if hasattr(kernel, "step"):
        moved = kernel.step(named(layout.states, x), inputs, parameters, dt)
        return [moved.get(name, old) for name, old in zip(layout.states, x, strict=True)]
    longest = float(np.max(dt, initial=0.0))
    parts = _parts(kernel, slopes(kernel, inputs, parameters), x, longest)
    for _ in range(parts):
        x = integrate(kernel, x, u, p, np.asarray(dt) / parts)
    return x


def slopes(kernel: Kernel, inputs: Values, parameters: Values) -> Any:
    """Columns of states → columns of their time derivatives, in the working precision."""
    flow = kernel.flow  # type: ignore[attr-defined]  # the author's: checked at declaration

    def slope(at: Columns) -> Columns:
        rates = flow(named(kernel.layout.states, at), inputs, parameters)
        return [single(rates.get(name, 0.0)) for name in kernel.layout.states]

    return slope


def integrate(kernel: Kernel, x: Columns, u: Columns, p: Columns, h: Any) -> Columns:
    """One step of h seconds, inputs held: the author's `step`, or RK4 or Heun on `flow`.

        rk4    x' = x + h/6 (k1 + 2 k2 + 2 k3 + k4)          order 4
        heun   x' = x + h/2 (k1 + k2),  k2 = f(x + h k1)     order 2

    Columns may be arrays, duals, symbols. Slopes are in the working precision; only the sum that
    makes the new state keeps a precise state's float64.
    """
    layout = kernel.layout
    if not layout.states:
        return []
    inputs, parameters = named(layout.inputs, u), named(layout.parameters, p)
    if hasattr(kernel, "step"):
        moved = kernel.step(named(layout.states, x), inputs, parameters, h)
        return [moved.get(name, old) for name, old in zip(layout.states, x, strict=True)]
    slope = slopes(kernel, inputs, parameters)
    at = [single(a) for a in x]

    def ahead(part: Any, rates: Columns) -> Columns:
        return [a + part * k for a, k in zip(at, rates, strict=True)]

    k1 = slope(at)
    if kernel.integrator == "heun":
        k2 = slope(ahead(h, k1))
        return [a + 0.5 * h * (s1 + s2) for a, s1, s2 in zip(x, k1, k2, strict=True)]
    k2 = slope(ahead(0.5 * h, k1))
    k3 = slope(ahead(0.5 * h, k2))
    k4 = slope(ahead(h, k3))
    return [
        a + h / 6.0 * (s1 + 2.0 * (s2 + s3) + s4)
        for a, s1, s2, s3, s4 in zip(x, k1, k2, k3, k4, strict=True)
    ]


def _parts(kernel: Kernel, slope: Any, x: Columns, longest: float) -> int:
    """How many sub-steps: by the declared max_step, else by the fastest state's own rate.

    RK4 is stable up to |∂ẋᵢ/∂xᵢ| h = 2.78; half of that is taken. A kernel whose states swing
    against each other must declare max_step: its diagonal does not show how fast it is.
    """
    if longest <= 0:
        return 1
    if np.isfinite(kernel.max_step):
        return max(1, int(np.ceil(longest / kernel.max_step)))
    own = [PROBE + k for k in range(len(x))]  # seeds that no caller's duals carry
    probe = [Dual(value_of(column), {seed: 1.0}) for column, seed in zip(x, own, strict=True)]
    fastest = 0.0
    for seed, rate in zip(own, slope(probe), strict=True):
        if isinstance(rate, Dual) and seed in rate.grad:
            fastest = max(fastest, float(np.max(np.abs(rate.grad[seed]))))
    return int(min(max(1.0, np.ceil(longest * fastest / 1.4)), MOST_PARTS))


def sense(kernel: Kernel, x: Columns, u: Columns, p: Columns) -> Columns:
    """What the instruments should read: Y columns."""
    layout = kernel.layout
    read = kernel.sense(
        named(layout.states, x), named(layout.inputs, u), named(layout.parameters, p)
    )
    missing = [name for name in layout.outputs if name not in read]
    if missing:
        raise Invalid(
            "kernel.sense",
            f"sense() says nothing about {', '.join(missing)}",
            where=f"kernel {type(kernel).__name__}",
            mend="return one value for every declared sensor",
        )
    return [read[name] for name in layout.outputs]


def limits(kernel: Kernel, x: Columns, u: Columns, p: Columns) -> dict[str, Any]:
    """Margin per failure mode, each (L,)."""
    layout = kernel.layout
    return kernel.limits(
        named(layout.states, x), named(layout.inputs, u), named(layout.parameters, p)
    )


def begin(kernel: Kernel, u: Columns, p: Columns) -> Columns:
    """States to begin with: the author's `initial`, else the declared starts."""
    layout = kernel.layout
    x: Columns = [item.start for item in layout.states.values()]
    if not hasattr(kernel, "initial"):
        return x
    begun = kernel.initial(
        named(layout.states, x), named(layout.inputs, u), named(layout.parameters, p)
    )
    return [begun.get(name, old) for name, old in zip(layout.states, x, strict=True)]


def initial(kernel: Kernel, u: Columns, p: Columns, lanes: int) -> Columns:
    """`begin`, a column each."""
    return [np.broadcast_to(value, (*np.shape(value)[:-1], lanes)) for value in begin(kernel, u, p)]


def dense(values: Columns, lanes: int) -> Floats:
    """Columns → (L, n) values."""
    if not values:
        return np.zeros((lanes, 0))
    return np.stack([np.broadcast_to(value_of(v), (lanes,)) for v in values], axis=-1)


def advance_jacobian(
    kernel: Kernel, x: Floats, u: Floats, p: Floats, dt: Floats
) -> tuple[Floats, Floats]:
    """(L,X) states after dt, and F = ∂x'/∂x: (L,X,X)."""
    lanes, count = x.shape
    moved = advance(kernel, list(seeded(x)), columns(u), columns(p), dt)
    return dense(moved, lanes), _stack([gradient(m, count, lanes) for m in moved], lanes, count)


def sense_jacobian(kernel: Kernel, x: Floats, u: Floats, p: Floats) -> tuple[Floats, Floats]:
    """(L,Y) foreseen readings, and H = ∂y/∂x: (L,Y,X)."""
    lanes, count = x.shape
    read = sense(kernel, list(seeded(x)), columns(u), columns(p))
    return dense(read, lanes), _stack([gradient(r, count, lanes) for r in read], lanes, count)


def limits_jacobian(
    kernel: Kernel, x: Floats, u: Floats, p: Floats
) -> dict[str, tuple[Floats, Floats]]:
    """Per mode: margin (L,), and its gradient by the states (L,X)."""
    lanes, count = x.shape
    margins = limits(kernel, list(seeded(x)), columns(u), columns(p))
    return {
        mode: (dense([m], lanes)[:, 0], gradient(m, count, lanes)) for mode, m in margins.items()
    }


def _stack(parts: list[Floats], lanes: int, count: int) -> Floats:
    return np.stack(parts, axis=1) if parts else np.zeros((lanes, 0, count))
