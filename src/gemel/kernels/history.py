"""A history in a person's hands, as arrays by name: checked, held, laid out for a fit.

Owns    the shapes that are taken, and what becomes of a number that is not there.
Never   reads a store: `gemel.open` does.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gemel.clock import SECOND
from gemel.errors import Invalid
from gemel.kernels.base import Kernel
from gemel.kernels.fit import Windows
from gemel.kernels.given import check_names, numbers, there
from gemel.kernels.times import instants_of
from gemel.records import Bools, Floats


def history_of(
    kernel: type[Kernel], assets: int, instants: ArrayLike, values: Mapping[str, ArrayLike]
) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Instants (T,) ns, each after the one before it, and by name (T, A), or (T,) for all alike.

    values: input or sensor → one number, (T,) or (T, A)
    Raises Invalid `time.unreadable`, `fleet.order`, `fleet.signal`, `fleet.shape`, `fleet.number`.
    """
    at = instants_of(instants)
    if (late := np.flatnonzero(np.diff(at) <= 0)).size:
        raise Invalid(
            "fleet.order",
            f"instant {int(late[0]) + 1} is not after the one before it",
            where="instants",
            mend="sort the history by time, and leave one row of each instant",
        )
    layout, whole, steps = kernel.layout, {}, (len(at),)
    check_names(kernel, values, layout.inputs | layout.outputs)
    for name, value in values.items():
        array = numbers(name, value, (), steps, (*steps, assets))
        whole[name] = array if array.ndim else np.broadcast_to(array, steps)
    return at, whole


def windows_of(
    kernel: type[Kernel],
    assets: int,
    instants: ArrayLike,
    values: Mapping[str, ArrayLike],
    warm: int = 0,
) -> Windows:
    """A history, one window an asset.

    instants (T,) ns, evenly spaced · values: input or sensor → (T, A), or (T,) for all alike
    warm: first steps that do not count; nor do those before an input was first heard. A missing
    input is held.
    Raises as `history_of`, and Invalid `fleet.uneven`.
    """
    at, given = history_of(kernel, assets, instants, values)
    layout, steps = kernel.layout, np.diff(at)
    if len(steps) < 1 or (steps != steps[0]).any():
        raise Invalid(
            "fleet.uneven",
            "a fit needs evenly spaced instants, rising",
            where=f"kernel {kernel.__name__}",
            mend="bring the history to one grid first; NaN where there is nothing",
        )
    size = (len(at), assets)
    whole = {}
    for name in (*layout.inputs, *layout.outputs):
        array = given.get(name, np.full(size[0], np.nan))
        whole[name] = np.broadcast_to(array if array.ndim > 1 else array[:, None], size)
    counts = np.arange(size[0])[:, None] >= warm
    inputs = np.zeros((*size, len(layout.inputs)))
    for k, name in enumerate(layout.inputs):
        inputs[..., k], known = held(whole[name])
        counts = counts & known
    readings = np.stack([whole[name] for name in layout.outputs], -1).astype(np.float64)
    weight = there(readings) & counts[..., None]
    dt = float(steps[0]) / SECOND
    return Windows(inputs, np.where(weight, readings, 0.0), weight, np.arange(assets), dt, assets)


def held(values: NDArray[Any]) -> tuple[Floats, Bools]:
    """A missing number (T, A) held at the last one, before the first at the first; and where there
    was one by then.

    >>> held(np.array([[np.nan], [2.0], [np.nan]]))[0].ravel().tolist()
    [2.0, 2.0, 2.0]
    """
    known = there(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values))[:, None], -1), axis=0)
    found = np.take_along_axis(values, np.where(last < 0, np.argmax(known, axis=0), last), axis=0)
    return np.where(known.any(axis=0), found, 0.0), last >= 0
