"""filterpy's extended Kalman filter, an object a twin, called one after the other.

The physics and its Jacobian are plain Python on floats, which is faster here than NumPy on four
numbers; the filter itself is filterpy's own, in the way of its documentation.
"""

from collections.abc import Callable
from math import exp, sqrt
from typing import Any

import numpy as np
from filterpy.kalman import ExtendedKalmanFilter

from benchmarks.peers import physics
from benchmarks.peers.clock import report
from benchmarks.peers.samples import samples

TWINS, TICKS = 100, 20
COUNT = TWINS * TICKS


class Bearing(ExtendedKalmanFilter):
    """One twin: predict by the RK4 step and its Jacobian."""

    def __init__(self, p: physics.Row) -> None:
        super().__init__(dim_x=4, dim_z=2)
        self.p = p
        self.x = np.array(physics.START)
        self.P = np.diag(np.square(physics.START_STD))
        self.Q = np.diag(np.square(physics.NOISE)) * physics.TICK
        self.R = np.diag(np.square(physics.SENSOR_NOISE))

    def predict_x(self, u: Any = 0) -> None:
        after, d = physics.step_jacobian(exp, self.x.tolist(), u, self.p, physics.TICK)
        self.x = np.array(after)
        self.F = np.array(
            [
                [d[0], d[1], d[2], 0.0],
                [d[3], d[4], d[5], 0.0],
                [0.0, 0.0, d[6], 0.0],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )


def foreseen(x: Any, u: physics.Row, p: physics.Row) -> Any:
    return np.array(physics.readings(x.tolist(), u, p))


def jacobian(x: Any, u: physics.Row, p: physics.Row) -> Any:
    by_wear = physics.vibration_by_wear(x.tolist(), u, p)
    return np.array([[1.0, 0.0, 0.0, 1.0], [0.0, by_wear, 0.5, 0.0]])


def follow(kind: type[Bearing], slopes: Callable[..., Any]) -> Callable[[], None]:
    """A block of updates of a small fleet of such filters, which is proved to follow first."""
    inputs, parameters, y = samples(TWINS, TICKS)
    p = [tuple(row) for row in parameters.tolist()]
    u = [[tuple(row) for row in tick] for tick in inputs.tolist()]
    filters = [kind(row) for row in p]

    def block() -> None:
        for k in range(TICKS):
            for twin, bearing in enumerate(filters):
                known = (u[k][twin], p[twin])
                bearing.predict(u[k][twin])
                bearing.update(y[k, twin], slopes, foreseen, args=known, hx_args=known)

    block()
    error = np.array([bearing.x[0] for bearing in filters]) - y[-1, :, 0]
    assert sqrt(np.mean(error**2)) < 2.0, "the filter does not follow"
    return block


def main() -> None:
    report("filterpy_ekf", "filterpy numpy", "updates/s", COUNT, follow(Bearing, jacobian))


if __name__ == "__main__":
    main()
