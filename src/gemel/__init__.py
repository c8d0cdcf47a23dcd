"""Gemel: the digital-twin engine for Python.

Write the physics of one asset in plain Python; Gemel keeps a twin of every asset of the fleet in
step with its telemetry, says how sure it is, foresees, proposes, and sends an approved command.

    from gemel import Kernel, parameter, sensor, signal, state
"""

import importlib
from typing import TYPE_CHECKING, Any

from gemel.errors import (
    Bug,
    Conflict,
    Denied,
    GemelError,
    Invalid,
    NotFound,
    Unavailable,
    explain,
)
from gemel.kernels.base import Kernel, parameter, sensor, signal, state
from gemel.kernels.tables import interp2

if TYPE_CHECKING:
    from gemel.dataset import Dataset, open
    from gemel.figure import plot
    from gemel.fleet import Fleet

__version__ = "0.1.0"
__all__ = [
    "Bug",
    "Conflict",
    "Dataset",
    "Denied",
    "Fleet",
    "GemelError",
    "Invalid",
    "Kernel",
    "NotFound",
    "Unavailable",
    "__version__",
    "explain",
    "interp2",
    "open",
    "parameter",
    "plot",
    "sensor",
    "signal",
    "state",
]


def __getattr__(name: str) -> Any:
    """`open` brings the stores' libraries along and `Fleet` LLVM: loaded when first asked for."""
    if name in ("Dataset", "open"):
        return getattr(importlib.import_module("gemel.dataset"), name)
    if name == "plot":
        return importlib.import_module("gemel.figure").plot
    if name == "Fleet":
        return importlib.import_module("gemel.fleet").Fleet
    raise AttributeError(f"module 'gemel' has no attribute '{name}'")
