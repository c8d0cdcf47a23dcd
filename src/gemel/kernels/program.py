"""A program: a traced piece of mathematics with named columns in and out.

Owns    which columns it reads and writes, and what it is called by: the hash of its graph.
Never   runs by itself: `run` is the reference in NumPy, `native` compiles it.

A program is run over lanes (assets, windows, paths) and, inside, over steps. An output that has the
name of an input replaces it: that is how a state is carried, and how it is updated in place.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from gemel.kernels.expression import Graph, Node, evaluate, live

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Program:
    """nodes in order · outputs: name → node · kinds: name → kind of every column

    uniform: columns that hold one number a step, the same for all lanes
    """

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[tuple[str, int], ...]
    kinds: tuple[tuple[str, str], ...]
    uniform: frozenset[str] = frozenset()

    @staticmethod
    def of(
        name: str,
        graph: Graph,
        outputs: dict[str, Any],
        kinds: dict[str, str] | None = None,
        uniform: Iterable[str] = (),
    ) -> "Program":
        """What is live of a graph, numbered anew; kinds say how a written column is stored."""
        kinds = kinds or {}
        symbols = {}
        for key, item in outputs.items():
            symbol = graph.symbol(item)
            wanted = kinds.get(key, "b" if symbol.kind == "b" else "f")
            if symbol.kind != wanted and "b" not in (symbol.kind, wanted):
                known = symbol.known
                symbol = (
                    graph.add("cast", (symbol.index,), wanted)
                    if known is None
                    else graph.constant(known, wanted)
                )
            symbols[key] = symbol
        order = live(graph, [s.index for s in symbols.values()])
        number = {old: new for new, old in enumerate(order)}
        nodes = tuple(
            graph.nodes[old]._replace(args=tuple(number[a] for a in graph.nodes[old].args))
            for old in order
        )
        used = {node.value: node.kind for node in nodes if node.op == "input"}
        used |= {key: symbol.kind for key, symbol in symbols.items()}
        return Program(
            name,
            nodes,
            tuple((key, number[symbol.index]) for key, symbol in symbols.items()),
            tuple(used.items()),
            frozenset(uniform) & (set(used) - set(symbols)),
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        return tuple(node.value for node in self.nodes if node.op == "input")

    @property
    def operations(self) -> int:
        """How many nodes compute something."""
        return sum(node.op not in ("input", "constant") for node in self.nodes)

    @property
    def hash(self) -> str:
        """SHA-256 over nodes and columns: equal programs are called the same."""
        text = repr((self.nodes, self.outputs, self.kinds, sorted(self.uniform)))
        return hashlib.sha256(text.encode()).hexdigest()

    def run(self, inputs: dict[str, Any], *, real: Any = np.float64, step: int = 0) -> Any:
        """Name → array of every output, by NumPy: the reference of every other back end."""
        graph = Graph([*self.nodes])
        roots = [index for _, index in self.outputs]
        values = evaluate(graph, roots, inputs | {"step": step}, real=real)
        return {name: value for (name, _), value in zip(self.outputs, values, strict=True)}


def once(make: Callable[P, T]) -> Callable[P, T]:
    """Traced and compiled once for the same kernel and choices, and remembered."""
    made: dict[Any, T] = {}

    @wraps(make)
    def remembered(*args: P.args, **choices: P.kwargs) -> T:
        key = (args, tuple(sorted(choices.items())))
        if key not in made:
            made[key] = make(*args, **choices)
        return made[key]

    return remembered
