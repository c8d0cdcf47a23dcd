"""A fleet at a glance: the status of every twin, the order of all, a row for those asked for.

Owns    what each status means, what comes first, and the counts.
Never   makes a row that nobody looks at: order and status are columns, worked out once a picture.

    failed        a limit is reached: a health index is 0
    warning       a finding is open, or a health index is under LOW
    out_of_step   it runs, and does not track its asset
    silent        no sample yet, an input older than it may be, or none of its signals is heard
    ok            none of these
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.flow.seats import Numbers
from gemel.flow.view import View
from gemel.kernels.belief import IN_STEP
from gemel.records import Bools, Floats, Instants

STATUSES = ("failed", "warning", "out_of_step", "silent", "ok")
SORTS = ("worst", "id", "age", "rul", "quality")
LOW = 0.3  # health index
SHOWN = 3  # signals of a row
TILE = 250  # what a health index of 1 is on a tile; 255: none


@dataclass(frozen=True)
class Asked:
    """Which twins: of an interface, whose id holds a text, of a status; and in which order."""

    interface: str | None = None
    find: str = ""
    status: str | None = None
    sort: str = "worst"


class Overview:
    """All twins of one picture. Use `overview`, which makes it once."""

    def __init__(self, view: View) -> None:
        self.view, self.seats = view, view.plan.seats
        self._count = len(self.seats.ids)

    # ---- columns ---------------------------------------------------------------------------

    @cached_property
    def _modes(self) -> list[tuple[str, str]]:
        """Every (binding, failure mode)."""
        return [(name, mode) for name, c in self.view.columns.items() for mode in c.health]

    @cached_property
    def _least(self) -> tuple[Floats, NDArray[np.int64]]:
        """Of every twin the least health index (T,), NaN where there is none, and its mode (T,)."""
        least, which = np.full(self._count, np.inf), np.zeros(self._count, np.int64)
        for k, (name, mode) in enumerate(self._modes):
            held, twin = self.view.columns[name], self.seats.rows[name]
            index = np.where(held.begun, held.health[mode][0], np.inf)
            less = index < least[twin]
            least[twin[less]], which[twin[less]] = index[less], k
        return np.where(np.isfinite(least), least, np.nan), which

    @property
    def worst(self) -> Floats:
        """The least health index of every twin: (T,), NaN where there is none."""
        return self._least[0]

    @cached_property
    def newest(self) -> Instants:
        """The instant of the newest sample of every twin: (T,) ns, 0 where there is none."""
        return self.view.newest()

    @cached_property
    def findings(self) -> Numbers:
        """How many findings are open of every twin: (T,)."""
        count = np.zeros(self._count, np.int64)
        for twin, several in self.view.open_.items():
            count[self.seats.number[twin]] = len(several)
        return count

    @cached_property
    def _flags(self) -> tuple[Bools, Bools, Bools]:
        """Which twins run (T,), do so on old inputs (T,), and do not track their assets (T,)."""
        begun, stale, lost = np.zeros((3, self._count), np.bool_)
        for name, held in self.view.columns.items():
            rows = self.seats.rows[name]
            begun[rows] |= held.begun
            stale[rows] |= held.begun & held.stale
            lost[rows] |= held.begun & (held.nis >= IN_STEP)
        return begun, stale, lost

    @cached_property
    def status(self) -> NDArray[np.int8]:
        """Which of STATUSES every twin has: (T,)."""
        _, stale, lost = self._flags
        several = [
            self.worst <= 0,
            (self.findings > 0) | (self.worst < LOW),
            lost & ~stale,
            stale | self.view.unheard() | self.view.trust.silent,
        ]
        return np.select(several, range(len(several)), len(several)).astype(np.int8)

    @cached_property
    def soonest(self) -> Floats:
        """The median time to the first limit of every twin: (T,) s, NaN where there is none."""
        soonest = np.full(self._count, np.nan)
        for held in self.view.columns.values():
            for twin, ruls in held.rul.items():
                k = self.seats.number[twin]
                for rul in ruls:
                    middle = rul["quantiles"]["0.5"]
                    if middle is not None and not middle >= soonest[k]:
                        soonest[k] = middle
        return soonest

    # ---- order -----------------------------------------------------------------------------

    def order(self, asked: Asked) -> Numbers:
        """The twins asked for, in order: (N,) numbers."""

        def make() -> Numbers:
            among = self._among(asked.interface, asked.find)
            if asked.status is not None:
                among = among & (self.status == STATUSES.index(asked.status))
            everyone = self.view.once(("order", asked.sort), lambda: self._sorted(asked.sort))
            return everyone[among[everyone]]

        return self.view.once(("order", asked), make)

    def _among(self, interface: str | None, find: str) -> Bools:
        return self.seats.found(interface, find)

    def _sorted(self, sort: str) -> Numbers:
        """All twins by a key; a leading minus turns it round, what has none comes last, then id."""
        name, sign = sort.removeprefix("-"), -1.0 if sort.startswith("-") else 1.0
        by_id = self.seats.by_id
        if name == "id":
            return by_id[:: int(sign)]
        key = sign * self._key(name)
        return by_id[np.argsort(key[by_id], kind="stable")]

    def _key(self, name: str) -> Floats:
        if name == "age":
            return np.where(self.newest > 0, (self.view.at - self.newest) / SECOND, np.nan)
        if name == "rul":
            return self.soonest
        if name == "quality":
            return self.view.trust.score
        return self.status + np.where(np.isnan(self.worst), 1.99, np.minimum(self.worst, 1.98)) / 2

    def counts(self, asked: Asked) -> dict[str, int]:
        """How many twins have each status, whatever status is asked for."""

        def make() -> dict[str, int]:
            status = self.status[self._among(asked.interface, asked.find)]
            several = np.bincount(status, minlength=len(STATUSES)).tolist()
            return {"all": len(status), **dict(zip(STATUSES, several, strict=True))}

        return self.view.once(("counts", asked.interface, asked.find), make)

    # ---- what is shown ---------------------------------------------------------------------

    def page(self, asked: Asked, offset: int, limit: int) -> dict[str, Any]:
        """Rows from `offset` on, how many there are in all, and the counts."""
        order = self.order(asked)
        shown = order[offset : offset + limit].tolist()
        self.view.fill(shown)
        return {
            "at": self.view.at,
            "tick": self.view.tick,
            "total": len(order),
            "counts": self.counts(asked),
            "items": [self.row(k) for k in shown],
        }

    def row(self, k: int) -> dict[str, Any]:
        """One twin in a line."""
        begun, stale, lost = (bool(flag[k]) for flag in self._flags)
        score, newest = float(self.view.trust.score[k]), int(self.newest[k])
        return {
            "id": self.seats.ids[k],
            "interface": self.seats.interfaces[self.seats.interface[k]],
            "status": STATUSES[self.status[k]],
            "worst": self._worst(k),
            "rul": self._rul(k),
            "in_step": None if self.view.past else begun and not lost and not stale,
            "stale": stale,
            "age": (self.view.at - newest) / SECOND if newest else None,
            "findings": int(self.findings[k]),
            "quality": None if np.isnan(score) else round(score, 4),
            "values": {
                signal: {name: told[name] for name in ("value", "unit", "quality")}
                for signal, told in self.view.latest(k, SHOWN).items()
            },
        }

    def _worst(self, k: int) -> dict[str, Any] | None:
        least, which = self._least
        if np.isnan(least[k]):
            return None
        name, mode = self._modes[which[k]]
        row = self.view.plan.fleets[name].row[self.seats.ids[k]]
        std = float(self.view.columns[name].health[mode][1][row])
        return {"binding": name, "mode": mode, "index": float(least[k]), "std": std}

    def _rul(self, k: int) -> dict[str, Any] | None:
        twin = self.seats.ids[k]
        ruls = [rul for c in self.view.columns.values() for rul in c.rul.get(twin, [])]

        def when(rul: dict[str, Any]) -> tuple[float, float]:
            middle = rul["quantiles"]["0.5"]
            return (np.inf if middle is None else middle), -rul["reached"]

        return min(ruls, key=when, default=None)

    def tiles(self, asked: Asked) -> dict[str, Any]:
        """Status and health of every twin in order, a byte each."""
        order = self.order(asked)
        worst = self.worst[order]
        index = np.where(np.isnan(worst), 255, np.clip(np.round(worst * TILE), 0, 254))
        return {
            "at": self.view.at,
            "tick": self.view.tick,
            "ids_hash": hashlib.sha256(order.tobytes()).hexdigest()[:16],
            "n": len(order),
            "status": _bytes(self.status[order].astype(np.uint8)),
            "worst": _bytes(index.astype(np.uint8)),
        }


def overview(view: View) -> Overview:
    """The overview of a picture, made once."""
    return view.once("overview", lambda: Overview(view))


def _bytes(column: NDArray[np.uint8]) -> str:
    return base64.b64encode(column.tobytes()).decode()
