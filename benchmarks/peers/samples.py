"""What the filters and the fits are fed: telemetry of simulated machines, the same on every side.

Owns    the draws, keyed by a seed, and the truth behind them.
Never   imports Gemel.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import physics

Floats = NDArray[np.float64]


def samples(twins: int, ticks: int, seed: int = 1) -> tuple[Floats, Floats, Floats]:
    """The reference bearing's inputs (T,A,2), parameters (A,12) and readings (T,A,2)."""
    random = np.random.default_rng(seed)
    p = np.array(physics.TYPICAL) * np.exp(0.05 * random.standard_normal((twins, 12)))
    x: Any = tuple(
        start + std * random.standard_normal(twins)
        for start, std in zip(physics.START, physics.START_STD, strict=True)
    )
    inputs = 1.0 + 0.1 * random.standard_normal((ticks, twins, 2))
    readings = np.empty((ticks, twins, 2))
    for k in range(ticks):
        u: Any = tuple(inputs[k].T)
        x = physics.step(np.exp, x, u, tuple(p.T), physics.TICK)
        clean = physics.readings(x, u, tuple(p.T))
        for y, noise in enumerate(physics.SENSOR_NOISE):
            readings[k, :, y] = clean[y] + noise * random.standard_normal(twins)
    return inputs, p, readings


def histories(
    assets: int, count: int, seed: int = 1, spread: float = physics.HOUSING_SPREAD
) -> tuple[Floats, Floats, Floats]:
    """The housing's inputs (T,A,2), readings (T,A) and true parameters (A,5).

    Speed and load hold for 20 samples and jump; parameters are log-normal about the typical ones.
    """
    random = np.random.default_rng(seed)
    p = np.array(physics.HOUSING) * np.exp(spread * random.standard_normal((assets, 5)))
    held = 0.4 + 0.9 * random.random((-(-count // 20), assets, 2))
    inputs = np.repeat(held, 20, axis=0)[:count]
    x = np.full(assets, physics.HOUSING_START)
    readings = np.empty((count, assets))
    for k in range(count):
        x = physics.housing_step(np.exp, x, tuple(inputs[k].T), tuple(p.T), physics.TICK)
        readings[k] = x
    return inputs, readings + physics.HOUSING_NOISE * random.standard_normal(readings.shape), p
