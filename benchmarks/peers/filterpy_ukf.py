"""filterpy's unscented Kalman filter, an object a twin, called one after the other.

Nine sigma points; the physics is plain Python on floats.
"""

from math import exp, sqrt
from typing import Any

import numpy as np
from filterpy.kalman import MerweScaledSigmaPoints, UnscentedKalmanFilter

from benchmarks.peers import physics
from benchmarks.peers.clock import report
from benchmarks.peers.samples import samples

TWINS, TICKS = 50, 20


def moved(x: Any, dt: float, u: physics.Row, p: physics.Row) -> Any:
    return np.array(physics.step(exp, x.tolist(), u, p, dt))


def foreseen(x: Any, u: physics.Row, p: physics.Row) -> Any:
    return np.array(physics.readings(x.tolist(), u, p))


def bearing() -> UnscentedKalmanFilter:
    points = MerweScaledSigmaPoints(4, alpha=0.5, beta=2.0, kappa=0.0)
    twin = UnscentedKalmanFilter(4, 2, physics.TICK, foreseen, moved, points)
    twin.x = np.array(physics.START)
    twin.P = np.diag(np.square(physics.START_STD))
    twin.Q = np.diag(np.square(physics.NOISE)) * physics.TICK
    twin.R = np.diag(np.square(physics.SENSOR_NOISE))
    return twin


def main() -> None:
    inputs, parameters, y = samples(TWINS, TICKS)
    p = [tuple(row) for row in parameters.tolist()]
    u = [[tuple(row) for row in tick] for tick in inputs.tolist()]
    filters = [bearing() for _ in p]

    def block() -> None:
        for k in range(TICKS):
            for twin, ukf in enumerate(filters):
                ukf.predict(u=u[k][twin], p=p[twin])
                ukf.update(y[k, twin], u=u[k][twin], p=p[twin])

    block()
    error = np.array([ukf.x[0] for ukf in filters]) - y[-1, :, 0]
    assert sqrt(np.mean(error**2)) < 2.0, "the filter does not follow"
    report("filterpy_ukf", "filterpy numpy", "updates/s", TWINS * TICKS, block)


if __name__ == "__main__":
    main()
