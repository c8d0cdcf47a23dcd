"""Slow departures: a sensor that creeps away from what it should follow.

Owns    the hourly means of every signal with a declared bound, over the last days.
Never   uses a kernel: what a sensor should follow are its redundant neighbours, or itself.

Of a signal, or of its departure from the sensors it should agree with, y(h) is the mean of an hour.
Its slope is the median of y(h) − y(h − 24) over the last three days, units a day; at least half of
those hours must be there. The signal drifts while the slope is over the bound. The course of the
day falls out of the difference, a step or an outage out of the median.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.intake.roll import Places
from gemel.records import Bools, Floats, Instants

Slots = NDArray[np.int64]
SPAN = 3600 * SECOND
DAY, SLOPES = 24, 72  # hours
RING = DAY + SLOPES + 1  # hours kept, the open one among them
# The columns of the memory: the open hour, how many samples it has, their sum, whether the signal
# drifts; then the hourly means, that of hour h at MEANS + h modulo RING, NaN where there is none.
HOUR, COUNT, SUM, DRIFTS, MEANS = range(5)


@dataclass(frozen=True)
class Drifts:
    """slots (D,) sorted, those with a bound · bound (D,), units per day."""

    slots: Slots
    bound: Floats

    @staticmethod
    def none() -> "Drifts":
        """No signal has a bound."""
        return Drifts(np.zeros(0, np.int64), np.zeros(0))

    def blank(self) -> Floats:
        """The memory of signals that were never heard: (D, 4 + RING)."""
        memory = np.full((len(self.slots), MEANS + RING), np.nan)
        memory[:, :MEANS] = 0.0
        return memory

    @cached_property
    def _places(self) -> Places:
        return Places(self.slots)

    def judge(self, memory: Floats, slot: Slots, instant: Instants, value: Floats) -> Bools:
        """Which samples come of a signal that drifts: (N,). Moves the memory on.

        slot, instant (N,): sorted, none before what the slot told last · value (N,): NaN tells
        nothing. A sample is judged by the hours that were over before it.
        """
        drifts = np.zeros(len(slot), np.bool_)
        if not len(self.slots):
            return drifts
        rows, d = self._places.of(slot)
        if not len(d):
            return drifts
        hour, v = instant[rows] // SPAN, value[rows]
        begins = np.append(True, (d[1:] != d[:-1]) | (hour[1:] != hour[:-1]))
        first = np.flatnonzero(begins)
        told = np.isfinite(v)
        count = np.add.reduceat(told.astype(float), first)
        total = np.add.reduceat(np.where(told, v, 0.0), first)
        d, hour = d[first], hour[first]
        turn = np.arange(len(d)) - np.searchsorted(d, d)
        flag = np.zeros(len(d), np.bool_)
        for k in range(int(turn.max()) + 1):  # the k-th hour of every signal
            some = np.flatnonzero(turn == k)
            later = some[hour[some] > memory[d[some], HOUR]]
            memory[d[later]] = _turned(memory[d[later]], hour[later], self.bound[d[later]])
            memory[d[some], COUNT] += count[some]
            memory[d[some], SUM] += total[some]
            flag[some] = memory[d[some], DRIFTS] > 0
        drifts[rows] = flag[np.cumsum(begins) - 1]
        return drifts


def _turned(memory: Floats, hour: Slots, bound: Floats) -> Floats:
    """Rows (R,·) of the memory when a later hour (R,) begins: its means, and whether they drift."""
    rows, before = np.arange(len(memory)), memory[:, HOUR].astype(np.int64)
    told = np.flatnonzero(memory[:, COUNT] > 0)
    memory[told, MEANS + before[told] % RING] = memory[told, SUM] / memory[told, COUNT]
    place = np.arange(RING)
    was, now = (h[:, None] - (h[:, None] - place) % RING for h in (before, hour))
    means = np.where(was == now, memory[:, MEANS:], np.nan)
    back = hour[:, None] - 1 - np.arange(SLOPES)
    change = means[rows[:, None], back % RING] - means[rows[:, None], (back - DAY) % RING]
    change.sort(axis=1)  # what is missing comes last
    count = np.isfinite(change).sum(axis=1)
    slope = 0.5 * (
        change[rows, (count - 1) // 2] + change[rows, np.minimum(count // 2, SLOPES - 1)]
    )
    memory[:, HOUR], memory[:, COUNT], memory[:, SUM] = hour, 0.0, 0.0
    memory[:, DRIFTS] = (count >= SLOPES // 2) & (np.abs(slope) > bound)
    memory[:, MEANS:] = means
    return memory
