"""How well parameters explain history, and which way is better: one compiled pass.

Owns    the simulation of windows with exact sensitivities ∂x/∂θ, and the sums that a Gauss–Newton
        step needs, added up inside the time loop.
Never   decides a step: `kernels/fit.py` does.

Of every window (a lane), step after step,

    x ← f(x, u, p(θ), h),   S = ∂x/∂θ ← ∂f/∂x S + ∂f/∂θ        one dual number each: exact
    r = y − ŷ,   J = ∂ŷ/∂θ,   v = w / (σ² n √(1 + (r / c)²))   w weight, c = bend · σ
    H += v J Jᵀ,   g += v J r,   L += 2 w c² (√(1 + (r / c)²) − 1) / (σ² n)

so nothing is kept of a history but these sums: memory does not grow with time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gemel.kernels import lanes, pace
from gemel.kernels.base import Kernel
from gemel.kernels.dual import Dual, value_of
from gemel.kernels.expression import Graph
from gemel.kernels.native import Native, padded
from gemel.kernels.program import Program, once
from gemel.records import Floats

Run = Callable[[Native, NDArray[np.int64], int, int, tuple[int, int], int], None]


class History(Protocol):
    """What `fit.Windows` is: inputs (T,L,U) · readings (T,L,Y) · weight (T,L,Y) · dt s."""

    @property
    def inputs(self) -> Floats: ...
    @property
    def readings(self) -> Floats: ...
    @property
    def weight(self) -> Any: ...
    @property
    def dt(self) -> float: ...


@dataclass(frozen=True)
class Sums:
    """Of every lane: H (L,P,P), g (L,P), L (L,), Σ w r² (L,)."""

    curvature: Floats
    gradient: Floats
    loss: Floats
    squares: Floats


class Pass:
    """The windows of one fit, laid out once, to be run at any θ.

    run: who runs a compiled program over lanes, by default the thread that asks
    """

    def __init__(self, kernel: Kernel, windows: History, run: Run | None = None) -> None:
        self.kernel, self.count = type(kernel), windows.inputs.shape[1]
        self.steps, self.lanes = len(windows.inputs), padded(windows.inputs.shape[1])
        self._run = run or _here
        layout = self.kernel.layout
        self._parts = parts = _parts(self.kernel, windows)
        self._sums = Native(program(self.kernel, parts, False), "d")
        self._told = Native(program(self.kernel, parts, True), "d")
        self._columns: dict[str, NDArray[Any]] = {}
        for part, names, values in (
            ("u", layout.inputs, windows.inputs),
            ("y", layout.outputs, windows.readings),
            ("w", layout.outputs, windows.weight),
        ):
            for k, name in enumerate(names):
                self._columns[f"{part}.{name}"] = self._laid(np.asarray(values)[:, :, k])
        h = np.full((self.steps, 1), windows.dt / parts)
        h[0] = 0.0
        self._columns["h"] = h

    def sums(self, theta: Floats, sigma: Floats, fresh: Floats, bend: float) -> Sums:
        """θ (L,P) · sigma σ (L,Y) · fresh n (L,)."""
        columns = self._at(self._sums, theta)
        for k, name in enumerate(self.kernel.layout.outputs):
            columns[f"knee.{name}"][: self.count] = bend * sigma[:, k]
            columns[f"power.{name}"][: self.count] = 1.0 / (sigma[:, k] ** 2 * fresh)
        self._go(self._sums, columns)
        size = theta.shape[1]
        curvature = np.empty((self.count, size, size))
        for i in range(size):
            for j in range(i + 1):
                curvature[:, i, j] = curvature[:, j, i] = columns[f"H.{i}.{j}"][: self.count]
        gradient = [columns[f"g.{i}"][: self.count] for i in range(size)]
        loss, squares = columns["loss"][: self.count], columns["squares"][: self.count]
        slope = np.stack(gradient, -1) if size else np.zeros((self.count, 0))
        return Sums(curvature, slope, loss, squares)

    def residual(self, theta: Floats) -> Floats:
        """r (T,L,Y), 0 where a reading has no weight."""
        columns = self._at(self._told, theta)
        names = list(self.kernel.layout.outputs)
        for name in names:
            columns[f"r.{name}"] = np.zeros((self.steps, self.lanes))
        self._go(self._told, columns)
        return np.stack([columns[f"r.{name}"][:, : self.count] for name in names], -1)

    def _at(self, native: Native, theta: Floats) -> dict[str, NDArray[Any]]:
        blank: dict[str, Any] = {
            name: np.zeros(self.lanes, kind)
            for name, kind in native.columns.items()
            if name not in self._columns and not name.startswith("r.")
        }
        for k in range(theta.shape[1]):
            if f"theta.{k}" in blank:
                blank[f"theta.{k}"][: self.count] = theta[:, k]
                blank[f"theta.{k}"][self.count :] = theta[0, k]
        for name in blank:
            if name.startswith("knee."):
                blank[name][:] = 1.0
        return blank | self._columns

    def _go(self, native: Native, columns: dict[str, NDArray[Any]]) -> None:
        steps = (0, self.steps * self._parts)
        self._run(native, native.table(columns, self.lanes), 0, self.lanes, steps, self._parts)

    def _laid(self, values: Floats) -> Floats:
        """(T,L) → (T, lanes), time outermost; lanes without a window repeat the first one."""
        out = np.empty((self.steps, self.lanes))
        out[:, : self.count], out[:, self.count :] = values, values[:, :1]
        return out


def _here(
    native: Native,
    table: NDArray[np.int64],
    first: int,
    last: int,
    steps: tuple[int, int],
    every: int,
) -> None:
    """In the thread that asks."""
    native.run(table, first, last, steps=steps, every=every)


@once
def program(kernel: type[Kernel], parts: int, told: bool) -> Program:
    """One of the `parts` sub-steps of a step of every window. told: residuals, else the sums.

    Readings count in the last part.
    """
    layout, graph = kernel.layout, Graph()
    instance, size = kernel(), len(layout.parameters)
    step: Any = graph.add("step", (), "f")
    first = np.equal(step, 0.0)
    part = step - parts * np.floor(step / parts) if parts > 1 else 0.0
    last = graph.symbol(np.equal(part, parts - 1.0))
    p: list[Any] = []
    x: list[Any] = []
    for j, item in enumerate(layout.parameters.values()):
        theta = graph.input(f"theta.{j}")
        value: Any = np.exp(theta) if item.scale == "log" else theta
        p.append(value if told else Dual(value, {j: value if item.scale == "log" else 1.0}))
    for name in layout.states:
        slopes = {j: graph.input(f"S.{name}.{j}") for j in range(0 if told else size)}
        x.append(Dual(graph.input(f"x.{name}"), slopes))
    u = [graph.input(f"u.{name}") for name in layout.inputs]
    h = graph.input("h")
    begun = lanes.begin(instance, u, p)
    x = lanes.integrate(instance, x, u, p, h)
    x = [np.where(first, a, b) for a, b in zip(begun, x, strict=True)]
    outputs: dict[str, Any] = {}
    for name, moved in zip(layout.states, x, strict=True):
        outputs[f"x.{name}"] = value_of(moved)
        for j in range(0 if told else size):
            grad = moved.grad if isinstance(moved, Dual) else {}
            outputs[f"S.{name}.{j}"] = grad.get(j, 0.0)
    read = lanes.sense(instance, list(x), u, p)
    add = _residuals if told else _sums
    outputs |= add(graph, size, dict(zip(layout.outputs, read, strict=True)), first, last)
    uniform = {"h"}
    return Program.of(f"{kernel.__name__}.pass", graph, outputs, None, uniform)


def _off(graph: Graph, name: str, read: Any) -> tuple[Any, Any]:
    """A reading's weight, and what is left of it."""
    weight: Any = graph.input(f"w.{name}")
    return weight, np.where(weight > 0.0, graph.input(f"y.{name}") - value_of(read), 0.0)


def _residuals(
    graph: Graph, size: int, read: dict[str, Any], first: Any, last: Any
) -> dict[str, Any]:
    return {f"r.{name}": _off(graph, name, value)[1] for name, value in read.items()}


def _sums(graph: Graph, size: int, read: dict[str, Any], first: Any, last: Any) -> dict[str, Any]:
    """H, g and L, begun at 0 with the first step."""
    names = [f"H.{i}.{j}" for i in range(size) for j in range(i + 1)]
    names += [f"g.{i}" for i in range(size)] + ["loss", "squares"]
    total: dict[str, Any] = {n: np.where(first, 0.0, graph.input(n)) for n in names}
    for name, value in read.items():
        given, r = _off(graph, name, value)
        weight = np.where(last, given, 0.0)
        knee, power = graph.input(f"knee.{name}"), graph.input(f"power.{name}") * weight
        bent = r / knee
        root = np.sqrt(1.0 + bent * bent)
        total["loss"] = total["loss"] + 2.0 * power * (knee * knee) * (root - 1.0)
        total["squares"] = total["squares"] + weight * r * r
        pull = power / root
        grad = value.grad if isinstance(value, Dual) else {}
        for i in range(size):
            if i not in grad:
                continue
            row = pull * grad[i]
            total[f"g.{i}"] = total[f"g.{i}"] + row * r
            for j in range(i + 1):
                if j in grad:
                    total[f"H.{i}.{j}"] = total[f"H.{i}.{j}"] + row * grad[j]
    return total


def _parts(kernel: type[Kernel], windows: History) -> int:
    """Sub-steps of one step: what typical parameters need under a sample of the inputs."""
    rates, layout, rate = pace.rates(kernel), kernel.layout, np.zeros(1)
    if rates is not None:
        some = windows.inputs.reshape(-1, windows.inputs.shape[2])
        some = some[:: max(1, len(some) // 4096)]
        u = [some[:, k] for k in range(some.shape[1])]
        p = [np.full(len(some), value) for value in kernel.typical()]
        x = lanes.begin(kernel(), u, p)
        columns = dict(zip((f"u.{n}" for n in layout.inputs), u, strict=True))
        columns |= dict(zip((f"p.{n}" for n in layout.parameters), p, strict=True))
        columns |= dict(zip((f"x.{n}" for n in layout.states), x, strict=True))
        rate = np.atleast_1d(rates.run(columns)["rate"])
    return int(pace.substeps(kernel, np.full(len(rate), windows.dt), rate).max())
