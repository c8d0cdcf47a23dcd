"""The belief of a fleet about its states, moved by one frame: predict, then correct.

Owns    how an `Estimate` is laid out for the compiled filter, and how it comes back.
Never   lets a NaN in: a missing reading is a mask, and a row without inputs does not move.

The mathematics is one asset's, in `kernels/filters.py`; here are all rows of a fleet.
"""

from typing import Any

import numpy as np

from gemel.clock import SECOND
from gemel.kernels import filters, pace
from gemel.kernels.base import Kernel
from gemel.kernels.native import Native, padded, shared
from gemel.kernels.program import once
from gemel.records import Bools, Estimate, Floats, Instants

STALE = 10.0  # process noise of a row whose inputs are stale, in variances


def blank(kernel: type[Kernel], count: int) -> Estimate:
    """An estimate of `count` rows that have not begun: instant 0."""
    states, outputs = len(kernel.layout.states), len(kernel.layout.outputs)
    return Estimate(
        instant=np.zeros(count, np.int64),
        mean=np.zeros((count, states)),
        cov=np.zeros((count, states, states)),
        foreseen=np.zeros((count, outputs)),
        innovation=np.zeros((count, outputs)),
        innovation_var=np.ones((count, outputs)),
        mask=np.zeros((count, outputs), np.bool_),
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
    A row that is not ready keeps its estimate; one that begins starts at `initial`. A row whose
    numbers are no longer finite begins anew, and its NIS says that it is out of step.
    """
    cls = type(kernel)
    layout, native = cls.layout, compiled(cls)
    count = len(last.instant)
    lanes = padded(count)
    begun = last.instant > 0
    unit, diagonal = factored(last.cov)
    columns: dict[str, Any] = {n: np.zeros(lanes, kind) for n, kind in native.columns.items()}
    _fill(columns, "x", layout.states, last.mean)
    _fill(columns, "D", layout.states, diagonal.T)
    _fill(columns, "u", layout.inputs, u)
    _fill(columns, "p", layout.parameters, p)
    _fill(columns, "y", layout.outputs, y)
    _fill(columns, "seen", layout.outputs, y_mask & np.isfinite(y))
    names = list(layout.states)
    for j, b in enumerate(names):
        for i, a in enumerate(names[:j]):
            _put(columns, f"U.{a}.{b}", unit[i, j])
    dt = elapsed(last.instant, instant, begun & ready)
    parts = _parts(cls, columns, dt)
    _put(columns, "dt", np.where(begun, dt, -1.0))
    _put(columns, "parts", np.where(ready, parts, 0.0))
    _put(columns, "inflate", np.where(stale, STALE, 1.0))
    most = int(np.max(parts, initial=1.0, where=ready))
    columns["part"] = np.arange(most, dtype=np.float64)[:, None] + shared(0.0, np.float64)
    native.apply(columns, lanes, (0, most))
    keep = ready[:, None]
    told = {
        part: _taken(columns, part, layout.outputs, count)
        for part in ("foreseen", "innovation", "innovation_var")
    }
    mask = y_mask & keep & np.isfinite(told["foreseen"])
    return Estimate(
        instant=np.where(ready, instant, last.instant),
        mean=_taken(columns, "x", layout.states, count),
        cov=np.where(keep[..., None], covariance(columns, names, count), last.cov),
        foreseen=np.where(keep, told["foreseen"], last.foreseen),
        innovation=np.where(mask, told["innovation"], 0.0),
        innovation_var=np.where(keep, told["innovation_var"], last.innovation_var),
        mask=mask,
        nis=np.where(ready, columns["nis"][:count], 0.0) if "nis" in columns else np.zeros(count),
    )


@once
def compiled(kernel: type[Kernel]) -> Native:
    """The filter that the flow runs: with evidence, in float64."""
    return Native(filters.ekf(kernel, evidence=True), "d")


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
    left = cov.transpose(1, 2, 0).copy()  # component-major: the rows of a fleet lie side by side
    count = len(left)
    unit, diagonal = np.zeros_like(left), np.zeros(left.shape[1:])
    for j in reversed(range(count)):
        diagonal[j] = np.maximum(left[j, j], 0.0)
        unit[j, j] = 1.0
        safe = np.where(diagonal[j] > 0.0, diagonal[j], np.inf)
        for i in range(j):
            unit[i, j] = left[i, j] / safe
            for k in range(i + 1):
                left[k, i] -= unit[k, j] * unit[i, j] * diagonal[j]
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


def _fill(columns: dict[str, Any], part: str, names: Any, values: Any) -> None:
    """(A, n) → n columns, those that the program reads."""
    for k, name in enumerate(names):
        _put(columns, f"{part}.{name}", values[:, k])


def _put(columns: dict[str, Any], name: str, values: Any) -> None:
    if name in columns:
        columns[name][: len(values)] = values


def _taken(columns: dict[str, Any], part: str, names: Any, count: int) -> Floats:
    """n columns → (A, n)."""
    if not len(names):
        return np.zeros((count, 0))
    return np.stack([columns[f"{part}.{name}"][:count] for name in names], -1).astype(np.float64)
