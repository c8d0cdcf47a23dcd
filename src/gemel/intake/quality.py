"""Judge samples: what is believed, what is kept but not believed, what is refused, and why.

Owns    the fate and the quality of every sample, each with one reason.
Never   drops a sample: whatever it says of one, the books count it.

    fate      rejected   cannot be understood: unknown, wrong unit, not a number, impossible time
              late       its instant was closed before it came: kept, counted, not used
              duplicate  the same again      correction  the same instant, another value
              stored     everything else
    quality   of what is kept: good, uncertain (stuck, late), bad (range, rate)

An entry is judged whole, in the order of instants, so how ticks are cut changes nothing.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.errors import Invalid
from gemel.records import BAD, GOOD, UNCERTAIN, Batch, Floats, Judged, Words
from gemel.units import convert

OLDEST = 10 * 365 * 86_400 * SECOND  # a sample ten years older than its arrival has a broken clock
ABSURD = 1e12  # no declared unit has an honest reading of this size, whatever its range
REASONS = {  # why a sample is rejected → the code that `gemel explain` knows
    "unknown_twin": "sample.unknown_twin",
    "unknown_signal": "sample.unknown_signal",
    "unit": "unit.mismatch",
    "not_a_number": "sample.not_a_number",
    "ahead_of_clock": "sample.ahead_of_clock",
    "far_past": "sample.far_past",
}


@dataclass(frozen=True)
class Rules:
    """What the quality stage judges by; one row a slot, a slot is one signal of one twin.

    index (twin, signal) → slot · twins known · unit, low, high, rate [1/s], stuck [s]: (S,)
    lateness, skew: ns
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


@dataclass
class QualityMemory:
    """What judging needs to remember.

    watermark: the latest `received_at`, ns · last good instant, value: (S,) · since (S,): when the
    present value began · seen: source → {(slot, instant): value} younger than the lateness
    """

    watermark: int
    instant: NDArray[np.int64]
    value: Floats
    since: NDArray[np.int64]
    seen: dict[str, dict[tuple[int, int], float]] = field(default_factory=dict)
    prune_at: int = 1000

    @staticmethod
    def blank(slots: int) -> "QualityMemory":
        zero = np.zeros(slots, np.int64)
        return QualityMemory(0, zero, np.full(slots, np.nan), zero.copy())


def admit(rules: Rules, batch: Batch, received_at: int) -> tuple[NDArray[np.int64], Floats, Words]:
    """slot (N,), value in declared units (N,), why it is rejected (N,), "" = admitted."""
    size = len(batch)
    slot = np.fromiter(
        (rules.index.get(key, -1) for key in zip(batch.twin, batch.signal, strict=True)),
        np.int64,
        size,
    )
    reason = np.full(size, "", object)
    for k in np.flatnonzero(slot < 0):
        reason[k] = "unknown_signal" if batch.twin[k] in rules.twins else "unknown_twin"
    value = batch.value.copy()
    for k in np.flatnonzero((batch.unit != "") & (slot >= 0)):
        try:
            value[k : k + 1] = convert(value[k : k + 1], batch.unit[k], rules.unit[slot[k]])
        except Invalid:
            reason[k] = "unit"
    plain = reason == ""
    reason[plain & ~np.isfinite(value)] = "not_a_number"
    reason[plain & (batch.instant > received_at + rules.skew)] = "ahead_of_clock"
    reason[plain & (batch.instant < received_at - OLDEST)] = "far_past"
    return slot, value, reason


def judge(
    rules: Rules, memory: QualityMemory, source: str, received_at: int, batch: Batch
) -> Judged:
    """One entry's samples, each with its fate, quality and reason. Moves the memory on."""
    slot, value, reason = admit(rules, batch, received_at)
    fate = np.full(len(batch), "stored", object)
    fate[reason != ""] = "rejected"
    closed = memory.watermark - rules.lateness
    fate[(fate == "stored") & (batch.instant <= closed)] = "late"
    memory.watermark = max(memory.watermark, received_at)
    _twice(memory, source, slot, batch.instant, value, fate)
    quality = np.full(len(batch), GOOD, np.int8)
    kept = (fate == "stored") | (fate == "correction")
    late = fate == "late"
    quality[late], reason[late] = UNCERTAIN, "late"
    outside = (kept | late) & ((value < rules.low[slot]) | (value > rules.high[slot]))
    outside |= (kept | late) & (np.abs(value) > ABSURD)
    quality[outside], reason[outside] = BAD, "range"
    order = np.flatnonzero(kept & ~outside)
    for k in order[np.argsort(batch.instant[order], kind="stable")]:
        quality[k], reason[k] = _against_last(
            rules, memory, int(slot[k]), int(batch.instant[k]), float(value[k])
        )
    _prune(memory, closed)
    return Judged(
        source,
        received_at,
        batch.twin,
        batch.signal,
        batch.instant,
        value,
        slot,
        quality,
        reason,
        fate,
    )


def _twice(
    memory: QualityMemory,
    source: str,
    slot: NDArray[np.int64],
    instant: NDArray[np.int64],
    value: Floats,
    fate: Words,
) -> None:
    """Mark duplicates and corrections, in the order they came."""
    seen = memory.seen.setdefault(source, {})
    for k in np.flatnonzero(fate == "stored"):
        key = (int(slot[k]), int(instant[k]))
        if key in seen:
            fate[k] = "duplicate" if seen[key] == value[k] else "correction"
        seen[key] = float(value[k])


def _against_last(
    rules: Rules, memory: QualityMemory, slot: int, instant: int, value: float
) -> tuple[int, str]:
    """Rate and stuck, against the last good sample of the slot."""
    last, before = int(memory.instant[slot]), float(memory.value[slot])
    if instant < last:
        return GOOD, ""  # out of order inside the lateness: nothing newer to judge it by
    if last and instant > last:
        if abs(value - before) > rules.rate[slot] * (instant - last) / SECOND:
            return BAD, "rate"
    if not last or value != before:
        memory.since[slot] = instant
    memory.instant[slot], memory.value[slot] = instant, value
    if (instant - int(memory.since[slot])) / SECOND >= rules.stuck[slot]:
        return UNCERTAIN, "stuck"
    return GOOD, ""


def _prune(memory: QualityMemory, closed: int) -> None:
    """Forget what is closed: a sample that old is late before it could be a duplicate."""
    if sum(map(len, memory.seen.values())) < memory.prune_at:
        return
    for source, seen in memory.seen.items():
        memory.seen[source] = {key: v for key, v in seen.items() if key[1] > closed}
    memory.prune_at = 1000 + 2 * sum(map(len, memory.seen.values()))
