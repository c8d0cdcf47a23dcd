"""Words as Arrow has them.

Owns    the arrays of vocabularies that come again and again.
Never   changes a word.
"""

from functools import lru_cache

import pyarrow as pa

from gemel.labels import Labels

LONG = 1_000  # words: they are known by where they lie, as to compare them takes time
KEPT = 16
_long: dict[int, tuple[tuple[str, ...], pa.Array]] = {}


def words(labels: Labels) -> pa.Array:
    """A column of words, by its dictionary."""
    code = labels.code.astype("int32", copy=False)
    return pa.DictionaryArray.from_arrays(code, coded(labels.words), safe=False)


def joined(parts: list[pa.Table]) -> pa.Table:
    """One table of several, a word by one number in all of it."""
    table = pa.concat_tables(parts)
    for column in table.columns:
        if pa.types.is_dictionary(column.type) and len({lies(c) for c in column.chunks}) > 1:
            return table.unify_dictionaries()
    return table


def lies(column: pa.DictionaryArray) -> tuple[int, int, int]:
    """Where the words of a column lie: the same place, the same words."""
    told = column.dictionary
    return told.buffers()[2].address if len(told) else 0, told.offset, len(told)


def coded(words: tuple[str, ...]) -> pa.Array:
    """The words as an array; a fleet's are the same each time."""
    held = _long.get(id(words))
    if held is not None and held[0] is words:
        return held[1]
    if len(words) < LONG:
        return _short(words)
    if len(_long) >= KEPT:
        _long.clear()
    made = pa.array(words, pa.string())
    _long[id(words)] = (words, made)
    return made


@lru_cache(256)
def _short(words: tuple[str, ...]) -> pa.Array:
    return pa.array(words, pa.string())
