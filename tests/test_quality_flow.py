"""Quality in the flow: declared in the plant file, kept in snapshots, a veto for commands, told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.test_server import Ovens, eventually
from tests.test_tick import MINUTE, Evening, approved, evening, numbered, plan, run

from gemel.clock import SECOND, format_instant
from gemel.errors import Invalid
from gemel.flow.fleet import Plan, compile_plan
from gemel.flow.memory import Memory, begin, pack, unpack
from gemel.flow.outcome import Outcome
from gemel.flow.propose import propose
from gemel.flow.tick import tick
from gemel.flow.view import look
from gemel.graph.plantfile import PlantFile, parse, read_plant
from gemel.records import REASONS, Batch, Entry

__all__ = ["evening", "plan"]  # fixtures

PLANT = """
[plant]
name = "pumps"
lateness = "10s"
clock_skew = "1min"
[interface.Station.telemetry]
ambient = { unit = "degC" }
[interface.Pump]
consistent = [{ signals = ["inlet", "outlet"], within = 12, age = "30s" },
              { signals = ["inlet", "in/ambient"], within = 40 }]
[interface.Pump.telemetry]
inlet = { unit = "degC", every = "10s", drift = 0.5 }
outlet = { unit = "degC", every = "1min", gap = 5 }
flow = { unit = "L/min" }
[[twin]]
id = "p1"
interface = "Pump"
links = { in = "s" }
[[twin]]
id = "s"
interface = "Station"
[[twin]]
id = "p2"
interface = "Pump"
links = { in = "s" }
[[source]]
name = "gateway"
kind = "mqtt"
embedded = true
clock_skew = "5s"
signals = ["inlet", "outlet"]
"""


def pumps(text: str = PLANT) -> PlantFile:
    return read_plant(parse(text))


def test_the_plant_file_declares_every_rule() -> None:
    rules = compile_plan(pumps(), Path()).rules
    inlets = [rules.index[twin, "inlet"] for twin in ("p1", "p2")]
    assert rules.periods.slots.tolist() == sorted(inlets + [k + 1 for k in inlets])
    assert sorted(rules.periods.gap.tolist()) == [30.0, 30.0, 300.0, 300.0]
    assert rules.drifts.slots.tolist() == inlets and rules.drifts.bound.tolist() == [0.5, 0.5]
    assert rules.clock_skew == {"": 60 * SECOND, "gateway": 5 * SECOND}
    assert rules.sends == {"gateway": frozenset({"inlet", "outlet"})}
    assert pumps().sources["gateway"].options == {"embedded": True}  # the rest is no connector's
    members = [set(rules.relations.slot[rules.relations.relation == k].tolist()) for k in range(4)]
    ambient = rules.index["s", "ambient"]
    assert members == [{0, 1}, {0, ambient}, {inlets[1], inlets[1] + 1}, {inlets[1], ambient}]


@pytest.mark.parametrize(
    ("was", "now", "what"),
    [
        ('["inlet", "outlet"], within', '["inlet", "flow"], within', "they are in L/min and degC"),
        ('["inlet", "outlet"], within', '["inlet", "inlet"], within', "two different signals"),
        ('["inlet", "outlet"], within', '["inlet", "heat"], within', "no telemetry 'heat'"),
        ('"in/ambient"', '"out/ambient"', "no link 'out'"),
    ],
)
def test_signals_that_cannot_be_compared_are_told(was: str, now: str, what: str) -> None:
    with pytest.raises(Invalid, match="plant.consistent") as error:
        compile_plan(pumps(PLANT.replace(was, now)), Path())
    assert what in error.value.message


@pytest.mark.parametrize("signals", ['"inlet"', "[]", "[1]"])
def test_what_a_source_sends_is_a_list_of_names(signals: str) -> None:
    with pytest.raises(Invalid, match="plant.signals"):
        pumps(PLANT.replace('signals = ["inlet", "outlet"]\n', f"signals = {signals}\n"))


START = 1_700_000_000 * SECOND


def pumped(minutes: int, seed: int = 1) -> list[Entry]:
    """Two pumps and a station, an entry every ten minutes; p2 falls silent, p1's inlet creeps."""
    rng = np.random.default_rng(seed)
    entries = []
    for k in range(0, minutes, 10):
        at, rows = START + k * MINUTE, []
        for twin in ("p1", "p2") if k < minutes - 300 else ("p1",):
            inlet, outlet = 20 + rng.normal(0, 0.1, 2)
            creep, odd = k / 1440 * (twin == "p1"), 30.0 * (rng.random() < 0.2)
            rows += [(twin, "inlet", at, inlet + creep, ""), (twin, "outlet", at, outlet + odd, "")]
        rows.append(("s", "ambient", at, 15.0, ""))
        entries.append(
            Entry("batch", "gateway" if k % 20 else "x", at + SECOND, "", Batch.of(rows))
        )
    return numbered(entries)


def kept(plan: Plan, memory: Memory) -> dict[str, Any]:
    arrays, book = pack(plan, memory)
    told: dict[str, Any] = {key: array.tobytes() for key, array in arrays.items()}
    return {**told, **{k: book[k] for k in ("began", "lags", "reasons", "watermark")}}


def test_a_snapshot_keeps_all_that_judging_remembers() -> None:
    plan, entries = compile_plan(pumps(), Path()), pumped(7 * 1440)
    whole, half = begin(plan), begin(plan)
    outcomes = run(plan, whole, entries, 30)
    told = {REASONS[r] for o in outcomes for judged in o.judged for r in judged.reason}
    assert told == {"", "schema", "inconsistent", "drift"}
    run(plan, half, entries[:600], 30)
    back = unpack(plan, *pack(plan, half))
    run(plan, back, entries[600:], 30)
    mine, other = kept(plan, whole), kept(plan, back)
    assert {k for k in mine if mine[k] != other[k]} <= {k for k in mine if k.startswith("seen")}


def test_what_is_remembered_stays_with_its_twin_when_the_plant_file_changes() -> None:
    first, entries = compile_plan(pumps(), Path()), pumped(4 * 1440)
    memory = begin(first)
    run(first, memory, entries, 30)
    another = '[[twin]]\nid = "p0"\ninterface = "Pump"\nlinks = { in = "s" }\n\n'
    plan = compile_plan(pumps(PLANT.replace("[[twin]]", another + "[[twin]]", 1)), Path())
    back = unpack(plan, *pack(first, memory))
    before, after = look(first, memory, 1, 1), look(plan, back, 1, 1)
    for twin in ("p1", "p2", "s"):
        assert after.twin(twin)["quality"] == before.twin(twin)["quality"]  # type: ignore[index]
    assert back.quality.drift[1:].tobytes() == memory.quality.drift.tobytes()
    assert after.sources == before.sources


def test_people_are_told_the_score_who_is_silent_and_why_a_reading_is_doubted() -> None:
    plan, entries = compile_plan(pumps(), Path()), pumped(2000)
    memory = begin(plan)
    run(plan, memory, entries, 30)
    at = memory.at + 2 * MINUTE
    last = [("p1", "inlet", at, 20.0, ""), ("p1", "outlet", at, 39.0, "")]
    tick(plan, memory, [Entry("batch", "x", at, "", Batch.of(last), sequence=10**6)])
    view = look(plan, memory, 1, 1)
    p1, p2, s = (view.twin(twin) for twin in ("p1", "p2", "s"))
    assert p1 and p2 and s
    assert p1["latest"]["outlet"]["quality"] == "uncertain"
    assert p1["latest"]["outlet"]["reason"] == "inconsistent"
    assert [one["signal"] for one in p2["quality"]["silent"]] == ["inlet", "outlet"]
    assert p1["quality"]["silent"] == []
    assert p2["quality"]["score"] < p1["quality"]["score"] < 1.0
    told = {source["source"]: source for source in view.sources}
    assert told["x"]["lag"] == 1.0 and set(told["x"]["reasons"]) == {"inconsistent"}
    assert set(told["gateway"]["reasons"]) == {"inconsistent", "schema"}


# ---- commands ---------------------------------------------------------------------------------


def test_no_command_follows_from_an_input_without_a_good_sample_of_late(
    plan: Plan, evening: Evening
) -> None:
    memory = evening.memory()
    fleet, held = plan.fleets["bearing"], memory.fleets["bearing"]
    column = list(fleet.kernel.layout.inputs).index("oil_flow")
    held.grid.held_at[fleet.row["st1-b2"], column] -= 12 * 3600 * SECOND
    memory.quality.reason[plan.rules.index["st1-b2", "oil_flow"]] = REASONS.index("range")
    outcome, sent = approved(plan, memory)
    assert sent == "" and outcome.proposals[0]["status"] == "rejected"
    why = outcome.proposals[0]["why"]
    assert why.startswith("guard: input oil_flow had its last good sample 12")
    assert why.endswith("(range)")


def test_no_command_follows_when_nothing_was_heard_for_longer_than_an_input_may_be_held(
    plan: Plan, evening: Evening
) -> None:
    memory = evening.memory()
    proposal = next(iter(memory.control.proposals.values()))
    body = {"proposal": proposal.id, "verdict": "approved", "by": "eva", "why": "yes"}
    at = memory.at + 40 * MINUTE
    told = tick(plan, memory, [Entry("verdict", "person", at, body=body, sequence=10**6)])
    assert told.outbox == [] and "had its last good sample" in told.proposals[0]["why"]


def test_no_command_follows_from_telemetry_that_was_mostly_bad(
    plan: Plan, evening: Evening
) -> None:
    memory = evening.memory()
    twin = plan.rules.names[0].words.index("st1")  # feeds speed, load and ambient
    memory.quality.score.good[twin] = 0.3 * memory.quality.score.due[twin]
    outcome, sent = approved(plan, memory)
    assert sent == ""
    assert outcome.proposals[0]["why"] == "guard: only 30% of the samples of st1 were good of late"


def test_no_proposal_is_made_while_an_input_is_not_good(plan: Plan, evening: Evening) -> None:
    memory, fleet = evening.memory(), plan.fleets["bearing"]
    held_at = memory.fleets["bearing"].grid.held_at
    column = list(fleet.kernel.layout.inputs).index("oil_flow")
    made = []
    for gone in (3600 * SECOND, 0):
        memory.control.proposals.clear()
        memory.control.quiet.clear()
        held_at[fleet.row["st1-b2"], column] -= gone
        outcome = Outcome(1)
        propose(plan, fleet, memory, memory.fleets["bearing"].grid.closed, outcome)
        held_at[fleet.row["st1-b2"], column] += gone
        made.append([p["twin"] for p in outcome.proposals])
    assert made == [[], ["st1-b2"]]


# ---- over HTTP --------------------------------------------------------------------------------


def test_quality_is_told_over_http_the_worst_twin_first(tmp_path: Path) -> None:
    ovens = Ovens(tmp_path)
    try:
        for k in range(12):
            for twin, power in (("oven-1", 10.0), ("oven-2", 90.0 if k % 2 else 10.0)):
                at = format_instant(ovens.host.clock.now() + (20 + k) * SECOND)  # never late
                ovens.send({"twin": twin, "time": at, "values": {"power": power}})
        assert eventually(
            lambda: sum(row["received"] for row in ovens.get("/sources")["items"]) == 24
        )
        told = ovens.get("/quality")
        assert [(row["twin"], row["score"]) for row in told["items"]] == [
            ("oven-2", 0.5),
            ("oven-1", 1.0),
        ]
        assert told["sources"][0]["reasons"] == {"range": 6}
        assert told["sources"][0]["score"] == ovens.get("/status")["sources"][0]["score"] == 0.75
        first = ovens.get("/quality", limit=1)
        assert ovens.get("/quality", after=first["next"])["items"] == told["items"][1:]
    finally:
        ovens.close()
