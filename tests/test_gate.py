"""A gated sensor: a wild reading moves nothing, is counted, and is believed when it stays."""

from typing import Any, ClassVar

import numpy as np
import pytest

from gemel.clock import SECOND
from gemel.errors import Invalid
from gemel.fleet import Fleet
from gemel.kernels.base import Kernel, sensor, signal, state


class Level(Kernel):
    """A level that wanders."""

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 60.0
    level = state("m", start=1.0, start_std=0.1, noise=0.01)
    inflow = signal("m/s")
    gauge = sensor("m", noise=0.05, gate=5.0)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"level": u.inflow}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"gauge": x.level}


class Trusting(Level):
    """The same, without a gate."""

    gauge = sensor("m", noise=0.05)


def settled(kernel: type[Kernel]) -> Fleet:
    fleet = Fleet(kernel, ["a", "b"], threads=1)
    for k in range(1, 30):
        fleet.tick(k * SECOND, {"inflow": 0.0, "gauge": 1.0})
    return fleet


def test_a_wild_reading_moves_nothing_and_is_counted() -> None:
    gated, still = settled(Level), settled(Level)
    gated.tick(30 * SECOND, {"inflow": 0.0, "gauge": np.array([3.0, 1.0])})
    still.tick(30 * SECOND, {"inflow": 0.0, "gauge": np.array([np.nan, 1.0])})
    assert (gated.mean == still.mean).all() and (gated.cov == still.cov).all()
    assert gated["a"].nis > 25.0 and gated["a"].score > 2.0 > gated["b"].score
    trusting = settled(Trusting)
    trusting.tick(30 * SECOND, {"inflow": 0.0, "gauge": np.array([3.0, 1.0])})
    assert trusting["a"].mean["level"] > 1.1


def test_within_the_gate_it_is_the_same_filter() -> None:
    gated, trusting = settled(Level), settled(Trusting)
    for k in range(30, 40):
        for fleet in (gated, trusting):
            fleet.tick(k * SECOND, {"inflow": 0.0, "gauge": 1.0 + 0.05 * (-1) ** k})
    assert (gated.mean == trusting.mean).all() and (gated.cov == trusting.cov).all()


def test_a_reading_that_stays_is_believed_in_the_end() -> None:
    fleet = settled(Level)
    for k in range(30, 2000):
        fleet.tick(k * SECOND, {"inflow": 0.0, "gauge": 2.0})
    assert fleet["a"].mean["level"] == pytest.approx(2.0, abs=0.05)


def test_a_gate_that_lets_nothing_in_is_refused() -> None:
    with pytest.raises(Invalid, match="lets nothing in") as told:
        sensor("m", noise=0.1, gate=0.0)
    assert told.value.code == "kernel.gate" and "gate=5.0" in told.value.mend


def test_an_unknown_integrator_is_refused() -> None:
    with pytest.raises(Invalid) as told:
        type("Odd", (Level,), {"integrator": "euler"})
    assert told.value.code == "kernel.integrator" and "rk4" in told.value.mend
