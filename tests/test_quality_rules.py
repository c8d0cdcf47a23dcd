"""Gaps, redundant sensors, drift, clocks, scores: against one sample at a time, and their laws."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_quality import NOW, Plainly, Sample, batches, entries, rules

from gemel.clock import SECOND
from gemel.intake.clocks import ENOUGH, lag, lag_of
from gemel.intake.drift import Drifts
from gemel.intake.quality import QualityMemory, Rules, judge
from gemel.intake.redundant import Relations
from gemel.intake.score import DAY
from gemel.intake.silence import Periods
from gemel.labels import Labels
from gemel.records import FATES, REASONS, Batch

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
THREE, PAIR = [0, 2, 4], [1, 3]  # the heat of a, b and c; the speed of a and b


def ruled() -> Rules:
    """The rules of test_quality, and one of every other kind."""
    return replace(
        rules(),
        periods=Periods(np.array([0, 3]), np.array([2.0, 5.0]), np.array([6.0, 10.0])),
        relations=Relations.of([(THREE, 1.5, 6.0), (PAIR, 30.0, 3.0)]),
        clock_skew={"x": 3 * SECOND},
        sends={"y": frozenset({"heat"})},
    )


@dataclass
class Ruled(Plainly):
    """One sample at a time, with lists of all that ever came."""

    lags: dict[str, list[int]] = field(default_factory=dict)
    heard: dict[int, int] = field(default_factory=dict)
    score: dict[str, list[tuple[int, float, bool]]] = field(default_factory=dict)

    def judge(self, source: str, at: int, samples: list[Sample]) -> list[tuple[str, int, str]]:
        held = {slot: self._vote(slot) for slot in (*THREE, *PAIR)}
        before = dict(self.last)
        told = super().judge(source, at, samples)
        for k, reason in self._odd(told, samples, held, before).items():
            told[k] = (told[k][0], 1, reason)
        if samples and self._off(source, at, samples):
            for k, (fate, quality, _) in enumerate(told):
                if fate in ("stored", "correction") and quality == 0:
                    told[k] = (fate, 1, "clock_skew")
        self._count(source, told, samples)
        return told

    def _fate(self, source: str, at: int, closed: int, sample: Sample) -> tuple[str, int, str]:
        twin, signal, *_ = sample
        known = (twin, signal) in self.rules.index
        if known and signal not in self.rules.sends.get(source, {signal}):
            return "rejected", 0, "schema"
        return super()._fate(source, at, closed, sample)

    def _vote(self, slot: int) -> tuple[int, float] | None:
        """What a member of a relation last told, unless it is stuck."""
        if slot not in self.last:
            return None
        instant, value = self.last[slot]
        stuck = (instant - self.since[slot]) / SECOND >= self.rules.stuck[slot]
        return None if stuck else (instant, value)

    def _odd(
        self,
        told: list[tuple[str, int, str]],
        samples: list[Sample],
        held: dict[int, tuple[int, float] | None],
        before: dict[int, tuple[int, float]],
    ) -> dict[int, str]:
        """The good samples that a majority of their fresh neighbours does not bear out."""
        order = sorted(range(len(told)), key=lambda k: samples[k][2])
        slots = [self.rules.index.get(sample[:2], -1) for sample in samples]
        last = dict.fromkeys((*THREE, *PAIR), 0) | {s: t for s, (t, _) in before.items()}
        judged = [
            k
            for k in order
            if told[k][0] in ("stored", "correction") and told[k][1] < 2
            if samples[k][2] >= last.get(slots[k], 2**63)
        ]
        odd = {}
        for instant in sorted({samples[k][2] for k in judged}):
            now = [k for k in judged if samples[k][2] == instant]
            for k in now:
                if slots[k] in held:
                    good = told[k][1] == 0
                    held[slots[k]] = (instant, samples[k][3]) if good else None
            for members, within, age in ((THREE, 1.5, 6.0), (PAIR, 30.0, 3.0)):
                fresh = {
                    slot: vote[1]
                    for slot in members
                    if (vote := held[slot]) and abs(instant - vote[0]) <= age * SECOND
                }
                for k in now:
                    if slots[k] in fresh and told[k][1] == 0:
                        near = [v for v in fresh.values() if abs(v - samples[k][3]) <= within]
                        if 2 * len(near) <= len(fresh):
                            odd[k] = "inconsistent"
        return odd

    def _off(self, source: str, at: int, samples: list[Sample]) -> bool:
        newest: dict[str, int] = {}
        for twin, _, instant, *_ in samples:
            newest[twin] = max(instant, newest.get(twin, instant))
        last = self.lags.setdefault(source, [])
        last.append(at - sorted(newest.values())[len(newest) // 2])
        middle = sorted(last[-31:])[len(last[-31:]) // 2]
        return source == "x" and len(last) >= 8 and abs(middle) > 3 * SECOND

    def _count(self, source: str, told: list[tuple[str, int, str]], samples: list[Sample]) -> None:
        """Every sample, and what every gap cost, by who is answerable."""
        now = self.watermark
        slots = self.rules.periods.slots.tolist()
        for k in sorted(range(len(told)), key=lambda k: samples[k][2]):
            slot = self.rules.index.get(samples[k][:2], -1)
            if slot in slots and told[k][0] not in ("rejected", "duplicate"):
                e, before = slots.index(slot), self.heard.get(slot, 0)
                gone = (samples[k][2] - before) / SECOND
                if before and gone > self.rules.periods.gap[e]:
                    cost = DAY / self.rules.periods.every[e] * (1 - math.exp(-gone / DAY))
                    self.score.setdefault(samples[k][0], []).append((now, cost, False))
                self.heard[slot] = max(before, samples[k][2])
        for (fate, _, reason), (twin, signal, *_) in zip(told, samples, strict=True):
            if fate != "duplicate":
                who = [f"source {source}"]
                who += [twin] * ((twin, signal) in self.rules.index)
                for one in who:
                    self.score.setdefault(one, []).append((now, 1.0, not reason))

    def share(self, who: str) -> tuple[float, float]:
        """Good and due, each sample by its age."""
        worth = [
            (math.exp((at - self.watermark) / SECOND / DAY) * number, good)
            for at, number, good in self.score.get(who, [])
        ]
        return sum(w for w, good in worth if good), sum(w for w, _ in worth)


@settings(max_examples=300)
@given(entries())
def test_columns_are_judged_by_every_rule_as_samples_are(
    told: list[tuple[str, int, list[Sample]]],
) -> None:
    own = ruled()
    memory, plainly = QualityMemory.blank(own), Ruled(own)
    for source, at, samples in batches(told):
        judged = judge(own, memory, source, at, Batch.of(samples))
        found = [
            (FATES[fate], quality, REASONS[reason])
            for fate, quality, reason in zip(
                judged.fate, judged.quality.tolist(), judged.reason, strict=True
            )
        ]
        assert found == plainly.judge(source, at, samples)
    score = memory.score
    nothing = np.zeros(len(score.due))
    for twin, share in zip(own.names[0].words, score.share(memory.watermark, nothing), strict=True):
        good, due = plainly.share(twin)
        assert (np.isnan(share) and not due) or share == pytest.approx(good / due, rel=1e-9)
    for source in memory.score.sources:
        good, due, at = memory.score.sources[source]
        kept = math.exp((at - memory.watermark) / SECOND / DAY)
        assert (good * kept, due * kept) == pytest.approx(plainly.share(f"source {source}"))
    for e, slot in enumerate(own.periods.slots.tolist()):
        assert memory.heard[e] == plainly.heard.get(slot, 0)


# ---- gaps and scores --------------------------------------------------------------------------


def one(**rule: object) -> Rules:
    """Two twins, a signal each; every sample is credible but for the rules given."""
    wide = np.full(2, np.inf)
    own = Rules(
        {("a", "heat"): 0, ("b", "heat"): 1},
        frozenset("ab"),
        ["degC"] * 2,
        -wide,
        wide,
        wide,
        wide,
        lateness=MINUTE,
        skew=MINUTE,
    )
    return replace(own, **rule)  # type: ignore[arg-type]


def send(
    own: Rules, memory: QualityMemory, at: int, *values: float, source: str = "x"
) -> list[str]:
    """One value of a, and one of b, in time; their reasons."""
    samples = [(twin, "heat", at, value, "") for twin, value in zip("ab", values, strict=False)]
    return [REASONS[r] for r in judge(own, memory, source, at, Batch.of(samples)).reason]


def test_a_silent_signal_is_silent_from_its_last_sample_until_the_next_which_is_good() -> None:
    own = one(periods=Periods(np.array([0]), np.array([10.0]), np.array([30.0])))
    memory = QualityMemory.blank(own)
    for k in range(6):
        assert send(own, memory, NOW + 10 * k * SECOND, 1.0) == [""]
    last = NOW + 50 * SECOND
    silent = [
        int(own.periods.silent(memory.heard, memory.began, last + after * SECOND)[0])
        for after in (0, 30, 31, 3600)
    ]
    assert silent == [0, 0, last, last]
    before = memory.score.share(last, np.zeros(2))[0]
    assert send(own, memory, last + HOUR, 1.0) == [""]
    after = memory.score.share(last + HOUR, np.zeros(2))[0]
    assert before == 1.0 and after == pytest.approx(7 / (7 + 360), rel=0.05)


def test_the_score_of_a_silent_twin_is_the_same_before_and_after_the_gap_is_closed() -> None:
    own = one(periods=Periods(np.array([0]), np.array([10.0]), np.array([30.0])))
    memory = QualityMemory.blank(own)
    for k in range(1000):
        send(own, memory, NOW + 10 * k * SECOND, 1.0)
    now = NOW + 10 * 999 * SECOND + 2 * HOUR
    worth = own.periods.worth(np.array([7200.0]), own.periods.every)
    silent = memory.score.share(now, np.array([worth[0], 0.0]))[0]
    send(own, memory, now, 1.0)
    assert memory.score.share(now, np.zeros(2))[0] == pytest.approx(silent, abs=2e-3)


def test_a_day_of_good_samples_makes_up_for_most_of_a_bad_one() -> None:
    own = one(low=np.array([0.0, 0.0]))
    memory = QualityMemory.blank(own)
    for hour in range(24 * 20):
        send(own, memory, NOW + hour * HOUR, -1.0 if hour < 24 * 10 else 1.0)
    for days, bad in ((10, math.exp(-10)),):
        share = memory.score.share(NOW + (days + 10) * 24 * HOUR, np.zeros(2))
        assert share[0] == pytest.approx(1 - bad, abs=1e-3) and np.isnan(share[1])
    assert memory.reasons == {"x": {"range": 240}}


def test_the_score_does_not_hang_on_how_samples_were_cut_into_entries() -> None:
    own = one(low=np.array([0.0, 0.0]))
    whole, cut = QualityMemory.blank(own), QualityMemory.blank(own)
    for k in range(200):
        at, values = NOW + 7 * k * SECOND, (float(k % 5 - 1), float(k % 3 - 1))
        send(own, whole, at, *values)
        for twin, value in zip("ab", values, strict=True):
            judge(own, cut, "x", at, Batch.of([(twin, "heat", at, value, "")]))
    for name in ("good", "due", "at"):
        told, other = getattr(whole.score, name), getattr(cut.score, name)
        assert (told == other).all()


# ---- clocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [-40, 40])
def test_a_source_whose_clock_is_off_is_doubted_and_told_by_how_much(off: int) -> None:
    own = one(clock_skew={"": 30 * SECOND, "trusted": 60 * SECOND})
    memory = QualityMemory.blank(own)
    told = []
    for k in range(2 * ENOUGH):
        at = NOW + k * MINUTE
        samples = [("a", "heat", at - off * SECOND, float(k), "")]
        for source in ("x", "trusted"):
            told.append(REASONS[judge(own, memory, source, at, Batch.of(samples)).reason[0]])
    assert told[::2] == [""] * (ENOUGH - 1) + ["clock_skew"] * (ENOUGH + 1)
    assert set(told[1::2]) == {""}
    assert lag_of(memory.lags["x"]) == off * SECOND


def test_one_old_entry_and_one_device_without_a_clock_do_not_make_a_source_late() -> None:
    own = one(clock_skew={"": 30 * SECOND})
    memory = QualityMemory.blank(own)
    for k in range(40):
        at = NOW + k * MINUTE
        if k % 3 == 2:  # what was stored on the way
            assert send(own, memory, at - 10 * SECOND, 1.0) == [""]
        rows = [("a", "heat", at, 1.0, ""), ("b", "heat", at, 1.0, ""), ("c", "heat", 0, 1.0, "")]
        judged = judge(own, memory, "x", at, Batch.of(rows))
        assert [REASONS[r] for r in judged.reason] == ["", "", "unknown_twin"]
    assert lag_of(memory.lags["x"]) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99)), min_size=1, max_size=30))
def test_the_lag_of_an_entry_is_the_median_over_its_twins(rows: list[tuple[int, int]]) -> None:
    code, instant = (np.array(column) for column in zip(*rows, strict=True))
    newest = sorted(max(t for c, t in rows if c == k) for k in set(code.tolist()))
    for words in ("abcdef", tuple(str(k) for k in range(200))):
        found = lag(1000, Labels(tuple(words), code.astype(np.int32)), instant.astype(np.int64))
        assert found == 1000 - newest[len(newest) // 2]


# ---- what a source may send -------------------------------------------------------------------


def test_a_source_is_held_to_the_signals_it_declares() -> None:
    own = one(sends={"x": frozenset({"speed"})})
    memory = QualityMemory.blank(own)
    assert send(own, memory, NOW, 1.0) == ["schema"]
    assert send(own, memory, NOW, 1.0, source="y") == [""]


# ---- redundant sensors ------------------------------------------------------------------------


def trio() -> Rules:
    own, wide = one(), np.full(3, np.inf)
    return replace(
        own,
        index={("a", "heat"): 0, ("a", "heat2"): 1, ("a", "heat3"): 2},
        unit=["degC"] * 3,
        low=-wide,
        high=wide,
        rate=wide,
        stuck=np.full(3, 600.0),
        relations=Relations.of([([0, 1, 2], 1.0, 60.0)]),
    )


def three(own: Rules, memory: QualityMemory, at: int, values: list[float]) -> list[str]:
    names = [signal for _, signal in own.index]
    samples = [("a", name, at, v, "") for name, v in zip(names, values, strict=True) if v == v]
    return [REASONS[r] for r in judge(own, memory, "x", at, Batch.of(samples)).reason]


def test_of_three_the_odd_one_is_doubted_of_two_both() -> None:
    own, odd, nan = trio(), "inconsistent", math.nan
    memory = QualityMemory.blank(own)
    assert three(own, memory, NOW, [20.0, 20.4, 19.9]) == ["", "", ""]
    assert three(own, memory, NOW + MINUTE, [20.1, 25.0, 20.0]) == ["", odd, ""]
    assert three(own, memory, NOW + 5 * MINUTE, [20.1, 25.0, nan]) == [odd, odd]
    assert three(own, memory, NOW + 6 * MINUTE, [10.0, 20.0, 30.0]) == [odd, odd, odd]
    assert three(own, memory, NOW + 9 * MINUTE, [nan, 50.0, nan]) == [""]  # nobody to ask


def test_a_stuck_sensor_has_no_vote_against_a_live_one() -> None:
    own = trio()
    memory = QualityMemory.blank(own)
    for k in range(30):
        told = three(own, memory, NOW + k * MINUTE, [20.0, 20.0 + 0.2 * k, math.nan])
    assert told == ["stuck", ""]


# ---- drift ------------------------------------------------------------------------------------


def drifts_by(means: dict[int, float], hour: int, bound: float) -> bool:
    """The same slope, from all hourly means before an hour."""
    last = range(hour - 72, hour)
    change = [means[h] - means[h - 24] for h in last if h in means and h - 24 in means]
    return len(change) >= 36 and abs(float(np.median(change))) > bound


@pytest.mark.parametrize("seed", range(8))
def test_drift_is_the_slope_of_the_hourly_means_however_they_are_cut(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drifts = Drifts(np.array([1, 4]), np.array([1.1, 2.3]))
    count = 1500
    slot = rng.integers(0, 6, count)
    hours = np.sort(rng.integers(0, 150 + 10 * seed, count))
    hours[count // 2 :] += 120 * (seed == 3)  # a long silence
    instant = np.sort(NOW // HOUR * HOUR + hours * HOUR + rng.integers(0, 3600, count) * SECOND)
    days = (instant - instant[0]) / (24 * HOUR)
    value = np.round(rng.normal(0, 3, count) + rng.uniform(-6, 6) * days)
    value[rng.integers(0, count, 50)] = np.nan
    expected = np.zeros(count, np.bool_)
    for which, bound in zip((1, 4), drifts.bound, strict=True):
        means: dict[int, list[float]] = {}
        for row in np.flatnonzero(slot == which).tolist():
            hour = int(instant[row] // HOUR)
            over = {h: float(np.mean(v)) for h, v in means.items() if h < hour}
            expected[row] = drifts_by(over, hour, bound)
            if np.isfinite(value[row]):
                means.setdefault(hour, []).append(value[row])
    found = np.zeros(count, np.bool_)
    memory, begin = drifts.blank(), 0
    while begin < count:
        end = min(begin + int(rng.integers(1, 200)), count)
        rows = np.arange(begin, end)[np.lexsort((instant[begin:end], slot[begin:end]))]
        found[rows] = drifts.judge(memory, slot[rows], instant[rows], value[rows])
        begin = end
    assert (found == expected).all()
    assert 0 < found.sum() < count // 3


def hourly(own: Rules, readings: Any) -> Any:
    """Reasons (T,3) of one entry an hour of three sensors: readings (T,3)."""
    memory = QualityMemory.blank(own)
    told = [three(own, memory, NOW + k * HOUR, row.tolist()) for k, row in enumerate(readings)]
    return np.array(told)


def test_noise_and_the_course_of_the_day_are_no_drift_and_a_creeping_sensor_is() -> None:
    own = replace(trio(), relations=Relations.of([]), drifts=Drifts(np.arange(3), np.full(3, 0.5)))
    rng, hours = np.random.default_rng(5), np.arange(24 * 20)
    course = 20 + 3 * np.sin(hours * 2 * np.pi / 24)
    readings = course[:, None] + rng.normal(0, 0.3, (len(hours), 3))
    readings[:, 2] += np.maximum(hours - 240, 0) / 24 * 2.0  # from the tenth day, 2 degC a day
    told = hourly(own, readings)
    assert (told[:, :2] == "").all() and (told[:240, 2] == "").all()
    first = np.flatnonzero(told[:, 2] == "drift")[0]
    assert 240 + 24 < first < 240 + 72
    assert (told[first:, 2] == "drift").all()


def test_a_step_and_an_outage_are_no_drift() -> None:
    own = replace(trio(), relations=Relations.of([]), drifts=Drifts(np.arange(3), np.full(3, 0.5)))
    rng, hours = np.random.default_rng(7), np.arange(24 * 12)
    readings = 20 + rng.normal(0, 0.3, (len(hours), 3))
    readings[:, 1] += 30.0 * (hours > 150)
    readings[100:180, 2] = math.nan
    memory = QualityMemory.blank(own)
    told = [three(own, memory, NOW + k * HOUR, row.tolist()) for k, row in enumerate(readings)]
    assert {reason for row in told for reason in row} == {""}


def test_what_all_redundant_sensors_do_is_no_drift_and_the_odd_one_is_found() -> None:
    own = replace(
        trio(),
        relations=Relations.of([([0, 1, 2], 50.0, 60.0)]),
        drifts=Drifts(np.arange(3), np.full(3, 0.2)),
    )
    rng, hours = np.random.default_rng(6), np.arange(24 * 12)
    readings = 20 + 0.1 * hours[:, None] + rng.normal(0, 0.1, (len(hours), 3))
    readings[:, 1] += np.maximum(hours - 96, 0) / 24 * 1.5
    told = hourly(own, readings)
    assert (told[:96] == "").all() and (told[:, [0, 2]] == "").mean() > 0.99
    assert (told[-48:, 1] == "drift").all()
