"""The forecast: paths are drawn as declared, first passages have their known laws, and what is
foreseen comes true as often as it says."""

from math import erf, erfc, exp, sqrt
from typing import Any, ClassVar

import numpy as np
import pytest
from benchmarks import rul
from benchmarks.reference import Wearing

from gemel.clock import SECOND
from gemel.engines.local import Local
from gemel.errors import Invalid
from gemel.fleet import Fleet
from gemel.kernels import lanes
from gemel.kernels.base import Kernel, parameter, sensor, signal, state
from gemel.kernels.draws import lane_keys, normals
from gemel.kernels.forecast import Foreseen, foresee
from gemel.records import Floats

KS = 1.628  # √n times the largest distance of two distributions, passed once in a hundred


class Creep(Kernel):
    """A level that rises by a rate, times the load; the rate may be a state or a parameter."""

    version: ClassVar[str] = "1.0"
    level = state("1", start=0.0, start_std=0.05, precise=True)
    drift = state("1/s", start=0.0, start_std=0.0)
    load = signal("1")
    rate = parameter("1/s", typical=0.01, spread=0.2)
    gauge = sensor("1", noise=0.1)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"level": (p.rate + x.drift) * u.load}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"gauge": x.level}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"half": 0.5 - x.level, "full": 1.0 - x.level}


class LogCreep(Creep):
    """The same; its rate is known to a factor."""

    version: ClassVar[str] = "1.0"
    rate = parameter("1/s", typical=0.01, spread=0.2, scale="log", bounds=(1e-3, 1.0))


class Wiener(Creep):
    """The same, shaken on the way."""

    version: ClassVar[str] = "1.0"
    level = state("1", start=0.0, start_std=0.05, noise=0.05, precise=True)


class Boiler(Kernel):
    """A temperature that follows its burner, fast when the pump runs; and wear that does not."""

    version: ClassVar[str] = "1.0"
    temperature = state("degC", start=50.0, start_std=1.0, noise=0.05)
    wear = state("1", start=0.0, start_std=0.1, noise=0.01)
    pump, burner = signal("1"), signal("degC")
    grip = parameter("1/s", typical=0.01, spread=0.2, scale="log")
    thermometer = sensor("degC", noise=0.5)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": p.grip * u.pump * (u.burner - x.temperature), "wear": 1e-3}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.temperature}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"hot": 100.0 - x.temperature, "worn": 1.0 - x.wear}


class Blast(Kernel):
    """It grows without bound, and nobody gave it a limit that it passes on the way."""

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 1.0
    size = state("1", start=1.0, start_std=0.0)
    sight = sensor("1", noise=1.0)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"size": x.size**3}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"sight": x.size}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"gone": 1.0 / x.size**2 + x.size - x.size}


def run(kernel: type[Kernel], inputs: Any, *, dt: float = 1.0, **given: Any) -> Foreseen:
    """A forecast from typical values; mean, cov, p, p_cov, keys, … as given. inputs (K,A,U)"""
    inputs = np.asarray(inputs, np.float64)
    count, layout = inputs.shape[1], kernel.layout
    states, parameters = len(layout.states), len(layout.parameters)
    blank: dict[str, Any] = {
        "mean": np.tile([float(item.start) for item in layout.states.values()], (count, 1)),
        "cov": np.zeros((count, states, states)),
        "p": np.tile(kernel.typical(), (count, 1)),
        "p_cov": np.zeros((count, parameters, parameters)),
        "keys": np.arange(1, count + 1, dtype=np.uint64),
        "seed": 0,
        "paths": 1000,
        "scenario": "as given",
    }
    return foresee(kernel(), inputs=inputs, dt=dt, **(blank | given))


def steady(steps: int, assets: int = 1, load: float = 1.0) -> Floats:
    return np.full((steps, assets, 1), load)


def distance(passage: Floats, times: Any, law: Any) -> float:
    """√n times the largest distance of the paths' distribution from a law, at some times."""
    share = (passage[:, None] <= times).mean(axis=0)
    return float(np.abs(share - [law(t) for t in times]).max() * np.sqrt(len(passage)))


def normal(z: float) -> float:
    return 0.5 * (1.0 + erf(z / sqrt(2.0)))


# ---- the same paths everywhere -------------------------------------------------------------------


def by_numpy(kernel: type[Kernel], u: Floats, cov: Floats, keys: Any, dt: float) -> Floats:
    """First passages as the module's page has them, path by path in float64: (paths, modes)."""
    instance, layout = kernel(), kernel.layout
    noise = [item.noise * sqrt(dt) for item in layout.states.values()]
    root = np.sqrt(cov)  # of a diagonal one
    z = np.stack([normals(keys, 0, k) for k in range(len(noise))], -1)
    x = list((np.array([item.start for item in layout.states.values()]) + z @ root.T).T)
    p = [np.full(len(keys), value) for value in kernel.typical()]
    passage: dict[str, Floats] = {}
    for step, row in enumerate(u, 1):
        inputs = [np.full(len(keys), value) for value in row]
        x = lanes.integrate(instance, x, inputs, p, dt)
        x = [a + s * normals(keys, step, k) for k, (a, s) in enumerate(zip(x, noise, strict=True))]
        for mode, margin in lanes.limits(instance, x, inputs, p).items():
            before = passage.setdefault(mode, np.full(len(keys), np.inf))
            passage[mode] = np.where((margin <= 0.0) & np.isinf(before), step * dt, before)
    return np.stack(list(passage.values()), -1)


@pytest.mark.parametrize("kernel, dt, row", [(Wearing, 10.0, [1.0]), (Boiler, 20.0, [1.0, 101.0])])
def test_a_path_is_what_numpy_makes_of_its_draws(
    kernel: type[Kernel], dt: float, row: list[float]
) -> None:
    u = np.tile(row, (1000, 1))
    cov = np.diag([item.start_std**2 for item in kernel.layout.states.values()])
    found = run(kernel, u[:, None], dt=dt, cov=cov[None], paths=200, seed=7).passage[0]
    keys = lane_keys(7, np.array([1], np.uint64), 200)
    wanted = by_numpy(kernel, u, cov, keys, dt)
    assert 0.2 < np.isfinite(wanted).mean() <= 1.0
    assert (found == wanted).mean() > 0.99  # float32 and float64 part where a margin is all but 0
    assert np.isfinite(found[np.isfinite(wanted)]).mean() > 0.99


def test_threads_change_no_bit() -> None:
    given: Any = {"dt": 10.0, "cov": np.tile(np.diag([1.0, 4e-4]), (9, 1, 1)), "paths": 5000}
    alone = run(Wearing, steady(700, 9), **given).passage
    assert 0.05 < np.isfinite(alone).mean() < 0.95
    for threads in (1, 2, 3):
        found = run(Wearing, steady(700, 9), engine=Local(threads), **given).passage
        assert found.tobytes() == alone.tobytes()


def plans() -> Floats:
    """Boilers whose pumps run at different speeds, each at its own: (50, 4, 2)."""
    return np.stack([np.tile([pump, 99.0], (50, 1)) for pump in (0.2, 1.0, 5.0, 60.0)], axis=1)


def test_an_asset_does_not_feel_its_neighbours() -> None:
    """Not even one so fast that its steps are cut in many."""
    given: Any = {"dt": 20.0, "cov": np.tile(np.diag([1.0, 0.01]), (4, 1, 1)), "paths": 100}
    together = run(Boiler, plans(), **given).passage
    for k in range(4):
        own = given | {"cov": given["cov"][:1], "keys": np.array([k + 1], np.uint64)}
        alone = run(Boiler, plans()[:, [k]], **own).passage
        assert alone[0].tobytes() == together[k].tobytes()


def test_more_paths_begin_with_the_fewer() -> None:
    few, many = (run(Wiener, steady(200), paths=paths).passage for paths in (37, 500))
    assert few[0].tobytes() == many[0, :37].tobytes()


def test_a_fleet_tells_of_the_assets_asked_for_in_that_order() -> None:
    names = [f"creep-{k}" for k in range(6)]
    fleet = Fleet(Wiener, names)
    fleet.tick(SECOND, {"load": 1.0, "gauge": np.linspace(0.0, 0.3, 6)})
    whole = fleet.forecast({}, dt=1.0, steps=200).passage
    asked = fleet.forecast({}, dt=1.0, steps=200, ids=["creep-4", "creep-1"]).passage
    assert asked.tobytes() == whole[[4, 1]].tobytes()
    assert len({row.tobytes() for row in whole}) == 6


def test_plans_for_one_twin_share_their_draws() -> None:
    """So their difference is not blurred by luck, though one of them needs shorter steps."""
    same = np.full(4, 5, np.uint64)
    given: Any = {"dt": 20.0, "cov": np.tile(np.diag([1.0, 0.01]), (4, 1, 1)), "keys": same}
    worn = run(Boiler, plans(), **given).passage[:, :, 1]
    assert (worn == worn[0]).all() and np.isfinite(worn).mean() > 0.3
    loads = np.stack([steady(300)[:, 0], steady(300, load=1.05)[:, 0]], axis=1)
    paired = run(Wiener, loads, keys=same[:2]).first
    apart = run(Wiener, loads, keys=np.array([5, 6], np.uint64)).first
    assert np.std(paired(1) - paired(0)) < 0.4 * np.std(apart(1) - apart(0))


# ---- laws of first passage -----------------------------------------------------------------------


def test_a_drift_with_noise_passes_by_the_inverse_gaussian_law() -> None:
    """T of a + μ t + σ W is inverse Gaussian. Looked at every dt, a path slips over the limit and
    back unseen, as if the limit were 0.5826 σ √dt further off (Broadie, Glasserman, Kou 1997)."""
    sigma, mu, dt, paths = 0.05, 0.01, 0.25, 20_000
    far = 1.0 + 0.5826 * sigma * sqrt(dt)

    def law(t: float) -> float:
        spread = sigma * sqrt(t)
        mirrored = exp(2.0 * mu * far / sigma**2)
        late = 0.5 * erfc((far + mu * t) / spread / sqrt(2.0))
        return normal((mu * t - far) / spread) + mirrored * late

    passage = run(Wiener, steady(2000), dt=dt, paths=paths).passage[0, :, 1]
    assert distance(passage, dt * np.arange(1, 2001, 7), law) < KS


@pytest.mark.parametrize("doubt", [0.0, 0.05])
@pytest.mark.parametrize("source", ["state", "parameter"])
def test_doubt_about_start_and_rate_widens_a_passage_as_its_closed_form_says(
    doubt: float, source: str
) -> None:
    """P(T ≤ t) = Φ((m + μ t − 1) / √(s² + 2 r t + v² t²)) of a level m ± s that rises by μ ± v."""
    v, r = 0.002, 0.4 * doubt * 0.002 if source == "state" else 0.0
    cov, p_cov = np.diag([doubt**2, 0.0]), np.zeros((1, 1))
    if source == "state":
        cov[1, 1], cov[0, 1], cov[1, 0] = v**2, r, r
    else:
        p_cov[0, 0] = v**2
    paths = 10_000
    found = run(Creep, steady(400), cov=cov[None], p_cov=p_cov[None], paths=paths)

    def law(t: float) -> float:
        return normal((0.01 * t - 1.0) / sqrt(doubt**2 + 2.0 * r * t + (v * t) ** 2))

    passage = found.passage[0, :, 1]
    assert distance(passage, np.arange(1.0, 401.0), law) < KS
    low, high = (found.rul(0)[1].quantiles[q] for q in ("0.05", "0.95"))
    assert low is not None and high is not None
    assert law(low) == pytest.approx(0.05, abs=0.02) and law(high) == pytest.approx(0.95, abs=0.02)


def test_a_rate_known_to_a_factor_gives_a_lognormal_passage_within_its_bounds() -> None:
    spread = np.array([[[0.3**2]]])
    passage = run(LogCreep, steady(1200), p_cov=spread, paths=10_000).passage[0, :, 1]
    law = lambda t: normal(np.log(t / 100.0) / 0.3)  # noqa: E731
    assert distance(passage, np.arange(20.0, 600.0), law) < KS
    wide = run(LogCreep, steady(1200), p_cov=100.0 * spread, paths=1000).passage[0, :, 1]
    assert wide.min() == 1.0 and wide.max() == pytest.approx(1000.0, abs=1.0)


def test_a_path_that_does_not_get_there_is_censored_and_counted_so() -> None:
    """A drift away from the limit leaves a share e^(2 μ a / σ²) that ever reach it."""
    p = np.array([[-0.01]])
    found = run(Wiener, steady(2000), dt=0.1, p=p, paths=5000)
    ever = exp(-0.02 * (0.5 + 0.5826 * 0.05 * sqrt(0.1)) / 0.05**2)
    passage = found.passage[0, :, 0]
    assert np.isfinite(passage).mean() == pytest.approx(ever, abs=0.006)  # 2.6 √(p q / n)
    assert passage[np.isfinite(passage)].max() <= found.horizon == 200.0
    told = found.rul(0)[0]
    assert told.reached == np.isfinite(passage).mean() and told.horizon == 200.0
    assert told.quantiles == {"0.05": None, "0.5": None, "0.95": None}


def test_a_quantile_is_null_where_that_share_of_paths_did_not_get_there() -> None:
    passage = np.full((1, 100, 1), np.inf)
    passage[0, :60, 0] = np.arange(1.0, 61.0)
    told = Foreseen(["worn"], np.random.default_rng(0).permuted(passage, axis=1), 100.0, "x").rul(0)
    assert told[0].quantiles == {"0.05": 6.0, "0.5": 51.0, "0.95": None}
    assert told[0].reached == 0.6 and told[0].scenario == "x"


def test_a_forecast_that_is_looked_at_on_the_way_is_the_same_forecast() -> None:
    given: dict[str, Any] = {"dt": 0.7, "paths": 300, "p_cov": np.tile(0.01 * np.eye(1), (3, 1, 1))}
    inputs = np.random.default_rng(1).uniform(0.5, 1.5, (101, 3, 1))
    plain, looked = run(Wiener, inputs, **given), run(Wiener, inputs, looks=24, **given)
    assert np.array_equal(plain.passage, looked.passage)
    assert plain.margins is None and plain.fan(0) == {}
    assert looked.margins is not None and looked.margins.shape == (3, 25, 2, 300)


def test_the_margins_on_the_way_are_how_far_each_limit_is() -> None:
    """A level that creeps to 1 by 0.01 a second has 1 − 0.01 t left, and then nothing, for good."""
    found = run(Creep, steady(200), dt=1.0, paths=40, looks=10)
    fan = found.fan(0)[found.modes[1]]
    left = np.clip(1.0 - 0.01 * np.linspace(0.0, 200.0, 11), 0.0, 1.0)
    assert all(fan[q] == pytest.approx(left, abs=1e-4) for q in ("0.05", "0.5", "0.95"))


def test_a_path_that_reached_a_limit_stays_there_in_the_fan() -> None:
    """As many paths stand at 0 at the end as have passed, though a level may come back."""
    found = run(Wiener, steady(400), dt=1.0, paths=1000, looks=7)
    assert found.margins is not None
    at_end = (found.margins[0, -1] == 0.0).mean(axis=-1)
    assert at_end == pytest.approx(np.isfinite(found.passage[0]).mean(axis=0))
    spread = found.fan(0)[found.modes[0]]
    assert (spread["0.05"] <= spread["0.5"]).all() and (spread["0.5"] <= spread["0.95"]).all()


@pytest.mark.parametrize("dt, steps", [(0.1, 70), (1.1, 700), (3600.0, 9000), (0.7, 3)])
def test_what_passes_in_the_last_step_passes_at_the_horizon(dt: float, steps: int) -> None:
    """Exactly, so that a deadline at the horizon counts it."""
    p = np.array([[1.0 / (dt * (steps - 0.5))]])
    found = run(Creep, steady(steps), dt=dt, p=p, paths=3)
    assert (found.passage[0, :, 1] == found.horizon).all() and found.horizon == dt * steps
    assert found.passage[0, 0, 0] == pytest.approx(0.5 * found.horizon, abs=dt)


def test_each_limit_has_a_passage_of_its_own_and_the_first_is_the_least() -> None:
    found = run(Wiener, steady(400))
    half, full = (found.passage[0, :, k] for k in (0, 1))
    assert found.modes == ["half", "full"] and (half < full).all()
    assert (found.first(0) == half).all()
    assert [told.mode for told in found.rul(0)] == ["half", "full"]
    assert np.median(full) == pytest.approx(2.0 * np.median(half), rel=0.1)


def test_a_path_that_begins_beyond_a_limit_has_reached_it_after_one_step() -> None:
    found = run(Creep, steady(10), mean=np.array([[0.7, 0.0]]), paths=4)
    assert (found.passage[0, :, 0] == 1.0).all() and np.isinf(found.passage[0, :, 1]).all()


def test_a_path_that_runs_away_to_no_number_counts_as_failed() -> None:
    found = run(Blast, np.zeros((20, 1, 0)), paths=4)
    assert (found.passage < 5.0).all()


# ---- the scenario --------------------------------------------------------------------------------


def test_a_passage_follows_the_inputs_of_its_scenario() -> None:
    """Σ load · rate = limit: twice the load, half the time; a rest is a rest."""
    rest = steady(300)
    rest[20:70] = 0.0
    loads = np.concatenate([steady(300), steady(300, load=2.0), rest, 0.0 * rest], axis=1)
    found = run(Creep, loads - 0.0, p=np.full((4, 1), 0.010001), paths=2)
    np.testing.assert_array_equal(found.passage[:, 0, 1], [100.0, 50.0, 150.0, np.inf])


def test_a_fleet_forecasts_under_inputs_for_all_for_each_and_as_they_stand() -> None:
    fleet = Fleet(Creep, ["a", "b"])
    fleet.set_parameters({"rate": 0.010001})
    fleet.tick(SECOND, {"load": np.array([1.0, 2.0]), "gauge": np.nan})
    fleet.column("D.level")[:] = 0.0
    given: Any = {"dt": 1.0, "steps": 300, "paths": 2}
    ramp = np.where(np.arange(300) < 50, 0.0, 1.0)
    for inputs, times in (
        ({}, [100.0, 50.0]),
        ({"load": 1.0}, [100.0, 100.0]),
        ({"load": ramp}, [150.0, 150.0]),
        ({"load": np.stack([ramp, 4.0 * ramp], axis=1)}, [150.0, 75.0]),
    ):
        found = fleet.forecast(inputs, **given)
        np.testing.assert_array_equal(found.passage[:, 0, 1], times)
    with pytest.raises(Invalid, match="lod"):
        fleet.forecast({"lod": 1.0}, **given)


def test_a_scenario_with_a_gap_is_an_error_that_says_so() -> None:
    gap = steady(300)
    gap[7] = np.nan
    with pytest.raises(Invalid, match="1 numbers of the scenario") as told:
        run(Creep, gap)
    assert told.value.code == "forecast.inputs"


def test_inputs_that_are_fast_for_a_while_are_followed_in_steps_short_enough() -> None:
    """A pump that runs at noon only: at the pace of midnight, the noon's steps would explode."""
    day = np.tile([0.01, 90.0], (48, 1, 1))
    day[20:28, :, 0] = 60.0
    coarse = run(Boiler, day, dt=100.0, paths=400)
    assert np.isinf(coarse.passage[:, :, 0]).all()
    day[24, :, 1] = 110.0
    coarse, fine = run(Boiler, day, dt=100.0), run(Boiler, day.repeat(50, axis=0), dt=2.0)
    assert (np.abs(coarse.passage[0, :, 0] - 2402.0) <= 2.0).all()
    np.testing.assert_allclose(coarse.passage[0, :, 0], fine.passage[0, :, 0], atol=2.0)


@pytest.mark.parametrize("assets, steps", [(0, 10), (2, 0)])
def test_a_forecast_of_nobody_or_of_no_time_is_empty(assets: int, steps: int) -> None:
    fleet = Fleet(Creep, [f"creep-{k}" for k in range(assets)])
    found = fleet.forecast({"load": 1.0}, dt=1.0, steps=steps)
    assert found.passage.shape == (assets, 200, 2) and np.isinf(found.passage).all()


# ---- what it is for ------------------------------------------------------------------------------


def test_what_was_fitted_widens_what_is_foreseen() -> None:
    """A fleet that knows its parameters from a fit draws them from what the fit left open."""
    instants = SECOND * np.arange(1, 31)
    load = np.ones((30, 3))
    gauge = 0.01 * np.arange(30.0)[:, None] + np.random.default_rng(0).normal(0.0, 0.1, (30, 3))
    spreads = []
    for fitted in (False, True):
        fleet = Fleet(Creep, ["a", "b", "c"])
        found = fleet.fit(instants, {"load": load, "gauge": gauge}) if fitted else None
        if found:
            fleet.set_parameters({"rate": 0.01})
        fleet.tick(SECOND, {"load": 1.0, "gauge": np.nan})
        fleet.column("D.level")[:] = 0.0
        spreads.append(np.std(1.0 / fleet.forecast({}, dt=1.0, steps=1000).passage[0, :, 0]))
    assert spreads[0] == pytest.approx(0.0, abs=1e-12) and found is not None
    assert spreads[1] == pytest.approx(found.stds[0, 0] / 0.5, rel=0.15)


def test_machines_fail_when_they_were_foreseen_to() -> None:
    """Each wears at its own, unknown pace; the fleet hears a noisy gauge, and says once, at some
    age, when each will fail. Then they are run to failure."""
    told = rul.lives(900)
    ahead, running = rul.foreseen(told, paths=200)
    left = told.left[running]
    at, count = np.sort(rul.ranks(ahead, left)), len(running)
    assert count > 850
    assert np.abs(at - (np.arange(count) + 0.5) / count).max() * np.sqrt(count) < KS
    for share in (0.5, 0.9):
        band = 2.576 * np.sqrt(share * (1.0 - share) / count)
        assert np.mean(np.abs(at - 0.5) < 0.5 * share) == pytest.approx(share, abs=band)
    inside = []
    for row, hours in enumerate(left):
        low, high = (ahead.rul(row)[0].quantiles[q] for q in ("0.05", "0.95"))
        assert low is not None and high is not None
        inside.append(low <= hours * rul.HOUR <= high)
    assert np.mean(inside) == pytest.approx(0.9, abs=2.576 * np.sqrt(0.09 / count))


def test_a_forecast_narrows_as_a_machine_comes_to_its_end() -> None:
    told = rul.lives(300, seed=3)
    ahead, running = rul.foreseen(told, paths=200)
    width = np.ptp(np.quantile(ahead.passage[:, :, 0], [0.05, 0.95], axis=1), axis=0)
    order = np.argsort(told.left[running])
    near, middle, far = (np.median(width[part]) for part in np.array_split(order, 3))
    assert near < middle < far
