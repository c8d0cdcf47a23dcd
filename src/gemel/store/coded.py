"""Words as Arrow has them.

Owns    the arrays of vocabularies that come again and again, and columns of several of them.
Never   changes a word.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gemel.labels import Labels

LONG = 1_000  # words: they are known by where they lie, as to compare them takes time
KEPT = 16
APART = 1 << 15  # rows of a piece with words of its own, at least


@dataclass
class _Held:
    """A long vocabulary. While it is held, no other lies where it does."""

    words: tuple[str, ...]
    coded: pa.Array
    made: dict[Callable[[pa.Array], Any], Any] = field(default_factory=dict)


_long: dict[int, _Held] = {}


def words(labels: Labels, few: bool = False) -> pa.Array:
    """A column of words, by its dictionary. `few`: always fewer than 128."""
    code = labels.code.astype("int8" if few else "int32", copy=False)
    return pa.DictionaryArray.from_arrays(code, coded(labels.words), safe=False)


def same(value: int, count: int) -> pa.Array:
    """A column with the same number in every row, which is kept once."""
    ends = pa.array([count] if count else [], pa.int32())
    return pa.RunEndEncodedArray.from_arrays(ends, pa.array([value] if count else [], pa.int64()))


def plainly(kind: pa.DataType) -> pa.DataType:
    """The type of what a column says, whatever way it is kept."""
    by_number = pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind)
    return kind.value_type if by_number else kind


def joined(parts: list[pa.Table]) -> pa.Table:
    """One table of several. Of short parts a word has one number in all of it, as to keep
    vocabularies apart costs more than to join them; long parts keep their own."""
    table = pa.concat_tables(parts)
    return table if len(table) >= APART * len(runs(table)) else unified(table)


def runs(table: pa.Table) -> list[pa.Table]:
    """A table in pieces, in each of which a word has one number."""
    columns = [c for c in table.columns if pa.types.is_dictionary(c.type)]
    if all(len({lies(chunk) for chunk in c.chunks}) <= 1 for c in columns):
        return [table]
    pieces: list[list[pa.RecordBatch]] = []
    before = None
    for batch in table.to_batches():
        place = [lies(c) for c in batch.columns if pa.types.is_dictionary(c.type)]
        if place != before:
            pieces.append([])
        pieces[-1].append(batch)
        before = place
    return [pa.Table.from_batches(piece) for piece in pieces] or [table]


def unified(table: pa.Table) -> pa.Table:
    """The same rows, a word by one number in all of them. A vocabulary that comes again is looked
    at once."""
    for place, column in enumerate(table.columns):
        if pa.types.is_dictionary(column.type) and column.num_chunks > 1:
            table = table.set_column(place, table.column_names[place], _unified(column))
    return table


def _unified(column: pa.ChunkedArray) -> pa.ChunkedArray:
    several: list[pa.Array] = []  # each vocabulary once
    known: dict[tuple[Any, ...], list[int]] = {}  # where those of a length and two ends stand
    of = []
    for chunk in column.chunks:
        words = chunk.dictionary
        key = (len(words), *(words[k].as_py() for k in (0, -1) if len(words)))
        alike = known.setdefault(key, [])
        found = next((k for k in alike if several[k].equals(words)), len(several))
        if found == len(several):
            several.append(words)
            alike.append(found)
        of.append(found)
    if len(several) == 1:
        whole = pa.DictionaryArray.from_arrays
        return pa.chunked_array([whole(chunk.indices, several[0]) for chunk in column.chunks])
    every = pa.concat_arrays(several).dictionary_encode()
    begins = np.cumsum([0, *map(len, several)])
    words, code = every.dictionary, every.indices.to_numpy()
    number = [code[a:b] for a, b in pairwise(begins)]
    chunks = [
        pa.DictionaryArray.from_arrays(number[k][chunk.indices.to_numpy()], words)
        for k, chunk in zip(of, column.chunks, strict=True)
    ]
    return pa.chunked_array(chunks)


def lies(column: pa.DictionaryArray) -> tuple[int, int, int]:
    """Where the words of a column lie: the same place, the same words."""
    return _place(column.dictionary)


def _place(words: pa.Array) -> tuple[int, int, int]:
    return words.buffers()[2].address if len(words) else 0, words.offset, len(words)


def ends(words: pa.Array) -> pa.Array:
    """The first and the last of them in their order."""
    return made_once(words, _ends)


def made_once(words: pa.Array, make: Callable[[pa.Array], Any]) -> Any:
    """What is made of a vocabulary; of a long one that comes again, once."""
    place = _place(words)
    held = next((one for one in list(_long.values()) if _place(one.coded) == place), None)
    if held is None:
        return make(words)
    if make not in held.made:
        held.made[make] = make(words)
    return held.made[make]


def _ends(words: pa.Array) -> pa.Array:
    return pa.array(pc.min_max(words).as_py().values(), pa.string())


def coded(words: tuple[str, ...]) -> pa.Array:
    """The words as an array; a fleet's are the same each time."""
    held = _long.get(id(words))
    if held is not None and held.words is words:
        return held.coded
    if len(words) < LONG:
        return _short(words)
    if len(_long) >= KEPT:
        _long.clear()
    made = pa.array(words, pa.string())
    _long[id(words)] = _Held(words, made)
    return made


@lru_cache(256)
def _short(words: tuple[str, ...]) -> pa.Array:
    return pa.array(words, pa.string())
