"""A fleet on the disk: its snapshot, and beside it what has become of it since.

Owns    how the two belong together: a row log follows one snapshot, and counts with no other.
Never   decides when something is kept.

    PATH            the snapshot (fleetfile.py)
    PATH.rows       the row log (rowlog.py)
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.errors import Conflict
from gemel.kernels.base import Kernel
from gemel.kernels.identity import identity
from gemel.kernels.roster import Changes, Roster
from gemel.store import fleetfile
from gemel.store.rowlog import RowLog


class Keeping:
    """Where one fleet is kept. One writer a path.

    >>> import tempfile
    >>> from gemel.kernels.library.journal_bearing import JournalBearing
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     roster, keeping = Roster(JournalBearing), Keeping(Path(folder) / "bearings")
    ...     keeping.save(roster, "ekf")
    ...     roster.add(["north", "south"])
    ...     keeping.keep(roster, "ekf")
    ...     again, method = keeping.load(JournalBearing)
    >>> list(again.slots)
    ['north', 'south']
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._rows = self.path.with_name(f"{self.path.name}.rows")
        self._log: RowLog | None = None
        self._stamp, self._sequence = "", 0

    def save(self, roster: Roster, method: str) -> None:
        """All of it, durably and in one step; what was appended before is part of it.

        Raises Unavailable `fleetfile.unwritable`.
        """
        self._stamp, roster.changes.all = "", True  # until it is done
        book = {"kernel": identity(roster.kernel), "method": method}
        fleetfile.save(self.path, roster.arrays(), book)
        self._rows.unlink(missing_ok=True)
        self._log, self._stamp, self._sequence = None, fleetfile.stamp(self.path), 0
        roster.changes = Changes(all=False)

    def keep(self, roster: Roster, method: str) -> None:
        """What has changed since, durably: one append, or a snapshot where all has changed.

        Raises as `save` and `RowLog`, Conflict `fleet.replaced`.
        """
        changes = roster.changes
        if not (changes.all or changes.names or changes.told):
            return
        if self._stamp and self._stamp != fleetfile.stamp(self.path):
            raise Conflict(
                "fleet.replaced",
                "another fleet has been saved here since",
                where=str(self.path),
                mend="save this one under a path of its own",
            )
        if changes.all:
            if self._stamp and self._rows.exists():
                self._log = self._log or self._opened(roster)
                self._log.hold()
            self.save(roster, method)
            return
        self._log = self._log or self._opened(roster)
        note = {"told": changes.told} if changes.told else None
        columns = roster.rows.columns() | {n: t.all() for n, t in roster.clocks.items()}
        rows = roster.find(sorted(changes.names))
        try:
            self._log.append([self._log.record(self._sequence + 1, rows, columns, note)])
        except Conflict:
            raise
        except BaseException:  # what now lies in the log is not known
            self._log, changes.all = None, True
            raise
        self._sequence += 1
        roster.changes = Changes(all=False)

    def load(self, kernel: type[Kernel]) -> tuple[Roster, str]:
        """The fleet as it was when it was last kept, and its method.

        Raises as `fleetfile.load` and `RowLog`, Conflict `fleet.kernel`.
        """
        roster, method = self._read(kernel)
        while self._stamp != fleetfile.stamp(self.path):  # it was saved anew meanwhile
            roster, method = self._read(kernel)
        for times in roster.clocks.values():
            times.set(times.own())
        roster.changes = Changes(all=False)
        return roster, method

    def _read(self, kernel: type[Kernel]) -> tuple[Roster, str]:
        self._stamp = fleetfile.stamp(self.path)
        arrays, book = fleetfile.load(self.path)
        if book.get("kernel") != identity(kernel):
            raise Conflict(
                "fleet.kernel",
                f"it holds {book.get('kernel', 'no fleet')}, and this is {identity(kernel)}",
                where=str(self.path),
                mend="load it with the kernel that wrote it, or begin a new fleet",
            )
        roster = Roster.of(kernel, arrays)
        if self._rows.exists():
            self._log = self._opened(roster)
            self._sequence = self._log.replay(_Target(roster), after=0, told=_teller(roster))
        return roster, book["method"]

    def _opened(self, roster: Roster) -> RowLog:
        kinds = {name: column.dtype for name, column in roster.rows.columns().items()}
        return RowLog(self._rows, kinds | dict.fromkeys(roster.clocks, np.int64), self._stamp)


class _Target:
    """The columns of a roster, its clocks among them, to write into."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def __getitem__(self, name: str, /) -> NDArray[Any]:
        times = self._roster.clocks.get(name)
        rows = self._roster.rows
        return rows[name][: rows.count] if times is None else times.own()


def _teller(roster: Roster) -> Callable[[dict[str, Any]], None]:
    """Who came and who went, before the rows that say what became of them."""

    def tell(note: dict[str, Any]) -> None:
        for verb, names in note["told"]:
            (roster.add if verb == "add" else roster.remove)(names)

    return tell
