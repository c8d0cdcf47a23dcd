"""The beliefs of a fleet, moved: the compiled filter over the rows of a roster.

Owns    which rows move, by how many seconds, in how many sub-steps, with how much more noise.
Never   starts a thread, and never judges what was told: it takes the columns as they are.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.kernels import estimate, filters, pace
from gemel.kernels.base import Kernel
from gemel.kernels.belief import Track
from gemel.kernels.emit import LANES, TILE
from gemel.kernels.given import there, whole
from gemel.kernels.native import Native, shared
from gemel.kernels.program import once
from gemel.kernels.roster import Roster
from gemel.kernels.times import NEVER
from gemel.records import Floats

BLOCK = 256  # instants of a history that run in one call
METHODS = {"ekf": filters.ekf, "ukf": filters.ukf}


class Engine(Protocol):
    """Whose threads run a program: `engines/local.py`."""

    def run(
        self, native: Native, table: Any, first: int, last: int, steps: tuple[int, int]
    ) -> None:
        """`native.run`, cut as it pays."""


class Motion:
    """What moves the rows of one roster.

    method: "ekf" or "ukf"
    """

    def __init__(self, roster: Roster, method: str, engine: Engine) -> None:
        self.roster, self.method, self._engine = roster, method, engine
        self._native = compiled(roster.kernel, method, False)
        rates = pace.rates(roster.kernel)
        self._rates = Native(rates) if rates else None
        self._controls: dict[str, NDArray[Any]] = {
            "dt": shared(0.0), "parts": shared(1.0), "inflate": shared(1.0), "part": _parts(8),
        }  # fmt: skip
        self._settings: tuple[float, float, bool] | None = None  # what the controls hold
        self._bound: tuple[dict[str, NDArray[Any]], NDArray[np.int64], int] | None = None

    def rebind(self) -> None:
        """The columns have been moved, or have another length."""
        self._bound = None

    def one(self, row: int, at: int) -> None:
        """One row, to an instant that is not before its last. A row that was never told one of its
        inputs stays."""
        roster = self.roster
        stale, begun = roster.stale_row(row, at), roster.moved.at(row)
        if stale is None:
            return
        dt, group = (at - begun) / SECOND if begun != NEVER else -1.0, row - row % LANES
        quick = self._rates is None and dt <= roster.kernel.max_step
        parts = 1.0 if quick else self._substeps(np.array([dt]), group, row)
        # A tile finds shared controls at its start; in a fleet of one tile they are its lanes' own.
        first = group if roster.rows.lanes == TILE else 0
        lane, controls, self._settings = first + row - group, self._controls, None
        controls["parts"][first : first + LANES] = 0.0
        controls["parts"][lane], controls["dt"][lane] = parts, dt
        controls["inflate"][lane] = estimate.STALE if stale else 1.0
        self._native.run(self._bind()[2], group, group + LANES, steps=(0, int(parts)))
        roster.moved.put(row, at)

    def all(self, now: int | NDArray[np.int64]) -> None:
        """All rows, to an instant, or each to its own; none before its last."""
        if not len(self.roster):
            return
        if isinstance(now, int) and self.roster.in_step:
            self._together(now)
        else:
            self._apart(now)

    def _together(self, at: int) -> None:
        """All rows were last moved, and last told, at the same instants."""
        roster, max_step = self.roster, self.roster.kernel.max_step
        begun, stale = roster.moved.common, roster.stale_row(0, at)
        if stale is None:
            return
        dt, parts = (at - begun) / SECOND if begun != NEVER else -1.0, 1.0
        if self._rates is not None or dt > max_step:
            needed = self._substeps(np.array([dt]), 0, slice(0, len(roster)))
            if np.ndim(needed) and needed.min() != needed.max():
                self._apart(at)
                return
            parts = float(np.max(needed))
        address, settings = self._bind()[2], (dt, parts, stale)
        if settings != self._settings:
            controls = self._controls
            controls["dt"][:], controls["parts"][:] = dt, parts
            controls["inflate"][:] = estimate.STALE if stale else 1.0
            self._settings = settings
        self._engine.run(self._native, address, 0, roster.rows.lanes, (0, int(parts)))
        roster.moved.set(at)

    def _apart(self, now: int | NDArray[np.int64]) -> None:
        """Each row by its own clock."""
        roster, count, lanes = self.roster, len(self.roster), self.roster.rows.lanes
        since = roster.moved.all()
        dt = np.where(since != NEVER, (now - since) / SECOND, -1.0)
        ready, stale = roster.stale(now)
        parts = np.where(ready, self._substeps(dt, 0, slice(0, count)), 0.0)
        own = {name: np.zeros(lanes, np.float32) for name in ("dt", "parts", "inflate")}
        own["dt"][:count], own["parts"][:count] = dt, parts
        own["inflate"][:count] = np.where(stale, estimate.STALE, 1.0)
        table = self._native.table(self._bind()[0] | self._controls | own, lanes)
        self._engine.run(self._native, table, 0, lanes, (0, int(parts.max())))
        roster.moved.set(np.where(ready, now, since))

    # ---- a history -------------------------------------------------------------------------------

    def even(self, instants: NDArray[np.int64], history: Mapping[str, NDArray[Any]]) -> bool:
        """Whether a history can run compiled, time inside, from its second instant on: even steps
        of one sub-step, whole inputs, one clock."""
        roster, steps = self.roster, np.diff(instants)
        if len(steps) < 2 or (steps != steps[0]).any() or self._rates is not None:
            return False
        if roster.moved.rows is not None or not len(roster):
            return False
        inputs = roster.kernel.layout.inputs
        told = all(name in history and whole(history[name]) for name in inputs)
        return told and self._substeps(np.array([steps[0] / SECOND]), 0, slice(0, 1)) == 1.0

    def along(
        self, instants: NDArray[np.int64], history: Mapping[str, NDArray[Any]], kept: Track | None
    ) -> None:
        """All rows through an even history, of which the first instant has been ticked."""
        self._settings = None
        self._controls["dt"][:] = (instants[1] - instants[0]) / SECOND
        self._controls["parts"][:] = self._controls["inflate"][:] = 1.0
        native = compiled(self.roster.kernel, self.method, kept is not None)
        lanes, room = self.roster.rows.lanes, dict[str, NDArray[Any]]()
        for begin in range(1, len(instants), BLOCK):
            block = slice(begin, begin + BLOCK)
            steps = len(instants[block])
            columns = self._block(native, history, block, steps, kept, room)
            table = native.table(columns, lanes, steps)
            self._engine.run(native, table, 0, lanes, (0, steps))
        last = int(instants[-1])
        self.roster.hear(last, {name: value[-1] for name, value in history.items()})
        self.roster.moved.set(last)

    def _block(
        self,
        native: Native,
        history: Mapping[str, NDArray[Any]],
        block: slice,
        steps: int,
        kept: Track | None,
        room: dict[str, NDArray[Any]],
    ) -> dict[str, NDArray[Any]]:
        """The columns of some instants. room: for what must be laid out anew, the same memory for
        every block, so that it stays in the cache."""
        lanes, count = self.roster.rows.lanes, self.roster.rows.count
        states = list(self.roster.kernel.layout.states)
        columns = self._bind()[0] | self._controls | {"part": shared(0.0)}
        for name, dtype in native.columns.items():
            part, _, signal = name.partition(".")
            if kept and part in ("mean", "std"):
                base: Any = getattr(kept, part).base
                columns[name] = base[states.index(signal)][block]
            elif part in ("u", "y", "seen"):
                given = history[signal][block] if signal in history else np.full(steps, np.nan)
                given = given if given.ndim == 2 else given[:, None]
                if part == "seen" and whole(given):
                    columns[name] = shared(True, dtype)
                    continue
                given = there(given) if part == "seen" else given
                if given.dtype == dtype and given.shape[1] == lanes and given.flags.c_contiguous:
                    columns[name] = given
                else:
                    if name not in room:
                        room[name] = np.zeros((BLOCK, lanes), dtype)
                    columns[name] = room[name][:steps]
                    with np.errstate(over="ignore"):  # what is too large is not seen
                        columns[name][:, :count] = given
        return columns

    # ---- within ----------------------------------------------------------------------------------

    def _bind(self) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64], int]:
        """The columns as they are now, and the table by which the compiled loop finds them."""
        if self._bound is None:
            columns = self.roster.rows.columns()
            table = self._native.table(columns | self._controls, self.roster.rows.lanes)
            self._bound = columns, table, table.ctypes.data
        return self._bound

    def _substeps(self, dt: Floats, first: int, rows: Any) -> Any:
        """Sub-steps of some rows, and room in the counter for them."""
        rate: Any = 0.0
        kernel, lanes = self.roster.kernel, self.roster.rows.lanes
        if self._rates is not None:
            columns = self._bind()[0]
            found: dict[str, Any] = {  # the rates are computed in float32, of precise states too
                name: columns[name].astype(dtype, copy=False)
                for name, dtype in self._rates.columns.items()
                if name != "rate"
            } | {"rate": np.zeros(lanes, np.float32)}
            last = lanes if isinstance(rows, slice) else first + LANES
            self._rates.run(self._rates.table(found, lanes), first, last)
            rate = found["rate"][rows]
        parts = pace.substeps(kernel, np.maximum(dt, 0.0), rate)
        parts = np.where(dt > filters.silence(kernel), 1.0, parts)
        most = int(parts.max())
        if most > len(self._controls["part"]):
            self._controls["part"] = _parts(2 * most)
            self._bound = None
        return parts if parts.size > 1 else float(parts.reshape(-1)[0])


@once
def compiled(kernel: type[Kernel], method: str, track: bool) -> Native:
    """The filter of a fleet; track: that also tells the mean and std of every state."""
    return Native(METHODS[method](kernel, track=track))


def _parts(count: int) -> NDArray[np.float32]:
    """The counter of sub-steps: 0, 1 … in every lane of a tile."""
    return np.repeat(np.arange(count, dtype=np.float32)[:, None], TILE, axis=1)
