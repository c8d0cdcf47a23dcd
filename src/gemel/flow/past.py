"""The picture of an instant that is past, out of history.

Owns    which estimate, sample, version and finding held at an instant, as known at a tick.
Never   guesses what history does not keep: of then no running statistic is known, and a number
        that is not there is NaN. A time to a limit is that of the finding that was open.

One question to the lake gives the belief of the whole plant. Its samples come with it where there
are few enough; of a large plant those of a twin come when it is looked at.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gemel.clock import SECOND
from gemel.flow.desk import Desk
from gemel.flow.fleet import Fleet, Plan
from gemel.flow.trust import Trust
from gemel.flow.versions import changes
from gemel.flow.view import Columns, View
from gemel.intake.quality import WHY
from gemel.labels import Labels
from gemel.records import Bools, Instants
from gemel.store.lake import Lake

DAY = 86_400 * SECOND
SPANS = (DAY, 6 * 3600 * SECOND, 3600 * SECOND, 600 * SECOND)  # back in time, for a sample
FEW = 1_000_000  # samples that may be read for the picture of a whole plant
KEPT = 4  # pictures: of a large plant each holds some ten megabytes
LATE = 3  # times the longest step of estimates in history, until one is old


@dataclass(frozen=True)
class PastView(View):
    """The plant at an instant, as known at tick `known`, None: as known now.

    heard_from: the samples of the whole plant were read from there on; 0: none yet
    """

    desk: Desk = field(kw_only=True)
    known: int | None = field(kw_only=True)
    heard_from: int = field(kw_only=True)
    filled: set[int] = field(default_factory=set)

    @property
    def past(self) -> bool:
        return True

    def newest(self) -> Instants:
        """The newest sample, or estimate, of every twin: (T,) ns."""
        newest = super().newest()
        for name, held in self.columns.items():
            np.maximum.at(newest, self.plan.seats.rows[name], held.instant)
        return newest

    def unheard(self) -> Bools:
        """Which twins had told nothing: (T,); of one that no kernel follows it may not be known."""
        unheard = super().unheard()
        if self.heard_from:
            return unheard
        followed = np.zeros(len(unheard), np.bool_)
        for rows in self.plan.seats.rows.values():
            followed[rows] = True
        return unheard & followed

    def fill(self, numbers: list[int], whole: bool = False) -> None:
        """Read the samples of some twins; `whole`: and of those that feed them, and what spoke."""
        wanted = set(numbers)
        if whole:
            for fleet in self.plan.fleets.values():
                wanted |= self._feed(fleet, numbers)
        with self._making:
            missing = sorted(wanted - self.filled)
            if missing and not self.heard_from:
                self._hear(self.at - DAY, [self.plan.seats.ids[k] for k in missing])
                self.filled.update(missing)
            if whole:
                for fleet in self.plan.fleets.values():
                    self._speak(fleet, numbers)

    def _feed(self, fleet: Fleet, numbers: list[int]) -> set[int]:
        """The twins whose samples the rows of some twins read."""
        seats, grid = self.plan.seats, fleet.grid
        rows = [fleet.row[one] for k in numbers if (one := seats.ids[k]) in fleet.row]
        slots = grid.slots[np.isin(grid.rows, rows)]
        twins = np.searchsorted(seats.first, slots, side="right") - 1
        return set(twins.tolist())

    def _hear(self, start: int, twins: list[str] | None) -> None:
        """Take in what was heard up to the instant."""
        rules = self.plan.rules
        table = self.desk.lake.heard(twins, start, self.at + 1, self.known)
        slot = rules.slots(_labels(table["twin"]), _labels(table["signal"]))
        why = _labels(table["reason"])
        reason = np.array([WHY[word] for word in why.words], np.int8)[why.code]
        there = slot >= 0
        self.instant[slot[there]] = table["instant"].fill_null(0).to_numpy()[there]
        self.value[slot[there]] = table["value"].fill_null(np.nan).to_numpy()[there]
        self.reason[slot[there]] = reason[there]

    def _speak(self, fleet: Fleet, numbers: list[int]) -> None:
        """Inputs, readings, parameters and version of the rows of some twins."""
        held, grid, seats = self.columns[fleet.binding.name], fleet.grid, self.plan.seats
        names = list(fleet.kernel.layout.parameters)
        twins = [one for k in numbers if (one := seats.ids[k]) in fleet.row]
        told = changes(self.desk, fleet.binding.name, twins, self.known)
        for twin in twins:
            row = fleet.row[twin]
            ports = np.flatnonzero(grid.rows == row)
            slots, columns = grid.slots[ports], grid.columns[ports]
            cell = grid.constant[row].copy()
            cell[columns] = self.value[slots] * grid.factor[columns] + grid.offset[columns]
            held.u[row] = cell[: grid.inputs]
            fresh = np.zeros(len(cell), np.bool_)
            fresh[columns] = self.instant[slots] > held.instant[row] - grid.every
            held.mask[row] = fresh[grid.inputs :] & np.isfinite(held.foreseen[row])
            held.innovation[row] = cell[grid.inputs :] - held.foreseen[row]
            spoken = [one.version for one in told[twin] if one.version.since <= self.at]
            if spoken:
                held.versions[row] = spoken[-1].name
                held.p[row] = [spoken[-1].parameters[name] for name in names]
                held.p_var[row] = [spoken[-1].stds[name] ** 2 for name in names]


class Pasts:
    """Pictures of the past, the last few kept; safe from any thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._lock = desk, threading.Lock()
        self._kept: dict[Any, PastView] = {}

    def at(self, valid: int, known: int | None) -> PastView:
        """The plant at an instant, as known at a tick (None: now)."""
        lake = self._desk.lake
        written = min(lake.known("telemetry"), lake.known("estimates"))
        final = known is not None and known <= written  # what is written later changes nothing
        key = (valid, known, -1 if final else written)
        with self._lock:
            view = self._kept.pop(key, None) or past(self._desk, valid, known)
            self._kept[key] = view
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
            return view


def past(desk: Desk, valid: int, known: int | None) -> PastView:
    """The plant at an instant, as known at a tick (None: now)."""
    plan, lake = desk.plan, desk.lake
    columns = _columns(plan, lake, valid, known)
    open_ = _findings(desk, valid, known, columns)
    slots, rules = len(plan.rules.unit), plan.rules
    start = next((valid - s for s in SPANS if lake.about("telemetry", valid - s, valid) < FEW), 0)
    blank = np.zeros(len(plan.seats.heard))
    heard = np.zeros(len(rules.periods.slots), np.int64)
    began = max(start, 1) if start and desk.ledger.tick_at(valid) else 0
    view = PastView(
        plan,
        valid,
        desk.ledger.tick_at(valid) if known is None else known,
        0,
        columns,
        np.zeros(slots, np.int64),
        np.full(slots, np.nan),
        np.zeros(slots, np.int8),
        Trust(plan, valid, began, blank, blank, np.full(len(blank), valid), heard),
        open_,
        {},
        [],
        desk=desk,
        known=known,
        heard_from=start,
    )
    if start:
        view._hear(start, None)
        heard[:] = view.instant[rules.periods.slots]
    return view


def _columns(plan: Plan, lake: Lake, valid: int, known: int | None) -> dict[str, Columns]:
    """The belief of every fleet at an instant: the last estimates at or before it."""
    bindings = [fleet.binding for fleet in plan.fleets.values()]
    step = max((max(one.keep, one.every) for one in bindings), default=0.0)
    near = int((LATE * step + plan.plant.lateness) * SECOND)
    table = lake.believed(valid - near, valid + 1, known)
    if not len(table) and plan.fleets:
        table = lake.believed(valid - max(30 * DAY, near), valid + 1, known)
    return {
        name: _fleet(fleet, table.filter(pc.equal(table["binding"], name)), valid - near)
        for name, fleet in plan.fleets.items()
    }


def _fleet(fleet: Fleet, told: pa.Table, old: int) -> Columns:
    layout, count = fleet.kernel.layout, len(fleet.twins)
    found = pc.index_in(told["twin"], value_set=pa.array(fleet.twins, pa.string())).fill_null(-1)
    row = found.to_numpy()
    told, row = told.filter(pa.array(row >= 0)), row[row >= 0]
    named = _labels(told["name"])
    instants, means, stds = (told[name].to_numpy() for name in ("instant", "mean", "std"))
    instant = np.zeros(count, np.int64)
    np.maximum.at(instant, row, instants)

    def column(name: str) -> tuple[Any, Any]:
        mean, std = np.full((2, count), np.nan)
        these = np.flatnonzero(named.are(name))
        mean[row[these]], std[row[these]] = means[these], stds[these]
        return mean, std

    def stack(names: list[str]) -> tuple[Any, Any]:
        both = np.array([column(name) for name in names]).reshape(len(names), 2, count)
        return both[:, 0].T.copy(), both[:, 1].T.copy()

    mean, std = stack(list(layout.states))
    foreseen, spread = stack([f"{sensor}.foreseen" for sensor in layout.outputs])
    modes = {word.removeprefix("health.") for word in named.words if word.startswith("health.")}
    cov = np.diagonal(fleet.start_cov, axis1=1, axis2=2).copy()
    return Columns(
        instant,
        mean,
        std**2,
        np.full(count, np.nan),
        (instant > 0) & (instant < old),
        np.full((count, len(layout.inputs)), np.nan),
        foreseen,
        np.full(foreseen.shape, np.nan),
        spread**2,
        np.zeros(foreseen.shape, np.bool_),
        fleet.start_parameters.copy(),
        cov,
        list(fleet.start_versions),
        {mode: column(f"health.{mode}") for mode in sorted(modes)},
        {},
    )


def _labels(column: pa.ChunkedArray) -> Labels:
    coded = column.combine_chunks().dictionary_encode()
    return Labels(tuple(coded.dictionary.to_pylist()), coded.indices.to_numpy())


def _findings(
    desk: Desk, valid: int, known: int | None, columns: dict[str, Columns]
) -> dict[str, list[str]]:
    """twin → ids of the findings that were open; their times to a limit go into the columns."""
    open_: dict[str, list[str]] = {}
    for one in findings_at(desk, valid, known):
        open_.setdefault(one["twin"], []).append(one["id"])
        rul, held = one["evidence"].get("rul"), columns.get(one["binding"])
        if rul is not None and held is not None:
            held.rul.setdefault(one["twin"], []).append(rul)
    return {twin: several for twin, several in open_.items() if twin in desk.plan.plant.twins}


def findings_at(desk: Desk, valid: int, known: int | None) -> list[dict[str, Any]]:
    """The findings that were open at an instant, newest first, as known at a tick."""
    rows = desk.ledger.findings(as_known_at=known, limit=10_000)
    return [
        {**row, "status": "open", "closed_at": 0}
        for row in rows
        if row["instant"] <= valid and (row["closed_at"] or 2**63) > valid
    ]
