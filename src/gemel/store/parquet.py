"""A Parquet file written as memory lies.

Owns    the bytes of a file of facts that is to be joined soon: as quickly as may be, not as small.
Never   computes on a value: a number is copied, a run is told once, a word goes by its number.

A page of Parquet may hold a column in the very form in which Arrow has it: reals one after the
other, and the numbers of words in 8, 16 or 32 bits. So to write those is to copy them. What lies
otherwise (free text, a column with nulls, numbers that jump) is written by Arrow, and its bytes
are put between the others.

Source: Apache Parquet's format, https://github.com/apache/parquet-format (README.md, Encodings.md,
parquet.thrift), with Thrift's compact protocol.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gemel.store.coded import made_once, plainly

GROUP = 1 << 22  # rows of a row group, and of a page, at most
SHORT = 1 << 15  # rows of a page, at least: shorter pieces are joined first
RUNS = 1_000  # runs of the same number that a page tells one by one
BLOCK, MINI = 128, 4  # of DELTA_BINARY_PACKED: numbers of a block, and parts of it

_MAGIC = b"PAR1"
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12  # Thrift's types, in the compact protocol
_INT32, _INT64, _FLOAT, _DOUBLE, _BYTES = 1, 2, 4, 5, 6  # Parquet's types
_PLAIN, _RLE, _DELTA, _WORDS = 0, 3, 5, 8  # its encodings; _WORDS: RLE_DICTIONARY
_ENCODINGS = {"PLAIN": 0, "RLE": 3, "BIT_PACKED": 4, "DELTA_BINARY_PACKED": 5, "RLE_DICTIONARY": 8}
_CODECS = {"UNCOMPRESSED": 0, "SNAPPY": 1}
_TYPES: dict[pa.DataType, tuple[int, list[tuple[int, int, Any]]]] = {}  # filled below


@dataclass(frozen=True)
class _Column:
    """One column of one row group, as bytes. words, data: where its first page of words and of
    values begin in them; words is None where it has none. bounds: the least and the greatest value,
    where the writing came by them."""

    bytes: list[Any]
    encodings: tuple[int, ...]
    count: int
    data: int
    words: int | None = None
    codec: int = 0
    unpacked: int | None = None  # bytes, before compression
    bounds: tuple[int, int] | None = None


def write(file: BinaryIO, pieces: Sequence[pa.Table]) -> dict[str, tuple[int, int]]:
    """Tables of one schema as a file, each in row groups of its own; in a table, all chunks of a
    column of words have one vocabulary.

    Field types: integers of 8, 32 and 64 bits, reals, words by dictionary or plain. A column that
    its schema says to have no null has none. Returns the bounds of columns where it came by them.
    """
    bounds: dict[str, list[tuple[int, int] | None]] = {name: [] for name in pieces[0].schema.names}
    schema = pieces[0].schema
    file.write(_MAGIC)
    at, groups, count = len(_MAGIC), [], 0
    for group in _groups(pieces):
        begins, told = at, []
        for field, chunks in zip(schema, group.columns, strict=True):
            column = _column(field, chunks)
            file.writelines(column.bytes)
            size = sum(map(len, column.bytes))
            told.append(_told(field, column, at, size))
            bounds[field.name].append(column.bounds)
            at += size
        rows = (1, _LIST, (_STRUCT, told)), (2, _I64, at - begins), (3, _I64, len(group))
        groups.append(_struct(*rows))
        count += len(group)
    meta = _struct(
        (1, _I32, 2),
        (2, _LIST, (_STRUCT, _schema(schema))),
        (3, _I64, count),
        (4, _LIST, (_STRUCT, groups)),
        (6, _BINARY, b"gemel version 1"),
    )
    file.write(meta + len(meta).to_bytes(4, "little") + _MAGIC)
    known = {name: [b for b in several if b] for name, several in bounds.items()}
    return {
        name: (min(low for low, _ in several), max(high for _, high in several))
        for name, several in known.items()
        if several and len(several) == len(groups)
    }


def _groups(pieces: Sequence[pa.Table]) -> Iterator[pa.Table]:
    for piece in map(_without_empty, pieces):
        chunks = max(column.num_chunks for column in piece.columns)
        whole = piece if len(piece) >= SHORT * chunks else piece.combine_chunks()
        for begin in range(0, len(whole), GROUP):
            yield whole.slice(begin, GROUP)


def _without_empty(piece: pa.Table) -> pa.Table:
    whole = [
        pa.chunked_array([chunk for chunk in column.chunks if len(chunk)], column.type)
        for column in piece.columns
    ]
    return pa.Table.from_arrays(whole, schema=piece.schema)


def _column(field: pa.Field, column: pa.ChunkedArray) -> _Column:
    kind = plainly(field.type)
    if not field.nullable:
        if pa.types.is_dictionary(field.type):
            words = column.chunk(0).dictionary
            if pa.types.is_string(kind) and not words.null_count:
                return _by_number(column, words)
        elif pa.types.is_signed_integer(kind):
            pages = [_runs(chunk) for chunk in column.chunks]
            if all(begins is not None for begins, _ in pages):
                return _by_runs(kind, list(map(len, column.chunks)), pages)
            if all(_steps(chunk) for chunk in column.chunks):
                return _by_steps(column)
        elif pa.types.is_floating(field.type):
            return _as_it_lies(column)
    return _by_arrow(field, column)


# ---- forms of a column --------------------------------------------------------------------------


def _as_it_lies(column: pa.ChunkedArray) -> _Column:
    """Reals, one after the other."""
    pages: list[Any] = []
    for chunk in column.chunks:
        values = memoryview(chunk.to_numpy()).cast("B")
        pages += [_page(_PLAIN, len(chunk), len(values)), values]
    return _Column(pages, (_PLAIN, _RLE), len(column), 0)


def _by_number(column: pa.ChunkedArray, words: pa.Array) -> _Column:
    """Words: each once, then their numbers."""
    first = _word_page(len(words), made_once(words, _plain))
    pages: list[Any] = []
    for chunk in column.chunks:
        pages += _numbers(chunk.indices.to_numpy(), len(words))
    return _Column([*first, *pages], (_PLAIN, _RLE, _WORDS), len(column), sum(map(len, first)), 0)


def _by_runs(kind: pa.DataType, rows: list[int], pages: list[Any]) -> _Column:
    """Whole numbers that stay the same for long: each once, then where it is."""
    values, code = np.unique(np.concatenate([told for _, told in pages]), return_inverse=True)
    plain = values.astype("<i8" if kind == pa.int64() else "<i4").tobytes()
    first, out, at = _word_page(len(values), plain), [], 0
    for count, (begins, told) in zip(rows, pages, strict=True):
        out += _run_page(count, begins, code[at : at + len(told)], len(values))
        at += len(told)
    bounds = int(values[0]), int(values[-1])
    at = sum(map(len, first))
    return _Column([*first, *out], (_PLAIN, _RLE, _WORDS), sum(rows), at, 0, bounds=bounds)


def _by_steps(column: pa.ChunkedArray) -> _Column:
    """Whole numbers each of which is as much greater than the one before: the step, once a block,
    and no bits beside it."""
    pages: list[Any] = []
    met: list[int] = []
    for chunk in column.chunks:
        first, second, blocks = chunk[0].as_py(), chunk[1].as_py(), -(-(len(chunk) - 1) // BLOCK)
        head = b"".join(map(_varint, (BLOCK, MINI, len(chunk), _zigzag(first))))
        body = head + (_varint(_zigzag(second - first)) + bytes(MINI)) * blocks
        pages += [_page(_DELTA, len(chunk), len(body)), body]
        met += [first, chunk[-1].as_py()]
    return _Column(pages, (_DELTA, _RLE), len(column), 0, bounds=(min(met), max(met)))


def _by_arrow(field: pa.Field, column: pa.ChunkedArray) -> _Column:
    """Whatever lies otherwise: the column of a file that Arrow writes with it alone."""
    words = pa.types.is_dictionary(field.type)
    how: dict[str, Any] = {"compression": "snappy", "use_dictionary": words, "store_schema": False}
    if pa.types.is_integer(field.type) and not pa.types.is_int8(field.type):
        how["column_encoding"] = {field.name: "DELTA_BINARY_PACKED"}
    table, sink = pa.table([column], schema=pa.schema([field])), io.BytesIO()
    pq.write_table(table, sink, row_group_size=GROUP, write_statistics=False, **how)
    told = pq.read_metadata(sink).row_group(0).column(0)
    begin = told.dictionary_page_offset or told.data_page_offset
    return _Column(
        [sink.getbuffer()[begin : begin + told.total_compressed_size]],
        tuple(_ENCODINGS[name] for name in told.encodings),
        told.num_values,
        told.data_page_offset - begin,
        0 if told.has_dictionary_page else None,
        _CODECS[told.compression],
        told.total_uncompressed_size,
    )


# ---- numbers ------------------------------------------------------------------------------------


def _runs(chunk: pa.Array) -> tuple[Any, Any]:
    """Where runs of the same number begin, and which number it is; None where they are many."""
    if not pa.types.is_run_end_encoded(chunk.type):
        values = chunk.to_numpy()
        begins = _begins(values)
        return begins, None if begins is None else values[begins]
    first, several = chunk.find_physical_offset(), chunk.find_physical_length()
    ends = chunk.run_ends.to_numpy()[first : first + several] - chunk.offset
    values = chunk.values.to_numpy()[first : first + several]
    return np.concatenate([[0], ends[:-1]]), values


def _begins(values: Any) -> Any:
    for some in (values[: 4 * RUNS], values):  # many are soon seen to be many
        changes = some[1:] != some[:-1]
        if np.count_nonzero(changes) >= RUNS:
            return None
    return np.concatenate([[0], 1 + np.flatnonzero(changes)])


def _steps(chunk: pa.Array) -> bool:
    """Whether each number is as much greater than the one before."""
    if len(chunk) < 2 or pa.types.is_run_end_encoded(chunk.type):
        return False
    values = chunk.to_numpy()
    step = int(values[1]) - int(values[0])
    whole = int(values[-1]) - int(values[0]) == step * (len(values) - 1) and abs(step) < 1 << 31
    return whole and all(
        (np.diff(values[begin : begin + SHORT + 1]) == step).all()
        for begin in range(0, len(values) - 1, SHORT)
    )


def _numbers(code: Any, several: int) -> list[Any]:
    """A page of numbers less than `several`: as runs where those are few, else in whole bytes."""
    begins = _begins(code)
    if begins is not None:
        return _run_page(len(code), begins, code[begins], several)
    kind = next(kind for kind in ("<u1", "<u2", "<u4") if several <= 1 << 8 * int(kind[2]))
    packed = memoryview(code.astype(kind, copy=False)).cast("B")
    groups = -(-len(code) // 8)
    rest = bytes(groups * 8 * int(kind[2]) - len(packed))
    head = bytes([8 * int(kind[2])]) + _varint(groups << 1 | 1)
    size = len(head) + len(packed) + len(rest)
    return [_page(_WORDS, len(code), size), head, packed, rest]


def _run_page(count: int, begins: Any, code: Any, several: int) -> list[Any]:
    bits = max((several - 1).bit_length(), 1)
    lengths = np.diff(begins, append=count).tolist()
    runs = b"".join(
        _varint(length << 1) + number.to_bytes(-(-bits // 8), "little")
        for length, number in zip(lengths, code.tolist(), strict=True)
    )
    return [_page(_WORDS, count, 1 + len(runs)), bytes([bits]), runs]


def _plain(words: pa.Array) -> bytes:
    """Each word after its length."""
    _, offsets, data = words.buffers()
    ends = np.frombuffer(offsets, "<i4")[words.offset : words.offset + len(words) + 1]
    letters = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    lengths = np.diff(ends).astype("<u4")
    heads = ends[:-1, None] - ends[0] + 4 * np.arange(len(words))[:, None] + np.arange(4)
    out = np.empty(len(letters) + 4 * len(words), np.uint8)
    out[heads] = lengths.view(np.uint8).reshape(-1, 4)
    rest = np.ones(len(out), np.bool_)
    rest[heads] = False
    out[rest] = letters
    return out.tobytes()


# ---- what Parquet says of them, in Thrift's compact protocol ------------------------------------


def _page(encoding: int, count: int, size: int) -> bytes:
    levels = (3, _I32, _RLE), (4, _I32, _RLE)
    values = _struct((1, _I32, count), (2, _I32, encoding), *levels)
    return _struct((1, _I32, 0), (2, _I32, size), (3, _I32, size), (5, _STRUCT, values))


def _word_page(count: int, plain: bytes) -> list[bytes]:
    words, size = _struct((1, _I32, count), (2, _I32, _PLAIN)), len(plain)
    head = _struct((1, _I32, 2), (2, _I32, size), (3, _I32, size), (7, _STRUCT, words))
    return [head, plain]


def _told(field: pa.Field, column: _Column, at: int, size: int) -> bytes:
    words = () if column.words is None else ((11, _I64, at + column.words),)
    meta = _struct(
        (1, _I32, _TYPES[plainly(field.type)][0]),
        (2, _LIST, (_I32, [_varint(_zigzag(code)) for code in column.encodings])),
        (3, _LIST, (_BINARY, [_bytes(field.name.encode())])),
        (4, _I32, column.codec),
        (5, _I64, column.count),
        (6, _I64, size if column.unpacked is None else column.unpacked),
        (7, _I64, size),
        (9, _I64, at + column.data),
        *words,
    )
    return _struct((2, _I64, at), (3, _STRUCT, meta))


def _schema(schema: pa.Schema) -> list[bytes]:
    told = [_struct((4, _BINARY, b"schema"), (5, _I32, len(schema)))]
    for field in schema:
        kind, more = _TYPES[plainly(field.type)]
        name = (4, _BINARY, field.name.encode())
        told.append(_struct((1, _I32, kind), (3, _I32, int(field.nullable)), name, *more))
    return told


def _struct(*fields: tuple[int, int, Any]) -> bytes:
    """Fields by number, type and value: an int, bytes, a struct's bytes, or (type, elements)."""
    out, last = bytearray(), 0
    for number, kind, value in fields:
        out.append(number - last << 4 | kind)
        last = number
        if kind in (_I32, _I64):
            out += _varint(_zigzag(value))
        elif kind == _BINARY:
            out += _bytes(value)
        elif kind == _LIST:
            of, elements = value
            few = len(elements) < 15
            out += bytes([len(elements) << 4 | of]) if few else bytes([0xF0 | of])
            out += b"" if few else _varint(len(elements))
            out += b"".join(elements)
        else:
            out += value
    return bytes(out) + b"\0"


def _bytes(value: bytes) -> bytes:
    return _varint(len(value)) + value


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


_STRING = [(6, _I32, 0), (10, _STRUCT, _struct((1, _STRUCT, _struct())))]
_INT_8 = [(6, _I32, 15)]
_TYPES.update(
    {
        pa.int8(): (_INT32, _INT_8),
        pa.int32(): (_INT32, []),
        pa.int64(): (_INT64, []),
        pa.float32(): (_FLOAT, []),
        pa.float64(): (_DOUBLE, []),
        pa.string(): (_BYTES, _STRING),
    }
)
