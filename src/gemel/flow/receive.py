"""Take in one journal entry: samples are judged, everything else is applied.

Owns    what each kind of entry does to the memory (docs/contracts.md §1).
Never   reads the journal: it is handed one entry.
"""

from typing import Any

import numpy as np

from gemel.control import approve, guard
from gemel.errors import Bug
from gemel.flow.commands import command_of, target_of
from gemel.flow.erase import erase
from gemel.flow.fleet import Plan
from gemel.flow.memory import FleetMemory, Memory
from gemel.flow.outcome import Outcome
from gemel.flow.propose import try_again
from gemel.flow.trust import doubt
from gemel.graph.plantfile import Command
from gemel.insight.findings import close_twin
from gemel.insight.value import learn_event
from gemel.intake import align
from gemel.intake.quality import CODES, judge
from gemel.records import FATES, REASONS, REJECTED, Entry, Invocation, Judged, Proposal

KEPT_REJECTS = 100  # of one entry; the books count all, the journal keeps all


def receive(plan: Plan, memory: Memory, entry: Entry, outcome: Outcome) -> Judged | None:
    """Apply one entry; what it says of samples is returned judged."""
    if entry.position:
        memory.positions[entry.source] = entry.position
    if entry.kind == "batch":
        return _samples(plan, memory, entry, outcome)
    memory.quality.watermark = max(memory.quality.watermark, entry.received_at)
    if entry.kind == "beat":
        return None
    apply = {
        "dead": _dead,
        "verdict": _verdict,
        "sent": _sent,
        "reply": _reply,
        "maintenance": _maintenance,
        "promotion": _promotion,
        "event": _event,
    }.get(entry.kind)
    if apply is None:
        raise Bug("journal.kind", f"entry kind '{entry.kind}'", mend="report it")
    apply(plan, memory, entry, outcome)
    return None


def _samples(plan: Plan, memory: Memory, entry: Entry, outcome: Outcome) -> Judged:
    assert entry.batch is not None
    judged = judge(
        plan.rules,
        memory.quality,
        entry.source,
        entry.received_at,
        entry.batch,
        again="redrive" in entry.body,
    )
    for code, fate in enumerate(FATES):
        if number := int(np.count_nonzero(judged.fate == code)):
            memory.count(entry.source, fate, number)
    for k in np.flatnonzero(judged.fate == REJECTED)[:KEPT_REJECTS]:
        outcome.rejects.append(
            {
                "source": entry.source,
                "fate": "rejected",
                "code": CODES[REASONS[judged.reason[k]]],
                "at": entry.received_at,
                "sequence": entry.sequence,
                "twin": judged.twin[k],
                "signal": judged.signal[k],
                "instant": int(judged.instant[k]),
                "value": repr(float(judged.value[k])),
            }
        )
    samples = align.Samples.good(judged)
    if plan.rules.rerun:
        memory.recent.append(samples)
    for name, fleet in plan.fleets.items():
        late, ends = align.feed(fleet.grid, memory.fleets[name].grid, samples)
        if len(late):
            memory.fleets[name].past.late.append((late, ends))
    outcome.judged.append(judged)
    return judged


def _dead(plan: Plan, memory: Memory, entry: Entry, outcome: Outcome) -> None:
    memory.count(entry.source, "dead", int(entry.body.get("samples", 1)))
    outcome.rejects.append(
        {
            "source": entry.source,
            "fate": "dead",
            "at": entry.received_at,
            "sequence": entry.sequence,
            **entry.body,
        }
    )


def _verdict(plan: Plan, memory: Memory, entry: Entry, outcome: Outcome) -> None:
    """A person's yes becomes an invocation, unless the guard refuses or the time is over."""
    body, control = entry.body, memory.control
    proposal = control.proposals.get(body["proposal"])
    if proposal is None:
        return  # already decided: the first verdict stands
    asked = proposal.argument
    proposal.argument = float(asked if body.get("argument") is None else body["argument"])
    approve.decide(proposal, body["verdict"], body["by"], body["why"], entry.received_at)
    key = f"{proposal.policy}|{proposal.twin}"
    control.quiet[key] = proposal.expires_at  # a no is not asked again before the question's time
    if proposal.status == "approved":
        command = command_of(plan, proposal.twin, proposal.command)
        why_not = _guard(plan, memory, proposal, command, entry.received_at)
        if why_not:
            proposal.status, proposal.why = "rejected", f"guard: {why_not}"
        else:
            if proposal.argument != asked:
                try_again(plan, memory, proposal, memory.quality.watermark)
            invocation = _invoke(plan, memory, proposal, command, entry.received_at)
            control.quiet[key] = invocation.confirm_by  # if that is not enough, more is proposed
            outcome.invocations.append(invocation.as_record())
            outcome.outbox.append(invocation.id)
    del control.proposals[proposal.id]
    outcome.proposals.append(proposal.as_record())


def _guard(plan: Plan, memory: Memory, proposal: Proposal, command: Command, now: int) -> str:
    fleet = plan.fleets[proposal.binding]
    row = fleet.row[proposal.twin]
    estimate_at = int(memory.fleets[proposal.binding].estimate.instant[row])
    closed = now - plan.rules.lateness - fleet.grid.every  # until then frames could be made
    target = target_of(plan, proposal.twin, command)
    busy = [i.id for i in memory.control.invocations.values() if i.target == target]
    return guard.refusal(
        proposal.argument,
        command.low,
        command.high,
        now=now,
        expires_at=proposal.expires_at,
        estimate_at=estimate_at,
        busy=busy[0] if busy else "",
        doubt=doubt(plan, fleet, memory, row, max(estimate_at, closed)),
    )


def _invoke(
    plan: Plan, memory: Memory, proposal: Proposal, command: Command, now: int
) -> Invocation:
    control = memory.control
    control.invocation_count += 1
    invocation = Invocation(
        id=f"I-{control.invocation_count:06d}",
        proposal=proposal.id,
        twin=proposal.twin,
        target=target_of(plan, proposal.twin, command),
        command=proposal.command,
        argument=proposal.argument,
        status="sending",
        created_at=now,
        expires_at=proposal.expires_at,
        confirm_by=now + int(command.within * 1e9),
        by=proposal.by,
        why=proposal.why,
    )
    control.invocations[invocation.id] = invocation
    return invocation


def _sent(plan: Plan, memory: Memory, entry: Entry, outcome: Outcome) -> None:
    invocation = memory.control.invocations.get(entry.body["invocation"])
    if invocation is not None:
        detail = entry.body.get("detail", "")
        if approve.on_sent(invocation, entry.body["outcome"], detail, entry.received_at):
            _told(memory, invocation, outcome)


def _reply(plan: Plan, memory: Memory, entry: Entry, outcome: Outcome) -> None:
    invocation = memory.control.invocations.get(str(entry.body.get("invocation")))
    if invocation is not None:
        accepted, detail = bool(entry.body.get("accepted")), str(entry.body.get("detail", ""))
        if approve.on_reply(invocation, accepted, detail, entry.received_at):
            _told(memory, invocation, outcome)


def _told(memory: Memory, invocation: Invocation, outcome: Outcome) -> None:
    outcome.invocations.append(invocation.as_record())
    if invocation.status not in approve.OPEN:
        del memory.control.invocations[invocation.id]


def _maintenance(plan: Plan, memory: Memory, entry: Entry, outcome: Outcome) -> None:
    """A repair: the named states start anew, identity and history stay, the twin re-learns."""
    body = entry.body
    for name, fleet in plan.fleets.items():
        if body["twin"] in fleet.row and body.get("binding", name) == name:
            _reset(fleet.kernel.layout.states, memory.fleets[name], fleet.row[body["twin"]], body)
            memory.fleets[name].p_cov[fleet.row[body["twin"]]] = fleet.prior_cov
            memory.fleets[name].settle(fleet.row[body["twin"]])
            memory.fleets[name].rul.pop(body["twin"], None)
    closed = close_twin(memory.findings, body["twin"], body.get("binding"), entry.received_at)
    outcome.findings += [f.as_record() for f in closed]
    for proposal in [p for p in memory.control.proposals.values() if p.twin == body["twin"]]:
        proposal.status, proposal.why = "expired", "the asset was repaired"
        outcome.proposals.append(proposal.as_record())
        del memory.control.proposals[proposal.id]
    _event_told(entry, "maintenance", body, outcome)


def _reset(states: dict[str, Any], held: FleetMemory, row: int, body: dict[str, Any]) -> None:
    for k, (state, declared) in enumerate(states.items()):
        if state in body["resets"] or not body["resets"]:
            held.estimate.mean[row, k] = declared.start
            held.estimate.cov[row, k, :] = 0.0
            held.estimate.cov[row, :, k] = 0.0
            held.estimate.cov[row, k, k] = declared.start_std**2
    held.bias[row], held.nis[row] = 0.0, 1.0


def _doubt(states: dict[str, Any], held: FleetMemory, row: int) -> None:
    """What was believed under other parameters is doubted anew: means stay, the doubt is opened."""
    now = np.diagonal(held.estimate.cov[row])
    start = np.array([declared.start_std**2 for declared in states.values()])
    held.estimate.cov[row] = np.diag(np.maximum(now, start))


def _promotion(plan: Plan, memory: Memory, entry: Entry, outcome: Outcome) -> None:
    """Other parameters speak for one asset from here on; not if others than `over` speak now."""
    body = entry.body
    fleet, held = plan.fleets[body["binding"]], memory.fleets[body["binding"]]
    row = fleet.row[body["twin"]]
    if body.get("over", held.versions[row]) != held.versions[row]:
        return  # who asked meant another state of things: the first move stands
    for k, name in enumerate(fleet.kernel.layout.parameters):
        held.p[row, k] = body["parameters"].get(name, held.p[row, k])
    held.p_cov[row] = body["cov"]
    held.versions[row] = body["version"]
    _doubt(fleet.kernel.layout.states, held, row)
    held.bias[row], held.nis[row] = 0.0, 1.0
    held.settle(row)
    _event_told(entry, "promotion", body, outcome)


def _event(plan: Plan, memory: Memory, entry: Entry, outcome: Outcome) -> None:
    body = {k: v for k, v in entry.body.items() if k != "name"}
    learn_event(memory.value, plan.plant.value, entry.body["name"], body)
    if entry.body["name"] == "erasure":
        erase(plan, memory, body["twin"], int(body["before"]))
    _event_told(entry, entry.body["name"], body, outcome)


def _event_told(entry: Entry, name: str, body: dict[str, Any], outcome: Outcome) -> None:
    instant = body.get("instant")
    if not isinstance(instant, int):
        instant = entry.received_at
    outcome.events.append({"name": str(name), "instant": instant, "body": body})
