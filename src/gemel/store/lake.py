"""The lake: the history of a plant as Delta tables, readable by anything that reads Delta.

Owns    the folders `lake/telemetry`, `estimates`, `findings`, `events` and the question "what was
        known then": the latest fact with tick ≤ k.
Never   is the truth: it is derived from the journal, may lag, and can be rebuilt. Delta's own
        versions mean nothing here; known time is the column `tick`.

Instants (`instant`, `received_at`, `known_at`, `closed_at`) are int64 ns UTC columns, not
timestamps: Delta's timestamp has microseconds. `body` and `evidence` are JSON text.
`row` numbers the rows of one append: of two facts of one tick, the one with the greater is later.
"""

import json
import os
import threading
import uuid
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from gemel import hooks
from gemel.errors import Invalid, Unavailable

_RUNS = ("instant", "received_at", "known_at", "closed_at", "tick", "quality")  # few values, often
LAST_WORD, MOST = "\U0010ffff" * 4, 1e308  # no word is later, no number greater
_APP = "gemel"  # the name of our transactions in Delta's log


def _fields(words: str, instants: str, numbers: str = "", small: str = "") -> pa.Schema:
    columns = [(name, pa.string()) for name in words.split()]
    columns += [(name, pa.int64()) for name in f"{instants} tick".split()]
    columns += [(name, pa.float64()) for name in numbers.split()]
    columns += [(name, pa.int8()) for name in small.split()]
    return pa.schema([*columns, ("row", pa.int32())])


SCHEMAS: dict[str, pa.Schema] = {
    "telemetry": _fields(
        "twin signal reason fate source", "instant received_at", "value", small="quality"
    ),
    "estimates": _fields("twin binding name", "instant known_at", "mean std"),
    "findings": _fields(
        "id kind twin binding subject severity text evidence status",
        "instant closed_at",
        "statistic threshold",
    ),
    "events": _fields("name body", "instant"),
}

# The latest fact of each key; DuckDB reads `facts`, already cut down by the filters.
_LATEST = (
    "SELECT * EXCLUDE (row) FROM facts"
    " QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY tick DESC, row DESC) = 1"
    " ORDER BY {order}"
)
_TELEMETRY = _LATEST.format(
    key="source, twin, signal, instant", order="twin, signal, instant, source"
)
_ESTIMATES = _LATEST.format(
    key="binding, twin, name, instant", order="twin, name, instant, binding"
)
_FINDINGS = _LATEST.format(key="id", order="instant, id")
_EVENTS = "SELECT * EXCLUDE (row) FROM facts ORDER BY instant, name, tick, row"


class Lake:
    """The Delta tables of one data directory: one writer, any readers, also while it is written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lake = Lake(Path(folder))
    ...     price = pa.table({"name": ["price"], "body": ["{}"], "instant": [5], "tick": [1]})
    ...     lake.append("events", price, tick=1), lake.append("events", price, tick=1)
    ...     lake.known("events"), lake.events().num_rows
    (True, False)
    (1, 1)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._tables: dict[str, DeltaTable] = {}  # the writer's handles, kept up to date
        self._writing = threading.Lock()

    def append(self, table: str, rows: pa.Table, tick: int) -> bool:
        """Append the rows up to `tick`, once: False, and nothing done, if it is already there.

        `rows` has the table's columns without `row`, in the order in which the facts came to be
        known. Rows of several ticks may go together; `tick` is then the last of them.
        """
        facts = _cast(table, rows)
        with self._writing, _told(self.folder / table):
            delta = self._writer(table)
            done = delta.transaction_version(_APP)
            if (done is not None and done >= tick) or not facts.num_rows:
                return False
            hooks.at("lake.before_write")
            mark = CommitProperties(app_transactions=[Transaction(_APP, tick)])
            added = _write(self.folder / table, f"part-{tick:09d}-{uuid.uuid4()}.parquet", facts)
            delta.create_write_transaction([added], "append", facts.schema, commit_properties=mark)
            hooks.at("lake.after_write")
        return True

    def known(self, table: str) -> int:
        """The last tick written to a table, −1 before the first."""
        _schema(table)
        delta = self._reader(table)
        done = None if delta is None else delta.transaction_version(_APP)
        return -1 if done is None else int(done)

    def telemetry(
        self,
        twins: Sequence[str] | None = None,
        signals: Sequence[str] | None = None,
        start: int | None = None,
        end: int | None = None,
        as_known_at: int | None = None,
        good_only: bool = False,
    ) -> pa.Table:
        """The latest fact per (source, twin, signal, instant), start ≤ instant < end.

        `as_known_at`: what was known after that tick. `good_only`: only where that fact is of good
        quality. Duplicates and rejected samples are no facts and are left out.
        """
        wanted = ~ds.field("fate").isin(["duplicate", "rejected"])
        wanted &= _among("twin", twins) & _among("signal", signals) & _span(start, end, as_known_at)
        table = self._ask("telemetry", wanted, _TELEMETRY)
        return table.filter(ds.field("quality") == 0) if good_only else table

    def estimates(
        self,
        twins: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        start: int | None = None,
        end: int | None = None,
        as_known_at: int | None = None,
        bindings: Sequence[str] | None = None,
    ) -> pa.Table:
        """The latest estimate per (binding, twin, name, instant), start ≤ instant < end."""
        wanted = _among("twin", twins) & _among("name", names) & _among("binding", bindings)
        return self._ask("estimates", wanted & _span(start, end, as_known_at), _ESTIMATES)

    def findings(
        self, twins: Sequence[str] | None = None, as_known_at: int | None = None
    ) -> pa.Table:
        """The latest form of every finding."""
        wanted = _among("twin", twins) & _span(None, None, as_known_at)
        return self._ask("findings", wanted, _FINDINGS)

    def events(
        self,
        name: str | None = None,
        start: int | None = None,
        end: int | None = None,
        as_known_at: int | None = None,
    ) -> pa.Table:
        """Every event, by instant; none hides another, as two services may stand at one instant."""
        wanted = _among("name", None if name is None else [name])
        return self._ask("events", wanted & _span(start, end, as_known_at), _EVENTS)

    def reach(
        self,
        table: str,
        most: int,
        among: Mapping[str, Sequence[str] | None],
        start: int | None = None,
        end: int | None = None,
        as_known_at: int | None = None,
        newest: bool = False,
    ) -> int | None:
        """The instant up to which `most` facts have come, from the oldest on; None: there are less.

        `newest`: from the newest back. `among`: column → the values wanted. It keeps `most`
        instants in memory, however many facts there are, so that a reader can stop there.
        """
        facts = self._facts(table)
        if facts is None:
            return None
        wanted = _span(start, end, as_known_at)
        for column, values in among.items():
            wanted &= _among(column, values)
        sign = -1 if newest else 1
        kept = np.empty(0, np.int64)
        with _told(self.folder / table):
            for batch in facts.to_batches(columns=["instant"], filter=wanted):
                kept = np.append(kept, sign * batch.column(0).to_numpy())
                if len(kept) > most:
                    kept = np.partition(kept, most - 1)[:most]
        return sign * int(kept.max()) if len(kept) == most else None

    def distinct(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """The distinct values of some columns of a table, sorted."""
        schema = _schema(table)
        facts = self._facts(table)
        if facts is None or not set(columns) <= set(schema.names):
            return []
        found = (
            facts.scanner(columns=list(columns)).to_table().group_by(list(columns)).aggregate([])
        )
        return sorted(tuple(row[name] for name in columns) for row in found.to_pylist())

    def compact(self, retention_hours: int = 168) -> dict[str, int]:
        """Join small files, then delete joined ones older than the retention.

        Returns the number of files deleted per table. The retention (a week) is far longer than
        any reader needs for the files it has just listed; Delta refuses a shorter one.
        """
        deleted = {}
        with self._writing:
            for table in SCHEMAS:
                if self._reader(table) is None:
                    continue
                with _told(self.folder / table):
                    delta = self._writer(table)
                    delta.optimize.compact()
                    deleted[table] = len(delta.vacuum(retention_hours, dry_run=False))
                    delta.create_checkpoint()
        return deleted

    def _writer(self, table: str) -> DeltaTable:
        if table not in self._tables:
            path = self.folder / table
            path.mkdir(parents=True, exist_ok=True)
            self._tables[table] = DeltaTable.create(path, schema=_schema(table), mode="ignore")
        self._tables[table].update_incremental()
        return self._tables[table]

    def _reader(self, table: str) -> DeltaTable | None:
        path = str(self.folder / table)
        with _told(path):
            return DeltaTable(path) if DeltaTable.is_deltatable(path) else None

    def _facts(self, table: str) -> Any:
        delta = self._reader(table)
        return None if delta is None else delta.to_pyarrow_dataset()

    def _ask(self, table: str, wanted: Any, query: str) -> pa.Table:
        facts = self._facts(table)
        if facts is None:
            return _schema(table).empty_table().drop_columns(["row"])
        with _told(self.folder / table), duckdb.connect() as base:
            base.register("facts", facts.filter(wanted))
            return base.sql(query).to_arrow_table()


def _among(column: str, values: Sequence[str] | None) -> Any:
    """A filter as a typed expression, never as text; it prunes files by Delta's statistics."""
    return ds.scalar(True) if values is None else ds.field(column).isin(list(values))


def _span(start: int | None, end: int | None, known: int | None) -> Any:
    wanted = ds.scalar(True)
    if start is not None:
        wanted &= ds.field("instant") >= start
    if end is not None:
        wanted &= ds.field("instant") < end
    if known is not None:
        wanted &= ds.field("tick") <= known
    return wanted


def _schema(table: str) -> pa.Schema:
    if table not in SCHEMAS:
        raise Invalid(
            "lake.table",
            f"there is no table '{table}' in the lake",
            mend=f"the tables are {', '.join(SCHEMAS)}",
        )
    return SCHEMAS[table]


def _cast(table: str, rows: pa.Table) -> pa.Table:
    schema = _schema(table)
    missing = set(schema.names) - set(rows.column_names) - {"row"}
    if missing:
        raise Invalid(
            "lake.columns",
            f"rows for '{table}' lack {', '.join(sorted(missing))}",
            mend=f"give the columns {', '.join(name for name in schema.names if name != 'row')}",
        )
    numbered = rows.drop_columns(["row"]) if "row" in rows.column_names else rows
    order = pa.array(np.arange(len(rows), dtype=np.int32))
    kept = numbered.append_column("row", order).select(schema.names)
    fields = [
        field.with_type(told.type)
        if pa.types.is_dictionary(told.type) and told.type.value_type == field.type
        else field
        for field, told in zip(schema, kept.schema, strict=True)
    ]
    try:
        return kept.cast(pa.schema(fields))
    except pa.ArrowException as problem:
        raise Invalid(
            "lake.columns",
            f"rows for '{table}' have another type: {problem}",
            mend="instants and ticks are int64, values float64, quality int8, the rest words",
        ) from problem


def _write(folder: Path, name: str, facts: pa.Table) -> AddAction:
    """One file of facts, on the disk; words go in by their dictionary, as most come many times."""
    words = [f.name for f in facts.schema if not pa.types.is_primitive(f.type)]
    path = folder / name
    pq.write_table(
        facts,
        path,
        compression="zstd",
        compression_level=1,
        use_dictionary=[*words, *_RUNS],
        store_schema=False,  # a reader sees plain words, however they were written
    )
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        disk = os.fstat(file.fileno())
    ranges = {key: _range(facts[key]) for key in facts.schema.names}
    told = {
        "numRecords": facts.num_rows,
        "minValues": {key: low for key, (low, _) in ranges.items()},
        "maxValues": {key: high for key, (_, high) in ranges.items()},
        "nullCount": {key: facts[key].null_count for key in ranges},
        "tightBounds": False,  # a dictionary may hold a word more than its rows have
    }
    when = int(disk.st_mtime * 1000)
    return AddAction(name, disk.st_size, {}, when, True, json.dumps(told))


def _range(column: pa.ChunkedArray) -> tuple[Any, Any]:
    """Bounds of a column, by which readers leave files out; every column must have some.

    Of words they are those of the dictionary; of free text, any; of what is not finite, any.
    """
    if pa.types.is_dictionary(column.type):
        column = pa.chunked_array([chunk.dictionary for chunk in column.chunks])
    elif pa.types.is_string(column.type):
        return "", LAST_WORD
    found = pc.min_max(column).as_py()
    low, high = found["min"], found["max"]
    if isinstance(low, float) and isfinite(low) and isfinite(high):
        return low, high
    if low is None or isinstance(low, float):
        words = pa.types.is_string(column.type)
        return ("", LAST_WORD) if words else (-MOST, MOST)
    return low, high


class _told:
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
