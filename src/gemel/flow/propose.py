"""From a finding to a proposal: options tried on copies of the twin, the best put to a person.

Owns    when a policy is asked, and the proposal's record.
Never   sends: a proposal is a question.
"""

from typing import Any

from gemel.clock import SECOND, parse_duration
from gemel.control.decide import Option, Tried, choose, told, try_options
from gemel.flow.assess import STEPS
from gemel.flow.fleet import Fleet, Plan
from gemel.flow.memory import Memory
from gemel.flow.outcome import Outcome
from gemel.flow.receive import command_of, target_of
from gemel.flow.trust import doubt
from gemel.graph.plantfile import Policy
from gemel.insight.findings import of_twin
from gemel.insight.value import next_service, saving
from gemel.records import Finding, Proposal


def propose(plan: Plan, fleet: Fleet, memory: Memory, instant: int, outcome: Outcome) -> None:
    """Ask every policy about every twin that has an open finding it answers."""
    for policy in plan.plant.policies:
        if policy.binding != fleet.binding.name:
            continue
        twins = sorted(
            {
                f.twin
                for f in memory.findings.open.values()
                if f.binding == policy.binding and f.kind == policy.on
            }
        )
        for twin in twins:
            if _may_ask(memory, policy, twin, instant):
                if doubt(plan, fleet, memory, fleet.row[twin], instant):
                    continue  # a command must not follow from telemetry that cannot be leaned on
                made = _proposal(plan, fleet, memory, policy, twin, instant)
                if made:
                    memory.control.proposals[made.id] = made
                    outcome.proposals.append(made.as_record())


def _may_ask(memory: Memory, policy: Policy, twin: str, instant: int) -> bool:
    control = memory.control
    asked = any(p.policy == policy.name and p.twin == twin for p in control.proposals.values())
    running = any(i.twin == twin for i in control.invocations.values())
    return not asked and not running and instant >= control.quiet.get(f"{policy.name}|{twin}", 0)


def _deadline(
    plan: Plan, memory: Memory, policy: Policy, twin: str, at: int, horizon: float
) -> float:
    """Seconds until what the policy wants the asset to live to."""
    if policy.before != "next_service":
        return min(parse_duration(policy.before), horizon)
    twins = [twin, *plan.plant.twins[twin].links.values()]
    service = next_service(memory.value, twins, at)
    return min((service - at) / SECOND, horizon) if service else horizon


def _options(plan: Plan, policy: Policy, twin: str) -> list[Option]:
    found = []
    for name, arguments in policy.options:
        command = command_of(plan, twin, name)
        found += [Option(name, a, command.input, command.how) for a in arguments]
    return found


def _proposal(
    plan: Plan, fleet: Fleet, memory: Memory, policy: Policy, twin: str, instant: int
) -> Proposal | None:
    """Try every option; the cheapest that is good enough becomes the proposal."""
    binding, row = fleet.binding, fleet.row[twin]
    held = memory.fleets[binding.name]
    dt = binding.horizon / STEPS
    deadline = _deadline(plan, memory, policy, twin, instant, binding.horizon)
    tried = try_options(
        fleet.kernel,
        held.estimate.mean[row],
        held.estimate.cov[row],
        held.p[row],
        held.p_cov[row],
        held.usual.inputs([row], instant, dt, STEPS)[:, 0],
        dt,
        _options(plan, policy, twin),
        key=int(fleet.keys[row]),
        seed=plan.plant.seed,
        paths=binding.paths,
        deadline=deadline,
    )
    memory.control.quiet[f"{policy.name}|{twin}"] = instant + int(binding.foresee_every * SECOND)
    if tried[0].chance <= policy.chance:
        return None
    savings = [_saving(plan, fleet, memory, tried[0], one, instant, dt, deadline) for one in tried]
    costs = [float("inf") if s["cost"] is None else s["cost"] for s in savings]
    best = choose(tried, costs, policy.chance)
    if best == 0:
        return None
    return _record(plan, memory, policy, twin, instant, tried, savings, best, deadline)


def _saving(
    plan: Plan,
    fleet: Fleet,
    memory: Memory,
    base: Tried,
    one: Tried,
    instant: int,
    dt: float,
    deadline: float,
) -> dict[str, Any]:
    return saving(
        memory.value,
        plan.plant.value,
        list(fleet.kernel.layout.inputs),
        instant,
        dt,
        base.inputs,
        one.inputs,
        base.first <= deadline,
        one.first <= deadline,
        deadline,
    )


def _record(
    plan: Plan,
    memory: Memory,
    policy: Policy,
    twin: str,
    instant: int,
    tried: list[Tried],
    savings: list[dict[str, Any]],
    best: int,
    deadline: float,
) -> Proposal:
    control = memory.control
    control.proposal_count += 1
    chosen = tried[best].option
    assert chosen is not None
    answers: list[Finding] = of_twin(memory.findings, policy.binding, twin, policy.on)
    return Proposal(
        id=f"P-{control.proposal_count:06d}",
        policy=policy.name,
        twin=twin,
        binding=policy.binding,
        command=chosen.command,
        argument=chosen.argument,
        answers=[f.id for f in answers],
        foreseen={
            "deadline": instant + int(deadline * SECOND),
            "target": target_of(plan, twin, command_of(plan, twin, chosen.command)),
            "without": told(tried[0]),
            "with": told(tried[best]),
            "saving": savings[best],
        },
        cost={"currency": "EUR", "mean": savings[best]["cost"]},
        alternatives=[
            told(one) | {"cost": s["cost"], "saving": s["mean"]}
            for k, (one, s) in enumerate(zip(tried, savings, strict=True))
            if k not in (0, best)
        ],
        created_at=instant,
        expires_at=instant + int(policy.expires * SECOND),
    )
