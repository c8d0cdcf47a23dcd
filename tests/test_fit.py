"""The fit: it finds what is there, says how surely, and is not bent by a spike."""

from typing import Any, ClassVar

import numpy as np
import pytest

from gemel.clock import SECOND
from gemel.errors import Invalid
from gemel.insight import lifecycle
from gemel.kernels.base import Kernel, parameter, sensor, signal, state
from gemel.kernels.fit import Fit, Loss, Windows, fit, pooled, simulate
from gemel.kernels.gold import Verdict
from gemel.records import Floats

ASSETS, LANES, STEPS = 24, 6, 240


class Oven(Kernel):
    """Temperature of one oven; `colour` moves nothing."""

    version: ClassVar[str] = "1.0"
    temperature = state("degC", start=20.0, start_std=5.0, noise=0.02)
    power = signal("kW")
    heat = parameter("K/s/kW", typical=0.1, spread=0.3, scale="log")
    loss = parameter("1/s", typical=1e-3, spread=0.2, scale="log", bounds=(1e-5, 1.0))
    colour = parameter("1", typical=2.0, spread=0.5)
    thermometer = sensor("degC", noise=0.5)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": p.heat * u.power - p.loss * (x.temperature - 20.0)}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.temperature + 0.0 * p.colour}


def truth(seed: int = 0, assets: int = ASSETS) -> Floats:
    rng = np.random.default_rng(seed)
    spread = np.array([0.3, 0.2, 0.0])
    return np.exp(rng.normal(0, 1, (assets, 3)) * spread) * Oven.typical()


def history(values: Floats, noise: Any, seed: int = 1) -> Windows:
    rng = np.random.default_rng(seed)
    asset = np.repeat(np.arange(len(values)), LANES)
    inputs = rng.uniform(0, 2, (STEPS // 20, len(asset), 1)).repeat(20, 0)
    shape = (STEPS, len(asset), 1)
    blank = Windows(inputs, np.zeros(shape), np.ones(shape), asset, 60.0, len(values))
    readings = simulate(Oven(), blank, values) + noise(rng, shape)
    return Windows(inputs, readings, blank.weight, asset, 60.0, len(values))


def white(rng: np.random.Generator, shape: Any) -> Floats:
    return rng.normal(0, 0.5, shape)


def red(rng: np.random.Generator, shape: Any) -> Floats:
    """Neighbouring residuals resemble each other, as those of real physics do."""
    out = rng.normal(0, 0.5, shape)
    for t in range(1, shape[0]):
        out[t] = 0.9 * out[t - 1] + np.sqrt(1 - 0.81) * out[t]
    return out


def scores(found: Fit, values: Floats) -> Floats:
    return np.log(found.values / values)[:, :2] / found.stds[:, :2]


@pytest.mark.parametrize("noise", [white, red])
def test_known_parameters_come_back_within_their_stated_doubt(noise: Any) -> None:
    values = truth()
    z = scores(fit(Oven(), history(values, noise)), values)
    assert 0.6 < z.std() < 1.4
    assert np.abs(z).max() < 4.5


def test_a_parameter_that_moves_nothing_says_so() -> None:
    found = fit(Oven(), history(truth(), white))
    np.testing.assert_allclose(found.shrink[:, 2], 1.0)
    np.testing.assert_allclose(found.values[:, 2], 2.0)
    assert found.shrink[:, :2].max() < 0.05


def test_spikes_do_not_bend_a_fit() -> None:
    values = truth(assets=8)
    clean = history(values, white)
    readings = clean.readings.copy()
    struck = np.random.default_rng(5).random(readings.shape) < 0.01
    readings[struck] += 300.0
    spiked = Windows(clean.inputs, readings, clean.weight, clean.asset, clean.dt, clean.assets)
    found, undisturbed = fit(Oven(), spiked), fit(Oven(), clean)
    drift = np.abs(np.log(found.values / undisturbed.values))[:, :2]
    assert drift.max() < 0.01


def test_a_row_of_weight_zero_is_as_if_it_were_not_there() -> None:
    clean = history(truth(assets=2), white)
    readings, weight = clean.readings.copy(), np.array(clean.weight)
    readings[100:140], weight[100:140] = 1e6, 0.0
    told = Windows(clean.inputs, readings, weight, clean.asset, clean.dt, clean.assets)
    hidden = Windows(clean.inputs, clean.readings, weight, clean.asset, clean.dt, clean.assets)
    np.testing.assert_array_equal(fit(Oven(), told).values, fit(Oven(), hidden).values)


def test_an_asset_with_little_history_leans_on_its_fleet() -> None:
    values = truth() * np.array([1.5, 1.0, 1.0])
    kernel = Oven()
    prior = pooled(kernel, fit(kernel, history(values, white)).values)
    assert np.exp(prior.centre[0]) == pytest.approx(0.15, rel=0.2)
    poor = history(values[:1], white)
    weight = np.array(poor.weight)
    weight[3:] = 0.0
    short = Windows(poor.inputs, poor.readings, weight, poor.asset, poor.dt, 1)
    leaning, alone = fit(kernel, short, prior=prior), fit(kernel, short)
    assert leaning.stds[0, 1] <= alone.stds[0, 1] + 1e-9


def test_an_asset_without_a_reading_is_an_error_that_says_so() -> None:
    clean = history(truth(assets=2), white)
    weight = np.array(clean.weight)
    weight[:, clean.asset == 1] = 0.0
    with pytest.raises(Invalid, match="1 assets have no usable sample"):
        fit(Oven(), Windows(clean.inputs, clean.readings, weight, clean.asset, clean.dt, 2))


def test_bounds_hold() -> None:
    values = truth(assets=2)
    values[:, 1] = 1e-6
    found = fit(Oven(), history(values, white), loss=Loss(sigma=0.01, fresh=1.0))
    assert (found.values[:, 1] >= 1e-5 * (1 - 1e-12)).all()


# --- from history to a promotion -----------------------------------------------------------------


def regular(rows: int, gap_at: int, missing_at: int) -> lifecycle.History:
    instant = np.arange(rows, dtype=np.int64) * 60 * SECOND
    instant[gap_at:] += 60 * SECOND
    inputs = np.ones((rows, 1))
    inputs[missing_at] = np.nan
    return lifecycle.History(
        instant, inputs, np.arange(rows, dtype=float)[:, None], np.ones((rows, 1))
    )


def test_before_any_history_there_is_nothing_to_judge() -> None:
    """A fit that is asked for then says so, and does not crash."""
    none = lifecycle.History(np.empty(0, np.int64), *(np.empty((0, 1)) for _ in range(3)))
    assert lifecycle.runs(none, 60.0) == []
    assert not lifecycle.windows([none], 60.0, warm=10, judged=5).mask.any()


def test_windows_never_cross_a_gap_and_judge_no_reading_twice() -> None:
    told = regular(1000, gap_at=300, missing_at=600)
    assert lifecycle.runs(told, 60.0) == [(0, 300), (300, 600), (601, 1000)]
    cut = lifecycle.windows([told], 60.0, warm=50, judged=100, first=20)
    judged = cut.readings[cut.mask]
    assert len(np.unique(judged)) == len(judged)
    kept = np.r_[20:300, 320:600, 621:1000]
    np.testing.assert_array_equal(np.sort(judged), kept)


def test_a_better_challenger_is_promoted_and_a_worse_one_is_not() -> None:
    values = truth(assets=1)
    held = history(values, white)
    passed = [Verdict("case", True, 0.0, 1e-6, "")]
    better = lifecycle.prove(Oven(), values * 1.1, values, held, spread=0.5)
    assert better.count == held.mask.sum()
    assert better.coverage == pytest.approx(0.9, abs=0.03)
    assert lifecycle.verdict(better, passed)[0]
    worse = lifecycle.prove(Oven(), values[0], values[0] * 1.1, held)
    assert not lifecycle.verdict(worse, passed)[0]


def test_the_gold_set_has_the_last_word() -> None:
    values = truth(assets=1)
    proof = lifecycle.prove(Oven(), values * 1.1, values, history(values, white))
    promoted, reason = lifecycle.verdict(proof, [Verdict("steady", False, 1.0, 0.1, "t[3]")])
    assert not promoted
    assert "the gold set refuses it: steady" in reason
    assert not lifecycle.verdict(proof, [])[0]


def test_a_kernel_without_signals_can_be_fitted() -> None:
    class Cooling(Kernel):
        version: ClassVar[str] = "1.0"
        warmth = state("K", start=50.0, start_std=1.0, noise=0.01)
        loss = parameter("1/s", typical=1e-3, spread=1.0, scale="log")
        reading = sensor("K", noise=0.1)

        def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
            return {"warmth": -p.loss * x.warmth}

        def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
            return {"reading": x.warmth}

    times = 60.0 * np.arange(50)
    readings = 50.0 * np.exp(-2e-3 * times)[:, None, None]
    windows = Windows(
        np.zeros((50, 1, 0)), readings, np.ones(readings.shape), np.zeros(1, np.int64), 60.0, 1
    )
    assert fit(Cooling(), windows).values[0, 0] == pytest.approx(2e-3, rel=1e-3)
