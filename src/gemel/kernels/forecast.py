"""Foresee: run copies of a twin forward to the first crossing of a limit.

Owns    the Monte Carlo of one fleet under a scenario, and the RUL distribution it gives.
Never   moves the twin: it works on copies, and what it returns is a distribution, not a number.

Each path draws its start from the estimate N(x, P), its parameters from their fitted spread, and
process noise on the way. A limit is reached at the end of the first step after which its margin is
not above 0 (or no number); a path that does not get there before the horizon is censored, and
counted as such.
Source for the form of the answer: ISO 13381-1.

Paths are lanes, and time runs inside the compiled loop: nothing is kept of a path but where it
stands and when it crossed, and its margins at a few instants where that is asked for. The draws are
those of `kernels/draws.py`, made where they are used. A path hangs on its own asset alone:
neighbours, threads, looks and where rows are cut change no bit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gemel.errors import Invalid, NotFound
from gemel.kernels import lanes, pace
from gemel.kernels.base import Kernel
from gemel.kernels.draws import Keys, lane_keys, normal
from gemel.kernels.expression import Graph, widen
from gemel.kernels.native import Native, padded
from gemel.kernels.program import Program, once
from gemel.records import Floats, Rul

QUANTILES = (0.05, 0.5, 0.95)
PIECE = 4096  # lanes of one job of one row
LOOK = 1 << 18  # numbers in one look at how fast the rows are


class Engine(Protocol):
    """Who does independent jobs: `engines/local.py` with threads, or `InOrder`."""

    def all(self, jobs: list[Callable[[], Any]]) -> None:
        """Do all jobs."""


class InOrder:
    """The thread that asks."""

    def all(self, jobs: list[Callable[[], Any]]) -> None:
        """One after the other."""
        for job in jobs:
            job()


@dataclass(frozen=True)
class Foreseen:
    """modes · passage (A, paths, modes): s to the first crossing, inf where censored.

    ids (A,): the assets by name, where they have one
    margins (A, L+1, modes, paths): at L + 1 instants from now to the horizon, equally far apart as
    the steps allow; 1 as new, 0 at the limit and ever after
    """

    modes: list[str]
    passage: Floats
    horizon: float
    scenario: str
    ids: tuple[str, ...] = ()
    margins: Floats | None = None

    def fan(self, which: int | str) -> dict[str, dict[str, Floats]]:
        """How far each limit is over time, of one asset: mode → quantile → (L+1,)."""
        if self.margins is None:
            return {}
        spread = np.quantile(self.margins[self._row(which)], QUANTILES, axis=-1)  # (3, L+1, modes)
        return {
            mode: {str(q): spread[i, :, k] for i, q in enumerate(QUANTILES)}
            for k, mode in enumerate(self.modes)
        }

    def rul(self, which: int | str) -> list[Rul]:
        """The time to each limit of one asset, by row or by id: quantiles, and the share of paths
        that reached it. Raises NotFound `twin.unknown`."""
        row, answers = self._row(which), []
        for k, mode in enumerate(self.modes):
            paths = np.sort(self.passage[row, :, k])
            picks = [paths[min(len(paths) - 1, int(q * len(paths)))] for q in QUANTILES]
            quantiles = {
                str(q): float(v) if np.isfinite(v) else None
                for q, v in zip(QUANTILES, picks, strict=True)
            }
            reached = float(np.isfinite(paths).mean())
            answers.append(Rul(mode, quantiles, reached, self.horizon, self.scenario))
        return answers

    def first(self, which: int | str) -> Floats:
        """When the first limit of any kind is reached on each path, s: (paths,)."""
        if not self.modes:
            return np.full(self.passage.shape[1], np.inf)
        return np.asarray(self.passage[self._row(which)].min(axis=-1))

    def _row(self, which: int | str) -> int:
        if isinstance(which, str) and which not in self.ids:
            raise NotFound(
                "twin.unknown",
                f"this forecast has no '{which[:64]}'",
                mend=f"it has {', '.join(self.ids[:8]) or 'rows by number alone'}",
            )
        return self.ids.index(which) if isinstance(which, str) else int(which)


def foresee(
    kernel: Kernel,
    mean: Floats,
    cov: Floats,
    p: Floats,
    p_cov: Floats,
    inputs: Floats,
    dt: float,
    *,
    keys: Keys,
    seed: int,
    paths: int,
    scenario: str,
    engine: Engine | None = None,
    looks: int = 0,
) -> Foreseen:
    """Run every row `paths` times over inputs (K, A, U), `dt` seconds a step.

    mean (A,X) · cov (A,X,X) · p (A,P) · p_cov (A,P,P), in log where the scale is log
    keys (A,) twin keys: they, the seed, the path and the step make every draw
    engine: whose threads run the rows · looks: L, how often the margins are kept on the way

    Raises `forecast.inputs` when an input is not a finite number.
    """
    cls = type(kernel)
    _check(cls, inputs)
    modes = margins(cls)
    rows, width = len(mean), padded(paths)
    passage = np.full((rows, paths, len(modes)), np.inf)
    horizon = dt * len(inputs)
    if not passage.size or not len(inputs):
        return Foreseen(modes, passage, horizon, scenario)
    start, path = programs(cls)
    parts = _parts(cls, mean, inputs, p, dt, keys)
    streams = np.zeros((rows, width), np.uint64)
    streams[:, :paths] = lane_keys(seed, keys, paths).reshape(rows, paths)
    lane = _lane_columns(start, path, streams.reshape(-1))
    begin = _Rows(start, lane, _start_columns(cls, mean, cov, p, p_cov), streams.size)
    go_on = _Rows(path, lane, _input_columns(cls, inputs, dt / parts), streams.size)
    ends = _ends(len(inputs), looks)
    seen = _Looks(cls, lane, inputs, len(ends), streams.size) if looks else None

    def job(row: int, low: int, high: int) -> Callable[[], None]:
        every = int(parts[row])

        def run() -> None:
            start.run(begin.table(row), low, high)
            for k, (a, b) in enumerate(pairwise([0, *ends])):
                steps = (1 + a * every, 1 + b * every)
                path.run(go_on.table(row, a), low, high, steps=steps, every=every)
                if seen:
                    seen.look(k, row, max(b - 1, 0), low, high)

        return run

    (engine or InOrder()).all(
        [
            job(row, row * width + low, row * width + min(low + PIECE, width))
            for row in range(rows)
            for low in range(0, width, PIECE)
        ]
    )
    for m, mode in enumerate(modes):
        passed = lane[f"passed.{mode}"].reshape(rows, width)[:, :paths]
        passage[:, :, m] = dt * (passed.astype(np.float64) / parts[:, None])
    kept = seen.told(passage, dt * np.array(ends)) if seen else None
    return Foreseen(modes, passage, horizon, scenario, margins=kept)


def _check(kernel: type[Kernel], inputs: Floats) -> None:
    if not np.isfinite(inputs).all():
        raise Invalid(
            "forecast.inputs",
            f"{int((~np.isfinite(inputs)).sum())} numbers of the scenario are not finite",
            where=f"kernel {kernel.__name__}",
            mend="say what every input is at every step; what is not known wants a guess",
        )


def _ends(steps: int, looks: int) -> list[int]:
    """The steps after which it is looked, from 0 to the last; without looks these two."""
    return sorted({round(k * steps / max(looks, 1)) for k in range(max(looks, 1) + 1)})


class _Looks:
    """The margins of every lane at a few instants: looked at between two pieces of a path."""

    def __init__(
        self, kernel: type[Kernel], lane: dict[str, Any], inputs: Floats, looks: int, lanes: int
    ) -> None:
        self._native, modes = _look(kernel), margins(kernel)
        self._now = {f"margin.{mode}": np.zeros(lanes, np.float32) for mode in modes}
        given = _input_columns(kernel, inputs, np.ones(inputs.shape[1]))
        self._rows = _Rows(self._native, lane | self._now, given, lanes)
        self._seen = np.zeros((looks, len(modes), lanes), np.float32)

    def look(self, k: int, row: int, step: int, low: int, high: int) -> None:
        """The k-th look, under the inputs of a step, at some lanes of a row."""
        self._native.run(self._rows.table(row, step), low, high)
        for m, column in enumerate(self._now.values()):
            self._seen[k, m, low:high] = column[low:high]

    def told(self, passage: Floats, times: Floats) -> Floats:
        """(A, L+1, modes, paths) in 0 … 1; a path that has reached a limit stays there."""
        rows, paths, modes = passage.shape
        seen = self._seen.reshape(len(times), modes, rows, -1)[..., :paths].transpose(2, 0, 1, 3)
        reached = passage.transpose(0, 2, 1)[:, None] <= times[None, :, None, None]
        return np.where(reached, 0.0, np.clip(np.nan_to_num(seen, nan=0.0), 0.0, 1.0))


class _Rows:
    """The table of a program whose uniform columns are each row's own: (A, K) or (A, 1)."""

    def __init__(
        self, native: Native, lane: dict[str, Any], own: dict[str, NDArray[Any]], lanes: int
    ) -> None:
        self._held = own  # the addresses must stay good
        first = {name: column[0][:, None] for name, column in own.items()}
        self._first = native.table(lane | first, lanes)
        self._skip = np.array([own[n].strides[0] if n in own else 0 for n in native.columns])

    def table(self, row: int, step: int = 0) -> NDArray[np.int64]:
        """Of one row, its histories from a step on."""
        table = self._first.copy()
        table[:, 0] += row * self._skip + step * table[:, 2]
        return table


@once
def margins(kernel: type[Kernel]) -> list[str]:
    """The failure modes that `limits` tells, in order."""
    layout, graph = kernel.layout, Graph()
    x = [graph.input(f"x.{name}") for name in layout.states]
    u = [graph.input(f"u.{name}") for name in layout.inputs]
    p = [graph.input(f"p.{name}") for name in layout.parameters]
    return list(lanes.limits(kernel(), x, u, p))


@once
def programs(kernel: type[Kernel]) -> tuple[Native, Native]:
    """What begins a path, and what moves it one step on: compiled."""
    return Native(_start(kernel)), Native(_path(kernel))


def _start(kernel: type[Kernel]) -> Program:
    """x = mean + √P z, and parameters p e^{√P_p z} (log) or p + √P_p z, within their bounds.

    z: draws 0, 1 … of step 0, states first
    """
    layout, graph = kernel.layout, Graph()
    key = graph.input("key", "k")
    kinds = _kinds(kernel)
    states, parameters = list(layout.states), list(layout.parameters)

    def drawn(part: str, names: list[str], first: int) -> list[Any]:
        z = [normal(graph, key, first + k) for k in range(len(names))]
        return [
            sum((graph.input(f"{part}.{a}.{b}") * z[j] for j, b in enumerate(names)), 0.0)
            for a in names
        ]

    outputs: dict[str, Any] = {}
    for name, shift in zip(states, drawn("root", states, 0), strict=True):
        outputs[f"x.{name}"] = graph.input(f"mean.{name}", kinds[f"x.{name}"]) + shift
    for name, shift in zip(parameters, drawn("spread", parameters, len(states)), strict=True):
        item, value = layout.parameters[name], graph.input(f"typical.{name}")
        moved = value * np.exp(shift) if item.scale == "log" else value + shift
        outputs[f"p.{name}"] = np.minimum(np.maximum(moved, item.bounds[0]), item.bounds[1])
    uniform = {node.value for node in graph.nodes if node.op == "input"} - {"key"}
    return Program.of(f"{kernel.__name__}.start", graph, outputs, kinds, uniform)


def _path(kernel: type[Kernel]) -> Program:
    """One step of h s: moved, shaken, and each limit looked at: the step that passed it is kept."""
    layout, graph = kernel.layout, Graph()
    kinds, instance = _kinds(kernel), kernel()
    x: list[Any] = [graph.input(f"x.{name}", kinds[f"x.{name}"]) for name in layout.states]
    u = [graph.input(f"u.{name}") for name in layout.inputs]
    p = [graph.input(f"p.{name}") for name in layout.parameters]
    h, root_h = graph.input("h"), graph.input("root_h")
    key = graph.input("key", "k")
    moved = lanes.integrate(instance, x, u, p, h)
    for k, (name, item) in enumerate(layout.states.items()):
        if item.noise:
            shake = item.noise * root_h * normal(graph, key, k)
            moved[k] = moved[k] + widen(shake, kinds[f"x.{name}"])
    outputs = {f"x.{name}": value for name, value in zip(layout.states, moved, strict=True)}
    for mode, margin in lanes.limits(instance, moved, u, p).items():
        before: Any = graph.input(f"passed.{mode}")
        crossed = ~(margin > 0.0) & np.equal(before, np.inf)
        outputs[f"passed.{mode}"] = np.where(crossed, graph.add("step", (), "f"), before)
    uniform = {f"u.{name}" for name in layout.inputs} | {"h", "root_h"}
    return Program.of(f"{kernel.__name__}.path", graph, outputs, kinds, uniform)


@once
def _look(kernel: type[Kernel]) -> Native:
    """How far each limit is: margin.MODE from x.*, u.*, p.*."""
    layout, graph = kernel.layout, Graph()
    kinds = _kinds(kernel)
    x = [graph.input(f"x.{name}", kinds[f"x.{name}"]) for name in layout.states]
    u = [graph.input(f"u.{name}") for name in layout.inputs]
    p = [graph.input(f"p.{name}") for name in layout.parameters]
    told = lanes.limits(kernel(), x, u, p)
    outputs: dict[str, Any] = {f"margin.{mode}": margin for mode, margin in told.items()}
    uniform = {f"u.{name}" for name in layout.inputs}
    return Native(Program.of(f"{kernel.__name__}.look", graph, outputs, kinds, uniform))


def _kinds(kernel: type[Kernel]) -> dict[str, str]:
    return {f"x.{n}": "d" if item.precise else "f" for n, item in kernel.layout.states.items()}


def _lane_columns(start: Native, path: Native, streams: Keys) -> dict[str, NDArray[Any]]:
    """A path's own columns: its stream, where it stands, and no limit passed yet."""
    alike = start.program.uniform | path.program.uniform
    columns: dict[str, Any] = {
        name: np.full(len(streams), np.inf if name.startswith("passed.") else 0, kind)
        for name, kind in (start.columns | path.columns).items()
        if name not in alike
    }
    return columns | {"key": streams}


def _start_columns(
    kernel: type[Kernel], mean: Floats, cov: Floats, p: Floats, p_cov: Floats
) -> dict[str, NDArray[Any]]:
    """Each row's estimate and its square roots, as uniform columns: (A, 1)."""
    layout, kinds = kernel.layout, _kinds(kernel)
    columns: dict[str, Any] = {}
    for part, root, names in (
        ("root", _root(cov), list(layout.states)),
        ("spread", _root(p_cov), list(layout.parameters)),
    ):
        for i, a in enumerate(names):
            for j, b in enumerate(names):
                columns[f"{part}.{a}.{b}"] = root[:, i, j, None].astype(np.float32)
    for k, name in enumerate(layout.states):
        kind = np.float64 if kinds[f"x.{name}"] == "d" else np.float32
        columns[f"mean.{name}"] = mean[:, k, None].astype(kind)
    for k, name in enumerate(layout.parameters):
        columns[f"typical.{name}"] = p[:, k, None].astype(np.float32)
    return columns


def _input_columns(kernel: type[Kernel], inputs: Floats, h: Floats) -> dict[str, NDArray[Any]]:
    """Each row's inputs, (A, K), and its step of h s, (A, 1)."""
    columns = {
        f"u.{name}": np.ascontiguousarray(inputs[:, :, k].T, np.float32)
        for k, name in enumerate(kernel.layout.inputs)
    }
    h = h[:, None]
    return columns | {"h": h.astype(np.float32), "root_h": np.sqrt(h).astype(np.float32)}


def _parts(
    kernel: type[Kernel], mean: Floats, inputs: Floats, p: Floats, dt: float, keys: Keys
) -> NDArray[np.int64]:
    """Sub-steps of one step of each row: what its fastest inputs need, from where it stands.

    Rows of one twin, which are plans for it, take the same, so that they share their draws.
    """
    program, layout = pace.rates(kernel), kernel.layout
    fastest = np.zeros(len(mean))
    if program is not None:
        columns = {f"x.{n}": mean[:, k] for k, n in enumerate(layout.states)}
        columns |= {f"p.{n}": p[:, k] for k, n in enumerate(layout.parameters)}
        changed = (inputs[1:] != inputs[:-1]).any(axis=(1, 2))
        at = np.append(0, 1 + np.flatnonzero(changed))
        for some in np.array_split(at, 1 + len(at) * len(mean) // LOOK):
            given = {f"u.{n}": inputs[some, :, k] for k, n in enumerate(layout.inputs)}
            rate = np.broadcast_to(program.run(columns | given)["rate"], (len(some), len(mean)))
            fastest = np.maximum(fastest, rate.max(axis=0, initial=0.0))
    needed = pace.substeps(kernel, np.full(len(mean), dt), fastest).astype(np.int64)
    twins, twin = np.unique(keys, return_inverse=True)
    most = np.zeros(len(twins), np.int64)
    np.maximum.at(most, twin, needed)
    return most[twin]


def _root(cov: Floats) -> Floats:
    """The symmetric square root of each covariance: a little more doubt moves a path a little, and
    a direction with no variance stays still."""
    values, vectors = np.linalg.eigh(cov)
    scaled = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    return np.asarray(scaled @ vectors.swapaxes(1, 2))
