"""The quality stage works on columns; here it is held against one sample at a time."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel.clock import SECOND
from gemel.intake.quality import OLDEST, QualityMemory, Rules, judge
from gemel.intake.roll import Roll
from gemel.intake.seen import Seen
from gemel.records import FATES, REASONS, Batch

TWINS, SIGNALS = ("a", "b", "c"), ("heat", "speed")
UNITS = {"heat": "degC", "speed": "rpm"}
NOW = 1_700_000_000 * SECOND
Sample = tuple[str, str, int, float, str]


def rules() -> Rules:
    keys = [(twin, signal) for twin in TWINS for signal in SIGNALS]
    heat = np.array([signal == "heat" for _, signal in keys])
    return Rules(
        {key: k for k, key in enumerate(keys)},
        frozenset(TWINS),
        [UNITS[signal] for _, signal in keys],
        np.where(heat, -20.0, 0.0),
        np.where(heat, 150.0, 4000.0),
        np.where(heat, 2.0, 1e9),
        np.where(heat, 5.0, 1e9),
        lateness=20 * SECOND,
        skew=5 * SECOND,
    )


@dataclass
class Plainly:
    """The same rules, a sample at a time, with a dictionary of all that ever came."""

    rules: Rules
    watermark: int = 0
    seen: dict[tuple[str, int, int], float] = field(default_factory=dict)
    last: dict[int, tuple[int, float]] = field(default_factory=dict)
    since: dict[int, int] = field(default_factory=dict)

    def judge(self, source: str, at: int, samples: list[Sample]) -> list[tuple[str, int, str]]:
        closed, self.watermark = self.watermark - self.rules.lateness, max(self.watermark, at)
        told = [self._fate(source, at, closed, sample) for sample in samples]
        for k in sorted(range(len(told)), key=lambda k: samples[k][2]):
            fate, quality, _ = told[k]
            if fate in ("stored", "correction") and quality == 0:
                told[k] = (fate, *self._in_time(samples[k]))
        return told

    def _fate(self, source: str, at: int, closed: int, sample: Sample) -> tuple[str, int, str]:
        twin, signal, instant, value, unit = sample
        slot = self.rules.index.get((twin, signal))
        if slot is None:
            return "rejected", 0, "unknown_signal" if twin in TWINS else "unknown_twin"
        if unit not in ("", UNITS[signal]):
            return "rejected", 0, "unit"
        if instant > at + self.rules.skew or instant < at - OLDEST:
            return "rejected", 0, "ahead_of_clock" if instant > at else "far_past"
        if not np.isfinite(value):
            return "rejected", 0, "not_a_number"
        out = not self.rules.low[slot] <= value <= self.rules.high[slot]
        if instant <= closed:
            return "late", 2 if out else 1, "range" if out else "late"
        before = self.seen.get((source, slot, instant))
        self.seen[source, slot, instant] = value
        if before == value:
            return "duplicate", 0, ""
        return "stored" if before is None else "correction", 2 * out, "range" * out

    def _in_time(self, sample: Sample) -> tuple[int, str]:
        twin, signal, instant, value, _ = sample
        slot = self.rules.index[twin, signal]
        last, before = self.last.get(slot, (0, np.nan))
        if instant < last:
            return 0, ""
        if last and instant > last:
            if abs(value - before) > self.rules.rate[slot] * (instant - last) / SECOND:
                return 2, "rate"
        if not last or value != before:
            self.since[slot] = instant
        self.last[slot] = (instant, value)
        stuck = (instant - self.since[slot]) / SECOND >= self.rules.stuck[slot]
        return (1, "stuck") if stuck else (0, "")


def entries() -> st.SearchStrategy[list[tuple[str, int, list[Sample]]]]:
    sample = st.tuples(
        st.sampled_from([*TWINS, "a", "a", "nobody"]),
        st.sampled_from([*SIGNALS, "heat", "heat", "nothing"]),
        st.one_of(st.integers(-30, 8), st.just(-11 * 365 * 86_400)),
        st.sampled_from([20.0, 20.0, 21.0, 23.0, 60.0, 200.0, np.nan]),
        st.sampled_from(["", "", "", "degC", "kW"]),
    )
    entry = st.tuples(st.sampled_from(["x", "y"]), st.integers(0, 12), st.lists(sample, max_size=9))
    return st.lists(entry, max_size=12)


def batches(told: list[tuple[str, int, list[Sample]]]) -> list[tuple[str, int, list[Sample]]]:
    """Gaps between entries, and instants before each, in seconds → instants."""
    out, at = [], NOW
    for source, gap, samples in told:
        at += gap * SECOND
        moved = [(t, s, at + before * SECOND, v, u) for t, s, before, v, u in samples]
        fitting = [(t, s, i, v, UNITS.get(s, u) if u == "degC" else u) for t, s, i, v, u in moved]
        out.append((source, at, fitting))
    return out


@settings(max_examples=300)
@given(entries())
def test_columns_are_judged_as_samples_are(told: list[tuple[str, int, list[Sample]]]) -> None:
    own = rules()
    memory, plainly = QualityMemory.blank(own), Plainly(own)
    for source, at, samples in batches(told):
        judged = judge(own, memory, source, at, Batch.of(samples))
        found = [
            (FATES[fate], quality, REASONS[reason])
            for fate, quality, reason in zip(
                judged.fate, judged.quality.tolist(), judged.reason, strict=True
            )
        ]
        assert found == plainly.judge(source, at, samples)
    for slot, (instant, value) in plainly.last.items():
        assert (memory.instant[slot], memory.value[slot]) == (instant, value)
        assert memory.since[slot] == plainly.since[slot]


@settings(max_examples=200)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12), st.integers(0, 2)), max_size=8),
        max_size=15,
    ),
    st.integers(0, 14),
)
def test_what_came_is_known_again_also_from_its_samples(
    told: list[list[tuple[int, int, int]]], kept: int
) -> None:
    seen, plainly = Seen(4), dict[tuple[int, int], int]()
    for number, rows in enumerate(told):
        if number == kept:
            seen = Seen.of(4, *seen.samples())
        columns = np.array(rows, np.int64).reshape(-1, 3)
        fates = seen.take(Roll(columns[:, 0]), columns[:, 1], columns[:, 2].astype(float), closed=0)
        for (slot, instant, value), fate in zip(rows, fates, strict=True):
            before = plainly.get((slot, instant))
            same = "duplicate" if before == value else "correction"
            assert FATES[fate] == ("stored" if before is None else same)
            plainly[slot, instant] = value


def test_a_long_stream_of_small_batches_keeps_few_blocks_and_forgets_what_is_closed() -> None:
    seen, slot = Seen(2), np.array([0, 1])
    for k in range(1, 3000):
        instant = np.full(2, k, np.int64)
        assert (seen.take(Roll(slot), instant, np.zeros(2), closed=k - 500) == 0).all()
    assert len(seen.blocks) < 12 and sum(len(b.key) for b in seen.blocks) < 4 * 500
    assert (
        FATES[seen.take(Roll(slot[:1]), np.array([2600]), np.zeros(1), closed=2500)[0]]
        == "duplicate"
    )
