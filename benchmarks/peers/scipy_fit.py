"""SciPy's least squares, an asset at a time, through a simulator compiled by numba.

The parameters are fitted in their logarithm, by MINPACK's Levenberg–Marquardt, which is faster here
than SciPy's own `trf`; its Jacobian is a forward difference, five simulations.
"""

from math import exp
from typing import Any

import numba
import numpy as np
from scipy.optimize import least_squares

from benchmarks.peers import physics
from benchmarks.peers.clock import report
from benchmarks.peers.samples import histories

ASSETS, SAMPLES = 10, 5000


@numba.njit
def simulate(theta: Any, speed: Any, load: Any, readings: Any, start: float, h: float) -> Any:
    """Residuals of the housing's temperature: RK4, one step a sample."""
    friction, thinning, loss, draught, ambient = np.exp(theta)
    residuals = np.empty(len(readings))
    x = start
    for k in range(len(readings)):
        power = friction * speed[k] * load[k]
        cooling = loss + draught * speed[k]
        k1 = power * exp(thinning * (60.0 - x)) - cooling * (x - ambient)
        at = x + 0.5 * h * k1
        k2 = power * exp(thinning * (60.0 - at)) - cooling * (at - ambient)
        at = x + 0.5 * h * k2
        k3 = power * exp(thinning * (60.0 - at)) - cooling * (at - ambient)
        at = x + h * k3
        k4 = power * exp(thinning * (60.0 - at)) - cooling * (at - ambient)
        x += h / 6.0 * (k1 + 2.0 * (k2 + k3) + k4)
        residuals[k] = x - readings[k]
    return residuals


def main() -> None:
    inputs, readings, truth = histories(ASSETS, SAMPLES)
    start = np.log(physics.HOUSING)
    assets = [
        tuple(
            np.ascontiguousarray(part)
            for part in (inputs[:, a, 0], inputs[:, a, 1], readings[:, a])
        )
        for a in range(ASSETS)
    ]
    found = np.empty((ASSETS, len(start)))

    def block() -> None:
        for a, (speed, load, y) in enumerate(assets):
            known = (speed, load, y, physics.HOUSING_START, physics.TICK)
            found[a] = least_squares(simulate, start, method="lm", args=known).x

    block()
    error = np.median(np.abs(found - np.log(truth)))
    assert error < 0.03, f"the fit is off by {error:.2g}"
    report("scipy_fit", "scipy numba numpy", "assets/s", ASSETS, block)


if __name__ == "__main__":
    main()
