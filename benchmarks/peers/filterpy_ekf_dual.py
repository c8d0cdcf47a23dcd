"""filterpy's extended Kalman filter with derivatives by dual numbers.

The physics is written once, without its Jacobians, as it is for Gemel: dual numbers on plain floats
carry the derivatives through the RK4 step. `filterpy_ekf` has them written out by hand.
"""

import math
from typing import Any

import numpy as np

from benchmarks.peers import filterpy_ekf, physics
from benchmarks.peers.clock import report
from benchmarks.peers.filterpy_ekf import Bearing, follow

Grad = dict[int, float]  # seed → derivative, zeros left out


class Dual:
    """value + Σ grad[k] ε_k."""

    __slots__ = ("grad", "value")

    def __init__(self, value: float, grad: Grad) -> None:
        self.value, self.grad = value, grad

    def __add__(self, other: Any) -> "Dual":
        if not isinstance(other, Dual):
            return Dual(self.value + other, self.grad)
        grad = dict(self.grad)
        for k, d in other.grad.items():
            grad[k] = grad.get(k, 0.0) + d
        return Dual(self.value + other.value, grad)

    def __mul__(self, other: Any) -> "Dual":
        a = self.value
        if not isinstance(other, Dual):
            return Dual(a * other, {k: d * other for k, d in self.grad.items()})
        b = other.value
        grad = {k: d * b for k, d in self.grad.items()}
        for k, d in other.grad.items():
            grad[k] = grad.get(k, 0.0) + d * a
        return Dual(a * b, grad)

    def __sub__(self, other: Any) -> "Dual":
        return self + -other

    def __rsub__(self, other: float) -> "Dual":
        return -self + other

    def __neg__(self) -> "Dual":
        return Dual(-self.value, {k: -d for k, d in self.grad.items()})

    def __truediv__(self, other: float) -> "Dual":
        return self * (1.0 / other)

    __radd__, __rmul__ = __add__, __mul__


def exp(x: Dual) -> Dual:
    value = math.exp(x.value)
    return Dual(value, {k: value * d for k, d in x.grad.items()})


def seeded(x: Any) -> physics.Row:
    return tuple(Dual(value, {k: 1.0}) for k, value in enumerate(x.tolist()))


def dense(duals: physics.Row) -> Any:
    return np.array([[dual.grad.get(k, 0.0) for k in range(4)] for dual in duals])


class DualBearing(Bearing):
    """One twin: predict by the RK4 step of duals."""

    def predict_x(self, u: Any = 0) -> None:
        after = physics.step(exp, seeded(self.x), u, self.p, physics.TICK)
        self.x = np.array([dual.value for dual in after])
        self.F = dense(after)


def jacobian(x: Any, u: physics.Row, p: physics.Row) -> Any:
    return dense(physics.readings(seeded(x), u, p))


def main() -> None:
    block = follow(DualBearing, jacobian)
    report("filterpy_ekf_dual", "filterpy numpy", "updates/s", filterpy_ekf.COUNT, block)


if __name__ == "__main__":
    main()
