"""How much a fleet helps an asset with little history: the figures `engine.fleet_fit_*`.

Owns    the reference problem: a motor of two lumps, five log-parameters, few and many samples.
Never   lets the fit see the truth; only the oracle is told the population.

A poor asset has one run of 50 samples from a known start, a rich one a hundred of them. The author
of the kernel knew little: the declared spreads are a factor e, the fleet's own are 15 %, around
other values than the declared ones, and one covariate moves two of the five.

    alone     each asset by itself, on the kernel's declared prior
    oracle    each asset under the true population N(B z, Σ), the noise known
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.runner import figure
from gemel.kernels.base import Kernel, parameter, sensor, signal, state
from gemel.kernels.fit import Loss, Prior, Windows, fit, prior_of, simulate
from gemel.kernels.pool import FleetFit, fit_fleet
from gemel.records import Floats

FEW, MANY = 50, 5000  # samples
NOISE, NINETY = 0.5, 1.6449


class Motor(Kernel):
    """A winding in a frame: the load heats the one, a draught cools the other."""

    version: ClassVar[str] = "1.0"
    winding = state("degC", start=20.0, start_std=1.0, noise=0.01)
    frame = state("degC", start=20.0, start_std=1.0, noise=0.01)
    load, air, ambient = signal("1"), signal("m/s"), signal("degC")
    heat = parameter("K/s", typical=0.06, spread=1.0, scale="log")
    exchange = parameter("1/s", typical=1.5e-3, spread=1.0, scale="log")
    share = parameter("1", typical=0.4, spread=1.0, scale="log")
    cooling = parameter("1/s", typical=5e-4, spread=1.0, scale="log")
    draught = parameter("s/m", typical=0.2, spread=1.0, scale="log")
    surface = sensor("degC", noise=NOISE)

    def initial(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"winding": u.ambient, "frame": u.ambient}

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        passed = p.exchange * (x.winding - x.frame)
        lost = p.cooling * (1.0 + p.draught * u.air) * (x.frame - u.ambient)
        return {"winding": p.heat * u.load**2 - passed, "frame": p.share * passed - lost}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"surface": x.frame}


@dataclass(frozen=True)
class Case:
    """truth (A,P), θ · covariates (A,1) · windows · population: the true prior of every asset."""

    truth: Floats
    covariates: Floats
    windows: Windows
    population: Prior


def case(poor: int, rich: int, many: int = MANY, seed: int = 0) -> Case:
    """A fleet whose first `poor` assets have 50 samples and whose others have `many`."""
    rng = np.random.default_rng(seed)
    assets = poor + rich
    covariates = rng.normal(0.0, 1.0, (assets, 1))
    offset = np.array([0.7, -0.7, 0.7, -0.7, 0.7])
    effect = np.array([0.2, 0.0, 0.0, -0.2, 0.0])
    cov = 0.15**2 * (0.6 * np.eye(5) + 0.4)
    centre = prior_of(Motor()).centre + offset + covariates * effect
    truth = centre + rng.normal(size=(assets, 5)) @ np.linalg.cholesky(cov).T
    asset = np.repeat(np.arange(assets), np.r_[np.ones(poor, int), np.full(rich, many // FEW)])
    lanes = len(asset)
    run = [rng.uniform(*edges, lanes) for edges in ((0.5, 1.2), (0.0, 5.0), (5.0, 30.0))]
    inputs = np.tile(np.stack(run, axis=-1), (FEW, 1, 1))
    shape = (FEW, lanes, 1)
    blank = Windows(inputs, np.zeros(shape), np.ones(shape), asset, 60.0, assets)
    read = np.concatenate(
        [simulate(Motor(), blank.only(part), np.exp(truth[part])) for part in _parts(assets)], 1
    )
    readings = read + rng.normal(0.0, NOISE, shape)
    windows = Windows(inputs, readings, blank.weight, asset, 60.0, assets)
    return Case(truth, covariates, windows, Prior(centre, cov))


def _parts(assets: int) -> list[Any]:
    return np.array_split(np.arange(assets), max(1, assets // 50))


def figures(poor: int, rich: int, many: int = MANY, seed: int = 0) -> dict[str, float]:
    """The error of the poor against alone and oracle; the share of truths in 90 % intervals."""
    given = case(poor, rich, many, seed)
    kernel, some = Motor(), np.arange(poor)
    fleet = fit_fleet(kernel, given.windows, given.covariates)
    short = given.windows.only(some)
    alone = fit(kernel, short)
    oracle = fit(
        kernel, short, loss=Loss(sigma=NOISE, fresh=1.0), prior=given.population.only(some)
    )
    error = {
        name: float(np.sqrt(np.mean((np.log(values[:poor]) - given.truth[:poor]) ** 2)))
        for name, values in (
            ("fleet", fleet.values), ("alone", alone.values), ("oracle", oracle.values)
        )
    }  # fmt: skip
    return {
        "engine.fleet_fit_vs_alone": error["fleet"] / error["alone"],
        "engine.fleet_fit_vs_oracle": error["fleet"] / error["oracle"],
        "engine.fleet_fit_cover": covered(fleet, given.truth),
    }


def covered(fleet: FleetFit, truth: Floats) -> float:
    """The share of true parameters inside their 90 % intervals."""
    off = np.abs(np.log(fleet.values) - truth)
    return float((off <= NINETY * fleet.stds).mean())


@figure(
    "engine.fleet_fit",
    unit={f"engine.fleet_fit_{name}": "1" for name in ("vs_alone", "vs_oracle", "cover")},
    kind="bench",
)
def fleet_fit() -> dict[str, float]:
    """500 assets with 50 samples beside 500 with 5,000, fitted as one fleet."""
    return figures(500, 500)
