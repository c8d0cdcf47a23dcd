"""A fleet in your hands: one kernel, any number of assets, in memory.

Owns    the belief about every asset, its clock, and the calls a person makes.
Never   connects to anything: `gemel run` does, on the same filter.

    fleet = Fleet(Oven, ["oven-1", "oven-2"])
    fleet.update("oven-1", "2026-01-01T00:00:00Z", {"power": 3.0, "thermometer": 20.4})
    fleet.tick("2026-01-01T00:01:00Z", {"power": power, "thermometer": readings})
    fleet["oven-1"].std["temperature"]

A number that is NaN or not given is missing: a missing reading is skipped, a missing input is held
up to its `max_age`, and then the asset moves with more doubt.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gemel.clock import SECOND, Instant, nanoseconds
from gemel.engines.local import Local
from gemel.errors import Conflict, Invalid
from gemel.kernels import estimate, filters, pace
from gemel.kernels.base import Kernel
from gemel.kernels.belief import Belief, Track
from gemel.kernels.draws import twin_key
from gemel.kernels.emit import LANES, TILE
from gemel.kernels.fit import Loss
from gemel.kernels.forecast import Foreseen, foresee
from gemel.kernels.history import misshapen, over_time, unknown, windows_of
from gemel.kernels.identity import identity
from gemel.kernels.native import Native, shared
from gemel.kernels.pool import FleetFit, fit_fleet
from gemel.kernels.program import once
from gemel.kernels.rows import Rows
from gemel.kernels.slots import Slots
from gemel.kernels.times import Times
from gemel.records import Floats
from gemel.store import fleetfile

BLOCK = 256  # instants of a history that run in one call
METHODS = {"ekf": filters.ekf, "ukf": filters.ukf}
_DTYPES = {"f": np.float32, "d": np.float64, "b": np.bool_}
_CONTROLS = ("dt", "part", "parts", "inflate")


class Fleet:
    """Twins of one kernel.

    ids: what the assets are called · method: "ekf" or "ukf" · threads: default all
    Every asset begins with the kernel's typical parameters; `fit` or `set_parameters` give its own.

    >>> from gemel.kernels.library.journal_bearing import JournalBearing
    >>> fleet = Fleet(JournalBearing, ["north", "south"])
    >>> u = dict(speed=3000.0, load=90.0, ambient=25.0, oil_flow=35.0, oil_inlet=45.0)
    >>> before = fleet.update("north", 1 * SECOND, u | {"metal_temperature": 76.0})
    >>> after = fleet.update("north", 61 * SECOND, u | {"metal_temperature": 76.2})
    >>> after.std["temperature"] < before.std["temperature"]
    True
    """

    def __init__(
        self,
        kernel: type[Kernel],
        ids: Sequence[str] = (),
        *,
        method: str = "ekf",
        threads: int | None = None,
    ) -> None:
        if method not in METHODS:
            raise Invalid(
                "fleet.method",
                f"there is no filter '{method}'",
                mend=f"write one of: {', '.join(METHODS)}",
            )
        self.kernel, self.method = kernel, method
        self.slots, self.rows = Slots(), Rows(_fields(kernel))
        self._engine = Local(threads)
        self._native = _compiled(kernel, method, False)
        rates = pace.rates(kernel)
        self._rates = Native(rates) if rates else None
        self._times = Times()
        self._heard = {name: Times() for name in kernel.layout.inputs}
        self._controls: dict[str, NDArray[Any]] = {
            "dt": shared(0.0), "parts": shared(1.0), "inflate": shared(1.0), "part": _parts(8),
        }  # fmt: skip
        self._parameter_cov: Floats | None = None  # of θ, since the last fit
        self._settings: tuple[float, float, bool] | None = None  # what the controls hold
        self._bound: _Bound | None = None
        self.add(ids)

    # ---- who is here -----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.slots)

    def __iter__(self) -> Iterator[str]:
        return iter(self.slots)

    def __contains__(self, name: str) -> bool:
        return name in self.slots

    def add(self, ids: Sequence[str]) -> None:
        """More assets; those that are here already stay as they are."""
        found = self.slots.add(list(ids))
        before = self.rows.count
        self.rows.reach(int(found.max(initial=-1)) + 1)
        for times in (self._times, *self._heard.values()):
            times.grow(before, self.rows.count)
        self._bound = None

    def remove(self, name: str) -> None:
        """Forget an asset. Raises NotFound `twin.unknown`."""
        row = self.slots.discard(name)
        self.rows.clear(row)
        for times in (self._times, *self._heard.values()):
            times.put(row, 0, self.rows.count)

    def column(self, name: str) -> NDArray[Any]:
        """One column in row order, (A,), as it is in memory: `x.wear`, `u.speed`, `p.friction`,
        `y.vibration`, `seen.vibration`, `nis`, `score`. What is written into it counts at once."""
        return self.rows[name][: self.rows.count]

    def set_parameters(self, values: Mapping[str, ArrayLike], ids: Sequence[str] = ()) -> None:
        """Parameters by name, one number or one an asset; of all assets unless `ids` are given."""
        rows: Any = self._rows_of(ids) if len(ids) else slice(0, self.rows.count)
        for name, value in values.items():
            if name not in self.kernel.layout.parameters:
                raise unknown(self.kernel, name, self.kernel.layout.parameters)
            self.column(f"p.{name}")[rows] = value

    # ---- time ------------------------------------------------------------------------------------

    def update(self, name: str, instant: Instant, values: Mapping[str, float]) -> Belief:
        """One asset heard from: predict to `instant`, take the readings in, and say what is
        believed. An instant that is not after the last one is taken as the last one.

        Raises NotFound `twin.unknown`, Invalid `fleet.signal`.
        """
        row, at = self.slots.find(name), nanoseconds(instant)
        bound = self._bind()
        for column in bound.seen:
            column[row] = False
        for key, value in values.items():
            self._take(bound, key, row, at, value)
        begun, group = self._times.at(row), row - row % LANES
        dt = max(at - begun, 0) / SECOND if begun else -1.0
        stale = self._stale(row, at)
        if stale is not None:
            quick = self._rates is None and dt <= self.kernel.max_step
            parts = 1.0 if quick else self._substeps(np.array([dt]), group, row)
            lane, controls, self._settings = row - group, self._controls, None
            controls["parts"][:LANES] = 0.0
            controls["parts"][lane], controls["dt"][lane] = parts, dt
            controls["inflate"][lane] = estimate.STALE if stale else 1.0
            steps = (0, int(parts))
            self._native.run(self._bind().address, group, group + LANES, steps=steps)
            self._times.put(row, max(at, begun), self.rows.count)
        return self._belief(name, row)

    def tick(self, instant: Instant, values: Mapping[str, ArrayLike] | None = None) -> None:
        """All assets at one instant: predict, take the readings in.

        values: input or sensor → one number, or (A,) in row order; NaN where there is none.
        None: the columns hold this instant's numbers already (`column`), and all of them count.
        Raises Invalid `fleet.signal`, `fleet.shape`.
        """
        at, count = nanoseconds(instant), self.rows.count
        if values is None:
            for times in self._heard.values():
                times.common, times.rows = at, None
        else:
            self._hear(at, values)
        common = self._times.rows is None and all(t.rows is None for t in self._heard.values())
        if common and (self._times.common or not count):
            self._tick_together(at)
        else:
            self._tick_apart(at)

    def backfill(
        self, instants: NDArray[np.int64], values: Mapping[str, ArrayLike], *, track: bool = True
    ) -> Track | None:
        """Many instants of all assets, from first to last.

        instants (T,) ns, rising · values: input or sensor → (T, A), or (T,) for all assets alike
        Returns the belief after each instant. Evenly spaced instants run compiled, time inside.
        """
        instants = np.asarray(instants, np.int64)
        history = {
            name: over_time(name, value, len(instants), self.rows.count)
            for name, value in values.items()
        }
        states, count = tuple(self.kernel.layout.states), self.rows.count
        kept = Track.blank(instants, states, self.rows.lanes if track else 0, count)
        together = self._together(instants, history)
        for k, at in enumerate(instants[: 1 if together else None].tolist()):
            self.tick(at, {name: value[k] for name, value in history.items()})
            if track:
                kept.mean[k], kept.std[k] = self.mean, self.std
        room: dict[str, NDArray[Any]] = {}
        for begin in range(1, len(instants), BLOCK) if together else ():
            block = slice(begin, begin + BLOCK)
            self._run_block(instants, history, block, kept if track else None, room)
        return kept if track else None

    def _together(self, instants: NDArray[np.int64], history: Mapping[str, NDArray[Any]]) -> bool:
        """Whether a history can run compiled: even, whole inputs, one sub-step, one clock."""
        layout = self.kernel.layout
        steps = np.diff(instants)
        if len(steps) < 2 or (steps != steps[0]).any() or steps[0] <= 0 or self._rates is not None:
            return False
        if self._times.at(0) > instants[0] or (self._times.rows is not None):
            return False
        whole = all(n in history and np.isfinite(history[n]).all() for n in layout.inputs)
        return whole and self._substeps(np.array([steps[0] / SECOND]), 0, slice(0, 1)) == 1.0

    def _run_block(
        self,
        instants: NDArray[np.int64],
        history: Mapping[str, NDArray[Any]],
        block: slice,
        kept: Track | None,
        room: dict[str, NDArray[Any]],
    ) -> None:
        """Some instants of all rows, time inside the compiled loop. room: for what must be laid
        out anew, the same memory for every block, so that it stays in the cache."""
        layout, lanes, count = self.kernel.layout, self.rows.lanes, self.rows.count
        native = _compiled(self.kernel, self.method, kept is not None)
        steps = len(instants[block])
        columns = self._bind().columns | self._controls
        for name, dtype in native.columns.items():
            part, _, signal = name.partition(".")
            if kept and part in ("mean", "std"):
                base: Any = getattr(kept, part).base
                columns[name] = base[list(layout.states).index(signal)][block]
            elif part in ("u", "y", "seen"):
                given = history[signal][block] if signal in history else np.full((steps, 1), np.nan)
                given = given if given.ndim == 2 else given[:, None]
                given = np.isfinite(given) if part == "seen" else given
                if part == "seen" and given.all():
                    columns[name] = shared(True, dtype)
                elif given.dtype == dtype and given.shape[1] == lanes and given.flags.c_contiguous:
                    columns[name] = given
                else:
                    if name not in room:
                        room[name] = np.zeros((BLOCK, lanes), dtype)
                    columns[name] = room[name][:steps]
                    columns[name][:, :count] = given
        self._settings = None
        self._controls["dt"][:] = (instants[1] - instants[0]) / SECOND
        self._controls["parts"][:] = self._controls["inflate"][:] = 1.0
        columns["part"] = shared(0.0)
        table = native.table(columns, lanes)
        self._engine.run(native, table, 0, lanes, (0, steps))
        last = int(instants[block][-1])
        self._times = Times(last)
        for name in layout.inputs:
            self._heard[name] = Times(last)
            self.rows[f"u.{name}"][:lanes] = columns[f"u.{name}"][-1]

    def fit(
        self,
        instants: NDArray[np.int64],
        values: Mapping[str, ArrayLike],
        *,
        covariates: Floats | None = None,
        warm: int = 0,
        loss: Loss | None = None,
    ) -> FleetFit:
        """Learn every asset's own parameters from its history, each leaning on the fleet.

        instants (T,) ns, evenly spaced · values: input or sensor → (T, A), or (T,) for all alike
        covariates (A, K): what may move an asset's parameters · warm: first steps that only warm up
        From here on the fleet believes them, and `forecast` draws from their spread. A missing
        input is held; rows before the first one do not count.
        Raises Invalid `fleet.uneven`, `fit.no_samples`.
        """
        windows = windows_of(self.kernel, self.rows.count, instants, values, warm)
        found = fit_fleet(self.kernel(), windows, covariates, loss=loss)
        for k, name in enumerate(self.kernel.layout.parameters):
            self.column(f"p.{name}")[:] = found.values[:, k]
        self._parameter_cov = found.cov
        return found

    # ---- what is believed ------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Belief:
        """Raises NotFound `twin.unknown`."""
        return self._belief(name, self.slots.find(name))

    @property
    def mean(self) -> Floats:
        """(A, X), states in order of declaration, assets in row order."""
        return self._stacked("x")

    @property
    def std(self) -> Floats:
        """(A, X)."""
        return np.sqrt(np.diagonal(self.cov, axis1=1, axis2=2))

    @property
    def cov(self) -> Floats:
        """(A, X, X)."""
        columns = {name: self.column(name) for name in self.rows if name[0] in "UD"}
        return estimate.covariance(columns, list(self.kernel.layout.states), self.rows.count)

    def forecast(
        self,
        values: Mapping[str, ArrayLike],
        *,
        dt: float,
        steps: int,
        paths: int = 200,
        seed: int = 0,
        ids: Sequence[str] = (),
        scenario: str = "as given",
    ) -> Foreseen:
        """Run copies of the assets to their limits under a scenario's inputs (Monte Carlo).

        values: input → one number, (steps,) or (steps, A); an input not named stays as it is
        dt s a step · paths an asset · ids: only these, in this order
        """
        rows = self._rows_of(ids) if len(ids) else np.arange(self.rows.count)
        inputs = np.empty((steps, len(rows), len(self.kernel.layout.inputs)))
        for k, name in enumerate(self.kernel.layout.inputs):
            value = np.asarray(values.get(name, self.column(f"u.{name}")[rows]), np.float64)
            inputs[:, :, k] = value[:, None] if value.ndim == 1 and len(value) == steps else value
        for name in values:
            if name not in self.kernel.layout.inputs:
                raise unknown(self.kernel, name, self.kernel.layout.inputs)
        parameters, spread = self._stacked("p")[rows], self._parameter_cov
        if spread is None or len(spread) < self.rows.count:
            spread = np.zeros((self.rows.count, parameters.shape[1], parameters.shape[1]))
        return foresee(
            self.kernel(), self.mean[rows], self.cov[rows], parameters,
            spread[rows],
            inputs, dt,
            keys=np.array([twin_key(self.slots.name(int(r))) for r in rows], np.uint64),
            seed=seed, paths=paths, scenario=scenario, engine=self._engine,
        )  # fmt: skip

    # ---- disk ------------------------------------------------------------------------------------

    def save(self, path: Path | str) -> None:
        """Write all that is believed into one file, whole or not at all."""
        arrays = {f"row.{name}": column for name, column in self.rows.columns().items()}
        arrays |= {f"slot.{name}": array for name, array in self.slots.arrays().items()}
        clocks = {"": self._times} | self._heard
        arrays |= {f"at.{k}": t.rows for k, t in clocks.items() if t.rows is not None}
        book = {
            "kernel": identity(self.kernel),
            "method": self.method,
            "count": self.rows.count,
            "at": {name: times.common for name, times in clocks.items()},
        }
        fleetfile.save(Path(path), arrays, book)

    @classmethod
    def load(cls, path: Path | str, kernel: type[Kernel], *, threads: int | None = None) -> "Fleet":
        """A fleet as `save` left it; its columns are read from the file as they are needed.

        Raises Conflict `fleet.kernel` when another kernel, or another state of it, wrote the file.
        """
        arrays, book = fleetfile.load(Path(path))
        if book["kernel"] != identity(kernel):
            raise Conflict(
                "fleet.kernel",
                f"it holds {book['kernel']}, and this is {identity(kernel)}",
                where=str(path),
                mend="load it with the kernel that wrote it, or begin a new fleet",
            )
        fleet = cls(kernel, method=book["method"], threads=threads)
        own = {k.removeprefix("row."): v for k, v in arrays.items() if k.startswith("row.")}
        fleet.rows = Rows.of(_fields(kernel), own, book["count"])
        fleet.slots = Slots.of(
            {k.removeprefix("slot."): v for k, v in arrays.items() if k.startswith("slot.")}
        )
        for name, common in book["at"].items():
            rows = arrays.get(f"at.{name}")
            times = Times(common, None if rows is None else np.array(rows))
            if name:
                fleet._heard[name] = times
            else:
                fleet._times = times
        return fleet

    # ---- within ----------------------------------------------------------------------------------

    def _bind(self) -> "_Bound":
        """The columns as they are now, and where the compiled loop finds them."""
        if self._bound is None:
            lanes = self.rows.lanes
            columns = {name: column[:lanes] for name, column in self.rows.columns().items()}
            layout = self.kernel.layout
            table = self._native.table(columns | self._controls, lanes)
            self._bound = _Bound(
                columns,
                table,
                table.ctypes.data,
                {name: columns[f"u.{name}"] for name in layout.inputs},
                {n: (columns[f"y.{n}"], columns[f"seen.{n}"]) for n in layout.outputs},
                [columns[f"seen.{name}"] for name in layout.outputs],
            )
        return self._bound

    def _take(self, bound: "_Bound", key: str, row: int, at: int, value: float) -> None:
        """One number of one asset."""
        there = value == value  # not NaN
        if key in bound.inputs:
            if there:
                bound.inputs[key][row] = value
                self._heard[key].put(row, at, self.rows.count)
        elif key in bound.sensors:
            column, seen = bound.sensors[key]
            column[row], seen[row] = (value if there else 0.0), there
        else:
            raise unknown(self.kernel, key, {**bound.inputs, **bound.sensors})

    def _stale(self, row: int, at: int) -> bool | None:
        """Whether an input of this row is too old; None when one has never been heard."""
        stale = False
        for name, times in self._heard.items():
            heard = times.at(row)
            if not heard:
                return None
            stale |= (at - heard) > self.kernel.layout.inputs[name].max_age * SECOND
        return stale

    def _hear(self, at: int, values: Mapping[str, ArrayLike]) -> None:
        """Numbers of one instant, into the columns."""
        layout, count = self.kernel.layout, self.rows.count
        for name in layout.outputs:
            if name not in values:
                self.rows[f"seen.{name}"][:] = False
        for name, given in values.items():
            value = self._shaped(name, given)
            there = np.isfinite(value)
            if name in layout.outputs:
                self.column(f"y.{name}")[:] = np.where(there, value, 0.0)
                self.column(f"seen.{name}")[:] = there
            elif np.all(there):
                self.column(f"u.{name}")[:] = value
                self._heard[name] = Times(at)
            else:
                there = np.broadcast_to(there, (count,))
                np.copyto(self.column(f"u.{name}"), value, where=there, casting="same_kind")
                heard = self._heard[name].all(count)
                self._heard[name] = Times(0, np.where(there, at, heard))

    def _tick_together(self, at: int) -> None:
        """All rows were last moved, and last heard, at the same instants."""
        begun, stale = self._times.common, False
        for name, times in self._heard.items():
            if not times.common:
                return
            stale |= at - times.common > self.kernel.layout.inputs[name].max_age * SECOND
        dt = max(at - begun, 0) / SECOND
        parts = 1.0
        if self._rates is not None or dt > self.kernel.max_step:
            needed = self._substeps(np.array([dt]), 0, slice(0, self.rows.count))
            if np.ndim(needed) and needed.min() != needed.max():
                self._tick_apart(at)
                return
            parts = float(np.max(needed))
        bound, settings = self._bind(), (dt, parts, stale)
        if settings != self._settings:
            controls = self._controls
            controls["dt"][:], controls["parts"][:] = dt, parts
            controls["inflate"][:] = estimate.STALE if stale else 1.0
            self._settings = settings
        self._engine.run(self._native, bound.address, 0, self.rows.lanes, (0, int(parts)))
        self._times.common = max(at, begun)

    def _tick_apart(self, at: int) -> None:
        """Each row by its own clock."""
        count, lanes = self.rows.count, self.rows.lanes
        since = self._times.all(count)
        dt = np.where(since > 0, np.maximum(at - since, 0) / SECOND, -1.0)
        ready, stale = np.ones(count, np.bool_), np.zeros(count, np.bool_)
        for name, times in self._heard.items():
            heard = times.all(count)
            ready &= heard > 0
            stale |= at - heard > self.kernel.layout.inputs[name].max_age * SECOND
        parts = np.where(ready, self._substeps(dt, 0, slice(0, count)), 0.0)
        own = {name: np.zeros(lanes, np.float32) for name in ("dt", "parts", "inflate")}
        own["dt"][:count], own["parts"][:count] = dt, parts
        own["inflate"][:count] = np.where(stale, estimate.STALE, 1.0)
        most = int(parts.max(initial=0.0))
        bound = self._bind()
        table = self._native.table(bound.columns | self._controls | own, lanes)
        self._engine.run(self._native, table, 0, lanes, (0, most))
        moved = np.where(ready, np.maximum(at, since), since)
        same = len(moved) and (moved == moved[0]).all()
        self._times = Times(int(moved[0])) if same else Times(0, moved)

    def _substeps(self, dt: Floats, first: int, rows: Any) -> Any:
        """Sub-steps of some rows, and room in the counter for them."""
        rate: Any = 0.0
        if self._rates is not None:
            lanes = self.rows.lanes
            columns = self._bind().columns
            found = columns | {"rate": np.zeros(lanes, np.float32)}
            last = lanes if isinstance(rows, slice) else first + LANES
            self._rates.run(self._rates.table(found, lanes), first, last)
            rate = found["rate"][rows]
        parts = pace.substeps(self.kernel, np.maximum(dt, 0.0), rate)
        parts = np.where(dt > filters.silence(self.kernel), 1.0, parts)
        most = int(parts.max(initial=1.0))
        if most > len(self._controls["part"]):
            self._controls["part"] = _parts(2 * most)
            self._bound = None
        return parts if parts.size > 1 else float(parts.reshape(-1)[0])

    def _belief(self, name: str, row: int) -> Belief:
        columns = self._bind().columns
        states = list(self.kernel.layout.states)
        std = {}
        for i, a in enumerate(states):
            variance = columns[f"D.{a}"].item(row)
            for b in states[i + 1 :]:
                variance += columns[f"U.{a}.{b}"].item(row) ** 2 * columns[f"D.{b}"].item(row)
            std[a] = variance**0.5
        mean = {a: columns[f"x.{a}"].item(row) for a in states}
        nis, score = columns["nis"].item(row), columns["score"].item(row)
        return Belief(name, self._times.at(row), mean, std, nis, score)

    def _stacked(self, part: str) -> Floats:
        layout = self.kernel.layout
        names = layout.states if part == "x" else layout.parameters
        if not names:
            return np.zeros((self.rows.count, 0))
        return np.stack([self.column(f"{part}.{n}") for n in names], -1).astype(np.float64)

    def _rows_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        rows = self.slots.find_many(list(ids))
        if (rows < 0).any():
            self.slots.find(ids[int(np.argmax(rows < 0))])
        return rows

    def _shaped(self, name: str, given: ArrayLike) -> NDArray[Any]:
        layout = self.kernel.layout
        if name not in layout.inputs and name not in layout.outputs:
            raise unknown(self.kernel, name, {**layout.inputs, **layout.outputs})
        value = np.asarray(given)
        if value.ndim and value.shape != (self.rows.count,):
            raise misshapen(name, value.shape, f"() or ({self.rows.count},)")
        return value


@dataclass(frozen=True)
class _Bound:
    """Columns, and how the compiled loop and the author's names find them."""

    columns: dict[str, NDArray[Any]]
    table: NDArray[np.int64]
    address: int
    inputs: dict[str, NDArray[Any]]
    sensors: dict[str, tuple[NDArray[Any], NDArray[Any]]]
    seen: list[NDArray[Any]]


@once
def _compiled(kernel: type[Kernel], method: str, track: bool) -> Native:
    return Native(METHODS[method](kernel, track=track))


def _fields(kernel: type[Kernel]) -> dict[str, tuple[Any, float]]:
    """Every column of a row: type, and what it holds before it is heard of."""
    layout = kernel.layout
    blank = {f"x.{name}": item.start for name, item in layout.states.items()}
    blank |= {f"D.{name}": item.start_std**2 for name, item in layout.states.items()}
    blank |= {f"p.{name}": item.typical for name, item in layout.parameters.items()}
    blank["score"] = 1.0
    return {
        name: (_DTYPES[kind], blank.get(name, 0.0))
        for name, kind in filters.columns_of(kernel).items()
        if name not in _CONTROLS
    }


def _parts(count: int) -> NDArray[np.float32]:
    """The counter of sub-steps: 0, 1 … in every lane of a tile."""
    return np.repeat(np.arange(count, dtype=np.float32)[:, None], TILE, axis=1)
