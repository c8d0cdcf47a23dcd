"""The kernel library as twins: the filter keeps in step with each, and learns what is hidden."""

from typing import Any

import numpy as np
import pytest

from gemel.kernels import estimate, lanes
from gemel.kernels.base import Kernel
from gemel.kernels.library.arrhenius import InsulationAgeing
from gemel.kernels.library.battery import LithiumCell
from gemel.kernels.library.bearing_life import RollingBearing
from gemel.kernels.library.defect_frequencies import BearingDefects
from gemel.kernels.library.electrochemistry import Electrochemistry
from gemel.kernels.library.paris_crack import ParisCrack
from gemel.kernels.library.petroff import PetroffBearing
from gemel.kernels.library.pump import CentrifugalPump
from gemel.kernels.library.tank import Tank
from gemel.kernels.library.thermal_zone import Incubator, ThermalZone

TWINS, STEPS, WARM = 80, 240, 20
K = np.arange(STEPS)
RESTS = K % 20 > 3

# kernel: seconds a step, its inputs, and the hidden states that the readings must teach
DUTY: dict[type[Kernel], tuple[float, dict[str, Any], list[str]]] = {
    PetroffBearing: (
        120.0,
        {
            "speed": np.where(K % 60 < 50, 3000.0, 1500.0),
            "load": 15 + 5 * np.sin(K / 20),
            "oil_inlet": 45 + 2 * np.sin(K / 50),
        },
        ["worn"],
    ),
    RollingBearing: (
        86_400.0,
        {"speed": 1500.0, "load": 2 + 0.5 * np.sin(K / 9), "temperature": 70 + 5 * np.sin(K / 7)},
        ["damage"],
    ),
    BearingDefects: (3600.0, {"speed": 1500 + 200 * np.sin(K / 9)}, ["slip", "outer", "ball"]),
    ParisCrack: (
        1200.0,
        {"stress_range": 100 + 20 * np.sin(K / 5), "cycle_rate": 1.0},
        ["crack", "pace"],
    ),
    InsulationAgeing: (
        1800.0,
        {"ambient": 20 + 10 * np.sin(K / 30), "load": 0.9 + 0.2 * np.sin(K / 10)},
        ["aged"],
    ),
    LithiumCell: (
        60.0,
        {
            "current": np.where(K % 120 < 60, 0.5, -0.45) * RESTS,
            "temperature": 25 + 5 * np.sin(K / 40),
        },
        ["charge", "health", "resistance"],
    ),
    Electrochemistry: (
        60.0,
        {"current": np.where(K % 100 < 50, 2.0, -1.5) * RESTS, "temperature": 18.95},
        ["bulk", "mobile", "resistance"],
    ),
    CentrifugalPump: (
        3600.0,
        {
            "speed": 1480 - 150 * (K // 40 % 2),
            "flow_rate": 80 + 20 * np.sin(K / 11),
            "suction": 1.2,
            "temperature": 20.0,
        },
        ["wear", "drag"],
    ),
    Tank: (60.0, {"inflow": 10 + 8 * np.sin(K / 25), "opening": 0.6 + 0.3 * np.sin(K / 13)},
           ["blockage"]),
    ThermalZone: (
        900.0,
        {
            "outdoor": 5 + 6 * np.sin(K * 2 * np.pi / 96),
            "heating": 1.5 + 1.5 * (K // 8 % 2),
            "sun": np.maximum(0, 400 * np.sin(K * 2 * np.pi / 96)),
        },
        ["mass"],
    ),
    Incubator: (15.0, {"power": 18.67 * (K // 10 % 2), "room": 21.0}, ["heater"]),
}  # fmt: skip


def track(kernel: type[Kernel]) -> tuple[Any, Any, Any]:
    """NIS (T,A), the states' errors over their said deviations (T,A,X), the last deviations (A,X).

    The truth is the kernel itself, started and shaken as it says, in steps a quarter as long.
    """
    dt, told, _ = DUTY[kernel]
    asset, layout, rng = kernel(), kernel.layout, np.random.default_rng(11)
    p = np.tile(kernel.typical(), (TWINS, 1))
    start = [item.start_std for item in layout.states.values()]
    shake = [item.noise * np.sqrt(dt / 4) for item in layout.states.values()]
    noise = np.array([item.noise for item in layout.outputs.values()])
    inputs = np.stack([np.broadcast_to(told[n], K.shape).astype(float) for n in layout.inputs], 1)
    belief, x = estimate.blank(kernel, TWINS), []
    yes, no = np.ones(TWINS, bool), np.zeros(TWINS, bool)
    nis, errors = [], []
    for k in K:
        u = np.tile(inputs[k], (TWINS, 1))
        columns = lanes.columns(u), lanes.columns(p)
        if not x:
            begun = zip(lanes.initial(asset, *columns, TWINS), start, strict=True)
            x = [value + std * rng.standard_normal(TWINS) for value, std in begun]
        for _ in range(4 if k else 0):
            moved = lanes.advance(asset, x, *columns, dt / 4)
            x = [a + s * rng.standard_normal(TWINS) for a, s in zip(moved, shake, strict=True)]
        y = lanes.dense(lanes.sense(asset, x, *columns), TWINS)
        y = y + noise * rng.standard_normal(y.shape)
        instant = int((1 + k * dt) * 1e9)
        mask = np.ones(y.shape, bool)
        belief = estimate.update(asset, belief, instant, u, yes, no, y, mask, p)
        std = np.sqrt(np.einsum("aii->ai", belief.cov))
        nis.append(belief.nis)
        errors.append((lanes.dense(x, TWINS) - belief.mean) / std)
    return np.array(nis), np.array(errors), std


@pytest.mark.parametrize("kernel", DUTY)
def test_the_filter_keeps_in_step_and_learns_what_is_hidden(kernel: type[Kernel]) -> None:
    nis, errors, std = track(kernel)
    sensors = len(kernel.layout.outputs)
    assert 0.88 < nis[WARM:].mean() / sensors < 1.12  # 1 when its doubt is as large as its errors
    assert np.percentile(nis[WARM:], 99) < 4 * sensors + 8
    spread = errors[WARM:].std((0, 1))
    assert ((spread > 0.7) & (spread < 1.4)).all()
    for name in DUTY[kernel][2]:
        index = list(kernel.layout.states).index(name)
        assert std[:, index].mean() < 0.5 * kernel.layout.states[name].start_std
