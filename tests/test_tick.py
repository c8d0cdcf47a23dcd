"""The tick is pure: cuts, restarts and copies of it change nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemel.clock import SECOND
from gemel.control.decide import LOOKS
from gemel.errors import Invalid
from gemel.flow.fleet import Plan, compile_plan, load_plan
from gemel.flow.memory import Memory, begin, pack, unpack
from gemel.flow.outcome import Outcome
from gemel.flow.tick import tick
from gemel.graph.plantfile import Twin
from gemel.plant.truth import BEARING_SIGNALS, START, TURBINE_SIGNALS, SteamHall, demo_faults
from gemel.records import Batch, Entry
from gemel.server.control import life

STEAM = Path(__file__).parent.parent / "examples" / "steam" / "plant.toml"
MINUTE = 60 * SECOND


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan(STEAM)


def calendar() -> list[Entry]:
    """A service in ten days, and a price for every hour."""
    service = START + 10 * 86_400 * SECOND
    bodies = [{"name": "calendar", "instant": service, "twin": twin} for twin in ("st1", "st2")]
    for hour in range(24):
        bodies.append({"name": "price", "instant": START + hour * 3600 * SECOND, "value": 55.0})
    return [Entry("event", "calendar", START, body=body) for body in bodies]


def telemetry(hall: SteamHall, minutes: int) -> list[Entry]:
    """What the hall sends, one entry a minute."""
    entries = []
    for _ in range(minutes):
        hall.step(60.0)
        turbine, bearing = hall.shown()
        at = hall.instant
        rows = [
            (twin, signal, at, float(value), "")
            for names, signals, table in (
                (hall.turbines, TURBINE_SIGNALS, turbine),
                (hall.bearings, BEARING_SIGNALS, bearing),
            )
            for twin, values in zip(names, table, strict=True)
            for signal, value in zip(signals, values, strict=True)
            if np.isfinite(value)
        ]
        entries.append(Entry("batch", "hall", at + SECOND, batch=Batch.of(rows)))
    return entries


def numbered(entries: list[Entry], first: int = 1) -> list[Entry]:
    return [
        Entry(e.kind, e.source, e.received_at, e.position, e.batch, e.body, first + k)
        for k, e in enumerate(entries)
    ]


def run(plan: Plan, memory: Memory, entries: list[Entry], size: int) -> list[Outcome]:
    return [tick(plan, memory, entries[k : k + size]) for k in range(0, len(entries), size)]


def day(hours: float, faults: bool = True) -> list[Entry]:
    hall = SteamHall(7, start=START, faults=demo_faults(START) if faults else ())
    return numbered(calendar() + telemetry(hall, int(hours * 60)))


class Evening:
    """The hall after 20 hours, its fault 12 hours old: run once, handed out as copies."""

    def __init__(self, plan: Plan) -> None:
        memory = begin(plan)
        self.plan, self.outcomes = plan, run(plan, memory, day(20), 60)
        self.packed = pack(plan, memory)

    def memory(self) -> Memory:
        return unpack(self.plan, *self.packed)


@pytest.fixture(scope="module")
def evening(plan: Plan) -> Evening:
    return Evening(plan)


def test_where_a_tick_is_cut_changes_no_bit(plan: Plan) -> None:
    entries = day(2)
    digests = []
    for size in (1, 7, 60, len(entries)):
        memory = begin(plan)
        outcomes = run(plan, memory, entries, size)
        arrays, _ = pack(plan, memory)
        told = [f for o in outcomes for f in o.findings]
        digests.append((arrays["bearing.estimate.mean"].tobytes(), str(told), str(memory.books)))
    assert len(set(digests)) == 1


def test_a_snapshot_goes_on_as_if_nothing_had_happened(plan: Plan) -> None:
    entries = day(4)
    whole = begin(plan)
    last = run(plan, whole, entries, 50)[-1]
    half = begin(plan)
    run(plan, half, entries[:100], 50)
    back = unpack(plan, *pack(plan, half))
    assert run(plan, back, entries[100:], 50)[-1].digest == last.digest


def test_a_sick_bearing_is_found_and_a_remedy_is_tried_before_anyone_is_asked(
    plan: Plan, evening: Evening
) -> None:
    memory, outcomes = evening.memory(), evening.outcomes
    proposals = [p for o in outcomes for p in o.proposals]
    assert [p["twin"] for p in proposals][:1] == ["st1-b2"]
    foreseen = proposals[0]["foreseen"]
    assert foreseen["without"]["chance"] > 0.1 > foreseen["with"]["chance"]
    assert len(proposals[0]["alternatives"]) == 4
    left, helped = (
        foreseen[plan]["fan"]["health"]["worn out"]["0.5"] for plan in ("without", "with")
    )
    assert left[0] == helped[0] and left[-1] < helped[-1] and len(left) == LOOKS + 1
    sick = {f["twin"] for o in outcomes for f in o.findings if f["kind"] == "limit_foreseen"}
    assert sick == {"st1-b2"}
    truth = SteamHall(7, start=START, faults=demo_faults(START))
    for _ in range(20 * 60):
        truth.step(60.0)
    fleet, row = memory.fleets["bearing"], plan.fleets["bearing"].row["st1-b2"]
    wear, std = fleet.estimate.mean[row, 1], float(np.sqrt(fleet.estimate.cov[row, 1, 1]))
    assert abs(wear - truth.wear[row]) < 3 * std + 0.01


def test_nothing_is_sent_without_a_verdict_and_once_with_one(plan: Plan, evening: Evening) -> None:
    memory = evening.memory()
    assert all(not o.outbox for o in evening.outcomes)
    proposal = next(iter(memory.control.proposals.values()))
    at, sequence = memory.at, memory.sequence

    def verdict(k: int) -> Entry:
        body = {"proposal": proposal.id, "verdict": "approved", "by": "eva", "why": "yes"}
        return Entry("verdict", "person", at + k, body=body, sequence=sequence + k)

    first, second = tick(plan, memory, [verdict(1)]), tick(plan, memory, [verdict(2)])
    assert (len(first.outbox), len(second.outbox)) == (1, 0)
    assert first.invocations[0]["status"] == "sending"


@pytest.mark.parametrize("late", [False, True])
def test_a_rejected_or_expired_proposal_is_never_sent(
    plan: Plan, evening: Evening, late: bool
) -> None:
    memory = evening.memory()
    proposal = next(iter(memory.control.proposals.values()))
    at = proposal.expires_at + 1 if late else memory.at + 1
    body = {
        "proposal": proposal.id,
        "verdict": "approved" if late else "rejected",
        "by": "eva",
        "why": "no",
    }
    outcome = tick(plan, memory, [Entry("verdict", "person", at, "", None, body, 9**9)])
    assert outcome.outbox == [] and memory.control.invocations == {}
    assert outcome.proposals[0]["status"] == ("expired" if late else "rejected")


def test_a_repair_resets_what_it_names_and_keeps_the_rest(plan: Plan, evening: Evening) -> None:
    memory = evening.memory()
    row = plan.fleets["bearing"].row["st1-b2"]
    before = memory.fleets["bearing"].estimate.mean[row].copy()
    body = {"twin": "st1-b2", "resets": ["wear", "pace"], "by": "eva", "why": "new metal"}
    entry = Entry("maintenance", "person", memory.at + 1, body=body, sequence=9**9)
    outcome = tick(plan, memory, [entry])
    after = memory.fleets["bearing"].estimate.mean[row]
    assert (after[1], after[2]) == (0.0, 0.0) and before[1] > 0.005
    assert after[0] == before[0]
    assert {f["status"] for f in outcome.findings} == {"closed"}
    assert not any(f.twin == "st1-b2" for f in memory.findings.open.values())


def test_the_books_balance_whatever_comes(plan: Plan) -> None:
    entries = day(1)
    bad = Batch.of(
        [
            ("nobody", "speed", START, 1.0, ""),
            ("st1", "colour", START, 1.0, ""),
            ("st1", "speed", START + 60 * MINUTE, float("nan"), ""),
            ("st1", "speed", START + 60 * MINUTE, 3000.0, "degC"),
            ("st1", "speed", 0, 3000.0, ""),
            ("st1", "speed", START + 10**18, 3000.0, ""),
            ("st1", "speed", START + 60 * MINUTE, 3000.0, ""),
            ("st1", "speed", START + 60 * MINUTE, 3000.0, ""),
            ("st1", "speed", START + 60 * MINUTE, 3001.0, ""),
            ("st1", "speed", START + 1 * MINUTE, 3000.0, ""),
        ]
    )
    entries += numbered([Entry("batch", "odd", START + 61 * MINUTE, batch=bad)], len(entries) + 1)
    memory = begin(plan)
    outcome = run(plan, memory, entries, len(entries))[0]
    book = memory.books["odd"]
    assert book == {
        "received": 10, "stored": 1, "duplicate": 1, "correction": 1,
        "late": 1, "rejected": 6, "dead": 0,
    }  # fmt: skip
    codes = [r["code"] for r in outcome.rejects]
    assert codes == [
        "sample.unknown_twin",
        "sample.unknown_signal",
        "sample.not_a_number",
        "unit.mismatch",
        "sample.far_past",
        "sample.ahead_of_clock",
    ]


def said(plan: Plan, memory: Memory, kind: str, body: dict[str, Any], shift: int = 1) -> Outcome:
    """One more entry, alone in its tick."""
    entry = Entry(kind, "person", memory.at + shift, body=body, sequence=memory.sequence + 1)
    return tick(plan, memory, [entry])


def approved(plan: Plan, memory: Memory, **more: Any) -> tuple[Outcome, str]:
    proposal = next(iter(memory.control.proposals.values()))
    verdict = {"proposal": proposal.id, "verdict": "approved", "by": "eva", "why": "yes", **more}
    outcome = said(plan, memory, "verdict", verdict)
    return outcome, outcome.outbox[0] if outcome.outbox else ""


def test_an_argument_of_zero_is_a_zero_and_the_guard_refuses_it(
    plan: Plan, evening: Evening
) -> None:
    outcome, sent = approved(plan, evening.memory(), argument=0)
    assert sent == "" and outcome.proposals[0]["argument"] == 0.0
    assert outcome.proposals[0]["why"].startswith("guard: argument 0 is outside")


def test_telemetry_before_the_wire_confirms_nothing_and_after_it_does(
    plan: Plan, evening: Evening
) -> None:
    memory = evening.memory()
    _, sent = approved(plan, memory)
    invocation = memory.control.invocations[sent]

    def shows() -> Outcome:
        rows = [(invocation.target, "oil_flow", memory.at + MINUTE, invocation.argument, "")]
        at, sequence = memory.at + MINUTE, memory.sequence + 1
        batch = Batch.of(rows)
        return tick(plan, memory, [Entry("batch", "hall", at, batch=batch, sequence=sequence)])

    assert invocation.command == "set_oil_flow" and shows().invocations == []
    said(plan, memory, "sent", {"invocation": sent, "outcome": "sent"})
    assert [i["status"] for i in shows().invocations] == ["confirmed"]
    held, fleet = memory.fleets["bearing"], plan.fleets["bearing"]
    names = list(fleet.kernel.layout.inputs)
    ahead = held.usual.inputs(list(range(len(fleet.twins))), memory.at, 3600.0, 24)
    flow = ahead[:, :, names.index("oil_flow")]
    commanded = fleet.row[invocation.twin]
    assert (flow[:, commanded] == invocation.argument).all()  # so it is not proposed once more
    assert (np.delete(flow, commanded, axis=1) < invocation.argument).all()


def test_an_answer_that_overtakes_the_wires_own_word_tells_that_it_was_sent(
    plan: Plan, evening: Evening
) -> None:
    memory = evening.memory()
    _, sent = approved(plan, memory)
    told = said(plan, memory, "reply", {"invocation": sent, "accepted": True})
    answered = told.invocations[0]
    assert (answered["status"], answered["sent_at"]) == ("acknowledged", told.at)
    assert said(plan, memory, "sent", {"invocation": sent, "outcome": "unknown"}).invocations == []
    assert said(plan, memory, "reply", {"invocation": sent, "accepted": False}).invocations == []
    before = [{**answered, "status": "sending", "sent_at": 0}, answered]
    steps = life([(1, before[0]), (told.at, before[1])])
    assert [one["step"] for one in steps] == ["sending", "sent", "acknowledged"]


def test_an_unknown_command_stays_unknown_and_frees_its_asset(plan: Plan, evening: Evening) -> None:
    memory = evening.memory()
    _, sent = approved(plan, memory)
    said(plan, memory, "sent", {"invocation": sent, "outcome": "unknown"})
    outcome = said(plan, memory, "beat", {}, shift=7 * 3600 * SECOND)
    assert [i["status"] for i in outcome.invocations] == ["unknown"]
    assert [f["kind"] for f in outcome.findings] == ["unconfirmed"]
    assert memory.control.invocations == {}


@pytest.mark.parametrize(
    "body",
    [
        {"name": "price", "instant": START, "value": "12,5"},
        {"name": "price", "instant": "noon", "value": 12.5},
        {"name": "price", "instant": START, "value": float("nan")},
        {"name": 1.5},
    ],
)
def test_an_event_that_says_nonsense_is_kept_and_stops_nothing(
    plan: Plan, evening: Evening, body: dict[str, Any]
) -> None:
    memory = evening.memory()
    before = memory.value.price.copy()
    assert len(said(plan, memory, "event", body).events) == 1
    assert memory.value.price.tolist() == before.tolist()


def test_an_absurd_reading_does_not_poison_a_twin(plan: Plan, evening: Evening) -> None:
    memory = evening.memory()
    memory.fleets["bearing"].estimate.mean[0] = np.nan
    entries = numbered(telemetry_of(plan, memory, 1e200), memory.sequence + 1)
    run(plan, memory, entries, 50)
    assert np.isfinite(memory.fleets["bearing"].estimate.mean).all()


def telemetry_of(plan: Plan, memory: Memory, speed: float) -> list[Entry]:
    """One more hour of one turbine, its speed absurd."""
    entries = []
    for k in range(1, 61):
        at = memory.at + k * MINUTE
        rows = [("st1", "speed", at, speed, ""), ("st1-b1", "metal_temperature", at, 75.0, "")]
        entries.append(Entry("batch", "hall", at, batch=Batch.of(rows)))
    return entries


def test_a_changed_plant_file_leaves_every_belief_with_its_own_twin(
    plan: Plan, evening: Evening
) -> None:
    twins = dict(reversed(list(plan.plant.twins.items())))
    extra = Twin("st3", "SteamTurbine")
    new = Twin("st3-b1", "Bearing", {"outage_cost": 1.0}, {"part_of": "st3"})
    changed = compile_plan(
        replace(plan.plant, twins={"st3-b1": new, "st3": extra, **twins}), plan.where
    )
    before, after = evening.memory(), unpack(changed, *evening.packed)
    for twin, row in plan.fleets["bearing"].row.items():
        now = changed.fleets["bearing"].row[twin]
        was = before.fleets["bearing"]
        assert (
            after.fleets["bearing"].estimate.mean[now].tolist() == was.estimate.mean[row].tolist()
        )
    slot, old = changed.rules.index["st1", "load"], plan.rules.index["st1", "load"]
    assert after.quality.value[slot] == before.quality.value[old]
    fresh = changed.fleets["bearing"].row["st3-b1"]
    assert after.fleets["bearing"].estimate.instant[fresh] == 0
    assert changed.versions() != plan.versions()


def test_a_policy_that_names_what_is_not_there_is_refused_at_once(plan: Plan) -> None:
    policy = replace(plan.plant.policies[0], options=[("set_sails", [1.0])])
    with pytest.raises(Invalid, match="no command 'set_sails'"):
        compile_plan(replace(plan.plant, policies=[policy]), plan.where)


def test_another_argument_is_tried_and_what_it_is_worth_is_its_own(
    plan: Plan, evening: Evening
) -> None:
    memory = evening.memory()
    proposal = next(iter(memory.control.proposals.values()))
    asked, foreseen, others = proposal.argument, proposal.foreseen, len(proposal.alternatives)
    other = asked + 3.0
    outcome, _ = approved(plan, memory, argument=other)
    [kept] = outcome.proposals
    assert kept["argument"] == other == kept["foreseen"]["with"]["argument"]
    assert kept["foreseen"]["at"] >= foreseen["at"]
    assert kept["foreseen"]["saving"]["cost"] == kept["cost"]["mean"] != foreseen["saving"]["cost"]
    assert len(kept["alternatives"]) == others + 1
    assert kept["alternatives"][-1]["argument"] == asked
