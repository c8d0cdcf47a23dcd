"""How fast the engine is: against the machine's memory, and against the peers in the same minutes.

Owns    the figures `engine.*` of `make bench` that tell of a fleet at work; what it costs to start
        and to keep is in `engine_room.py`.
Never   compares two runs of different days: a ratio is the median of interleaved pairs.

Peers and we are counted in CPU seconds (`peers/clock.py`): the best case on a machine that others
use too. Only what needs both cores is taken by the wall, the best of several. `_a_core` marks a
rate of one core where the figure itself is of the whole machine.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.peers.samples import histories, samples
from benchmarks.peers.triad import Triad
from benchmarks.reference import TICK, Housing, ReferenceBearing, Wearing
from benchmarks.runner import figure
from gemel.clock import SECOND
from gemel.fleet import METHODS, Belief, Fleet
from gemel.kernels.base import Kernel
from gemel.kernels.filters import columns_of
from gemel.kernels.fit import Loss, Windows, fit
from gemel.kernels.library.electrochemistry import Electrochemistry
from gemel.kernels.native import Native, padded, shared
from gemel.records import Floats

MILLION = 1_000_000
DRAWN = 1000  # machines whose telemetry is simulated; a larger fleet repeats them
BYTES = 192  # an update of the reference bearing, in float32: see its docstring
BEGIN, STEP = 1_000_000 * SECOND, int(TICK) * SECOND
ROUNDS = 3  # pairs of (a peer, us)


@dataclass(frozen=True)
class Spent:
    """Seconds of one piece of work: of all its threads, and by the wall."""

    cpu: float
    wall: float


def spent(work: Callable[[], object]) -> Spent:
    began, began_wall = time.process_time(), time.perf_counter()
    work()
    return Spent(time.process_time() - began, time.perf_counter() - began_wall)


def best(work: Callable[[], object], seconds: float) -> Spent:
    """The least of several, each by itself, for about so many seconds: on a machine that is shared
    some run undisturbed."""
    until = time.perf_counter() + seconds
    all_ = [spent(work)]
    while time.perf_counter() < until:
        all_.append(spent(work))
    return Spent(min(one.cpu for one in all_), min(one.wall for one in all_))


class Ticking:
    """A fleet of reference bearings with a clock of its own, which it has begun."""

    def __init__(self, twins: int, method: str = "ekf", threads: int | None = None) -> None:
        names = [f"bearing-{k:07d}" for k in range(twins)]
        self.fleet = Fleet(ReferenceBearing, names, method=method, threads=threads)
        self._instants: Iterator[int] = count(BEGIN, STEP)
        layout, (inputs, p, readings) = ReferenceBearing.layout, samples(DRAWN, 1)
        for part, names, values in (
            ("p", list(layout.parameters), p),
            ("u", list(layout.inputs), inputs[0]),
            ("y", list(layout.outputs), readings[0]),
        ):
            for k, name in enumerate(names):
                self.fleet.column(f"{part}.{name}")[:] = np.resize(values[:, k], twins)
        for name in layout.outputs:
            self.fleet.column(f"seen.{name}")[:] = True
        self.tick()

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.fleet.tick(next(self._instants))

    def rate(self, seconds: float = 2.0) -> Spent:
        """Updates a second: of one core, and of the machine at its best."""
        least = best(self.tick, seconds)
        return Spent(len(self.fleet) / least.cpu, len(self.fleet) / least.wall)


@cache
def million() -> Ticking:
    """The fleet that several figures share: it takes seconds to name."""
    return Ticking(MILLION)


# --- a tick --------------------------------------------------------------------------------------


@figure(
    "engine.memory_bandwidth",
    unit={"engine.triad": "GB/s", "engine.triad_one_thread": "GB/s"},
    kind="bench",
)
def memory_bandwidth() -> dict[str, float]:
    """STREAM's triad on two threads and on one: the limit of a tick that fits no cache."""
    return {
        "engine.triad": Triad(threads=2).rate() / 1e9,
        "engine.triad_one_thread": Triad(threads=1).rate() / 1e9,
    }


@figure(
    "engine.million",
    unit={"engine.triad_share": "1", "engine.updates": "M/s", "engine.updates_a_core": "M/s"},
    kind="bench",
)
def a_million() -> dict[str, float]:
    """A tick of a million twins on two threads, and the triad between the ticks: the best of
    each, as STREAM reports it, by the wall; `engine.updates_a_core` per CPU second."""
    ours, triad = million(), Triad(threads=2)
    ticks, passes = [], []
    until = time.perf_counter() + 8.0
    while time.perf_counter() < until:
        passes.append(triad.seconds())
        ticks.append(spent(ours.tick))
    updates = MILLION / min(tick.wall for tick in ticks)
    bandwidth = 24 * triad.elements / min(passes)
    return {
        "engine.triad_share": BYTES * updates / bandwidth,
        "engine.updates": updates / 1e6,
        "engine.updates_a_core": MILLION / min(tick.cpu for tick in ticks) / 1e6,
    }


@figure(
    "engine.costs",
    unit={"engine.cost_flatness": "1", "engine.cost_flatness_between": "1"},
    kind="bench",
)
def cost_flatness() -> dict[str, float]:
    """CPU seconds of an update in a fleet of 1 k twins and in one of 1 M: the larger over the
    smaller. `_between`: the most over the least of 1 k, 10 k, 100 k and 1 M; a fleet of 10 k, which
    fits a cache, costs less than either end."""
    sizes = (1_000, 10_000, 100_000)
    fleets = [*(Ticking(size, threads=1) for size in sizes), million()]
    costs: list[list[float]] = [[] for _ in fleets]
    until = time.perf_counter() + 8.0
    while time.perf_counter() < until:
        for own, cost in zip(fleets, costs, strict=True):
            ticks = 100_000 // len(own.fleet) or 1
            cost.append(spent(lambda own=own, n=ticks: own.tick(n)).cpu / ticks / len(own.fleet))
    least = [min(cost) for cost in costs]
    ends = (least[0], least[-1])
    return {
        "engine.cost_flatness": max(ends) / min(ends),
        "engine.cost_flatness_between": max(least) / min(least),
    }


@figure("engine.one_twin", unit="us", kind="bench")
def one_twin() -> float:
    """`fleet.update(id, t, {…})` of one twin among 1,000, its belief read back: CPU time."""
    own, instants = Ticking(1000), count(BEGIN + STEP, STEP)
    values = {"speed": 1.0, "load": 1.0, "oil_temperature": 51.0, "vibration": 2.1}
    found: list[Belief] = []

    def calls() -> None:
        found.extend(own.fleet.update("bearing-0000500", next(instants), values) for _ in "x" * 500)

    seconds = statistics.median(spent(calls).cpu for _ in range(9))
    assert found[-1].std["temperature"] < found[0].std["temperature"]
    return seconds / 500 * 1e6


# --- against peers -------------------------------------------------------------------------------


def against(peer: str, ours: Callable[[], Spent]) -> tuple[float, float]:
    """How many times the peer's rate is ours, (a core, the machine): medians over interleaved
    pairs. The peer's rate is per CPU second: what it would reach with a core to itself."""
    pairs = [(peers.rate(peer), ours()) for _ in range(ROUNDS)]
    return (
        statistics.median(mine.cpu / theirs for theirs, mine in pairs),
        statistics.median(mine.wall / theirs for theirs, mine in pairs),
    )


@figure(
    "engine.filterpy",
    unit={
        f"engine.vs_filterpy_{name}": "1"
        for name in ("ekf", "ekf_a_core", "ekf_by_hand", "ukf", "ukf_a_core")
    },
    kind="bench",
)
def filterpy() -> dict[str, float]:
    """A million twins on this machine's threads, against filterpy's loop over objects, which has
    one. `_ekf`: both are given the physics alone, and filterpy takes its derivatives by dual
    numbers; `_ekf_by_hand`: filterpy's author has written every Jacobian out. `_a_core`: we on one
    core too."""
    ekf_a_core, ekf = against("filterpy_ekf_dual", million().rate)
    _, by_hand = against("filterpy_ekf", million().rate)
    unscented = Ticking(300_000, method="ukf")
    ukf_a_core, ukf = against("filterpy_ukf", unscented.rate)
    return {
        "engine.vs_filterpy_ekf": ekf,
        "engine.vs_filterpy_ekf_a_core": ekf_a_core,
        "engine.vs_filterpy_ekf_by_hand": by_hand,
        "engine.vs_filterpy_ukf": ukf,
        "engine.vs_filterpy_ukf_a_core": ukf_a_core,
    }


@figure("engine.vs_progpy_pf", unit="1", kind="bench")
def vs_progpy() -> float:
    """Our extended Kalman filter against progpy's particle filter with 100 particles, core against
    core: not the same method, but what each offers for the same estimate."""
    return against("progpy_pf", million().rate)[0]


@figure("engine.vs_jax", unit="1", kind="bench")
def vs_jax() -> float:
    """The same filter as straight-line JAX with the best flags that we know, core against core."""
    return against("jax_ekf", million().rate)[0]


# --- a history -----------------------------------------------------------------------------------


@figure(
    "engine.histories",
    unit={"engine.backfill": "M/s", "engine.backfill_track": "M/s"},
    kind="bench",
)
def backfill() -> dict[str, float]:
    """10,000 ticks of 1,000 twins by `fleet.backfill`: updates a CPU second, the best of seven;
    `_track`: and every mean and std of the way kept, 320 MB."""
    layout, (inputs, p, readings) = ReferenceBearing.layout, samples(DRAWN, 10_000)
    history = _by_name(layout.inputs, inputs) | _by_name(layout.outputs, readings)
    instants = BEGIN + STEP * np.arange(10_000)

    def seconds(track: bool) -> float:
        fleet = Fleet(ReferenceBearing, [f"bearing-{k}" for k in range(DRAWN)], threads=1)
        fleet.set_parameters(dict(zip(layout.parameters, p.T, strict=True)))
        began = time.process_time()
        kept = fleet.backfill(instants, history, track=track)
        took = time.process_time() - began
        assert np.isfinite(fleet.std).all() and (kept is not None) == track
        return took

    least = {track: min(seconds(track) for _ in range(7)) for track in (False, True)}
    updates = 10_000 * DRAWN / 1e6
    return {
        "engine.backfill": updates / least[False],
        "engine.backfill_track": updates / least[True],
    }


@figure("engine.float32_drift", unit="std", kind="bench")
def float32_drift() -> float:
    """How far float32 is from float64 after 20,000 ticks of 64 twins, in posterior standard
    deviations: the worst state of the worst twin over the last 1,000 ticks."""
    twins, ticks, last = 64, 20_000, 1_000
    layout, (inputs, p, readings) = ReferenceBearing.layout, samples(twins, ticks)
    history = _by_name(layout.inputs, inputs) | _by_name(layout.outputs, readings)
    fleet = Fleet(ReferenceBearing, [f"bearing-{k}" for k in range(twins)])
    fleet.set_parameters(dict(zip(layout.parameters, p.T, strict=True)))
    given = {name: fleet.column(f"p.{name}").copy() for name in layout.parameters}
    kept = fleet.backfill(BEGIN + STEP * np.arange(ticks), history)
    assert kept is not None
    mean, std = _in_float64(ReferenceBearing, given, history, ticks)
    return float((np.abs(kept.mean[-last:] - mean[-last:]) / std[-last:]).max())


def _in_float64(
    kernel: type[Kernel], p: dict[str, Any], history: dict[str, Any], ticks: int
) -> tuple[Floats, Floats]:
    """(T,A,X) means and standard deviations by the same program in float64, all sensors seen."""
    layout, native = kernel.layout, Native(METHODS["ekf"](kernel, track=True), real="d")
    twins = len(next(iter(p.values())))
    lanes = padded(twins)
    kinds = {"f": np.float64, "d": np.float64, "b": np.bool_}
    columns: dict[str, Any] = {
        name: np.zeros(lanes, kinds[kind]) for name, kind in columns_of(kernel).items()
    }
    for name, value in p.items():
        columns[f"p.{name}"][:twins] = value
    columns |= {f"{part}.{s}": np.empty((ticks, lanes)) for part in ("mean", "std")
                for s in layout.states}  # fmt: skip
    for name, value in history.items():
        wide = np.zeros((ticks, lanes))
        wide[:, :twins] = value
        columns[f"u.{name}" if name in layout.inputs else f"y.{name}"] = wide
    columns |= {f"seen.{name}": shared(True, np.bool_) for name in layout.outputs}
    columns |= {name: shared(1.0, np.float64) for name in ("parts", "inflate")}
    columns["part"] = shared(0.0, np.float64)
    elapsed = np.repeat(np.where(np.arange(ticks) > 0, TICK, -1.0)[:, None], 512, axis=1)
    columns["dt"] = elapsed
    native.apply(columns, lanes, (0, ticks))
    mean, std = (
        np.stack([columns[f"{part}.{s}"][:, :twins] for s in layout.states], -1)
        for part in ("mean", "std")
    )
    return mean, std


def _by_name(names: Any, values: Floats) -> dict[str, Any]:
    """(T,A,n) → name → (T,A) of float32, each in one piece."""
    return {name: np.ascontiguousarray(values[:, :, k], np.float32) for k, name in enumerate(names)}


# --- Monte Carlo ---------------------------------------------------------------------------------


def wearing(twins: int, threads: int | None = None) -> Fleet:
    fleet = Fleet(Wearing, [f"machine-{k}" for k in range(twins)], threads=threads)
    fleet.tick(BEGIN, {"load": 1.0, "thermometer": 60.0})
    return fleet


@figure(
    "engine.paths",
    unit={"engine.monte_carlo": "G/s", "engine.monte_carlo_vs_numpy": "1"},
    kind="bench",
)
def paths() -> dict[str, float]:
    """1,000 twins × 1,000 paths × 1,000 steps by `fleet.forecast`, each to its first passage: steps
    a CPU second. A step is two normal numbers and two exponentials. A quarter of it, between runs
    of the peer, against NumPy in blocks of paths."""
    fleet = wearing(1000, threads=1)

    def seconds(twins: int) -> float:
        ids = [f"machine-{k}" for k in range(twins)]
        given: dict[str, Any] = {"dt": TICK, "steps": 1000, "paths": 1000, "ids": ids}
        return spent(lambda: fleet.forecast({"load": 1.0}, **given)).cpu

    seconds(1)
    pairs = [(peers.rate("numpy_paths"), 0.25e9 / seconds(250)) for _ in range(ROUNDS)]
    return {
        "engine.monte_carlo": 1.0 / seconds(1000),
        "engine.monte_carlo_vs_numpy": statistics.median(ours / theirs for theirs, ours in pairs),
    }


@figure("engine.monte_carlo_same_bits", unit="1", kind="bench")
def same_bits() -> float:
    """1 when one thread and two give every path of 100 twins the same passage, to the bit."""
    one, two = (
        wearing(100, threads).forecast({"load": 1.0}, dt=TICK, steps=1000, paths=200).passage
        for threads in (1, 2)
    )
    assert 0.5 < np.isfinite(one).mean() < 1.0, "the limit is not where it should be"
    return float(one.tobytes() == two.tobytes())


# --- other kernels -------------------------------------------------------------------------------


@figure("engine.battery_ukf", unit="s", kind="bench")
def battery_ukf() -> float:
    """1,000 lithium-ion cells of 7 states by the unscented filter, 10 updates 4 s apart, compile
    apart: CPU seconds."""
    cells = [f"cell-{k}" for k in range(1000)]
    fleet = Fleet(Electrochemistry, cells, method="ukf", threads=1)
    instants = count(BEGIN, 4 * SECOND)
    readings = {"current": 2.0, "temperature": 20.0, "voltage": np.linspace(4.0, 4.1, 1000)}
    fleet.tick(next(instants), readings)  # compiles
    seconds = spent(lambda: [fleet.tick(next(instants), readings) for _ in range(10)]).cpu
    assert (fleet.std[:, 0] < 0.02).all(), "no cell was heard"
    return seconds


# --- fit -----------------------------------------------------------------------------------------


@figure(
    "engine.fit",
    unit={"engine.fit_thousand": "s", "engine.fit_vs_scipy": "1"},
    kind="bench",
)
def fits() -> dict[str, float]:
    """5 parameters of 1,000 assets with 5,000 samples each, the noise learned with them: CPU
    seconds. And assets a CPU second against SciPy's least squares over a simulator compiled by
    numba, which learns no noise: neither do we then."""
    whole, truth = _windows(1000)
    fit(Housing(), _windows(2)[0])  # compiles
    found: list[Floats] = []
    seconds = spent(lambda: found.append(fit(Housing(), whole).values)).cpu
    error = float(np.median(np.abs(np.log(found[0] / truth))))
    assert error < 0.03, f"the fit is off by {error:.2g}"
    known = Loss(sigma=0.5, fresh=1.0)
    pairs = [
        (peers.rate("scipy_fit"), 1000 / spent(lambda: fit(Housing(), whole, loss=known)).cpu)
        for _ in range(ROUNDS)
    ]
    return {
        "engine.fit_thousand": seconds,
        "engine.fit_vs_scipy": statistics.median(ours / theirs for theirs, ours in pairs),
    }


def _windows(assets: int) -> tuple[Windows, Floats]:
    """A window of 5,000 samples an asset, and the true parameters."""
    inputs, readings, truth = histories(assets, 5000)
    y = readings[:, :, None]
    return Windows(inputs, y, np.ones(y.shape), np.arange(assets), TICK, assets), truth
