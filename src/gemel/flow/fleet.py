"""The crossing: twin ids on one side, row numbers on the other.

Owns    the plan: what a plant file compiles to (slots, grids, fleets), and nothing else knows both.
Never   changes while the flow runs, and holds no belief: that is the memory's.
"""

import hashlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gemel.clock import SECOND, parse_duration
from gemel.errors import Invalid, NotFound
from gemel.flow.rules import compile_rules
from gemel.flow.seats import Seats
from gemel.graph.plantfile import (
    Binding,
    PlantFile,
    Policy,
    Twin,
    join,
    parse,
    read_plant,
)
from gemel.intake.align import Grid
from gemel.intake.quality import Rules
from gemel.kernels.base import Kernel
from gemel.kernels.draws import Keys, twin_key
from gemel.kernels.identity import identity
from gemel.kernels.native import build
from gemel.records import Floats
from gemel.units import convert

PLAN = "[plant]"  # the plant file's own name among the versions
ENGINE = "[engine]"  # that of compiler and processor: the same bits hang on them too


@dataclass(frozen=True)
class Fleet:
    """All twins of one kernel: rows[k] is twins[k]."""

    binding: Binding
    kernel: Kernel
    identity: str
    twins: list[str]
    row: dict[str, int]
    keys: Keys
    grid: Grid
    start_parameters: Floats
    start_cov: Floats
    prior_cov: Floats
    start_versions: list[str]


@dataclass(frozen=True)
class Plan:
    """A plant file, compiled: everything the tick needs that does not change."""

    plant: PlantFile
    rules: Rules
    fleets: dict[str, Fleet]
    where: Path
    identity: str

    def versions(self) -> dict[str, str]:
        """What a run records: every binding's kernel, the plant file's own hash, the engine."""
        kernels = {name: f.identity for name, f in self.fleets.items()}
        return kernels | {PLAN: self.identity, ENGINE: build()}

    @cached_property
    def seats(self) -> Seats:
        """The twins by number."""
        return Seats(self.plant, {name: fleet.twins for name, fleet in self.fleets.items()})


def load_plan(path: Path) -> Plan:
    """Read a plant file and what it includes, its kernels, and its fitted parameters.

    Kernels come from the plant's folder or from installed code. Paths of an included file are
    relative to that file.
    """
    raw = _tables(path)
    included = [_tables(path.parent / name) for name in raw.pop("include", [])]
    return compile_plan(read_plant(join(raw, included), path.name), path.parent)


def _tables(path: Path) -> dict[str, Any]:
    """The tables of one plant file, its relative paths made absolute."""
    try:
        raw = parse(path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError:
        raise NotFound(
            "plant.no_file",
            f"there is no {path}",
            mend="give the plant file's path, or start one with: gemel init --from data.csv",
        ) from None
    folder = path.parent.resolve()
    for source in raw.get("source", []):
        if "path" in source:
            source["path"] = str(folder / source["path"])
    for binding in raw.get("binding", []):
        if "parameters" in binding:
            binding["parameters"] = str(folder / binding["parameters"])
        if str(binding.get("kernel", "")).partition(":")[0].endswith(".py"):
            binding["kernel"] = str(folder / binding["kernel"])
    return raw


def compile_plan(plant: PlantFile, folder: Path) -> Plan:
    """Slots, grids and fleets of a plant."""
    rules = compile_rules(plant)
    fleets = {b.name: _fleet(plant, b, rules.index, folder) for b in plant.bindings.values()}
    for policy in plant.policies:
        _check_policy(plant, policy, fleets[policy.binding])
    return Plan(plant, rules, fleets, folder, _identity(plant, rules, fleets))


def _identity(plant: PlantFile, rules: Rules, fleets: dict[str, Fleet]) -> str:
    """The hash of a plant file but for clock, triggers and how sources are read: no tick's."""
    bindings = [replace(b, kernel="", parameters="") for b in plant.bindings.values()]
    times = [plant.lateness, plant.rerun, plant.skew]
    parts: list[Any] = [plant.seed, *times, plant.interfaces, plant.twins]
    parts += [rules.clock_skew, {name: sorted(said) for name, said in rules.sends.items()}]
    text = repr([*parts, bindings, plant.policies, plant.value]).encode()
    for fleet in fleets.values():
        text += fleet.start_parameters.tobytes() + fleet.start_cov.tobytes()
    return f"plant {hashlib.sha256(text).hexdigest()[:12]}"


def load_kernel(name: str, folder: Path) -> type[Kernel]:
    """`package.module:Class`, or `file.py:Class` in the plant's folder."""
    module_name, _, class_name = name.partition(":")
    try:
        if module_name.endswith(".py"):
            module: Any = _from_file(folder / module_name)
        else:
            module = importlib.import_module(module_name)
        found = getattr(module, class_name)
    except (ImportError, AttributeError, FileNotFoundError) as error:
        raise NotFound(
            "kernel.not_found",
            f"there is no kernel '{name}': {error}",
            mend="write package.module:Class, or file.py:Class beside the plant file",
        ) from None
    if not (isinstance(found, type) and issubclass(found, Kernel)):
        raise Invalid(
            "kernel.not_a_kernel", f"'{name}' is no Kernel", mend="derive it from gemel.Kernel"
        )
    return found


def gold_set(kernel: type[Kernel]) -> dict[str, Any]:
    """The gold set beside the kernel's file, in the library or in a plant's folder."""
    path = Path(str(sys.modules[kernel.__module__].__file__)).with_suffix(".gold.json")
    if not path.is_file():
        raise NotFound(
            "gold.missing",
            f"there is no {path.name} beside the kernel",
            where=f"kernel {kernel.__name__}",
            mend="write one: inputs, expected readings, a tolerance; gemel.kernels.gold shows how",
        )
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found["sets"][kernel.__name__] if "sets" in found else found


def _from_file(path: Path) -> Any:
    name = f"gemel_plant_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _fleet(
    plant: PlantFile, binding: Binding, index: Mapping[tuple[str, str], int], folder: Path
) -> Fleet:
    kernel = load_kernel(binding.kernel, folder)
    twins = [t for t in plant.twins.values() if t.interface == binding.interface]
    ids = [t.id for t in twins]
    values, stds, versions = _parameters(binding, kernel, ids)
    return Fleet(
        binding,
        kernel(),
        identity(kernel),
        ids,
        {twin: k for k, twin in enumerate(ids)},
        np.array([twin_key(twin) for twin in ids], np.uint64),
        _grid(plant, binding, kernel, twins, index),
        values,
        stds[:, :, None] ** 2 * np.eye(stds.shape[1]),
        np.diag([float(p.spread) ** 2 for p in kernel.layout.parameters.values()]),
        versions,
    )


def _check_policy(plant: PlantFile, policy: Policy, fleet: Fleet) -> None:
    """Everything a policy names is there: a tick must never find out that it is not."""
    where = f"policy {policy.name}"
    if policy.before != "next_service":
        parse_duration(policy.before)
    commands = plant.interfaces[fleet.binding.interface].commands
    for name, _ in policy.options:
        if name not in commands:
            raise _lacks(where, f"interface {fleet.binding.interface}", "command", name, commands)
        command, inputs = commands[name], fleet.kernel.layout.inputs
        if command.input not in inputs:
            raise _lacks(where, f"kernel {fleet.identity}", "input", command.input, inputs)
        for twin in fleet.twins:
            links = plant.twins[twin].links
            if command.at and command.at not in links:
                raise _lacks(where, f"twin {twin}", "link", command.at, links)
            target = plant.twins[links[command.at] if command.at else twin]
            telemetry = plant.interfaces[target.interface].telemetry
            if command.signal not in telemetry:
                raise _lacks(where, f"twin {target.id}", "telemetry", command.signal, telemetry)


def _lacks(where: str, who: str, noun: str, name: str, there: Any) -> Invalid:
    return Invalid(
        "policy.not_there",
        f"{who} has no {noun} '{name}'",
        where=where,
        mend=f"there are: {', '.join(there) or 'none'}",
    )


def _parameters(
    binding: Binding, kernel: type[Kernel], twins: list[str]
) -> tuple[Floats, Floats, list[str]]:
    """Where each asset starts: the fleet's typical values, or what a file says was fitted."""
    layout = kernel.layout.parameters
    values = np.tile(kernel.typical(), (len(twins), 1))
    stds = np.tile([float(p.spread) for p in layout.values()], (len(twins), 1))
    versions = ["typical"] * len(twins)
    if not binding.parameters:
        return values, stds, versions
    try:
        told = json.loads(Path(binding.parameters).read_text(encoding="utf-8"))[binding.name]
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise Invalid(
            "binding.parameters",
            f"its fitted parameters cannot be read: {type(error).__name__} {error}",
            where=f"binding {binding.name}",
            mend="write {binding: {twin: {values, stds, version}}}, or leave the line out",
        ) from None
    for row, twin in enumerate(twins):
        fitted = told.get(twin)
        if fitted is not None:
            for k, name in enumerate(layout):
                values[row, k] = fitted["values"].get(name, values[row, k])
                stds[row, k] = fitted["stds"].get(name, stds[row, k])
            versions[row] = fitted["version"]
    return values, stds, versions


def _grid(
    plant: PlantFile,
    binding: Binding,
    kernel: type[Kernel],
    twins: list[Twin],
    index: Mapping[tuple[str, str], int],
) -> Grid:
    """Resolve every port of every row to a slot (or a property), and its unit to the kernel's."""
    layout = kernel.layout
    units = {n: s.unit for n, s in layout.inputs.items()}
    units |= {n: s.unit for n, s in layout.outputs.items()}
    odd = sorted(set(binding.ports) - set(units))
    if odd:
        raise Invalid(
            "binding.port",
            f"kernel {kernel.__name__} has no port '{odd[0]}'",
            where=f"binding {binding.name}",
            mend=f"its ports are: {', '.join(units)}",
        )
    ports: list[tuple[int, int, int]] = []
    constant = np.full((len(twins), len(units)), np.nan, order="F")
    factor, offset = np.ones(len(units)), np.zeros(len(units))
    for column, (name, unit) in enumerate(units.items()):
        for row, twin in enumerate(twins):
            target, leaf = _follow(plant, twin, binding.ports.get(name, name), binding.name)
            interface = plant.interfaces[target.interface]
            if leaf in interface.telemetry:
                declared = interface.telemetry[leaf].unit
                zero, one = _convert(np.array([0.0, 1.0]), declared, unit, binding.name, name)
                factor[column], offset[column] = one - zero, zero
                ports.append((index[target.id, leaf], row, column))
            elif leaf in target.properties:
                declared = interface.properties.get(leaf, {}).get("unit", unit)
                value = np.array([float(target.properties[leaf])])
                constant[row, column] = _convert(value, declared, unit, binding.name, name)[0]
            else:
                raise Invalid(
                    "binding.path",
                    f"twin '{target.id}' has no telemetry or property '{leaf}'",
                    where=f"binding {binding.name}, port {name}",
                    mend=f"{target.interface} has: {', '.join(interface.telemetry)}",
                )
    slots, rows, columns = np.array(sorted(ports), np.int64).reshape(-1, 3).T
    every = int(binding.every * SECOND)
    inputs = len(layout.inputs)
    return Grid(
        binding.name, every, slots, rows, columns, factor, offset, inputs, constant, len(index)
    )


def _follow(plant: PlantFile, twin: Twin, path: str, binding: str) -> tuple[Twin, str]:
    """`link/link/leaf` from an anchor → the twin at the end and the leaf's name."""
    *steps, leaf = path.split("/")
    for step in steps:
        if step not in twin.links:
            raise Invalid(
                "binding.link",
                f"twin '{twin.id}' has no link '{step}'",
                where=f"binding {binding}, path {path}",
                mend=f"its links are: {', '.join(twin.links) or 'none'}",
            )
        twin = plant.twins[twin.links[step]]
    return twin, leaf


def _convert(value: Floats, source: str, target: str, binding: str, port: str) -> Floats:
    try:
        return convert(value, source, target)
    except Invalid as error:
        raise Invalid(
            "binding.unit_mismatch",
            f"port '{port}' wants {target}, and the telemetry is in {source}",
            where=f"binding {binding}",
            mend="bind another path, or declare the telemetry in a unit of the same kind",
        ) from error
