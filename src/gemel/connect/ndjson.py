"""One JSON object a line → samples, by columns where the lines allow it.

Owns    which block of lines may be read by Arrow's JSON reader: one that gives the very samples
        that `objects` would give. Any other is read line by line.
Never   lets a bad line cost more than the speed of its own block.

Within one object the order of its samples is the block's order of columns.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from gemel.connect.columns import (
    Words,
    as_array,
    numbers,
    text_instants,
    unwound,
    words_of,
)
from gemel.connect.decoded import Letters, too_many
from gemel.connect.objects import Objects, parse
from gemel.errors import Invalid
from gemel.labels import Labels
from gemel.records import Batch, Bools, Instants

BLOCK = 1 << 13  # bytes read together, whatever their names: a name takes room in every line
LARGE = 1 << 20  # ... at most, once the names in the lines are known
NAMES = 64  # signals of a line, at most, for that
LINE = 1 << 14  # bytes of a line that is read by columns; longer ones may hide any depth
_ANY = pj.ParseOptions(explicit_schema=pa.schema([("twin", pa.string()), ("time", pa.string())]))
_READ = pj.ReadOptions(use_threads=False, block_size=2 * LARGE)

Piece = tuple[bytes, pa.Table]


def is_lines(payload: bytes) -> bool:
    """Whether it can only be one document a line: `}` and `{` never meet inside one."""
    return b"}\n{" in payload or b"}\r\n{" in payload


def read_lines(payload: bytes, twin: str | None, letters: Letters, time: int | None) -> Batch:
    """Samples of every line; a line that cannot be read is a dead letter.

    Where no line is an object the payload is one dead letter.
    """
    lines = _Lines(twin, letters, time)
    lines.read(payload)
    batch = lines.end()
    if not lines.met:
        letters.forget()
        try:
            parse(payload)
        except Invalid as error:
            letters.bury(payload, error)
    return batch


def _end(payload: bytes, begin: int, size: int) -> int:
    """Where the lines from `begin` on end, about `size` bytes further."""
    cut = payload.rfind(b"\n", begin, begin + size)
    if cut < 0:
        cut = payload.find(b"\n", begin + size)
    return len(payload) if cut < 0 else cut


class _Lines:
    """The blocks of one message on their way."""

    def __init__(self, twin: str | None, letters: Letters, time: int | None) -> None:
        self.twin, self.letters, self.time = twin, letters, time
        self.met = False
        self._form: _Form | None = None
        self._run: list[Piece] = []  # neighbours of one schema, read as one
        self._done: list[Batch] = []

    def read(self, payload: bytes) -> None:
        """Block by block: larger ones while all goes well, smaller ones around what is odd."""
        begin, size = 0, BLOCK
        while begin < len(payload):
            if self.letters.left < 0:
                self._rest(payload[begin:])
                return
            end = _end(payload, begin, size)
            block = payload[begin:end]
            table = None if self._form is None else _table(block, self._form.how)
            if table is not None:
                self._take(block, table)
                size = min(2 * size, LARGE)
            elif size > BLOCK:
                size = max(size // 8, BLOCK)
                continue
            else:
                self._small(block)
            begin = end + 1

    def _rest(self, lines: bytes) -> None:
        """What is beyond the limit is not looked at any more."""
        self._flush()
        self.letters.bury(lines, too_many(), lines.rstrip(b"\n").count(b"\n") + 1)

    def end(self) -> Batch:
        self._flush()
        return Batch.joined(self._done)

    def _small(self, block: bytes) -> None:
        """A block of other names than those before, or of odd lines."""
        table = _table(block)
        if table is None:
            self._flush()
            self._slowly(block)
            return
        self._form = _Form.of(table.schema, self._form)
        known = None if self._form is None else _table(block, self._form.how)
        self._take(block, table if known is None else known)

    def _take(self, block: bytes, table: pa.Table) -> None:
        if self._run and self._run[-1][1].schema != table.schema:
            self._flush()
        self._run.append((block, table))

    def _flush(self) -> None:
        """Read the run together; where something in it is odd, block by block."""
        run, self._run = self._run, []
        if not run or self._fast(pa.concat_tables([table for _, table in run])):
            return
        for block, _ in run:
            begin = 0
            while begin < len(block):
                end = _end(block, begin, BLOCK)
                table = _table(block[begin:end])
                if table is None or not self._fast(table):
                    self._slowly(block[begin:end])
                begin = end + 1

    def _fast(self, table: pa.Table) -> bool:
        """Read a table of lines, if every line of it is as it should be."""
        twin = _twins(table, self.twin)
        read = _instants(table, self.time)
        if twin is None or read is None:
            return False
        batch, empty = _samples(table, twin, read)
        if batch is None or len(batch) + empty > self.letters.left:
            return False
        self.letters.take(len(batch) + empty)
        self.met = True
        self._done.append(batch)
        return True

    def _slowly(self, block: bytes) -> None:
        objects = Objects(self.twin, self.letters, self.time)
        for line in block.split(b"\n"):
            if line.strip():
                objects.document(line)
        self.met = self.met or objects.met
        self._done.append(Batch.of(objects.rows))


@dataclass(frozen=True)
class _Form:
    """The names that lines have had so far. how: to read others that have no more than these."""

    schema: pa.Schema
    how: pj.ParseOptions

    @staticmethod
    def of(schema: pa.Schema, before: "_Form | None") -> "_Form | None":
        """Of these lines and those before; None when there are too many names."""
        names = [field.name for field in schema.field("values").type]
        fields = {field.name: field for field in schema}
        if before is not None:
            fields = {field.name: field for field in before.schema} | fields
            names = list(
                dict.fromkeys([f.name for f in before.schema.field("values").type] + names)
            )
            units = [s.field("units").type for s in (before.schema, schema) if "units" in s.names]
            told = {field.name: field for kind in units for field in kind}
            if told:
                fields["units"] = pa.field("units", pa.struct(list(told.values())))
        if len(names) > NAMES and before is not None:
            return _Form.of(schema, None)
        if not 0 < len(names) <= NAMES:
            return None
        fields["values"] = pa.field("values", pa.struct([(name, pa.float64()) for name in names]))
        whole = pa.schema(list(fields.values()))
        how = pj.ParseOptions(explicit_schema=whole, unexpected_field_behavior="error")
        return _Form(whole, how)


def _table(block: bytes, form: pj.ParseOptions = _ANY) -> pa.Table | None:
    """The lines as a table; None unless each is one object without nulls, of plain numbers."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    block = block.rstrip(b"\r\n")
    if not _is_plain(block):
        return None
    try:
        table = pj.read_json(pa.BufferReader(block), read_options=_READ, parse_options=form)
    except (pa.ArrowException, ValueError):
        return None
    if table.num_rows != block.count(b"\n") + 1 or "values" not in table.column_names:
        return None
    values = table.schema.field("values").type
    if not pa.types.is_struct(values) or table["values"].null_count:
        return None
    if not all(pa.types.is_floating(f.type) or pa.types.is_integer(f.type) for f in values):
        return None
    if "units" in table.column_names:
        units = table.schema.field("units").type
        if not pa.types.is_struct(units) or not all(pa.types.is_string(f.type) for f in units):
            return None
    return table.select([name for name in _OURS if name in table.column_names])


_OURS = ("twin", "time", "values", "units")


def _is_plain(block: bytes) -> bool:
    """Lines that begin with { and end with }, none of them long, in UTF-8, without a null."""
    if not (block.startswith(b"{") and block.endswith(b"}")) or b"null" in block:
        return False
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    text = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(text == 10)
    if np.diff(ends, prepend=-1, append=len(text)).max() > LINE:
        return False
    return bool((text[ends - 1] == ord("}")).all() and (text[ends + 1] == ord("{")).all())


def _twins(table: pa.Table, twin: str | None) -> Labels | None:
    """The twin of every line; None where one has none, or another than its topic's."""
    column = as_array(table["twin"])
    if twin is not None:
        own = pc.fill_null(pc.equal(column, twin), True)
        return Labels.full(len(column), twin) if pc.all(own, min_count=0).as_py() else None
    words = words_of(column)
    if column.null_count or words.vocabulary.no_twin.any():
        return None
    return words.labels


def _instants(table: pa.Table, time: int | None) -> Instants | None:
    """The instant of every line; None where one cannot be read."""
    column = as_array(table["time"])
    if time is not None and column.null_count == len(column):
        return np.full(len(column), time, np.int64)
    instant, unread = text_instants(column)
    return None if unread.any() else instant


def _samples(table: pa.Table, twin: Labels, instant: Instants) -> tuple[Batch | None, int]:
    """The samples, and how many lines have none; None where a number or a name is odd."""
    values = as_array(table["values"])
    names = tuple(field.name for field in values.type)
    if not names:
        return Batch.of([]), len(twin)
    columns = [numbers(column) for column in values.flatten()]
    if not _are_names(names) or not all(_finite(*column) for column in columns):
        return None, 0
    units = _units(table, names)
    if units is None:
        return None, 0
    batch = unwound(twin, instant, names, columns, units)
    if len(batch) == len(twin) * len(names):
        return batch, 0
    nothing = np.ones(len(twin), np.bool_)
    for _, missing in columns:
        nothing &= False if missing is None else missing
    return batch, int(nothing.sum())


def _are_names(names: tuple[str, ...]) -> bool:
    words = words_of(pa.array(names, pa.string()))
    return not bool(words.vocabulary.unnamed.any())


def _finite(value: np.ndarray, missing: Bools | None) -> bool:
    odd = ~np.isfinite(value)
    return not bool(odd.any() if missing is None else (odd & ~missing).any())


def _units(table: pa.Table, names: tuple[str, ...]) -> Labels | None:
    """The unit of every cell, row by row (n S,), "" where none is said; None for an odd one."""
    if "units" not in table.column_names:
        return Labels.full(len(names), "")
    units = as_array(table["units"])
    given: dict[str, Words] = {
        field.name: words_of(column)
        for field, column in zip(units.type, units.flatten(), strict=True)
        if field.name in names
    }
    place = {"": 0}
    code = np.zeros((len(units), len(names)), np.int32)
    for k, name in enumerate(names):
        if name not in given:
            continue
        words = given[name]
        told = words.vocabulary
        if bool((told.unnamed & np.array([word != "" for word in told.words], bool)).any()):
            return None
        each = np.array([place.setdefault(word, len(place)) for word in told.words], np.int32)
        code[:, k] = np.where(words.missing, 0, each[words.labels.code])
    return Labels(tuple(place), code.ravel())
