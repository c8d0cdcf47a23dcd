"""Late data: whatever the order in which samples come, the twin ends where it would have been."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel.clock import SECOND
from gemel.flow.fleet import Plan, compile_plan
from gemel.flow.memory import Memory, begin, pack, unpack
from gemel.flow.outcome import Outcome
from gemel.flow.tick import tick
from gemel.graph.plantfile import read_plant
from gemel.records import FATES, Batch, Entry

MINUTE, START = 60 * SECOND, 1_700_000_040 * SECOND
TWINS, FRAMES = ("t1", "t2", "t3"), 30
Sample = tuple[str, str, int, float, str]


def plant(rerun: str = "1h") -> Plan:
    units = {"inflow": "m3/h", "valve": "1", "level": "m", "outflow": "m3/h"}
    signals = {name: {"unit": unit} for name, unit in units.items()}
    raw: dict[str, Any] = {
        "plant": {"name": "farm", "lateness": "2min", "rerun": rerun},
        "interface": {"Tank": {"id": "dtmi:gemel:farm:Tank;1", "telemetry": signals}},
        "twin": [{"id": twin, "interface": "Tank"} for twin in TWINS],
        "binding": [
            {
                "name": "tank",
                "kernel": "gemel.kernels.library.tank:Tank",
                "interface": "Tank",
                "every": "1min",
                "ports": {"opening": "valve", "gauge": "level"},
            }
        ],
    }
    return compile_plan(read_plant(raw), Path())


PLAN = plant()


def samples() -> list[Sample]:
    """Half an hour of three tanks; one is read twice as often, one misses half of its readings."""
    rng, told = np.random.default_rng(3), []
    for k in range(FRAMES):
        at = START + k * MINUTE
        for n, twin in enumerate(TWINS):
            told.append((twin, "inflow", at, 20.0 + 5.0 * np.sin(0.3 * k + n), ""))
            told.append((twin, "valve", at - 7 * SECOND, 0.4 + 0.1 * (k % 5 == n), ""))
            if n == 1:
                told.append((twin, "level", at - 30 * SECOND, 1.1 + rng.normal(0.0, 0.01), ""))
            if n < 2 or k % 2:
                told.append((twin, "level", at, 1.0 + rng.normal(0.0, 0.01), ""))
    return [(twin, signal, at, float(value), unit) for twin, signal, at, value, unit in told]


SAMPLES = samples()


def sent(minutes_late: list[int]) -> list[Entry]:
    """Every sample so many minutes late, one entry a minute; at the end a beat closes all."""
    by_minute: dict[int, list[Sample]] = {}
    for sample, late in zip(SAMPLES, minutes_late, strict=True):
        minute = -(-(sample[2] - START) // MINUTE) + late
        by_minute.setdefault(minute, []).append(sample)
    entries = [
        Entry("batch", "farm", START + minute * MINUTE + SECOND, batch=Batch.of(rows))
        for minute, rows in sorted(by_minute.items())
    ]
    entries.append(Entry("beat", "clock", START + 3600 * SECOND))
    return [replace(entry, sequence=k) for k, entry in enumerate(entries, 1)]


def ran(plan: Plan, entries: list[Entry]) -> tuple[Memory, list[Outcome]]:
    memory = begin(plan)
    return memory, [tick(plan, memory, [entry]) for entry in entries]


def latest(outcomes: list[Outcome]) -> dict[tuple[str, str, int], tuple[float, float]]:
    """History's answer: of each state and instant what was told last."""
    found = {}
    for outcome in outcomes:
        for told in outcome.estimates:
            for name, (mean, std) in told.values.items():
                for row, twin in enumerate(told.twin):
                    found[twin, name, int(told.instant[row])] = (float(mean[row]), float(std[row]))
    return found


def facts(outcomes: list[Outcome]) -> set[tuple[Any, ...]]:
    """The telemetry that history keeps."""
    return {
        (judged.twin[k], judged.signal[k], int(judged.instant[k]), float(judged.value[k]))
        for outcome in outcomes
        for judged in outcome.judged
        for k in range(len(judged.fate))
        if FATES[judged.fate[k]] == "stored" and judged.quality[k] == 0
    }


IN_TIME, IN_TIME_OUTCOMES = ran(PLAN, sent([0] * len(SAMPLES)))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.1, 0.5, 1.0]))
def test_any_lateness_within_the_bound_ends_in_the_same_bits(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    late = np.where(rng.random(len(SAMPLES)) < share, rng.integers(0, 30, len(SAMPLES)), 0).tolist()
    memory, outcomes = ran(PLAN, sent(late))
    for name in ("instant", "mean", "cov"):
        own, other = (getattr(m.fleets["tank"].estimate, name) for m in (memory, IN_TIME))
        assert own.tobytes() == other.tobytes(), name
    assert memory.fleets["tank"].bias.tobytes() == IN_TIME.fleets["tank"].bias.tobytes()
    assert latest(outcomes) == latest(IN_TIME_OUTCOMES)
    assert facts(outcomes) == facts(IN_TIME_OUTCOMES)
    book = memory.books["farm"]
    assert book["stored"] == book["received"] == len(SAMPLES)


def test_what_never_came_in_time_ends_in_the_same_bits_too() -> None:
    beat = Entry("beat", "clock", START + 50 * MINUTE, sequence=1)
    entries = [beat] + [
        replace(entry, sequence=k) for k, entry in enumerate(sent([0] * len(SAMPLES)), 2)
    ]
    memory, outcomes = ran(PLAN, entries)
    assert memory.books["farm"]["stored"] == len(SAMPLES)
    belief, other = memory.fleets["tank"].estimate, IN_TIME.fleets["tank"].estimate
    assert belief.mean.tobytes() == other.mean.tobytes()
    assert belief.cov.tobytes() == other.cov.tobytes()
    assert latest(outcomes) == latest(IN_TIME_OUTCOMES)


def test_without_a_bound_late_samples_are_parked_and_move_nothing() -> None:
    late = [25 if k == 40 else 0 for k in range(len(SAMPLES))]
    memory, outcomes = ran(plant("0s"), sent(late))
    assert memory.books["farm"]["late"] == 1
    assert not [e for o in outcomes for e in o.events if e["name"] == "rerun"]
    assert memory.fleets["tank"].estimate.mean.tobytes() != (
        IN_TIME.fleets["tank"].estimate.mean.tobytes()
    )


def test_a_rerun_says_what_it_did_and_moves_no_other_twin() -> None:
    row = next(k for k, s in enumerate(SAMPLES) if s[:2] == ("t2", "level") and s[2] > START)
    late = [20 if k == row else 0 for k in range(len(SAMPLES))]
    _, outcomes = ran(PLAN, sent(late))
    [event] = [e for o in outcomes for e in o.events if e["name"] == "rerun"]
    assert event["body"]["twins"] == ["t2"] and event["body"]["samples"] == 1
    assert SAMPLES[row][2] <= event["instant"] <= event["body"]["until"]
    [again] = [o for o in outcomes if any(e["name"] == "rerun" for e in o.events)]
    told = [t for t in again.estimates if t.instant[0] < event["body"]["until"]]
    assert told and all(set(t.twin) == {"t2"} for t in told)


def test_a_snapshot_between_changes_no_rerun() -> None:
    late = [(7 * k) % 23 if k % 6 == 0 else 0 for k in range(len(SAMPLES))]
    entries = sent(late)
    for cut in (5, 20, 40):
        memory = begin(PLAN)
        for entry in entries[:cut]:
            tick(PLAN, memory, [entry])
        memory = unpack(PLAN, *pack(PLAN, memory))
        for entry in entries[cut:]:
            last = tick(PLAN, memory, [entry])
        whole, outcomes = ran(PLAN, entries)
        assert last.digest == outcomes[-1].digest
        assert memory.fleets["tank"].past.ends == whole.fleets["tank"].past.ends


def test_no_rerun_goes_behind_a_repair() -> None:
    entries = sent([0] * len(SAMPLES))
    body = {"twin": "t2", "binding": "tank", "resets": ["level"], "by": "a", "why": "b"}
    repair = Entry("maintenance", "http", START + 20 * MINUTE + 2 * SECOND, body=body)
    old = SAMPLES[30][:2] + (SAMPLES[30][2] + SECOND, 1.5, "")
    late = Entry(
        "batch", "farm", START + 24 * MINUTE + 2 * SECOND, batch=Batch.of([("t2", *old[1:])])
    )
    run = sorted([*entries, repair], key=lambda e: e.received_at)
    with_late = sorted([*run, late], key=lambda e: e.received_at)
    results = []
    for told in (run, with_late):
        memory, _ = ran(PLAN, [replace(e, sequence=k) for k, e in enumerate(told, 1)])
        results.append(memory.fleets["tank"].estimate.mean.tobytes())
    assert results[0] == results[1]


def test_memory_lets_go_of_what_no_late_sample_can_ask_for() -> None:
    plan = plant("5min")
    memory, _ = ran(plan, sent([0] * len(SAMPLES)))
    past = memory.fleets["tank"].past
    assert len(past.checkpoints) <= 6 and len(past.ends) < 12
    assert sum(len(s.slot) for s in memory.recent) < len(SAMPLES) / 2


def test_many_small_entries_are_few_runs_of_samples() -> None:
    assert len(IN_TIME.recent) <= 5 < FRAMES
