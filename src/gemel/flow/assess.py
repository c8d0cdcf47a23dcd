"""From an estimate to findings: anomaly, health, time to each limit.

Owns    when each insight is asked, and what becomes of its answer.
Never   has a method of its own: those are in `insight/`.
"""

from typing import Any

import numpy as np

from gemel.clock import SECOND, format_duration
from gemel.flow.fleet import Fleet, Plan
from gemel.flow.memory import FleetMemory, Memory
from gemel.flow.outcome import Outcome, Told
from gemel.insight import anomaly
from gemel.insight.findings import follow
from gemel.insight.health import health
from gemel.kernels.forecast import Foreseen, foresee
from gemel.labels import Labels
from gemel.records import Rul

SICK = 0.7  # health below this, a limit in sight or an open finding: foreseen at every chance
IN_SIGHT = 0.05  # share of paths that reached a limit the last time
HEALTHY = 6  # chances between two forecasts of a row that is well
STEPS = 240  # of a forecast
LIKELY = 0.3  # share of paths that must reach a limit before it is a finding


def assess(plan: Plan, fleet: Fleet, memory: Memory, instant: int, outcome: Outcome) -> None:
    """Follow the statistics of one frame, open and close findings, tell history."""
    held = memory.fleets[fleet.binding.name]
    statistic = anomaly.statistic(held.bias)
    held.health = health(fleet.kernel, held.estimate, held.u, held.p)
    _anomalies(fleet, memory, held, instant, statistic, outcome)
    _limits(fleet, memory, held, instant, outcome)
    _foresee(plan, fleet, memory, held, instant, outcome)
    keep = int(fleet.binding.keep * SECOND)
    if not keep or instant % keep < fleet.grid.every:
        outcome.estimates.append(told(fleet, held))


def _anomalies(
    fleet: Fleet, memory: Memory, held: FleetMemory, instant: int, statistic: Any, outcome: Outcome
) -> None:
    bar = anomaly.threshold(fleet.binding.false_alarms)
    for k, sensor in enumerate(fleet.kernel.layout.outputs):
        above = np.flatnonzero(statistic[:, k] > bar)
        rows = set(above.tolist()) | _open_rows(fleet, memory, "anomaly")
        for row in sorted(rows):

            def describe(row: int = row, k: int = k, sensor: str = sensor) -> Any:
                z = held.bias[row, k]
                off = z * float(np.sqrt(held.estimate.innovation_var[row, k]))
                unit = fleet.kernel.layout.outputs[sensor].unit
                text = (
                    f"{sensor} has been {off:+.2f} {unit} from what the twin foresees, on average"
                )
                return text, {
                    "bias_sigma": float(z),
                    "nis": float(held.nis[row]),
                    "inputs": _inputs(fleet, held, row),
                    "kernel": fleet.identity,
                    "parameters": held.versions[row],
                    "false_alarms": fleet.binding.false_alarms,
                }

            found = follow(
                memory.findings,
                kind="anomaly",
                binding=fleet.binding.name,
                twin=fleet.twins[row],
                subject=sensor,
                instant=instant,
                statistic=float(statistic[row, k]),
                threshold=bar,
                on=bool(statistic[row, k] > bar),
                off=bool(statistic[row, k] < 0.5 * bar),
                severity="warning",
                describe=describe,
            )
            if found:
                outcome.findings.append(found.as_record())


def _limits(
    fleet: Fleet, memory: Memory, held: FleetMemory, instant: int, outcome: Outcome
) -> None:
    """A limit is reached when its health index is at 0."""
    for mode, (index, std) in held.health.items():
        rows = set(np.flatnonzero((index <= 0) & held.ready).tolist())
        for row in sorted(rows | _open_rows(fleet, memory, "limit_reached")):
            found = follow(
                memory.findings,
                kind="limit_reached",
                binding=fleet.binding.name,
                twin=fleet.twins[row],
                subject=mode,
                instant=instant,
                statistic=float(index[row]),
                threshold=0.0,
                on=bool(index[row] <= 0 and held.ready[row]),
                off=bool(index[row] > 0.1),
                severity="critical",
                describe=lambda mode=mode, row=row, std=std: (  # type: ignore[misc]
                    f"the limit '{mode}' is reached",
                    {"health": 0.0, "std": float(std[row]), "kernel": fleet.identity},
                ),
            )
            if found:
                outcome.findings.append(found.as_record())


def _foresee(
    plan: Plan, fleet: Fleet, memory: Memory, held: FleetMemory, instant: int, outcome: Outcome
) -> None:
    """Run the rows that are due to their limits."""
    binding = fleet.binding
    if not binding.foresee_every or not held.health or instant < binding.foresee_since:
        return
    worst = np.min([index for index, _ in held.health.values()], axis=0)
    sight = [
        max((rul["reached"] for rul in held.rul.get(twin, [])), default=0.0) for twin in fleet.twins
    ]
    noticed = {f.twin for f in memory.findings.open.values() if f.binding == binding.name}
    open_ = np.array([twin in noticed for twin in fleet.twins])
    sick = (worst < SICK) | (np.array(sight) > IN_SIGHT) | open_
    every = np.where(sick, 1, HEALTHY) * int(binding.foresee_every * SECOND)
    due = np.flatnonzero(held.ready & ~held.stale & (instant - held.foreseen_at >= every))
    if len(due) == 0:
        return
    held.foreseen_at[due] = instant
    rows = due.tolist()
    dt = binding.horizon / STEPS
    seen = foresee(
        fleet.kernel,
        held.estimate.mean[rows],
        held.estimate.cov[rows],
        held.p[rows],
        held.p_cov[rows],
        held.usual.inputs(rows, instant, dt, STEPS),
        dt,
        keys=fleet.keys[rows],
        seed=plan.plant.seed,
        paths=binding.paths,
        scenario="usual day",
    )
    for k, row in enumerate(rows):
        _foreseen(fleet, memory, held, instant, seen, k, row, outcome)


def _foreseen(
    fleet: Fleet,
    memory: Memory,
    held: FleetMemory,
    instant: int,
    seen: Foreseen,
    k: int,
    row: int,
    outcome: Outcome,
) -> None:
    twin = fleet.twins[row]
    answers = seen.rul(k)
    held.rul[twin] = [rul.as_record() for rul in answers]
    for rul in answers:
        if twin not in [p.twin for p in memory.control.proposals.values()] or rul.reached < LIKELY:
            _refresh(memory, fleet, twin, rul.as_record())

        def describe(rul: Any = rul) -> Any:
            text = foretold(rul)
            return text, {
                "rul": rul.as_record(),
                "health": float(held.health[rul.mode][0][row]),
                "health_std": float(held.health[rul.mode][1][row]),
                "kernel": fleet.identity,
                "parameters": held.versions[row],
                "inputs": _inputs(fleet, held, row),
                "state": dict(
                    zip(fleet.kernel.layout.states, held.estimate.mean[row].tolist(), strict=True)
                ),
            }

        found = follow(
            memory.findings,
            kind="limit_foreseen",
            binding=fleet.binding.name,
            twin=twin,
            subject=rul.mode,
            instant=instant,
            statistic=rul.reached,
            threshold=LIKELY,
            on=rul.reached >= LIKELY,
            off=rul.reached < 0.5 * LIKELY,
            severity="warning",
            describe=describe,
        )
        if found:
            outcome.findings.append(found.as_record())


def foretold(rul: Rul) -> str:
    """A distribution in words; a median beyond the horizon is not made up."""
    low, middle, high = (rul.quantiles[q] for q in ("0.05", "0.5", "0.95"))
    horizon = format_duration(rul.horizon)
    if middle is None:
        soonest = f", the soonest 5 % before {format_duration(low)}" if low else ""
        return f"the limit '{rul.mode}' has a chance of {rul.reached:.0%} in {horizon}{soonest}"
    until = format_duration(high) if high else f"beyond {horizon}"
    return (
        f"the limit '{rul.mode}' is foreseen in {format_duration(middle)} "
        f"(90 %: {format_duration(low or 0.0)} to {until}), if days stay as usual"
    )


def _refresh(memory: Memory, fleet: Fleet, twin: str, rul: dict[str, Any]) -> None:
    """An open finding carries the latest distribution."""
    held = memory.findings.open.get(f"limit_foreseen|{fleet.binding.name}|{twin}|{rul['mode']}")
    if held is not None:
        held.evidence["rul"] = rul


def _open_rows(fleet: Fleet, memory: Memory, kind: str) -> set[int]:
    return {
        fleet.row[f.twin]
        for f in memory.findings.open.values()
        if f.kind == kind and f.binding == fleet.binding.name
    }


def _inputs(fleet: Fleet, held: FleetMemory, row: int) -> dict[str, float]:
    return dict(zip(fleet.kernel.layout.inputs, held.u[row].tolist(), strict=True))


def told(fleet: Fleet, held: FleetMemory) -> Told:
    """States, foreseen readings and health of the rows that are running."""
    rows = np.flatnonzero(held.ready)
    estimate, layout = held.estimate, fleet.kernel.layout
    values = {}
    for k, name in enumerate(layout.states):
        std = np.sqrt(np.maximum(estimate.cov[rows, k, k], 0.0))
        values[name] = (estimate.mean[rows, k], std)
    for k, name in enumerate(layout.outputs):
        std = np.sqrt(estimate.innovation_var[rows, k])
        values[f"{name}.foreseen"] = (estimate.foreseen[rows, k], std)
    for mode, (index, std) in held.health.items():
        values[f"health.{mode}"] = (index[rows], std[rows])
    twin = Labels(tuple(fleet.twins), rows)
    return Told(fleet.binding.name, twin, estimate.instant[rows], values)
