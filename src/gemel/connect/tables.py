"""Tables in files: CSV and Parquet, long or wide, as samples or events in order of time.

Owns    reading a file in blocks, its names and times, and what is wrong in it, line by line.
Never   loses a row: a cell or line that cannot be read becomes a fault with its line number, and
        the rest goes on. An empty cell and NaN are no sample.

    long    twin, time, signal, value [, unit]
    wide    twin, time, and one column a signal

Rows keep the order of the file when it is in order of time; else the file is sorted by time in
memory, rows of equal times in the order of the file.
"""

import csv
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gemel.errors import GemelError, Invalid, NotFound
from gemel.labels import Labels
from gemel.records import Batch, Bools, Floats, Instants

BLOCK = 8 << 20  # bytes of a CSV file read at a time
ROWS = 50_000  # rows of a Parquet file read at a time
MISSING = ("", "nan", "na", "n/a", "null", "none")
TEXT = 20  # a wide column whose first TEXT or more cells hold no number is no signal

_ISO = r"^(?:19|20|21)\d\d-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?\s*(?:Z|[+-]\d\d:?\d\d)?$"
_ZONE = r"(?:Z|[+-]\d\d:?\d\d)$"
_FORM = "%Y-%m-%d %H:%M:%S%.f"
_log = logging.getLogger("gemel.connect")

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Fault:
    """One dead letter to be: the row (an index into its block), the bytes, what is wrong."""

    row: int
    payload: bytes
    error: GemelError


@dataclass(frozen=True)
class _Raw:
    """Rows as they stand in the file: `place` (n,) index of each among all rows of the block.

    lines (N,) line number of each row of the block, the broken ones (whole text) among them.
    """

    table: pl.DataFrame
    place: Counts
    lines: Counts
    broken: dict[int, str]


@dataclass(frozen=True)
class Block:
    """N rows of the file: `instant` (N,) ns, `ends` (N,) number of samples up to and with it."""

    instant: Instants
    ends: Counts
    batch: Batch
    faults: list[Fault]


@dataclass
class TableFile:
    """One file and how to read it."""

    path: Path
    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    time_zone: str | None = None
    twin: str | None = None
    signals: Sequence[str] | None = None
    delimiter: str | None = None
    held: pa.Table | None = None  # the rows themselves, when they are in no file
    _words: set[str] = field(default_factory=set)  # wide columns that hold no numbers
    _last: int | None = None  # instant of the row before, for rows without one of their own

    def __post_init__(self) -> None:
        self.path = Path(self.path)
        if self.held is None:
            self._look()
        if self.time_zone is not None and self.time_zone not in available_timezones():
            raise Invalid(
                "file.time_zone",
                f"'{self.time_zone}' is not a time zone I know",
                where=str(self.path),
                mend='give a name of the tz database, for example "UTC" or "Europe/Paris"',
            )
        self.header = self._names()
        ours = "instant" in self.header and "time" not in {*self.header, *self.columns}
        self.time = "instant" if ours else self._need("time")

    def _look(self) -> None:
        if not self.path.is_file():
            raise NotFound(
                "file.missing",
                "there is no such file",
                where=str(self.path),
                mend="look at the path; a relative one starts at the working directory",
            )
        suffix = self.path.name.removesuffix(".gz").rpartition(".")[2].lower()
        self.format = self.format or {"pq": "parquet", "parquet": "parquet"}.get(suffix, "csv")
        if self.format not in ("csv", "parquet"):
            raise Invalid(
                "file.format",
                f"'{self.format}' is not a format of files",
                where=str(self.path),
                mend="give csv or parquet",
            )

    # -- names ------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        if self.held is not None:
            return list(self.held.column_names)
        with self._readable():
            if self.format == "parquet":
                return list(pq.read_schema(self.path).names)
            with pa.input_stream(str(self.path)) as stream:
                head = stream.read(1 << 16).decode("utf-8-sig", "backslashreplace")
            first = head.splitlines()[0] if head.strip() else ""
            if not first:
                raise ValueError("it is empty")
            self.delimiter = self.delimiter or max(",;\t|", key=first.count)
            return next(csv.reader([first], delimiter=self.delimiter))

    def _their(self, name: str) -> str:
        return self.columns.get(name, name)

    def _ours(self, column: str) -> str:
        return {theirs: name for name, theirs in self.columns.items()}.get(column, column)

    def _need(self, name: str) -> str:
        if self._their(name) not in self.header:
            raise Invalid(
                "file.columns",
                f"there is no column '{self._their(name)}' for '{name}'; there are: "
                + ", ".join(self.header[:30]),
                where=str(self.path),
                mend=f'name it: columns = {{ {name} = "THEIR NAME" }}'
                + (', or give twin = "ID" for a file of one twin' if name == "twin" else ""),
            )
        return self._their(name)

    def _signals(self) -> dict[str, str]:
        """Signals of a wide file: our name → its column."""
        others = (self.time, self._their("twin"))
        found = {self._ours(name): name for name in self.header if name not in others}
        if self.signals is None:
            return {name: column for name, column in found.items() if name not in self._words}
        for name in self.signals:
            self._need(name)
        return {name: found[name] for name in self.signals}

    @property
    def long(self) -> bool:
        return self._their("signal") in self.header and self._their("value") in self.header

    # -- raw rows ---------------------------------------------------------------------------

    def raw(self, only: list[str] | None = None) -> Iterator[_Raw]:
        """The file's rows in blocks; `only`: of these columns."""
        if self.held is not None:
            count = np.arange(self.held.num_rows)
            yield _Raw(pl.DataFrame(pl.from_arrow(self.held)), count, 1 + count, {})
            return
        with self._readable():
            yield from self._csv(only) if self.format == "csv" else self._parquet(only)

    def _parquet(self, only: list[str] | None) -> Iterator[_Raw]:
        first = 1
        with pq.ParquetFile(self.path) as file:
            for record in file.iter_batches(batch_size=ROWS, columns=only):
                count = np.arange(record.num_rows)
                table = pl.DataFrame(pl.from_arrow(record))
                yield _Raw(table, count, first + count, {})
                first += record.num_rows

    def _csv(self, only: list[str] | None) -> Iterator[_Raw]:
        broken: dict[int, str] = {}  # filled by the parser, which may run ahead of us

        def keep(row: Any) -> str:
            broken[row.number] = row.text
            return "skip"

        reader = pacsv.open_csv(
            str(self.path),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK),
            parse_options=pacsv.ParseOptions(
                delimiter=self.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=keep,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(self.header, pa.binary()),
                include_columns=only,
                check_utf8=False,
            ),
        )
        first = 2
        for record in reader:
            numbers = np.arange(first, first + record.num_rows + len(broken))
            whole = numbers[~np.isin(numbers, list(broken))][: record.num_rows]
            end = int(whole[-1]) + 1 if len(whole) else first
            here = {line: broken.pop(line) for line in sorted(broken) if line < end}
            names = record.schema.names
            table = pl.DataFrame({name: _text(record.column(name)) for name in names})
            yield _Raw(table, whole - first, np.arange(first, end), here)
            first = end
        if broken:
            lines = np.array(sorted(broken))
            yield _Raw(pl.DataFrame(), np.zeros(0, np.int64), lines, broken)

    def _readable(self) -> "_readable":
        return _readable(self.path)

    # -- blocks of samples ------------------------------------------------------------------

    def blocks(self) -> Iterator[Block]:
        """The file as blocks of samples in order of time."""
        self._last = None
        if self._in_order():
            self._last = None
            yield from (self._block(raw) for raw in self.raw())
            return
        _log.info("%s is not in order of time: it is sorted in memory", self.path)
        self._last = None
        block = _joined([self._block(raw) for raw in self.raw()])
        yield _sorted(block)

    def read(self) -> Batch:
        """The whole as one batch; a warning in the log says how much cannot be read."""
        blocks = list(self.blocks())
        lost = sum(len(block.faults) for block in blocks)
        if lost:
            _log.warning("%s: %d cells or lines cannot be read and are left out", self.path, lost)
        return Batch.joined([block.batch for block in blocks])

    def _in_order(self) -> bool:
        before = None
        for raw in self.raw([self.time]):
            instant, _ = self._times(raw)
            if len(instant) and before is not None and instant[0] < before:
                return False
            if np.any(np.diff(instant) < 0):
                return False
            before = instant[-1] if len(instant) else before
        return True

    def _times(self, raw: _Raw) -> tuple[Instants, Bools]:
        """Instant of every row of the block, and whether it is its own or the row's before it."""
        own = np.zeros(len(raw.lines), dtype=bool)
        instant = np.zeros(len(raw.lines), dtype=np.int64)
        if len(raw.place):
            instant[raw.place], own[raw.place] = self._instants(raw.table[self.time])
        source = np.maximum.accumulate(np.where(own, np.arange(len(own)), -1))
        known = instant[own]
        start = self._last if self._last is not None else int(known[0]) if len(known) else 0
        carried = np.where(source >= 0, instant[source], start)
        self._last = int(carried[-1]) if len(carried) else self._last
        return carried, own

    def _instants(self, column: pl.Series) -> tuple[Instants, Bools]:
        kind = column.dtype
        if kind == pl.Date:
            column, kind = column.cast(pl.Datetime("ns")), pl.Datetime("ns")
        if isinstance(kind, pl.Datetime):
            if kind.time_zone is None:
                column = self._zoned(column, len(column) > 0)
        elif kind == pl.Int64 and self.time == "instant":  # our own tables: ns UTC
            column = column.cast(pl.Datetime("ns", "UTC"))
        elif kind in (pl.String, pl.Categorical):
            column = self._parsed(column.cast(pl.String).str.strip_chars())
        else:
            raise Invalid(
                "file.time_type",
                f"the column '{self.time}' holds {kind}, which is no time",
                where=str(self.path),
                mend="write times as ISO 8601 with a zone, or as a Parquet timestamp in UTC",
            )
        whole = column.dt.cast_time_unit("ns").to_physical().cast(pl.Int64)
        return whole.fill_null(0).to_numpy().copy(), whole.is_not_null().to_numpy()

    def _parsed(self, text: pl.Series) -> pl.Series:
        good = pl.select(pl.when(text.str.contains(_ISO)).then(text)).to_series()
        zoned = good.str.contains(_ZONE).fill_null(False)
        form = good.str.replace("T", " ", literal=True).str.replace(r"\s*Z$", "+00:00")
        form = form.str.replace(r"\s+([+-])", "${1}")
        form = form.str.replace(r"^(.{16})([+-]|$)", "${1}:00${2}")
        with_zone = form.str.to_datetime(
            _FORM + "%z", time_unit="ns", time_zone="UTC", strict=False
        )
        naive = form.str.to_datetime(_FORM, time_unit="ns", strict=False)
        naive = self._zoned(naive, not bool(zoned.any()) and naive.null_count() < len(naive))
        return pl.select(pl.when(zoned).then(with_zone).otherwise(naive)).to_series()

    def _zoned(self, naive: pl.Series, all_naive: bool) -> pl.Series:
        """Times without a zone, in the declared zone; none where that hour is not one instant."""
        if self.time_zone is not None:
            local = naive.dt.replace_time_zone(
                self.time_zone, ambiguous="null", non_existent="null"
            )
            return local.dt.convert_time_zone("UTC")
        if all_naive:
            raise Invalid(
                "file.naive_time",
                f"the times in '{self.time}' have no zone",
                where=str(self.path),
                mend='say which: time_zone = "UTC", or for example "Europe/Paris"',
            )
        return pl.Series([None] * len(naive), dtype=pl.Datetime("ns", "UTC"))

    def _block(self, raw: _Raw) -> Block:
        instant, timed = self._times(raw)
        faults = self._broken(raw)
        count = np.zeros(len(instant), dtype=np.int64)
        if not len(raw.place):
            return Block(instant, count, Batch.of([]), faults)
        twin = self._twins(raw.table)
        names, value, wrong = self._values(raw.table)
        present = ~np.isnan(value)
        lost = self._lost_rows(raw, timed[raw.place], twin)
        faults += lost
        usable = np.ones(len(raw.place), dtype=bool)
        usable[np.searchsorted(raw.place, [fault.row for fault in lost])] = False
        present, wrong = present & usable[:, None], wrong & usable[:, None]
        faults += self._lost_cells(raw, names, wrong)
        row, column = np.nonzero(present)
        signal, unit = names(row, column)
        batch = Batch(twin[row], signal, instant[raw.place][row], value[row, column], unit)
        count[raw.place] = present.sum(axis=1)
        return Block(instant, np.cumsum(count), batch, sorted(faults, key=lambda f: f.row))

    def events(self, name: str) -> tuple[Block, list[dict[str, Any]]]:
        """The file as events in order of time: a block without samples, and a body a row."""
        taken = {"name", "instant"} & {self._ours(column) for column in self.header}
        if taken:
            raise Invalid(
                "file.reserved",
                f"a column is called '{sorted(taken)[0]}', which every event has of its own",
                where=str(self.path),
                mend='rename it in the file, or with columns = { title = "name" }',
            )
        blocks: list[Block] = []
        bodies: list[dict[str, Any]] = []
        self._last = None
        for raw in self.raw():
            instant, timed = self._times(raw)
            faults = self._broken(raw)
            rows: list[dict[str, Any]] = [{} for _ in instant]
            if len(raw.place):
                faults += self._lost_rows(raw, timed[raw.place], Labels.full(len(raw.place), name))
                for place, row in zip(raw.place, raw.table.iter_rows(named=True), strict=True):
                    if timed[place]:
                        rows[place] = self._body(row, name, int(instant[place]))
            blocks.append(Block(instant, np.zeros_like(instant), Batch.of([]), faults))
            bodies += rows
        if not blocks:
            return Block(np.zeros(0, np.int64), np.zeros(0, np.int64), Batch.of([]), []), []
        block = _joined(blocks)
        order = np.argsort(block.instant, kind="stable")
        return _sorted(block), [bodies[place] for place in order]

    def _body(self, row: dict[str, Any], name: str, instant: int) -> dict[str, Any]:
        cells = {self._ours(key): _cell(value) for key, value in row.items() if key != self.time}
        known = {key: value for key, value in cells.items() if value is not None}
        return {**known, "name": name, "instant": instant}

    def _twins(self, table: pl.DataFrame) -> Labels:
        if self.twin is not None and self._their("twin") not in self.header:
            return Labels.full(len(table), self.twin)
        return _labels(table[self._need("twin")])

    def _values(
        self, table: pl.DataFrame
    ) -> tuple[Callable[[Counts, Counts], tuple[Labels, Labels]], Floats, Bools]:
        """How a cell is named (signal, unit), values (n, S) with NaN for none, wrong (n, S)."""
        if self.long:
            signal = _labels(table[self._their("signal")])
            unit = Labels.of([self.units.get(word, "") for word in signal])
            if self._their("unit") in self.header:
                given = _labels(table[self._their("unit")])
                unit = Labels.of([a or b for a, b in zip(given, unit, strict=True)])
            value, wrong = _numbers(table[self._their("value")])
            return lambda row, column: (signal[row], unit[row]), value[:, None], wrong[:, None]
        columns = {name: _numbers(table[theirs]) for name, theirs in self._signals().items()}
        if self.signals is None:
            for name, (value, wrong) in list(columns.items()):
                if wrong.sum() >= TEXT and np.isnan(value).all():
                    _log.warning("%s: the column '%s' holds no numbers", self.path, name)
                    self._words.add(name)
                    del columns[name]
        signals = Labels.of(columns)
        units = Labels.of([self.units.get(name, "") for name in columns])
        shape = (len(table), len(columns))
        value = np.array([v for v, _ in columns.values()], float).reshape(shape[::-1]).T
        wrong = np.array([w for _, w in columns.values()], bool).reshape(shape[::-1]).T
        return lambda row, column: (signals[column], units[column]), value, wrong

    def _broken(self, raw: _Raw) -> list[Fault]:
        return [
            self._fault("file.broken_line", int(np.searchsorted(raw.lines, line)), line, text, "")
            for line, text in raw.broken.items()
        ]

    def _lost_rows(self, raw: _Raw, timed: Bools, twin: Labels) -> list[Fault]:
        """Rows without a time or a twin; a row that is empty altogether is nothing at all."""
        faults = []
        for row in np.flatnonzero(~timed | twin.are("")):
            cells = raw.table.row(int(row))
            place = int(raw.place[row])
            if all(cell is None or str(cell).strip() == "" for cell in cells):
                continue
            code = "file.no_twin" if timed[row] else "file.unreadable_time"
            text = ",".join("" if cell is None else str(cell) for cell in cells)
            what = "" if timed[row] else str(raw.table[self.time][int(row)])
            faults.append(self._fault(code, place, int(raw.lines[place]), text, what))
        return faults

    def _lost_cells(self, raw: _Raw, names: Any, wrong: Bools) -> list[Fault]:
        faults = []
        signals = [] if self.long else list(self._signals().values())
        for row, column in zip(*np.nonzero(wrong), strict=True):
            theirs = self._their("value") if self.long else signals[column]
            text, place = str(raw.table[theirs][int(row)]), int(raw.place[row])
            what = f"'{text[:40]}' in column '{theirs}'"
            faults.append(
                self._fault("file.not_a_number", place, int(raw.lines[place]), text, what)
            )
        return faults

    def _fault(self, code: str, row: int, line: int, text: str, what: str) -> Fault:
        said, mend = _WRONG[code]
        error = Invalid(code, said.format(what=what), where=f"{self.path}:{line}", mend=mend)
        return Fault(row, text.encode("utf-8", "backslashreplace"), error)


_WRONG = {
    "file.broken_line": (
        "the line has another number of cells than the header",
        "mend the line, or quote cells that hold the delimiter",
    ),
    "file.unreadable_time": (
        "'{what}' is not an instant",
        "write ISO 8601 with a zone, for example 2026-03-01T12:00:00Z",
    ),
    "file.no_twin": ("the row names no twin", "fill its twin cell"),
    "file.not_a_number": (
        "{what} is not a number",
        "write a plain number, or leave the cell empty",
    ),
}


def read_rows(rows: pa.Table, name: str, **how: Any) -> Batch:
    """Rows of a database or a Delta table as one batch; options as those of a file."""
    return TableFile(Path(name), held=rows, **how).read()


class _readable:
    """Turn an error of the reader into ours."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, (pa.ArrowException, OSError, ValueError, pl.exceptions.PolarsError)):
            raise Invalid(
                "file.unreadable",
                f"the file cannot be read: {problem}",
                where=str(self.path),
                mend="give a CSV file with a header line, or a whole Parquet file",
            ) from problem


def _labels(column: pl.Series) -> Labels:
    """The words of a column, bare; "" where there is none."""
    words = column.cast(pl.String).str.strip_chars().fill_null("").to_arrow()
    coded = words.cast(pa.large_string()).dictionary_encode()
    code = coded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    return Labels(tuple(coded.dictionary.to_pylist()), code)


def _text(column: Any) -> pl.Series:
    """Bytes as words; what is not UTF-8 is written with backslashes, and will not be a number."""
    try:
        return pl.Series(pl.from_arrow(column.cast(pa.string())))
    except pa.ArrowInvalid:
        cells = [(cell or b"").decode("utf-8", "backslashreplace") for cell in column.to_pylist()]
        return pl.Series(cells, dtype=pl.String)


def _numbers(column: pl.Series) -> tuple[Floats, Bools]:
    """Values (n,), NaN where there is none, and where something stands that is no number."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        value = column.cast(pl.Float64).fill_null(float("nan"))
        return value.to_numpy().copy(), np.zeros(len(column), dtype=bool)
    text = column.cast(pl.String, strict=False).str.strip_chars().fill_null("")
    value = text.cast(pl.Float64, strict=False)
    wrong = value.is_null() & ~text.str.to_lowercase().is_in(list(MISSING))
    return value.fill_null(float("nan")).to_numpy().copy(), wrong.to_numpy()


def _cell(value: Any) -> Any:
    """A cell of an event as plain JSON: a number, a word, or None for nothing."""
    if isinstance(value, (bool, int)) or value is None:
        return value
    text = str(value).strip()
    if text.lower() in MISSING:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _joined(blocks: list[Block]) -> Block:
    rows = np.cumsum([0, *(len(block.instant) for block in blocks)])
    samples = np.cumsum([0, *(len(block.batch) for block in blocks)])
    return Block(
        np.concatenate([block.instant for block in blocks]),
        np.concatenate([block.ends + at for block, at in zip(blocks, samples, strict=False)]),
        Batch.joined([block.batch for block in blocks]),
        [
            Fault(fault.row + int(at), fault.payload, fault.error)
            for block, at in zip(blocks, rows, strict=False)
            for fault in block.faults
        ],
    )


def _sorted(block: Block) -> Block:
    """The rows by instant, rows of equal instants in the order of the file."""
    order = np.argsort(block.instant, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    count = np.diff(block.ends, prepend=0)
    taken = np.argsort(np.repeat(rank, count), kind="stable")
    batch = block.batch.part(taken)
    faults = [Fault(int(rank[fault.row]), fault.payload, fault.error) for fault in block.faults]
    faults.sort(key=lambda fault: fault.row)
    return Block(block.instant[order], np.cumsum(count[order]), batch, faults)
