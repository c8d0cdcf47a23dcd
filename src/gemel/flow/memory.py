"""What the flow remembers between ticks: everything a snapshot holds.

Owns    the memory of all stages in one place, and its form on disk (arrays + plain data).
Never   holds what can be had from the plan.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.control.approve import ControlMemory
from gemel.fingerprint import fingerprint
from gemel.flow.fleet import Fleet, Plan
from gemel.insight.findings import FindingMemory
from gemel.insight.usual import UsualDay
from gemel.insight.value import ValueMemory
from gemel.intake.align import GridMemory, Samples
from gemel.intake.quality import QualityMemory
from gemel.intake.seen import Seen
from gemel.kernels.estimate import blank
from gemel.records import (
    FATES,
    Bools,
    Estimate,
    Finding,
    Floats,
    Instants,
    Invocation,
    Proposal,
)

_CHECKED = ("bias", "nis", "held", "held_at")
_SLOTS = ("instant", "value", "since", "reason")
_SCORE = ("good", "due", "at")
_SEEN = ("slot", "instant", "value")
_ESTIMATE = ("instant", "mean", "cov", "foreseen", "innovation", "innovation_var", "mask", "nis")


@dataclass
class Checkpoint:
    """What a fleet believed after the frame at `instant`: where a re-run may begin."""

    instant: int
    estimate: Estimate
    bias: Floats
    nis: Floats
    held: Floats
    held_at: Instants


@dataclass
class Past:
    """What a re-run of late data needs: checkpoints, the oldest first; ends of the frames since.

    floor (A,): the grid's closed instant at the last repair or promotion; no row goes back there
    late: rows (M,) and ends (M,) of samples whose instants were closed, until they are run
    """

    checkpoints: list[Checkpoint]
    floor: Instants
    ends: list[int] = field(default_factory=list)
    late: list[tuple[NDArray[np.int64], Instants]] = field(default_factory=list)


@dataclass
class FleetMemory:
    """One fleet's belief: rows as in the plan.

    p (A,P) · p_cov (A,P,P) · versions (A): which fit speaks · u (A,U) latest inputs · stale (A,)
    bias (A,Y), nis (A,): running innovation statistics · foreseen_at (A,) ns
    health: mode → (index (A,), std (A,)) · rul: twin → its latest RUL records
    """

    estimate: Estimate
    grid: GridMemory
    p: Floats
    p_cov: Floats
    versions: list[str]
    u: Floats
    ready: Bools
    stale: Bools
    bias: Floats
    nis: Floats
    foreseen_at: NDArray[np.int64]
    usual: UsualDay
    past: Past
    health: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    rul: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    settled: int = 0  # how often a row was, since the start: p, p_cov and versions are as they were
    _told: tuple[Estimate, int, bytes] | None = field(default=None, repr=False, compare=False)
    _p_told: tuple[Floats, int, bytes] | None = field(default=None, repr=False, compare=False)

    def fingerprint(self) -> bytes:
        """Of belief and parameters, read once while they stay: whoever writes into an estimate
        settles the row, or puts another in its place."""
        own = self.estimate
        if self._told is None or self._told[0] is not own or self._told[1] != self.settled:
            if (
                self._p_told is None
                or self._p_told[0] is not self.p
                or self._p_told[1] != self.settled
            ):
                self._p_told = (self.p, self.settled, fingerprint(self.p))
            told = b"".join(fingerprint(a) for a in (own.instant, own.mean, own.cov))
            self._told = (own, self.settled, told + self._p_told[2])
        return self._told[2]

    def checkpoint(self, instant: int) -> Checkpoint:
        """The belief as it stands, and as it stays: a re-run writes into the one that goes on."""
        grid, own = self.grid, self.estimate
        believed = Estimate(**{name: _copy(getattr(own, name)) for name in _ESTIMATE})
        bias, nis = _copy(self.bias), _copy(self.nis)
        return Checkpoint(instant, believed, bias, nis, _copy(grid.held), _copy(grid.held_at))

    def settle(self, row: int) -> None:
        """A row's belief was set by hand: no re-run undoes that."""
        self.past.floor[row] = self.grid.closed
        self.settled += 1


@dataclass
class Memory:
    """Everything the tick carries on: owned by one tick, returned by it."""

    sequence: int
    at: int
    quality: QualityMemory
    fleets: dict[str, FleetMemory]
    findings: FindingMemory
    control: ControlMemory
    value: ValueMemory
    books: dict[str, dict[str, int]]
    positions: dict[str, str]
    recent: list[Samples] = field(default_factory=list)

    def count(self, source: str, fate: str, number: int = 1) -> None:
        """Enter `number` samples in a source's book."""
        book = self.books.setdefault(source, {"received": 0, **dict.fromkeys(FATES, 0)})
        book["received"] += number
        book[fate] += number


def _copy(array: Any) -> Any:
    return array.copy(order="K")  # column by column, as it lies


def begin(plan: Plan) -> Memory:
    """The memory of a plant that has not heard anything yet."""
    return Memory(
        0,
        0,
        QualityMemory.blank(plan.rules),
        {name: _fleet(fleet) for name, fleet in plan.fleets.items()},
        FindingMemory(),
        ControlMemory(),
        ValueMemory(),
        {},
        {},
    )


def _fleet(fleet: Fleet) -> FleetMemory:
    count, layout = len(fleet.twins), fleet.kernel.layout
    memory = FleetMemory(
        blank(type(fleet.kernel), count),
        GridMemory.blank(fleet.grid),
        fleet.start_parameters.copy(order="F"),
        fleet.start_cov.copy(order="F"),
        list(fleet.start_versions),
        np.zeros((count, len(layout.inputs)), order="F"),
        np.zeros(count, np.bool_),
        np.zeros(count, np.bool_),
        np.zeros((count, len(layout.outputs)), order="F"),
        np.ones(count),
        np.zeros(count, np.int64),
        UsualDay.blank(count, len(layout.inputs)),
        Past([], np.full(count, -1)),
    )
    memory.past.checkpoints.append(memory.checkpoint(0))
    return memory


def digest(memory: Memory, changes: list[dict[str, Any]]) -> str:
    """SHA-256 over the estimates' fingerprints, the books and what changed: equal bits, equal
    digest."""
    sha = hashlib.sha256()
    for name in sorted(memory.fleets):
        sha.update(memory.fleets[name].fingerprint())
    sha.update(json.dumps([memory.books, changes], sort_keys=True).encode())
    return sha.hexdigest()


def pack(plan: Plan, memory: Memory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Memory → (arrays, plain data) for a snapshot."""
    arrays, told = _pack_quality(plan, memory.quality)
    arrays["value.price"] = memory.value.price
    book: dict[str, Any] = {
        "sequence": memory.sequence,
        "at": memory.at,
        **told,
        "findings": {key: f.as_record() for key, f in memory.findings.open.items()},
        "finding_count": memory.findings.count,
        "control": asdict(memory.control),
        "service": memory.value.service,
        "books": memory.books,
        "positions": memory.positions,
        "fleets": {},
    }
    for part in _SEEN:
        parts = [getattr(samples, part) for samples in memory.recent]
        arrays[f"recent.{part}"] = np.concatenate(parts) if parts else np.zeros(0)
    for name, fleet in memory.fleets.items():
        arrays |= {f"{name}.estimate.{k}": getattr(fleet.estimate, k) for k in _ESTIMATE}
        for key in ("p", "p_cov", "u", "ready", "stale", "bias", "nis", "foreseen_at"):
            arrays[f"{name}.{key}"] = getattr(fleet, key)
        arrays[f"{name}.held"], arrays[f"{name}.held_at"] = fleet.grid.held, fleet.grid.held_at
        arrays[f"{name}.usual"], arrays[f"{name}.usual_seen"] = fleet.usual.mean, fleet.usual.seen
        for end, (values, instants) in fleet.grid.open.items():
            arrays[f"{name}.open.{end}"], arrays[f"{name}.open_at.{end}"] = values, instants
        for k, check in enumerate(fleet.past.checkpoints):
            arrays |= {f"{name}.past.{k}.{e}": getattr(check.estimate, e) for e in _ESTIMATE}
            arrays |= {f"{name}.past.{k}.{e}": getattr(check, e) for e in _CHECKED}
        arrays[f"{name}.floor"] = fleet.past.floor
        for mode, (index, std) in fleet.health.items():
            arrays[f"{name}.health.{mode}"], arrays[f"{name}.health_std.{mode}"] = index, std
        book["fleets"][name] = {
            "twins": plan.fleets[name].twins,
            "layout": _layout(plan.fleets[name]),
            "versions": fleet.versions,
            "rul": fleet.rul,
            "open": [int(end) for end in fleet.grid.open],
            "closed": int(fleet.grid.closed),
            "past": [check.instant for check in fleet.past.checkpoints],
            "ends": fleet.past.ends,
            "modes": list(fleet.health),
        }
    return arrays, book


def _pack_quality(plan: Plan, quality: QualityMemory) -> tuple[dict[str, Any], dict[str, Any]]:
    rules, names = plan.rules, plan.rules.names
    arrays: dict[str, Any] = {f"quality.{key}": getattr(quality, key) for key in _SLOTS}
    arrays["quality.heard"], arrays["quality.heard_slot"] = quality.heard, rules.periods.slots
    arrays["quality.drift"], arrays["quality.drift_slot"] = quality.drift, rules.drifts.slots
    arrays |= {f"score.{key}": getattr(quality.score, key) for key in _SCORE}
    arrays["slots.twin"], arrays["slots.signal"] = (column.code for column in names)
    for k, seen in enumerate(quality.seen.values()):
        for part, column in zip(_SEEN, seen.samples(), strict=True):
            arrays[f"seen.{k}.{part}"] = column
    return arrays, {
        "watermark": quality.watermark,
        "began": quality.began,
        "lags": quality.lags,
        "reasons": quality.reasons,
        "scores": quality.score.sources,
        "seen": list(quality.seen),
        "slots": [column.words for column in names],
    }


def unpack(plan: Plan, arrays: dict[str, Any], book: dict[str, Any]) -> Memory:
    """A snapshot → the memory it was taken of, each number with the twin it belongs to.

    The plant file may have changed since: twins are found by name, new ones begin anew, and a
    binding whose kernel has other states, parameters or ports begins anew as a whole.
    """
    memory = begin(plan)
    memory.sequence, memory.at = book["sequence"], book["at"]
    twins, signals = book["slots"]
    codes = zip(arrays["slots.twin"].tolist(), arrays["slots.signal"].tolist(), strict=True)
    slots = {(twins[one], signals[other]): k for k, (one, other) in enumerate(codes)}
    old = np.array([slots.get(key, -1) for key in plan.rules.index], np.int64)
    moved = np.full(len(slots), -1)
    moved[old[old >= 0]] = np.flatnonzero(old >= 0)
    quality = memory.quality
    quality.watermark = book["watermark"]
    for key in _SLOTS:
        setattr(quality, key, _rows(getattr(quality, key), arrays[f"quality.{key}"], old))
    _unpack_rules(plan, quality, arrays, book, moved)
    for k, source in enumerate(book["seen"]):
        slot, instant, value = (arrays[f"seen.{k}.{part}"] for part in _SEEN)
        there = moved[slot] >= 0
        quality.seen[source] = Seen.of(len(old), moved[slot][there], instant[there], value[there])
    slot, instant, value = (arrays[f"recent.{part}"] for part in _SEEN)
    slot = moved[slot.astype(np.int64)]
    there = slot >= 0
    if there.any():
        memory.recent = [Samples(slot[there], instant[there].astype(np.int64), value[there])]
    memory.findings.open = {key: Finding(**f) for key, f in book["findings"].items()}
    memory.findings.count = book["finding_count"]
    control = book["control"]
    memory.control = ControlMemory(
        {k: Proposal(**v) for k, v in control["proposals"].items()},
        {k: Invocation(**v) for k, v in control["invocations"].items()},
        control["quiet"],
        control["proposal_count"],
        control["invocation_count"],
    )
    memory.value = ValueMemory(arrays["value.price"].copy(), book["service"])
    memory.books, memory.positions = book["books"], book["positions"]
    for name, fleet in memory.fleets.items():
        told = book["fleets"].get(name)
        if told is not None and told["layout"] == _layout(plan.fleets[name]):
            row = {twin: k for k, twin in enumerate(told["twins"])}
            rows = np.array([row.get(twin, -1) for twin in plan.fleets[name].twins], np.int64)
            _unpack_fleet(fleet, name, arrays, told, rows)
    _forget_gone(plan, memory)
    return memory


def _unpack_rules(
    plan: Plan,
    quality: QualityMemory,
    arrays: dict[str, Any],
    book: dict[str, Any],
    moved: NDArray[np.int64],
) -> None:
    """What is kept of some slots, of twins and of sources; moved: old slot → new."""
    quality.began, quality.lags, quality.reasons = (
        book[key] for key in ("began", "lags", "reasons")
    )
    for key, slots in (("heard", plan.rules.periods.slots), ("drift", plan.rules.drifts.slots)):
        place = {slot: k for k, slot in enumerate(moved[arrays[f"quality.{key}_slot"]].tolist())}
        old = np.array([place.get(slot, -1) for slot in slots.tolist()], np.int64)
        setattr(quality, key, _rows(getattr(quality, key), arrays[f"quality.{key}"], old))
    was = {twin: k for k, twin in enumerate(book["slots"][0])}
    old = np.array([was.get(twin, -1) for twin in plan.rules.names[0].words], np.int64)
    score = quality.score
    for key in _SCORE:
        setattr(score, key, _rows(getattr(score, key), arrays[f"score.{key}"], old))
    score.sources = {
        name: (float(good), float(due), int(at)) for name, (good, due, at) in book["scores"].items()
    }


def _layout(fleet: Fleet) -> list[list[str]]:
    layout = fleet.kernel.layout
    names = (layout.states, layout.inputs, layout.parameters, layout.outputs)
    return [list(several) for several in names]


def _rows(blank_array: Any, stored: Any, old: NDArray[np.int64]) -> Any:
    """The stored rows where a twin was there before, the blank ones where it was not."""
    out = blank_array.copy(order="K")
    known = old >= 0
    out[known] = stored[old[known]]
    return out


def _unpack_fleet(
    fleet: FleetMemory,
    name: str,
    arrays: dict[str, Any],
    told: dict[str, Any],
    rows: NDArray[np.int64],
) -> None:
    def pick(blank_array: Any, key: str) -> Any:
        return _rows(blank_array, arrays[f"{name}.{key}"], rows)

    fleet.estimate = Estimate(
        **{k: pick(getattr(fleet.estimate, k), f"estimate.{k}") for k in _ESTIMATE}
    )
    for key in ("p", "p_cov", "u", "ready", "stale", "bias", "nis", "foreseen_at"):
        setattr(fleet, key, pick(getattr(fleet, key), key))
    held = fleet.grid
    none, never = np.zeros_like(held.held), np.zeros_like(held.held_at)
    held.held, held.held_at = pick(none, "held"), pick(never, "held_at")
    fleet.usual = UsualDay(pick(fleet.usual.mean, "usual"), pick(fleet.usual.seen, "usual_seen"))
    held.open = {
        end: (pick(none, f"open.{end}"), pick(never, f"open_at.{end}")) for end in told["open"]
    }
    held.closed = told["closed"]
    own = fleet.past.checkpoints[0]
    checkpoints = []
    for k, instant in enumerate(told["past"]):
        believed = Estimate(
            **{e: pick(getattr(own.estimate, e), f"past.{k}.{e}") for e in _ESTIMATE}
        )
        others = {e: pick(getattr(own, e), f"past.{k}.{e}") for e in _CHECKED}
        checkpoints.append(Checkpoint(instant, believed, **others))
    fleet.past = Past(checkpoints, pick(fleet.past.floor, "floor"), list(told["ends"]))
    well, sure = np.ones(len(rows)), np.zeros(len(rows))
    fleet.health = {
        mode: (pick(well, f"health.{mode}"), pick(sure, f"health_std.{mode}"))
        for mode in told["modes"]
    }
    was = told["versions"]
    fleet.versions = [
        was[k] if k >= 0 else own for k, own in zip(rows.tolist(), fleet.versions, strict=True)
    ]
    fleet.rul = told["rul"]


def _forget_gone(plan: Plan, memory: Memory) -> None:
    """What is open on a twin or binding that the plant file no longer has cannot be followed."""
    twins, control = plan.plant.twins, memory.control
    memory.findings.open = {k: f for k, f in memory.findings.open.items() if f.twin in twins}
    control.proposals = {
        k: p
        for k, p in control.proposals.items()
        if p.twin in twins and p.binding in plan.fleets and p.twin in plan.fleets[p.binding].row
    }
    control.invocations = {k: i for k, i in control.invocations.items() if i.twin in twins}
