"""A fleet in your hands: one kernel, any number of assets, in memory.

Owns    the belief about every asset, its clock, and the calls a person makes.
Never   connects to anything: `gemel run` does, on the same filter.

    fleet = Fleet(Oven, ["oven-1", "oven-2"])
    fleet.update("oven-1", "2026-01-01T00:00:00Z", {"power": 3.0, "thermometer": 20.4})
    fleet.tick("2026-01-01T00:01:00Z", {"power": power, "thermometer": readings})
    fleet["oven-1"].std["temperature"]

Arrays have an entry for every asset, (A,), in the order of `list(fleet)`: that in which they came.
An instant is ISO 8601 with a zone, a datetime, a datetime64, or int ns since 1970, UTC. One before
an asset's last is taken as its last: no clock goes back.

An asset begins when each of its inputs has been told once; until then its belief is the kernel's
start. After that a number that is None, NaN, beyond 1e30 or not given is missing: a missing reading
is skipped, a missing input is held up to its `max_age`, and then that asset moves with more doubt.

What is refused changes nothing. Threads may share a fleet: one call runs at a time. A pickle or a
`copy.deepcopy` of it is a fleet of its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from threading import RLock
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gemel import notebook
from gemel.clock import Instant
from gemel.engines.local import Local
from gemel.errors import Conflict, Invalid
from gemel.kernels import estimate
from gemel.kernels.base import Kernel
from gemel.kernels.belief import Belief, Track
from gemel.kernels.draws import twin_key
from gemel.kernels.fit import Loss
from gemel.kernels.forecast import Foreseen, foresee
from gemel.kernels.given import check_names, number, numbers, there
from gemel.kernels.history import history_of, windows_of
from gemel.kernels.motion import METHODS, Motion
from gemel.kernels.pool import FleetFit, fit_fleet
from gemel.kernels.roster import Roster, listed
from gemel.kernels.times import NEVER, instant_of
from gemel.records import Floats
from gemel.store.keeping import Keeping

ROWS = 12  # assets that a fleet shows of itself in a notebook
P = ParamSpec("P")
T = TypeVar("T")


def _alone(method: Callable[Concatenate["Fleet", P], T]) -> Callable[Concatenate["Fleet", P], T]:
    """One call at a time: while the compiled loop runs, other threads of Python do too."""

    @wraps(method)
    def alone(self: "Fleet", /, *args: P.args, **choices: P.kwargs) -> T:
        with self._lock:
            return method(self, *args, **choices)

    return alone


class Fleet:
    """Twins of one kernel.

    ids: what the assets are called · method: "ekf" or "ukf" · threads: default all
    Every asset begins with the kernel's typical parameters; `fit` or `set_parameters` give its own.

    >>> from gemel.kernels.library.journal_bearing import JournalBearing
    >>> fleet = Fleet(JournalBearing, ["north", "south"])
    >>> u = dict(speed=3000.0, load=90.0, ambient=25.0, oil_flow=35.0, oil_inlet=45.0)
    >>> before = fleet.update("north", "2026-03-01T12:00:00Z", u | {"metal_temperature": 76.0})
    >>> after = fleet.update("north", "2026-03-01T12:01:00Z", u | {"metal_temperature": 76.2})
    >>> after.std["temperature"] < before.std["temperature"]
    True
    """

    def __init__(
        self,
        kernel: type[Kernel],
        ids: str | Sequence[str] = (),
        *,
        method: str = "ekf",
        threads: int | None = None,
    ) -> None:
        _check_kernel(kernel)
        if method not in METHODS:
            raise Invalid(
                "fleet.method",
                f"there is no filter '{method}'",
                mend=f"write one of: {', '.join(METHODS)}",
            )
        if threads is not None and threads < 1:
            raise Invalid("fleet.threads", f"{threads} threads do nothing", mend="give 1 or more")
        self.kernel, self.method, self.threads = kernel, method, threads
        self._lock = RLock()
        self._keeping: Keeping | None = None
        self._hold(Roster(kernel))
        self.add(ids)

    def _hold(self, roster: Roster) -> None:
        self._roster, self.slots, self.rows = roster, roster.slots, roster.rows
        self._engine = Local(self.threads)
        self._motion = Motion(roster, self.method, self._engine)

    def __reduce__(self) -> Any:
        with self._lock:
            arrays = {name: array.copy() for name, array in self._roster.arrays().items()}
        return _again, (self.kernel, self.method, self.threads, arrays)

    def __repr__(self) -> str:
        return f"<Fleet of {len(self)} {self.kernel.__name__} {self.kernel.version}, {self.method}>"

    def _repr_html_(self) -> str:
        shown, kernel = self._least_in_step(ROWS), self.kernel
        states = kernel.layout.states
        rows: list[list[notebook.Cell]] = []
        for one in shown:
            begun = one.instant is not None
            step = notebook.in_step(one.in_step) if begun else notebook.status("note", "not begun")
            said = [notebook.number(one.mean[n], one.std[n], s.unit) for n, s in states.items()]
            rows.append([one.id, step, *said, notebook.when(one.instant)])
        about = f"{len(self):,} assets · {kernel.__name__} {kernel.version}, {self.method}"
        table = notebook.table(("asset", "", *states, "at, UTC"), rows, f"ll{'r' * len(states)}")
        more = f"those least in step, of {len(self):,}" if len(self) > len(shown) else ""
        return notebook.card("Fleet", about, table if rows else "", more)

    @_alone
    def _least_in_step(self, count: int) -> list[Belief]:
        worst = np.argsort(-self._column("score"), kind="stable")[:count].tolist()
        return [self._belief(self.slots.name(row), row) for row in worst]

    # ---- who is here -----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.slots)

    @_alone
    def __iter__(self) -> Iterator[str]:
        return iter([*self.slots])

    @_alone
    def __contains__(self, name: str) -> bool:
        return name in self.slots

    @_alone
    def add(self, ids: str | Sequence[str]) -> None:
        """More assets, behind the others; one that is here already stays as it is.

        Raises Invalid `slots.id` for what is no text or empty, Conflict `fleet.twice`.
        """
        self._roster.add(ids)
        self._motion.rebind()

    @_alone
    def remove(self, ids: str | Sequence[str]) -> None:
        """Forget assets; those behind them move up. Raises NotFound `twin.unknown`."""
        self._roster.remove(ids)
        self._motion.rebind()

    @_alone
    def column(self, name: str) -> NDArray[Any]:
        """One column (A,) as it is in memory, in the unit that the kernel declares: `x.wear`,
        `u.speed`, `p.friction`, `y.vibration`, `seen.vibration`, `nis`, `score`.

        What is written into it counts at once. Ask again after `add` and `remove`, which may move
        it. Raises NotFound `rows.field`.
        """
        self._roster.changes.touch(None)  # for all that is known of who writes
        return self._column(name)

    @_alone
    def set_parameters(
        self, values: Mapping[str, ArrayLike], ids: str | Sequence[str] | None = None
    ) -> None:
        """Parameters by name, in the units that the kernel declares: one number, or one an asset.

        ids: only of these, in this order
        Raises NotFound `twin.unknown`, Invalid `fleet.signal`, `fleet.shape`, `fleet.number`,
        `fleet.bounds`.
        """
        rows, known = self._roster.find(ids), self.kernel.layout.parameters
        check_names(self.kernel, values, known)
        given = {name: numbers(name, value, (), rows.shape) for name, value in values.items()}
        for name, value in given.items():
            low, high = known[name].bounds
            if not np.all((low <= value) & (value <= high) & there(value)):
                raise Invalid(
                    "fleet.bounds",
                    f"'{name}' must be a number from {low:g} to {high:g} {known[name].unit}",
                    where=f"kernel {self.kernel.__name__}",
                    mend="give one within its bounds, or declare wider ones",
                )
        for name, value in given.items():
            self._column(f"p.{name}")[rows] = value
        self._roster.changes.touch(None if ids is None else listed(ids))

    # ---- time ------------------------------------------------------------------------------------

    @_alone
    def update(
        self, name: str, instant: Instant | np.datetime64, values: Mapping[str, float | None]
    ) -> Belief:
        """One asset heard from: predict to `instant`, take the readings in, and say what is
        believed. The others stay where they are.

        values: input or sensor → number, in the unit that the kernel declares
        Raises NotFound `twin.unknown`, Invalid `fleet.signal`, `fleet.number`, `time.unreadable`.
        """
        row = self.slots.find(name)
        at = max(instant_of(instant), self._roster.moved.at(row))
        check_names(self.kernel, values, self._roster.told)
        self._roster.take(row, at, {key: number(key, value) for key, value in values.items()})
        self._roster.changes.touch([name])
        self._motion.one(row, at)
        return self._belief(name, row)

    @_alone
    def tick(
        self, instant: Instant | np.datetime64, values: Mapping[str, ArrayLike] | None = None
    ) -> None:
        """All assets at one instant: predict, take the readings in.

        values: input or sensor → one number, or (A,), in the unit that the kernel declares
        None: the columns hold this instant's numbers already (`column`), and all inputs count as
        just told.
        Raises Invalid `fleet.signal`, `fleet.shape`, `fleet.number`, `time.unreadable`.
        """
        roster = self._roster
        now = roster.moved.later(instant_of(instant))
        if values is None:
            for times in roster.heard.values():
                times.advance(now)
        else:
            check_names(self.kernel, values, roster.told)
            given = {n: numbers(n, value, (), (len(self),)) for n, value in values.items()}
            roster.hear(now, given)
        roster.changes.touch(None)
        self._motion.all(now)

    @_alone
    def backfill(
        self, instants: ArrayLike, values: Mapping[str, ArrayLike], *, track: bool = True
    ) -> Track | None:
        """Many instants of all assets, from first to last: as if each were ticked.

        instants (T,) rising, all after what the fleet knows
        values: input or sensor → one number, (T,) for all assets alike, or (T, A)
        Returns the belief after each instant, which takes 8 T A X bytes, or None without `track`.
        Evenly spaced instants run compiled, time inside, where no input is missing.
        Raises Invalid `fleet.order`, `fleet.signal`, `fleet.shape`, `fleet.number`,
        `time.unreadable`.
        """
        at, history = history_of(self.kernel, len(self), instants, values)
        last = int(self._roster.moved.all().max(initial=NEVER))
        if len(at) and at[0] <= last:
            raise Invalid(
                "fleet.order",
                f"the history begins at {at[0]} ns, and the fleet has come to {last} ns",
                where="instants",
                mend="leave out what the fleet knows already, or begin a new fleet",
            )
        lanes = self.rows.lanes if track else 0
        kept = Track.blank(at, tuple(self.kernel.layout.states), lanes, len(self))
        even = self._motion.even(at, history)
        for k, instant in enumerate(at[: 1 if even else None].tolist()):
            self.tick(instant, {name: value[k] for name, value in history.items()})
            if track:
                kept.mean[k], kept.std[k] = self.mean, self.std
        if even:
            self._motion.along(at, history, kept if track else None)
        return kept if track else None

    @_alone
    def fit(
        self,
        instants: ArrayLike,
        values: Mapping[str, ArrayLike],
        *,
        covariates: Floats | None = None,
        warm: int = 0,
        loss: Loss | None = None,
    ) -> FleetFit:
        """Learn every asset's own parameters from its history, each leaning on the fleet.

        instants (T,) evenly spaced · values: input or sensor → one number, (T,) for all alike, or
        (T, A) · covariates (A, K): what may move an asset's parameters · warm: first steps that
        only warm up
        From here on the fleet believes them, and `forecast` draws from their spread; what is
        believed of the states stays. A missing input is held; rows before the first one do not
        count.
        Raises Invalid `fleet.uneven`, `fit.no_samples`, and as `backfill`; Conflict `fleet.empty`.
        """
        if not len(self):
            raise Conflict("fleet.empty", "there is no asset to learn about", mend="add some first")
        windows = windows_of(self.kernel, len(self), instants, values, warm)
        found = fit_fleet(self.kernel(), windows, covariates, loss=loss)
        for k, name in enumerate(self.kernel.layout.parameters):
            self._column(f"p.{name}")[:] = found.values[:, k]
        self._roster.spread = found.cov
        self._roster.changes.touch(None)
        return found

    # ---- what is believed ------------------------------------------------------------------------

    @_alone
    def __getitem__(self, name: str) -> Belief:
        """Raises NotFound `twin.unknown`."""
        return self._belief(name, self.slots.find(name))

    @property
    def mean(self) -> Floats:
        """(A, X), states in order of declaration, in their units."""
        return self._stacked("x", list(self.kernel.layout.states))

    @property
    def std(self) -> Floats:
        """(A, X), in the units of the states."""
        return np.sqrt(np.diagonal(self.cov, axis1=1, axis2=2))

    @property
    def cov(self) -> Floats:
        """(A, X, X), in the products of the states' units."""
        states = list(self.kernel.layout.states)
        if not states:
            return np.zeros((len(self), 0, 0))
        with self._lock:
            columns = {name: self._column(name) for name in self.rows if name[0] in "UD"}
            return estimate.covariance(columns, states, len(self))

    @_alone
    def forecast(
        self,
        values: Mapping[str, ArrayLike],
        *,
        dt: float,
        steps: int,
        paths: int = 200,
        seed: int = 0,
        ids: str | Sequence[str] | None = None,
        scenario: str = "as given",
    ) -> Foreseen:
        """Run copies of the assets to their limits under a scenario's inputs (Monte Carlo).

        values: input → one number, (steps,), (A,) or (steps, A); one not named stays as it is
        dt s a step · paths an asset · ids: only these A, in this order
        Raises NotFound `twin.unknown`, Invalid `fleet.signal`, `fleet.shape`, `fleet.number`,
        `fleet.horizon`, `forecast.inputs` where a number is missing, Conflict `fleet.unheard`.
        """
        if not (0.0 < dt < np.inf and steps >= 0 and paths > 0):
            raise Invalid(
                "fleet.horizon",
                f"{paths} paths of {steps} steps of {dt} s lead nowhere",
                mend="give a step above 0 s, and at least one path",
            )
        rows = self._roster.find(ids)
        inputs = self._scenario(values, rows, steps)
        parameters = self._stacked("p", list(self.kernel.layout.parameters))[rows]
        size, spread = parameters.shape[1], self._roster.spread
        names = tuple(self.slots.name(int(row)) for row in rows)
        ahead = foresee(
            self.kernel(), self.mean[rows], self.cov[rows], parameters,
            np.zeros((len(rows), size, size)) if spread is None else spread[rows],
            inputs, dt,
            keys=np.array([twin_key(name) for name in names], np.uint64),
            seed=seed, paths=paths, scenario=scenario, engine=self._engine,
        )  # fmt: skip
        return replace(ahead, ids=names)

    # ---- disk ------------------------------------------------------------------------------------

    @_alone
    def save(self, path: Path | str) -> None:
        """Write all that is believed into one file, whole or not at all: once it returns it is on
        the disk. A path is one fleet's. Raises Unavailable `fleetfile.unwritable`."""
        if self._keeping is None or self._keeping.path != Path(path):
            self._keeping = Keeping(path)
        self._keeping.save(self._roster, self.method)

    @_alone
    def keep(self) -> None:
        """Make durable what has changed since the last `save`, `load` or `keep`: once it returns,
        `load` brings it back, whatever becomes of this process.

        What `update`, `set_parameters`, `add` and `remove` did to some assets is one append to
        `PATH.rows`; where all may have changed it is a `save` to the same path.
        Raises Conflict `fleet.unsaved`, `fleet.replaced`, `rowlog.busy`, Unavailable
        `rowlog.unwritable`.
        """
        if self._keeping is None:
            raise Conflict(
                "fleet.unsaved",
                "there is no snapshot that this could follow",
                mend="call fleet.save(path) once; from then on fleet.keep()",
            )
        self._keeping.keep(self._roster, self.method)

    @classmethod
    def load(cls, path: Path | str, kernel: type[Kernel], *, threads: int | None = None) -> "Fleet":
        """A fleet as `save` and `keep` left it; columns are read from the file as they are needed.

        Raises Conflict `fleet.kernel` when another kernel, or another state of it, wrote the file;
        NotFound `fleetfile.missing`, Invalid `fleetfile.damaged`, `rowlog.damaged`.
        """
        _check_kernel(kernel)
        keeping = Keeping(path)
        roster, method = keeping.load(kernel)
        fleet = cls(kernel, method=method, threads=threads)
        fleet._hold(roster)
        fleet._keeping = keeping
        return fleet

    # ---- within ----------------------------------------------------------------------------------

    def _column(self, name: str) -> NDArray[Any]:
        return self.rows[name][: self.rows.count]

    @_alone
    def _stacked(self, part: str, names: list[str]) -> Floats:
        columns = [self._column(f"{part}.{name}") for name in names]
        return np.stack(columns, -1).astype(np.float64) if names else np.zeros((len(self), 0))

    def _belief(self, name: str, row: int) -> Belief:
        rows, states, std = self.rows.by_name, list(self.kernel.layout.states), {}
        for i, a in enumerate(states):
            variance = rows[f"D.{a}"].item(row)
            for b in states[i + 1 :]:
                variance += rows[f"U.{a}.{b}"].item(row) ** 2 * rows[f"D.{b}"].item(row)
            std[a] = variance**0.5
        mean = {a: rows[f"x.{a}"].item(row) for a in states}
        nis, score = rows["nis"].item(row), rows["score"].item(row)
        moved = self._roster.moved.at(row)
        return Belief(name, None if moved == NEVER else moved, mean, std, nis, score)

    def _scenario(
        self, values: Mapping[str, ArrayLike], rows: NDArray[np.int64], steps: int
    ) -> Floats:
        """A scenario's inputs: (steps, A, U)."""
        layout, count = self.kernel.layout, len(rows)
        check_names(self.kernel, values, layout.inputs)
        inputs = np.empty((steps, count, len(layout.inputs)))
        for k, name in enumerate(layout.inputs):
            if name not in values:
                if (self._roster.heard[name].all()[rows] == NEVER).any():
                    raise Conflict(
                        "fleet.unheard",
                        f"an asset has never been told its '{name}', which is to stay as it is",
                        mend="give it in values, or update the asset first",
                    )
                inputs[:, :, k] = self._column(f"u.{name}")[rows]
                continue
            shapes = [(), (steps, count), (steps, 1), (1, count)]
            if steps != count or count == 1:  # else: one number a step, or one an asset?
                shapes += [(steps,), (count,)]
            given = numbers(name, values[name], *shapes)
            inputs[:, :, k] = given[:, None] if given.shape == (steps,) else given
        return inputs


def _check_kernel(kernel: Any) -> None:
    if not (isinstance(kernel, type) and issubclass(kernel, Kernel)):
        raise Invalid(
            "fleet.no_kernel",
            f"{kernel!r:.60} is no kernel",
            mend="give the class of one, and the ids after it: Fleet(Oven, ids)",
        )


def _again(
    kernel: type[Kernel], method: str, threads: int | None, arrays: dict[str, NDArray[Any]]
) -> Fleet:
    """A fleet out of its arrays: a pickle's, or a copy's."""
    fleet = Fleet(kernel, method=method, threads=threads)
    fleet._hold(Roster.of(kernel, arrays))
    return fleet
