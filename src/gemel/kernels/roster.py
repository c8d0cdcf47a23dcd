"""Who is in a fleet, and all that is held of each: an id, a row of every column, the clocks.

Owns    that they agree on which row is whose, however assets come and go; and what was told when.
Never   moves a belief (kernels/motion.py), and never touches a disk (store/keeping.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.errors import Conflict
from gemel.kernels import filters
from gemel.kernels.base import Kernel
from gemel.kernels.given import LIMIT, there
from gemel.kernels.rows import Field, Rows
from gemel.kernels.slots import Slots
from gemel.kernels.times import NEVER, Times
from gemel.records import Bools, Floats

_DTYPES = {"f": np.float32, "d": np.float64, "b": np.bool_}
_CONTROLS = ("dt", "part", "parts", "inflate")


@dataclass
class Changes:
    """What has become of a fleet since it was last kept.

    all: of every asset · names: of these · told: who came and who went, in order
    """

    all: bool = True
    names: set[str] = field(default_factory=set)
    told: list[tuple[str, list[str]]] = field(default_factory=list)

    def touch(self, names: Iterable[str] | None) -> None:
        """Something became of some assets, or of all."""
        if names is None:
            self.all = True
        elif not self.all:
            self.names.update(names)

    def tell(self, verb: str, names: list[str]) -> None:
        """Some assets came or went: verb "add" or "remove"."""
        if not self.all:
            self.told.append((verb, names))
        if verb == "remove":
            self.names.difference_update(names)


class Roster:
    """The assets of one fleet, in the order in which they came.

    moved: when each belief was last moved · heard: input → when each asset last told it
    spread (A, P, P): covariance of the parameters since the last fit, in log where they are
    told: inputs and sensors, by name

    >>> from gemel.kernels.library.journal_bearing import JournalBearing
    >>> roster = Roster(JournalBearing)
    >>> roster.add(["north", "middle", "south"])
    >>> roster.rows["x.wear"][:3] = 1, 2, 3
    >>> roster.remove("middle")
    >>> roster.add("west")
    >>> dict(zip(roster.slots, roster.rows["x.wear"].tolist()))
    {'north': 1.0, 'south': 3.0, 'west': 0.0}
    """

    def __init__(self, kernel: type[Kernel]) -> None:
        self.kernel = kernel
        self.slots, self.rows = Slots(), Rows(fields_of(kernel))
        self.moved = Times()
        self.heard = {name: Times() for name in kernel.layout.inputs}
        self.spread: Floats | None = None
        self.changes = Changes()
        self.told = kernel.layout.inputs | kernel.layout.outputs

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def clocks(self) -> dict[str, Times]:
        """`moved` and `heard`, as they are called where they are kept."""
        return {"at": self.moved} | {f"at.{name}": times for name, times in self.heard.items()}

    @property
    def in_step(self) -> bool:
        """Whether all rows were last moved, and last told, at the same instants."""
        return self.moved.rows is None and all(t.rows is None for t in self.heard.values())

    def add(self, ids: str | Sequence[str]) -> None:
        """More assets, blank, behind the others; one that is here already stays as it is.

        Raises Invalid `slots.id`, Conflict `fleet.twice`; then none is added.
        """
        names, before = listed(ids), len(self)
        found = self.slots.add(names)
        count = len(self)
        if (np.diff(np.sort(found)) == 0).any():
            self.slots.discard([self.slots.name(row) for row in range(before, count)])
            raise _twice(names)
        self.changes.tell("add", names)
        self.rows.reach(count)
        for times in self.clocks.values():
            times.grow(count)
        if self.spread is not None:
            self.spread = np.pad(self.spread, ((0, count - before), (0, 0), (0, 0)))

    def remove(self, ids: str | Sequence[str]) -> None:
        """Forget assets; those behind them move up.

        Raises NotFound `twin.unknown`; then none is forgotten.
        """
        names, stays = listed(ids), np.ones(len(self), np.bool_)
        stays[self.slots.discard(names)] = False
        self.changes.tell("remove", names)
        self.rows.keep(stays)
        for times in self.clocks.values():
            times.keep(stays)
        if self.spread is not None:
            self.spread = self.spread[stays]

    def find(self, ids: str | Sequence[str] | None) -> NDArray[np.int64]:
        """The rows of some assets, or of all: (N,). Raises NotFound `twin.unknown`."""
        if ids is None:
            return np.arange(len(self))
        names = listed(ids)
        rows = self.slots.find_many(names)
        if (rows < 0).any():
            self.slots.find(names[int(np.argmax(rows < 0))])
        return rows

    # ---- what was told, and when -----------------------------------------------------------------

    def take(self, row: int, at: int, values: Mapping[str, float]) -> None:
        """One asset's numbers of one instant."""
        rows, layout = self.rows.by_name, self.kernel.layout
        for name in layout.outputs:
            rows[f"seen.{name}"][row] = False
        for name, value in values.items():
            known = -LIMIT < value < LIMIT
            if name in layout.outputs:
                rows[f"y.{name}"][row], rows[f"seen.{name}"][row] = value if known else 0.0, known
            elif known:
                rows[f"u.{name}"][row] = value
                if at > self.heard[name].at(row):
                    self.heard[name].put(row, at)

    def hear(self, now: int | NDArray[np.int64], values: Mapping[str, NDArray[Any]]) -> None:
        """All assets' numbers of one instant: (A,), or () for all alike."""
        count, layout = len(self), self.kernel.layout
        for name in layout.outputs:
            if name not in values:
                self.rows[f"seen.{name}"][:count] = False
        for name, value in values.items():
            known = there(value)
            if name in layout.outputs:
                self.rows[f"y.{name}"][:count] = np.where(known, value, 0.0)
                self.rows[f"seen.{name}"][:count] = known
            elif np.all(known):
                self.rows[f"u.{name}"][:count] = value
                self.heard[name].advance(now)
            else:
                column = self.rows[f"u.{name}"][:count]
                column[:] = np.where(known, value, column)
                self.heard[name].advance(now, known)

    def stale_row(self, row: int, at: int) -> bool | None:
        """Whether an input of this row is too old; None when one has never been told."""
        stale = False
        for name, times in self.heard.items():
            heard = times.at(row)
            if heard == NEVER:
                return None
            stale |= at - heard > self.kernel.layout.inputs[name].max_age * SECOND
        return stale

    def stale(self, now: int | NDArray[np.int64]) -> tuple[Bools, Bools]:
        """Which rows were told all their inputs, and of which one is too old: (A,), (A,)."""
        ready, stale = np.ones(len(self), np.bool_), np.zeros(len(self), np.bool_)
        for name, times in self.heard.items():
            heard = times.all()
            ready &= heard != NEVER
            stale |= now - heard > self.kernel.layout.inputs[name].max_age * SECOND
        return ready, stale

    # ---- as arrays -------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, as plain arrays: views, not copies. A clock that all share is one number."""
        arrays = {f"row.{name}": column for name, column in self.rows.columns().items()}
        arrays |= {f"slot.{name}": array for name, array in self.slots.arrays().items()}
        for name, times in self.clocks.items():
            arrays[name] = np.array([times.common]) if times.rows is None else times.rows
        return arrays if self.spread is None else arrays | {"spread": self.spread}

    @classmethod
    def of(cls, kernel: type[Kernel], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `arrays` described, over those arrays. Raises Conflict `rows.columns`."""
        roster = cls(kernel)

        def part(prefix: str) -> dict[str, NDArray[Any]]:
            own = (name for name in arrays if name.startswith(prefix))
            return {name.removeprefix(prefix): arrays[name] for name in own}

        roster.slots = Slots.of(part("slot."))
        roster.rows = Rows.of(fields_of(kernel), part("row."), len(roster))
        for name, times in roster.clocks.items():
            kept, times.count = arrays[name], len(roster)
            times.set(kept if len(kept) == len(roster) else int(kept[0]))
        roster.spread = arrays.get("spread")
        return roster


def fields_of(kernel: type[Kernel]) -> dict[str, Field]:
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


def listed(ids: str | Sequence[str]) -> list[str]:
    """Ids as a list; a text is one id, not its letters."""
    return [ids] if isinstance(ids, str) else list(ids)


def _twice(names: list[str]) -> Conflict:
    again = next(name for name in names if names.count(name) > 1)
    return Conflict(
        "fleet.twice",
        f"'{again}' is given twice",
        where="ids",
        mend="give every asset an id of its own; dict.fromkeys(ids) keeps the first of each",
    )
