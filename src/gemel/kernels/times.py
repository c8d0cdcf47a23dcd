"""When each row was last heard from.

Owns    an instant for every row, kept as one number as long as all rows share it: a fleet that is
        ticked together writes 8 bytes a tick and not 8 bytes a row.
Never   reads a clock.
"""

import numpy as np
from numpy.typing import NDArray


class Times:
    """An instant for every row, ns; 0 for one that has not begun.

    >>> times = Times(5)
    >>> times.put(1, 9, 3)
    >>> times.all(3).tolist()
    [5, 9, 5]
    """

    def __init__(self, common: int = 0, rows: NDArray[np.int64] | None = None) -> None:
        self.common, self.rows = common, rows

    def put(self, row: int, instant: int, count: int) -> None:
        if count == 1:
            self.common, self.rows = instant, None
            return
        if self.rows is None or len(self.rows) < count:
            self.rows = self.all(count)
        self.rows[row] = instant

    def at(self, row: int) -> int:
        return self.common if self.rows is None or row >= len(self.rows) else int(self.rows[row])

    def all(self, count: int) -> NDArray[np.int64]:
        """(count,): rows that are newer than the list have never been heard."""
        if self.rows is None:
            return np.full(count, self.common)
        return np.concatenate([self.rows, np.zeros(max(0, count - len(self.rows)), np.int64)])

    def grow(self, before: int, count: int) -> None:
        """Rows from `before` on have not begun."""
        if count > before and self.common:
            self.rows = np.concatenate([self.all(before), np.zeros(count - before, np.int64)])
