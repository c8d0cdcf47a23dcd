"""Signals that should agree: redundant sensors of one twin, or of twins that are linked.

Owns    what each reading is compared with, and which of several is believed.
Never   picks one of two that differ: then both are doubted.

A reading agrees with another when they differ by no more than `within`. It is believed when it
agrees with more than half of the readings of its relation that are no older than `age`, itself
counted. A reading that is stuck, out of range or too fast has no vote.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.intake.roll import groups
from gemel.records import Bools, Floats, Instants

Slots = NDArray[np.int64]


@dataclass(frozen=True)
class Relations:
    """slot (M,) sorted, relation (M,) and place (M,) in it of every member · within, age [s]: (G,).

    A slot may be in several relations; what a reading departs from is told by its first.
    """

    slot: Slots
    relation: Slots
    place: Slots
    within: Floats
    age: Floats

    @staticmethod
    def of(several: list[tuple[list[int], float, float]]) -> "Relations":
        """From (slots, within, age) of each relation."""
        members = sorted(
            (slot, relation, place)
            for relation, (slots, _, _) in enumerate(several)
            for place, slot in enumerate(slots)
        )
        slot, relation, place = np.array(members, np.int64).reshape(-1, 3).T
        within, age = (np.array([one[k] for one in several], float) for k in (1, 2))
        return Relations(slot, relation, place, within, age)

    def judge(
        self,
        last: Instants,
        reading: Floats,
        slot: Slots,
        instant: Instants,
        value: Floats,
        vote: Bools,
        departs: bool = True,
    ) -> tuple[Bools, Floats]:
        """Which samples are doubted (N,), and by how much each departs from the others (N,).

        last (M,): ns of each member's reading before, 0 = it has no vote · reading (M,)
        slot (N,) · instant (N,), not before `last` of its slot · value (N,) · vote (N,)
        The departure is from the median of all that have a vote, of two from the other one; NaN
        where there is no other. Of a slot without a relation, or if not `departs`, it is the value.
        """
        doubted = np.zeros(len(slot), np.bool_)
        row, member = self._members(slot)
        if not len(row):
            return doubted, value
        heard = np.where(vote, instant, 0)[row]
        cell, fresh, readings = self._cells(last, reading, member, instant[row], heard, value[row])
        place = self.place[member]
        within = self.within[self.relation[member]]
        votes, own, told = fresh[cell], fresh[cell, place], readings[cell]
        near = np.abs(told - value[row][:, None]) <= within[:, None]
        agree, all_ = (votes & near).sum(axis=1), votes.sum(axis=1)
        doubted[row[own & (2 * agree <= all_)]] = True
        if not departs:
            return doubted, value
        apart, others = value.copy(), all_ - own
        from_all = value[row] - _median(np.where(votes, told, np.nan))
        from_all = np.where(others == 0, np.nan, np.where(own & (others == 1), 2.0, 1.0) * from_all)
        is_first = np.append(True, row[1:] != row[:-1])
        apart[row[is_first]] = from_all[is_first]
        return doubted, apart

    @cached_property
    def _first(self) -> Slots:
        """The first member of every slot, as far as any is one, and one more: sorted."""
        return np.searchsorted(self.slot, np.arange(self.slot.max(initial=-1) + 3))

    def _members(self, slot: Slots) -> tuple[Slots, Slots]:
        """Rows (R,) and members (R,): every sample once for each relation that its slot is in."""
        known = np.minimum(slot, len(self._first) - 2)
        first, count = self._first[known], self._first[known + 1] - self._first[known]
        row = np.repeat(np.arange(len(slot)), count)
        return row, np.repeat(first - (np.cumsum(count) - count), count) + np.arange(len(row))

    def _cells(
        self,
        last: Instants,
        reading: Floats,
        member: Slots,
        instant: Instants,
        heard: Instants,
        value: Floats,
    ) -> tuple[Slots, Bools, Floats]:
        """Which cell each row is in (R,), and of every cell who has a vote and reads what: (C,K).

        A cell is one instant of one relation, with the latest reading of every member by then.
        """
        relation, place, width = self.relation[member], self.place[member], 1 + self.place.max()
        order, first = groups(relation, instant)
        cell = np.empty(len(member), np.int64)
        cell[order] = np.cumsum(first) - 1
        of, t = relation[order][first], instant[order][first]
        when, what = np.zeros((len(of), width), np.int64), np.zeros((len(of), width))
        here = np.zeros(when.shape, np.bool_)
        into = cell[order], place[order]
        when[into], what[into], here[into] = heard[order], value[order], True
        begins = np.append(True, of[1:] != of[:-1])
        shape = (len(self.within), width)
        known, told = np.zeros(shape, np.int64), np.zeros(shape)
        known[self.relation, self.place], told[self.relation, self.place] = last, reading
        open_ = begins[:, None] & ~here
        when[open_], what[open_] = known[of][open_], told[of][open_]
        kept = np.where(here | begins[:, None], np.arange(len(of))[:, None], 0)
        kept = np.maximum.accumulate(kept, axis=0)
        when, what = (np.take_along_axis(part, kept, axis=0) for part in (when, what))
        fresh = (when > 0) & (np.abs(t[:, None] - when) <= (self.age[of] * SECOND)[:, None])
        return cell, fresh, what


def _median(values: Floats) -> Floats:
    """Of each row, NaN left out: (R,); NaN where nothing is left."""
    ordered = np.sort(values, axis=1)
    count = np.isfinite(values).sum(axis=1)
    rows = np.arange(len(values))
    return np.asarray(0.5 * (ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]))
