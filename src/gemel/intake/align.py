"""Put samples of many rates on one grid: one frame an instant, a gap stays a gap.

Owns    the grid of every fleet, what is still open on it, and the hold of missing inputs.
Never   invents a reading: a sensor without a sample in its interval is masked.

An instant t of the grid stands for (t − every, t]. It stays open for `lateness` on the plant's
clock, then closes for good; the last good sample of the interval is its value.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.records import CORRECTION, GOOD, STORED, Bools, Floats, Frame, Instants, Judged


@dataclass(frozen=True)
class Grid:
    """How one fleet's cells are fed.

    ports: slot → [(row, column)] as three parallel arrays sorted by slot; `factor`, `offset` turn
    the interface's unit into the kernel's: (S,) per column. constant (A,S): NaN, or a property.
    """

    binding: str
    every: int
    slots: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    factor: Floats
    offset: Floats
    inputs: int
    constant: Floats


@dataclass
class GridMemory:
    """Open instants: end → (value (A,S), instant (A,S), 0 = none); held (A,S), held_at (A,S)."""

    held: Floats
    held_at: Instants
    open: dict[int, tuple[Floats, Instants]] = field(default_factory=dict)

    @staticmethod
    def blank(grid: Grid) -> "GridMemory":
        return GridMemory(np.zeros_like(grid.constant), np.zeros(grid.constant.shape, np.int64))


def feed(grid: Grid, memory: GridMemory, judged: Judged) -> None:
    """Put the good samples of one entry into the open instants of the grid."""
    usable = (judged.quality == GOOD) & ((judged.fate == STORED) | (judged.fate == CORRECTION))
    usable &= judged.slot >= 0
    if not usable.any():
        return
    slot, instant, value = judged.slot[usable], judged.instant[usable], judged.value[usable]
    sample, port = _ports(grid, slot)
    if (np.diff(instant) < 0).any():  # of two in one interval the later stays
        order = np.argsort(instant[sample], kind="stable")
        sample, port = sample[order], port[order]
    row, column, at = grid.rows[port], grid.columns[port], instant[sample]
    cell = value[sample] * grid.factor[column] + grid.offset[column]
    ends = -(-at // grid.every) * grid.every
    cuts = [0, *(1 + np.flatnonzero(np.diff(ends))).tolist(), len(ends)]
    for begin, stop in pairwise(cuts if len(ends) else []):
        values, instants = _opened(grid, memory, int(ends[begin]))
        r, c, t, v = (part[begin:stop] for part in (row, column, at, cell))
        newer = t >= instants[r, c]
        if not newer.all():
            r, c, t, v = r[newer], c[newer], t[newer], v[newer]
        values[r, c], instants[r, c] = v, t


def _ports(grid: Grid, slot: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which sample feeds which port; a slot may feed several, or none."""
    first = np.searchsorted(grid.slots, slot, "left")
    count = np.searchsorted(grid.slots, slot, "right") - first
    if (count == 1).all():
        return np.arange(len(slot)), first
    sample = np.repeat(np.arange(len(slot)), count)
    port = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(len(sample))
    return sample, port


def _opened(grid: Grid, memory: GridMemory, end: int) -> tuple[Floats, Instants]:
    if end not in memory.open:
        shape = grid.constant.shape
        memory.open[end] = (np.zeros(shape), np.zeros(shape, np.int64))
    return memory.open[end]


def close(grid: Grid, memory: GridMemory, closed: int) -> list[Frame]:
    """The frames of every open instant at or before `closed`, in order."""
    frames = []
    for end in sorted(end for end in memory.open if end <= closed):
        values, instants = memory.open.pop(end)
        fresh = instants > 0
        newer = fresh & (instants >= memory.held_at)
        memory.held = np.where(newer, values, memory.held)
        memory.held_at = np.where(newer, instants, memory.held_at)
        frames.append(_frame(grid, memory, end, values, fresh))
    return frames


def _frame(grid: Grid, memory: GridMemory, end: int, values: Floats, fresh: Bools) -> Frame:
    """Inputs may be held, sensors may not; a property is always there."""
    fixed = np.isfinite(grid.constant)
    held = (memory.held_at > 0) & (np.arange(fresh.shape[1]) < grid.inputs)
    mask = fresh | held | fixed
    value = np.where(fresh, values, np.where(held, memory.held, 0.0))
    age = np.where(mask & ~fixed, (end - memory.held_at) / SECOND, 0.0)
    return Frame(grid.binding, end, np.where(fixed, np.nan_to_num(grid.constant), value), mask, age)
