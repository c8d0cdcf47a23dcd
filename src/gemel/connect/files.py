"""Files as sources: samples and events, replayed at the plant's clock.

Owns    when a row of a file is delivered, and in what entries.
Never   loses a row: what cannot be read is delivered as a dead letter with its line number.

The position of a file is the number of rows consumed, in order of time (`connect/tables`).
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gemel.clock import SECOND, Clock, ManualClock, WallClock, parse_duration, parse_instant
from gemel.connect.base import Deliver, dead_letter
from gemel.connect.tables import Block, TableFile
from gemel.records import Batch, Entry, Instants

SAMPLES = 5_000  # one entry holds at most
SPAN = 3_600.0  # s of data that one entry holds at most
POLL = 0.05  # s; the shortest wait for the plant's clock


def read_table(path: Path | str, **how: Any) -> Batch:
    """A whole file as one batch in order of time; options as those of `FileSource`.

    What cannot be read is left out, and a warning in the log says how much that was.
    """
    return TableFile(Path(path), **how).read()


class FileSource:
    """A file of samples, replayed.

    With a `ManualClock` the file moves the clock: to the last instant of each entry, before that
    entry is delivered. With any other clock a row is delivered once its instant has come.

    columns: our name → the file's, for twin, time, signal, value, unit and every signal
    units: signal → unit, "" = as declared · signals: read these only · twin: of a file of one twin
    time_zone: of times that carry none · span: seconds, or "6h", of data in one entry at most
    since: rows at or before this instant are left out
    """

    def __init__(
        self,
        name: str,
        path: Path | str,
        format: str | None = None,
        columns: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        *,
        time_zone: str | None = None,
        twin: str | None = None,
        signals: Sequence[str] | None = None,
        delimiter: str | None = None,
        span: str | float = SPAN,
        since: str = "",
    ) -> None:
        self.name, self._replay = name, Replay.of(name, span, since)
        self.file = TableFile(
            Path(path), format, columns or {}, units or {}, time_zone, twin, signals, delimiter
        )

    def run(self, deliver: Deliver, position: str, clock: Clock, stop: threading.Event) -> None:
        """Deliver the rows after `position`, entry by entry; returns at the end of the file."""
        for entries in self._replay.entries(self.file, int(position or 0), clock, stop):
            deliver(entries)


@dataclass(frozen=True)
class Replay:
    """How tables become entries of a source. span: ns of data in one entry at most · since: rows at
    or before this instant are left out · live: at the wall's clock a row is delivered as it is
    read, and one from the future stops nobody"""

    name: str
    span: int
    since: int | None = None
    live: bool = False

    @staticmethod
    def of(name: str, span: str | float = SPAN, since: str = "", live: bool = False) -> "Replay":
        """From what a plant file says."""
        first = parse_instant(since) if since else None
        return Replay(name, int(parse_duration(span) * SECOND), first, live)

    def entries(
        self,
        file: TableFile,
        done: int,
        clock: Clock,
        stop: threading.Event,
        place: Callable[[int], str] = str,
    ) -> Iterator[list[Entry]]:
        """The rows after the first `done`, when their time has come. place: the position after so
        many rows of the table."""
        first = 0
        for block in file.blocks():
            rows = len(block.instant)
            row = max(0, done - first)
            if self.since is not None:
                row = max(row, int(np.searchsorted(block.instant, self.since, "right")))
            while row < rows:
                end = self._end(block, row)
                if not (self.live and isinstance(clock, WallClock)):
                    end = _due(clock, stop, block.instant, row, end)
                if stop.is_set():
                    return
                yield self._entries(block, row, end, place(first + end), clock.now())
                row = end
            first += rows

    def _end(self, block: Block, row: int) -> int:
        """Where the entry that starts at `row` ends: by span, and by number of samples."""
        before = block.ends[row - 1] if row else 0
        most = np.searchsorted(block.ends, before + SAMPLES, "right")
        span = np.searchsorted(block.instant, block.instant[row] + self.span, "right")
        return max(row + 1, int(min(most, span)))

    def _entries(self, block: Block, row: int, end: int, position: str, at: int) -> list[Entry]:
        samples = slice(int(block.ends[row - 1]) if row else 0, int(block.ends[end - 1]))
        dead = [
            dead_letter(self.name, at, fault.payload, fault.error)
            for fault in block.faults
            if row <= fault.row < end
        ]
        batch = block.batch.part(samples)
        # an entry even when it is empty, so that the position moves on
        return [*dead, Entry("batch", self.name, at, position, batch)]


class EventFileSource:
    """A file of another stream, one event a row: `time` and the columns of the body.

    Each row becomes an entry `event` with the body {"name", "instant", **columns}; a cell that is
    a number comes as one, an empty cell not at all. A row is delivered once its instant has come;
    all at once when the stream is known `ahead` (a calendar), or the clock is a `ManualClock`,
    which only telemetry moves: whoever uses an event looks at its instant.
    """

    def __init__(
        self,
        name: str,
        path: Path | str,
        event: str | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        time_zone: str | None = None,
        ahead: bool = False,
    ) -> None:
        self.name, self.event, self.ahead = name, event or name, ahead
        self.file = TableFile(Path(path), columns=columns or {}, time_zone=time_zone)

    def run(self, deliver: Deliver, position: str, clock: Clock, stop: threading.Event) -> None:
        """Deliver the rows after `position`; returns at the end of the file."""
        block, bodies = self.file.events(self.event)
        row, at_once = int(position or 0), self.ahead or isinstance(clock, ManualClock)
        while row < len(bodies):
            end = min(row + 1000, len(bodies))
            end = end if at_once else _due(clock, stop, block.instant, row, end)
            if stop.is_set():
                return
            wrong, at = {fault.row: fault for fault in block.faults}, clock.now()
            entries = []
            for place in range(row, end):
                if place in wrong:
                    fault = wrong[place]
                    letter = dead_letter(self.name, at, fault.payload, fault.error)
                    entries.append(replace(letter, position=str(place + 1)))
                elif bodies[place]:
                    body = bodies[place]
                    entries.append(Entry("event", self.name, at, str(place + 1), body=body))
            if entries:
                deliver(entries)
            row = end


def read_events(path: Path | str, name: str, **how: Any) -> list[dict[str, Any]]:
    """The bodies of a whole file of events, in order of time."""
    return [body for body in TableFile(Path(path), **how).events(name)[1] if body]


def _due(clock: Clock, stop: threading.Event, instant: Instants, row: int, end: int) -> int:
    """The end of the rows from `row` on that may be delivered now; waits until there is one."""
    if isinstance(clock, ManualClock):
        clock.advance_to(int(instant[end - 1]))
        return end
    while not stop.is_set():
        ready = int(np.searchsorted(instant[:end], clock.now(), "right"))
        if ready > row:
            return ready
        ahead = (int(instant[row]) - clock.now()) / SECOND / clock.speed
        stop.wait(min(max(ahead, POLL), 1.0))
    return row
