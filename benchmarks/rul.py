"""Whether the time to failure falls where it was foreseen: the figures `engine.rul_cover_*`.

Owns    the reference problem: machines that wear out, each at a pace of its own, run to failure.
Never   lets the fleet see the truth: it hears one noisy wear gauge an hour, and forecasts once.

Machines were installed at random hours, with their own wear and their own pace, and are judged all
at the same hour, those that still run. From then on they run at full load to their end.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.runner import figure
from gemel.clock import SECOND
from gemel.fleet import Fleet
from gemel.kernels.base import Kernel, parameter, sensor, signal, state
from gemel.kernels.forecast import Foreseen
from gemel.records import Floats

HOUR = 3600.0
YOUNG, OLD = 40, 240  # hours that a machine has run when it is judged
HORIZON = 1600  # hours
BEGIN = 1_000_000 * SECOND


class Creeping(Kernel):
    """Wear w by a pace that nobody knows: w' = r L e^k + noise, k wanders slowly; failed at 1."""

    version: ClassVar[str] = "1.0"
    wear = state("1", start=0.05, start_std=0.02, noise=5e-5)
    pace = state("1", start=0.0, start_std=0.3, noise=5e-5)
    load = signal("1")
    rate = parameter("1/s", typical=1.0 / (400.0 * HOUR), spread=0.1, scale="log")
    gauge = sensor("1", noise=0.03)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"wear": p.rate * u.load * np.exp(x.pace)}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"gauge": x.wear}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"worn out": 1.0 - x.wear}


@dataclass(frozen=True)
class Lives:
    """load, gauge (T,A): telemetry up to now, NaN before a machine was there
    left (A,): hours to failure from now, inf beyond the horizon; 0 when it has failed already"""

    load: Floats
    gauge: Floats
    left: Floats


def lives(assets: int, seed: int = 0) -> Lives:
    """Machines run to failure, hour by hour."""
    rng = np.random.default_rng(seed)
    layout = Creeping.layout
    noise = {name: item.noise * np.sqrt(HOUR) for name, item in layout.states.items()}
    wear, pace = (rng.normal(item.start, item.start_std, assets) for item in layout.states.values())
    rate = HOUR * layout.parameters["rate"].typical
    age = rng.integers(YOUNG, OLD, assets)
    load, gauge = np.full((2, OLD, assets), np.nan)
    left, failed = np.full(assets, np.inf), np.zeros(assets, np.bool_)
    for hour in range(-OLD, HORIZON):
        there = hour >= -age
        wanted = rng.uniform(0.5, 1.5, assets) if hour < 0 else np.ones(assets)
        shaken = rng.normal(size=(2, assets))
        moves = there & (hour > -age)  # the first hour is where a machine begins
        wear += np.where(moves, rate * wanted * np.exp(pace) + noise["wear"] * shaken[0], 0.0)
        pace += np.where(moves, noise["pace"] * shaken[1], 0.0)
        failing = moves & ~failed & (wear >= 1.0)
        left[failing] = max(hour + 1, 0)
        failed |= failing
        if hour < 0:
            read = wear + rng.normal(0.0, layout.outputs["gauge"].noise, assets)
            load[hour + OLD] = np.where(there, wanted, np.nan)
            gauge[hour + OLD] = np.where(there, read, np.nan)
    return Lives(load, gauge, left)


def foreseen(told: Lives, paths: int = 400, seed: int = 1) -> tuple[Foreseen, NDArray[np.int64]]:
    """What a fleet that heard the telemetry foresees of the machines that still run; which those
    are."""
    running = np.flatnonzero(told.left > 0)
    fleet = Fleet(Creeping, [f"machine-{k}" for k in running])
    instants = BEGIN + np.arange(OLD) * int(HOUR) * SECOND
    history = {"load": told.load[:, running], "gauge": told.gauge[:, running]}
    fleet.backfill(instants, history, track=False)
    ahead = fleet.forecast({"load": 1.0}, dt=HOUR, steps=HORIZON, paths=paths, seed=seed)
    return ahead, running


def ranks(ahead: Foreseen, left: Floats, seed: int = 2) -> Floats:
    """Where the truth lies among the paths of each machine, 0 to 1; evenly spread where the
    forecast is right. Among equals, and beyond the horizon, the place is drawn.

    left (A,): hours
    """
    passage, truth = ahead.passage[:, :, 0], HOUR * left[:, None]
    before = (passage < truth).sum(axis=1)
    level = (passage == truth).sum(axis=1)
    place = np.random.default_rng(seed).random(len(left))
    return np.asarray((before + place * (level + 1)) / (passage.shape[1] + 1))


@figure(
    "engine.rul",
    unit={"engine.rul_cover_50": "1", "engine.rul_cover_90": "1"},
    kind="proof",
)
def calibration() -> dict[str, float]:
    """2,500 machines run to failure: the share whose end fell in the 50 % and 90 % intervals."""
    told = lives(2500)
    ahead, running = foreseen(told)
    at = ranks(ahead, told.left[running])
    return {
        f"engine.rul_cover_{share}": float((np.abs(at - 0.5) < 0.005 * share).mean())
        for share in (50, 90)
    }
