"""Rows: the numbers of a fleet, one contiguous column a field, for a loop that works in place.

Owns    the columns, their room, and the benign values of lanes that hold no twin.
Never   knows which twin a row is (kernels/slots.py), nor where columns are kept (store/fleetfile).

A column is one array (capacity,), 64-byte aligned. Capacity is a multiple of LANES and doubles, so
a compiled loop runs over `lanes` = `count` rounded up to whole vectors, without a remainder and
without a mask. The lanes past `count` hold each field's blank; room past `lanes` is never touched,
and so is no memory yet.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gemel.errors import Conflict, NotFound

LANES = 16  # rows of one vector step: 16 float32 are 64 bytes
ALIGN = 64  # bytes: a cache line, and the widest vector

Column = NDArray[Any]
Field = tuple[DTypeLike, float]  # type, and the blank: a value that harms no lane's arithmetic


def whole_lanes(count: int) -> int:
    """`count` rounded up to whole vectors."""
    return -(-count // LANES) * LANES


class Rows:
    """The columns of one fleet.

    fields: name → (dtype, blank). `count` rows are in use. `by_name`: the columns, (capacity,), as
    they are until the next growth.

    >>> rows = Rows({"x.wear": (np.float32, 0.0), "p.mass": (np.float32, 1.0)})
    >>> rows.reach(20)
    >>> rows["x.wear"][3] = 0.5
    >>> rows.reach(1000)
    >>> rows.count, rows.lanes, float(rows["x.wear"][3]), float(rows["p.mass"][1007])
    (1000, 1008, 0.5, 1.0)
    """

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._blanks = {name: np.array(blank, kind) for name, (kind, blank) in fields.items()}
        self.by_name = {name: _aligned(0, blank.dtype) for name, blank in self._blanks.items()}
        self.capacity = 0
        self.count = 0

    @classmethod
    def of(cls, fields: Mapping[str, Field], columns: Mapping[str, Column], count: int) -> Self:
        """Rows over columns that are there already, such as the copy-on-write map of a snapshot.

        The columns are taken as they are until the fleet outgrows them; one that does not begin on
        a 64-byte line, as out of a pickle, is copied. They are what `columns()` gave: all fields,
        one length, whole lanes. Raises Conflict `rows.columns`.
        """
        rows = cls(fields)
        if fault := _misfit(rows.by_name, columns, count):
            raise Conflict(
                "rows.columns",
                fault,
                mend="restore with the kernel and version that wrote them, or begin a new fleet",
            )
        rows.by_name = {name: _on_a_line(columns[name]) for name in rows.by_name}
        rows.capacity = len(next(iter(columns.values()), ()))
        rows.count = count
        return rows

    @property
    def lanes(self) -> int:
        """How far a loop runs: `count`, rounded up to whole vectors."""
        return whole_lanes(self.count)

    @property
    def nbytes(self) -> int:
        """Bytes of all columns, their unused room included."""
        return sum(column.nbytes for column in self.by_name.values())

    def __getitem__(self, name: str) -> Column:
        """The column of one field: (capacity,). Ask again after `reach`: growth moves columns."""
        try:
            return self.by_name[name]
        except KeyError:
            raise NotFound(
                "rows.field",
                f"there is no field '{name}'",
                mend=f"fields are: {', '.join(self.by_name) or 'none'}",
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return self.count

    def reach(self, count: int) -> None:
        """Have at least `count` rows; new ones are blank, at the end."""
        if count <= self.count:
            return
        before, lanes = self.lanes, whole_lanes(count)
        if lanes > self.capacity:
            self._grow(max(lanes, 2 * self.capacity))
        for name, blank in self._blanks.items():
            self.by_name[name][before:lanes] = blank
        self.count = count

    def keep(self, stays: NDArray[np.bool_]) -> None:
        """Only the rows that are marked, (count,): those behind one that goes move up."""
        before, lanes = self.count, self.lanes
        self.count = int(stays.sum())
        first = int(np.argmin(stays)) if self.count < before else before
        for name, blank in self._blanks.items():
            column = self.by_name[name]
            column[first : self.count] = column[first:before][stays[first:]]
            column[self.count : lanes] = blank

    def columns(self) -> dict[str, Column]:
        """What a snapshot keeps: every column as far as `lanes`; views, not copies."""
        return {name: column[: self.lanes] for name, column in self.by_name.items()}

    def _grow(self, capacity: int) -> None:
        """Move to larger columns, one after the other: at most one is there twice."""
        used = self.lanes
        for name, old in self.by_name.items():
            wide = _aligned(capacity, old.dtype)
            wide[:used] = old[:used]
            self.by_name[name] = wide
        self.capacity = capacity


def _aligned(count: int, kind: np.dtype[Any]) -> Column:
    """(count,) of `kind`, its first byte on a 64-byte line, its memory not yet touched."""
    room = np.empty(count * kind.itemsize + ALIGN, np.uint8)
    begin = -room.ctypes.data % ALIGN
    return room[begin : begin + count * kind.itemsize].view(kind)


def _on_a_line(column: Column) -> Column:
    if column.ctypes.data % ALIGN == 0:
        return column
    moved = _aligned(len(column), column.dtype)
    moved[:] = column
    return moved


def _misfit(wanted: Mapping[str, Column], given: Mapping[str, Column], count: int) -> str:
    """Why columns cannot be rows; '' when they can."""
    if odd := sorted(set(wanted) ^ set(given)):
        return f"the field '{odd[0]}' is not in both the kernel and the columns"
    lengths = {len(column) for column in given.values()}
    if len(lengths) > 1:
        return f"its columns have different lengths: {sorted(lengths)}"
    if any(length % LANES or length < count for length in lengths):
        return f"columns of {lengths.pop()} rows do not hold {count} in whole vectors of {LANES}"
    for name, column in given.items():
        kind = wanted[name].dtype
        if column.dtype != kind:
            return f"the field '{name}' is {column.dtype}, and its kernel wants {kind}"
        if column.ndim != 1 or column.strides != (kind.itemsize,) or not column.flags.writeable:
            return f"the field '{name}' is not one contiguous, writable column"
    return ""
