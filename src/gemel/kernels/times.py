"""When each row was last heard from.

Owns    an instant for every row, kept as one number as long as all rows share it: a fleet that is
        ticked together writes 8 bytes a tick and not 8 bytes a row. And what an instant may be.
Never   reads a clock.
"""

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gemel.clock import Instant, nanoseconds
from gemel.errors import Invalid

NEVER = -(2**62)  # before every instant, and far enough from int64's end to be subtracted from any


class Times:
    """An instant for every row, ns; NEVER for one that has not begun.

    >>> times = Times(3, 5)
    >>> times.put(1, 9)
    >>> times.all().tolist()
    [5, 9, 5]
    """

    def __init__(self, count: int = 0, instants: int | NDArray[np.int64] = NEVER) -> None:
        self.count = count
        self.set(instants)

    def set(self, instants: int | NDArray[np.int64]) -> None:
        """One instant for all rows, or (count,) one each."""
        self.rows: NDArray[np.int64] | None = None
        if isinstance(instants, int):
            self.common = instants
        elif len(instants) and (instants == instants[0]).all():
            self.common = int(instants[0])
        elif len(instants):
            self.rows = instants

    def put(self, row: int, instant: int) -> None:
        """Another instant for one row."""
        if self.count == 1:
            self.common = instant
        else:
            self.own()[row] = instant

    def advance(self, to: int | NDArray[np.int64], where: NDArray[np.bool_] | None = None) -> None:
        """Go on to an instant, never back; only in the rows that are marked."""
        if where is None and self.rows is None and isinstance(to, int):
            self.common = max(self.common, to)
        else:
            self.set(np.maximum(self.all(), to if where is None else np.where(where, to, NEVER)))

    def later(self, instant: int) -> int | NDArray[np.int64]:
        """An instant, or where a row has been moved beyond it, that row's own."""
        if self.rows is None:
            return max(instant, self.common)
        return instant if self.rows.max() <= instant else np.maximum(self.rows, instant)

    def at(self, row: int) -> int:
        """The instant of one row."""
        return self.common if self.rows is None else int(self.rows[row])

    def all(self) -> NDArray[np.int64]:
        """The instant of every row, to read: (count,)."""
        if self.rows is None:
            return np.broadcast_to(np.int64(self.common), self.count)
        return self.rows

    def own(self) -> NDArray[np.int64]:
        """The instant of every row, to write into: (count,)."""
        if self.rows is None:
            self.rows = np.full(self.count, self.common, np.int64)
        return self.rows

    def grow(self, count: int) -> None:
        """`count` rows; the new ones have not begun."""
        before, self.count = self.all(), count
        if not len(before):
            self.set(NEVER)
        elif self.rows is not None or self.common != NEVER:
            self.rows = np.concatenate([before, np.full(count - len(before), NEVER)])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Only the rows that are marked: (count,)."""
        self.count = int(rows.sum())
        self.set(self.common if self.rows is None else self.rows[rows])


def instant_of(when: Instant | np.datetime64) -> int:
    """An instant in any of its forms → int64 ns UTC. Raises Invalid `time.unreadable`."""
    if type(when) is int and NEVER < when < -NEVER:
        return when
    one: Any = when if isinstance(when, np.datetime64) else _one(when)
    return int(instants_of([one])[0])


def instants_of(when: ArrayLike) -> NDArray[np.int64]:
    """Many instants → (T,) int64 ns UTC; NumPy's and Polars' own times among them, read as UTC.

    Raises Invalid `time.unreadable`.

    >>> instants_of(np.array(["1970-01-01T00:01"], "datetime64[m]")).tolist()
    [60000000000]
    """
    given: Any = np.asarray(when)
    if given.shape == (0,):
        return np.zeros(0, np.int64)
    if given.dtype.kind == "M":
        exact = given.astype("datetime64[ns]")
        if (exact.astype(given.dtype) != given).any():  # NaT, or a year that ns do not reach
            raise _unreadable(when)
        given = exact.astype(np.int64)
    if given.dtype.kind in "OU" and given.ndim == 1:
        given = np.array([_one(item) for item in given.tolist()], object)
    elif given.dtype.kind not in "iu" or given.ndim != 1:
        raise _unreadable(when)
    if outside := [item for item in (given.min(), given.max()) if not NEVER < item < -NEVER]:
        raise _unreadable(outside[0])
    return np.asarray(given, np.int64)


def _one(when: Any) -> int:
    if isinstance(when, np.integer):
        return int(when)
    if isinstance(when, str | int | datetime) and not isinstance(when, bool):
        return nanoseconds(when)
    raise _unreadable(when)


def _unreadable(what: object) -> Invalid:
    return Invalid(
        "time.unreadable",
        f"{what!r:.40} is not an instant",
        mend="write ISO 8601 with a zone (2026-03-01T12:00:00Z), or give a datetime with one, a "
        "datetime64, or whole nanoseconds UTC",
    )
