"""Limits proposed from history: their laws, their evidence, and that they can be pasted."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_starter import wide

from gemel.clock import SECOND, ManualClock
from gemel.errors import Invalid, NotFound
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.graph.plantfile import parse, read_plant
from gemel.intake.limits import Limits, propose
from gemel.intake.quality import QualityMemory, Rules, judge
from gemel.records import REASONS, Batch
from gemel.starter import evidence, init
from gemel.starter import propose as from_history

MINUTE = 60 * SECOND
BEGAN = 1_700_000_000 * SECOND


def limits(value: np.ndarray, every: int = MINUTE) -> Limits:
    asset = np.zeros(len(value), np.int64)
    return propose(asset, BEGAN + np.arange(len(value)) * every, value, floor=True)


def judged(said: Limits, value: np.ndarray) -> list[str]:
    """The reasons of the same samples under the limits."""
    stuck = said.stuck or np.inf
    rules = Rules(
        {("a", "x"): 0},
        frozenset("a"),
        ["1"],
        *(np.array([limit]) for limit in (said.low, said.high, said.rate or np.inf, stuck)),
        lateness=10**18,
        skew=0,
    )
    instants = (BEGAN + np.arange(len(value)) * MINUTE).tolist()
    batch = Batch.of([("a", "x", t, v, "") for t, v in zip(instants, value.tolist(), strict=True)])
    told = judge(rules, QualityMemory.blank(rules), "x", instants[-1], batch)
    return [REASONS[reason] for reason in told.reason]


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=60)
@given(SEEDS, st.sampled_from(["noise", "walk", "steps", "ramp"]))
def test_history_itself_is_good_under_the_limits_that_it_proposes(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    noise, count = rng.normal(0, 1, 3000), 3000
    value = {
        "noise": 50 + noise,
        "walk": 500 + np.cumsum(noise),
        "steps": np.repeat(rng.choice([0.0, 20.0, 45.0], 60), 50) + 0.1 * noise,
        "ramp": 0.02 * np.arange(count) + 0.3 * noise,
    }[kind]
    reasons = judged(limits(value), value)
    assert np.mean([reason != "" for reason in reasons]) <= 0.002


@settings(max_examples=40)
@given(SEEDS)
def test_spikes_do_not_widen_the_rate_and_are_counted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    value = 60 + 5 * np.sin(np.arange(5000) / 50) + rng.normal(0, 0.05, 5000)
    calm = limits(value)
    struck = value.copy()
    struck[[777, 2500]] += 40.0
    said = limits(struck)
    assert said.spikes >= 2
    assert said.rate <= 1.5 * calm.rate
    reasons = judged(said, struck)
    assert reasons[777] != "" and reasons[2500] != ""


def test_a_real_jump_is_no_spike_and_a_set_point_is_never_stuck() -> None:
    value = np.repeat([0.0, 40.0, 20.0, 60.0] * 5, 100)
    said = limits(value)
    assert said.honest == 1.0 and said.rate >= said.honest  # 60 to 0 in a minute
    assert said.stuck == 0.0 and said.every == 60.0


def test_the_longest_silence_and_run_are_measured_per_asset() -> None:
    asset = np.repeat([0, 1], 100)
    instant = BEGAN + np.tile(np.arange(100), 2) * MINUTE
    value = np.concatenate([np.arange(100.0), 500 - np.arange(100.0)])
    value[120:131] = value[120]
    said = propose(asset, instant, value, floor=True)
    assert (said.run, said.every) == (600.0, 60.0)
    assert said.honest < 1.0  # from one asset to the next is no change


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_a_handful_of_samples_gets_a_range_that_holds_them(values: list[float]) -> None:
    value = np.array(values)
    said = limits(value)
    assert said.low <= value.min() and value.max() <= said.high
    assert all(math.isfinite(limit) for limit in (said.low, said.high, said.rate, said.stuck))


# ---- from files -------------------------------------------------------------------------------


def test_a_csv_and_the_history_it_became_propose_what_init_wrote(tmp_path: Path) -> None:
    wide(tmp_path / "data.csv")
    init(tmp_path / "data.csv", tmp_path / "mine")
    plan = load_plan(tmp_path / "mine" / "plant.toml")
    with Host(plan, tmp_path / "mine.gemel", clock=ManualClock()) as host:
        assert host.wait(60.0) and host.failure is None, host.failure
    written = (tmp_path / "mine" / "plant.toml").read_text()
    of_file = from_history(tmp_path / "data.csv")
    of_lake = from_history(tmp_path / "mine.gemel", plan)
    lines = {row["signal"]: row["line"] for row in of_file["signals"]}
    assert lines == {row["signal"]: row["line"] for row in of_lake["signals"]}
    assert all(line in written for line in lines.values())
    assert {(row["interface"], row["twins"]) for row in of_lake["signals"]} == {("Asset", 3)}


def test_the_proposal_can_be_pasted_and_shows_its_evidence(tmp_path: Path) -> None:
    wide(tmp_path / "data.csv")
    told = from_history(tmp_path / "data.csv", signals=["speed"])
    text = evidence(told)
    plant = read_plant(parse(f'[plant]\nname = "pasted"\n{text}'))
    speed = plant.interfaces["Asset"].telemetry["speed"]
    assert (speed.unit, speed.every) == ("rpm", 60.0) and speed.low < 1400 < 1600 < speed.high
    for words in ("900 samples of 3 twin(s)", "median", "largest honest", "longest without"):
        assert words in text
    assert json.loads(json.dumps(told)) == told


def test_where_there_is_no_history_it_is_said(tmp_path: Path) -> None:
    wide(tmp_path / "data.csv")
    with pytest.raises(Invalid, match="quality.no_history"):
        from_history(tmp_path / "data.csv", signals=["colour"])
    with pytest.raises(NotFound, match="data.not_found"):
        from_history(tmp_path)
