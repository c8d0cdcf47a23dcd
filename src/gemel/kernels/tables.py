"""Tables over two arguments, for numbers, columns, duals and traced values alike.

Owns    the bilinear table.
Never   knows what a value stands for. One argument has `np.interp`.
"""

from typing import Any

import numpy as np

from gemel.kernels.dual import value_of
from gemel.kernels.expression import check_table, locate, note_outside, pick


def interp2(x: Any, y: Any, xs: Any, ys: Any, values: Any) -> Any:
    """A table over x and y, bilinear between its points, held at its edge outside them.

        z = (1 − s)(1 − t) v[i][j] + s (1 − t) v[i+1][j] + (1 − s) t v[i][j+1] + s t v[i+1][j+1]
        s = (x − xs[i]) / (xs[i+1] − xs[i]),  t = (y − ys[j]) / (ys[j+1] − ys[j])

    x, y: where, in the units of the points · xs (m,), ys (n,): points, rising
    values (m, n): `values[i][j]` at xs[i], ys[j]
    Its derivative is the slope of the patch, and 0 along an argument that is outside. A filter
    flags the row whose table was asked outside its points.

    Raises `kernel.table` when points do not rise, or the values do not fit them.

    >>> efficiency = [[0.5, 0.6], [0.7, 0.9]]
    >>> float(round(interp2(15.0, 2.0, [10, 20], [1, 3], efficiency), 3))
    0.675
    >>> float(interp2(99.0, 9.0, [10, 20], [1, 3], efficiency))
    0.9
    """
    xs, ys, values = check_table([xs, ys], values)
    i, s = _place(x, xs)
    j, t = _place(y, ys)
    corner = i * float(len(ys)) + j
    flat = values.ravel()

    def at(further: int) -> Any:
        """The corner's value, or a neighbour's; past the end there is no corner to ask it for."""
        return pick(np.append(flat[further:], np.zeros(further)), corner)

    low = at(0) + s * (at(len(ys)) - at(0))
    high = at(1) + s * (at(len(ys) + 1) - at(1))
    return low + t * (high - low)


def _place(x: Any, points: Any) -> tuple[Any, Any]:
    """The piece of an axis that x lies in, and how far along it: 0 at its start, 1 at its end."""
    note_outside(value_of(x), points)
    held = np.minimum(np.maximum(x, points[0]), points[-1])
    k = locate(value_of(held), points)
    return k, (held - pick(points[:-1], k)) / pick(np.diff(points), k)
