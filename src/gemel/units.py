"""Units: names, dimensions, and conversion at the edge.

Owns    one small table: unit → (dimension, factor, offset to the base unit).
Never   converts inside a kernel: a binding converts once, on the way in.
"""

import numpy as np
from numpy.typing import NDArray

from gemel.errors import Invalid

# unit: (dimension, factor, offset);  base = factor * value + offset
_TABLE: dict[str, tuple[str, float, float]] = {
    "1": ("1", 1.0, 0.0),
    "%": ("1", 0.01, 0.0),
    "K": ("temperature", 1.0, 0.0),
    "degC": ("temperature", 1.0, 273.15),
    "degF": ("temperature", 5.0 / 9.0, 459.67 * 5.0 / 9.0),
    "rpm": ("rotation", 1.0, 0.0),
    "Hz": ("rotation", 60.0, 0.0),
    "rad/s": ("rotation", 60.0 / (2 * np.pi), 0.0),
    "W": ("power", 1.0, 0.0),
    "kW": ("power", 1e3, 0.0),
    "MW": ("power", 1e6, 0.0),
    "N m": ("torque", 1.0, 0.0),
    "kN m": ("torque", 1e3, 0.0),
    "Pa": ("pressure", 1.0, 0.0),
    "kPa": ("pressure", 1e3, 0.0),
    "bar": ("pressure", 1e5, 0.0),
    "psi": ("pressure", 6894.757293168, 0.0),
    "m/s": ("speed", 1.0, 0.0),
    "mm/s": ("speed", 1e-3, 0.0),
    "km/h": ("speed", 1 / 3.6, 0.0),
    "L/min": ("flow", 1.0, 0.0),
    "m3/h": ("flow", 1000.0 / 60.0, 0.0),
    "L/s": ("flow", 60.0, 0.0),
    "s": ("time", 1.0, 0.0),
    "min": ("time", 60.0, 0.0),
    "h": ("time", 3600.0, 0.0),
    "d": ("time", 86_400.0, 0.0),
    "deg": ("angle", 1.0, 0.0),
    "rad": ("angle", 180.0 / np.pi, 0.0),
    "m": ("length", 1.0, 0.0),
    "mm": ("length", 1e-3, 0.0),
    "um": ("length", 1e-6, 0.0),
    "V": ("voltage", 1.0, 0.0),
    "A": ("current", 1.0, 0.0),
    "EUR": ("money", 1.0, 0.0),
    "EUR/h": ("money/time", 1.0, 0.0),
    "EUR/MWh": ("money/energy", 1.0, 0.0),
}


def known(unit: str) -> bool:
    """Whether the table has this unit."""
    return unit in _TABLE


def same_dimension(source: str, target: str) -> bool:
    """Whether a value in `source` can be written in `target`."""
    return source == target or (
        known(source) and known(target) and _TABLE[source][0] == _TABLE[target][0]
    )


def convert(value: NDArray[np.float64], source: str, target: str) -> NDArray[np.float64]:
    """Values in `source` units, in `target` units: (f_s v + o_s − o_t) / f_t.

    Raises `unit.mismatch` when the two do not measure the same thing.

    Water boils at 100 °C:

    >>> convert(np.array([212.0]), "degF", "degC").round(6)
    array([100.])
    """
    if source == target:
        return value
    if not known(source):
        raise Invalid(
            "unit.unknown",
            f"'{source}' is not a unit I know",
            mend=f"use one of: {' '.join(sorted(_TABLE))}",
        )
    if not same_dimension(source, target):
        raise Invalid(
            "unit.mismatch",
            f"'{source}' cannot be written in '{target}'",
            mend=f"send a unit of the same kind as '{target}', or leave the unit out",
        )
    _, factor, offset = _TABLE[source]
    _, to_factor, to_offset = _TABLE[target]
    return (factor * value + offset - to_offset) / to_factor
