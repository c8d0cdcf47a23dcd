"""A folder as a source: every file in it, and every file that comes.

Owns    which files are due, in which order, and what is remembered of those that were read.
Never   writes into the folder; loses a file that comes under a name before those already read, or
        while Gemel is away.

A folder is read in rounds. A round takes the files that came since the last one, which the file
system knows by the time of their last change (ctime: a copy or a rename sets it, whatever times a
file says of itself), in the order of their names. A file that changes comes again, whole: what was
known of it are duplicates. So that nobody reads half a file, one is read only when it has been
still for `settle` seconds; best is to write it under a name that does not fit, and to rename it.
Rename files, not folders of them: a folder that is renamed while Gemel is away brings no news.
"""

import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gemel.clock import SECOND, Clock, ManualClock, WallClock, parse_duration
from gemel.connect.base import Deliver, dead_letter
from gemel.connect.files import SPAN, Replay
from gemel.connect.tables import TableFile
from gemel.errors import GemelError, Invalid, NotFound, Unavailable
from gemel.records import Entry

_log = logging.getLogger("gemel.connect")

FITS = {"csv": "*.csv", "parquet": "*.parquet"}
DONE = -1  # rows of a file of which no more is to be read
LOOK = 1.0  # s between two looks at a folder in which nothing is due, at least ...
SHARE = 20  # ... and as many times as long as a look takes
GRAIN = 0.02  # s, longer than a file system's clock stands: a round ends before what may still come


@dataclass(frozen=True)
class _Place:
    """In the round of changes after `since` up to `until`, ns: so many rows of a file, the files
    before it done. until: 0 before the first round."""

    since: int = 0
    until: int = 0
    file: str = ""
    rows: int = 0

    def has(self, file: str, changed: int) -> bool:
        """Whether a file is of this round, and not done."""
        before = file < self.file or (file == self.file and self.rows == DONE)
        return self.since < changed <= self.until and not before

    @staticmethod
    def of(position: str) -> "_Place":
        return _Place(**json.loads(position)) if position else _Place()

    def __str__(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


class FolderSource:
    """The files of a folder, each as `FileSource` reads one; with a `ManualClock` those that are
    there, else also those that come.

    files: which, by their path in the folder: * is any part of a name, ** any folders, {twin} the
    shortest name that fits, of the twin of files that do not say so: "{twin}_*.csv". What begins
    with a dot is never read.
    settle: seconds, or "10s", that a file must have been still · everything else: of `FileSource`
    """

    def __init__(
        self,
        name: str,
        path: Path | str,
        format: str,
        files: str = "",
        *,
        settle: str | float = 2.0,
        span: str | float = SPAN,
        since: str = "",
        **how: Any,
    ) -> None:
        self.name, self.path, self.format, self._how = name, Path(path), format, how
        self._took, self._away = 0.0, False  # s for the last look at the folder
        self._settle = int(parse_duration(settle) * SECOND)
        self._replay = Replay.of(name, span, since, live=True)
        self._fits = _pattern(files or FITS[format], name)
        unknown = set(how) - {"columns", "units", "time_zone", "twin", "signals", "delimiter"}
        if unknown:
            raise TypeError(f"unexpected option '{sorted(unknown)[0]}'")
        if not self.path.is_dir():
            raise NotFound(
                "file.missing",
                "there is no such folder",
                where=str(self.path),
                mend="make it, or look at the path; a relative one starts at the plant file",
            )

    def run(self, deliver: Deliver, position: str, clock: Clock, stop: threading.Event) -> None:
        """Deliver what is due after `position`; returns only with a `ManualClock`, or stopped."""
        place, once = _Place.of(position), isinstance(clock, ManualClock)
        self._known: set[str] | None = None
        settle = max(0 if once else self._settle, int(GRAIN * SECOND))
        if once:
            stop.wait(GRAIN)
        while not stop.is_set():
            found = self._look(place, once)
            if found is None:
                stop.wait(LOOK)
                continue
            if place.until == place.since:  # a new round, of what is still
                still = WallClock().now() - settle  # as the disk counts
                until = max((at for at in found.values() if place.since < at <= still), default=0)
                if not until:
                    if once:
                        return
                    stop.wait(max(LOOK, SHARE * self._took))
                    continue
                place = _Place(place.since, until)
            for file in sorted(name for name, at in found.items() if place.has(name, at)):
                rows = place.rows if file == place.file else 0
                here = replace(place, file=file, rows=rows)
                for entries in self._entries(file, here, clock, stop):
                    deliver(entries)
                if stop.is_set():
                    return
            place = _Place(place.until, place.until)

    def _look(self, place: _Place, once: bool) -> dict[str, int] | None:
        """Every file that fits, by its path in the folder, and when it came, ns. Of a file that was
        not there at the last look that is since then, whatever it says: folders are renamed too.
        None while the folder is away."""
        found, began = {}, time.monotonic()
        try:
            for folder, inner, names in os.walk(self.path, onerror=_raise):
                inner[:] = [name for name in inner if not name.startswith(".")]
                for name in names:
                    file = (Path(folder) / name).relative_to(self.path).as_posix()
                    if not name.startswith(".") and self._fits.fullmatch(file):
                        if changed := _changed(self.path / file):
                            found[file] = changed
        except OSError as problem:
            if once:
                raise Unavailable(
                    "folder.unavailable",
                    f"the folder could not be read: {problem}",
                    where=str(self.path),
                    mend="see that it is there and may be read, and begin again",
                ) from problem
            if not self._away:
                _log.warning("%s is away: %s; trying on", self.path, problem)
            self._away = True
            return None
        self._away, self._took = False, time.monotonic() - began
        if self._known is not None:
            for file in found.keys() - self._known:
                found[file] = max(found[file], place.since + 1)
        self._known = set(found)
        return found

    def _entries(
        self, file: str, place: _Place, clock: Clock, stop: threading.Event
    ) -> Iterator[list[Entry]]:
        """One file from a row on. One that cannot be read is a dead letter, and done."""
        told = self._fits.fullmatch(file)
        twin = told.groupdict().get("twin") if told else None
        how = {**self._how, **({"twin": twin} if twin else {})}
        try:
            yield from self._replay.entries(
                TableFile(self.path / file, self.format, **how),
                place.rows,
                clock,
                stop,
                lambda rows: str(replace(place, rows=rows)),
            )
        except Exception as problem:  # whatever a reader makes of bytes that nobody foresaw
            error = problem if isinstance(problem, GemelError) else unreadable(self.path, problem)
            letter = dead_letter(self.name, clock.now(), os.fsencode(file), error)
            yield [replace(letter, position=str(replace(place, rows=DONE)))]


def unreadable(path: Path, problem: object) -> Invalid:
    """The error of rows that no reader could make sense of."""
    return Invalid(
        "file.unreadable",
        f"it cannot be read: {str(problem)[:200]}",
        where=str(path),
        mend="give a CSV file with a header line, or a whole Parquet file",
    )


def _changed(path: Path) -> int:
    """When a file came there, or what a link leads to: ns; 0 where that cannot be said now."""
    try:
        return max(path.lstat().st_ctime_ns, path.stat().st_ctime_ns)
    except OSError:
        return 0


def _raise(problem: OSError) -> None:
    raise problem


def _pattern(files: str, name: str) -> re.Pattern[str]:
    """What a path in the folder must be."""
    told = ""
    for part in re.split(r"(\*\*/|\*|\{[^}]*\})", files):
        if part == "{twin}" and "(?P<twin>" not in told:
            told += r"(?P<twin>[^/]+?)"
        elif part.startswith("{"):
            raise Invalid(
                "file.pattern",
                f"'{files}' names {part}; of a file's name only the twin is read",
                where=f"source {name}",
                mend='write for example files = "{twin}_*.csv"',
            )
        else:
            told += {"**/": r"(?:[^/]+/)*", "*": r"[^/]*"}.get(part, re.escape(part))
    return re.compile(told)
