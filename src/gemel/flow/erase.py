"""An erasure, as far as the memory goes: what a twin told from before an instant is in it no more.

Owns    which parts of the memory hold samples, and what is in their place afterwards: nothing.
Never   takes back what was learnt: belief as it stands, parameters, the usual day, findings.

So the snapshot after it holds none of it either. What comes again later is a new fact.
"""

import numpy as np
from numpy.typing import NDArray

from gemel.flow.fleet import Fleet, Plan
from gemel.flow.memory import FleetMemory, Memory
from gemel.intake.align import Samples
from gemel.intake.quality import QualityMemory
from gemel.intake.seen import Seen
from gemel.records import Estimate, Floats, Instants

Slots = NDArray[np.int64]


def erase(plan: Plan, memory: Memory, twin: str, before: int) -> None:
    """Forget the samples of a twin from before an instant, ns."""
    slots = np.array([slot for (of, _), slot in plan.rules.index.items() if of == twin], np.int64)
    _judged(plan, memory.quality, slots, before)
    memory.recent = [_left(samples, slots, before) for samples in memory.recent]
    for name, fleet in plan.fleets.items():
        _aligned(fleet, memory.fleets[name], slots, before)
        if twin in fleet.row:
            _believed(memory.fleets[name], fleet.row[twin], before)


def _judged(plan: Plan, quality: QualityMemory, slots: Slots, before: int) -> None:
    old = slots[(quality.instant[slots] < before) & (quality.instant[slots] > 0)]
    quality.instant[old], quality.since[old], quality.reason[old] = 0, 0, 0
    quality.value[old] = np.nan
    drifts = np.flatnonzero(np.isin(plan.rules.drifts.slots, old))
    quality.drift[drifts] = plan.rules.drifts.blank()[drifts]
    for source, seen in quality.seen.items():
        samples = Samples(*seen.samples())
        left = _left(samples, slots, before)
        if len(left.slot) < len(samples.slot):
            quality.seen[source] = Seen.of(seen.slots, left.slot, left.instant, left.value)


def _left(samples: Samples, slots: Slots, before: int) -> Samples:
    gone = np.isin(samples.slot, slots) & (samples.instant < before)
    if not gone.any():
        return samples
    return Samples(samples.slot[~gone], samples.instant[~gone], samples.value[~gone])


def _aligned(fleet: Fleet, held: FleetMemory, slots: Slots, before: int) -> None:
    """Cells that the twin feeds, in rows of its own and across links."""
    grid, ports = fleet.grid, np.isin(fleet.grid.slots, slots)
    rows, columns = grid.rows[ports], grid.columns[ports]

    def blank(values: Floats, instants: Instants) -> NDArray[np.bool_]:
        at = instants[rows, columns]
        old = (at > 0) & (at < before)
        values[rows[old], columns[old]] = 0.0
        instants[rows[old], columns[old]] = 0
        return old

    for values, instants in held.grid.open.values():
        blank(values, instants)
    for check in held.past.checkpoints:
        blank(check.held, check.held_at)
    inputs = blank(held.grid.held, held.grid.held_at) & (columns < grid.inputs)
    held.u[rows[inputs], columns[inputs]] = 0.0


def _believed(held: FleetMemory, row: int, before: int) -> None:
    """Past belief gives way to the present one, and no re-run goes back to it."""
    own = held.estimate
    for check in held.past.checkpoints:
        if 0 < check.estimate.instant[row] < before:
            for name in Estimate.__slots__:
                getattr(check.estimate, name)[row] = getattr(own, name)[row]
            check.bias[row], check.nis[row] = held.bias[row], held.nis[row]
            held.settle(row)
    if own.instant[row] < before:  # what was measured is what was foreseen and the innovation
        own.innovation[row], own.mask[row] = 0.0, False
