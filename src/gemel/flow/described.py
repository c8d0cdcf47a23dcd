"""What a plan declares, as a record: what labels the numbers of a page and of DATA/plant.json.

Owns    which of a plant's declarations are told, and their names.
Never   tells a number that changes while the flow runs.
"""

from collections import Counter
from dataclasses import asdict
from math import isfinite
from typing import Any

from gemel.flow.fleet import Fleet, Plan
from gemel.graph.plantfile import Command, Interface, Telemetry

Record = dict[str, Any]
_LIMITS = ("low", "high", "rate", "stuck", "every", "gap", "drift")


def described(plan: Plan) -> Record:
    """plant, interfaces, bindings: which numbers there are, in which units and limits."""
    plant = plan.plant
    twins = Counter(twin.interface for twin in plant.twins.values())
    return {
        "plant": plant.name,
        "interfaces": [_interface(one, twins[one.name]) for one in plant.interfaces.values()],
        "bindings": [_binding(name, fleet) for name, fleet in plan.fleets.items()],
    }


def members(plan: Plan) -> dict[str, list[str]]:
    """The ids of the twins of each interface."""
    twins: dict[str, list[str]] = {name: [] for name in plan.plant.interfaces}
    for twin in plan.plant.twins.values():
        twins[twin.interface].append(twin.id)
    return twins


def _binding(name: str, fleet: Fleet) -> Record:
    layout, ports = fleet.kernel.layout, fleet.binding.ports
    return {
        "binding": name,
        "kernel": fleet.identity,
        "interface": fleet.binding.interface,
        "every": fleet.binding.every,
        "horizon": fleet.binding.horizon,
        "rows": len(fleet.twins),
        "ports": {port: ports.get(port, port) for port in (*layout.inputs, *layout.outputs)},
        "states": {n: s.unit for n, s in layout.states.items()},
        "inputs": {n: s.unit for n, s in layout.inputs.items()},
        "sensors": {n: s.unit for n, s in layout.outputs.items()},
    }


def _interface(interface: Interface, twins: int) -> Record:
    return {
        "interface": interface.name,
        "id": interface.id,
        "twins": twins,
        "signals": {name: _signal(told) for name, told in interface.telemetry.items()},
        "properties": {name: dict(told) for name, told in interface.properties.items()},
        "relationships": dict(interface.relationships),
        "commands": {name: _command(told) for name, told in interface.commands.items()},
    }


def _signal(told: Telemetry) -> Record:
    """A declared stream; what is not declared is null."""
    limits = {k: v if isfinite(v) else None for k, v in asdict(told).items() if k in _LIMITS}
    return {"unit": told.unit, **limits}


def _command(told: Command) -> Record:
    return {
        "unit": told.unit,
        "low": told.low,
        "high": told.high,
        "at": told.at,
        "input": told.input,
        "confirmed_by": told.signal,
        "within": told.within,
    }
