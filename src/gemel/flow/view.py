"""The picture after a commit: what people and programs are shown.

Owns    turning rows back into twins, with units, doubt and age on every number.
Never   is read by the tick: it is a copy, and may be a moment old.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gemel.flow import trust
from gemel.flow.fleet import Fleet, Plan
from gemel.flow.memory import FleetMemory, Memory
from gemel.records import REASONS

IN_STEP = 3.0  # running NIS per sensor above this: the twin does not track its asset, and says so


@dataclass(frozen=True)
class View:
    """One plant at one tick."""

    at: int
    tick: int
    epoch: int
    twins: list[dict[str, Any]]
    books: dict[str, dict[str, int]]
    fleets: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    status: dict[str, Any] = field(default_factory=dict)

    def twin(self, identity: str) -> dict[str, Any] | None:
        """One twin's picture, None when there is no such twin."""
        return next((twin for twin in self.twins if twin["id"] == identity), None)


def look(plan: Plan, memory: Memory, tick: int, epoch: int) -> View:
    """The picture of a memory."""
    findings: dict[str, list[str]] = {}
    for finding in memory.findings.open.values():
        findings.setdefault(finding.twin, []).append(finding.id)
    trusted = trust.twins(plan, memory)
    nothing: dict[str, Any] = {"score": None, "silent": []}
    twins = []
    for twin in plan.plant.twins.values():
        rows = {
            name: _row(fleet, memory.fleets[name], fleet.row[twin.id])
            for name, fleet in plan.fleets.items()
            if twin.id in fleet.row
        }
        indices = [h["index"] for f in rows.values() for h in f["health"].values()]
        twins.append(
            {
                "id": twin.id,
                "interface": twin.interface,
                "properties": dict(twin.properties),
                "links": dict(twin.links),
                "latest": _latest(plan, memory, twin.id, twin.interface),
                "fleets": rows,
                "findings": findings.get(twin.id, []),
                "quality": trusted.get(twin.id, nothing),
                "worst": min(indices, default=1.0),
            }
        )
    status = {
        "plant": plan.plant.name,
        "open_findings": len(memory.findings.open),
        "open_proposals": len(memory.control.proposals),
        "unfinished_invocations": len(memory.control.invocations),
        "journal_sequence": memory.sequence,
    }
    books = {source: dict(book) for source, book in memory.books.items()}
    fleets = [_fleet(name, fleet, memory.fleets[name]) for name, fleet in plan.fleets.items()]
    sources = trust.sources(memory)
    return View(memory.at, tick, epoch, twins, books, fleets, sources, status)


def _latest(plan: Plan, memory: Memory, twin: str, interface: str) -> dict[str, Any]:
    latest = {}
    for signal, declared in plan.plant.interfaces[interface].telemetry.items():
        slot = plan.rules.index[twin, signal]
        instant = int(memory.quality.instant[slot])
        if instant:
            value = float(memory.quality.value[slot])
            latest[signal] = {
                "value": value,
                "unit": declared.unit,
                "instant": instant,
                **_quality(int(memory.quality.reason[slot])),
            }
    return latest


def _quality(reason: int) -> dict[str, str]:
    """Of a signal's newest sample, which may be newer than the last credible value."""
    word = REASONS[reason]
    grade = "good" if not word else "bad" if word in ("range", "rate") else "uncertain"
    return {"quality": grade, "reason": word}


def _row(fleet: Fleet, held: FleetMemory, row: int) -> dict[str, Any]:
    layout, estimate = fleet.kernel.layout, held.estimate
    std = np.sqrt(np.maximum(np.diagonal(estimate.cov[row]), 0.0))
    begun = bool(estimate.instant[row] > 0)
    return {
        "kernel": fleet.identity,
        "version": held.versions[row],
        "instant": int(estimate.instant[row]),
        "in_step": begun and float(held.nis[row]) < IN_STEP and not bool(held.stale[row]),
        "stale": bool(held.stale[row]),
        "nis": float(held.nis[row]),
        "inputs": {
            name: {"value": float(held.u[row, k]), "unit": signal.unit}
            for k, (name, signal) in enumerate(layout.inputs.items())
        },
        "states": {
            name: {"mean": float(estimate.mean[row, k]), "std": float(std[k]), "unit": state.unit}
            for k, (name, state) in enumerate(layout.states.items())
        },
        "sensors": {
            name: {
                "measured": float(estimate.foreseen[row, k] + estimate.innovation[row, k])
                if estimate.mask[row, k]
                else None,
                "foreseen": float(estimate.foreseen[row, k]),
                "std": float(np.sqrt(estimate.innovation_var[row, k])),
                "unit": sensor.unit,
            }
            for k, (name, sensor) in enumerate(layout.outputs.items())
        },
        "health": {
            mode: {"index": float(index[row]), "std": float(spread[row])}
            for mode, (index, spread) in (held.health.items() if begun else ())
        },
        "rul": held.rul.get(fleet.twins[row], []),
        "parameters": {
            name: {
                "value": float(held.p[row, k]),
                "std": float(np.sqrt(held.p_cov[row, k, k])),
                "scale": item.scale,
                "unit": item.unit,
            }
            for k, (name, item) in enumerate(layout.parameters.items())
        },
    }


def _fleet(name: str, fleet: Fleet, held: FleetMemory) -> dict[str, Any]:
    begun = held.estimate.instant > 0
    in_step = begun & (held.nis < IN_STEP) & ~held.stale
    return {
        "binding": name,
        "kernel": fleet.identity,
        "rows": len(fleet.twins),
        "begun": int(begun.sum()),
        "in_step": int(in_step.sum()),
        "every": fleet.binding.every,
    }
