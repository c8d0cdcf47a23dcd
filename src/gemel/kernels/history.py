"""A history in a person's hands, as arrays by name: checked, held, laid out for a fit.

Owns    the shapes that are taken, and what becomes of a number that is not there.
Never   reads a store: `gemel.open` does.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gemel.clock import SECOND
from gemel.errors import Invalid
from gemel.kernels.base import Kernel
from gemel.kernels.fit import Windows
from gemel.records import Bools, Floats


def windows_of(
    kernel: type[Kernel],
    assets: int,
    instants: NDArray[np.int64],
    values: Mapping[str, ArrayLike],
    warm: int = 0,
) -> Windows:
    """A history, one window an asset.

    instants (T,) ns, evenly spaced · values: input or sensor → (T, A), or (T,) for all alike
    warm: first steps that do not count; nor do those before an input was first heard. A missing
    input is held.
    Raises Invalid `fleet.uneven`, `fleet.signal`, `fleet.shape`.
    """
    layout, steps = kernel.layout, np.diff(instants)
    if len(steps) < 1 or (steps != steps[0]).any() or steps[0] <= 0:
        raise Invalid(
            "fleet.uneven",
            "a fit needs evenly spaced instants, rising",
            where=f"kernel {kernel.__name__}",
            mend="bring the history to one grid first; NaN where there is nothing",
        )
    for name in values:
        if name not in layout.inputs and name not in layout.outputs:
            raise unknown(kernel, name, [*layout.inputs, *layout.outputs])
    size = (len(instants), assets)
    whole = {}
    for name in (*layout.inputs, *layout.outputs):
        array = over_time(name, values.get(name, np.full(size[0], np.nan)), *size)
        whole[name] = np.broadcast_to(array if array.ndim > 1 else array[:, None], size)
    counts = np.arange(size[0])[:, None] >= warm
    inputs = np.zeros((*size, len(layout.inputs)))
    for k, name in enumerate(layout.inputs):
        inputs[..., k], known = held(whole[name])
        counts = counts & known
    readings = np.stack([whole[name] for name in layout.outputs], -1).astype(np.float64)
    weight = np.isfinite(readings) & counts[..., None]
    dt = float(steps[0]) / SECOND
    return Windows(inputs, np.where(weight, readings, 0.0), weight, np.arange(assets), dt, assets)


def over_time(name: str, value: ArrayLike, steps: int, assets: int) -> NDArray[Any]:
    """(T,) or (T, A) as it is. Raises Invalid `fleet.shape`."""
    array = np.asarray(value)
    if array.shape not in ((steps,), (steps, assets)):
        raise misshapen(name, array.shape, f"({steps},) or ({steps}, {assets})")
    return array


def held(values: NDArray[Any]) -> tuple[Floats, Bools]:
    """A missing number (T, A) held at the last one, before the first at the first; and where there
    was one by then.

    >>> held(np.array([[np.nan], [2.0], [np.nan]]))[0].ravel().tolist()
    [2.0, 2.0, 2.0]
    """
    there = np.isfinite(values)
    last = np.maximum.accumulate(np.where(there, np.arange(len(values))[:, None], -1), axis=0)
    found = np.take_along_axis(values, np.where(last < 0, np.argmax(there, axis=0), last), axis=0)
    return np.where(there.any(axis=0), found, 0.0), last >= 0


def misshapen(name: str, shape: tuple[int, ...], wanted: str) -> Invalid:
    """An array of another shape than is taken."""
    return Invalid(
        "fleet.shape",
        f"'{name}' has the shape {shape}, and {wanted} is wanted",
        where="values",
        mend="give one number, or one for every asset in row order: list(fleet)",
    )


def unknown(kernel: type[Kernel], name: str, known: Iterable[str]) -> Invalid:
    """A name that the kernel does not declare."""
    return Invalid(
        "fleet.signal",
        f"there is no '{name}'",
        where=f"kernel {kernel.__name__}",
        mend=f"declared are: {', '.join(known) or 'none'}",
    )
