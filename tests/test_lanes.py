"""The step is as fine as the physics asks, declared or not, and as exact as its order says."""

from typing import Any

import numpy as np
import pytest

from gemel.kernels import estimate, lanes
from gemel.kernels.base import Kernel, sensor, state
from gemel.kernels.expression import Graph
from gemel.kernels.native import Native
from gemel.kernels.program import Program

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


class Growing(Cooling):
    """Logistic growth, x' = x (1 − x), beside a swing, a'' = −a."""

    version = "1.0"
    heat = state("1", start=0.1, start_std=1.0)
    place = state("1", start=1.0, start_std=1.0)
    speed = state("1", start=0.0, start_std=1.0)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"heat": x.heat * (1.0 - x.heat), "place": x.speed, "speed": -x.place}


class GrowingByHeun(Growing):
    """The same, by Heun's rule."""

    version = "1.0"
    integrator = "heun"


def numpy_step(kernel: Kernel, x: list[Any], h: float) -> list[Any]:
    return lanes.integrate(kernel, x, [], [], h)


def compiled_step(kernel: Kernel, x: list[Any], h: float) -> list[Any]:
    """One step, traced and compiled in float64."""
    graph, names = Graph(), list(kernel.layout.states)
    moved = lanes.integrate(kernel, [graph.input(name) for name in names], [], [], graph.input("h"))
    native = Native(Program.of("step", graph, dict(zip(names, moved, strict=True))), "d")
    columns = {name: np.full(16, at[0]) for name, at in zip(names, x, strict=True)}
    native.apply(columns | {"h": np.full(16, h)}, 16)
    return [columns[name][:1] for name in names]


@pytest.mark.parametrize("step", [numpy_step, compiled_step])
@pytest.mark.parametrize(("kernel", "order"), [(Growing, 4), (GrowingByHeun, 2)])
def test_halving_the_step_shrinks_the_error_by_the_order(
    kernel: Any, order: int, step: Any
) -> None:
    span, errors = 2.0, []
    for steps in (32, 64, 128):
        x = [np.array([0.1]), np.array([1.0]), np.array([0.0])]
        for _ in range(steps):
            x = step(kernel(), x, span / steps)
        grown, place, speed = (float(a[0]) for a in x)
        swing = np.hypot(place - np.cos(span), speed + np.sin(span))
        errors.append([abs(grown - 1.0 / (1.0 + 9.0 * np.exp(-span))), swing])
    found = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(found, order, atol=0.1)


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
