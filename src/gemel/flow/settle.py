"""What time and telemetry settle: proposals expire, commands are confirmed or were not.

Owns    the end of every proposal and invocation that no person ends.
Never   trusts an acknowledgement: telemetry alone confirms.
"""

import numpy as np

from gemel.control import approve
from gemel.flow.commands import command_of
from gemel.flow.fleet import Plan
from gemel.flow.memory import Memory
from gemel.flow.outcome import Outcome
from gemel.insight.findings import follow
from gemel.records import GOOD, STORED, Invocation, Judged


def settle(plan: Plan, memory: Memory, judged: Judged | None, outcome: Outcome) -> None:
    """Expire, confirm, and find what is overdue, at the watermark."""
    now = memory.quality.watermark
    outcome.proposals += [p.as_record() for p in approve.expire(memory.control, now)]
    if not memory.control.invocations:
        return
    done = approve.overdue(memory.control, now)
    if judged is not None:
        for invocation in list(memory.control.invocations.values()):
            if _shown(plan, invocation, judged, now):
                done.append(invocation)
    for invocation in done:
        memory.control.invocations.pop(invocation.id, None)
        outcome.invocations.append(invocation.as_record())
        if invocation.status == "confirmed":
            _obeyed(plan, memory, invocation)
        if invocation.status in ("failed", "unknown"):
            _unconfirmed(memory, invocation, now, outcome)


def _shown(plan: Plan, invocation: Invocation, judged: Judged, now: int) -> bool:
    """Whether a good reading after the command shows what was asked for."""
    if invocation.status == "sending" and not invocation.sent_at:
        return False  # it has not been on the wire: whatever telemetry shows, it did not do it
    command = command_of(plan, invocation.twin, invocation.command)
    slot = plan.rules.index.get((invocation.target, command.signal), -1)
    here = (judged.slot == slot) & (judged.quality == GOOD) & (judged.fate == STORED)
    here &= judged.instant > max(invocation.created_at, invocation.sent_at)
    for k in np.flatnonzero(here):
        value = float(judged.value[k])
        if approve.on_telemetry(invocation, command.confirm, command.tolerance, value, now):
            invocation.shown = {
                "twin": invocation.target,
                "signal": command.signal,
                "value": value,
                "unit": plan.rules.unit[slot],
                "instant": int(judged.instant[k]),
            }
            return True
    return False


def _obeyed(plan: Plan, memory: Memory, invocation: Invocation) -> None:
    """What comes is foreseen as commanded, for every row that reads what the command acts on."""
    command = command_of(plan, invocation.twin, invocation.command)
    fed: set[int] = set()
    for fleet in plan.fleets.values():
        inputs = list(fleet.kernel.layout.inputs)
        if invocation.twin in fleet.row and command.input in inputs:
            grid, row = fleet.grid, fleet.row[invocation.twin]
            port = (grid.rows == row) & (grid.columns == inputs.index(command.input))
            fed |= set(grid.slots[port].tolist())
    for name, fleet in plan.fleets.items():
        grid = fleet.grid
        for k in np.flatnonzero(np.isin(grid.slots, list(fed)) & (grid.columns < grid.inputs)):
            memory.fleets[name].usual.obey(
                int(grid.rows[k]), int(grid.columns[k]), invocation.argument, command.how == "cap"
            )


def _unconfirmed(memory: Memory, invocation: Invocation, now: int, outcome: Outcome) -> None:
    found = follow(
        memory.findings,
        kind="unconfirmed",
        binding="",
        twin=invocation.twin,
        subject=invocation.id,
        instant=now,
        statistic=1.0,
        threshold=1.0,
        on=True,
        off=False,
        severity="critical",
        describe=lambda: (
            f"{invocation.command} {invocation.argument:g} was not confirmed: {invocation.detail}",
            {"invocation": invocation.as_record()},
        ),
    )
    if found:
        outcome.findings.append(found.as_record())
