"""The run `watch`: is every twin still in step, and is its doubt honest?

Owns    coverage and bias of the one-step forecasts over the last day, per twin.
Never   re-fits: it says who needs it.
"""

from typing import Any

import numpy as np

from gemel.clock import SECOND
from gemel.flow.desk import Desk, Record, Step

DAY = 86_400 * SECOND
WIDE = 1.6449  # σ of a 90 % interval


def score(desk: Desk, run: Record, done: dict[str, Record]) -> Record:
    """Coverage of the 90 % interval and mean of z, from the lake: forecasts against readings."""
    end = desk.clock.now()
    scores: dict[str, Record] = {}
    for name, fleet in desk.plan.fleets.items():
        for sensor in fleet.kernel.layout.outputs:
            for twin, z in _z(desk, fleet, name, sensor, end).items():
                scores[f"{twin} {name} {sensor}"] = {
                    "count": len(z),
                    "coverage": float(np.mean(np.abs(z) < WIDE)),
                    "bias_sigma": float(np.mean(z)),
                }
    doubtful = [who for who, s in scores.items() if s["count"] > 30 and s["coverage"] < 0.75]
    return {"scores": scores, "doubtful": doubtful}


def _z(desk: Desk, fleet: Any, binding: str, sensor: str, end: int) -> dict[str, Any]:
    """twin → (measured − foreseen) / σ of the last day, where an instant has both."""
    port = fleet.binding.ports.get(sensor, sensor)
    if "/" in port:
        return {}
    foreseen = desk.lake.estimates(
        twins=fleet.twins, names=[f"{sensor}.foreseen"], start=end - DAY, end=end
    )
    measured = desk.lake.telemetry(
        twins=fleet.twins, signals=[port], start=end - DAY, end=end, good_only=True
    )
    readings = {
        (row["twin"], -(-row["instant"] // fleet.grid.every) * fleet.grid.every): row["value"]
        for row in measured.select(["twin", "instant", "value"]).to_pylist()
    }
    column = fleet.grid.inputs + list(fleet.kernel.layout.outputs).index(sensor)
    factor, offset = fleet.grid.factor[column], fleet.grid.offset[column]
    out: dict[str, list[float]] = {}
    for row in foreseen.to_pylist():
        reading = readings.get((row["twin"], row["instant"]))
        if row["binding"] == binding and reading is not None and row["std"] > 0:
            z = (reading * factor + offset - row["mean"]) / row["std"]
            out.setdefault(row["twin"], []).append(z)
    return {twin: np.array(z) for twin, z in out.items()}


WATCH: list[tuple[str, Step]] = [("score", score)]
