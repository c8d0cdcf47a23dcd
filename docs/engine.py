"""Draws the pictures of docs/engine.md: docs/img/engine-*.png.

    .venv/bin/python docs/engine.py            # all of them
    .venv/bin/python docs/engine.py memory     # only those whose names hold one of these words

What is drawn is what the code does: the graph is traced, the loops' sizes are the emitter's, and
the times are measured as the picture is made.
"""

import importlib
import pkgutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

HERE = Path(__file__).parent
IMAGES = HERE / "img"
sys.path[:0] = [str(HERE.parent), str(HERE)]

from benchmarks.peers.triad import BYTES, Triad  # noqa: E402  (the root is not a package)
from benchmarks.reference import ReferenceBearing  # noqa: E402
from benchmarks.runner import machine  # noqa: E402
from drawing import FAINT, INK, MUTED, SLATE, STEEL, TWIN, png, style  # noqa: E402

from gemel import Kernel, parameter, sensor, signal, state  # noqa: E402
from gemel.kernels import filters, library  # noqa: E402
from gemel.kernels.base import Values  # noqa: E402
from gemel.kernels.dual import Dual  # noqa: E402
from gemel.kernels.elementary import lower  # noqa: E402
from gemel.kernels.emit import LANES, TILE  # noqa: E402
from gemel.kernels.expression import Graph, live  # noqa: E402
from gemel.kernels.native import Native, shared  # noqa: E402
from gemel.testing.answers import believed  # noqa: E402
from gemel.testing.samples import COUNT, draw  # noqa: E402

SIGNS = {"add": "+", "sub": "−", "mul": "×", "neg": "−"}


class Oven(Kernel):
    """T' = heat P − loss (T − 20)."""

    version = "1.0"
    temperature = state("degC", start=20.0, start_std=20.0, noise=0.02)
    power = signal("kW")
    heat = parameter("K/s/kW", typical=0.02, spread=0.1, scale="log")
    loss = parameter("1/s", typical=1e-3, spread=0.1, scale="log")
    thermometer = sensor("degC", noise=0.5)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": p.heat * u.power - p.loss * (x.temperature - 20.0)}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.temperature}


# --- the graph of a small kernel -----------------------------------------------------------------


@dataclass(frozen=True)
class Vertex:
    """One number of a graph: what stands in it, what it is made of, and whose it is."""

    label: str
    args: tuple[int, ...]
    slope: bool = False  # a derivative, not a value
    gone: bool = False  # folded away


@dataclass
class Tape:
    """Every operation, written down as the rules of calculus give it: nothing is folded."""

    items: list[Vertex] = field(default_factory=list)
    meaning: list[Any] = field(default_factory=list)  # what folding would make of each

    def put(self, op: str, args: tuple["Plain", ...] = (), *, slope: bool = False) -> "Plain":
        """A new vertex; it is gone where folding leaves a constant or something that is there."""
        folded = _folded(op, [self.meaning[a.index] for a in args])
        gone = bool(args) and (isinstance(folded, float) or folded in self.meaning)
        self.items.append(Vertex(SIGNS.get(op, op), tuple(a.index for a in args), slope, gone))
        self.meaning.append(folded)
        return Plain(self, len(self.items) - 1)


def _folded(op: str, args: list[Any]) -> Any:
    """The same by the engine's rules: 0 x = 0, 1 x = x, x ± 0 = x, 0 − x = −x."""
    if not args:
        return float(op) if op.isdigit() else op
    one, other = args
    if op == "mul":
        known = [a for a in args if isinstance(a, float)]
        if 0.0 in known:
            return 0.0
        return (other if one == 1.0 else one) if 1.0 in known else ("mul", one, other)
    if other == 0.0:
        return one
    if one == 0.0:
        return other if op == "add" else ("neg", other)
    if isinstance(one, float) and isinstance(other, float):
        return one + other if op == "add" else one - other
    return (op, one, other)


@dataclass(frozen=True)
class Plain:
    tape: Tape
    index: int


@dataclass(frozen=True)
class Book:
    """A value and its slope, by the book: zeros are written like any other number."""

    value: Plain
    slope: Plain

    def _of(self, other: Any) -> "Book":
        if isinstance(other, Book):
            return other
        tape = self.value.tape
        return Book(tape.put(f"{other:g}"), tape.put("0", slope=True))

    def __sub__(self, other: Any) -> "Book":
        b, put = self._of(other), self.value.tape.put
        return Book(
            put("sub", (self.value, b.value)), put("sub", (self.slope, b.slope), slope=True)
        )

    def __mul__(self, other: Any) -> "Book":
        b, put = self._of(other), self.value.tape.put
        one = put("mul", (self.slope, b.value), slope=True)
        two = put("mul", (self.value, b.slope), slope=True)
        return Book(put("mul", (self.value, b.value)), put("add", (one, two), slope=True))


def by_the_book() -> list[Vertex]:
    """The oven's rate and its slope in temperature, operation by operation."""
    tape = Tape()

    def given(name: str, slope: str) -> Book:
        return Book(tape.put(name), tape.put(slope, slope=True))

    x = Values({"temperature": given("T", "1")})
    u = Values({"power": given("P", "0")})
    p = Values({"heat": given("heat", "0"), "loss": given("loss", "0")})
    Oven().flow(x, u, p)
    return tape.items


def as_traced() -> list[Vertex]:
    """The same as the engine keeps it."""
    graph = Graph()
    x = Values({"temperature": Dual(graph.input("T"), {0: 1.0})})
    u = Values({"power": graph.input("P")})
    p = Values({"heat": graph.input("heat"), "loss": graph.input("loss")})
    rate = Oven().flow(x, u, p)["temperature"]
    roots = [rate.value.index, rate.grad[0].index]
    order = live(graph, roots)
    own = set(live(graph, roots[:1]))
    place = {index: k for k, index in enumerate(order)}
    found = []
    for index in order:
        op, args, _, value = graph.nodes[index]
        label = f"{value:g}" if op == "constant" else value if op == "input" else SIGNS[op]
        found.append(Vertex(label, tuple(place[a] for a in args), index not in own))
    return found


def operations(items: list[Vertex]) -> int:
    """Vertices that compute something."""
    return sum(bool(item.args) for item in items)


def places(items: list[Vertex], tries: int = 300) -> list[tuple[float, float]]:
    """Where each vertex is drawn: rows by depth, in the order that crosses least."""
    depth: list[int] = []
    for item in items:
        depth.append(1 + max((depth[a] for a in item.args), default=-1))
    users = [[k for k, item in enumerate(items) if i in item.args] for i in range(len(items))]
    for i, item in enumerate(items):  # what is given stands right above what needs it first
        if not item.args and users[i]:
            depth[i] = min(depth[k] for k in users[i]) - 1
    rows = [[i for i, own in enumerate(depth) if own == d] for d in sorted(set(depth))]
    rng, best, fewest = np.random.default_rng(0), {}, np.inf
    for _ in range(tries):
        x = _ordered(
            rows, [(*item.args, *used) for item, used in zip(items, users, strict=True)], rng
        )
        at = [(x[i], -float(depth[i])) for i in range(len(items))]
        lines = [(at[a], at[i]) for i, item in enumerate(items) for a in item.args]
        long = sum(abs(one[0] - other[0]) for one, other in lines)
        found = sum(_cross(a, b) for k, a in enumerate(lines) for b in lines[:k]) + 0.05 * long
        found += 3 * sum(_hits(line, spot) for line in lines for spot in at)
        if found < fewest:
            best, fewest = at, found
    return best


def _ordered(rows: list[list[int]], near: list[tuple[int, ...]], rng: Any) -> dict[int, float]:
    """Places within the rows: from any order, each drawn towards what it is joined to."""
    widest = max(len(row) for row in rows)
    x = {i: float(k) for row in rows for k, i in enumerate(rng.permutation(row).tolist())}
    for sweep in range(8):
        for row in rows if sweep % 2 else rows[::-1]:
            ordered = sorted(row, key=lambda i: np.mean([x[k] for k in near[i]]))
            x |= {i: (k + 0.5) * (widest - 1) / len(row) for k, i in enumerate(ordered)}
    return x


def _cross(one: Any, other: Any) -> bool:
    """Whether two lines cross between their ends."""
    (a, b), (c, d) = one, other
    if {a, b} & {c, d}:
        return False

    def side(p: Any, q: Any, r: Any) -> bool:
        return bool((q[0] - p[0]) * (r[1] - p[1]) > (q[1] - p[1]) * (r[0] - p[0]))

    return side(a, b, c) != side(a, b, d) and side(c, d, a) != side(c, d, b)


def _hits(line: Any, spot: Any) -> bool:
    """Whether a line runs over a vertex that is not its end."""
    a, b, p = (np.array(v) for v in (*line, spot))
    if spot in line:
        return False
    along = np.clip((p - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
    return bool(np.hypot(*(a + along * (b - a) - p)) < 0.3)


def graph_panel(axes: Axes, items: list[Vertex], title: str) -> None:
    at = places(items)
    for i, item in enumerate(items):
        for a in item.args:
            dead = item.gone or items[a].gone
            axes.annotate(
                "", at[i], at[a],
                arrowprops={
                    "arrowstyle": "-|>", "shrinkA": 10, "shrinkB": 10, "lw": 0.9,
                    "color": FAINT if dead else MUTED, "mutation_scale": 8,
                },
            )  # fmt: skip
    for (x, y), item in zip(at, items, strict=True):
        colour = TWIN if item.slope else STEEL
        given = not item.args
        faint = item.gone or (given and item.slope)
        axes.text(
            x, y, item.label, ha="center", va="center", fontsize=8.5 if given else 11,
            color=(SLATE if faint else colour) if given else (SLATE if item.gone else "white"),
            bbox={
                "boxstyle": "round,pad=0.3" if given else "circle,pad=0.25",
                "fc": "white" if given or item.gone else colour,
                "ec": FAINT if faint else colour,
                "ls": "--" if item.gone else "-",
                "lw": 1.0,
            },
        )  # fmt: skip
    xs, ys = zip(*at, strict=True)
    axes.set_xlim(min(xs) - 0.8, max(xs) + 0.8)
    axes.set_ylim(min(ys) - 0.6, max(ys) + 0.6)
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.axis("off")


def folding() -> Figure:
    """Value and slope of the oven's flow, before and after folding."""
    before, after = by_the_book(), as_traced()
    figure = Figure((10.0, 4.4))
    left, right = figure.subplots(1, 2, width_ratios=[2.2, 1.0])
    graph_panel(left, before, f"by the book: {operations(before)} operations")
    graph_panel(right, after, f"as kept: {operations(after)} operations")
    figure.text(
        0.012, 0.025, "blue: the rate    orange: its slope in T    dashed: folds away",
        color=MUTED, fontsize=8.5,
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure


# --- the three loops -----------------------------------------------------------------------------

COLUMNS = ("x.temperature", "D.temperature", "u.power", "p.heat", "p.loss", "y.thermometer", "nis")


def loops() -> Figure:
    """Columns in memory, a tile of them, and sixteen lanes of a tile."""
    figure = Figure((10.0, 5.2))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 52)
    axes.axis("off")
    _memory(axes)
    _tile(axes)
    _words(axes)
    return figure


def _memory(axes: Axes) -> None:
    """All columns, cut between two threads, and into tiles."""
    left, width, tiles = 15.0, 80.0, 16
    axes.text(left, 50.2, "memory: one column a number, one place an asset", color=INK, fontsize=10)
    for k, name in enumerate(COLUMNS):
        y = 46.0 - 2.4 * k
        axes.text(left - 1, y, name, ha="right", va="center", fontsize=8.5, color=INK)
        for t in range(tiles):
            axes.add_patch(
                Rectangle(
                    (left + width * t / tiles, y - 0.8), width / tiles - 0.4, 1.6,
                    fc=STEEL if t < tiles / 2 else SLATE, alpha=1.0 if t == 2 else 0.35, lw=0,
                )
            )  # fmt: skip
    bottom = 46.0 - 2.4 * (len(COLUMNS) - 1) - 1.6
    for text, x, colour in (("one thread", 0.25, STEEL), ("another", 0.75, MUTED)):
        axes.text(left + width * x, 47.7, text, ha="center", color=colour, fontsize=9)
    x = left + width * 2 / tiles - 0.35
    axes.add_patch(
        Rectangle(
            (x, bottom + 0.3), width / tiles + 0.3, 47.3 - bottom, fill=False, ec=TWIN, lw=1.5
        )
    )
    for end in (16.0, 61.0):
        axes.plot([x if end < 30 else x + width / tiles + 0.3, end], [bottom + 0.3, 25.2],
                  color=TWIN, lw=0.8, ls=":")  # fmt: skip


def _tile(axes: Axes) -> None:
    """One tile: its columns by vectors of lanes."""
    left, width, vectors = 16.0, 45.0, 12
    for k, name in enumerate(COLUMNS):
        y = 23.6 - 2.4 * k
        axes.text(left - 1, y, name, ha="right", va="center", fontsize=8.5, color=INK)
        for v in range(vectors):
            axes.add_patch(
                Rectangle(
                    (left + width * v / vectors, y - 0.8), width / vectors - 0.35, 1.6,
                    fc=TWIN if v == 3 else STEEL, alpha=1.0 if v == 3 else 0.55, lw=0,
                )
            )  # fmt: skip
    one = f"a tile: {TILE} assets, some kilobytes a column: it stays in the first cache"
    two = f"orange: {LANES} assets, one instruction each operation"
    axes.text(left, 5.2, one, color=STEEL, fontsize=9)
    axes.text(left, 3.0, two, color=TWIN, fontsize=9)


def _words(axes: Axes) -> None:
    """The loops, as they stand around the line of operations."""
    boxes = (
        (64.0, 5.0, 32.0, 19.5, f"for every tile of {TILE} lanes", SLATE),
        (66.5, 6.2, 28.0, 15.2, "for every step of time", STEEL),
        (69.0, 7.4, 24.0, 10.9, f"for every {LANES} lanes of the tile", TWIN),
    )
    for x, y, wide, high, text, colour in boxes:
        axes.add_patch(
            FancyBboxPatch((x, y), wide, high, boxstyle="round,pad=0.1,rounding_size=0.8",
                           fc="white", ec=colour, lw=1.4)
        )  # fmt: skip
        axes.text(x + 1.0, y + high - 1.5, text, va="center", fontsize=9.5, color=colour)
    for k, text in enumerate(
        ("load the columns", "one straight line of operations", "store, in place")
    ):
        axes.text(81.0, 14.2 - 2.4 * k, text, ha="center", va="center", fontsize=9, color=INK)


# --- bytes and time ------------------------------------------------------------------------------

ASSETS = 1 << 20
PASSES = 15
SHARED = ("dt", "part", "parts", "inflate")  # one tile of them serves all


@dataclass(frozen=True)
class Cost:
    """What one update of one asset takes."""

    name: str
    moved: int  # bytes
    operations: int
    seconds: float


def kernels() -> Iterator[type[Kernel]]:
    """Every kernel of the library that has states."""
    for _, name, _ in pkgutil.iter_modules(library.__path__, f"{library.__name__}."):
        for item in vars(importlib.import_module(name)).values():
            own = isinstance(item, type) and issubclass(item, Kernel) and item.__module__ == name
            if own and item.layout.states:
                yield item


def cost(kernel: type[Kernel], **ranges: tuple[float, float]) -> Cost:
    """The extended filter of a kernel over a million assets, on one thread: its best pass."""
    native = Native(filters.ekf(kernel))
    some = believed(draw(kernel, ranges, 0))
    program, written = native.program, {name for name, _ in native.program.outputs}
    moved = sum(
        column.itemsize * ((name in program.inputs) + (name in written))
        for name, column in some.items()
        if name not in SHARED
    )
    columns = {
        name: shared(column[0]) if name in SHARED else np.tile(column, ASSETS // COUNT)
        for name, column in some.items()
    }
    table = native.table(columns, ASSETS)
    best = quickest(lambda: native.run(table, 0, ASSETS))
    graph, outputs = lower(program, "f")
    needed = live(graph, [symbol.index for symbol in outputs.values()])
    done = sum(graph.nodes[index].op not in ("input", "constant") for index in needed)
    return Cost(kernel.__name__, moved, done, best / ASSETS)


def quickest(work: Callable[[], Any]) -> float:
    """CPU seconds of the best of some passes: what others do on this machine hardly counts."""
    best = np.inf
    for _ in range(PASSES):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return float(best)


def memory() -> Figure:
    """Time of an update beside the time that its bytes alone take."""
    triad = Triad(threads=1)
    costs = [cost(ReferenceBearing, speed=(0.5, 1.2), load=(0.5, 1.2))]
    passes = [quickest(triad.seconds)]
    for kernel in kernels():
        costs.append(cost(kernel))
        passes.append(quickest(triad.seconds))
    byte = min(passes) / (BYTES * triad.elements)
    costs.sort(key=lambda c: c.operations)
    figure = Figure((10.0, 5.0))
    axes = figure.add_axes((0.14, 0.13, 0.68, 0.78))
    for k, c in enumerate(costs):
        colour = INK if c.name == ReferenceBearing.__name__ else STEEL
        axes.barh(k, 1e9 * c.seconds, height=0.62, color=colour)
        axes.plot([1e9 * c.moved * byte] * 2, [k - 0.42, k + 0.42], color=TWIN, lw=2.5)
        axes.annotate(
            f"{c.moved} B, {c.operations} operations", (1.02, k),
            xycoords=("axes fraction", "data"), va="center", fontsize=8, color=MUTED,
        )  # fmt: skip
    axes.set_yticks(range(len(costs)), [c.name for c in costs], fontsize=8.5)
    axes.tick_params(length=0, colors=INK)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.set_xlabel("ns of CPU an update of one asset, one thread, a million assets", fontsize=9)
    axes.set_title(
        "bar: the update (dark: the kernel of the figures)    "
        "orange: what moving its bytes takes, by STREAM's triad",
        loc="left", fontsize=9.5, color=INK,
    )  # fmt: skip
    figure.text(0.14, 0.015, machine(), fontsize=7.5, color=MUTED)
    return figure


PICTURES = {"folding": folding, "loops": loops, "memory": memory}


def main() -> None:
    style()
    wanted = sys.argv[1:]
    for name, picture in PICTURES.items():
        if not wanted or any(word in name for word in wanted):
            (IMAGES / f"engine-{name}.png").write_bytes(png(picture()))


if __name__ == "__main__":
    main()
