"""The run `watch`: is every twin still in step, and is its doubt honest?

Owns    which twins of the last day are to be doubted.
Never   re-fits: it says who needs it.
"""

import numpy as np

from gemel.flow.desk import Desk, Record, Step
from gemel.flow.track import DAY, residuals
from gemel.insight.calibration import LEVELS, calibrate

ENOUGH, LEAST = 30, 0.75  # readings that say something; of their 90 % intervals, the least share


def score(desk: Desk, run: Record, done: dict[str, Record]) -> Record:
    """Share of the last day's readings inside their 90 % interval, mean and spread of z."""
    end, ninety = desk.clock.now(), LEVELS.index(0.9)
    scores: dict[str, Record] = {}
    for name, fleet in desk.plan.fleets.items():
        sensors = list(fleet.kernel.layout.outputs)
        seen = residuals(desk.plan, fleet, desk.lake, end - DAY, end)
        group = seen.row * len(sensors) + seen.sensor
        told = calibrate(seen.z, group, len(fleet.twins) * len(sensors))
        for k in np.flatnonzero(told.count).tolist():
            row, sensor = divmod(k, len(sensors))
            scores[f"{fleet.twins[row]} {name} {sensors[sensor]}"] = {
                "count": int(told.count[k]),
                "coverage": float(told.inside[k, ninety]),
                "bias_sigma": float(told.bias[k]),
                "spread": float(told.spread[k]),
            }
    doubtful = [who for who, s in scores.items() if s["count"] > ENOUGH and s["coverage"] < LEAST]
    return {"scores": scores, "doubtful": doubtful}


WATCH: list[tuple[str, Step]] = [("score", score)]
