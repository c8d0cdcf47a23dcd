"""Slow departures: a sensor that creeps away from what it should follow.

Owns    the slope of every signal with a declared bound, over the last days.
Never   uses a kernel: what a sensor should follow are its redundant neighbours, or itself.

The hourly means y(t) of a signal, or of its departure from the sensors it should agree with, are
put through a straight line by least squares, an hour that is t days old weighing exp(−t / 3).
With S the weighted sums of squares about the means, the slope is b = Sty / Stt and its standard
error e² = (Syy − b Sty) / ((w − 2) Stt). The signal drifts while |b| − 3 e > bound.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.records import Bools, Floats, Instants

Slots = NDArray[np.int64]
MEMORY = 3.0  # days
HOURS = 24  # with readings before a signal is judged: a day's own course is no drift
WEIGHT = 8.0  # of the hours, at least: after a long silence the line begins anew
SURE = 3.0  # standard errors
SPAN = 3600 * SECOND
# The hour that is open, its count and sum; the last hour pushed, how many were; the first mean;
# and the sums over the means: weight, t, y, t², ty, y², with t in days from the last hour.
HOUR, COUNT, SUM, LAST, PUSHED, ORIGIN, W, T, Y, TT, TY, YY = range(12)


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
        """The memory of signals that were never heard: (D,12)."""
        return np.zeros((len(self.slots), 12))

    def judge(self, memory: Floats, slot: Slots, instant: Instants, value: Floats) -> Bools:
        """Which samples come of a signal that drifts: (N,). Moves the memory (D,12) on.

        slot, instant (N,): sorted, none before what the slot told last · value (N,): NaN tells
        nothing. A sample is judged by the hours that were over before it.
        """
        drifts = np.zeros(len(slot), np.bool_)
        place = np.minimum(np.searchsorted(self.slots, slot), len(self.slots) - 1)
        rows = np.flatnonzero(self.slots[place] == slot)
        if not len(rows):
            return drifts
        d, hour, v = place[rows], instant[rows] // SPAN, value[rows]
        begins = np.append(True, (d[1:] != d[:-1]) | (hour[1:] != hour[:-1]))
        first = np.flatnonzero(begins)
        told = np.isfinite(v)
        count = np.add.reduceat(told.astype(float), first)
        total = np.add.reduceat(np.where(told, v, 0.0), first)
        d, hour = d[first], hour[first]
        turn = (
            np.arange(len(d))
            - np.flatnonzero(np.append(True, d[1:] != d[:-1]))[
                np.cumsum(np.append(True, d[1:] != d[:-1])) - 1
            ]
        )
        flag = np.zeros(len(d), np.bool_)
        for k in range(int(turn.max()) + 1):  # the k-th hour of every signal
            these = np.flatnonzero(turn == k)
            flag[these] = self._hour(memory, d[these], hour[these], count[these], total[these])
        drifts[rows] = flag[np.cumsum(begins) - 1]
        return drifts

    def _hour(self, memory: Floats, d: Slots, hour: Slots, count: Floats, total: Floats) -> Bools:
        """Samples of one hour of each signal; which of them drift."""
        over = (hour > memory[d, HOUR]) & (memory[d, COUNT] > 0)
        if over.any():
            memory[d[over]] = _pushed(memory[d[over]])
        later = d[hour > memory[d, HOUR]]
        memory[later, COUNT], memory[later, SUM] = 0.0, 0.0
        memory[d, HOUR] = np.maximum(memory[d, HOUR], hour)
        memory[d, COUNT] += count
        memory[d, SUM] += total
        return _slope_is_over(memory[d], self.bound[d])


def _pushed(m: Floats) -> Floats:
    """The memory (R,12) with the open hour's mean among the sums."""
    mean = m[:, SUM] / m[:, COUNT]
    m[:, ORIGIN] = np.where(m[:, PUSHED] > 0, m[:, ORIGIN], mean)
    gone = np.where(m[:, PUSHED] > 0, (m[:, HOUR] - m[:, LAST]) / 24, 0.0)
    m[:, TT] += gone * gone * m[:, W] - 2 * gone * m[:, T]
    m[:, TY] -= gone * m[:, Y]
    m[:, T] -= gone * m[:, W]
    m[:, W:] *= np.exp(-gone / MEMORY)[:, None]
    y = mean - m[:, ORIGIN]
    m[:, W] += 1
    m[:, Y] += y
    m[:, YY] += y * y
    m[:, LAST] = m[:, HOUR]
    m[:, PUSHED] += 1
    return m


def _slope_is_over(m: Floats, bound: Floats) -> Bools:
    """|b| − 3 e > bound: (R,)."""
    known = (m[:, PUSHED] >= HOURS) & (m[:, W] >= WEIGHT)
    w = np.where(known, m[:, W], 1.0)
    tt = np.where(known, m[:, TT] - m[:, T] ** 2 / w, 1.0)
    ty, yy = m[:, TY] - m[:, T] * m[:, Y] / w, m[:, YY] - m[:, Y] ** 2 / w
    slope = ty / tt
    error = np.sqrt(np.maximum(yy - slope * ty, 0.0) / (np.maximum(w - 2, 1.0) * tt))
    return np.asarray(known & (np.abs(slope) - SURE * error > bound))
