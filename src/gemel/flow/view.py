"""The picture after a commit: what people and programs are shown.

Owns    the columns that are looked at, as they stood, and turning rows of them into twins, with
        units, doubt and age on every number.
Never   is read by the tick: it is a copy, and may be a moment old. No twin is made into words
        before somebody asks for it.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from gemel.flow import trust
from gemel.flow.fleet import Fleet, Plan
from gemel.flow.memory import FleetMemory, Memory
from gemel.flow.trust import Trust
from gemel.intake.quality import Codes
from gemel.kernels.belief import IN_STEP
from gemel.records import REASONS, Bools, Floats, Instants

KEPT = 64  # things that are made of a picture: of a large plant an order has a megabyte
Made = TypeVar("Made")


@dataclass(frozen=True)
class Columns:
    """One fleet as it stood, rows as in the plan; NaN: it is not known.

    instant (A,) ns, 0 = not begun · mean, var (A,X) · nis, stale (A,) · u (A,U)
    foreseen, innovation, innovation_var, mask (A,Y) · p, p_var (A,P) · versions (A)
    health: mode → (index (A,), std (A,)) · rul: twin → its latest RUL records
    """

    instant: Instants
    mean: Floats
    var: Floats
    nis: Floats
    stale: Bools
    u: Floats
    foreseen: Floats
    innovation: Floats
    innovation_var: Floats
    mask: Bools
    p: Floats
    p_var: Floats
    versions: list[str]
    health: dict[str, tuple[Floats, Floats]]
    rul: dict[str, list[dict[str, Any]]]
    settled: int = 0

    @staticmethod
    def of(held: FleetMemory, before: "Columns | None" = None) -> "Columns":
        """As a fleet stands now; what seldom changes is shared with the picture `before`."""
        e = held.estimate
        if before is not None and before.settled == held.settled:
            fitted = before.p, before.p_var, before.versions
        else:
            fitted = held.p.copy(), _variances(held.p_cov), held.versions.copy()
        return Columns(
            e.instant.copy(),
            e.mean.copy(),
            _variances(e.cov),
            held.nis.copy(),
            held.stale.copy(),
            held.u.copy(),
            e.foreseen.copy(),
            e.innovation.copy(),
            e.innovation_var.copy(),
            e.mask.copy(),
            *fitted,
            dict(held.health),
            held.rul.copy(),
            held.settled,
        )

    @property
    def begun(self) -> Bools:
        """The rows that have an estimate: (A,)."""
        return self.instant > 0

    @property
    def in_step(self) -> Bools:
        """The rows that track their assets: (A,)."""
        return self.begun & (self.nis < IN_STEP) & ~self.stale


@dataclass(frozen=True)
class View:
    """One plant at one tick.

    instant, value, reason (S,): the newest of every slot · open_: twin → ids of its open findings
    """

    plan: Plan
    at: int
    tick: int
    epoch: int
    columns: dict[str, Columns]
    instant: Instants
    value: Floats
    reason: Codes
    trust: Trust
    open_: dict[str, list[str]]
    books: dict[str, dict[str, int]]
    sources: list[dict[str, Any]]
    status: dict[str, Any] = field(default_factory=dict)
    _kept: dict[Any, Any] = field(default_factory=dict)
    _making: Any = field(default_factory=threading.RLock)

    def once(self, key: Any, make: Callable[[], Made]) -> Made:
        """What `make` gives, made once for this picture and shared by all who ask.

        The last KEPT are kept: a picture may stand for long, and people ask for many things.
        """
        with self._making:
            made: Made = self._kept.pop(key) if key in self._kept else make()
            self._kept[key] = made
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
            return made

    @property
    def past(self) -> bool:
        """Whether it is out of history, and not of now."""
        return False

    def newest(self) -> Instants:
        """The instant of the newest sample of every twin: (T,) ns, 0 where there is none."""
        seats = self.plan.seats
        newest = np.zeros(len(seats.ids), np.int64)
        if len(seats.heard):
            newest[seats.heard] = np.maximum.reduceat(self.instant, seats.first[seats.heard])
        return newest

    def unheard(self) -> Bools:
        """Which twins with telemetry have told nothing yet: (T,)."""
        unheard = np.zeros(len(self.plan.seats.ids), np.bool_)
        unheard[self.plan.seats.heard] = True
        return np.asarray(unheard & (self.newest() == 0))

    def fill(self, numbers: list[int], whole: bool = False) -> None:
        """Have the samples of some twins there, where they are not yet; `whole`: and all else."""

    def twin(self, identity: str) -> dict[str, Any] | None:
        """One twin's picture, None when there is no such twin."""
        number = self.plan.seats.number.get(identity)
        return None if number is None else self.picture(number)

    def twins(self, numbers: Iterable[int] | None = None) -> list[dict[str, Any]]:
        """The pictures of some twins by number, None: of all."""
        every = list(range(len(self.plan.seats.ids)) if numbers is None else numbers)
        self.fill(every, whole=True)
        return [self.picture(k) for k in every]

    def picture(self, number: int) -> dict[str, Any]:
        """One twin, whole."""
        self.fill([number], whole=True)
        twin = self.plan.plant.twins[self.plan.seats.ids[number]]
        fleets = {
            name: row(fleet, self.columns[name], fleet.row[twin.id])
            for name, fleet in self.plan.fleets.items()
            if twin.id in fleet.row
        }
        indices = [h["index"] for f in fleets.values() for h in f["health"].values()]
        return {
            "id": twin.id,
            "interface": twin.interface,
            "properties": dict(twin.properties),
            "links": dict(twin.links),
            "latest": self.latest(number),
            "fleets": fleets,
            "findings": self.open_.get(twin.id, []),
            "quality": self.trust.told(number),
            "worst": min(indices, default=1.0),
        }

    def latest(self, number: int, most: int | None = None) -> dict[str, Any]:
        """The newest sample of each signal of a twin; `most`: of its first signals only."""
        seats, plant = self.plan.seats, self.plan.plant
        interface = seats.interfaces[seats.interface[number]]
        latest = {}
        declared = list(plant.interfaces[interface].telemetry.values())[:most]
        for slot, signal in enumerate(declared, int(seats.first[number])):
            if self.instant[slot]:
                latest[signal.name] = {
                    "value": float(self.value[slot]),
                    "unit": signal.unit,
                    "instant": int(self.instant[slot]),
                    **_quality(int(self.reason[slot])),
                }
        return latest

    @cached_property
    def fleets(self) -> list[dict[str, Any]]:
        """One row a binding."""
        return [
            {
                "binding": name,
                "kernel": fleet.identity,
                "rows": len(fleet.twins),
                "begun": int(self.columns[name].begun.sum()),
                "in_step": int(self.columns[name].in_step.sum()),
                "every": fleet.binding.every,
            }
            for name, fleet in self.plan.fleets.items()
        ]


def look(plan: Plan, memory: Memory, tick: int, epoch: int, before: View | None = None) -> View:
    """The picture of a memory: its columns, copied. `before`: an earlier one of the same memory."""
    earlier = {} if before is None else before.columns
    open_: dict[str, list[str]] = {}
    for finding in memory.findings.open.values():
        open_.setdefault(finding.twin, []).append(finding.id)
    quality = memory.quality
    return View(
        plan,
        memory.at,
        tick,
        epoch,
        {name: Columns.of(held, earlier.get(name)) for name, held in memory.fleets.items()},
        quality.instant.copy(),
        quality.value.copy(),
        quality.reason.copy(),
        Trust.of(plan, memory),
        open_,
        {source: dict(book) for source, book in memory.books.items()},
        trust.sources(memory),
        {
            "plant": plan.plant.name,
            "open_findings": len(memory.findings.open),
            "open_proposals": len(memory.control.proposals),
            "unfinished_invocations": len(memory.control.invocations),
            "journal_sequence": memory.sequence,
        },
    )


def _variances(cov: Floats) -> Floats:
    return np.diagonal(cov, axis1=1, axis2=2).copy()


def _quality(reason: int) -> dict[str, str]:
    """Of a signal's newest sample, which may be newer than the last credible value."""
    word = REASONS[reason]
    grade = "good" if not word else "bad" if word in ("range", "rate") else "uncertain"
    return {"quality": grade, "reason": word}


def row(fleet: Fleet, held: Columns, k: int) -> dict[str, Any]:
    """One row of a fleet in words."""
    layout, begun = fleet.kernel.layout, bool(held.instant[k] > 0)
    std, p_std, spread = (
        np.sqrt(np.maximum(var[k], 0.0)).tolist()
        for var in (held.var, held.p_var, held.innovation_var)
    )
    mean, u, p, foreseen = (c[k].tolist() for c in (held.mean, held.u, held.p, held.foreseen))
    measured = np.where(held.mask[k], held.foreseen[k] + held.innovation[k], np.nan).tolist()
    stale, nis = bool(held.stale[k]), float(held.nis[k])
    return {
        "kernel": fleet.identity,
        "version": held.versions[k],
        "instant": int(held.instant[k]),
        "in_step": None if np.isnan(nis) else begun and nis < IN_STEP and not stale,
        "stale": stale,
        "nis": nis,
        "inputs": {
            name: {"value": u[n], "unit": signal.unit}
            for n, (name, signal) in enumerate(layout.inputs.items())
        },
        "states": {
            name: {"mean": mean[n], "std": std[n], "unit": state.unit}
            for n, (name, state) in enumerate(layout.states.items())
        },
        "sensors": {
            name: {
                "measured": measured[n] if held.mask[k, n] else None,
                "foreseen": foreseen[n],
                "std": spread[n],
                "unit": sensor.unit,
            }
            for n, (name, sensor) in enumerate(layout.outputs.items())
        },
        "health": {
            mode: {"index": float(index[k]), "std": float(std_[k])}
            for mode, (index, std_) in (held.health.items() if begun else ())
        },
        "rul": held.rul.get(fleet.twins[k], []),
        "parameters": {
            name: {"value": p[n], "std": p_std[n], "scale": item.scale, "unit": item.unit}
            for n, (name, item) in enumerate(layout.parameters.items())
        },
    }
