"""The belief of a fleet about its states, moved by one frame: predict, then correct.

Owns    how an `Estimate` is laid out for the compiled filter, and how it comes back.
Never   lets a NaN in: a missing reading is a mask, and a row without inputs does not move.

The mathematics is one asset's, in `kernels/filters.py`; here are all rows of a fleet.
"""

from functools import partial
from typing import Any

import numpy as np

from gemel.clock import SECOND
from gemel.kernels import filters, pace
from gemel.kernels.base import Kernel, Layout
from gemel.kernels.native import Native, padded, shared
from gemel.kernels.program import once
from gemel.records import Bools, Estimate, Floats, Instants

STALE = 10.0  # process noise of a row whose inputs are stale, in variances


def blank(kernel: type[Kernel], count: int) -> Estimate:
    """An estimate of `count` rows that have not begun: instant 0."""
    states, outputs = len(kernel.layout.states), len(kernel.layout.outputs)
    return Estimate(
        instant=np.zeros(count, np.int64),
        mean=_room((count, states)),
        cov=_room((count, states, states)),
        foreseen=_room((count, outputs)),
        innovation=_room((count, outputs)),
        innovation_var=_room((count, outputs)) + 1.0,
        mask=np.zeros((count, outputs), np.bool_, order="F"),
        nis=np.zeros(count),
    )


def update(
    kernel: Kernel,
    last: Estimate,
    instant: int,
    u: Floats,
    ready: Bools,
    stale: Bools,
    y: Floats,
    y_mask: Bools,
    p: Floats,
) -> Estimate:
    """The estimate at `instant`, after predict and correct.

    u (A,U) inputs · ready (A,) the row has all its inputs · stale (A,) one of them is too old
    y (A,Y) readings · y_mask (A,Y) which are there · p (A,P) parameters
    `last` is given away: what it believed is moved on where it lies.
    A row that is not ready keeps its estimate; one that begins starts at `initial`. A row whose
    numbers are no longer finite begins anew, and its NIS says that it is out of step.
    """
    cls = type(kernel)
    layout, native = cls.layout, compiled(cls)
    lanes = padded(len(last.instant))
    begun = last.instant > 0
    new = _moved(last, lanes)
    columns = columns_of(layout, new.mean, new.cov, u, p)
    for part, outputs, values in (
        ("y", layout.outputs, y),
        ("seen", layout.outputs, y_mask & np.isfinite(y)),
        ("foreseen", layout.outputs, new.foreseen),
        ("innovation", layout.outputs, new.innovation),
        ("innovation_var", layout.outputs, new.innovation_var),
    ):
        for k, name in enumerate(outputs):
            columns[f"{part}.{name}"] = values[:, k]
    dt = elapsed(last.instant, instant, begun & ready)
    columns |= {"nis": new.nis, "dt": np.where(begun, dt, -1.0)}
    columns["inflate"] = np.where(stale, STALE, 1.0)
    columns = {name: whole(columns.get(name), lanes, kind) for name, kind in native.columns.items()}
    parts = np.where(ready, _parts(cls, columns, dt), 0.0)
    columns["parts"] = whole(parts, lanes, np.float64)
    most = int(np.max(parts, initial=1.0))
    columns["part"] = np.arange(most, dtype=np.float64)[:, None] + shared(0.0, np.float64)
    native.apply(columns, lanes, (0, most))
    return _told(last, new, instant, ready, y_mask)


def columns_of(layout: Layout, mean: Floats, cov: Floats, u: Floats, p: Floats) -> dict[str, Any]:
    """x.*, P.*.* (upper), u.* and p.* as they lie in (A,X), (A,X,X), (A,U) and (A,P)."""
    columns: dict[str, Any] = {}
    for part, names, values in (
        ("x", layout.states, mean),
        ("u", layout.inputs, u),
        ("p", layout.parameters, p),
    ):
        columns |= {f"{part}.{name}": values[:, k] for k, name in enumerate(names)}
    states = list(layout.states)
    for j, b in enumerate(states):
        columns |= {f"P.{a}.{b}": cov[:, i, j] for i, a in enumerate(states[: j + 1])}
    return columns


def _moved(last: Estimate, lanes: int) -> Estimate:
    """The belief, which the program moves where it lies, and room for what it tells: whole lanes.

    An array (A, n) lies column by column, so that the program takes its columns as they are.
    """
    rows, outputs = len(last.instant), last.foreseen.shape[1]
    room = _room if rows < lanes else partial(np.empty, order="F")
    mean, cov = _whole_lanes(last.mean, lanes), _whole_lanes(last.cov, lanes)
    foreseen, innovation, spread = (room((lanes, outputs)) for _ in range(3))
    return Estimate(
        last.instant, mean, cov, foreseen, innovation, spread, last.mask, np.zeros(lanes)
    )


def _whole_lanes(array: Floats, lanes: int) -> Floats:
    """The room of so many lanes in which an array lies column by column; else a copy that does."""
    room = array if len(array) == lanes else array.base
    if isinstance(room, np.ndarray) and room.shape == (lanes, *array.shape[1:]):
        if room.flags.f_contiguous and room.ctypes.data == array.ctypes.data:
            return room
    room = _room((lanes, *array.shape[1:]))
    room[: len(array)] = array
    return room


def _room(shape: tuple[int, ...]) -> Floats:
    return np.zeros(shape, order="F")


def whole(column: Any, lanes: int, kind: Any) -> Any:
    """A column as the program takes it: as it lies where that will do, else a copy."""
    if column is None:
        return np.zeros(lanes, kind)
    lies = column.strides[0] == column.itemsize and column.dtype == kind
    if len(column) == lanes and lies:
        return column
    whole = np.zeros(lanes, kind)
    whole[: len(column)] = column
    return whole


def _told(last: Estimate, new: Estimate, instant: int, ready: Bools, y_mask: Bools) -> Estimate:
    """The new estimate, whole: rows that are not ready keep what they had."""
    rows, states = len(last.instant), new.mean.shape[1]
    for j in range(states):
        for i in range(j):
            new.cov[:, j, i] = new.cov[:, i, j]
    mean, cov, foreseen, innovation, spread = (
        getattr(new, part)[:rows]
        for part in ("mean", "cov", "foreseen", "innovation", "innovation_var")
    )
    mask = y_mask & np.isfinite(foreseen)
    nis = new.nis[:rows]
    at = np.full(rows, instant)
    if not ready.all():
        idle = ~ready
        mask &= ready[:, None]
        at[idle], nis[idle] = last.instant[idle], 0.0
        foreseen[idle], spread[idle] = last.foreseen[idle], last.innovation_var[idle]
    if not mask.all():
        innovation[~mask] = 0.0
    return Estimate(at, mean, cov, foreseen, innovation, spread, mask, nis)


@once
def compiled(kernel: type[Kernel]) -> Native:
    """The filter that the flow runs: with evidence, in float64."""
    return Native(filters.ekf(kernel, evidence=True, plain=True), "d")


@once
def _rates(kernel: type[Kernel]) -> Native | None:
    program = pace.rates(kernel)
    return Native(program, "d") if program else None


def _parts(kernel: type[Kernel], columns: dict[str, Any], dt: Floats) -> Floats:
    """Sub-steps of every row: (A,). A row that has been silent too long takes one."""
    rate: Any = 0.0
    native = _rates(kernel)
    if native is not None:
        lanes = len(next(iter(columns.values())))
        found = {name: columns.get(name, np.zeros(lanes, kind)) for name, kind in
                 native.columns.items()}  # fmt: skip
        native.apply(found, lanes)
        rate = found["rate"][: len(dt)]
    silent = dt > filters.silence(kernel)
    return np.where(silent, 1.0, pace.substeps(kernel, dt, rate))


def factored(cov: Floats) -> tuple[Floats, Floats]:
    """P = U D Uᵀ: (A,X,X) → U (X,X,A) unit upper triangular, D (X,A). No variance, no U."""
    rows, count = cov.shape[:2]
    found = filters.Factors.of([list(row) for row in cov.transpose(1, 2, 0).copy()])
    unit, diagonal = np.zeros((count, count, rows)), np.zeros((count, rows))
    for j in range(count):
        diagonal[j], unit[j, j] = found.diagonal[j], 1.0
        for i in range(j):
            unit[i, j] = found.unit[i][j]
    return unit, diagonal


def covariance(columns: dict[str, Any], names: list[str], count: int) -> Floats:
    """P (A,X,X) of the factors in columns U.*.* and D.*."""
    size = len(names)
    out = np.zeros((size, size, count))
    for k, c in enumerate(names):
        diagonal = columns[f"D.{c}"][:count]
        unit = [columns[f"U.{a}.{c}"][:count] for a in names[:k]]
        for i, above in enumerate(unit):
            scaled = above * diagonal
            for j in range(i + 1):
                out[j, i] += unit[j] * scaled
            out[i, k] += scaled
        out[k, k] += diagonal
    for i in range(size):
        for j in range(i):
            out[i, j] = out[j, i]
    return np.ascontiguousarray(out.transpose(2, 0, 1))


def elapsed(since: Instants, instant: int, rows: Bools) -> Floats:
    """Seconds from each row's instant to `instant`, subtracted in int64; 0 for other rows."""
    return np.where(rows, np.maximum(instant - since, 0), 0) / SECOND
