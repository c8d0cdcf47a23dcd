"""Judge samples: what is believed, what is kept but not believed, what is refused, and why.

Owns    the fate and the quality of every sample, each with one reason.
Never   drops a sample: whatever it says of one, the books count it.

    fate      rejected   cannot be understood: unknown, wrong unit, not a number, impossible time
              late       its instant was closed before it came: kept, counted, not used
              duplicate  the same again      correction  the same instant, another value
              stored     everything else
    quality   of what is kept: good, uncertain (stuck, late), bad (range, rate)

An entry is judged whole, in the order of instants, so how ticks are cut changes nothing. All of it
works on columns; only a slot in which a reading changed too fast is gone through one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.errors import Invalid
from gemel.intake.seen import Seen, groups
from gemel.labels import Labels
from gemel.records import (
    BAD,
    CORRECTION,
    GOOD,
    LATE,
    REASONS,
    REJECTED,
    STORED,
    UNCERTAIN,
    Batch,
    Bools,
    Floats,
    Instants,
    Judged,
)
from gemel.units import convert

OLDEST = 10 * 365 * 86_400 * SECOND  # a sample ten years older than its arrival has a broken clock
ABSURD = 1e12  # no declared unit has an honest reading of this size, whatever its range
CODES = {  # why a sample is rejected → the code that `gemel explain` knows
    "unknown_twin": "sample.unknown_twin",
    "unknown_signal": "sample.unknown_signal",
    "unit": "unit.mismatch",
    "not_a_number": "sample.not_a_number",
    "ahead_of_clock": "sample.ahead_of_clock",
    "far_past": "sample.far_past",
}
KEPT_TABLES = 64  # of words looked up, by what sources send again and again
Slots = NDArray[np.int64]
Codes = NDArray[np.int8]
WHY = {word: np.int8(k) for k, word in enumerate(REASONS)}


@dataclass(frozen=True)
class Rules:
    """What the quality stage judges by; one row a slot, a slot is one signal of one twin.

    index (twin, signal) → slot · twins known · unit, low, high, rate [1/s], stuck [s]: (S,)
    lateness, skew: ns · rerun ns: how much later than that a sample is still taken in
    """

    index: dict[tuple[str, str], int]
    twins: frozenset[str]
    unit: list[str]
    low: Floats
    high: Floats
    rate: Floats
    stuck: Floats
    lateness: int
    skew: int
    rerun: int = 0

    def slots(self, twin: Labels, signal: Labels) -> Slots:
        """The slot of every row: (N,); −1 where the twin is unknown, −2 where its signal is."""
        if len(twin.words) * len(signal.words) > 4 * len(twin):  # few rows of many words
            twin, signal = twin.compact(), signal.compact()
        return np.asarray(self._table(twin.words, signal.words)[twin.code, signal.code])

    @cached_property
    def names(self) -> tuple[Labels, Labels]:
        """Twin and signal of every slot: (S,), (S,)."""
        twin, signal = zip(*self.index, strict=True) if self.index else ((), ())
        return Labels.of(twin), Labels.of(signal)

    @cached_property
    def _table(self) -> Callable[[tuple[str, ...], tuple[str, ...]], Slots]:
        """The slots of twins and signals by name (T,S); remembered: sources repeat themselves."""

        def table(twins: tuple[str, ...], signals: tuple[str, ...]) -> Slots:
            unknown = [-2 if twin in self.twins else -1 for twin in twins]
            rows = [
                [self.index.get((twin, signal), why_not) for signal in signals]
                for twin, why_not in zip(twins, unknown, strict=True)
            ]
            return np.array(rows, np.int64).reshape(len(twins), len(signals))

        return lru_cache(KEPT_TABLES)(table)


@dataclass
class QualityMemory:
    """What judging needs to remember.

    watermark: the latest `received_at`, ns · last good instant, value: (S,) · since (S,): when the
    present value began · seen: per source, what came and is younger than the lateness
    """

    watermark: int
    instant: Instants
    value: Floats
    since: Instants
    seen: dict[str, Seen] = field(default_factory=dict)

    @staticmethod
    def blank(slots: int) -> "QualityMemory":
        zero = np.zeros(slots, np.int64)
        return QualityMemory(0, zero, np.full(slots, np.nan), zero.copy())


def admit(rules: Rules, batch: Batch, received_at: int) -> tuple[Slots, Floats, Codes]:
    """slot (N,), value in declared units (N,), why it is rejected (N,): 0 = admitted."""
    slot = rules.slots(batch.twin, batch.signal)
    reason = np.zeros(len(batch), np.int8)
    value, unit_is_wrong = _converted(rules, batch, slot)
    reason[~np.isfinite(value)] = WHY["not_a_number"]
    reason[batch.instant < received_at - OLDEST] = WHY["far_past"]
    reason[batch.instant > received_at + rules.skew] = WHY["ahead_of_clock"]
    reason[unit_is_wrong] = WHY["unit"]
    unknown = slot < 0
    if unknown.any():
        reason[slot == -1] = WHY["unknown_twin"]
        reason[slot == -2] = WHY["unknown_signal"]
        slot = np.where(unknown, -1, slot)
    return slot, value, reason


def _converted(rules: Rules, batch: Batch, slot: Slots) -> tuple[Floats, Bools]:
    """Values in declared units (N,), and where the unit is of another kind (N,)."""
    value, wrong = batch.value, np.zeros(len(batch), np.bool_)
    if set(batch.unit.words) <= {""}:
        return value, wrong
    value = value.copy()
    for code, word in enumerate(batch.unit.words):
        if not word:
            continue
        rows = np.flatnonzero((batch.unit.code == code) & (slot >= 0))
        declared = np.array([rules.unit[k] for k in slot[rows].tolist()], object)
        for target in set(declared.tolist()):
            some = rows[declared == target]
            try:
                value[some] = convert(value[some], word, target)
            except Invalid:
                wrong[some] = True
    return value, wrong


def judge(
    rules: Rules, memory: QualityMemory, source: str, received_at: int, batch: Batch
) -> Judged:
    """One entry's samples, each with its fate, quality and reason. Moves the memory on."""
    slot, value, reason = admit(rules, batch, received_at)
    instant = batch.instant
    closed = memory.watermark - max(rules.lateness, rules.rerun)
    fate = np.where(reason != 0, np.int8(REJECTED), np.int8(STORED))
    late = (fate == STORED) & (instant <= closed)
    fate[late] = LATE
    memory.watermark = max(memory.watermark, received_at)
    open_ = np.flatnonzero(fate == STORED)
    seen = memory.seen.setdefault(source, Seen(len(rules.unit)))
    fate[open_] = seen.take(slot[open_], instant[open_], value[open_], closed)
    quality = np.full(len(batch), GOOD, np.int8)
    quality[late], reason[late] = UNCERTAIN, WHY["late"]
    kept = (fate == STORED) | (fate == CORRECTION)
    rows = np.flatnonzero(kept | late)
    s, v = slot[rows], value[rows]
    outside = rows[(v < rules.low[s]) | (v > rules.high[s]) | (np.abs(v) > ABSURD)]
    quality[outside], reason[outside] = BAD, WHY["range"]
    kept[outside] = False
    rows = np.flatnonzero(kept)
    quality[rows], reason[rows] = _in_time(rules, memory, slot[rows], instant[rows], value[rows])
    return Judged(
        source,
        received_at,
        batch.twin,
        batch.signal,
        instant,
        value,
        slot,
        quality,
        reason,
        fate,
    )


def _in_time(
    rules: Rules, memory: QualityMemory, slot: Slots, instant: Instants, value: Floats
) -> tuple[Codes, Codes]:
    """Rate and stuck, each sample against the last good one of its slot: quality, reason (N,)."""
    order, first = groups(slot, instant)
    slot, instant, value = slot[order], instant[order], value[order]
    old = instant < memory.instant[slot]  # out of order: nothing newer to judge it by
    quality, reason = np.zeros(len(slot), np.int8), np.zeros(len(slot), np.int8)
    rows = np.flatnonzero(~old)
    s, t, v = slot[rows], instant[rows], value[rows]
    begins = np.ones(len(rows), np.bool_)
    begins[1:] = s[1:] != s[:-1]
    before_t = np.where(begins, memory.instant[s], np.roll(t, 1))
    before_v = np.where(begins, memory.value[s], np.roll(v, 1))
    gone = (t - before_t) / SECOND
    fast = (before_t > 0) & (gone > 0) & (np.abs(v - before_v) > rules.rate[s] * gone)
    if fast.any():
        hasty = np.zeros(len(rules.unit), np.bool_)
        hasty[s[fast]] = True
        for k in np.flatnonzero(hasty[s]).tolist():
            row = rows[k]
            quality[row], reason[row] = _against_last(
                rules, memory, int(s[k]), int(t[k]), float(v[k])
            )
        calm = ~hasty[s]
        rows, s, t, v = rows[calm], s[calm], t[calm], v[calm]
        begins, before_t, before_v = begins[calm], before_t[calm], before_v[calm]
    changed = (before_t == 0) | (v != before_v)
    since = _latest(begins, np.where(changed, t, memory.since[s]), changed)
    stuck = (t - since) / SECOND >= rules.stuck[s]
    quality[rows[stuck]], reason[rows[stuck]] = UNCERTAIN, WHY["stuck"]
    ends = np.flatnonzero(np.roll(begins, -1)) if len(begins) else np.zeros(0, np.int64)
    memory.since[s[ends]] = since[ends]
    memory.instant[s[ends]], memory.value[s[ends]] = t[ends], v[ends]
    out_quality, out_reason = np.empty_like(quality), np.empty_like(reason)
    out_quality[order], out_reason[order] = quality, reason
    return out_quality, out_reason


def _latest(begins: Bools, value: Instants, changed: Bools) -> Instants:
    """Of every run that begins at `begins`, the value at the last change so far."""
    place = np.where(changed | begins, np.arange(len(value)), 0)
    return np.asarray(value[np.maximum.accumulate(place)]) if len(value) else value


def _against_last(
    rules: Rules, memory: QualityMemory, slot: int, instant: int, value: float
) -> tuple[int, int]:
    """One sample of a slot in which a reading changed too fast: what is bad is no measure."""
    last, before = int(memory.instant[slot]), float(memory.value[slot])
    if last and instant > last:
        if abs(value - before) > rules.rate[slot] * (instant - last) / SECOND:
            return BAD, int(WHY["rate"])
    if not last or value != before:
        memory.since[slot] = instant
    memory.instant[slot], memory.value[slot] = instant, value
    if (instant - int(memory.since[slot])) / SECOND >= rules.stuck[slot]:
        return UNCERTAIN, int(WHY["stuck"])
    return GOOD, 0
