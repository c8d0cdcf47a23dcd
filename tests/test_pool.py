"""A fleet is fitted as one: the poor lean on it, the rich do not, and both say how surely."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from benchmarks.fleet_fit import figures
from numpy.typing import NDArray

from gemel.errors import Invalid
from gemel.kernels.base import Kernel, parameter, sensor, signal, state
from gemel.kernels.fit import Loss, Windows, fit, prior_of, simulate
from gemel.kernels.pool import FleetFit, fit_fleet, population
from gemel.records import Floats

STEPS = 20  # of a window
NOISE, NINETY = 0.5, 1.6449
USUAL = np.log([0.15, 7e-4])  # what the ovens of this fleet have in common
OWN = 0.15  # and by how much each differs from it
EFFECT = 0.2  # of the covariate on the heating


class Oven(Kernel):
    """How fast it heats, how fast it cools; its author knew both to a factor e."""

    version: ClassVar[str] = "1.0"
    temperature = state("degC", start=20.0, start_std=1.0, noise=0.02)
    power = signal("kW")
    heat = parameter("K/s/kW", typical=0.1, spread=1.0, scale="log")
    loss = parameter("1/s", typical=1e-3, spread=1.0, scale="log")
    thermometer = sensor("degC", noise=NOISE)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": p.heat * u.power - p.loss * (x.temperature - 20.0)}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.temperature}


class Plane(Kernel):
    """A reading that is linear in five parameters: closed forms hold."""

    version: ClassVar[str] = "1.0"
    a, b, c, d, e = (signal("1") for _ in range(5))
    pa, pb, pc, pd, pe = (parameter("1", typical=0.0, spread=5.0) for _ in range(5))
    reading = sensor("1", noise=1.0)

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"reading": p.pa * u.a + p.pb * u.b + p.pc * u.c + p.pd * u.d + p.pe * u.e}


class Doubled(Kernel):
    """Only a product of its two gains can be seen, and its colour not at all."""

    version: ClassVar[str] = "1.0"
    load = signal("1")
    gain = parameter("1", typical=1.0, spread=1.0, scale="log")
    ratio = parameter("1", typical=1.0, spread=1.0, scale="log")
    colour = parameter("1", typical=2.0, spread=0.5)
    reading = sensor("1", noise=0.1)

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"reading": p.gain * p.ratio * u.load + 0.0 * p.colour}


def ovens(count: int, seed: int = 0, covariates: Floats | None = None) -> Floats:
    """θ of some ovens: (A,P)."""
    theta = USUAL + np.random.default_rng(seed).normal(0.0, OWN, (count, 2))
    return theta if covariates is None else theta + covariates * np.array([EFFECT, 0.0])


def history(theta: Floats, samples: NDArray[np.int64], seed: int = 1) -> Windows:
    """So many samples of each oven, in windows of STEPS."""
    rng = np.random.default_rng(seed)
    lanes = -(-samples // STEPS)
    asset = np.repeat(np.arange(len(theta)), lanes)
    begin = STEPS * np.concatenate([np.arange(count) for count in lanes])
    judged = np.arange(STEPS)[:, None] < samples[asset] - begin
    weight = judged[:, :, None].astype(float)
    inputs = rng.uniform(0.0, 2.0, weight.shape)
    blank = Windows(inputs, np.zeros_like(weight), weight, asset, 60.0, len(theta))
    read = simulate(Oven(), blank, np.exp(theta)) + rng.normal(0.0, NOISE, weight.shape)
    return replace(blank, readings=read)


def off(found: FleetFit, other: FleetFit) -> Floats:
    """How far two answers are apart, in standard deviations: (A,P)."""
    return np.abs(np.log(found.values / other.values)) / found.stds


SAMPLES = np.repeat([10, 50, 500], 15)
TRUTH = ovens(len(SAMPLES))
TOLD = history(TRUTH, SAMPLES)


@pytest.fixture(scope="module")
def fleet() -> FleetFit:
    """Ovens with 10, 50 and 500 samples."""
    return fit_fleet(Oven(), TOLD)


# ---- what it is for ------------------------------------------------------------------------------


def test_the_poor_are_known_almost_as_well_as_by_one_who_knows_the_population() -> None:
    told = figures(poor=60, rich=60, many=1000)
    assert told["engine.fleet_fit_vs_alone"] < 1 / 3
    assert told["engine.fleet_fit_vs_oracle"] < 1.15
    assert 0.84 < told["engine.fleet_fit_cover"] < 0.96  # one fleet: its assets err together


def test_nine_of_ten_parameters_of_small_fleets_are_in_their_90_percent_intervals() -> None:
    """Though the intervals take the population's spread for known, and it is learned from few."""
    rng, fleets, assets, samples = np.random.default_rng(0), 20, 16, 8
    inside = []
    for _ in range(fleets):
        truth = rng.normal(0.0, 0.4, (assets, 5))
        found = fit_fleet(Plane(), plane(rng, truth, samples), loss=KNOWN)
        inside.append(np.abs(found.values - truth) < NINETY * found.stds)
    band = 2.576 * np.sqrt(0.9 * 0.1 / np.size(inside))
    assert np.mean(inside) == pytest.approx(0.9, abs=band)


KNOWN = Loss(bend=1e3, sigma=1.0, fresh=1.0)


def plane(rng: np.random.Generator, truth: Floats, samples: int) -> Windows:
    assets = len(truth)
    inputs = rng.normal(size=(samples, assets, 5))
    readings = (inputs * truth).sum(axis=-1, keepdims=True) + rng.normal(size=(samples, assets, 1))
    return Windows(inputs, readings, np.ones_like(readings), np.arange(assets), 1.0, assets)


def test_an_answer_is_bayes_rule_under_the_population() -> None:
    """θ_a = C (X'y + Σ⁻¹ μ), C = (X'X + Σ⁻¹)⁻¹: where the reading is linear, to the last place."""
    rng = np.random.default_rng(2)
    told = plane(rng, rng.normal(1.0, 0.4, (12, 5)), 8)
    found = fit_fleet(Plane(), told, loss=KNOWN)
    x, y = told.inputs.transpose(1, 0, 2), told.readings.transpose(1, 0, 2)
    centre, precision = found.population.effects, np.linalg.inv(found.population.cov)
    cov = np.linalg.inv(x.transpose(0, 2, 1) @ x + precision)
    values = (cov @ (x.transpose(0, 2, 1) @ y + precision @ centre))[..., 0]
    np.testing.assert_allclose(found.values, values, rtol=1e-5, atol=1e-5)
    lean = np.trace(cov @ precision, axis1=1, axis2=2) / 5
    np.testing.assert_allclose(found.lean, lean, rtol=1e-6)


def test_the_population_comes_back() -> None:
    theta = ovens(150, seed=3)
    found = fit_fleet(Oven(), history(theta, np.full(150, 100))).population
    doubt = np.sqrt(np.einsum("cpcp->p", found.doubt))
    assert (np.abs(found.effects[:, 0] - USUAL) < 2.6 * doubt).all()
    np.testing.assert_allclose(doubt, OWN / np.sqrt(150), rtol=0.25)
    np.testing.assert_allclose(np.sqrt(np.diag(found.cov)), OWN, rtol=0.2)


# ---- who leans, and how much ---------------------------------------------------------------------


def test_an_asset_leaves_its_fleet_with_evidence(fleet: FleetFit) -> None:
    few, some, many = (np.median(fleet.lean[count == SAMPLES]) for count in (10, 50, 500))
    assert 1.0 > few > 10.0 * some > 20.0 * many
    assert np.abs(np.log(fleet.values) - TRUTH)[SAMPLES == 500].max() < 0.02


def test_a_rich_asset_is_left_where_its_own_readings_put_it(fleet: FleetFit) -> None:
    rich = np.flatnonzero(SAMPLES == 500)
    alone = fit(Oven(), TOLD.only(rich))
    assert fleet.lean[rich].max() < 1e-3
    moved = np.abs(np.log(fleet.values[rich] / alone.values)) / alone.stds
    assert moved.max() < 0.1


def test_an_asset_without_a_reading_is_what_its_covariates_make_of_it() -> None:
    rng = np.random.default_rng(5)
    covariates = rng.normal(0.0, 1.0, (60, 1))
    covariates[7] = 2.0
    told = history(ovens(60, 14, covariates), np.full(60, 50))
    weight = np.where(told.asset[:, None] == 7, 0.0, told.weight)
    found = fit_fleet(Oven(), replace(told, weight=weight), covariates)
    people = found.population
    expected = people.prior(covariates[[7]])
    np.testing.assert_allclose(np.log(found.values[[7]]), expected.centre, rtol=1e-9)
    np.testing.assert_allclose(found.cov[[7]], expected.cov, rtol=1e-6)
    assert found.values[7, 0] == pytest.approx(np.exp(USUAL[0] + 2.0 * EFFECT), rel=0.15)
    spread = np.sqrt(np.diag(people.cov))
    assert (found.stds[7] > spread).all() and (found.stds[7] < 1.3 * spread).all()
    assert found.lean[7] == pytest.approx(1.0) and np.isnan(found.rmse[7])
    assert found.samples[7] == 0 and found.unidentifiable[7] == ["heat", "loss"]


def test_an_asset_without_even_a_window_is_like_one_without_a_reading(fleet: FleetFit) -> None:
    found = fit_fleet(Oven(), replace(TOLD, assets=TOLD.assets + 1))
    np.testing.assert_allclose(found.values[:-1], fleet.values, rtol=0.01)
    np.testing.assert_allclose(np.log(found.values[-1]), found.population.effects[:, 0])


def test_a_newcomer_leans_on_the_population_of_the_fits() -> None:
    theta = ovens(40, seed=6)
    told = history(theta[:30], np.full(30, 50))
    people, whole = population(Oven(), fit(Oven(), told)), fit_fleet(Oven(), told).population
    np.testing.assert_allclose(people.effects, whole.effects, atol=0.1 * OWN)
    np.testing.assert_allclose(np.diag(people.cov), np.diag(whole.cov), rtol=0.2)
    short = history(theta[30:], np.full(10, 4))
    leaning, alone = fit(Oven(), short, prior=people.prior()), fit(Oven(), short)
    miss = [np.abs(np.log(found.values) - theta[30:])[:, 1].mean() for found in (leaning, alone)]
    assert miss[0] < 0.5 * miss[1]


# ---- covariates ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sized() -> tuple[Windows, Floats, FleetFit]:
    """Ovens whose heating goes with a covariate; a second one moves nothing."""
    covariates = np.random.default_rng(7).normal(0.0, 1.0, (60, 2))
    told = history(ovens(60, 13, covariates[:, :1]), np.full(60, 30))
    return told, covariates, fit_fleet(Oven(), told, covariates)


def test_what_a_covariate_does_is_found(sized: tuple[Windows, Floats, FleetFit]) -> None:
    people = sized[2].population
    doubt = np.sqrt(np.einsum("cpcp->pc", people.doubt))
    truth = np.column_stack([USUAL, [EFFECT, 0.0], [0.0, 0.0]])
    assert (np.abs(people.effects - truth) < 3.0 * doubt).all()
    assert people.effects[0, 1] > 5.0 * doubt[0, 1]
    np.testing.assert_allclose(np.sqrt(np.diag(people.cov)), OWN, rtol=0.3)


def test_the_unit_of_a_covariate_does_not_matter(sized: tuple[Windows, Floats, FleetFit]) -> None:
    told, covariates, found = sized
    other = fit_fleet(Oven(), told, 1000.0 * covariates - 40.0)
    np.testing.assert_allclose(other.values, found.values, rtol=1e-9)
    effects = found.population.effects[:, 1:]
    np.testing.assert_allclose(1000.0 * other.population.effects[:, 1:], effects, rtol=1e-6)


def test_a_covariate_that_is_the_same_for_all_says_nothing(
    sized: tuple[Windows, Floats, FleetFit],
) -> None:
    told, covariates, found = sized
    other = fit_fleet(Oven(), told, np.column_stack([covariates, np.full(60, 3.0)]))
    np.testing.assert_allclose(other.values, found.values, rtol=1e-9)
    np.testing.assert_allclose(other.population.effects[:, 3], 0.0, atol=1e-12)


@pytest.mark.parametrize("rows, what", [(5, "of (5, 1)"), (45, "with gaps")])
def test_covariates_that_do_not_fit_are_an_error_that_says_so(rows: int, what: str) -> None:
    covariates = np.where(np.arange(rows) == 3, np.nan, 1.0)[:, None]
    with pytest.raises(Invalid) as told:
        fit_fleet(Oven(), TOLD, covariates)
    assert told.value.code == "fit.covariates" and what in str(told.value)


def test_a_newcomers_covariates_must_be_those_of_its_fleet(
    sized: tuple[Windows, Floats, FleetFit],
) -> None:
    with pytest.raises(Invalid, match="learned with 2 covariates"):
        sized[2].population.prior()


# ---- the edges -----------------------------------------------------------------------------------


@pytest.mark.parametrize("assets, columns", [(1, 0), (2, 1), (3, 2)])
def test_too_few_assets_keep_the_declared_prior(assets: int, columns: int) -> None:
    told = TOLD.only(np.arange(assets))
    found = fit_fleet(Oven(), told, np.random.default_rng(0).normal(size=(assets, columns)))
    declared, alone = prior_of(Oven()), fit(Oven(), told)
    np.testing.assert_array_equal(found.population.effects[:, 0], declared.centre)
    np.testing.assert_array_equal(found.population.effects[:, 1:], 0.0)
    np.testing.assert_array_equal(found.population.cov, declared.cov)
    np.testing.assert_allclose(found.values, alone.values, rtol=2e-3)
    np.testing.assert_allclose(found.stds, alone.stds, rtol=0.1)


def test_the_declared_spreads_fade_as_assets_come() -> None:
    rich = TOLD.only(np.flatnonzero(SAMPLES == 500))
    spreads = [
        np.sqrt(np.diag(fit_fleet(Oven(), rich.only(np.arange(count))).population.cov)).mean()
        for count in (2, 3, 5, 15)
    ]
    assert (np.diff(spreads) < 0).all()
    assert 1.0 > spreads[0] > 3.0 * OWN and spreads[-1] < 1.5 * OWN


def test_the_order_of_assets_does_not_matter(fleet: FleetFit) -> None:
    order = np.random.default_rng(8).permutation(len(SAMPLES))
    found = fit_fleet(Oven(), TOLD.only(order))
    np.testing.assert_allclose(found.values, fleet.values[order], rtol=1e-6)
    np.testing.assert_allclose(found.stds, fleet.stds[order], rtol=1e-6)


def test_an_outlier_does_not_drag_the_fleet(fleet: FleetFit) -> None:
    """Seven of the fleet's spreads away, it is believed, and the poor lose little by it."""
    theta, odd = TRUTH.copy(), len(SAMPLES) - 1
    theta[odd] += 7.0 * OWN
    found = fit_fleet(Oven(), history(theta, SAMPLES))
    assert np.abs(np.log(found.values) - theta)[odd].max() < 0.02
    poor, rest = SAMPLES == 10, np.arange(len(SAMPLES)) != odd
    assert error_of(found, poor) < 1.15 * error_of(fleet, poor)
    assert np.median(off(fleet, found)[rest]) < 0.1


def error_of(found: FleetFit, rows: NDArray[np.bool_]) -> float:
    return float(np.sqrt(np.mean((np.log(found.values) - TRUTH)[rows] ** 2)))


@pytest.mark.parametrize("power, reading", [(1e300, 20.0), (np.nan, 20.0), (1.0, np.inf)])
def test_one_that_runs_away_to_no_number_leaves_the_others_their_answer(
    power: float, reading: float
) -> None:
    lost, mine = 20, TOLD.asset == 20
    inputs, readings = TOLD.inputs.copy(), TOLD.readings.copy()
    inputs[:, mine], readings[:, mine] = power, reading
    found = fit_fleet(Oven(), replace(TOLD, inputs=inputs, readings=readings))
    rest = np.delete(np.arange(len(SAMPLES)), lost)
    without = fit_fleet(Oven(), TOLD.only(rest))
    np.testing.assert_allclose(found.values[rest], without.values, rtol=1e-5)
    np.testing.assert_allclose(found.stds[rest], without.stds, rtol=1e-4)
    people = found.population
    np.testing.assert_allclose(np.log(found.values[lost]), people.effects[:, 0], rtol=1e-9)
    assert found.lean[lost] == pytest.approx(1.0) and found.samples[lost] == 0


def test_what_the_readings_say_nothing_about_is_named() -> None:
    rng = np.random.default_rng(9)
    inputs = rng.uniform(0.5, 1.5, (30, 8, 1))
    gain = np.exp(rng.normal(0.0, 0.3, (8, 1)))
    told = Windows(inputs, inputs * gain + rng.normal(0.0, 0.1, inputs.shape),
                   np.ones_like(inputs), np.arange(8), 1.0, 8)  # fmt: skip
    found = fit_fleet(Doubled(), told)
    assert all(words == ["colour", "gain against ratio"] for words in found.unidentifiable)
    product = np.log(found.values[:, 0] * found.values[:, 1])
    np.testing.assert_allclose(product, np.log(gain[:, 0]), atol=0.1)
    np.testing.assert_allclose(found.values[:, 2], 2.0, atol=1e-6)


def test_a_learned_noise_gives_the_answer_of_a_given_one(fleet: FleetFit) -> None:
    given = fit_fleet(Oven(), TOLD, loss=Loss(sigma=NOISE, fresh=1.0))
    assert off(given, fleet).max() < 0.15
    np.testing.assert_allclose(fleet.stds / given.stds, 1.0, atol=0.15)


def test_the_poor_borrow_the_size_of_the_noise_too() -> None:
    """Four readings tell little of their own scatter, and the fleet much."""
    told = history(ovens(24, 11), np.repeat([4, 200], 12), seed=12)
    found, alone = fit_fleet(Oven(), told), fit(Oven(), told)
    given = fit_fleet(Oven(), told, loss=Loss(sigma=NOISE, fresh=1.0))
    assert np.ptp(np.log(alone.sigma[:12])) > 1.0
    assert np.abs(np.log(found.stds / given.stds)).max() < 0.2


def test_a_fleet_without_a_reading_is_an_error_that_says_so() -> None:
    with pytest.raises(Invalid) as told:
        fit_fleet(Oven(), replace(TOLD, weight=np.zeros_like(TOLD.weight)))
    assert told.value.code == "fit.no_samples"
