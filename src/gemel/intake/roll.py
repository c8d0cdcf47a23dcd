"""The roll of an entry: which slot each of its samples stands in, and what follows from that alone.

Owns    the order of slots, worked out once for a source that sends the same list again and again.
Never   looks at a value or an instant but to put samples in order.
"""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.records import Bools, Floats, Instants

Slots = NDArray[np.int64]


class Roll:
    """slot (N,) of every sample; those that have none are below 0.

    >>> Roll(np.array([4, 5, 6])).at, Roll(np.array([4, 6, 5])).rising
    (slice(4, 7, None), False)
    """

    def __init__(self, slot: Slots) -> None:
        self.slot = slot
        self._tally: tuple[Any, Any, Floats] | None = None

    def __len__(self) -> int:
        return len(self.slot)

    def part(self, rows: Any) -> "Roll":
        """Some of its samples; all of them, `slice(None)`, are this roll itself."""
        return self if isinstance(rows, slice) and rows == slice(None) else Roll(self.slot[rows])

    @cached_property
    def known(self) -> bool:
        """Whether every sample has a slot."""
        return not len(self.slot) or int(self.slot.min()) >= 0

    @cached_property
    def rising(self) -> bool:
        """Whether each slot comes once, in order."""
        return bool((self.slot[1:] > self.slot[:-1]).all())

    @cached_property
    def at(self) -> Any:
        """Where its samples stand among all slots: a slice where slot follows slot, which looks
        without a copy."""
        slot = self.slot
        if len(slot) and self.rising and slot[-1] - slot[0] == len(slot) - 1:
            return slice(int(slot[0]), int(slot[-1]) + 1)
        return slot

    def tally(self, twin: NDArray[np.int32], twins: int) -> tuple[Any, Floats]:
        """The twins that have samples, all or some, and how many each. twin (S,): of a slot."""
        if self._tally is None or self._tally[0] is not twin:
            self._tally = (twin, *tally(twin[self.slot], twins))
        return self._tally[1:]

    def order(self, instant: Instants) -> tuple[Any, Bools]:
        """`groups` of these slots."""
        if self.rising:
            return slice(None), np.ones(len(self.slot), np.bool_)
        return groups(self.slot, instant)


def tally(number: NDArray[np.signedinteger[Any]], most: int) -> tuple[Any, Floats]:
    """The numbers below `most` that are there, all or some, and how often each is."""
    if len(number) < most:
        found, count = np.unique(number, return_counts=True)
        return found, count.astype(np.float64)
    count = np.bincount(number, minlength=most).astype(np.float64)
    found = chosen(count > 0)
    return found, count[found]


def groups(slot: Slots, instant: Instants) -> tuple[Any, Bools]:
    """An order by slot, then instant, then as they came; and which rows begin a new pair: (N,).

    The order of rows that lie in order already is a slice: to take it copies nothing.
    """
    first = np.ones(len(slot), np.bool_)
    if len(slot) < 2:
        return slice(None), first
    up = slot[1:] > slot[:-1]
    if up.all():
        return slice(None), first
    order: Any = slice(None)
    same = slot[1:] == slot[:-1]
    if not (up | (same & (instant[1:] >= instant[:-1]))).all():
        order = np.lexsort((instant, slot))
        slot, instant = slot[order], instant[order]
        same = slot[1:] == slot[:-1]
    first[1:] = ~(same & (instant[1:] == instant[:-1]))
    return order, first


class Places:
    """Where each slot stands among some slots (D,), sorted, distinct: by one look at a table."""

    def __init__(self, slots: Slots) -> None:
        self._place = np.full(int(slots.max(initial=-1)) + 2, -1)
        self._place[slots] = np.arange(len(slots))

    def of(self, slot: Slots) -> tuple[Any, Slots]:
        """The rows of `slot` (N,) that stand there, and where."""
        place = self._place[np.minimum(slot, len(self._place) - 1)]
        rows = chosen(place >= 0)
        return rows, place[rows]


def chosen(which: Bools) -> Any:
    """The numbers of some rows; of all of them a slice, which copies nothing."""
    return slice(None) if which.all() else np.flatnonzero(which)
