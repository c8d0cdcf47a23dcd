"""Late data: the span that it belongs to is run again, from a checkpoint, for the rows it reaches.

Owns    the checkpoints of belief, and the way from one of them back to the present.
Never   takes back a finding or a command: what was decided was decided on what was known then.

A plant that declares `rerun = "6h"` takes a sample in up to six hours late. Good samples and the
ends of frames are remembered as far back as the oldest checkpoint; so a re-run does what the flow
would have done had the sample been in time, by the same functions, and reaches the same bits. What
history holds of the span is superseded by the same instants, known later. A row does not go back
behind its last repair or promotion.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gemel.flow.assess import told
from gemel.flow.fleet import Fleet, Plan
from gemel.flow.memory import Checkpoint, FleetMemory, Memory
from gemel.flow.outcome import Outcome
from gemel.insight import anomaly
from gemel.insight.health import health
from gemel.intake import align
from gemel.kernels import estimate
from gemel.records import Estimate, Frame

CHECKPOINTS = 4  # within the time that a sample may be late
LARGE = 20_000  # samples of a run that is left as it is
NAMED = 100  # twins of one re-run that its event names
Rows = NDArray[np.int64]


def move(fleet: Fleet, held: FleetMemory, frame: Frame) -> None:
    """Predict and correct every row of a fleet, and follow its innovations."""
    inputs = fleet.grid.inputs
    max_age = np.array([signal.max_age for signal in fleet.kernel.layout.inputs.values()])
    held.u = frame.value[:, :inputs]
    held.ready = np.all(frame.mask[:, :inputs], axis=1, keepdims=True)[:, 0]
    held.stale = np.any(frame.age[:, :inputs] > max_age, axis=1, keepdims=True)[:, 0]
    held.estimate = estimate.update(
        fleet.kernel,
        held.estimate,
        frame.instant,
        held.u,
        held.ready,
        held.stale,
        frame.value[:, inputs:],
        frame.mask[:, inputs:],
        held.p,
    )
    held.bias = anomaly.follow_bias(held.bias, held.estimate)
    held.nis = anomaly.follow_nis(held.nis, held.estimate)


def remember(held: FleetMemory, instant: int, span: int, watermark: int) -> None:
    """Keep a checkpoint now and then, and let go of those that no late sample can ask for."""
    if not span:
        return
    past = held.past
    past.ends.append(instant)
    if instant - past.checkpoints[-1].instant >= span // CHECKPOINTS:
        past.checkpoints.append(held.checkpoint(instant))
    while len(past.checkpoints) > 1 and past.checkpoints[1].instant <= watermark - span:
        del past.checkpoints[0]
    first = past.checkpoints[0].instant
    if past.ends[0] <= first:
        past.ends = [end for end in past.ends if end > first]


def rerun(plan: Plan, memory: Memory, outcome: Outcome) -> None:
    """Take in what came late, fleet by fleet."""
    for name, fleet in plan.fleets.items():
        held = memory.fleets[name]
        if held.past.late:
            rows = np.concatenate([late for late, _ in held.past.late])
            ends = np.concatenate([end for _, end in held.past.late])
            held.past.late.clear()
            near = ends > held.past.checkpoints[0].instant  # a re-driven sample may be older
            if plan.rules.rerun and near.any():
                _again(fleet, memory, held, rows[near], ends[near], outcome)
    oldest = min((f.past.checkpoints[0].instant for f in memory.fleets.values()), default=0)
    memory.recent = _recent(memory.recent, oldest)


def _recent(recent: list[align.Samples], oldest: int) -> list[align.Samples]:
    """Those after `oldest`; two small runs of like size become one, so that many are few."""
    kept = [samples for samples in recent if len(samples.slot) and samples.instant.max() > oldest]
    while len(kept) > 1 and len(kept[-2].slot) <= min(2 * len(kept[-1].slot), LARGE):
        kept[-2:] = [align.Samples.joined(kept[-2:]).after(oldest)]
    return kept


def _again(
    fleet: Fleet, memory: Memory, held: FleetMemory, late: Rows, ends: Rows, outcome: Outcome
) -> None:
    past, first, until = held.past, int(ends.min()), held.grid.closed
    new = sorted(set(ends.tolist()) - set(past.ends))
    start = [check for check in past.checkpoints if check.instant < first][-1]
    rows = np.arange(len(fleet.twins)) if new else np.unique(late)  # a new frame moves every row
    rows = rows[past.floor[rows] < start.instant + (start.instant == 0)]
    if not len(rows):
        return
    past.ends = sorted({*past.ends, *new})
    part, own = _part(fleet, held, start, rows)
    for samples in memory.recent:
        align.feed(part.grid, own.grid, samples)
    for end in past.ends:
        if start.instant < end <= until:
            align.opened(part.grid, own.grid, end)
    later = {check.instant: check for check in past.checkpoints if check.instant > start.instant}
    keep = int(fleet.binding.keep * 1e9)
    for frame in align.close(part.grid, own.grid, until):
        move(part, own, frame)
        if frame.instant >= first and (not keep or frame.instant % keep < part.grid.every):
            own.health = health(part.kernel, own.estimate, own.u, own.p)
            outcome.estimates.append(told(part, own))
        if frame.instant in later:
            check = later[frame.instant]
            _put(check.estimate, own.estimate, rows)
            check.bias[rows], check.nis[rows] = own.bias, own.nis
            check.held[rows], check.held_at[rows] = own.grid.held, own.grid.held_at
    held.estimate = replace(held.estimate)  # another one, for those who know it by its identity
    _put(held.estimate, own.estimate, rows)
    held.bias[rows], held.nis[rows] = own.bias, own.nis
    held.u = held.u.copy(order="K")  # it may lie in what is held
    held.grid.held[rows], held.grid.held_at[rows] = own.grid.held, own.grid.held_at
    held.u[rows], held.ready[rows], held.stale[rows] = own.u, own.ready, own.stale
    outcome.events.append(
        {
            "name": "rerun",
            "instant": first,
            "body": {
                "binding": fleet.binding.name,
                "until": int(past.ends[-1]),
                "rows": len(rows),
                "twins": part.twins[:NAMED],
                "samples": len(late),
            },
        }
    )


def _part(
    fleet: Fleet, held: FleetMemory, start: Checkpoint, rows: Rows
) -> tuple[Fleet, FleetMemory]:
    """Some rows of a fleet by themselves, as they were at a checkpoint."""
    twins = [fleet.twins[row] for row in rows]
    grid = align.rows_of(fleet.grid, rows)
    part = replace(fleet, twins=twins, row={t: k for k, t in enumerate(twins)}, grid=grid)
    believed = Estimate(
        **{name: getattr(start.estimate, name)[rows] for name in Estimate.__slots__}
    )
    memory = align.GridMemory(start.held[rows], start.held_at[rows], closed=start.instant)
    own = replace(
        held,
        estimate=believed,
        grid=memory,
        p=held.p[rows],
        u=held.u[rows],
        ready=held.ready[rows],
        stale=held.stale[rows],
        bias=start.bias[rows],
        nis=start.nis[rows],
    )
    return part, own


def _put(whole: Estimate, part: Estimate, rows: Rows) -> None:
    for name in Estimate.__slots__:
        getattr(whole, name)[rows] = getattr(part, name)
