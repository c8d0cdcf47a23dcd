"""The step is as fine as the physics asks, declared or not."""

from typing import Any

import numpy as np
import pytest

from gemel.kernels import estimate, lanes
from gemel.kernels.base import Kernel, sensor, state

MINUTE = 60 * 10**9


class Cooling(Kernel):
    """T' = −k T, k = 1e-3 per second; no max_step declared."""

    version = "1.0"
    heat = state("K", start=35.0, start_std=1.0)
    thermometer = sensor("K", noise=0.5)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"heat": -1e-3 * x.heat}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.heat}


@pytest.mark.parametrize("dt", [60.0, 7200.0, 14 * 86_400.0])
def test_a_gap_of_any_length_is_stepped_as_finely_as_the_physics_asks(dt: float) -> None:
    after = lanes.advance(Cooling(), [np.array([35.0])], [], [], dt)[0]
    assert after[0] == pytest.approx(35.0 * np.exp(-1e-3 * dt), abs=0.3)


def test_a_row_whose_numbers_are_lost_begins_anew_and_says_so() -> None:
    fleet = estimate.blank(Cooling, 2)
    yes, no = np.ones(2, bool), np.zeros(2, bool)
    nothing, seen = np.zeros((2, 0)), np.ones((2, 1), bool)
    for k in range(1, 4):
        reading = np.full((2, 1), 35.0)
        if k == 2:
            fleet.mean[1] = np.inf
        fleet = estimate.update(
            Cooling(), fleet, k * MINUTE, nothing, yes, no, reading, seen, nothing
        )
        assert (fleet.nis[1] > 1e5) == (k == 2)
    assert np.isfinite(fleet.mean).all() and np.isfinite(fleet.cov).all()
