"""A folder as a source: every file in it, and every file that comes.

Owns    which files are due, in which order, and what is remembered of those that were read.
Never   writes into the folder; loses a file that comes under a name before those already read, or
        while Gemel is away.

A folder is read in rounds. A round takes the files that came since the last one, which the file
system knows by the time of their last change (ctime: a copy or a rename sets it, whatever times a
file says of itself), in the order of their names. A file that changes comes again, whole: what was
known of it are duplicates. So that nobody reads half a file, one is read only when it has been
still for `settle` seconds; best is to write it under a name that does not fit, and to rename it.
"""

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gemel.clock import SECOND, Clock, ManualClock, WallClock, parse_duration
from gemel.connect.base import Deliver, dead_letter
from gemel.connect.files import SPAN, Replay
from gemel.connect.tables import TableFile
from gemel.errors import Invalid, NotFound
from gemel.records import Entry

FITS = {"csv": "*.csv", "parquet": "*.parquet"}
DONE = -1  # rows of a file of which no more is to be read
LOOK = 1.0  # s between two looks at a folder in which nothing is due, at least ...
SHARE = 20  # ... and as many times as long as a look takes


@dataclass(frozen=True)
class _Place:
    """In the round of changes after `since` up to `until`, ns: so many rows of a file, the files
    before it done. until: 0 before the first round."""

    since: int = 0
    until: int = 0
    file: str = ""
    rows: int = 0

    @staticmethod
    def of(position: str) -> "_Place":
        return _Place(**json.loads(position)) if position else _Place()

    def __str__(self) -> str:
        return json.dumps(
            {"since": self.since, "until": self.until, "file": self.file, "rows": self.rows},
            separators=(",", ":"),
        )


class FolderSource:
    """The files of a folder, each as `FileSource` reads one; with a `ManualClock` those that are
    there, else also those that come.

    files: which, by their path in the folder: * is any part of a name, ** any folders, {twin} the
    name of the twin, for files that tell of one and do not say so: "{twin}_*.csv". What begins with
    a dot is never read.
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
        self._took = 0.0  # s for the last look at the folder
        self._settle = int(parse_duration(settle) * SECOND)
        self._replay = Replay.of(name, span, since)
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
        if not place.until:
            place = _Place(until=self._still(once))
        while not stop.is_set():
            for file in self._due(place):
                rows = place.rows if file == place.file else 0
                here = replace(place, file=file, rows=rows)
                for entries in self._entries(file, here, clock, stop):
                    deliver(entries)
                if stop.is_set():
                    return
            until = max(self._still(once), place.until)
            if once and not any(True for _ in self._due(_Place(place.until, until))):
                return
            place = _Place(place.until, until)
            if not once:
                stop.wait(max(LOOK, SHARE * self._took))

    def _still(self, once: bool) -> int:
        return WallClock().now() - (0 if once else self._settle)  # as the file system counts

    def _due(self, place: _Place) -> Iterator[str]:
        """The files of a round from its place on, by their paths in the folder."""
        found, began = [], time.monotonic()
        for folder, inner, names in os.walk(self.path):
            inner[:] = [name for name in inner if not name.startswith(".")]
            for name in names:
                file = (Path(folder) / name).relative_to(self.path).as_posix()
                if file < place.file or (file == place.file and place.rows == DONE):
                    continue
                if not name.startswith(".") and self._fits.fullmatch(file):
                    try:
                        changed = (self.path / file).stat().st_ctime_ns
                    except FileNotFoundError:
                        continue  # gone between two looks
                    if place.since < changed <= place.until:
                        found.append(file)
        self._took = time.monotonic() - began
        yield from sorted(found)

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
        except (Invalid, NotFound) as error:
            letter = dead_letter(self.name, clock.now(), file.encode(), error)
            yield [replace(letter, position=str(replace(place, rows=DONE)))]


def _pattern(files: str, name: str) -> re.Pattern[str]:
    """What a path in the folder must be."""
    told = ""
    for part in re.split(r"(\*\*/|\*|\{[^}]*\})", files):
        if part == "{twin}":
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
