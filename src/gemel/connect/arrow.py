"""Arrow IPC streams → samples: columns on the wire, columns in memory, nothing in between.

Owns    the two layouts of a record batch, and the bounds a stream keeps before it is believed.
Never   goes through rows, and never trusts a length that the stream states of itself.

    long    twin · signal · instant or time · value [· unit]      one row a sample
    wide    twin · instant or time · <signal> …                   one row a twin and instant

Words may be plain or dictionary-coded. `instant` is int64 ns UTC, `time` a timestamp with a zone or
ISO 8601. A column's metadata may give its `unit`. A null in a wide table is no sample; in a long
one it goes on as NaN, for the quality stage to refuse. A topic's twin stands in for the column.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gemel.connect.columns import (
    as_array,
    is_name,
    is_number,
    is_text,
    numbers,
    stamps,
    text_instants,
    unwound,
    words_of,
)
from gemel.connect.decoded import COUNT, NAME, Letters, check_name
from gemel.connect.objects import as_bytes
from gemel.errors import Invalid
from gemel.labels import Labels
from gemel.records import Batch, Bools, Instants

COLUMNS = 2_000  # of one record batch
MOST = 64 << 20  # bytes of one stream, its buffers decompressed
_FAULTS = (
    pa.ArrowException, struct.error, ValueError, KeyError, IndexError, OverflowError, TypeError,
    MemoryError, OSError,
)  # fmt: skip
_LAYOUT = "send twin, signal, instant or time, value; or twin, time and a column a signal"


def read_arrow(payload: bytes, twin: str | None, letters: Letters, most: int = MOST) -> Batch:
    """Samples of a whole stream; one that is malformed anywhere is one dead letter."""
    try:
        _bounded(payload, letters.left, most)
        with pa.ipc.open_stream(pa.py_buffer(payload)) as stream:
            layout = _Layout(stream.schema, twin)
            batches = [layout.samples(record, letters) for record in _valid(stream)]
    except Invalid as error:
        letters.bury(payload, error)
        return Batch.of([])
    except _FAULTS as problem:
        letters.bury(payload, _malformed(problem))
        return Batch.of([])
    return Batch.joined(batches)


def read_streams(payloads: Sequence[bytes], letters: Letters, most: int = MOST) -> Batch | None:
    """Samples of many small streams of one schema, read as one: three times as fast.

    Only where every row of them is as it should be; else None, and each is to be read by itself.
    """
    records: list[pa.RecordBatch] = []
    try:
        for payload in payloads:
            most -= _bounded(payload, COUNT, most)
            with pa.ipc.open_stream(pa.py_buffer(payload)) as stream:
                own = list(_valid(stream))
            wide = len(stream.schema.names)
            if sum(len(record) for record in own) * wide > COUNT:
                return None  # more than one message may hold, or near it
            records += own
        if not records or any(record.schema != records[0].schema for record in records):
            return None
        record = _joined(records)
        batch = _Layout(record.schema, None).samples(record, letters)
    except (Invalid, *_FAULTS):
        return None
    return None if letters.dead else batch


def _joined(records: list[pa.RecordBatch]) -> pa.RecordBatch:
    """One record of many; the words of each column in order, so that the same set of them, sent
    again in another order, is known again."""
    table = pa.Table.from_batches(records).unify_dictionaries()
    columns, fields = [], []
    for field in table.schema:
        column = as_array(table[field.name])
        if is_text(field.type):
            words = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
            order = pc.sort_indices(words.dictionary).to_numpy()
            place = np.empty(len(order), np.int32)
            place[order] = np.arange(len(order), dtype=np.int32)
            code = pc.take(pa.array(place), words.indices)
            column = pa.DictionaryArray.from_arrays(code, words.dictionary.take(order))
        columns.append(column)
        fields.append(field.with_type(column.type))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _valid(stream: Any) -> Any:
    for record in stream:
        record.validate(full=True)
        yield record


def _malformed(problem: object) -> Invalid:
    return Invalid(
        "arrow.malformed",
        f"it is no Arrow stream: {str(problem)[:200]}",
        mend="write it with pyarrow.ipc.new_stream, or with another Arrow library's stream writer",
    )


# ---- bounds: what a stream says of itself, before memory is taken for it -----------------------


def _bounded(payload: bytes, rows: int, most: int) -> int:
    """Bytes of a stream, decompressed. Refuses one with more of them, or rows, than may be."""
    size = 0
    for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(payload)):
        if message.type not in ("record batch", "dictionary"):
            continue
        told = _Table.root(memoryview(message.metadata)).table(2)
        record = told.table(1) if message.type == "dictionary" else told
        rows -= record.long(0) if message.type == "record batch" else 0
        size += record.long(0)  # a column of nulls has rows and no bytes
        size += _expanded(record, memoryview(message.body))
        if size > most or rows < 0:
            what = f"more than {most >> 20} MiB" if size > most else "too many rows"
            raise Invalid(
                "arrow.too_large", f"it has {what} when unpacked", mend="send smaller streams"
            )
    return size


def _expanded(record: "_Table", body: memoryview) -> int:
    """Bytes of a record's buffers once decompressed."""
    if not record.at(3):
        return len(body)
    size = 0
    for offset, length in record.pairs(2):
        if length:
            told = struct.unpack_from("<q", body, offset)[0]
            if told < -1:
                raise ValueError("a buffer of negative size")
            size += length if told == -1 else told
    return size


class _Table:
    """A table of a flatbuffer, read field by field; struct.error where it points outside."""

    def __init__(self, data: memoryview, place: int) -> None:
        if place < 0:
            raise ValueError("an offset before the message")
        self.data, self.place = data, place
        self.fields = place - struct.unpack_from("<i", data, place)[0]
        if self.fields < 0:
            raise ValueError("a table before the message")

    @staticmethod
    def root(data: memoryview) -> "_Table":
        return _Table(data, struct.unpack_from("<I", data, 0)[0])

    def at(self, field: int) -> int:
        """Where a field stands, 0 when it is left out."""
        size = struct.unpack_from("<H", self.data, self.fields)[0]
        if 4 + 2 * field >= size:
            return 0
        step = struct.unpack_from("<H", self.data, self.fields + 4 + 2 * field)[0]
        return self.place + int(step) if step else 0

    def long(self, field: int) -> int:
        place = self.at(field)
        told = struct.unpack_from("<q", self.data, place)[0] if place else 0
        if told < 0:
            raise ValueError("a negative length")
        return int(told)

    def table(self, field: int) -> "_Table":
        place = self.at(field)
        if not place:
            raise ValueError("a message without its header")
        return _Table(self.data, place + struct.unpack_from("<I", self.data, place)[0])

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """A vector of two longs each."""
        place = self.at(field)
        if not place:
            return []
        place += struct.unpack_from("<I", self.data, place)[0]
        count = struct.unpack_from("<I", self.data, place)[0]
        return list(struct.iter_unpack("<qq", self.data[place + 4 : place + 4 + 16 * count]))


# ---- layouts -----------------------------------------------------------------------------------


class _Layout:
    """What the columns of a stream mean."""

    def __init__(self, schema: pa.Schema, twin: str | None) -> None:
        self.twin = twin
        names = schema.names
        if len(names) > COLUMNS or len(set(names)) != len(names):
            raise _columns(f"{len(names)} columns, or two of one name", f"send {COLUMNS} at most")
        self.fields: dict[str, pa.Field] = {field.name: field for field in schema}
        self.long = "signal" in names and "value" in names
        if twin is None:
            self._text("twin")
        self.time = next((name for name in ("instant", "time") if name in names), "")
        self.instants = self._time()
        if self.long:
            self._text("signal")
            if "unit" in names:
                self._text("unit")
            self._number("value")
        self.signals = [] if self.long else self._signals()
        self.units = Labels.of([self._unit(name) for name in self.signals or ["value"]])

    def _text(self, name: str) -> None:
        if name not in self.fields:
            raise _columns(f"there is no column '{name}'", _LAYOUT)
        if not is_text(self.fields[name].type):
            kind = self.fields[name].type
            raise _columns(f"the column '{name}' holds {kind}, not words", "make it utf8")

    def _number(self, name: str) -> None:
        if not is_number(self.fields[name].type):
            kind = self.fields[name].type
            raise _columns(f"the column '{name}' holds {kind}, not numbers", "make it float64")

    def _time(self) -> Callable[[pa.Array], tuple[Instants, Bools]]:
        if not self.time:
            raise _columns("there is no column 'instant' or 'time'", _LAYOUT)
        kind = self.fields[self.time].type
        if is_text(kind):
            return text_instants
        if pa.types.is_timestamp(kind) and kind.tz:
            return stamps
        if self.time == "instant" and pa.types.is_int64(kind):
            return stamps
        raise _columns(
            f"the column '{self.time}' holds {kind}, which is no instant",
            'make it timestamp with tz="UTC", or an int64 of ns UTC called instant',
        )

    def _signals(self) -> list[str]:
        own = {"twin", self.time}
        names = [check_name(name) for name in self.fields if name not in own]
        for name in names:
            self._number(name)
        if not names:
            raise _columns("there is no column of numbers", _LAYOUT)
        return names

    def _unit(self, name: str) -> str:
        """What a column's metadata says of its unit, "" when nothing."""
        told = bytes((self.fields[name].metadata or {}).get(b"unit", b"")).decode()
        if told and not is_name(told):
            raise _columns(f"the unit of column '{name}' is not a word", "name it shortly")
        return told

    def samples(self, record: pa.RecordBatch, letters: Letters) -> Batch:
        """One record batch as samples; a row without a name or an instant is a dead letter."""
        letters.take(len(record) * max(1, len(self.signals)))
        rows = _Rows(record, letters, max(1, len(self.signals)))
        instant, untimed = self.instants(record.column(self.time))
        rows.lose(untimed, self.time)
        twin = self._twin(rows)
        if self.long:
            signal, unit = self._names(rows)
            value, missing = numbers(record.column("value"))
            if missing is not None:
                value = np.where(missing, np.nan, value)
            batch = Batch(twin, signal, instant, value + 0.0, unit)
            return batch.part(~rows.lost) if rows.lost.any() else batch
        columns = [numbers(record.column(name)) for name in self.signals]
        if rows.lost.any():
            some = ~rows.lost
            twin, instant = twin[some], instant[some]
            columns = [(v[some], None if m is None else m[some]) for v, m in columns]
        return unwound(twin, instant, tuple(self.signals), columns, self.units)

    def _twin(self, rows: "_Rows") -> Labels:
        if "twin" not in self.fields:
            return Labels.full(len(rows.record), self.twin or "")
        words = words_of(rows.record.column("twin"))
        wrong = words.vocabulary.no_twin
        if self.twin is not None:
            wrong = np.array([word != self.twin for word in words.labels.words], bool)
        rows.lose(words.among(wrong), "twin")
        return words.labels

    def _names(self, rows: "_Rows") -> tuple[Labels, Labels]:
        """Signal and unit of every row of a long table."""
        signal = words_of(rows.record.column("signal"))
        rows.lose(signal.among(signal.vocabulary.unnamed), "signal")
        if "unit" not in self.fields:
            return signal.labels, Labels.full(len(rows.record), self.units[0])
        words = words_of(rows.record.column("unit"))
        unit = words.filled()
        wrong = np.array([word != "" and not is_name(word) for word in unit.words], bool)
        rows.lose(wrong[unit.code], "unit")
        return signal.labels, unit


class _Rows:
    """The rows of one record batch, and which of them are lost. wide: samples of one row."""

    def __init__(self, record: pa.RecordBatch, letters: Letters, wide: int) -> None:
        self.record, self.letters, self.wide = record, letters, wide
        self.lost = np.zeros(len(record), np.bool_)

    def lose(self, wrong: Bools, name: str) -> None:
        """One dead letter for all rows that have the same fault."""
        new = wrong & ~self.lost
        rows = int(new.sum())
        if not rows:
            return
        self.lost |= new
        first = int(np.flatnonzero(new)[0])
        code, what, mend = _LOST[name]
        head = as_bytes({"row": first, name: str(self.record.column(name)[first].as_py())[:NAME]})
        error = Invalid(code, f"{rows} rows {what}; the first is row {first}", mend=mend)
        self.letters.bury(head, error, rows * self.wide)


_LOST = {
    "time": ("time.unreadable", "have no instant", "write a timestamp with a zone in every row"),
    "instant": ("time.unreadable", "have no instant", "write int64 ns UTC in every row"),
    "twin": (
        "message.twin",
        "name no twin, or another one than their topic",
        "name the twin by letters, digits and . _ - (64 at most), as its topic does",
    ),
    "signal": (
        "sample.signal",
        "have no name of a signal that is short and printable",
        f"name it by at most {NAME} printable characters",
    ),
    "unit": ("sample.unit", "have a unit that is not a word", "leave it empty: as declared"),
}


def _columns(what: str, mend: str) -> Invalid:
    return Invalid("arrow.columns", what, mend=mend)
