"""From what the instruments measure to what is sent: everything that goes wrong in between.

Owns    the faults of instruments, clocks, names and wires; what is held up; what was done to whom.
Never   sends, and never reads a clock: it is handed instants. The machine's own faults are the
        hall's (`truth`), since they change what is true.

A slot is one signal of one twin. One instant's readings (N,) go in; rows come out, one a sample, in
the order in which they are to be sent. Faults act in the order of `KINDS`.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.errors import Invalid
from gemel.kernels.draws import normals
from gemel.plant.faults import KINDS, PHYSICAL, Episodes, Fault, Numbers
from gemel.plant.truth import Slots
from gemel.records import Bools, Floats, Instants

HOUR = 3600 * SECOND
WORDS = tuple(KINDS)
BIT = {kind: np.int64(1 << k) for k, kind in enumerate(WORDS)}
PLAIN, OTHER_TWIN, OTHER_SIGNAL, GARBAGE = range(4)  # what a row is sent as


@dataclass(frozen=True)
class Rows:
    """Samples on their way, one a row (M,).

    slot · instant: true · measured: at it, by a sound instrument · stated, value, unit: as sent ·
    sent_as: PLAIN … · done: bits of the faults that touched it · due: when it is to be sent
    """

    slot: Numbers
    instant: Instants
    measured: Floats
    stated: Instants
    value: Floats
    unit: NDArray[np.int16]
    sent_as: NDArray[np.int8]
    done: Numbers
    due: Instants

    def __len__(self) -> int:
        return len(self.slot)

    def part(self, where: Any) -> "Rows":
        return Rows(*(getattr(self, item.name)[where] for item in fields(self)))

    @staticmethod
    def of(slot: Numbers, instant: int, measured: Floats) -> "Rows":
        """Readings as they are, due now."""
        count, now = len(slot), np.full(len(slot), instant)
        return Rows(
            slot,
            now,
            measured,
            now.copy(),
            measured.copy(),
            np.zeros(count, np.int16),
            np.zeros(count, np.int8),
            np.zeros(count, np.int64),
            now.copy(),
        )

    @staticmethod
    def joined(several: "list[Rows]") -> "Rows":
        if len(several) == 1:
            return several[0]
        names = [item.name for item in fields(Rows)]
        return Rows(*(np.concatenate([getattr(rows, name) for rows in several]) for name in names))

    def as_record(self) -> dict[str, list[Any]]:
        """As JSON; NaN is None."""
        told = {item.name: getattr(self, item.name).tolist() for item in fields(self)}
        return told | {
            name: [None if v != v else v for v in told[name]] for name in ("measured", "value")
        }

    @staticmethod
    def of_record(told: dict[str, list[Any]]) -> "Rows":
        empty = Rows.of(np.zeros(0, np.int64), 0, np.zeros(0))
        return Rows(
            *(
                np.array(
                    [np.nan if v is None else v for v in told[item.name]],
                    getattr(empty, item.name).dtype,
                )
                for item in fields(Rows)
            )
        )


@dataclass(frozen=True)
class Step:
    """What one instant makes the plant send: blocks in order, and what never goes.

    late: what was held up until now · main: readings, in order of slots · more: what comes twice
    """

    late: Rows
    main: Rows
    more: Rows
    lost: Rows

    @property
    def blocks(self) -> list[Rows]:
        return [rows for rows in (self.late, self.main, self.more) if len(rows)]


class Way:
    """The way of one plant's readings under some faults.

    units: the words that `Rows.unit` numbers, "" first
    """

    def __init__(self, slots: Slots, faults: tuple[Fault, ...], seed: int) -> None:
        self.slots = slots
        there = sorted(
            (f for f in faults if f.kind not in PHYSICAL), key=lambda f: WORDS.index(f.kind)
        )
        self.episodes = [Episodes(f, slots.twins, seed, k) for k, f in enumerate(there)]
        self.units = ["", *dict.fromkeys(f.unit for f in there if f.unit)]
        self._signals = [self._matching(fault) for fault in there]
        self._held: dict[tuple[int, int], float] = {}  # (fault, slot) → what a stuck sensor shows
        self._waiting: list[Rows] = []
        self._before: tuple[int, Floats] | None = None
        self._told_at: int | None = None

    def _matching(self, fault: Fault) -> Bools:
        """The signals that a fault names: (S,)."""
        named = [fault.names(signal) for signal in self.slots.signals]
        if not any(named):
            raise Invalid(
                "fault.signal",
                f"there is no signal '{fault.signal}' in this plant",
                where=f"fault {fault.kind}, twin {fault.twin}",
                mend=f"use a name or a pattern of: {', '.join(self.slots.signals)}",
            )
        return np.array(named)

    @property
    def waiting(self) -> int:
        """Samples that are held up still."""
        return sum(len(rows) for rows in self._waiting)

    def take(self, instant: int, measured: Floats) -> Step:
        """The readings of one instant (N,), later than any before."""
        work = _Work(self, instant, measured)
        for k, episodes in enumerate(self.episodes):
            twins, begin, end = episodes.now(instant)
            work.apply(k, episodes, self._signals[k], twins, begin, end)
        self._before = instant, measured
        return self.send(instant, work)

    def send(self, instant: int, work: "_Work | None" = None) -> Step:
        """What goes at an instant; without `work`, only what was held up."""
        due: list[Rows] = []
        kept: list[Rows] = []
        for rows in self._waiting:
            now = rows.due <= instant
            due += [rows.part(now)] if now.any() else []
            kept += [rows.part(~now)] if not now.all() else []
        self._waiting = kept
        nothing = Rows.of(np.zeros(0, np.int64), instant, np.zeros(0))
        late = Rows.joined([nothing, *due])
        late = late.part(np.argsort(late.due, kind="stable")) if len(due) > 1 else late
        if work is None:
            return Step(late, nothing, nothing, nothing)
        main, more, lost = work.rows, Rows.joined([nothing, *work.more]), nothing
        if work.gone is not None:
            main, lost = work.rows.part(~work.gone), work.rows.part(work.gone)
        main, more = self._hold(main, instant), self._hold(more, instant)
        return Step(Rows.joined([late, *work.first]) if work.first else late, main, more, lost)

    def _hold(self, rows: Rows, instant: int) -> Rows:
        """Keep what is due later."""
        later = rows.due > instant
        if not later.any():
            return rows
        self._waiting.append(rows.part(later))
        return rows.part(~later)

    def begun(self, until: int) -> list[dict[str, Any]]:
        """The records of faults that are known by an instant, each told once."""
        after, self._told_at = self._told_at, until
        return [record for e in self.episodes for record in e.begun(after, until)]

    # ---- state --------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What is to be remembered, as JSON."""
        before = None
        if self._before is not None and any(e.fault.kind == "flood" for e in self.episodes):
            before = [self._before[0], self._before[1].tolist()]
        return {
            "before": before,
            "held": [[*key, value] for key, value in self._held.items()],
            "waiting": [rows.as_record() for rows in self._waiting],
            "told_at": self._told_at,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as `state()` was left; under other faults, with what still fits."""
        self._held = {
            (int(k), int(slot)): value
            for k, slot, value in state.get("held", [])
            if k < len(self.episodes)
        }
        self._waiting = [Rows.of_record(told) for told in state.get("waiting", [])]
        self._told_at = state.get("told_at")
        if state.get("before"):
            instant, measured = state["before"]
            self._before = instant, np.array(measured)

    def held(self, fault: int, slots: Numbers, showing: Floats) -> Floats:
        """What stuck sensors show: what they showed when they stuck; (M,)."""
        mine = {slot for k, slot in self._held if k == fault} - set(slots.tolist())
        for slot in mine:
            del self._held[fault, slot]
        return np.array(
            [
                self._held.setdefault((fault, slot), value)
                for slot, value in zip(slots.tolist(), showing.tolist(), strict=True)
            ]
        )

    def between(self, slots: Numbers, instant: int, measured: Floats, times: int) -> Rows | None:
        """Readings of a device that measures `times` as often, since the instant before."""
        if self._before is None:
            return None
        at, before = self._before
        parts = np.arange(1, times) / times
        share = np.tile(parts, len(slots))
        slot = np.repeat(slots, times - 1)
        value = (before[slot] + (measured[slot] - before[slot]) * share).round(4)
        rows = Rows.of(slot, instant, value)
        rows.instant[:] = at + np.round((instant - at) * share).astype(np.int64)
        rows.stated[:] = rows.instant
        order = np.lexsort((rows.slot, rows.instant))
        return rows.part(order)


class _Work:
    """One instant on its way."""

    def __init__(self, way: Way, instant: int, measured: Floats) -> None:
        self.way, self.instant, self.measured = way, instant, measured
        self.rows = Rows.of(np.arange(len(measured)), instant, measured)
        self.first: list[Rows] = []  # goes before the readings
        self.more: list[Rows] = []  # goes after them
        self.gone: Bools | None = None  # of the readings, what never goes

    def apply(
        self,
        number: int,
        episodes: Episodes,
        signals: Bools,
        twins: Numbers,
        begin: Instants,
        end: Instants,
    ) -> None:
        fault = episodes.fault
        if fault.kind == "stuck" and not len(twins):
            self.way.held(number, twins, np.zeros(0))
        if not len(twins):
            return
        lucky = episodes.lucky(twins, self.instant)
        twins, begin, end = twins[lucky], begin[lucky], end[lucky]
        slot, which = self.way.slots.of(twins)
        wanted = signals[self.way.slots.signal[slot]]
        slot, which = slot[wanted], which[wanted]
        if len(slot):
            act = getattr(self, f"_{fault.kind}")
            act(_Hit(number, episodes, twins, begin, end, slot, which))
            if fault.kind not in _APART:
                self.rows.done[slot] |= BIT[fault.kind]

    # ---- the instrument -----------------------------------------------------------------------

    def _stuck(self, hit: "_Hit") -> None:
        values = self.rows.value
        values[hit.slot] = self.way.held(hit.number, hit.slot, values[hit.slot])

    def _drift(self, hit: "_Hit") -> None:
        hours = (self.instant - hit.begin[hit.which]) / HOUR
        self._add(hit.slot, hit.fault.strength * hours)

    def _noise(self, hit: "_Hit") -> None:
        lanes, signal = hit.episodes.lanes(hit.twins), self.way.slots.signal[hit.slot]
        draws = np.zeros(len(hit.slot))
        for s in set(signal.tolist()):
            some = signal == s
            draws[some] = normals(lanes, self.instant // 1000, 4 + 2 * s)[hit.which[some]]
        self._add(hit.slot, hit.fault.strength * draws)

    def _scale(self, hit: "_Hit") -> None:
        value = self.rows.value[hit.slot] * hit.fault.scale + hit.fault.offset
        self.rows.value[hit.slot] = value.round(4)

    def _unit(self, hit: "_Hit") -> None:
        self.rows.unit[hit.slot] = self.way.units.index(hit.fault.unit)

    def _not_a_number(self, hit: "_Hit") -> None:
        self.rows.value[hit.slot] = np.nan

    def _add(self, slot: Numbers, more: Floats) -> None:
        self.rows.value[slot] = (self.rows.value[slot] + more).round(4)

    # ---- clock and names ----------------------------------------------------------------------

    def _clock_offset(self, hit: "_Hit") -> None:
        self.rows.stated[hit.slot] += round(hit.fault.strength * SECOND)

    def _clock_drift(self, hit: "_Hit") -> None:
        hours = (self.instant - hit.begin[hit.which]) / HOUR
        away = np.round(hit.fault.strength * hours * 1e3).astype(np.int64)  # a clock tells ms
        self.rows.stated[hit.slot] += away * 1_000_000

    def _unknown_twin(self, hit: "_Hit") -> None:
        self.rows.sent_as[hit.slot] = OTHER_TWIN

    def _unknown_signal(self, hit: "_Hit") -> None:
        self.rows.sent_as[hit.slot] = OTHER_SIGNAL

    # ---- the way ------------------------------------------------------------------------------

    def _dropout(self, hit: "_Hit") -> None:
        if self.gone is None:
            self.gone = np.zeros(len(self.rows), np.bool_)
        self.gone[hit.slot] = True

    def _duplicate(self, hit: "_Hit") -> None:
        self._copy(hit)

    def _correction(self, hit: "_Hit") -> None:
        again = self._copy(hit)
        again.value[:] = (again.value + hit.fault.strength).round(4)

    def _copy(self, hit: "_Hit") -> Rows:
        """What goes once more, after it went."""
        kept = hit.slot if self.gone is None else hit.slot[~self.gone[hit.slot]]
        again = self.rows.part(kept)
        again.done[:] |= BIT[hit.fault.kind]
        again.due[:] += round(hit.fault.delay * SECOND)
        self.more.append(again)
        return again

    def _reorder(self, hit: "_Hit") -> None:
        luck = hit.episodes.luck(hit.twins, self.instant, 1)[hit.which]
        self._delay(hit.slot, (luck * hit.fault.delay * SECOND).astype(np.int64))

    def _late(self, hit: "_Hit") -> None:
        self._delay(hit.slot, np.full(len(hit.slot), round(hit.fault.delay * SECOND)))

    def _outage(self, hit: "_Hit") -> None:
        self._delay(hit.slot, hit.end[hit.which] - self.instant)

    def _delay(self, slot: Numbers, by: Instants) -> None:
        """Hold readings up; what comes of them twice follows them."""
        delay = np.zeros(len(self.rows), np.int64)
        delay[slot] = by
        for rows in (self.rows, *self.more):
            rows.due[:] += delay[rows.slot]

    def _garbage(self, hit: "_Hit") -> None:
        """One a message, told by the twin's first slot."""
        slot = self.way.slots.begin[hit.twins]
        rows = self.rows.part(slot)
        rows.value[:], rows.measured[:] = np.nan, np.nan
        rows.sent_as[:], rows.due[:], rows.done[:] = GARBAGE, self.instant, BIT["garbage"]
        self.more.append(rows)

    def _flood(self, hit: "_Hit") -> None:
        times = int(hit.fault.strength)
        rows = self.way.between(hit.slot, self.instant, self.measured, times)
        if rows is not None:
            rows.done[:] = BIT["flood"]
            self.first.append(rows)


_APART = ("duplicate", "correction", "garbage", "flood")  # they touch copies, and no reading


@dataclass(frozen=True)
class _Hit:
    """Whom a fault hits at an instant: twins, begin, end (K,); slot, which of the twins (M,)."""

    number: int
    episodes: Episodes
    twins: Numbers
    begin: Instants
    end: Instants
    slot: Numbers
    which: Numbers

    @property
    def fault(self) -> Fault:
        return self.episodes.fault
