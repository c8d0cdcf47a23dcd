"""Questions to a kernel, and its answers: by Python, compiled, and in the filter.

Owns    how the author's methods are asked about samples, and what of an answer matters.
Never   judges an answer.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.engines.local import Local
from gemel.kernels import filters, lanes, pace
from gemel.kernels.base import Kernel
from gemel.kernels.expression import Graph
from gemel.kernels.native import Native
from gemel.kernels.program import Program, once
from gemel.testing.samples import COUNT, Samples

METHODS = ("initial", "flow", "step", "sense", "limits")
TICKS = 3  # of the filter: enough for states to become correlated


def methods(kernel: type[Kernel]) -> list[str]:
    """What the author wrote, of what an author may write."""
    return [name for name in METHODS if hasattr(kernel, name)]


def asked(s: Samples, method: str, x: Any, u: Any, p: Any) -> Any:
    """What one method answers to columns: numbers, arrays, duals or symbols."""
    layout = s.kernel.layout
    if method == "initial":  # it is told the declared starts
        x = [item.start for item in layout.states.values()]
    named = [
        lanes.named(names, part)
        for names, part in ((layout.states, x), (layout.inputs, u), (layout.parameters, p))
    ]
    more = [s.dt] if method == "step" else []
    return getattr(s.kernel(), method)(*named, *more)


def answers(s: Samples, x: Any, u: Any, p: Any) -> dict[str, Any]:
    """`flow.temperature` and so on → what it answers."""
    return {
        f"{method}.{name}": value
        for method in methods(s.kernel)
        for name, value in asked(s, method, x, u, p).items()
    }


def spread(s: Samples, name: str) -> float:
    """What matters of an answer, in its unit: what is less than `SHARE` of it is not noticed."""
    method, _, of = name.partition(".")
    layout = s.kernel.layout
    if method == "limits":
        return 1.0
    if method == "sense":
        return layout.outputs[of].noise
    return layout.states[of].start_std / (s.dt if method == "flow" else 1.0)


def traced(s: Samples) -> Program:
    """All answers as one program: the columns x.*, u.*, p.* in, the names of `answers` out."""
    graph, columns = Graph(), symbols(s)
    told = answers(s, *([graph.input(*key) for key in part] for part in columns))
    return Program.of(f"{s.kernel.__name__}.answers", graph, told)


def symbols(s: Samples) -> list[list[tuple[str, str]]]:
    """Name and kind of every column of x, u and p."""
    layout = s.kernel.layout
    return [
        [(f"x.{name}", "d" if item.precise else "f") for name, item in layout.states.items()],
        [(f"u.{name}", "f") for name in layout.inputs],
        [(f"p.{name}", "f") for name in layout.parameters],
    ]


def moving(s: Samples) -> Program:
    """One step of h s, in place."""
    graph, columns = Graph(), symbols(s)
    x, u, p = ([graph.input(*key) for key in part] for part in columns)
    moved = lanes.integrate(s.kernel(), x, u, p, graph.input("h"))
    names = [name for name, _ in columns[0]]
    return Program.of(
        f"{s.kernel.__name__}.moving", graph, dict(zip(names, moved, strict=True)), dict(columns[0])
    )


def sampled(s: Samples) -> dict[str, Any]:
    """The samples by column: x.*, u.*, p.*."""
    names = [name for part in symbols(s) for name, _ in part]
    return dict(zip(names, (column for part in s.columns() for column in part), strict=True))


def filled(native: Native, s: Samples, **more: Any) -> dict[str, NDArray[Any]]:
    """Columns of a program, from the samples and by name."""
    given = sampled(s) | more
    columns: dict[str, NDArray[Any]] = {n: np.zeros(COUNT, t) for n, t in native.columns.items()}
    for name, column in columns.items():
        column[:] = given.get(name, 0)
    return columns


def sub_step(s: Samples) -> float:
    """s: how finely the engine steps between two readings."""
    rates = pace.rates(s.kernel)
    fastest: Any = 0.0
    if rates is not None:
        fastest = np.max(rates.run(sampled(s))["rate"])
    return s.dt / float(np.max(pace.substeps(s.kernel, np.array([s.dt]), fastest)))


@once
def compiled(kernel: type[Kernel]) -> Native:
    """The extended filter in float32."""
    return Native(filters.ekf(kernel))


def believed(s: Samples) -> dict[str, NDArray[Any]]:
    """The belief about every sample, and readings as expected plus one noise."""
    layout, native = s.kernel.layout, compiled(s.kernel)
    told = asked(s, "sense", *s.columns())
    more: dict[str, Any] = {"dt": sub_step(s), "parts": 1.0, "inflate": 1.0, "score": 1.0}
    more |= {f"D.{name}": item.start_std**2 for name, item in layout.states.items()}
    more |= {f"y.{name}": told[name] + item.noise for name, item in layout.outputs.items()}
    more |= {f"seen.{name}": True for name in layout.outputs}
    return filled(native, s, **more)


def tick(native: Native, columns: dict[str, NDArray[Any]], *, threads: int = 1) -> None:
    """The filter, a few times, in place."""
    table, engine, share = native.table(columns, COUNT), Local(threads), COUNT // threads

    def piece(low: int) -> Callable[[], None]:
        return lambda: native.run(table, low, low + share)

    for _ in range(TICKS):
        engine.all([piece(low) for low in range(0, COUNT, share)])


def same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Bit by bit."""
    return one.tobytes() == other.tobytes()
