"""A Delta table as a source: what it holds, then what every commit adds to it.

Owns    which version is due, and how far its rows were read.
Never   writes into the table; takes anything back: what a commit removes was once known.

Rows that a commit only moves (OPTIMIZE) are not new, and not read. Rows that an update writes once
more are duplicates, or corrections where they say something else.
"""

import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from gemel.clock import Clock, ManualClock
from gemel.connect.base import Deliver, dead_letter
from gemel.connect.files import SPAN, Replay
from gemel.connect.folders import unreadable
from gemel.connect.tables import TableFile
from gemel.errors import GemelError, Invalid, NotFound, Unavailable
from gemel.records import Batch, Entry

_log = logging.getLogger("gemel.connect")

DONE = -1  # rows of a version of which no more is to be read
LOOK = 1.0  # s between two looks for a commit
BEGIN = ("earliest", "latest")
_COMMIT = re.compile(r"\d{20}\.json")


@dataclass(frozen=True)
class _Place:
    """So many rows of a version of the table with that id: of all that it held, or of what its
    commit added."""

    version: int = -1
    rows: int = 0
    whole: bool = False
    id: str = ""

    @staticmethod
    def of(position: str) -> "_Place":
        return _Place(**json.loads(position)) if position else _Place()

    def __str__(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


class DeltaSource:
    """A Delta table in a folder, long or wide; with a `ManualClock` as it is, else also what comes.

    begin: of the very first start: "earliest", all that it holds; "latest", what is added from then
    on · everything else: of `FileSource`
    """

    def __init__(
        self,
        name: str,
        path: Path | str,
        begin: str = "earliest",
        *,
        span: str | float = SPAN,
        since: str = "",
        **how: Any,
    ) -> None:
        self.name, self.path, self.begin, self._how = name, Path(path), begin, how
        self._replay = Replay.of(name, span, since, live=True)
        self._table: DeltaTable | None = None
        self._away, self._id = False, ""
        self._seen = 0, (0, 0)  # the last commit that we know, and of which file it was told
        unknown = set(how) - {"columns", "units", "time_zone", "twin", "signals"}
        if unknown:
            raise TypeError(f"unexpected option '{sorted(unknown)[0]}'")
        if begin not in BEGIN:
            raise Invalid(
                "source.begin",
                f"'{begin}' is no place to begin",
                where=f"source {name}",
                mend=f"use {' or '.join(BEGIN)}",
            )
        if not DeltaTable.is_deltatable(str(self.path)):
            raise NotFound(
                "file.missing",
                "there is no Delta table in that folder",
                where=str(self.path),
                mend="look at the path; a relative one starts at the plant file",
            )

    def run(self, deliver: Deliver, position: str, clock: Clock, stop: threading.Event) -> None:
        """Deliver what is after `position`; returns only with a `ManualClock`, or stopped."""
        place, once = _Place.of(position), isinstance(clock, ManualClock)
        while not stop.is_set():
            newest = self._newest(once)
            if newest is None:
                stop.wait(LOOK)
            elif place.version < 0 and self.begin == "latest":
                place = _Place(newest, DONE, True, self._id)
                deliver([Entry("batch", self.name, clock.now(), str(place), Batch.of([]))])
            elif place.version < 0 or newest < place.version or place.id != self._id:
                place = _Place(newest, 0, True, self._id)  # at first, or another table stands there
            elif place.rows == DONE and newest == place.version:
                if once:
                    return
                self._away = False
                stop.wait(LOOK)
            elif place.rows == DONE:
                place = _Place(place.version + 1, id=self._id)
            else:
                place = self._take(place, newest, deliver, clock, stop)

    def _take(
        self, place: _Place, newest: int, deliver: Deliver, clock: Clock, stop: threading.Event
    ) -> _Place:
        """Deliver the rows of one version from its place on; where to go on."""
        try:
            rows = self._rows(place)
        except (OSError, DeltaError) as problem:
            gone = isinstance(problem, (FileNotFoundError, DeltaError))
            if gone and not (place.whole and place.version == newest):
                _log.warning(  # the log was cleaned, or files were joined and deleted
                    "%s: what version %d brought is gone; it is read whole, as of version %d: what "
                    "is known comes as duplicates", self.path, place.version, newest,
                )  # fmt: skip
                return _Place(newest, 0, True, self._id)
            self._is_away(problem, isinstance(clock, ManualClock))
            stop.wait(LOOK)
            return place
        except Exception as problem:  # whatever a reader makes of bytes that nobody foresaw
            deliver([self._letter(place, clock, unreadable(self.path, problem), 1)])
            return replace(place, rows=DONE)
        self._away = False
        for entries in self._entries(rows, place, clock, stop):
            deliver(entries)
        return place if stop.is_set() else replace(place, rows=DONE)

    def _letter(self, place: _Place, clock: Clock, error: GemelError, samples: int) -> Entry:
        head = f"version {place.version}: {samples} rows".encode()
        letter = dead_letter(self.name, clock.now(), head, error)
        body = letter.body | {"samples": samples}
        return replace(letter, body=body, position=str(replace(place, rows=DONE)))

    def _newest(self, once: bool) -> int | None:
        """The version that the table has now; None while it is away."""
        try:
            if self._table is None or not self._is_the_same():
                self._seen = self._last_commit()
                self._table = DeltaTable(str(self.path))
                self._id = str(self._table.metadata().id)
            else:
                self._table.update_incremental()
            newest = int(self._table.version())
            seen = newest, self._stamp(newest)
            if self._is_the_same():
                self._seen = seen
                return newest
        except (DeltaError, OSError) as problem:
            self._is_away(problem, once)
        self._table = None  # away, or made anew as we looked: what we have may be of either
        return None

    def _is_the_same(self) -> bool:
        """Whether the commit that we know last is still the very file that it was."""
        version, stamp = self._seen
        try:
            return self._stamp(version) == stamp
        except FileNotFoundError:
            return False

    def _last_commit(self) -> tuple[int, tuple[int, int]]:
        log = self.path / "_delta_log"
        told = (int(name[:20]) for name in os.listdir(log) if _COMMIT.fullmatch(name))
        version = max(told, default=0)
        return version, self._stamp(version)

    def _stamp(self, version: int) -> tuple[int, int]:
        told = self._commit(version).stat()
        return told.st_ino, told.st_mtime_ns

    def _commit(self, version: int) -> Path:
        return self.path / "_delta_log" / f"{version:020d}.json"

    def _is_away(self, problem: object, once: bool) -> None:
        if once:
            raise Unavailable(
                "delta.unavailable",
                f"the table could not be read: {problem}",
                where=str(self.path),
                mend="see that it is there and may be read, and begin again",
            )
        if not self._away:
            _log.warning("%s is away: %s; trying on", self.path, problem)
        self._away = True

    def _entries(
        self, rows: pa.Table, place: _Place, clock: Clock, stop: threading.Event
    ) -> Iterator[list[Entry]]:
        """The rows of a version from its place on; if they cannot be read, a dead letter."""
        if not rows.num_rows:
            return
        try:
            yield from self._replay.entries(
                TableFile(self.path, held=rows, **self._how),
                place.rows,
                clock,
                stop,
                lambda done: str(replace(place, rows=done)),
            )
        except Exception as problem:  # as above
            error = problem if isinstance(problem, GemelError) else unreadable(self.path, problem)
            yield [self._letter(place, clock, error, rows.num_rows)]

    def _rows(self, place: _Place) -> pa.Table:
        """What a version held, or what its commit added."""
        if place.whole:
            return DeltaTable(str(self.path), version=place.version).to_pyarrow_table()
        lines = self._commit(place.version).read_text(encoding="utf-8").splitlines()
        told = [json.loads(line) for line in lines]
        added = [one["add"] for one in told if one.get("add", {}).get("dataChange")]
        tables = []
        for one in added:
            table = pq.ParquetFile(self.path / unquote(one["path"])).read()
            for name, value in one.get("partitionValues", {}).items():
                table = table.append_column(name, pa.array([value] * len(table), pa.string()))
            tables.append(table)
        return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})
