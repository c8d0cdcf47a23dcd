"""Scalar mathematics as data: the graph that a kernel is traced to.

Owns    the nodes, their folding (a node is made once, constants and neutral elements vanish), and
        their meaning, as NumPy evaluates it.
Never   knows what a kernel, a filter or a processor is.

A `Symbol` stands for one number of one asset. NumPy's functions and Python's operators on symbols
land here (`__array_ufunc__`) and add nodes; what comes out is a straight line of operations.

    kind   f  real, in the working precision     d  real, always float64
           b  truth                              k  a 64-bit word (random streams)

A structural zero is a number, not a node: 0·x is 0 and x + 0 is x, so derivatives that vanish cost
nothing.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from gemel.errors import Invalid
from gemel.kernels.blame import BY_NAME, Traced, refusal

MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15)  # SplitMix64


class Node(NamedTuple):
    """One operation on earlier nodes. `value`: a constant, an input's name, a table."""

    op: str
    args: tuple[int, ...]
    kind: str
    value: Any = None


@dataclass(eq=False)
class Graph:
    """Nodes in order: each reads only those before it. `outside`: table arguments out of range."""

    nodes: list[Node] = field(default_factory=list)
    outside: list[int] = field(default_factory=list)
    _made: dict[Node, int] = field(default_factory=dict, repr=False)

    def add(self, op: str, args: tuple[int, ...], kind: str, value: Any = None) -> "Symbol":
        """The symbol of a node, made once."""
        node = Node(op, args, kind, value)
        index = self._made.get(node)
        if index is None:
            index = self._made[node] = len(self.nodes)
            self.nodes.append(node)
        return Symbol(self, index)

    def input(self, name: str, kind: str = "f") -> "Symbol":
        """A number that is handed in: a column of the fleet."""
        return self.add("input", (), kind, name)

    def constant(self, value: Any, kind: str = "f") -> "Symbol":
        """A number, or a truth, that is known now."""
        if kind == "b":
            return self.add("constant", (), "b", bool(value))
        return self.add("constant", (), kind, float(value))

    def symbol(self, item: Any) -> "Symbol":
        """A symbol as it is; a number as a constant."""
        if isinstance(item, Symbol):
            if item.graph is not self:
                raise Invalid("kernel.foreign_symbol", "two traces are mixed",
                              mend="do not keep traced values between calls")  # fmt: skip
            return item
        if isinstance(item, bool | np.bool_):
            return self.constant(item, "b")
        if isinstance(item, int | float | np.integer | np.floating):
            return self.constant(item)
        if isinstance(item, np.ndarray) and item.ndim == 0:
            return self.symbol(item[()])
        raise refusal(
            f"a {type(item).__name__} was mixed with a traced value",
            "a kernel is written for one asset: use numbers, and np.interp for tables",
        )


class Symbol(Traced):
    """One traced number.

    >>> x = Graph().input("x")
    >>> (np.exp(0.0 * x) + x * 1.0).node
    Node(op='add', args=(0, 2), kind='f', value=None)
    """

    __slots__ = ("graph", "index")

    def __init__(self, graph: Graph, index: int) -> None:
        self.graph, self.index = graph, index

    @property
    def node(self) -> Node:
        return self.graph.nodes[self.index]

    @property
    def kind(self) -> str:
        return self.node.kind

    @property
    def known(self) -> Any:
        """The constant's value, or None."""
        node = self.node
        return node.value if node.op == "constant" else None

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(type(item).__name__ == "Dual" for item in inputs):
            return NotImplemented
        if method != "__call__" or kwargs or ufunc not in UFUNCS.keys() | COMPOSED.keys():
            raise refusal(f"np.{ufunc.__name__} cannot be traced")
        if ufunc in COMPOSED:
            return COMPOSED[ufunc](*(self.graph.symbol(item) for item in inputs))
        return apply(self.graph, UFUNCS[ufunc], *inputs)

    def __array_function__(
        self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if any(kind.__name__ == "Dual" for kind in types):
            return NotImplemented
        plain = len(args) == 3 and not kwargs
        if function is np.where and plain:
            return apply(self.graph, "where", *args)
        if function is np.interp and plain:
            return interp(*args)
        if function is np.clip and plain:
            return np.minimum(np.maximum(args[0], args[1]), args[2])
        raise refusal(f"np.{function.__name__} cannot be traced so", BY_NAME)

    def __repr__(self) -> str:
        return f"Symbol({self.node.op}, node {self.index})"


UFUNCS: dict[np.ufunc, str] = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.divide: "div", np.power: "pow",
    np.negative: "neg", np.exp: "exp", np.expm1: "expm1", np.log: "log", np.log1p: "log1p",
    np.sqrt: "sqrt", np.sin: "sin", np.cos: "cos", np.tan: "tan", np.tanh: "tanh",
    np.arctan2: "atan2", np.absolute: "abs", np.maximum: "max", np.minimum: "min",
    np.floor: "floor", np.greater: "gt", np.greater_equal: "ge", np.less: "lt",
    np.less_equal: "le", np.equal: "eq", np.not_equal: "ne", np.logical_and: "and",
    np.logical_or: "or", np.logical_not: "not", np.bitwise_and: "and", np.bitwise_or: "or",
    np.invert: "not",
}  # fmt: skip

COMPOSED: dict[np.ufunc, Any] = {  # by others, for symbols and duals alike
    np.positive: lambda x: x,
    np.square: lambda x: x * x,
    np.reciprocal: lambda x: 1.0 / x,
    np.float_power: lambda x, y: x**y,
    np.fabs: lambda x: abs(x),
    np.fmax: lambda x, y: np.maximum(x, y),
    np.fmin: lambda x, y: np.minimum(x, y),
    np.ceil: lambda x: -np.floor(-x),
    np.sign: lambda x: np.where(x > 0, 1.0, np.where(x < 0, -1.0, 0.0)),
    np.floor_divide: lambda x, y: np.floor(x / y),
    np.remainder: lambda x, y: x - y * np.floor(x / y),
    np.log10: lambda x: np.log(x) * 0.4342944819032518,
    np.log2: lambda x: np.log(x) * 1.4426950408889634,
    np.exp2: lambda x: np.exp(x * 0.6931471805599453),
    np.sinh: lambda x: 0.5 * (np.expm1(x) - np.expm1(-x)),
    np.cosh: lambda x: 0.5 * (np.exp(x) + np.exp(-x)),
    np.arctan: lambda x: np.arctan2(x, 1.0),
    np.arcsin: lambda x: np.arctan2(x, np.sqrt((1.0 - x) * (1.0 + x))),
    np.arccos: lambda x: np.arctan2(np.sqrt((1.0 - x) * (1.0 + x)), x),
    np.hypot: lambda x, y: np.sqrt(x * x + y * y),
    np.deg2rad: lambda x: x * 0.017453292519943295,
    np.rad2deg: lambda x: x * 57.29577951308232,
}
COMPOSED |= {np.radians: COMPOSED[np.deg2rad], np.degrees: COMPOSED[np.rad2deg]}

COMPARISONS = {"gt": "lt", "ge": "le", "lt": "lt", "le": "le", "eq": "eq", "ne": "ne"}


def apply(graph: Graph, op: str, *items: Any) -> Any:
    """The value of an operation on symbols and numbers: folded where it can be.

    Raises `kernel.not_traceable`, with the author's line, when an operand cannot be one.
    """
    args = [graph.symbol(item) for item in items]
    if op in ("gt", "ge"):
        args.reverse()
    op = COMPARISONS.get(op, op)
    if op == "where" and args[0].kind != "b":
        args[0] = graph.symbol(args[0] != 0.0)
    if op in ("and", "or", "not") and any(a.kind != "b" for a in args):
        raise refusal("& | ~ join truths, and this is a number", "compare first: (x > 0) & (x < 1)")
    known = [a.known for a in args]
    if all(value is not None for value in known) and op not in _PRIMITIVE:
        with np.errstate(all="ignore"):
            result = MEANING[op](*known)
        return graph.constant(result, _kind(op, args))
    simpler = _simpler(op, args, known)
    if simpler is not None:
        return simpler
    kind = _kind(op, args)
    if op in _ARITHMETIC:
        args = [_as(a, kind) for a in args]
    elif op == "where":
        args[1:] = [_as(a, kind) for a in args[1:]]
    elif op in COMPARISONS:
        args = [_as(a, "d" if any(b.kind == "d" for b in args) else "f") for a in args]
    if op in ("add", "mul", "and", "or", "eq", "ne") and args[0].index > args[1].index:
        args.reverse()
    return graph.add(op, tuple(a.index for a in args), kind)


def _kind(op: str, args: list[Symbol]) -> str:
    if op in COMPARISONS or op in ("and", "or", "not"):
        return "b"
    kinds = {a.kind for a in (args[1:] if op == "where" else args)}
    if kinds == {"b"}:
        return "b" if op == "where" else "f"
    return "d" if "d" in kinds else "f"


def _as(item: Symbol, kind: str) -> Symbol:
    """A symbol in another precision; a truth becomes 1 or 0."""
    if item.kind == kind:
        return item
    if item.known is not None:
        return item.graph.constant(item.known, kind)
    if item.kind == "b":
        one, zero = item.graph.constant(1.0, kind), item.graph.constant(0.0, kind)
        return item.graph.add("where", (item.index, one.index, zero.index), kind)
    if item.node.op == "cast" and item.graph.nodes[item.node.args[0]].kind == kind == "f":
        return Symbol(item.graph, item.node.args[0])
    return item.graph.add("cast", (item.index,), kind)


def narrow(item: Any) -> Any:
    """A float64 symbol in the working precision; anything else as it is."""
    return _as(item, "f") if isinstance(item, Symbol) and item.kind == "d" else item


def widen(item: Any, kind: str) -> Any:
    """A symbol in the precision of `kind`; a plain number as it is."""
    return _as(item, kind) if isinstance(item, Symbol) else item


def _simpler(op: str, args: list[Symbol], known: list[Any]) -> Any:
    """The same value with less work, or None."""
    first, rest = args[0], args[1:]
    if op == "where":
        return _simpler_where(first, rest, known)
    if op == "pow":
        return _simpler_power(args, known)
    rule = _NEUTRAL.get(op)
    if rule is None:
        return None
    return rule(args, known)


def _simpler_where(condition: Symbol, sides: list[Symbol], known: list[Any]) -> Any:
    if known[0] is not None:
        return sides[0] if known[0] else sides[1]
    return sides[0] if sides[0].index == sides[1].index else None


def _simpler_power(args: list[Symbol], known: list[Any]) -> Any:
    base: Any = args[0]
    exponent = known[1]
    if exponent is None:
        return None
    if exponent < 0 and (2.0 * exponent).is_integer() and exponent >= -16:
        return 1.0 / np.power(base, -exponent)
    if exponent == 0.5:
        return np.sqrt(base)
    if not float(2.0 * exponent).is_integer() or exponent > 16:
        return None
    if not float(exponent).is_integer():
        return np.power(base, exponent - 0.5) * np.sqrt(base)
    result: Any = 1.0
    square, left = base, int(exponent)
    while left:
        result = square * result if left & 1 else result
        square, left = (square * square if left > 1 else square), left >> 1
    return result


def _add(args: list[Symbol], known: list[Any]) -> Any:
    if known[0] == 0.0:
        return args[1]
    if known[1] == 0.0:
        return args[0]
    for a, b in ((args[0], args[1]), (args[1], args[0])):
        if b.node.op == "neg":
            return a - Symbol(b.graph, b.node.args[0])
    return None


def _sub(args: list[Symbol], known: list[Any]) -> Any:
    if known[1] == 0.0:
        return args[0]
    if known[0] == 0.0:
        return -args[1]
    if args[1].node.op == "neg":
        return args[0] + Symbol(args[1].graph, args[1].node.args[0])
    return 0.0 if args[0].index == args[1].index else None


def _mul(args: list[Symbol], known: list[Any]) -> Any:
    for value, other in zip(known, reversed(args), strict=True):
        if value == 0.0:
            return 0.0
        if value == 1.0:
            return other
        if value == -1.0:
            return -other
    negative = [a.node.op == "neg" for a in args]
    if any(negative):
        bare = [
            Symbol(a.graph, a.node.args[0]) if n else a for a, n in zip(args, negative, strict=True)
        ]
        product = bare[0] * bare[1]
        return product if all(negative) else -product
    return None


def _div(args: list[Symbol], known: list[Any]) -> Any:
    if known[0] == 0.0:
        return 0.0
    if known[1] is not None and known[1] != 0.0:
        mantissa, _ = np.frexp(known[1])
        if abs(mantissa) == 0.5:  # a power of two: its reciprocal is exact
            return args[0] * (1.0 / known[1])
    return None


def _neg(args: list[Symbol], known: list[Any]) -> Any:
    node = args[0].node
    if node.op == "neg":
        return Symbol(args[0].graph, node.args[0])
    if node.op == "sub":
        return args[0].graph.add("sub", (node.args[1], node.args[0]), node.kind)
    return None


def _and(args: list[Symbol], known: list[Any]) -> Any:
    for value, other in zip(known, reversed(args), strict=True):
        if value is not None:
            return other if value else other.graph.constant(False, "b")
    return None


def _or(args: list[Symbol], known: list[Any]) -> Any:
    for value, other in zip(known, reversed(args), strict=True):
        if value is not None:
            return other.graph.constant(True, "b") if value else other
    return None


_NEUTRAL: dict[str, Any] = {
    "add": _add, "sub": _sub, "mul": _mul, "div": _div, "neg": _neg, "and": _and, "or": _or,
}  # fmt: skip
_ARITHMETIC = {
    "add", "sub", "mul", "div", "pow", "neg", "exp", "expm1", "log", "log1p", "sqrt", "sin",
    "cos", "tan", "tanh", "atan2", "abs", "max", "min", "floor",
}  # fmt: skip


# ---- tables --------------------------------------------------------------------------------------


def locate(x: Any, points: Any) -> Any:
    """The piece of a table that x lies in: k with points[k] ≤ x, 0 ≤ k ≤ len − 2."""
    if isinstance(x, Symbol):
        grid = tuple(float(v) for v in points)
        return x.graph.add("locate", (x.index,), x.kind, grid)
    return np.clip(np.searchsorted(points, x, side="right") - 1, 0, len(points) - 2)


def pick(values: Any, k: Any) -> Any:
    """The k-th of constant values; k is never out of range."""
    if isinstance(k, Symbol):
        return k.graph.add("pick", (k.index,), k.kind, tuple(float(v) for v in values))
    return np.asarray(values)[np.asarray(k, np.int64)]


def note_outside(x: Any, points: Any) -> None:
    """Remember that a table was asked outside its points: the answer is clamped, and flagged."""
    flag = (x < float(points[0])) | (x > float(points[-1]))
    if isinstance(flag, Symbol) and flag.known is None and flag.index not in x.graph.outside:
        x.graph.outside.append(flag.index)


def interp(x: Any, points: Any, values: Any) -> Any:
    """A 1-D table, clamped outside: np.interp, for traced values too.

    Raises `kernel.table` as `check_table` does.
    """
    points, values = check_table([points], values)
    note_outside(x, points)
    at: Any = np.minimum(np.maximum(x, points[0]), points[-1])
    k = locate(at, points)
    slope = np.diff(values) / np.diff(points)
    return pick(values[:-1], k) + pick(slope, k) * (at - pick(points[:-1], k))


def check_table(axes: list[Any], values: Any) -> list[Any]:
    """The points of each axis of a table, and its values, as arrays.

    Raises `kernel.table` when points do not rise, or are not as many as the values.
    """
    *grids, values = (np.asarray(part, float) for part in (*axes, values))
    if any(g.ndim != 1 or len(g) < 2 or not (np.diff(g) > 0).all() for g in grids):
        mend = "sort them and drop repeated ones"
        raise refusal("a table needs two points or more, and they must rise", mend, "kernel.table")
    wanted = tuple(len(g) for g in grids)
    if values.shape != wanted or not np.isfinite(values).all():
        what = f"a table over {wanted} points has values {values.shape}, or not all are numbers"
        raise refusal(what, "give one finite value for every point", "kernel.table")
    return [*grids, values]


# ---- meaning -------------------------------------------------------------------------------------


def _mixed(key: Any, counter: Any) -> Any:
    """SplitMix64 of key + counter · golden ratio (Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        z = np.uint64(key) + np.asarray(counter).astype(np.uint64) * np.uint64(MIX[2])
        z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX[0])
        z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX[1])
        return z ^ (z >> np.uint64(31))


def _high(word: Any) -> Any:
    return ((word >> np.uint64(32)).astype(np.float64) + 0.5) * 2.0**-32


def _low(word: Any) -> Any:
    return ((word & np.uint64(0xFFFFFFFF)).astype(np.float64) + 0.5) * 2.0**-32


MEANING: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power,
    "neg": np.negative, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p,
    "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh,
    "atan2": np.arctan2, "abs": np.abs, "floor": np.floor,
    "max": lambda a, b: np.where(np.greater(a, b), a, b),
    "min": lambda a, b: np.where(np.less(a, b), a, b),
    "lt": np.less, "le": np.less_equal, "eq": np.equal, "ne": np.not_equal,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "where": np.where,
    "sin_turns": lambda x: np.sin(2.0 * np.pi * x),
    "cos_turns": lambda x: np.cos(2.0 * np.pi * x),
    "high": _high, "low": _low, "word": _mixed,
}  # fmt: skip
_PRIMITIVE = {"word", "high", "low"}  # of words: never folded


def live(graph: Graph, roots: list[int]) -> list[int]:
    """The nodes that the roots need, in order."""
    needed, todo = set(), list(roots)
    while todo:
        index = todo.pop()
        if index not in needed:
            needed.add(index)
            todo.extend(graph.nodes[index].args)
    return sorted(needed)


def evaluate(
    graph: Graph, roots: list[int], inputs: dict[str, Any], *, real: Any = np.float64
) -> list[Any]:
    """What the roots are, by NumPy: the reference back end.

    inputs: name → array or number · real: the working precision, float64 or float32
    """
    values: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for index in live(graph, roots):
            op, args, kind, value = graph.nodes[index]
            if op == "input":
                result = np.asarray(inputs[value])
            elif op == "constant":
                result = np.asarray(value)
            elif op == "locate":
                result = locate(values[args[0]], np.asarray(value))
            elif op == "pick":
                result = pick(value, values[args[0]])
            elif op == "cast":
                result = values[args[0]]
            elif op == "step":
                result = np.asarray(inputs["step"])
            elif op == "word":
                result = _mixed(values[args[0]], np.asarray(inputs["step"]) * 64 + value)
            else:
                result = MEANING[op](*(values[a] for a in args))
            if kind in "fd":
                result = np.asarray(result).astype(real if kind == "f" else np.float64, copy=False)
            values[index] = result
    return [values[root] for root in roots]
