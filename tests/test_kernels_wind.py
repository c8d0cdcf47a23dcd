"""The wind kernels: golden numbers, gold sets, laws of physics, exact derivatives."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemel.flow.fleet import gold_set
from gemel.kernels import gold, lanes
from gemel.kernels.base import Kernel
from gemel.kernels.library.expected_temperature import ExpectedTemperature
from gemel.kernels.library.generator_bearing import GeneratorBearing
from gemel.kernels.library.rotor_bearing import RotorBearing

KERNELS = [ExpectedTemperature, RotorBearing, GeneratorBearing]
THERMAL = [RotorBearing, GeneratorBearing]
STILL = {"rotor_speed": 0.0, "generator_speed": 0.0, "power": 0.0, "ambient": 10.0, "nacelle": 20.0}
FULL = {
    "rotor_speed": 17.0, "generator_speed": 1795.0, "power": 2000.0, "ambient": 10.0,
    "nacelle": 20.0,
}  # fmt: skip


def columns(kernel: type[Kernel], told: dict[str, float]) -> list[Any]:
    return [np.array([told[name]]) for name in kernel.layout.inputs]


def settle(
    kernel: Kernel, told: dict[str, float], p: Any, hours: float, dt: float = 600.0
) -> list[Any]:
    u = columns(type(kernel), told)
    x = lanes.initial(kernel, u, p, 1)
    for _ in range(int(hours * 3600 / dt)):
        x = lanes.advance(kernel, x, u, p, dt)
    return x


def typical(kernel: type[Kernel]) -> list[Any]:
    return lanes.columns(kernel.typical()[None])


def reading(kernel: type[Kernel], told: dict[str, float], hours: float) -> float:
    p = typical(kernel)
    x = settle(kernel(), told, p, hours)
    return float(lanes.sense(kernel(), x, columns(kernel, told), p)[0][0])


def test_the_classic_line_gives_its_golden_numbers() -> None:
    p = [np.array([0.065]), np.array([4.0])]
    expected = float(lanes.sense(ExpectedTemperature(), [], [np.array([3000.0])], p)[0][0])
    assert expected == pytest.approx(199.0, abs=1e-9)
    deltas = [reading - expected for reading in (201.0, 203.0, 208.0, 211.0)]
    assert deltas == pytest.approx([2.0, 4.0, 9.0, 12.0], abs=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_passes_its_gold_set(kernel: type[Kernel]) -> None:
    verdicts = gold.judge(kernel, gold_set(kernel))
    assert verdicts
    assert [v for v in verdicts if not v.passed] == []


class WrongSign(GeneratorBearing):
    """A bearing that the fan heats."""

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        rates = super().flow(x, u, p)
        return rates | {"bearing": -rates["bearing"]}


class Forgetful(RotorBearing):
    """A bearing that forgets the load."""

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        p.loading = 0.0 * p.loading
        return super().flow(x, u, p)


class Steeper(ExpectedTemperature):
    """A line one degree too high."""

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": p.slope * u.speed + p.intercept + 1.0}


@pytest.mark.parametrize("broken", [WrongSign, Forgetful, Steeper])
def test_the_gold_set_refuses_a_broken_kernel(broken: type[Kernel]) -> None:
    sound = broken.__mro__[1]
    with np.errstate(over="ignore", invalid="ignore"):  # what is broken may run away
        verdicts = gold.judge(broken, gold_set(sound))  # type: ignore[arg-type]
    assert any(not v.passed for v in verdicts)


def test_the_shipped_gold_sets_are_what_the_independent_solver_gives() -> None:
    path = Path(__file__).parent / "gold_bearings.py"
    spec = importlib.util.spec_from_file_location("gold_bearings", path)
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for stem, wanted in tool.sets().items():
        shipped = json.loads((tool.LIBRARY / f"{stem}.gold.json").read_text(encoding="utf-8"))
        assert [c["name"] for c in shipped["cases"]] == [c["name"] for c in wanted["cases"]]
        for here, there in zip(shipped["cases"], wanted["cases"], strict=True):
            for name, values in there["expect"].items():
                np.testing.assert_allclose(here["expect"][name], values, atol=1e-6)


@pytest.mark.parametrize("kernel", THERMAL)
def test_nothing_moves_in_the_steady_state(kernel: type[Kernel]) -> None:
    p, u = typical(kernel), columns(kernel, FULL)
    x = settle(kernel(), FULL, p, hours=400)
    y = lanes.advance(kernel(), x, u, p, 600.0)
    np.testing.assert_allclose([float(v[0]) for v in y], [float(v[0]) for v in x], atol=1e-6)


def test_a_rotor_bearing_at_rest_takes_on_the_air_about_it() -> None:
    p = dict(zip(RotorBearing.layout.parameters, RotorBearing.typical(), strict=True))
    air = 20.0 - p["outside"] * 10.0 + p["offset"]
    assert reading(RotorBearing, STILL, hours=400) == pytest.approx(air, abs=1e-6)


def test_a_generator_at_rest_cools_to_the_nacelle() -> None:
    offset = GeneratorBearing.layout.parameters["offset"].typical
    found = reading(GeneratorBearing, STILL, hours=400)
    assert 20.0 - 0.5 <= found <= 20.0 + offset + 0.5  # local air, and a stator at the nacelle's


@pytest.mark.parametrize("kernel", THERMAL)
def test_more_load_is_hotter_and_warmer_air_is_hotter(kernel: type[Kernel]) -> None:
    base = reading(kernel, FULL | {"power": 500.0}, hours=200)
    assert reading(kernel, FULL, hours=200) > base > reading(kernel, STILL, hours=200)
    warm = FULL | {"power": 500.0, "ambient": 20.0, "nacelle": 30.0}
    assert reading(kernel, warm, hours=200) > base


@pytest.mark.parametrize("kernel", THERMAL)
def test_the_margin_is_gone_at_120_degrees(kernel: type[Kernel]) -> None:
    x = [
        np.array([120.0 if name in ("bearing", "probe") else 0.0]) for name in kernel.layout.states
    ]
    margin = lanes.limits(kernel(), x, columns(kernel, FULL), typical(kernel))["overheated"]
    assert float(margin[0]) == 0.0


@pytest.mark.parametrize("kernel", THERMAL)
def test_the_jacobian_of_a_step_is_its_finite_difference(kernel: type[Kernel]) -> None:
    rng = np.random.default_rng(3)
    lanes_, names = 12, list(kernel.layout.states)
    x = 40.0 + 20.0 * rng.random((lanes_, len(names)))
    ranges = {
        "rotor_speed": 17,
        "generator_speed": 1800,
        "power": 2000,
        "ambient": 20,
        "nacelle": 35,
    }
    u = np.stack([ranges[n] * (0.3 + 0.7 * rng.random(lanes_)) for n in kernel.layout.inputs], 1)
    p, dt = np.tile(kernel.typical(), (lanes_, 1)), np.full(lanes_, 600.0)
    _, jacobian = lanes.advance_jacobian(kernel(), x, u, p, dt)
    for k in range(len(names)):
        moved = []
        for sign in (1.0, -1.0):
            nudged = x.copy()
            nudged[:, k] += sign * 1e-4
            columns_ = lanes.columns(nudged), lanes.columns(u), lanes.columns(p)
            moved.append(lanes.dense(lanes.advance(kernel(), *columns_, dt), lanes_))
        slope = (moved[0] - moved[1]) / 2e-4
        np.testing.assert_allclose(jacobian[:, :, k], slope, atol=2e-6)


@pytest.mark.parametrize("kernel", THERMAL)
def test_halving_the_step_cuts_the_error_sixteenfold(kernel: type[Kernel]) -> None:
    start = FULL | {"power": 800.0}
    p, u = typical(kernel), columns(kernel, start)

    def after(dt: float) -> float:
        x = lanes.initial(kernel(), u, p, 1)
        for _ in range(int(3600 / dt)):
            x = lanes.advance(kernel(), x, u, p, dt)
        return float(x[0][0])

    steps = (600.0, 300.0) if kernel is RotorBearing else (150.0, 75.0)
    truth = after(steps[1] / 8)
    ratio = (after(steps[0]) - truth) / (after(steps[1]) - truth)
    assert 12.0 < ratio < 22.0


@pytest.mark.parametrize("kernel", THERMAL)
def test_excess_stays_zero_in_open_loop(kernel: type[Kernel]) -> None:
    x = settle(kernel(), FULL, typical(kernel), hours=100)
    assert float(np.ravel(x[list(kernel.layout.states).index("excess")])[0]) == 0.0
