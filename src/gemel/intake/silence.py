"""How often a signal is due, and whether it has fallen silent.

Owns    the gaps of every signal with a declared period, and what they are worth in samples.
Never   judges a sample: the first one after a gap is as good as any.

A signal is silent while the plant's clock is further than `gap` from its newest instant.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.intake.roll import Places, chosen, groups
from gemel.intake.score import DAY
from gemel.records import Floats, Instants

Slots = NDArray[np.int64]


@dataclass(frozen=True)
class Periods:
    """slots (E,) sorted, those with a period · every (E,) s between samples · gap (E,) s."""

    slots: Slots
    every: Floats
    gap: Floats

    @staticmethod
    def none() -> "Periods":
        """No signal has a period."""
        return Periods(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))

    @cached_property
    def _places(self) -> Places:
        return Places(self.slots)

    def hear(self, heard: Instants, slot: Slots, instant: Instants) -> Floats:
        """Move `heard` (E,), the newest instants, on; samples that gaps have cost: (E,).

        slot, instant (N,): in any order. Before its first sample a signal misses none.
        """
        missed = np.zeros(len(self.slots))
        due, e = self._places.of(slot)
        t, before = instant[due], heard[e]
        newer = chosen(t > before)
        e, t, before = e[newer], t[newer], before[newer]
        order, _ = groups(e, t)
        e, t, before = e[order], t[order], before[order]
        begins = np.ones(len(e), np.bool_)
        begins[1:] = e[1:] != e[:-1]
        if not begins.all():
            before = np.where(begins, before, np.roll(t, 1))
        gone = (t - before) / SECOND
        gaps = (before > 0) & (gone > self.gap[e])
        if gaps.any():
            np.add.at(missed, e[gaps], self.worth(gone[gaps], self.every[e[gaps]]))
        ends = chosen(np.roll(begins, -1))
        heard[e[ends]] = t[ends]
        return missed

    def silent(self, heard: Instants, began: int, now: int) -> Instants:
        """Since when each is silent: (E,) ns, 0 = it is not. What never came: since `began`."""
        since = np.where(heard > 0, heard, began)
        return np.where((now - since) / SECOND > self.gap, since, 0) if began else 0 * heard

    @staticmethod
    def worth(gone: Floats, every: Floats) -> Floats:
        """Samples that were due in `gone` s until now, each worth exp(−age / day).

        >>> bool(abs(Periods.worth(np.array([600.0]), np.array([10.0]))[0] - 60) < 0.3)
        True
        """
        return np.asarray(DAY / every * -np.expm1(-gone / DAY))
