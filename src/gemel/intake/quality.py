"""Judge samples: what is believed, what is kept but not believed, what is refused, and why.

Owns    the fate and the quality of every sample, each with one reason; the score of who sent it.
Never   drops a sample: whatever it says of one, the books count it.

    fate      rejected   cannot be understood: unknown, not its source's to send, wrong unit, not a
                         number, impossible time
              late       its instant was closed before it came: kept, counted, not used
              duplicate  the same again      correction  the same instant, another value
              stored     everything else
    quality   of what is kept: good; uncertain (late, stuck, inconsistent, drift, clock_skew);
              bad (range, rate). Of several reasons the first of these that holds is told.

An entry is judged whole, in the order of instants, so how ticks are cut changes nothing. All of it
works on columns; only a slot in which a reading changed too fast is gone through one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.errors import Invalid
from gemel.intake import clocks
from gemel.intake.drift import Drifts
from gemel.intake.redundant import Relations
from gemel.intake.roll import Roll, Slots, chosen
from gemel.intake.score import Score
from gemel.intake.seen import Seen
from gemel.intake.silence import Periods
from gemel.labels import Labels
from gemel.records import (
    BAD,
    CORRECTION,
    DUPLICATE,
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
    "schema": "sample.schema",
    "unit": "unit.mismatch",
    "not_a_number": "sample.not_a_number",
    "ahead_of_clock": "sample.ahead_of_clock",
    "far_past": "sample.far_past",
}
LIGHT = 1e200  # 1/s; nothing changes so fast, and times a duration it is still a number
KEPT_TABLES = 64  # of words looked up, by what sources send again and again
KEPT_ROLLS = 16  # of entries of at least so many samples
LONG = 1_000
Codes = NDArray[np.int8]
WHY = {word: np.int8(k) for k, word in enumerate(REASONS)}


@dataclass(frozen=True)
class Rules:
    """What the quality stage judges by; one row a slot, a slot is one signal of one twin.

    index (twin, signal) → slot · twins known · unit, low, high, rate [1/s], stuck [s]: (S,)
    lateness, skew: ns · rerun: ns that a sample may be late and still be taken in
    periods, relations, drifts: of the slots that declare them
    clock_skew: source → ns its clock may be off, "" for all others · sends: source → its signals
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
    periods: Periods = field(default_factory=Periods.none)
    relations: Relations = field(default_factory=lambda: Relations.of([]))
    drifts: Drifts = field(default_factory=Drifts.none)
    clock_skew: dict[str, int] = field(default_factory=dict)
    sends: dict[str, frozenset[str]] = field(default_factory=dict)
    rerun: int = 0

    def slots(self, twin: Labels, signal: Labels) -> Slots:
        """The slot of every row: (N,); −1 where the twin is unknown, −2 where its signal is."""
        if len(twin.words) * len(signal.words) > 4 * len(twin):  # few rows of many words
            twin, signal = twin.compact(), signal.compact()
        table = self._table(twin.words, signal.words)
        cell = np.multiply(twin.code, table.shape[1], dtype=np.int64)
        cell += signal.code
        return np.asarray(table.ravel()[cell])

    def roll(self, twin: Labels, signal: Labels) -> Roll:
        """The slots of an entry's samples; kept while its source sends the same list."""
        if len(twin) < LONG:
            return Roll(self.slots(twin, signal))
        key = (id(twin.words), len(signal.words), signal.words[:1])
        before = self._rolls.get(key)
        if before is not None and before[0].same(twin) and before[1].same(signal):
            return before[2]
        roll = Roll(self.slots(twin, signal))
        if len(self._rolls) >= KEPT_ROLLS:
            self._rolls.clear()
        self._rolls[key] = (twin, signal, roll)
        return roll

    @cached_property
    def _rolls(self) -> dict[Any, tuple[Labels, Labels, Roll]]:
        return {}

    @cached_property
    def names(self) -> tuple[Labels, Labels]:
        """Twin and signal of every slot: (S,), (S,)."""
        twin, signal = zip(*self.index, strict=True) if self.index else ((), ())
        return Labels.of(twin), Labels.of(signal)

    @cached_property
    def floor(self) -> Floats:
        """The least credible value of every slot: (S,)."""
        return np.maximum(self.low, -ABSURD)

    @cached_property
    def ceiling(self) -> Floats:
        """The largest credible value of every slot: (S,)."""
        return np.minimum(self.high, ABSURD)

    @cached_property
    def pace(self) -> Floats:
        """The largest credible change a second of every slot, a number even where none is declared:
        (S,)."""
        return np.minimum(self.rate, LIGHT)

    @cached_property
    def paced(self) -> bool:
        """Whether any signal declares how fast it may change."""
        return bool((self.rate < LIGHT).any())

    @cached_property
    def sticks(self) -> bool:
        """Whether any signal declares how long it may stand still."""
        return bool(np.isfinite(self.stuck).any())

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

    began, watermark: the first and latest `received_at`, ns · last not bad instant, value: (S,) ·
    since (S,): when the present value began · reason (S,): of the newest sample · seen: per source,
    what came and is younger than the lateness · heard (E,): newest instant of what has a period ·
    drift (D,12) · lags: per source, of its last entries, ns · reasons: per source, how many of each
    """

    watermark: int
    instant: Instants
    value: Floats
    since: Instants
    reason: Codes
    score: Score
    heard: Instants
    drift: Floats
    seen: dict[str, Seen] = field(default_factory=dict)
    lags: dict[str, list[int]] = field(default_factory=dict)
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    began: int = 0

    @staticmethod
    def blank(rules: Rules) -> "QualityMemory":
        """Nothing was heard yet."""
        slots = len(rules.unit)
        return QualityMemory(
            0,
            np.zeros(slots, np.int64),
            np.full(slots, np.nan),
            np.zeros(slots, np.int64),
            np.zeros(slots, np.int8),
            Score.blank(len(rules.names[0].words)),
            np.zeros(len(rules.periods.slots), np.int64),
            rules.drifts.blank(),
        )


def admit(rules: Rules, source: str, batch: Batch, received_at: int) -> tuple[Roll, Floats, Codes]:
    """Its roll, value in declared units (N,), why it is rejected (N,): 0 = admitted."""
    roll = rules.roll(batch.twin, batch.signal)
    reason = np.zeros(len(batch), np.int8)
    value, unit_is_wrong = _converted(rules, batch, roll.slot)
    finite, instant = np.isfinite(value), batch.instant
    if not finite.all():
        reason[~finite] = WHY["not_a_number"]
    if instant.min(initial=received_at) < received_at - OLDEST:
        reason[instant < received_at - OLDEST] = WHY["far_past"]
    if instant.max(initial=received_at) > received_at + rules.skew:
        reason[instant > received_at + rules.skew] = WHY["ahead_of_clock"]
    if unit_is_wrong is not None:
        reason[unit_is_wrong] = WHY["unit"]
    if source in rules.sends:
        sends = [word in rules.sends[source] for word in batch.signal.words]
        reason[~np.array(sends, np.bool_)[batch.signal.code]] = WHY["schema"]
    if not roll.known:
        reason[roll.slot == -1] = WHY["unknown_twin"]
        reason[roll.slot == -2] = WHY["unknown_signal"]
        roll = Roll(np.maximum(roll.slot, -1))
    return roll, value, reason


def _converted(rules: Rules, batch: Batch, slot: Slots) -> tuple[Floats, Bools | None]:
    """Values in declared units (N,), and where the unit is of another kind (N,), None: nowhere."""
    if set(batch.unit.words) <= {""}:
        return batch.value, None
    value, wrong = batch.value.copy(), np.zeros(len(batch), np.bool_)
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
    rules: Rules,
    memory: QualityMemory,
    source: str,
    received_at: int,
    batch: Batch,
    again: bool = False,
) -> Judged:
    """One entry's samples, each with its fate, quality and reason. Moves the memory on.

    again: a person takes them in once more, however late they are
    """
    roll, value, reason = admit(rules, source, batch, received_at)
    instant = batch.instant
    closed = memory.watermark - max(rules.lateness, rules.rerun)
    fate = np.where(reason != 0, np.int8(REJECTED), np.int8(STORED))
    late = None
    if not again and instant.min(initial=closed + 1) <= closed:
        late = (fate == STORED) & (instant <= closed)
        fate[late] = LATE
    memory.began = memory.began or received_at
    memory.watermark = max(memory.watermark, received_at)
    open_ = chosen(fate == STORED)
    if source not in memory.seen:
        memory.seen[source] = Seen(len(rules.unit))
    fate[open_] = memory.seen[source].take(roll.part(open_), instant[open_], value[open_], closed)
    quality = np.zeros(len(batch), np.int8)
    kept = (fate == STORED) | (fate == CORRECTION)
    known = kept
    if late is not None:
        quality[late], reason[late] = UNCERTAIN, WHY["late"]
        known = kept | late
    rows = chosen(known)
    at, v = roll.part(rows).at, value[rows]
    outside = (v < rules.floor[at]) | (v > rules.ceiling[at])
    if outside.any():
        far = np.flatnonzero(known)[outside]
        quality[far], reason[far] = BAD, WHY["range"]
        kept[far] = False
    rows = chosen(kept)
    quality[rows], reason[rows] = _in_order(
        rules, memory, roll.part(rows), instant[rows], value[rows]
    )
    if len(batch) and not again and _clock_is_off(rules, memory, source, received_at, batch):
        doubted = kept & (reason == 0)
        quality[doubted], reason[doubted] = UNCERTAIN, WHY["clock_skew"]
    judged = Judged(
        source,
        received_at,
        batch.twin,
        batch.signal,
        instant,
        value,
        roll.slot,
        quality,
        reason,
        fate,
    )
    _remember(rules, memory, judged, roll)
    return judged


def _clock_is_off(
    rules: Rules, memory: QualityMemory, source: str, received_at: int, batch: Batch
) -> bool:
    lag = clocks.lag(received_at, batch.twin, batch.instant)
    off = abs(clocks.hear(memory.lags, source, lag))
    bound = rules.clock_skew.get(source, rules.clock_skew.get(""))
    return bound is not None and off > bound


def _remember(rules: Rules, memory: QualityMemory, judged: Judged, roll: Roll) -> None:
    """The newest reasons, the gaps and the scores."""
    fate, reason, now = judged.fate, judged.reason, memory.watermark
    twin = rules.names[0].code
    plain = not reason.any() and not (fate == DUPLICATE).any()
    if memory.reason.any() or not plain:
        kept = (fate == STORED) | (fate == CORRECTION)
        rows = np.flatnonzero(kept)
        rows = rows[judged.instant[rows] >= memory.instant[judged.slot[rows]]]
        rows = rows[np.argsort(judged.instant[rows], kind="stable")]
        memory.reason[judged.slot[rows]] = reason[rows]
    if len(rules.periods.slots):
        heard = chosen((fate != REJECTED) & (fate != DUPLICATE))
        slot, instant = judged.slot[heard], judged.instant[heard]
        missed = rules.periods.hear(memory.heard, slot, instant)
        if missed.any():
            gaps = np.flatnonzero(missed)
            memory.score.miss(twin[rules.periods.slots[gaps]], missed[gaps], now)
    if plain:
        memory.score.count(judged.source, len(reason), len(reason), now)
        touched, due = roll.tally(twin, len(memory.score.due))
        memory.score.grow(touched, due, due, now)
        return
    counted = fate != DUPLICATE
    why = np.bincount(reason[counted], minlength=len(REASONS)).tolist()
    told = memory.reasons.setdefault(judged.source, {})
    for word, number in zip(REASONS[1:], why[1:], strict=True):
        if number:
            told[word] = told.get(word, 0) + number
    memory.score.count(judged.source, why[0], sum(why), now)
    counted &= judged.slot >= 0
    memory.score.add(twin[judged.slot[counted]], reason[counted] == 0, now)


def _in_order(
    rules: Rules, memory: QualityMemory, roll: Roll, instant: Instants, value: Floats
) -> tuple[Codes, Codes]:
    """What the order of instants tells of each sample: quality, reason (N,)."""
    order, _ = roll.order(instant)
    roll, instant, value = roll.part(order), instant[order], value[order]
    quality, reason = np.zeros(len(roll), np.int8), np.zeros(len(roll), np.int8)
    rows = chosen(instant >= memory.instant[roll.at])  # others: nothing newer to judge them by
    those, t, v = roll.part(rows), instant[rows], value[rows]
    last, reading = _readings(rules, memory)
    quality[rows], reason[rows] = _in_time(rules, memory, those, t, v)
    if len(rules.relations.slot) or len(rules.drifts.slots):
        some = chosen(quality[rows] != BAD)
        s, t, v, good = those.slot[some], t[some], v[some], reason[rows][some] == 0
        doubt = _among_others(rules, memory, last, reading, s, t, v, good)
        doubted = np.flatnonzero(good & (doubt != 0))
        rows = np.arange(len(roll))[rows][some][doubted]
        quality[rows], reason[rows] = UNCERTAIN, doubt[doubted]
    if isinstance(order, slice):
        return quality, reason
    out_quality, out_reason = np.empty_like(quality), np.empty_like(reason)
    out_quality[order], out_reason[order] = quality, reason
    return out_quality, out_reason


def _among_others(
    rules: Rules,
    memory: QualityMemory,
    last: Instants,
    reading: Floats,
    slot: Slots,
    instant: Instants,
    value: Floats,
    good: Bools,
) -> Codes:
    """Why samples are doubted that their neighbours or their own past do not bear out: (N,)."""
    odd, apart = np.zeros(len(slot), np.bool_), value
    if len(rules.relations.slot):
        departs = len(rules.drifts.slots) > 0
        odd, apart = rules.relations.judge(last, reading, slot, instant, value, good, departs)
    drifts = rules.drifts.judge(memory.drift, slot, instant, apart)
    return np.where(odd, WHY["inconsistent"], np.where(drifts, WHY["drift"], np.int8(0)))


def _readings(rules: Rules, memory: QualityMemory) -> tuple[Instants, Floats]:
    """Instant and value of what each member of a relation told last; 0 = it is stuck."""
    slot = rules.relations.slot
    last = memory.instant[slot]
    stuck = (last - memory.since[slot]) / SECOND >= rules.stuck[slot]
    return np.where(stuck, 0, last), memory.value[slot]


def _in_time(
    rules: Rules, memory: QualityMemory, roll: Roll, t: Instants, v: Floats
) -> tuple[Codes, Codes]:
    """Rate and stuck, each sample against the last good one of its slot: quality, reason (N,)."""
    quality, reason = np.zeros(len(roll), np.int8), np.zeros(len(roll), np.int8)
    rows: Any = slice(None)
    begins = np.ones(len(roll), np.bool_)
    before_t, before_v = memory.instant[roll.at], memory.value[roll.at]
    if not roll.rising:
        begins[1:] = roll.slot[1:] != roll.slot[:-1]
        before_t = np.where(begins, before_t, np.roll(t, 1))
        before_v = np.where(begins, before_v, np.roll(v, 1))
    fast = _too_fast(rules, roll, t, v, before_t, before_v) if rules.paced else None
    if fast is not None and fast.any():
        s = roll.slot
        hasty = np.zeros(len(rules.unit), np.bool_)
        hasty[s[fast]] = True
        hasty = hasty[s]
        for row in np.flatnonzero(hasty).tolist():
            quality[row], reason[row] = _against_last(
                rules, memory, int(s[row]), int(t[row]), float(v[row])
            )
        rows = np.flatnonzero(~hasty)
        roll, t, v = roll.part(rows), t[rows], v[rows]
        begins, before_t, before_v = begins[rows], before_t[rows], before_v[rows]
    changed = (v != before_v) | (before_t == 0)
    since = t if changed.all() else np.where(changed, t, memory.since[roll.at])
    if not roll.rising:
        since = _latest(begins, since, changed)
    if rules.sticks:
        stuck = (t - since) / SECOND >= rules.stuck[roll.at]
        if stuck.any():
            stuck = np.arange(len(quality))[rows][stuck]
            quality[stuck], reason[stuck] = UNCERTAIN, WHY["stuck"]
    ends = slice(None) if roll.rising else chosen(np.roll(begins, -1))
    last = roll.part(ends).at
    memory.since[last], memory.instant[last], memory.value[last] = since[ends], t[ends], v[ends]
    return quality, reason


def _too_fast(
    rules: Rules, roll: Roll, t: Instants, v: Floats, before_t: Instants, before_v: Floats
) -> Bools:
    """Where a reading changed by more than is credible since the one before: (N,)."""
    gone = (t - before_t) / SECOND
    much = np.abs(v - before_v) > rules.pace[roll.at] * gone
    return np.asarray(much & (before_t > 0) & (gone > 0))


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
