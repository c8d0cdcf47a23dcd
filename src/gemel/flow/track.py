"""How well a fleet tracks its assets: what it foresaw, held against what came.

Owns    finding, for each foreseen reading in history, the sample that the filter was then shown.
Never   judges by a number that was corrected by the reading itself: z is of the forecast before.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.flow.fleet import Fleet, Plan
from gemel.labels import Labels
from gemel.records import Floats, Instants
from gemel.store.lake import Lake

DAY = 86_400 * SECOND


@dataclass(frozen=True)
class Residuals:
    """Foreseen readings whose sample came: row, sensor (N,) numbers · instant (N,) ns
    off (N,) measured − foreseen, in the sensor's unit · z (N,) the same over its σ."""

    row: NDArray[np.int64]
    sensor: NDArray[np.int64]
    instant: Instants
    off: Floats
    z: Floats


def residuals(
    plan: Plan,
    fleet: Fleet,
    lake: Lake,
    start: int,
    end: int,
    rows: list[int] | None = None,
    known: int | None = None,
) -> Residuals:
    """Of some rows of a fleet (default: all), start ≤ instant < end, as known at tick `known`.

    A frame stands for (instant − every, instant], and its reading is the last good sample in it.
    """
    rows = list(range(len(fleet.twins))) if rows is None else rows
    names = [f"{sensor}.foreseen" for sensor in fleet.kernel.layout.outputs]
    twins, binding = [fleet.twins[row] for row in rows], fleet.binding.name
    table = lake.estimates(twins, names, start, end, known, [binding])
    foreseen = pl.DataFrame(pl.from_arrow(table)).cast({"twin": pl.String, "name": pl.String})
    who = pl.DataFrame({"twin": twins, "row": np.array(rows, np.int64)})
    what = pl.DataFrame({"name": names, "sensor": np.arange(len(names))})
    foreseen = foreseen.filter(pl.col("std") > 0).join(who, on="twin").join(what, on="name")
    measured = _measured(plan, fleet, lake, start, end, rows, known)
    both = foreseen.join(measured, on=["row", "sensor", "instant"]).sort("instant", "row", "sensor")
    off = (both["value"] - both["mean"]).to_numpy()
    row, sensor, instant = (both[name].to_numpy() for name in ("row", "sensor", "instant"))
    return Residuals(row, sensor, instant, off, off / both["std"].to_numpy())


def _measured(
    plan: Plan,
    fleet: Fleet,
    lake: Lake,
    start: int,
    end: int,
    rows: list[int],
    known: int | None,
) -> pl.DataFrame:
    """row, sensor, instant of the frame, value in the kernel's unit."""
    grid = fleet.grid
    read = (grid.columns >= grid.inputs) & np.isin(grid.rows, rows)
    ports = pl.DataFrame(
        {
            "slot": grid.slots[read],
            "row": grid.rows[read],
            "sensor": grid.columns[read] - grid.inputs,
            "factor": grid.factor[grid.columns[read]],
            "offset": grid.offset[grid.columns[read]],
        }
    )
    twins, signals = (list(column[grid.slots[read]].compact().words) for column in plan.rules.names)
    table = lake.telemetry(twins, signals, start - grid.every, end, known, good_only=True)
    told = (Labels.of(table[name].to_pylist()) for name in ("twin", "signal"))
    samples = pl.DataFrame(
        {
            "slot": plan.rules.slots(*told),
            "at": table["instant"].to_numpy(),
            "value": table["value"].to_numpy(),
        }
    )
    frame = -(-pl.col("at") // grid.every) * grid.every
    return (
        samples.join(ports, on="slot")
        .with_columns(frame.alias("instant"), pl.col("value") * pl.col("factor") + pl.col("offset"))
        .sort("at", maintain_order=True)
        .unique(["row", "sensor", "instant"], keep="last", maintain_order=True)
        .select("row", "sensor", "instant", "value")
    )
