"""What one source sent lately, to tell a sample that comes twice.

Owns    the (slot, instant) of every sample younger than the lateness, and its value.
Never   forgets one that could still come again: what is older is late before it is a duplicate.

What comes in order is known to be new by one look at its slot. Only what is not newer than the
newest of its slot is looked for among the blocks: sorted runs, of which two small ones of like size
become one, so that a stream of small batches keeps few.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gemel.intake.roll import Roll, Slots, groups
from gemel.records import CORRECTION, DUPLICATE, STORED, Floats, Instants

LARGE = 20_000  # samples of a block that is left as it is


@dataclass(frozen=True)
class Block:
    """instants (U,) sorted, distinct · key (N,) sorted: number of its instant · S + slot ·
    value (N,)."""

    instants: Instants
    key: Slots
    value: Floats


@dataclass
class Seen:
    """The samples of one source, over `slots` slots; newest (S,) instant of each, 0 = none."""

    slots: int
    newest: Instants = field(default_factory=lambda: np.zeros(0, np.int64))
    blocks: list[Block] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.newest) == 0:
            self.newest = np.zeros(self.slots, np.int64)

    def take(self, roll: Roll, instant: Instants, value: Floats, closed: int) -> NDArray[np.int8]:
        """stored, duplicate or correction, in the order in which they come: (N,). Keeps them.

        closed: nothing at or before this instant is asked for again.
        """
        fate = np.full(len(roll), STORED, np.int8)
        if not len(roll):
            return fate
        self.blocks = [b for b in self.blocks if len(b.instants) and b.instants[-1] > closed]
        if roll.rising and (instant > self.newest[roll.at]).all():  # each is its slot's next
            self.newest[roll.at] = instant
            self._keep(roll.slot, instant, value, closed)
            return fate
        order, first = roll.order(instant)
        slot, instant, value = roll.slot[order], instant[order], value[order]
        told = fate.copy()
        newest = self.newest[slot]
        again, old = np.flatnonzero(~first), np.flatnonzero(first & (instant <= newest))
        if len(again):  # within the entry: each against the one before it
            same = value[again] == value[again - 1]
            told[again] = np.where(same, DUPLICATE, CORRECTION)
        if len(old):
            there, before = self._find(slot[old], instant[old])
            told[old[there]] = np.where(before == value[old[there]], DUPLICATE, CORRECTION)
        fate[order] = told
        if len(again):
            last = np.append(first[1:], True)
            slot, instant, value, newest = slot[last], instant[last], value[last], newest[last]
        self.newest[slot] = np.maximum(newest, instant)  # of a slot the last is the largest
        self._keep(slot, instant, value, closed)
        return fate

    @staticmethod
    def of(slots: int, slot: Slots, instant: Instants, value: Floats) -> "Seen":
        """What `samples` told."""
        seen = Seen(slots)
        seen.take(Roll(slot), instant, value, closed=int(instant.min(initial=1)) - 1)
        return seen

    def samples(self) -> tuple[Slots, Instants, Floats]:
        """Everything kept, what came later last: slot, instant, value (N,)."""
        parts = [
            (b.key % self.slots, b.instants[b.key // self.slots], b.value) for b in self.blocks
        ]
        if not parts:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        slots, instants, values = zip(*parts, strict=True)
        return np.concatenate(slots), np.concatenate(instants), np.concatenate(values)

    def _find(self, slot: Slots, instant: Instants) -> tuple[NDArray[np.bool_], Floats]:
        """Which are there (N,), and the latest value of those that are."""
        there, found = np.zeros(len(slot), np.bool_), np.zeros(len(slot))
        low, high = instant.min(), instant.max()
        for block in self.blocks:  # a later block knows better
            if block.instants[-1] < low or block.instants[0] > high:
                continue
            number = np.minimum(np.searchsorted(block.instants, instant), len(block.instants) - 1)
            key = number * self.slots + slot
            place = np.minimum(np.searchsorted(block.key, key), len(block.key) - 1)
            here = (block.instants[number] == instant) & (block.key[place] == key)
            there |= here
            found[here] = block.value[place[here]]
        return there, found[there]

    def _keep(self, slot: Slots, instant: Instants, value: Floats, closed: int) -> None:
        self.blocks.append(self._block(slot, instant, value))
        while len(self.blocks) > 1:
            before, last = (len(block.key) for block in self.blocks[-2:])
            if before > min(2 * last, LARGE):
                break
            slot, instant, value = Seen(self.slots, self.newest, self.blocks[-2:]).samples()
            wanted = np.flatnonzero(instant > closed)
            order, first = groups(slot[wanted], instant[wanted])
            kept = wanted[order][np.append(first[1:], True)] if len(wanted) else wanted
            self.blocks[-2:] = [self._block(slot[kept], instant[kept], value[kept])]

    def _block(self, slot: Slots, instant: Instants, value: Floats) -> Block:
        """Distinct (slot, instant) as a block."""
        if len(instant) and (instant == instant[0]).all():
            instants, key = instant[:1].copy(), slot
        else:
            instants, number = np.unique(instant, return_inverse=True)
            key = number * self.slots + slot
        if (key[1:] > key[:-1]).all():
            return Block(instants, key, value)
        order = np.argsort(key)
        return Block(instants, key[order], value[order])
