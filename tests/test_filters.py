"""The filters of one asset: as others compute them, as theory says, and as sure as they claim."""

from typing import Any

import numpy as np
import pytest
from benchmarks.reference import ReferenceBearing
from filterpy import kalman
from numpy.typing import NDArray
from scipy import stats

from gemel.kernels import estimate, filters, lanes
from gemel.kernels.base import Kernel, parameter, sensor, signal, state
from gemel.kernels.emit import LANES
from gemel.kernels.native import Native

Floats = NDArray[Any]
Readings = dict[str, Any]
BOTH = pytest.mark.parametrize("make", [filters.ekf, filters.ukf])


class Filter:
    """A kernel's compiled filter over some lanes, not begun."""

    def __init__(
        self, kernel: type[Kernel], make: Any = filters.ekf, real: str = "d", count: int = LANES,
        **also: bool,
    ) -> None:  # fmt: skip
        self.kernel, self.native, self.count = kernel, Native(make(kernel, **also), real), count
        self.columns = {name: np.zeros(count, kind) for name, kind in self.native.columns.items()}
        typical = {f"p.{name}": p.typical for name, p in kernel.layout.parameters.items()}
        self.put(parts=1.0, inflate=1.0, dt=-1.0, **typical)

    def put(self, **values: Any) -> None:
        for name, given in values.items():
            if name in self.columns:
                self.columns[name][...] = given

    def update(self, dt: Any, readings: Readings, parts: Any = 1, **inputs: Any) -> None:
        """Move by dt s and take in what was read: sensor → value; one left out is missing."""
        self.put(dt=dt, parts=parts, **{f"u.{name}": given for name, given in inputs.items()})
        for name in self.kernel.layout.outputs:
            self.put(**{f"y.{name}": readings.get(name, np.nan), f"seen.{name}": name in readings})
        most = int(np.max(parts, initial=1))
        part = np.repeat(np.arange(most)[:, None], self.count, axis=1)
        told = {"part": part.astype(self.columns["part"].dtype)}
        self.native.apply(self.columns | told, self.count, (0, most))

    def over(self, dt: float, steps: int, histories: dict[str, Any]) -> dict[str, Floats]:
        """Many updates in one call; histories: column → (steps, lanes), read or to be written."""
        self.put(dt=dt)
        types = self.native.columns
        told = {name: np.ascontiguousarray(h, types[name]) for name, h in histories.items()}
        self.native.apply(self.columns | told, self.count, (0, steps))
        return told

    @property
    def mean(self) -> Floats:
        """(lanes, X)."""
        return np.stack([self.columns[f"x.{name}"] for name in self.kernel.layout.states], -1)

    @property
    def cov(self) -> Floats:
        """(lanes, X, X)."""
        return estimate.covariance(self.columns, list(self.kernel.layout.states), self.count)

    @property
    def std(self) -> Floats:
        return np.sqrt(np.einsum("aii->ai", self.cov))

    def bits(self) -> dict[str, bytes]:
        """The belief, byte by byte."""
        return {n: c.tobytes() for n, c in self.columns.items() if n[:2] in ("x.", "U.", "D.")}


class Cart(Kernel):
    """A cart that is pushed: linear, and exact over any dt."""

    version = "1.0"
    place = state("m", start=0.0, start_std=2.0, noise=0.1)
    speed = state("m/s", start=1.0, start_std=0.5, noise=0.05)
    push = signal("m/s2")
    ruler = sensor("m", noise=0.5)
    wheel = sensor("m/s", noise=0.2)

    def step(self, x: Any, u: Any, p: Any, dt: Any) -> dict[str, Any]:
        kept = np.exp(-0.05 * dt)
        return {"place": x.place + dt * x.speed, "speed": kept * x.speed + dt * u.push}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"ruler": x.place + 0.5 * x.speed, "wheel": x.speed}


class Pendulum(Kernel):
    """φ'' = −4 sin φ − c φ', seen from the side and from in front."""

    version = "1.0"
    angle = state("rad", start=0.8, start_std=0.15, noise=0.02)
    rate = state("rad/s", start=0.0, start_std=0.15, noise=0.05)
    drag = parameter("1/s", typical=0.2, spread=0.1, scale="log")
    across = sensor("m", noise=0.05)
    height = sensor("m", noise=0.05)
    swing = sensor("m/s", noise=0.1)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"angle": x.rate, "rate": -4.0 * np.sin(x.angle) - p.drag * x.rate}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {
            "across": np.sin(x.angle),
            "height": 1.0 - np.cos(x.angle),
            "swing": x.rate * np.cos(x.angle),
        }


def chain(count: int) -> type[Kernel]:
    """States that pull each other, and a sensor that bends."""

    def flow(self: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        at = [getattr(x, f"x{k}") for k in range(count)]
        return {f"x{k}": at[k - 1] / (1.0 + at[k] ** 2) - 0.3 * at[k] for k in range(count)}

    def sense(self: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        at = [getattr(x, f"x{k}") for k in range(count)]
        return {"gauge": sum(a * (k + 1) for k, a in enumerate(at)) + at[0] * at[-1]}

    declared: dict[str, Any] = {
        f"x{k}": state("1", start=0.3 * k, start_std=0.5 + 0.1 * k, noise=0.1) for k in range(count)
    }
    declared |= {"version": "1.0", "gauge": sensor("1", noise=0.3), "flow": flow, "sense": sense}
    return type(f"Chain{count}", (Kernel,), declared)


# ---- against filterpy ----------------------------------------------------------------------------

TICKS = 40


def noise(kernel: type[Kernel], dt: float) -> Floats:
    """Q dt."""
    return np.diag([item.noise**2 * dt for item in kernel.layout.states.values()])


def begun(oracle: Any, kernel: type[Kernel]) -> Any:
    """A filterpy filter that believes what the kernel declares."""
    items = kernel.layout.states.values()
    oracle.x = np.array([item.start for item in items])
    oracle.P = np.diag([item.start_std**2 for item in items])
    return oracle


def scene(kernel: type[Kernel], seed: int, every: bool = False) -> Any:
    """dt and readings of every tick: irregular, and with sensors missing."""
    rng = np.random.default_rng(seed)
    for tick in range(TICKS):
        read = {name: float(rng.normal(0.5, 0.5)) for name in kernel.layout.outputs
                if every or rng.random() < 0.7}  # fmt: skip
        yield (float(rng.uniform(0.01, 0.6)) if tick else -1.0), read


def test_a_linear_asset_is_filtered_as_by_filterpy() -> None:
    for make in (filters.ekf, filters.ukf):
        ours, oracle = Filter(Cart, make), begun(kalman.KalmanFilter(2, 2), Cart)
        oracle.x = oracle.x[:, None]
        h = np.array([[1.0, 0.5], [0.0, 1.0]])
        rng = np.random.default_rng(1)
        for dt, read in scene(Cart, seed=2):
            push = float(rng.normal())
            ours.update(dt, read, push=push)
            if dt > 0:
                move = np.array([[1.0, dt], [0.0, np.exp(-0.05 * dt)]])
                oracle.predict(np.array([[push]]), np.array([[0.0], [dt]]), move, noise(Cart, dt))
            rows = [k for k, name in enumerate(Cart.layout.outputs) if name in read]
            nis = 0.0
            if rows:
                oracle.dim_z, spread = len(rows), np.diag([0.25, 0.04])[np.ix_(rows, rows)]
                oracle.update(np.array([list(read.values())]).T, spread, h[rows])
                nis = float((oracle.y.T @ oracle.SI @ oracle.y)[0, 0])
            np.testing.assert_allclose(ours.mean[0], oracle.x[:, 0], rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(ours.cov[0], oracle.P, rtol=1e-9, atol=1e-12)
            assert ours.columns["nis"][0] == pytest.approx(nis, rel=1e-9)


def test_the_extended_filter_is_filterpys() -> None:
    kernel, ours = Pendulum(), Filter(Pendulum)
    p, u = Pendulum.typical()[None], np.zeros((1, 0))
    oracle = begun(kalman.ExtendedKalmanFilter(2, 3), Pendulum)
    names = list(Pendulum.layout.outputs)
    for dt, read in scene(Pendulum, seed=3):
        ours.update(dt, read)
        if dt > 0:
            moved, f = lanes.advance_jacobian(kernel, oracle.x[None], u, p, np.array([dt]))
            oracle.F, oracle.Q = f[0], noise(Pendulum, dt)
            oracle.predict_x = lambda _=0, x=moved[0]: setattr(oracle, "x", x)
            oracle.predict()
        foreseen, h = lanes.sense_jacobian(kernel, oracle.x[None], u, p)
        rows = [names.index(name) for name in read]
        if rows:
            spread = np.diag([Pendulum.layout.outputs[name].noise ** 2 for name in read])
            oracle.update(
                np.array(list(read.values())),
                lambda _, h=h, rows=rows: h[0][rows],
                lambda _, y=foreseen, rows=rows: y[0][rows],
                spread,
            )
        np.testing.assert_allclose(ours.mean[0], oracle.x, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(ours.cov[0], oracle.P, rtol=1e-9, atol=1e-12)


def rows_of_root(p: Floats) -> Floats:
    """(U √D)ᵀ: filterpy shifts by rows."""
    unit, diagonal = estimate.factored(p[None])
    return (unit[..., 0] * np.sqrt(diagonal[:, 0])).T


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_unscented_filter_is_filterpys(count: int) -> None:
    cls = chain(count)
    kernel, ours = cls(), Filter(cls, filters.ukf)
    points = kalman.JulierSigmaPoints(count, max(0.0, 3.0 - count), sqrt_method=rows_of_root)

    def fx(x: Floats, dt: float) -> Floats:
        return np.array(lanes.integrate(kernel, list(x), [], [], dt))

    def hx(x: Floats) -> Floats:
        return np.array(lanes.sense(kernel, list(x), [], []))

    oracle = begun(kalman.UnscentedKalmanFilter(count, 1, 1.0, hx, fx, points), cls)
    oracle.R = np.array([[0.09]])
    for dt, read in scene(cls, seed=count, every=True):
        ours.update(dt, read)
        if dt > 0:
            oracle.Q = noise(cls, dt)
            oracle.predict(dt)
        else:
            oracle.sigmas_f = points.sigma_points(oracle.x, oracle.P)
        oracle.update(np.array(list(read.values())))
        np.testing.assert_allclose(ours.mean[0], oracle.x, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(ours.cov[0], oracle.P, rtol=1e-9, atol=1e-11)


# ---- closed forms --------------------------------------------------------------------------------


class Walk(Kernel):
    """A random walk that is measured."""

    version = "1.0"
    level = state("m", start=3.0, start_std=10.0, noise=0.3)
    gauge = sensor("m", noise=2.0)

    def step(self, x: Any, u: Any, p: Any, dt: Any) -> dict[str, Any]:
        return {}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"gauge": x.level}


class Cooling(Kernel):
    """T' = −k (T − Tₐ)."""

    version = "1.0"
    heat = state("degC", start=90.0, start_std=2.0, noise=0.1)
    ambient = signal("degC")
    pace = parameter("1/s", typical=0.02, spread=0.1, scale="log")
    thermometer = sensor("degC", noise=0.5)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"heat": -p.pace * (x.heat - u.ambient)}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.heat}


@BOTH
def test_a_measured_walk_settles_where_riccati_says(make: Any) -> None:
    ours, q, r = Filter(Walk, make), 0.09, 4.0
    for _ in range(300):
        ours.update(1.0, {"gauge": 3.0})
    before = 0.5 * (q + np.sqrt(q * q + 4 * q * r))  # P⁻² = q P⁻ + q r
    assert ours.cov[0, 0, 0] == pytest.approx(before - q, rel=1e-12)
    assert ours.mean[0, 0] == pytest.approx(3.0, abs=1e-12)


@BOTH
def test_a_constant_is_known_as_well_as_the_mean_of_its_readings(make: Any) -> None:
    class Constant(Walk):
        version = "1.0"
        level = state("m", start=3.0, start_std=10.0)

    ours, readings = Filter(Constant, make), np.random.default_rng(4).normal(5.0, 2.0, 50)
    for k, y in enumerate(readings):
        ours.update(1.0 if k else -1.0, {"gauge": y})
    weight = 1 / 100 + 50 / 4
    assert ours.cov[0, 0, 0] == pytest.approx(1 / weight, rel=1e-12)
    assert ours.mean[0, 0] == pytest.approx((3.0 / 100 + readings.sum() / 4) / weight, rel=1e-12)


@BOTH
def test_what_nobody_measures_relaxes_and_its_doubt_with_it(make: Any) -> None:
    ours, k, h = Filter(Cooling, make), 0.02, 0.5
    ours.update(-1.0, {}, ambient=20.0)
    for tick in range(1, 1201):
        ours.update(h, {}, ambient=20.0)
        if tick % 300 == 0:
            t = tick * h
            assert ours.mean[0, 0] == pytest.approx(20 + 70 * np.exp(-k * t), abs=1e-7)
            grown = 0.01 / (2 * k) * (1 - np.exp(-2 * k * t))  # ∫ q e^{−2k(t−s)} ds
            wanted = 4.0 * np.exp(-2 * k * t) + grown
            assert ours.cov[0, 0, 0] == pytest.approx(wanted, rel=0.015)  # noise enters in steps


# ---- masks, gaps, beginnings ---------------------------------------------------------------------


@BOTH
def test_a_missing_sensor_is_as_if_it_were_not_there(make: Any) -> None:
    class OneEyed(Kernel):
        version = "1.0"
        place, speed, push, ruler = Cart.place, Cart.speed, Cart.push, Cart.ruler
        step = Cart.step

        def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
            return {"ruler": x.place + 0.5 * x.speed}

    two, one = Filter(Cart, make), Filter(OneEyed, make)
    for k in range(10):
        for ours in (two, one):
            ours.update(0.3 if k else -1.0, {"ruler": 0.1 * k} if k % 3 else {}, push=0.2)
        np.testing.assert_allclose(two.mean, one.mean, rtol=1e-14)
        np.testing.assert_allclose(two.cov, one.cov, rtol=1e-13)
        assert two.columns["nis"][0] == pytest.approx(one.columns["nis"][0], rel=1e-12)
    assert two.columns["score"][0] == pytest.approx(one.columns["score"][0], rel=1e-12)


@BOTH
def test_parts_of_a_step_are_ticks_without_readings(make: Any) -> None:
    whole, ticks = Filter(Pendulum, make), Filter(Pendulum, make)
    for ours in (whole, ticks):
        ours.update(-1.0, {"across": 0.7})
    whole.update(0.75, {"across": 0.6, "swing": -0.3}, parts=3)
    for read in ({}, {}, {"across": 0.6, "swing": -0.3}):
        ticks.update(0.25, read)
    assert whole.bits() == ticks.bits()
    assert whole.columns["nis"].tobytes() == ticks.columns["nis"].tobytes()
    assert whole.columns["score"].tobytes() == ticks.columns["score"].tobytes()


@BOTH
def test_every_row_takes_its_own_parts_and_none_is_none(make: Any) -> None:
    ours, alone = Filter(Pendulum, make), Filter(Pendulum, make)
    for each in (ours, alone):
        each.update(-1.0, {"across": 0.7})
    before = {name: column.copy() for name, column in ours.columns.items()}
    parts = np.arange(LANES) % 4
    ours.update(0.5, {"across": 0.4}, parts=parts)
    alone.update(0.5, {"across": 0.4}, parts=2)
    for name in (*before, *alone.columns):
        if name[:2] in ("x.", "U.", "D.") or name in ("nis", "score"):
            idle, two = parts == 0, parts == 2
            assert ours.columns[name][idle].tobytes() == before[name][idle].tobytes()
            assert ours.columns[name][two].tobytes() == alone.columns[name][two].tobytes()


@BOTH
@pytest.mark.parametrize("garbage", [0.0, 1e30, np.nan, np.inf])
def test_a_row_begins_at_its_initial_whatever_stood_there(make: Any, garbage: float) -> None:
    class Warm(Cooling):
        version = "1.0"

        def initial(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
            return {"heat": u.ambient + 5.0}

    ours = Filter(Warm, make)
    ours.put(**{"x.heat": garbage, "D.heat": garbage})
    ours.update(-1.0, {"thermometer": 27.0}, ambient=20.0)
    gain = 4.0 / 4.25
    assert ours.mean[0, 0] == pytest.approx(25.0 + 2.0 * gain, rel=1e-12)
    assert ours.cov[0, 0, 0] == pytest.approx(4.0 * 0.25 / 4.25, rel=1e-12)
    assert ours.columns["nis"][0] == pytest.approx(4.0 / 4.25, rel=1e-12)


@BOTH
def test_after_a_long_silence_only_the_doubt_has_grown(make: Any) -> None:
    ours = Filter(Cooling, make)
    ours.update(-1.0, {}, ambient=20.0)
    gap = filters.silence(Cooling) + 1.0
    ours.update(gap, {}, ambient=20.0)
    assert ours.mean[0, 0] == 90.0
    assert ours.cov[0, 0, 0] == pytest.approx(4.0 + 4.0 + 0.01 * gap, rel=1e-12)


@BOTH
@pytest.mark.parametrize("lost", [{"x.angle": np.nan}, {"D.rate": np.inf}, {"x.rate": 1e31}])
def test_a_row_whose_numbers_are_lost_begins_anew_and_says_so(make: Any, lost: Any) -> None:
    ours = Filter(Pendulum, make)
    ours.update(-1.0, {"across": 0.7})
    well = np.arange(LANES) != 3
    for name, value in lost.items():
        ours.columns[name][3] = value
    ours.update(0.1, {"across": 0.6})
    assert ours.columns["nis"][3] == filters.LOST and (ours.columns["nis"][well] < 10).all()
    np.testing.assert_array_equal(ours.mean[3], [0.8, 0.0])
    np.testing.assert_allclose(ours.std[3], [0.15, 0.15])
    ours.update(0.1, {"across": 0.6})
    assert np.isfinite(ours.mean).all() and (ours.columns["nis"] < 10).all()


@BOTH
def test_stale_inputs_let_the_noise_grow_and_nothing_else(make: Any) -> None:
    ours = Filter(Walk, make)
    ours.update(-1.0, {})
    ours.put(inflate=10.0)
    ours.update(2.0, {})
    assert ours.cov[0, 0, 0] == pytest.approx(100.0 + 10 * 0.09 * 2.0, rel=1e-12)


def test_the_evidence_is_that_of_the_update() -> None:
    class Tabled(Walk):
        version = "1.0"

        def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
            return {"gauge": np.interp(x.level, [0.0, 4.0], [0.0, 8.0])}

    ours = Filter(Tabled, evidence=True, track=True)
    ours.update(-1.0, {"gauge": 7.0})
    told = {name: column[0] for name, column in ours.columns.items()}
    assert (told["foreseen.gauge"], told["innovation.gauge"]) == (6.0, 1.0)
    assert told["innovation_var.gauge"] == pytest.approx(4 * 100.0 + 4.0)
    assert told["mean.level"] == told["x.level"] and told["std.level"] ** 2 == told["D.level"]
    assert not told["outside"]
    ours.put(**{"x.level": 5.0})
    ours.update(1.0, {})
    assert ours.columns["outside"][0] and ours.columns["foreseen.gauge"][0] == 8.0


# ---- float32 -------------------------------------------------------------------------------------


class Sharp(Kernel):
    """Every reading is ten thousand times surer than what was foreseen."""

    version = "1.0"
    place = state("m", start=0.0, start_std=1e4, noise=1e4)
    speed = state("m/s", start=0.0, start_std=1e4, noise=1e2)
    pull = state("m/s2", start=0.0, start_std=1e4, noise=1.0)
    ruler = sensor("m", noise=1.0)

    def step(self, x: Any, u: Any, p: Any, dt: Any) -> dict[str, Any]:
        place = x.place + dt * x.speed + 0.5 * dt * dt * x.pull
        return {"place": place, "speed": x.speed + dt * x.pull}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"ruler": x.place + 0.3 * x.speed}


def definite_in_plain_float32(updates: int) -> int:
    """How often P = F P Fᵀ + Q, P = (1 − K H) P is positive definite on the same asset."""
    one, f = np.float32(1.0), np.array([[1, 0.1, 0.005], [0, 1, 0.1], [0, 0, 1]], np.float32)
    q, h = np.diag([1e7, 1e3, 0.1]).astype(np.float32), np.array([[1, 0.3, 0]], np.float32)
    p, good = np.diag([1e8] * 3).astype(np.float32), 0
    for k in range(updates):
        p = f @ p @ f.T + q if k else p
        p = (np.eye(3, dtype=np.float32) - p @ h.T / (h @ p @ h.T + one) @ h) @ p
        good += bool(np.linalg.eigvalsh(p.astype(np.float64)).min() > 0)
    return good


@BOTH
def test_a_very_sharp_sensor_leaves_float32_positive_definite(make: Any) -> None:
    updates, rng = 10_000, np.random.default_rng(5)
    readings = rng.normal(size=(updates, LANES))
    ours = {real: Filter(Sharp, make, real, track=True) for real in ("f", "d")}
    for each in ours.values():
        each.update(-1.0, {"ruler": 0.0})
        histories = {"y.ruler": readings, "std.place": 0.0 * readings, "std.pull": 0.0 * readings}
        told = each.over(0.1, updates, histories)
        assert all((each.columns[f"D.{name}"] > 0).all() for name in Sharp.layout.states)
        assert all((told[name] > 0).all() for name in ("std.place", "std.pull"))
    np.testing.assert_allclose(ours["f"].std, ours["d"].std, rtol=1e-3)
    error = (ours["f"].mean - ours["d"].mean) / ours["d"].std
    assert np.abs(error).max() < 0.01
    assert definite_in_plain_float32(updates) < updates


def test_float32_follows_float64_to_a_hundredth_of_a_standard_deviation() -> None:
    ticks, rng = 20_000, np.random.default_rng(6)
    t, told = np.repeat(np.arange(ticks)[:, None], LANES, axis=1), {}
    histories = {
        "u.speed": 1.0 + 0.2 * np.sin(t / 300),
        "u.load": 1.0 + 0.2 * np.cos(t / 170),
        "y.oil_temperature": 50 + 10 * np.sin(t / 500) + 0.5 * rng.normal(size=t.shape),
        "y.vibration": 2 + 0.2 * np.sin(t / 700) + 0.1 * rng.normal(size=t.shape),
        "seen.oil_temperature": rng.random(t.shape) < 0.9,
        "seen.vibration": rng.random(t.shape) < 0.9,
    }
    names = list(ReferenceBearing.layout.states)
    written = {f"{part}.{name}": 0.0 * t for part in ("mean", "std") for name in names}
    for real in ("f", "d"):
        ours = Filter(ReferenceBearing, real=real, track=True)
        ours.update(-1.0, {}, speed=1.0, load=1.0)
        told[real] = ours.over(10.0, ticks, histories | written)
    for name in names:
        apart = told["f"][f"mean.{name}"] - told["d"][f"mean.{name}"]
        assert np.abs(apart / told["d"][f"std.{name}"]).max() < 0.01
        np.testing.assert_allclose(told["f"][f"std.{name}"], told["d"][f"std.{name}"], rtol=1e-3)


class Slow(Kernel):
    """Wear that nobody sees, at a rate that a minute of float32 cannot hold."""

    version = "1.0"
    heat = state("degC", start=75.0, start_std=1.0, noise=0.05)
    wear = state("1", start=0.3, start_std=0.01, noise=3e-7, precise=True)
    load = signal("kW")
    thermometer = sensor("degC", noise=0.5)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        pace = 2e-10 * np.exp(0.03 * (x.heat - 75.0))
        return {"heat": u.load - 0.01 * (x.heat - 25.0), "wear": pace}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.heat}


class Coarse(Slow):
    """The same, in float32 alone."""

    version = "1.0"
    wear = state("1", start=0.3, start_std=0.01, noise=3e-7)


def test_ten_years_of_slow_wear_are_kept_by_a_precise_state_alone() -> None:
    years = 10 * 365.25 * 86400.0
    worn, spread = 2e-10 * years, 9e-14 * years  # at a steady 75 °C
    grown = {}
    for kernel in (Slow, Coarse):
        ours = Filter(kernel, real="f")
        ours.update(-1.0, {"thermometer": 75.0}, load=0.5)
        ours.over(60.0, int(years / 60.0), {})
        grown[kernel] = ours.mean[0, 1] - 0.3, ours.cov[0, 1, 1] - 1e-4
    assert dict(Native(filters.ekf(Slow)).columns)["x.wear"] is np.float64
    assert grown[Slow] == pytest.approx((worn, spread), rel=0.01)
    assert grown[Coarse][0] < 0.1 * worn and grown[Coarse][1] != pytest.approx(spread, rel=0.1)


# ---- as sure as it says --------------------------------------------------------------------------

INSIDE = 1.6448536  # standard deviations that hold 90 %


@BOTH
def test_of_a_linear_asset_90_percent_lie_in_the_90_percent_interval(make: Any) -> None:
    count, rng = 100_000, np.random.default_rng(11)
    ours = Filter(Cart, make, "f", count)
    place, speed = rng.normal(0.0, 2.0, count), rng.normal(1.0, 0.5, count)
    for tick in range(20):
        dt, push = rng.uniform(0.1, 1.0), rng.normal(size=count)
        if tick:
            bump = np.sqrt(dt) * rng.normal(size=(2, count))
            place = place + dt * speed + 0.1 * bump[0]
            speed = np.exp(-0.05 * dt) * speed + dt * push + 0.05 * bump[1]
        ruler = place + 0.5 * speed + 0.5 * rng.normal(size=count)
        read = {"ruler": ruler, "wheel": speed + 0.2 * rng.normal(size=count)}
        ours.update(dt if tick else -1.0, read, push=push)
    error = np.stack([place, speed], -1) - ours.mean
    band = 2.576 * np.sqrt(0.09 / count)
    assert np.abs((np.abs(error / ours.std) < INSIDE).mean(axis=0) - 0.9).max() < band
    nees = np.einsum("ai,aij,aj->a", error, np.linalg.inv(ours.cov), error)
    for squared in (ours.columns["nis"], nees):
        assert abs(squared.mean() - 2.0) < 2.576 * 2.0 / np.sqrt(count)
        assert stats.kstest(squared, stats.chi2(2).cdf).statistic < 1.63 / np.sqrt(count)
    share = 1.0 - (1.0 - filters.SCORE) ** 20  # what the score has taken in
    assert ours.columns["score"].mean() == pytest.approx(share, rel=0.01)


@BOTH
def test_of_a_bent_asset_about_90_percent_do(make: Any, record_property: Any) -> None:
    count, rng = 10_000, np.random.default_rng(12)
    ours, kernel = Filter(Pendulum, make, "f", count), Pendulum()
    p, sizes = [np.full(count, 0.2)], {"across": 0.05, "height": 0.05, "swing": 0.1}
    x = [rng.normal(0.8, 0.15, count), rng.normal(0.0, 0.15, count)]
    shares, nees = [], []
    for tick in range(40):
        for _ in range(4 if tick else 0):
            x = lanes.integrate(kernel, x, [], p, 0.05)
            bump = np.sqrt(0.05) * rng.normal(size=(2, count))
            x = [x[0] + 0.02 * bump[0], x[1] + 0.05 * bump[1]]
        read = zip(sizes.items(), lanes.sense(kernel, x, [], p), strict=True)
        seen = {name: y + size * rng.normal(size=count) for (name, size), y in read}
        ours.update(0.2 if tick else -1.0, seen, parts=2)
        error = np.stack(x, -1) - ours.mean
        shares.append((np.abs(error / ours.std) < INSIDE).mean(axis=0))
        nees.append(np.einsum("ai,aij,aj->a", error, np.linalg.inv(ours.cov), error).mean())
    record_property("NEES of 2 states", float(np.mean(nees)))
    assert (np.array(shares) > 0.85).all() and (np.array(shares) < 0.95).all()
    assert np.mean(nees) == pytest.approx(2.0, rel=0.1)
