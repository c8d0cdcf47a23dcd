"""The journal in a file, which is the default.

Owns    the file `journal.db`: entries, who may write them, positions that outlive their entries.
Never   says that an entry is there before it is on the disk.

SQLite in WAL mode with `synchronous=FULL`. The writer's number is looked at in the transaction that
writes: so a writer whose time is over writes nothing. A large batch lies in a file beside it
(`batchlog.py`), and its entry says where; it is on the disk before the entry is.
"""

import errno
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gemel import hooks
from gemel.errors import Conflict, Unavailable
from gemel.store.batchlog import MARK, BatchLog, Spot
from gemel.store.journal import Erased, Journal, Pending, Row, damaged, without

FORMAT = 4  # of the file, in user_version. 1: no `state`, no `place`; 2: no wide batch; 3: no log
LARGE = 1 << 16  # bytes from which on a batch lies in a file of its own
CHECKPOINT = 16 << 20  # bytes the write-ahead log grows before it is folded into the file
CHUNK = 1_000  # entries of one transaction of who deletes: the appends between wait no longer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
  sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, source TEXT NOT NULL, position TEXT NOT NULL,
  received_at INTEGER NOT NULL, batch BLOB, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS entry_position ON entry (source, sequence) WHERE position <> '';
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS place (source TEXT PRIMARY KEY, position TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS log (
  number INTEGER PRIMARY KEY, last INTEGER NOT NULL, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS wipe (spot BLOB PRIMARY KEY);
INSERT OR IGNORE INTO state VALUES ('writer', 0);
"""
_FIRST = "SELECT min(sequence) FROM entry"
_LAST = "SELECT max(sequence) FROM entry"
_INSERT = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)"
_READ = "SELECT * FROM entry WHERE sequence > ? ORDER BY sequence LIMIT ?"
_ONE = "SELECT * FROM entry WHERE sequence = ?"
_WRITER = "SELECT value FROM state WHERE name = 'writer'"
_CLAIM = "UPDATE state SET value = value + 1 WHERE name = 'writer'"
_POSITION = """
SELECT position FROM entry WHERE source = ?1 AND position <> '' ORDER BY sequence DESC LIMIT 1
"""
_BLANK = "UPDATE entry SET batch = ?, body = ? WHERE sequence = ?"
_PLACED = "SELECT position FROM place WHERE source = ?"
_PLACE = """
INSERT OR REPLACE INTO place SELECT source, position FROM entry WHERE sequence IN
  (SELECT max(sequence) FROM entry WHERE position <> '' AND sequence < ? GROUP BY source)
"""
_OLD = "SELECT sequence FROM entry WHERE sequence < ? ORDER BY sequence LIMIT ?"
_FORGET = f"DELETE FROM entry WHERE sequence IN ({_OLD})"
# of `log`: last: the sequence of the last entry whose batch lies in it · size: its bytes that count
_LOGS = "SELECT number, size FROM log"
_LOGGED = "INSERT OR REPLACE INTO log VALUES (?, ?, ?)"
_NEXT_LOG = "SELECT ifnull(max(number), 0) + 1 FROM log"
_EMPTY = "SELECT number FROM log WHERE last < ? AND number < (SELECT max(number) FROM log)"
_UNLOG = "DELETE FROM log WHERE number = ?"
_TO_WIPE = f"""
INSERT OR IGNORE INTO wipe
  SELECT batch FROM entry WHERE substr(batch, 1, 1) = x'{MARK.hex()}' AND"""
_WIPES = "SELECT spot FROM wipe"
_WIPED = "DELETE FROM wipe WHERE spot = ?"


class SqliteJournal(Journal):
    """The journal of one data directory, in a file of its own.

    >>> import tempfile
    >>> from gemel.records import Entry
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = SqliteJournal(Path(folder) / "journal.db")
    ...     journal.append([Entry("beat", "loop", received_at=7), Entry("beat", "loop", 8)])
    ...     [entry.received_at for entry in journal.read(after=1)]
    ...     journal.close()
    [1, 2]
    [8]
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = Path(path)
        self._reading = threading.Lock()
        self._number = 0  # ours, once we claimed
        self._fold_at = CHECKPOINT
        self._log = BatchLog(self.path.with_name(self.path.stem + ".batches"))
        with self._told():
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                raise self._unwritable(problem) from problem
            self._writer, self._reader = self._open(), self._open()
            self._last = self._reader.execute(_LAST).fetchone()[0] or 0

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
                where=self.where,
                mend="use the newer Gemel that wrote it",
            )
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        base.execute("PRAGMA wal_autocheckpoint=0")  # folded in _fold, where nobody is surprised
        if version < FORMAT:
            base.executescript(_SCHEMA)
            base.execute(f"PRAGMA user_version={FORMAT}")
        return base

    def claim(self) -> None:
        """Be the writer; the lease of the data directory decides who may ask."""
        with self._change() as base:
            base.execute(_CLAIM)
            number, last = base.execute(_WRITER).fetchone()[0], base.execute(_LAST).fetchone()[0]
            self._log.keep(dict(base.execute(_LOGS).fetchall()))
            spots = base.execute(_WIPES).fetchall()
        self._wipe(spots)
        with self._turn:
            self._number, self._last, self._held = number, last or 0, 0
            self._tail.clear()

    def _write(self, group: list[Pending], first: int) -> None:
        """One transaction. On any failure nothing of it stays."""
        if not self._number:
            self.claim()
            first = self._last + 1
        rows = [(first + k, *row) for k, row in enumerate(r for p in group for r in p.rows)]
        base, log, tried = self._writer, self._log, False
        before = log.number, log.end
        with self._told():
            try:
                base.execute("BEGIN IMMEDIATE")
                if base.execute(_WRITER).fetchone()[0] != self._number:
                    raise self._fenced()
                self._lay_apart(base, rows)
                base.executemany(_INSERT, rows)
                hooks.at("journal.before_commit")
                tried = True
                base.execute("COMMIT")
                log.committed()
                self._last = first - 1 + len(rows)
                hooks.at("journal.after_commit")
            except BaseException:
                if base.in_transaction and not tried:
                    log.back(*before)
                else:
                    log.leave()
                if base.in_transaction:
                    base.execute("ROLLBACK")
                self._last = base.execute(_LAST).fetchone()[0] or 0  # whatever stopped us, where
                raise
        for pending in group:
            pending.sequences = list(range(first, first + len(pending.rows)))
            first += len(pending.rows)
        if self._log_size() >= self._fold_at:
            self._fold()

    def _lay_apart(self, base: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
        """Put large batches into the log, and where each lies in its place."""
        large = [k for k, row in enumerate(rows) if row[5] is not None and len(row[5]) >= LARGE]
        if not large:
            return
        log = self._log
        if log.due:
            log.cut(dict(base.execute(_LOGS).fetchall()))
        if log.full:
            log.begin(base.execute(_NEXT_LOG).fetchone()[0])
        spots = log.append([rows[k][5] for k in large])
        for k, spot in zip(large, spots, strict=True):
            rows[k] = (*rows[k][:5], spot.pack(), rows[k][6])
        base.execute(_LOGGED, (log.number, rows[large[-1]][0], log.end))
        hooks.at("journal.after_log")

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

    # ---- reading --------------------------------------------------------------------------------

    def position(self, source: str) -> str:
        rows = self._ask(_POSITION, (source,)) or self._ask(_PLACED, (source,))
        return str(rows[0][0]) if rows else ""

    def first(self) -> int:
        return int(self._ask(_FIRST)[0][0] or 1)

    def _fetch(self, after: int, limit: int) -> list[tuple[int, Row]]:
        while True:
            rows = [self._whole(row) for row in self._ask(_READ, (after, limit))]
            if None not in rows:  # else some were let go of meanwhile: as it stands now
                return [(row[0], row[1:]) for row in rows if row]

    def _whole(self, row: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """An entry, its batch out of the log if it lies there; None if it is not as it was."""
        try:
            spot = Spot.of(row[5])
            blob = row[5] if spot is None else self._log.read(spot)
            if spot is None or blob is not None:
                return (*row[:5], blob, row[6])
            problem = f"{self._log.path(spot.file)} is not there"
        except ValueError as fault:
            problem = str(fault)
        except OSError as fault:
            if fault.errno != errno.EIO:
                raise self._unreadable(fault) from fault
            problem = str(fault)
        now = self._ask(_ONE, (row[0],))
        if now and now[0][5] == row[5]:
            raise damaged(self.where, f"entry {row[0]}: {problem}")
        return None

    def _ask(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._reading:
            if self._closed:
                raise self._gone()
            with self._told():
                return self._reader.execute(query, values).fetchall()

    def seal(self) -> None:
        """Nothing: it can cut anywhere."""

    # ---- letting go -----------------------------------------------------------------------------

    def forget(self, before: int) -> int:
        """All of them, but for the last entry. Files of batches of which none is left are deleted;
        all else that goes is overwritten with zeros."""
        self._wipe(self._ask(_WIPES))
        before = min(before, self.last())
        with self._change() as base:
            base.execute(_PLACE, (before,))
        while True:
            with self._change() as base:
                base.execute(f"{_TO_WIPE} sequence IN ({_OLD})", (before, CHUNK))
                if not base.execute(_FORGET, (before, CHUNK)).rowcount:
                    break
        for (number,) in self._ask(_EMPTY, (self.first(),)):
            with self._change() as base:
                self._log.drop(number)
                base.execute(_UNLOG, (number,))
        self._wipe(self._ask(_WIPES))
        return self.first()

    def _wipe(self, spots: list[tuple[bytes]]) -> None:
        """Put zeros where batches lay that were let go of; after a kill, what was left of it."""
        if not spots:
            return
        with self._told():
            self._log.wipe(filter(None, (Spot.of(spot) for (spot,) in spots)))
        with self._change() as base:
            base.executemany(_WIPED, spots)

    def erase(self, twin: str, before: int, until: int, held: int) -> Erased | None:
        """At once: entries are written anew without it, and the old bytes overwritten with zeros;
        last of all the write-ahead log is emptied."""
        samples = entries = letters = 0
        after = self.first() - 1
        while rows := [row for row in self._fetch(after, CHUNK) if row[0] <= until]:
            after, changed = rows[-1][0], []
            for sequence, row in rows:
                new, some, dead = without(row, twin, before)
                if some or dead:
                    changed.append((new[4], new[5], sequence))
                    samples, letters, entries = samples + some, letters + dead, entries + 1
            if changed:
                with self._change() as base:
                    base.executemany(f"{_TO_WIPE} sequence = ?", [row[2:] for row in changed])
                    base.executemany(_BLANK, changed)
        self._wipe(self._ask(_WIPES))
        with self._change() as base:
            self._log.cut(dict(base.execute(_LOGS).fetchall()))
        with self._turn:
            self._tail.clear()
            self._held = 0
        how = "blanked in the journal and overwritten there; the entries stay, with their sequence"
        if not self._empty_log():
            how += "; a reader is in the way of journal.db-wal, which is overwritten later"
        return Erased(samples, entries, letters, how)

    def _empty_log(self) -> bool:
        """Whether nothing is left in the write-ahead log that was there until now."""
        with self._told():
            base = self._open()
            try:
                busy, _, _ = base.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                base.close()
        return not busy

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction beside the appends', on a connection of its own."""
        with self._told():
            base = self._open()
            try:
                base.execute("PRAGMA secure_delete=ON")
                base.execute("BEGIN IMMEDIATE")
                yield base
                base.execute("COMMIT")
            finally:
                base.close()  # what was not committed is rolled back

    def _shut(self) -> None:
        with self._reading:
            self._fold()
            self._log.close()
            self._reader.close()
            self._writer.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The errors of SQLite and of the disk as ours."""
        try:
            yield
        except sqlite3.Error as problem:
            raise self._failure(problem) from problem
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def _failure(self, problem: sqlite3.Error) -> Unavailable:
        # sqlite3 raises the plain class for what is not a database, subclasses for the rest
        if type(problem) is sqlite3.DatabaseError:
            return damaged(self.where, problem)
        return self._unwritable(problem)
