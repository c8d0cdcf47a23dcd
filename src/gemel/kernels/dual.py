"""Exact derivatives of plain Python and NumPy code.

Owns    the dual number: a value for every lane and its derivatives by seed, zeros left out.
Never   knows what a kernel, a filter or a fit is.

A kernel calls `np.exp(x)` on what it is given. Given floats it computes, given duals the same call
lands here (`__array_ufunc__`) and carries the derivative along (forward mode, chain rule).
A derivative that is structurally zero is never stored, so sparsity comes for free.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gemel.kernels.blame import BY_NAME, Traced, refusal
from gemel.kernels.expression import COMPOSED, check_table, locate, narrow, pick

Grad = dict[int, Any]  # seed → derivative, an array over lanes or a float that broadcasts


class Dual(Traced):
    """value + Σ grad[k] ε_k.

    >>> x = Dual(np.array([2.0]), {0: 1.0})
    >>> (3 * x**2).grad[0]
    array([12.])
    """

    __slots__ = ("grad", "value")

    def __init__(self, value: Any, grad: Grad) -> None:
        self.value, self.grad = value, grad

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        rule = _RULES.get(ufunc)
        if method != "__call__" or kwargs:
            raise refusal(f"np.{ufunc.__name__}.{method} cannot be followed", BY_NAME)
        if ufunc in COMPOSED:
            return COMPOSED[ufunc](*inputs)
        if rule is None and ufunc not in _FLAT:
            raise refusal(f"np.{ufunc.__name__} has no derivative here")
        values = [value_of(item) for item in inputs]
        result = ufunc(*values)
        if rule is None:
            return Dual(result, {})
        grad: Grad = {}
        for item, factor in zip(inputs, rule(result, *values), strict=True):
            if isinstance(item, Dual):
                for seed, part in item.grad.items():
                    term = factor(part)
                    grad[seed] = grad[seed] + term if seed in grad else term
        return Dual(result, grad)

    def __array_function__(
        self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> "Dual":
        plain = len(args) == 3 and not kwargs
        if function is np.where and plain:
            return _where(*args)
        if function is np.interp and plain:
            return _interp(*args)
        if function is np.clip and plain:
            return np.minimum(np.maximum(args[0], args[1]), args[2])  # type: ignore[no-any-return]
        raise refusal(f"np.{function.__name__} cannot be followed", BY_NAME)

    def __repr__(self) -> str:
        return f"Dual({self.value!r}, seeds {sorted(self.grad)})"


def value_of(item: Any) -> Any:
    """The value without derivatives."""
    return item.value if isinstance(item, Dual) else item


def seeded(columns: Any, first: int = 0) -> list[Dual]:
    """One dual a column of an (L, n) array, the k-th seeded by `first + k`."""
    return [Dual(part, {first + k: 1.0}) for k, part in enumerate(np.moveaxis(columns, -1, 0))]


def gradient(item: Any, seeds: int, lanes: int) -> Any:
    """Dense derivatives of one dual: (lanes, seeds)."""
    dense = np.zeros((lanes, seeds))
    if isinstance(item, Dual):
        for seed, part in item.grad.items():
            dense[:, seed] = part
    return dense


def _where(condition: Any, yes: Any, no: Any) -> Dual:
    """Selection: the derivative of the side that was taken; the dead side is never mixed in."""
    taken = value_of(condition)
    grad: Grad = {}
    yes_grad = yes.grad if isinstance(yes, Dual) else {}
    no_grad = no.grad if isinstance(no, Dual) else {}
    for seed in yes_grad.keys() | no_grad.keys():
        grad[seed] = np.where(taken, yes_grad.get(seed, 0.0), no_grad.get(seed, 0.0))
    return Dual(np.where(taken, value_of(yes), value_of(no)), grad)


def _interp(x: Any, points: Any, values: Any) -> Dual:
    """A 1-D table, clamped outside; the derivative is the slope of the piece, 0 outside."""
    (points, values), at = check_table([points], values), value_of(x)
    held = np.minimum(np.maximum(at, points[0]), points[-1])
    slope = pick(np.diff(values) / np.diff(points), locate(held, points))
    slope = np.where((at < points[0]) | (at > points[-1]), 0.0, slope)
    grad = {seed: slope * part for seed, part in x.grad.items()} if isinstance(x, Dual) else {}
    return Dual(np.interp(at, points, values), grad)


def single(item: Any) -> Any:
    """A dual, or a symbol, in the working precision."""
    if isinstance(item, Dual):
        return Dual(narrow(item.value), {seed: narrow(part) for seed, part in item.grad.items()})
    return narrow(item)


def _times(factor: Any) -> Callable[[Any], Any]:
    return lambda part: factor * part


def _same(part: Any) -> Any:
    return part


def _either(first: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """The derivative of whichever of two was taken."""
    return lambda part: np.where(first, part, 0.0), lambda part: np.where(first, 0.0, part)


def _not_0(size: Any) -> Any:
    """What to divide by where the derivative has no bound: it is taken as 0 there."""
    return np.where(size > 0, size, np.inf)


def _power(r: Any, a: Any, b: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    def by_exponent(part: Any) -> Any:
        return r * np.log(np.where(a > 0, a, 1.0)) * part

    root = isinstance(b, int | float) and 0 < b < 1
    return _times(b * r / _not_0(a) if root else b * np.power(a, b - 1.0)), by_exponent


# np.divide and not a slash: a value that is known to be 0 is a plain number.
_RULES: dict[np.ufunc, Callable[..., tuple[Callable[[Any], Any], ...]]] = {
    np.add: lambda r, a, b: (_same, _same),
    np.subtract: lambda r, a, b: (_same, np.negative),
    np.multiply: lambda r, a, b: (_times(b), _times(a)),
    np.divide: lambda r, a, b: (_times(np.divide(1.0, b)), _times(np.divide(-r, b))),
    np.power: _power,
    np.negative: lambda r, a: (np.negative,),
    np.exp: lambda r, a: (_times(r),),
    np.expm1: lambda r, a: (_times(r + 1.0),),
    np.log: lambda r, a: (_times(np.divide(1.0, a)),),
    np.log1p: lambda r, a: (_times(np.divide(1.0, 1.0 + a)),),
    np.sqrt: lambda r, a: (_times(0.5 / _not_0(r)),),
    np.sin: lambda r, a: (_times(np.cos(a)),),
    np.cos: lambda r, a: (_times(-np.sin(a)),),
    np.tan: lambda r, a: (_times(1.0 + r * r),),
    np.tanh: lambda r, a: (_times(1.0 - r * r),),
    np.arctan2: lambda r, a, b: (
        _times(b / _not_0(a * a + b * b)),
        _times(-a / _not_0(a * a + b * b)),
    ),
    np.absolute: lambda r, a: (_times(np.sign(a)),),
    np.maximum: lambda r, a, b: _either(np.greater_equal(a, b)),
    np.minimum: lambda r, a, b: _either(np.less_equal(a, b)),
}

_FLAT = {  # no derivative, and rightly so
    np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal,
    np.logical_and, np.logical_or, np.logical_not, np.bitwise_and, np.bitwise_or, np.invert,
    np.floor,
}  # fmt: skip
