"""History of a fleet, on a grid, for those who learn from it.

Owns    reading the lake back through the same align stage that live telemetry takes.
Never   fills a gap: what was not measured is NaN.
"""

from dataclasses import replace

import numpy as np

from gemel.clock import SECOND
from gemel.flow.fleet import Fleet, Plan
from gemel.insight.lifecycle import History
from gemel.intake import align
from gemel.labels import Labels
from gemel.store.lake import Lake


def histories(
    plan: Plan, fleet: Fleet, lake: Lake, start: int, end: int, every: float
) -> list[History]:
    """One `History` a row of the fleet: good samples of its ports from start to end, on a grid."""
    names = {slot: key for key, slot in plan.rules.index.items()}
    wanted = [names[int(slot)] for slot in np.unique(fleet.grid.slots)]
    table = lake.telemetry(
        twins=sorted({twin for twin, _ in wanted}),
        signals=sorted({signal for _, signal in wanted}),
        start=start,
        end=end,
        good_only=True,
    )
    twin, signal = (Labels.of(table[name].to_pylist()) for name in ("twin", "signal"))
    instant, value = table["instant"].to_numpy(), table["value"].to_numpy()
    slot = plan.rules.slots(twin, signal)
    known = slot >= 0  # not what another twin's interface calls by the same name
    samples = align.Samples(slot[known], instant[known], value[known])
    grid = replace(fleet.grid, every=int(every * SECOND))
    memory = align.GridMemory.blank(grid)
    align.feed(grid, memory, samples)
    return _split(fleet, grid, memory)


def _split(fleet: Fleet, grid: align.Grid, memory: align.GridMemory) -> list[History]:
    ends = np.array(sorted(memory.open), np.int64)
    if len(ends) == 0:
        nothing = np.zeros((0, grid.constant.shape[1] - grid.inputs))
        return [History(ends, np.zeros((0, grid.inputs)), nothing, nothing) for _ in fleet.twins]
    cells = np.stack([np.where(memory.open[e][1] > 0, memory.open[e][0], np.nan) for e in ends])
    cells = np.where(np.isfinite(grid.constant), grid.constant, cells)
    out = []
    for row in range(len(fleet.twins)):
        readings = cells[:, row, grid.inputs :]
        weight = np.isfinite(readings).astype(float)
        out.append(History(ends, cells[:, row, : grid.inputs], readings, weight))
    return out
