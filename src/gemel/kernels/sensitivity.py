"""How well parameters explain history, and which way is better: one compiled pass.

Owns    the simulation of windows with exact sensitivities ∂x/∂θ, and the sums that a Gauss–Newton
        step needs, added up inside the time loop.
Never   decides a step: `kernels/fit.py` does.

Of every window (a lane), step after step,

    x ← f(x, u, p(θ), h),   S = ∂x/∂θ ← ∂f/∂x S + ∂f/∂θ        one dual number each: exact
    r = y − ŷ,   J = ∂ŷ/∂θ,   v = w / (σ² n √(1 + (r / c)²))   w weight, c = bend · σ
    H += v J Jᵀ,   g += v J r,   L += 2 w c² (√(1 + (r / c)²) − 1) / (σ² n)

and, for who learns σ and n, of z = r clipped at ±c, in σ: Σ w z², and over neighbours in time
Σ zₜ zₜ₋₁ and Σ (zₜ² + zₜ₋₁²) / 2. So nothing is kept of a history but sums: memory does not grow
with time.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
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

UNSEEN = 1e30  # stands for the z of a reading that is not judged
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
    """Of every lane, or of every asset: curvature H (L,P,P), gradient g (L,P), loss L (L,),
    squares Σ w r² (L,).

    clipped (L,Y): Σ w z² · product, pairs (L,): Σ zₜ zₜ₋₁, Σ (zₜ² + zₜ₋₁²) / 2
    """

    curvature: Floats
    gradient: Floats
    loss: Floats
    squares: Floats
    clipped: Floats
    product: Floats
    pairs: Floats

    def each(self, change: Callable[[Floats], Floats]) -> "Sums":
        """These sums, each of them changed."""
        return Sums(*(change(getattr(self, item.name)) for item in fields(self)))

    def only(self, rows: NDArray[Any]) -> "Sums":
        """The sums of some rows, by number or as a mask."""
        return self.each(lambda part: part[rows])

    def put(self, rows: NDArray[np.int64], other: "Sums") -> "Sums":
        """These sums, with another's for some rows."""
        parts = {item.name: getattr(self, item.name).copy() for item in fields(self)}
        for name, part in parts.items():
            part[rows] = getattr(other, name)
        return Sums(**parts)


@dataclass(frozen=True)
class Pass:
    """The windows of one fit, laid out once, to be run at any θ.

    columns: (T, lanes) each, time outermost · count: how many lanes are windows; those beyond
    repeat the first · run: who runs a compiled program over lanes
    """

    kernel: type[Kernel]
    columns: dict[str, Floats]
    count: int
    parts: int
    run: Run

    @staticmethod
    def of(kernel: Kernel, windows: History, run: Run | None = None) -> "Pass":
        """run: the thread that asks, unless given."""
        layout, parts = kernel.layout, _parts(type(kernel), windows)
        columns = {
            f"{part}.{name}": _laid(np.asarray(values)[:, :, k])
            for part, names, values in (
                ("u", layout.inputs, windows.inputs),
                ("y", layout.outputs, windows.readings),
                ("w", layout.outputs, windows.weight),
            )
            for k, name in enumerate(names)
        }
        h = np.full((len(windows.inputs), 1), windows.dt / parts)
        h[0] = 0.0
        columns["h"] = h
        return Pass(type(kernel), columns, windows.inputs.shape[1], parts, run or _here)

    def only(self, lanes: NDArray[np.int64]) -> "Pass":
        """Some of the windows."""
        some = np.concatenate([lanes, np.full(padded(len(lanes)) - len(lanes), lanes[0])])
        columns = {
            name: column if name == "h" else np.take(column, some, axis=1)
            for name, column in self.columns.items()
        }
        return Pass(self.kernel, columns, len(lanes), self.parts, self.run)

    def sums(self, theta: Floats, sigma: Floats, fresh: Floats, bend: float) -> Sums:
        """θ (L,P) · sigma σ (L,Y) · fresh n (L,)."""
        native = Native(program(self.kernel, self.parts), "d")
        columns = self._at(native, theta)
        names, size = list(self.kernel.layout.outputs), theta.shape[1]
        for k, name in enumerate(names):
            columns[f"size.{name}"][: self.count] = sigma[:, k]
            columns[f"knee.{name}"][: self.count] = bend * sigma[:, k]
            columns[f"power.{name}"][: self.count] = 1.0 / (sigma[:, k] ** 2 * fresh)
        lanes, steps = padded(self.count), (0, len(self.columns["h"]) * self.parts)
        self.run(native, native.table(columns, lanes), 0, lanes, steps, self.parts)
        told = {name: column[: self.count] for name, column in columns.items()}
        curvature = np.empty((self.count, size, size))
        for i in range(size):
            for j in range(i + 1):
                curvature[:, i, j] = curvature[:, j, i] = told[f"H.{i}.{j}"]
        gradient = [told[f"g.{i}"] for i in range(size)]
        return Sums(
            curvature,
            np.stack(gradient, -1) if size else np.zeros((self.count, 0)),
            told["loss"],
            told["squares"],
            np.stack([told[f"clipped.{name}"] for name in names], -1),
            told["product"],
            told["pairs"],
        )

    def _at(self, native: Native, theta: Floats) -> dict[str, NDArray[Any]]:
        blank: dict[str, Any] = {
            name: np.zeros(padded(self.count), kind)
            for name, kind in native.columns.items()
            if name not in self.columns
        }
        for k in range(theta.shape[1]):
            if f"theta.{k}" in blank:
                blank[f"theta.{k}"][: self.count] = theta[:, k]
                blank[f"theta.{k}"][self.count :] = theta[0, k]
        for name in blank:
            if name.startswith(("knee.", "size.")):
                blank[name][:] = 1.0
        return blank | self.columns


def _laid(values: Floats) -> Floats:
    """(T,L) → (T, lanes), time outermost; lanes without a window repeat the first one."""
    count = values.shape[1]
    out = np.empty((len(values), padded(count)))
    out[:, :count], out[:, count:] = values, values[:, :1]
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
def program(kernel: type[Kernel], parts: int) -> Program:
    """One of the `parts` sub-steps of a step of every window; readings count in the last."""
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
        p.append(Dual(value, {j: value if item.scale == "log" else 1.0}))
    for name in layout.states:
        slopes = {j: graph.input(f"S.{name}.{j}") for j in range(size)}
        x.append(Dual(graph.input(f"x.{name}"), slopes))
    u = [graph.input(f"u.{name}") for name in layout.inputs]
    h = graph.input("h")
    begun = lanes.begin(instance, u, p)
    x = lanes.integrate(instance, x, u, p, h)
    x = [np.where(first, a, b) for a, b in zip(begun, x, strict=True)]
    outputs: dict[str, Any] = {}
    for name, moved in zip(layout.states, x, strict=True):
        outputs[f"x.{name}"] = value_of(moved)
        for j in range(size):
            grad = moved.grad if isinstance(moved, Dual) else {}
            outputs[f"S.{name}.{j}"] = grad.get(j, 0.0)
    read = lanes.sense(instance, list(x), u, p)
    named = dict(zip(layout.outputs, read, strict=True))
    outputs |= _sums(graph, size, named, first, last)
    return Program.of(f"{kernel.__name__}.pass", graph, outputs, None, {"h"})


def _sums(graph: Graph, size: int, read: dict[str, Any], first: Any, last: Any) -> dict[str, Any]:
    """All that is summed, begun at 0 with the first step; and z, for the next step's pair."""
    names = [f"H.{i}.{j}" for i in range(size) for j in range(i + 1)]
    names += [f"g.{i}" for i in range(size)] + ["loss", "squares", "product", "pairs"]
    names += [f"clipped.{name}" for name in read]
    total: dict[str, Any] = {n: np.where(first, 0.0, graph.input(n)) for n in names}
    for name, value in read.items():
        given: Any = graph.input(f"w.{name}")
        weight = np.where(last, given, 0.0)
        r = np.where(given > 0.0, graph.input(f"y.{name}") - value_of(value), 0.0)
        knee, power = graph.input(f"knee.{name}"), graph.input(f"power.{name}") * weight
        bent = r / knee
        root = np.sqrt(1.0 + bent * bent)
        total["loss"] = total["loss"] + 2.0 * power * (knee * knee) * (root - 1.0)
        total["squares"] = total["squares"] + weight * r * r
        z = np.minimum(np.maximum(r, -knee), knee) / graph.input(f"size.{name}")
        total[f"clipped.{name}"] = total[f"clipped.{name}"] + weight * z * z
        z = np.where(given > 0.0, z, UNSEEN)
        before = np.where(first, UNSEEN, graph.input(f"z.{name}"))
        both = np.where(last, np.maximum(z, before) < UNSEEN, False)
        total["product"] = total["product"] + np.where(both, z * before, 0.0)
        total["pairs"] = total["pairs"] + np.where(both, 0.5 * (z * z + before * before), 0.0)
        total[f"z.{name}"] = np.where(last, z, before)
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
        steps, count, inputs = windows.inputs.shape
        some = windows.inputs.reshape(steps * count, inputs)
        some = some[:: max(1, len(some) // 4096)]
        u = [some[:, k] for k in range(some.shape[1])]
        p = [np.full(len(some), value) for value in kernel.typical()]
        x = lanes.begin(kernel(), u, p)
        columns = dict(zip((f"u.{n}" for n in layout.inputs), u, strict=True))
        columns |= dict(zip((f"p.{n}" for n in layout.parameters), p, strict=True))
        columns |= dict(zip((f"x.{n}" for n in layout.states), x, strict=True))
        rate = np.atleast_1d(rates.run(columns)["rate"])
    return int(pace.substeps(kernel, np.full(len(rate), windows.dt), rate).max())
