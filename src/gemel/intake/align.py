"""Put samples of many rates on one grid: one frame an instant, a gap stays a gap.

Owns    the grid of every fleet, what is still open on it, and the hold of missing inputs.
Never   invents a reading: a sensor without a sample in its interval is masked.

An instant t of the grid stands for (t − every, t]. It stays open for `lateness` on the plant's
clock, then closes for good; the last good sample of the interval is its value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.records import CORRECTION, GOOD, STORED, Bools, Floats, Frame, Instants, Judged

LONG = 1_000  # samples of a list that is worth remembering
KEPT = 16


@dataclass(frozen=True)
class Grid:
    """How one fleet's cells are fed.

    ports: slot → [(row, column)] as three parallel arrays sorted by slot; `factor`, `offset` turn
    the interface's unit into the kernel's: (S,) per column. constant (A,S): NaN, or a property.
    every: ns · size: slots of the plant
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
    size: int

    @cached_property
    def begin(self) -> NDArray[np.int64]:
        """Of every slot of the plant, the first port that it feeds: (size,)."""
        return np.searchsorted(self.slots, np.arange(self.size))

    @cached_property
    def fixed(self) -> Bools:
        """The cells that a property fills: (A,S)."""
        return np.isfinite(self.constant)

    @cached_property
    def lists(self) -> "dict[int, _Targets]":
        """Where long lists of slots go, kept while they come again."""
        return {}

    @cached_property
    def several(self) -> NDArray[np.int64]:
        """Of every slot of the plant, how many ports it feeds: (size,)."""
        return np.bincount(self.slots, minlength=self.size)


@dataclass
class GridMemory:
    """Open instants: end → (value (A,S), instant (A,S), 0 = none); held (A,S), held_at (A,S).

    closed: the instant up to which the grid is closed. What is held may be the cells of the last
    frame: `close` puts other arrays in its place, and never writes into them
    """

    held: Floats
    held_at: Instants
    open: dict[int, tuple[Floats, Instants]] = field(default_factory=dict)
    closed: int = 0

    @staticmethod
    def blank(grid: Grid) -> "GridMemory":
        return GridMemory(*_cells(grid))


@dataclass(frozen=True)
class Samples:
    """Good samples, in the order in which they came: slot (N,) · instant (N,) ns · value (N,)."""

    slot: NDArray[np.int64]
    instant: Instants
    value: Floats

    @staticmethod
    def good(judged: Judged) -> "Samples":
        """Those of an entry that an estimate may use."""
        usable = (judged.quality == GOOD) & ((judged.fate == STORED) | (judged.fate == CORRECTION))
        if usable.all():
            return Samples(judged.slot, judged.instant, judged.value)
        return Samples(judged.slot[usable], judged.instant[usable], judged.value[usable])

    @staticmethod
    def joined(parts: "Sequence[Samples]") -> "Samples":
        """Several after one another."""
        columns = (
            np.concatenate([getattr(part, column.name) for part in parts])
            for column in fields(Samples)
        )
        return Samples(*columns)

    def after(self, instant: int) -> "Samples":
        """Those that are younger."""
        kept = self.instant > instant
        return (
            self if kept.all() else Samples(self.slot[kept], self.instant[kept], self.value[kept])
        )


@dataclass(frozen=True)
class _Cells:
    """Where samples go, in order of instants: row, column, end (N,), value (N,), at (N,)."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    end: Instants
    value: Floats
    at: Instants

    def part(self, where: Any) -> "_Cells":
        return _Cells(*(getattr(self, item.name)[where] for item in fields(self)))


@dataclass(frozen=True)
class _Targets:
    """Where each of some slots (N,) goes, each into one cell of its own: its place, column by
    column. plain: units are as the kernel's · columns (S,): where they fill all cells row by row,
    the columns of a row"""

    slot: NDArray[np.int64]
    place: NDArray[np.int64]
    column: NDArray[np.int64]
    plain: bool
    columns: NDArray[np.int64] | None


def feed(grid: Grid, memory: GridMemory, samples: Samples) -> tuple[NDArray[np.int64], Instants]:
    """Put good samples into the open instants of the grid.

    Returns what belongs to instants that are closed already: rows (M,), ends (M,).
    """
    if len(samples.slot) >= LONG and (samples.instant == samples.instant[0]).all():
        end = -(-int(samples.instant[0]) // grid.every) * grid.every
        targets = _targets(grid, samples.slot)
        if targets is not None and end > memory.closed:
            new = end not in memory.open
            values, instants = opened(grid, memory, end)
            if new or not instants.T.reshape(-1)[targets.place].any():
                _fill(targets, values, instants, samples, grid)
                return np.zeros(0, np.int64), np.zeros(0, np.int64)
    cells = _placed(grid, samples)
    late = cells.end <= memory.closed
    if late.any():
        lost, cells = cells.part(late), cells.part(~late)
    else:
        lost = cells.part(slice(0))
    cuts = [0, *(1 + np.flatnonzero(np.diff(cells.end))).tolist(), len(cells.end)]
    for begin, stop in pairwise(cuts if len(cells.end) else []):
        here = cells.part(slice(begin, stop))
        values, instants = opened(grid, memory, int(here.end[0]))
        newer = here.at >= instants[here.row, here.column]
        if not newer.all():
            here = here.part(newer)
        values[here.row, here.column], instants[here.row, here.column] = here.value, here.at
    return lost.row, lost.end


def _targets(grid: Grid, slot: NDArray[np.int64]) -> _Targets | None:
    """Of a list of slots, where each goes; None where one goes nowhere, or to several cells."""
    found = grid.lists.get(id(slot))
    if found is None or found.slot is not slot:
        sample, port = _ports(grid, slot)
        column = grid.columns[port]
        place = column * len(grid.constant) + grid.rows[port]
        once = len(sample) == len(slot) and bool((grid.several[slot] == 1).all())
        if not once or np.bincount(place).max(initial=0) > 1:
            return None
        plain = bool((grid.factor[column] == 1.0).all() and (grid.offset[column] == 0.0).all())
        if len(grid.lists) >= KEPT:
            grid.lists.clear()
        found = _Targets(slot, place, column, plain, _row_by_row(place, *grid.constant.shape))
        grid.lists[id(slot)] = found
    return found


def _row_by_row(place: NDArray[np.int64], rows: int, columns: int) -> NDArray[np.int64] | None:
    """The columns of each row, if the places are all cells, a whole row after the other."""
    if len(place) != rows * columns:
        return None
    order = place[:columns] // rows
    whole = np.arange(rows)[:, None] + order * rows
    return order if (whole.reshape(-1) == place).all() else None


def _fill(
    targets: _Targets, values: Floats, instants: Instants, samples: Samples, grid: Grid
) -> None:
    """One instant's samples into cells that are empty."""
    value = samples.value
    if not targets.plain:
        value = value * grid.factor[targets.column] + grid.offset[targets.column]
    if targets.columns is None:
        values.T.reshape(-1)[targets.place] = value
        instants.T.reshape(-1)[targets.place] = samples.instant[0]
        return
    for k, column in enumerate(targets.columns.tolist()):
        values[:, column] = value[k :: len(targets.columns)]
    instants[...] = samples.instant[0]


def _placed(grid: Grid, samples: Samples) -> _Cells:
    """The cell of every sample that feeds one; of two in one the later comes last."""
    sample, port = _ports(grid, samples.slot)
    if (np.diff(samples.instant) < 0).any():
        order = np.argsort(samples.instant[sample], kind="stable")
        sample, port = sample[order], port[order]
    column, at = grid.columns[port], samples.instant[sample]
    value = samples.value[sample] * grid.factor[column] + grid.offset[column]
    return _Cells(grid.rows[port], column, -(-at // grid.every) * grid.every, value, at)


def _ports(grid: Grid, slot: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which sample feeds which port; a slot may feed several, or none."""
    begin, several = grid.begin, grid.several
    first, count = begin[slot], several[slot]
    if (count == 1).all():
        return np.arange(len(slot)), first
    sample = np.repeat(np.arange(len(slot)), count)
    port = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(len(sample))
    return sample, port


def opened(grid: Grid, memory: GridMemory, end: int) -> tuple[Floats, Instants]:
    """The cells of an open instant: value (A,S), instant (A,S); all empty when it is new."""
    if end not in memory.open:
        memory.open[end] = _cells(grid)
    return memory.open[end]


def _cells(grid: Grid) -> tuple[Floats, Instants]:
    """Empty cells (A,S): values and instants, column by column, as filters take them."""
    shape = grid.constant.shape
    return np.zeros(shape, order="F"), np.zeros(shape, np.int64, order="F")


def close(grid: Grid, memory: GridMemory, closed: int) -> list[Frame]:
    """The frames of every open instant at or before `closed`, in order."""
    frames = []
    for end in sorted(end for end in memory.open if end <= closed):
        values, instants = memory.open.pop(end)
        fresh = instants > 0
        newer = fresh & (instants >= memory.held_at)
        if newer.all():
            memory.held, memory.held_at = values, instants
        else:
            memory.held = np.where(newer, values, memory.held)
            memory.held_at = np.where(newer, instants, memory.held_at)
        frames.append(_frame(grid, memory, end, values, fresh))
    memory.closed = max(memory.closed, closed)
    return frames


def rows_of(grid: Grid, rows: NDArray[np.int64]) -> Grid:
    """The grid of some rows, renumbered in the order given."""
    number = np.full(len(grid.constant), -1)
    number[rows] = np.arange(len(rows))
    kept = number[grid.rows] >= 0
    return replace(
        grid,
        slots=grid.slots[kept],
        rows=number[grid.rows[kept]],
        columns=grid.columns[kept],
        constant=grid.constant[rows],
    )


def _frame(grid: Grid, memory: GridMemory, end: int, values: Floats, fresh: Bools) -> Frame:
    """Inputs may be held, sensors may not; a property is always there."""
    if fresh.all():
        return Frame(grid.binding, end, values, fresh, (end - memory.held_at) / SECOND)
    fixed = grid.fixed
    held = (memory.held_at > 0) & (np.arange(fresh.shape[1]) < grid.inputs)
    mask = fresh | held | fixed
    value = np.where(fresh, values, np.where(held, memory.held, 0.0))
    age = np.where(mask & ~fixed, (end - memory.held_at) / SECOND, 0.0)
    return Frame(grid.binding, end, np.where(fixed, np.nan_to_num(grid.constant), value), mask, age)
