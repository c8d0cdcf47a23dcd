"""How well the physics kernels foresee the wind turbines' bearings: the accuracy table."""

import os
from pathlib import Path

from benchmarks.runner import ROOT, figure
from gemel.flow.accuracy import accuracy_table

SENSORS = {
    "rotor_bearing": "rotor-bearing",
    "generator_bearing_1": "generator-bearing-1",
    "generator_bearing_2": "generator-bearing-2",
}
UNITS = {f"accuracy.{name}": "degC" for name in SENSORS}
UNITS |= {f"accuracy.{name}_vs_ge": "1" for name in SENSORS}


@figure("accuracy.wind", unit=UNITS, kind="proof")
def wind() -> dict[str, float]:
    """Pooled root mean square errors on rows after the fit, and their ratio to GE's line.

    The shipped extract, or the folder that GEMEL_WIND_DATA names.
    """
    folder = Path(os.environ.get("GEMEL_WIND_DATA", ROOT / "examples" / "wind"))
    pooled = {row["sensor"]: row for row in accuracy_table(folder)["pooled"]}
    errors = {f"accuracy.{name}": pooled[s]["ours"] for name, s in SENSORS.items()}
    return errors | {f"accuracy.{name}_vs_ge": pooled[s]["ratio"] for name, s in SENSORS.items()}
