"""What a kernel is called: its name, its version, and a hash of what it computes.

Owns    the hash, over the declarations and the traced graph of every method.
Never   looks at how the code is written: a comment, a helper or a renamed variable changes nothing,
        a constant does.
"""

import ast
import hashlib
import inspect
import textwrap
from typing import Any

from gemel.errors import Invalid
from gemel.kernels import lanes
from gemel.kernels.base import Kernel
from gemel.kernels.expression import Graph
from gemel.kernels.program import Program, once


@once
def identity(kernel: type[Kernel]) -> str:
    """`name version hash`.

    Two kernels that compute the same are the same, however they are written:

    >>> from gemel.kernels.library.expected_temperature import ExpectedTemperature
    >>> class Likewise(ExpectedTemperature):
    ...     def sense(self, x, u, p):
    ...         return {"temperature": p.intercept + u.speed * p.slope}
    >>> identity(Likewise).split()[2] == identity(ExpectedTemperature).split()[2]
    True
    """
    told = repr((kernel.layout, kernel.max_step, kernel.integrator))
    try:
        told += physics(kernel).hash
    except Invalid:  # it cannot be traced; what it is written as must do
        told += "".join(_syntax(base) for base in kernel.__mro__[:-1] if base is not Kernel)
    return f"{kernel.__name__} {kernel.version} {hashlib.sha256(told.encode()).hexdigest()[:12]}"


def physics(kernel: type[Kernel]) -> Program:
    """Every method of a kernel, traced as it is written: nothing integrated or differentiated.

    Raises `kernel.not_traceable` with the author's line.
    """
    layout, graph, instance = kernel.layout, Graph(), kernel()
    kinds = {f"x.{n}": "d" if item.precise else "f" for n, item in layout.states.items()}
    x = [graph.input(f"x.{name}", kinds[f"x.{name}"]) for name in layout.states]
    u = [graph.input(f"u.{name}") for name in layout.inputs]
    p = [graph.input(f"p.{name}") for name in layout.parameters]
    named = lanes.named(layout.inputs, u), lanes.named(layout.parameters, p)
    told: dict[str, Any] = {}
    if hasattr(kernel, "step"):
        step = instance.step  # type: ignore[attr-defined]  # the author's: checked at declaration
        moved = step(lanes.named(layout.states, x), *named, graph.input("dt"))
        told |= {f"step.{name}": value for name, value in moved.items()}
    elif layout.states:
        rates = lanes.slopes(instance, *named)(x)
        told |= dict(zip((f"flow.{name}" for name in layout.states), rates, strict=True))
    begun = lanes.begin(instance, u, p)
    told |= dict(zip((f"initial.{name}" for name in layout.states), begun, strict=True))
    read = lanes.sense(instance, x, u, p)
    told |= dict(zip((f"sense.{name}" for name in layout.outputs), read, strict=True))
    told |= {f"limits.{m}": v for m, v in lanes.limits(instance, x, u, p).items()}
    return Program.of(kernel.__name__, graph, told, dict.fromkeys(told, "d"))


def _syntax(cls: Any) -> str:
    """The syntax tree of a class, without docstrings: comments and layout do not count."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        methods = ("flow", "step", "sense", "limits", "initial")
        parts = [vars(cls)[name] for name in methods if name in vars(cls)]
        return "".join(f"{f.__code__.co_code!r}{f.__code__.co_consts!r}" for f in parts)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            if isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
                body.pop(0)
    return ast.dump(tree)
