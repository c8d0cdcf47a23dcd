"""What a plant declares, for those who read its data directory: units, limits, who speaks.

Owns    the file DATA/plant.json, and questions about one twin or signal.
Never   is needed to run: the plant file is the truth, and where the file is not, units are "".
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from gemel.errors import Invalid
from gemel.store import small

FILE = "plant.json"


def write(folder: Path, told: dict[str, Any]) -> None:
    """Into a data directory: whole, or not at all."""
    small.put(folder / FILE, json.dumps(told))


class Declared:
    """`told`: plant, interfaces [{interface, signals, …}], bindings […], twins {interface: ids}."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.plant: str = told.get("plant", "")
        self.interfaces: dict[str, Any] = {i["interface"]: i for i in told.get("interfaces", [])}
        self.bindings: list[dict[str, Any]] = told.get("bindings", [])
        self._twins: dict[str, list[str]] = told.get("twins", {})

    @staticmethod
    def read(folder: Path) -> "Declared":
        """Of a data directory. Raises `plant.unreadable`."""
        path = folder / FILE
        if not path.is_file():
            return Declared({})
        try:
            return Declared(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as problem:
            raise Invalid(
                "plant.unreadable",
                f"it is not what a start of Gemel writes: {problem}",
                where=str(path),
                mend="start Gemel on this directory once, or take the file away",
            ) from problem

    @cached_property
    def _interface(self) -> dict[str, str]:
        return {twin: name for name, twins in self._twins.items() for twin in twins}

    def interface(self, twin: str) -> str:
        """The type of a twin."""
        return self._interface.get(twin, "")

    def signal(self, twin: str, signal: str) -> dict[str, Any]:
        """{unit, low, high, …} as declared."""
        declared = self.interfaces.get(self.interface(twin), {})
        found: dict[str, Any] = declared.get("signals", {}).get(signal, {})
        return found

    def foreseen(self, twin: str, signal: str) -> tuple[str, str, str, float] | None:
        """(binding, sensor, its unit, s between frames) of the kernel that foresees a signal."""
        for one in self.bindings:
            for sensor, unit in one["sensors"].items():
                if one["interface"] == self.interface(twin) and one["ports"][sensor] == signal:
                    return one["binding"], sensor, unit, float(one["every"])
        return None

    def unit_of_state(self, binding: str, state: str) -> str:
        """The unit of a kernel's state."""
        for one in self.bindings:
            if one["binding"] == binding:
                return str(one["states"].get(state, ""))
        return ""
