"""One Delta table of the lake: files with bounds, added and replaced by transactions.

Owns    how a file of facts is written, what its bounds are, and every commit to Delta's log.
Never   knows what a fact means, or changes a file: it adds new ones and takes old ones out.

A *mark* is a number that one commit sets together with its rows (Delta's app transactions): how
far something has come. So it can never tell of rows that are not there.
"""

import json
import os
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from gemel import hooks
from gemel.clock import WallClock
from gemel.errors import Unavailable
from gemel.store import parquet
from gemel.store.coded import ends, lies, runs, unified
from gemel.store.wanted import Part

WRITTEN = "gemel"  # the mark of the last tick that was appended
REPLACED = "gemel.replaced"  # counts replacements: of two at once, one is refused
TAKEN = "gemel.taken"  # the last tick whose facts went into a roll-up or the latest values
BEGUN = "gemel.begun"  # the first instant of a roll-up
MADE = "gemel.made"  # instants before it are rolled up
KEPT = "gemel.kept"  # instants before it were dropped, as the retention says
ERASED = "gemel.erased"  # the tick of the last erasure that was carried out
MARKS = (WRITTEN, REPLACED, TAKEN, BEGUN, MADE, KEPT, ERASED)
LAST_WORD, MOST = "\U0010ffff" * 4, 1e308  # no word is later, no number greater
GROUP = 1 << 14  # rows of a row group in a sorted file: the least that a read takes in
FILE = 1 << 19  # rows of a sorted file: by its bounds most are never opened
TRIES = 5  # of a commit that another overtook
WEEK = 168  # hours that a replaced file stays for readers that have listed it
_RUNS = ("instant", "received_at", "known_at", "closed_at", "tick", "quality")  # few values, often


@dataclass(frozen=True)
class Look:
    """A table at one version of Delta's: its files, and its marks, −1 where one was never set."""

    version: int
    parts: list[Part]
    marks: dict[str, int]


class Table:
    """A table of one folder: one process writes it, from any of its threads; any may read."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder, self.schema = folder, schema
        self._lock = threading.Lock()
        self._handle: DeltaTable | None = None
        self._look: Look | None = None

    def look(self) -> "Look":
        """The table as it is now."""
        with self._lock, told(self.folder):
            handle = self._open()
            if handle is None:
                return Look(-1, [], dict.fromkeys(MARKS, -1))
            version = handle.version()
            if self._look is None or self._look.version != version:
                found = {name: handle.transaction_version(name) for name in MARKS}
                marks = {name: -1 if at is None else at for name, at in found.items()}
                self._look = Look(version, _parts(handle, self.schema), marks)
            return self._look

    def mark(self, name: str) -> int:
        """One mark, −1 if it was never set; the files are not listed."""
        with self._lock, told(self.folder):
            handle = self._open()
            found = None if handle is None else handle.transaction_version(name)
            return -1 if found is None else int(found)

    def append(
        self, rows: pa.Table, marks: Mapping[str, int], name: str = "part", ordered: bool = False
    ) -> None:
        """Add one file of rows and set marks, in one commit; no rows: only the marks."""
        self._commit([], [rows], marks, name, ordered, changes=True)

    def replace(
        self,
        old: Sequence[Part],
        new: Sequence[pa.Table],
        marks: Mapping[str, int],
        name: str,
        changes: bool = False,
    ) -> None:
        """Put sorted rows where old files were, in one commit. `changes`: not the same rows."""
        self._commit(old, new, marks, name, True, changes)

    def vacuum(self, hours: int = WEEK) -> int:
        """Delete files that were replaced so long ago; how many. 0 hours: all that were, and the
        log of before, which tells the least and greatest value of each.
        """
        with told(self.folder):
            if not (self.folder / "_delta_log").is_dir():
                return 0
            handle = DeltaTable(str(self.folder))  # of its own: a writer does not wait for it
            gone = handle.vacuum(
                hours, dry_run=False, enforce_retention_duration=False, full=hours >= WEEK
            )
            handle.create_checkpoint()
            if not hours:
                for path in (self.folder / "_delta_log").iterdir():
                    version = path.name.partition(".")[0]
                    if version.isdecimal() and int(version) < handle.version():
                        path.unlink()
            return len(set(gone))

    def _commit(
        self,
        old: Sequence[Part],
        new: Sequence[pa.Table],
        marks: Mapping[str, int],
        name: str,
        ordered: bool,
        changes: bool,
    ) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with told(self.folder):
            added = [write(self.folder, name, rows, ordered, changes) for rows in new if len(rows)]
            now = WallClock().now() // 1_000_000
            gone = [RemoveAction(part.path, changes, now, part.size, {}) for part in old]
            hooks.at("lake.before_write")
            for attempt in range(TRIES):
                with self._lock:
                    handle = self._open(make=True)
                    assert handle is not None
                    count = handle.transaction_version(REPLACED) or 0
                    every = {**marks, **({REPLACED: count + 1} if old else {})}
                    marked = [Transaction(key, value) for key, value in every.items()]
                    how = CommitProperties(app_transactions=marked)
                    try:
                        handle.create_write_transaction(
                            [*added, *gone], "append", self.schema, commit_properties=how
                        )
                        break
                    except DeltaError:  # a commit of another process came between
                        if attempt == TRIES - 1 or old:
                            raise
            hooks.at("lake.after_write")

    def _open(self, make: bool = False) -> DeltaTable | None:
        if self._handle is None:
            path = str(self.folder)
            if make:
                self._handle = DeltaTable.create(path, schema=self.schema, mode="ignore")
            elif (self.folder / "_delta_log").is_dir() and DeltaTable.is_deltatable(path):
                self._handle = DeltaTable(path)
            else:
                return None
        self._handle.update_incremental()
        return self._handle


def _parts(handle: DeltaTable, schema: pa.Schema) -> list[Part]:
    """The files of a table, in the order of their first ticks."""
    found = pa.table(handle.get_add_actions(flatten=True))
    columns = {name: found[name].to_pylist() for name in ("path", "num_records", "size_bytes")}
    bounds = [
        {name: found[f"{side}.{name}"].to_pylist() for name in schema.names}
        for side in ("min", "max")
    ]
    parts = [
        Part(path, rows, size, *({n: column[k] for n, column in b.items()} for b in bounds))
        for k, (path, rows, size) in enumerate(zip(*columns.values(), strict=True))
    ]
    return sorted(parts, key=lambda part: (part.low["tick"], part.high["tick"], part.path))


def read(folder: Path, parts: Sequence[Part], words: Sequence[str]) -> pa.Table:
    """The rows of some files, one after the other; `words` as dictionaries."""
    with told(folder):
        how = {"read_dictionary": list(words), "use_threads": False}  # of this thread's priority
        tables = [pq.read_table(folder / part.path, **how) for part in parts]
    return pa.concat_tables(tables, promote_options="default")  # of some, columns without a null


def sort(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Rows by some words, then by instant, then as they came."""
    rows = unified(rows).combine_chunks()
    if len(rows) < 2:
        return rows
    place, count = np.zeros(len(rows), np.int64), 1
    for name in keys:
        column = _alphabetic(rows[name].chunk(0))
        rows = rows.set_column(rows.column_names.index(name), name, column)
        several = max(len(column.dictionary), 1)
        place, count = place * several + column.indices.to_numpy(), count * several
    instant = rows["instant"].to_numpy()
    order = np.arange(len(rows))
    if (instant[1:] < instant[:-1]).any():
        order = np.argsort(instant, kind="stable")
    for shift in range(0, (count - 1).bit_length(), 16):  # a radix sort: 16 bits at a time
        digit = ((place[order] >> shift) & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digit, kind="stable")]
    return rows.take(pa.array(order))


def apart(rows: pa.Table) -> list[pa.Table]:
    """Sorted telemetry in two: facts that stand alone, and all of each instant that has several.

    So what was corrected stands beside its correction, and need not be looked for in the rest.
    """
    same = np.ones(max(len(rows) - 1, 0), np.bool_)
    for name in ("signal", "twin"):
        code = rows[name].combine_chunks().indices.to_numpy()
        same &= code[1:] == code[:-1]
    instant = rows["instant"].to_numpy()
    same &= instant[1:] == instant[:-1]
    several = pc.not_equal(rows["fate"], "stored").to_numpy(zero_copy_only=False)
    several[1:] |= same
    several[:-1] |= same
    if not several.any():
        return [rows]
    return [rows.filter(pa.array(~several)), rows.filter(pa.array(several))]


def cut(rows: pa.Table, key: str) -> list[pa.Table]:
    """Sorted rows as files: none much larger than FILE, and no large word of `key` beside others.

    So the bounds of a file are narrow in the words after `key` too.
    """
    code = rows[key].combine_chunks().indices.to_numpy()
    begins = [0, *(1 + np.flatnonzero(np.diff(code))).tolist(), len(rows)]
    cuts = [0]
    for begin, end in pairwise(begins):
        if end - begin >= FILE // 2 and begin > cuts[-1]:
            cuts.append(begin)
        if end - cuts[-1] >= FILE // 2:
            pieces = -(-(end - cuts[-1]) // FILE)
            cuts += np.linspace(cuts[-1], end, pieces + 1).astype(int)[1:].tolist()
    cuts += [len(rows)] if cuts[-1] < len(rows) else []
    return [rows.slice(begin, end - begin) for begin, end in pairwise(cuts)]


def _alphabetic(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same words, numbered in their order."""
    order = pc.sort_indices(column.dictionary)
    rank = np.empty(len(order), np.int32)
    rank[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
    words = column.dictionary.take(order)
    return pa.DictionaryArray.from_arrays(rank[column.indices.to_numpy()], words)


def write(folder: Path, name: str, rows: pa.Table, ordered: bool, changes: bool) -> AddAction:
    """One file of facts, on the disk; words go in by their dictionary, as most come many times."""
    path = folder / f"{name}-{uuid.uuid4()}.parquet"
    rows = _required(_only_used(rows) if ordered else rows)
    ranges: dict[str, tuple[Any, Any]] = {}
    with path.open("xb") as file:
        if ordered:  # to be kept: as small as may be
            _write_small(file, rows)
        else:  # to be joined soon: as quickly as may be; its bounds stand in the log alone
            ranges |= parquet.write(file, runs(rows))
        file.flush()
        os.fsync(file.fileno())
        disk = os.fstat(file.fileno())
    ranges |= {key: _range(rows[key]) for key in rows.schema.names if key not in ranges}
    stats = {
        "numRecords": rows.num_rows,
        "minValues": {key: low for key, (low, _) in ranges.items()},
        "maxValues": {key: high for key, (_, high) in ranges.items()},
        "nullCount": {key: rows[key].null_count for key in ranges},
        "tightBounds": False,  # of free text they are not
    }
    when = int(disk.st_mtime * 1000)
    return AddAction(path.name, disk.st_size, {}, when, changes, json.dumps(stats))


def _write_small(file: BinaryIO, rows: pa.Table) -> None:
    words = [f.name for f in rows.schema if not pa.types.is_primitive(f.type)]
    often = [name for name in _RUNS if name in rows.column_names]
    how: dict[str, Any] = {"compression": "zstd", "compression_level": 1}
    how |= {"use_dictionary": [*words, *often], "store_schema": False}  # a reader sees plain words
    with pq.ParquetWriter(file, rows.schema, **how) as writer:
        for begin in range(0, len(rows), GROUP):
            part = _only_used(rows.slice(begin, GROUP)).columns
            part = pa.Table.from_arrays(part, schema=rows.schema)
            writer.write_table(part, row_group_size=GROUP)


def _required(rows: pa.Table) -> pa.Table:
    """Columns without a null said to be so: they are written in half the time."""
    whole = [f.with_nullable(rows[f.name].null_count > 0) for f in rows.schema]
    return pa.Table.from_arrays(rows.columns, schema=pa.schema(whole))


def _only_used(rows: pa.Table) -> pa.Table:
    """Dictionaries without the words that no row has: each row group carries its own."""
    columns = []
    for column in rows.columns:
        if pa.types.is_dictionary(column.type):
            whole = column.combine_chunks()
            number, words = _renumbered(whole.indices.to_numpy(), len(whole.dictionary))
            column = pa.DictionaryArray.from_arrays(number, whole.dictionary.take(words))
        columns.append(column)
    return pa.table(columns, rows.column_names)


def _renumbered(code: Any, count: int) -> tuple[Any, Any]:
    """Numbers from 0 on of the words that rows have, and which words these are."""
    if len(code) < count:  # of sorted rows, as most are here, the words of one stand together
        begins = np.flatnonzero(np.diff(code, prepend=-1))
        words = code[begins]
        if (words[1:] > words[:-1]).all():
            number = np.zeros(len(code), np.int32)
            number[begins[1:]] = 1
            return np.cumsum(number, dtype=np.int32), pa.array(words)
    used = np.zeros(count, np.bool_)
    used[code] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    return number[code], pa.array(np.flatnonzero(used).astype(np.int32))


def _range(column: pa.ChunkedArray) -> tuple[Any, Any]:
    """Bounds of a column, by which readers leave files out; every column must have some.

    Of free text, and of what is not finite, any; of words, those of their dictionaries.
    """
    if pa.types.is_dictionary(column.type):
        several = {lies(chunk): chunk.dictionary for chunk in column.chunks}
        column = pa.chunked_array([ends(words) for words in several.values()], pa.string())
    elif pa.types.is_run_end_encoded(column.type):
        column = pa.chunked_array([chunk.values for chunk in column.chunks])
    elif pa.types.is_string(column.type):
        return "", LAST_WORD
    low: Any
    high: Any
    if pa.types.is_floating(column.type) and not column.null_count and len(column):
        chunks = [chunk.to_numpy() for chunk in column.chunks if len(chunk)]
        low, high = (float(of([of(chunk) for chunk in chunks])) for of in (np.min, np.max))
    else:
        found = pc.min_max(column).as_py()
        low, high = found["min"], found["max"]
    if isinstance(low, float) and isfinite(low) and isfinite(high):
        return low, high
    if low is None or isinstance(low, float):
        words = pa.types.is_string(column.type)
        return ("", LAST_WORD) if words else (-MOST, MOST)
    return low, high


class told:
    """Turn an error of Delta, DuckDB or the disk into ours."""

    def __init__(self, place: Path | str) -> None:
        self.place = str(place)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, (DeltaError, duckdb.Error, OSError)):
            raise Unavailable(
                "lake.unavailable",
                f"the table could not be used: {problem}",
                where=self.place,
                mend="see that the disk has room and may be written; the lake can be rebuilt",
            ) from problem
