"""The journal: every fact that can change anything, durable and in one order.

Owns    the sequence 1, 2, 3 …, the file `journal.db`, and how a batch is written as bytes.
Never   judges an entry, drops one, or returns before it is on the disk.

SQLite in WAL mode with `synchronous=FULL`. Concurrent callers share one commit: the first to come
writes for all who wait (group commit), so an fsync is paid once a group and not once a caller.
"""

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gemel import hooks
from gemel.errors import Conflict, GemelError, Invalid, Unavailable
from gemel.labels import Labels
from gemel.records import Batch, Entry
from gemel.store.coded import coded

FORMAT = 1  # of the file; kept in user_version
CALLERS = 64  # who may hold unwritten entries at once; the others wait: back-pressure
CHECKPOINT = 16 << 20  # bytes the write-ahead log grows before it is folded into the file
TAIL = 1_000_000  # samples (or entries) just written that are kept in memory for who reads on
SMALL = 64  # samples; below it JSON is faster than an Arrow stream (measured: 40 µs against 240)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
  sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, source TEXT NOT NULL, position TEXT NOT NULL,
  received_at INTEGER NOT NULL, batch BLOB, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS entry_position ON entry (source, sequence) WHERE position <> '';
"""
_LAST = "SELECT max(sequence) FROM entry"
_INSERT = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)"

Row = tuple[str, str, str, int, bytes | memoryview | None, str]


@dataclass(eq=False)
class _Pending:
    """One call of `append` that waits for its commit."""

    rows: list[Row]
    entries: Sequence[Entry]
    sequences: list[int] = field(default_factory=list)
    error: GemelError | None = None
    done: bool = False


class Journal:
    """The durable input of one data directory.

    Safe to use from many threads of the process that holds the lease.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(Path(folder) / "journal.db")
    ...     journal.append([Entry("beat", "loop", received_at=7), Entry("beat", "loop", 8)])
    ...     [entry.received_at for entry in journal.read(after=1)]
    ...     journal.close()
    [1, 2]
    [8]
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._turn = threading.Condition()  # guards the four below
        self._waiting: list[_Pending] = []
        self._leading = False
        self._closed = False
        self._last = 0
        self._tail: deque[Entry] = deque()  # the newest entries, without a gap
        self._held = 0  # samples in the tail
        self._callers = threading.BoundedSemaphore(CALLERS)
        self._reading = threading.Lock()
        self._fold_at = CHECKPOINT
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer, self._reader = self._open(), self._open()
            self._last = self._reader.execute(_LAST).fetchone()[0] or 0
        except sqlite3.DatabaseError as problem:
            raise self._failure(problem) from problem
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(
            self.path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        version = base.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            base.close()
            raise Conflict(
                "journal.newer",
                f"the journal has format {version}; this Gemel reads up to {FORMAT}",
                where=str(self.path),
                mend="use the newer Gemel that wrote it",
            )
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        base.execute("PRAGMA wal_autocheckpoint=0")  # folded in _fold, where nobody is surprised
        base.executescript(_SCHEMA)
        base.execute(f"PRAGMA user_version={FORMAT}")
        return base

    def append(self, entries: Sequence[Entry]) -> list[int]:
        """Make entries durable; returns their sequence numbers once they are on the disk.

        The entries of one call are contiguous, in order, and all there or none. A full disk or a
        closed journal is `Unavailable`; what cannot be written as bytes is `Invalid` and stops
        nobody else.
        """
        if not entries:
            return []
        with self._callers:
            own = _Pending([_row(entry) for entry in entries], entries)
            with self._turn:
                if self._closed:
                    raise self._gone()
                self._waiting.append(own)
                while self._leading and not own.done:
                    self._turn.wait()
                group: list[_Pending] = []
                if not own.done:
                    self._leading, group, self._waiting = True, self._waiting, []
            if group:
                self._lead(group)
        if own.error is not None:
            raise own.error
        return own.sequences

    def _lead(self, group: list[_Pending]) -> None:
        """Write for everybody in the group, then wake them."""
        error: GemelError | None = None
        first = self._last + 1
        try:
            self._write(group, first)
        except sqlite3.Error as problem:
            error = self._failure(problem)
        except BaseException:
            error = self._unwritable("the commit was interrupted")
            raise
        finally:
            with self._turn:
                for pending in group:
                    if error is None:
                        pending.sequences = list(range(first, first + len(pending.rows)))
                        first += len(pending.rows)
                        self._keep(pending)
                    pending.error, pending.done = error, True
                self._leading = False
                self._turn.notify_all()

    def _keep(self, pending: _Pending) -> None:
        """Hold what is durable now for the next reads; what does not follow on begins anew."""
        if self._tail and self._tail[-1].sequence + 1 != pending.sequences[0]:
            self._tail.clear()
            self._held = 0
        for entry, sequence, row in zip(
            pending.entries, pending.sequences, pending.rows, strict=True
        ):
            body = json.loads(row[5]) if row[5] else {}  # as it will be read from the file
            self._tail.append(replace(entry, sequence=sequence, body=body))
            self._held += _weight(entry)
        while self._held > TAIL:
            self._held -= _weight(self._tail.popleft())

    def _write(self, group: list[_Pending], first: int) -> None:
        """One transaction. On any failure nothing of it stays."""
        rows = [row for pending in group for row in pending.rows]
        base = self._writer
        try:
            base.execute("BEGIN IMMEDIATE")
            base.executemany(_INSERT, ((first + i, *row) for i, row in enumerate(rows)))
            hooks.at("journal.before_commit")
            base.execute("COMMIT")
            self._last = first - 1 + len(rows)
            hooks.at("journal.after_commit")
        except BaseException:
            if base.in_transaction:
                base.execute("ROLLBACK")
            self._last = base.execute(_LAST).fetchone()[0] or 0  # whatever stopped us, and where
            raise
        if self._log_size() >= self._fold_at:
            self._fold()

    def _fold(self) -> None:
        """Fold the write-ahead log into the file; a reader in the way only puts it off."""
        try:
            self._writer.execute("PRAGMA busy_timeout=50")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._writer.execute("PRAGMA busy_timeout=5000")
        except sqlite3.Error:
            pass  # the entries are durable already; the next append meets a full disk itself
        self._fold_at = self._log_size() + CHECKPOINT

    def _log_size(self) -> int:
        log = Path(f"{self.path}-wal")
        return log.stat().st_size if log.exists() else 0

    def read(self, after: int, limit: int = 1000) -> list[Entry]:
        """Up to `limit` entries with a sequence greater than `after`, in order."""
        with self._turn:
            if self._tail and self._tail[0].sequence <= after + 1:
                begin = after + 1 - self._tail[0].sequence
                return list(islice(self._tail, begin, begin + limit))
        rows = self._ask(
            "SELECT * FROM entry WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, limit)
        )
        return [_entry(row, self.path) for row in rows]

    def last(self) -> int:
        """The sequence of the last durable entry, 0 when there is none."""
        with self._turn:
            return self._last

    def position(self, source: str) -> str:
        """The position of the last entry of that source that has one, else ""."""
        rows = self._ask(
            "SELECT position FROM entry WHERE source = ? AND position <> ''"
            " ORDER BY sequence DESC LIMIT 1",
            (source,),
        )
        return str(rows[0][0]) if rows else ""

    def wait(self, after: int, timeout: float) -> bool:
        """Wait until there is an entry past `after`; False when `timeout` seconds brought none."""
        with self._turn:
            self._turn.wait_for(lambda: self._last > after or self._closed, timeout)
            return self._last > after

    def close(self) -> None:
        """Finish the commit in hand, fold the log, close the file. A second close does nothing."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
            self._turn.wait_for(lambda: not self._leading and not self._waiting)
            self._turn.notify_all()
        with self._reading:
            self._fold()
            self._reader.close()
            self._writer.close()

    def _ask(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        with self._reading:
            if self._closed:
                raise self._gone()
            try:
                return self._reader.execute(query, values).fetchall()
            except sqlite3.Error as problem:
                raise self._failure(problem) from problem

    def _gone(self) -> Unavailable:
        return Unavailable(
            "journal.closed",
            "the journal is closed",
            where=str(self.path),
            mend="Gemel is stopping: send it again once it runs",
        )

    def _unwritable(self, problem: object) -> Unavailable:
        return Unavailable(
            "journal.unwritable",
            f"nothing of this was kept: {problem}",
            where=str(self.path),
            mend="make room on the disk and see that it can be written; the sender may then retry",
        )

    def _failure(self, problem: sqlite3.Error) -> Unavailable:
        # sqlite3 raises the plain class for what is not a database, subclasses for the rest
        damaged = type(problem) is sqlite3.DatabaseError
        return _damaged(self.path, problem) if damaged else self._unwritable(problem)


def _weight(entry: Entry) -> int:
    return 1 if entry.batch is None else 1 + len(entry.batch)


def _damaged(path: Path, problem: object) -> Unavailable:
    return Unavailable(
        "journal.damaged",
        f"it cannot be read: {problem}",
        where=str(path),
        mend="put the file back from a backup; it was not written to",
    )


def _row(entry: Entry) -> Row:
    """An entry as columns; `Invalid` if it has no form as bytes."""
    try:
        entry.source.encode(), entry.position.encode()
        batch = None if entry.batch is None else encode(entry.batch)
        body = json.dumps(entry.body, separators=(",", ":")) if entry.body else ""
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as problem:
        raise Invalid(
            "journal.entry",
            f"an entry of kind '{entry.kind}' cannot be kept: {problem}",
            where=f"source {entry.source!r}",
            mend="names are valid Unicode, values are numbers, a body is plain JSON",
        ) from problem
    return entry.kind, entry.source, entry.position, int(entry.received_at), batch, body


def _entry(row: tuple[Any, ...], path: Path) -> Entry:
    sequence, kind, source, position, received_at, blob, body = row
    try:
        batch = None if blob is None else decode(blob)
        facts = json.loads(body) if body else {}
    except (ValueError, pa.ArrowException) as problem:
        raise _damaged(path, f"entry {sequence}: {problem}") from problem
    return Entry(kind, source, received_at, position, batch, facts, sequence)


def encode(batch: Batch) -> bytes | memoryview:
    """A batch as bytes: JSON columns when small, else an Arrow stream; what all rows share is
    written once.

    Exact: int64 instants, float64 values with NaN and the infinities.

    >>> decode(encode(Batch.of([("a", "x", 2**62 + 1, float("inf"), "")]))).instant.tolist()
    [4611686018427387905]
    """
    if len(batch) < SMALL:
        return json.dumps(
            [
                batch.twin.tolist(),
                batch.signal.tolist(),
                batch.instant.tolist(),
                batch.value.tolist(),
                batch.unit.tolist(),
            ],
            separators=(",", ":"),
        ).encode()
    names = ["twin", "signal", "instant", "value", "unit"]
    columns = [
        _words(batch.twin),
        _words(batch.signal),
        pa.array(batch.instant),
        pa.array(batch.value),
        _words(batch.unit),
    ]
    if (batch.instant == batch.instant[0]).all():
        columns[2] = _once(batch.instant[:1], len(batch))
    record = pa.record_batch(columns, names=names)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, record.schema) as stream:
        stream.write_batch(record)
    return memoryview(sink.getvalue())


def _words(labels: Labels) -> pa.Array:
    """A dictionary with numbers as small as will do; one word alone is written once."""
    used = labels.compact()
    if len(used.words) == 1:
        return _once(list(used.words), len(used))
    code = used.code.astype(np.min_scalar_type(len(used.words)))
    return pa.DictionaryArray.from_arrays(code, coded(used.words))


def _once(value: Any, rows: int) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(pa.array([rows], pa.int32()), pa.array(value))


def decode(blob: bytes) -> Batch:
    """The batch that `encode` wrote."""
    if blob[:1] == b"[":
        twin, signal, instant, value, unit = json.loads(blob)
        return Batch(
            Labels.of(twin),
            Labels.of(signal),
            np.array(instant, dtype=np.int64),
            np.array(value, dtype=np.float64),
            Labels.of(unit),
        )
    with pa.ipc.open_stream(blob) as stream:
        record = stream.read_next_batch()

    def labels(name: str) -> Labels:
        column = record.column(name)
        if pa.types.is_run_end_encoded(column.type):
            return Labels.full(len(record), column.values[0].as_py())
        code = column.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        return Labels(tuple(column.dictionary.to_pylist()), code)

    instant = record.column("instant")
    if pa.types.is_run_end_encoded(instant.type):
        instants = np.full(len(record), instant.values[0].as_py(), np.int64)
    else:
        instants = instant.to_numpy(zero_copy_only=False).copy()
    return Batch(
        labels("twin"),
        labels("signal"),
        instants,
        record.column("value").to_numpy(zero_copy_only=False).copy(),
        labels("unit"),
    )
