"""From a finding to a proposal: options tried on copies of the twin, the best put to a person.

Owns    when a policy is asked, and the proposal's record.
Never   sends: a proposal is a question.
"""

from typing import Any, NamedTuple

from gemel.clock import SECOND, parse_duration
from gemel.control.decide import Option, Tried, choose, told, try_options
from gemel.flow.assess import STEPS
from gemel.flow.commands import command_of, target_of
from gemel.flow.fleet import Fleet, Plan
from gemel.flow.memory import Memory
from gemel.flow.outcome import Outcome
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


class _Trials(NamedTuple):
    """Doing nothing and every option, as tried; what each saves; until when, s."""

    tried: list[Tried]
    savings: list[dict[str, Any]]
    deadline: float


def _try(
    plan: Plan, fleet: Fleet, memory: Memory, policy: Policy, row: int, at: int, what: list[Option]
) -> _Trials:
    """Try options on copies of a row as it is believed to be."""
    binding, twin = fleet.binding, fleet.twins[row]
    held = memory.fleets[binding.name]
    dt = binding.horizon / STEPS
    deadline = _deadline(plan, memory, policy, twin, at, binding.horizon)
    tried = try_options(
        fleet.kernel,
        held.estimate.mean[row],
        held.estimate.cov[row],
        held.p[row],
        held.p_cov[row],
        held.usual.inputs([row], at, dt, STEPS)[:, 0],
        dt,
        what,
        key=int(fleet.keys[row]),
        seed=plan.plant.seed,
        paths=binding.paths,
        deadline=deadline,
    )
    savings = [_saving(plan, fleet, memory, tried[0], one, at, dt, deadline) for one in tried]
    return _Trials(tried, savings, deadline)


def try_argument(
    plan: Plan, memory: Memory, proposal: dict[str, Any], argument: float, at: int
) -> dict[str, Any]:
    """What a proposal is foreseen to do with this argument, as the twin is believed to be now; in
    the form of the proposal's own `foreseen`."""
    fleet = plan.fleets[proposal["binding"]]
    policy = next(p for p in plan.plant.policies if p.name == proposal["policy"])
    command = command_of(plan, proposal["twin"], proposal["command"])
    option = Option(command.name, argument, command.input, command.how)
    row = fleet.row[proposal["twin"]]
    return _foreseen(plan, _try(plan, fleet, memory, policy, row, at, [option]), 1, row, fleet, at)


def try_again(plan: Plan, memory: Memory, proposal: Proposal, at: int) -> None:
    """Another argument was chosen: what is foreseen, and what it is worth, is from now on that of
    this one; what was proposed stands among the alternatives."""
    old = proposal.foreseen
    proposal.alternatives.append(
        {**old["with"], "cost": old["saving"]["cost"], "saving": old["saving"]["mean"]}
    )
    new = try_argument(plan, memory, proposal.as_record(), proposal.argument, at)
    proposal.foreseen = new
    proposal.cost = {**proposal.cost, "mean": new["saving"]["cost"]}


def _proposal(
    plan: Plan, fleet: Fleet, memory: Memory, policy: Policy, twin: str, instant: int
) -> Proposal | None:
    """Try every option; the cheapest that is good enough becomes the proposal."""
    made = _try(plan, fleet, memory, policy, fleet.row[twin], instant, _options(plan, policy, twin))
    quiet = instant + int(fleet.binding.foresee_every * SECOND)
    memory.control.quiet[f"{policy.name}|{twin}"] = quiet
    if made.tried[0].chance <= policy.chance:
        return None
    costs = [float("inf") if s["cost"] is None else s["cost"] for s in made.savings]
    best = choose(made.tried, costs, policy.chance)
    return _record(plan, fleet, memory, policy, twin, instant, made, best) if best else None


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


def _foreseen(
    plan: Plan, made: _Trials, best: int, row: int, fleet: Fleet, at: int
) -> dict[str, Any]:
    """One option beside doing nothing."""
    chosen, twin = made.tried[best].option, fleet.twins[row]
    assert chosen is not None
    return {
        "at": at,
        "deadline": at + int(made.deadline * SECOND),
        "target": target_of(plan, twin, command_of(plan, twin, chosen.command)),
        "without": told(made.tried[0]),
        "with": told(made.tried[best]),
        "saving": made.savings[best],
    }


def _record(
    plan: Plan,
    fleet: Fleet,
    memory: Memory,
    policy: Policy,
    twin: str,
    instant: int,
    made: _Trials,
    best: int,
) -> Proposal:
    control = memory.control
    control.proposal_count += 1
    chosen = made.tried[best].option
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
        foreseen=_foreseen(plan, made, best, fleet.row[twin], fleet, instant),
        cost={"currency": "EUR", "mean": made.savings[best]["cost"]},
        alternatives=[
            told(one) | {"cost": s["cost"], "saving": s["mean"]}
            for k, (one, s) in enumerate(zip(made.tried, made.savings, strict=True))
            if k not in (0, best)
        ],
        created_at=instant,
        expires_at=instant + int(policy.expires * SECOND),
    )
