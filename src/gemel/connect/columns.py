"""Columns as Arrow brings them → columns as a `Batch` keeps them. No Python per row.

Owns    words by their dictionary, instants out of text or timestamps, numbers, and how a wide
        table becomes one row a sample.
Never   raises on a bad cell: it says which rows have one.
"""

import hashlib
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gemel.clock import SECOND, parse_instant
from gemel.connect.decoded import NAME, TWIN
from gemel.errors import Invalid
from gemel.labels import Labels
from gemel.records import Batch, Bools, Floats, Instants

KEPT = 4_096  # vocabularies remembered: one of each shard that sends its own frames ...
KEPT_WORDS = 2_000_000  # ... and words in all of them
LONG, RECENT = 1_000, 16  # words of a list that is held as it came, and how many such lists
FEW = 32  # distinct times that are quicker read one by one
NEVER = -(2**63)  # the instant of a cell that has none
_POWERS = 10 ** np.arange(8, -1, -1, dtype=np.int64)
_STEPS = {"s": SECOND, "ms": 10**6, "us": 10**3, "ns": 1}


@dataclass(frozen=True)
class Vocabulary:
    """The words of one dictionary. place: code → word, None where they are the same."""

    words: tuple[str, ...]
    place: NDArray[np.int32] | None

    @cached_property
    def unnamed(self) -> Bools:
        """Words that are no name: empty, too long or not printable (V,)."""
        return np.array([not is_name(word) for word in self.words], bool)

    @cached_property
    def no_twin(self) -> Bools:
        """Words that are no twin's id (V,)."""
        return np.array([TWIN.fullmatch(word) is None for word in self.words], bool)


class _Known:
    """Vocabularies met before, by a digest of their bytes: the latest `KEPT` of them."""

    def __init__(self) -> None:
        self._held: OrderedDict[bytes, Vocabulary] = OrderedDict()
        self._recent: deque[tuple[pa.Array, Vocabulary]] = deque(maxlen=RECENT)
        self._words = 0
        self._turn = threading.Lock()

    def of(self, words: pa.Array) -> Vocabulary:
        """Of words in this order; a long list that came just now is known by a look."""
        for before, known in tuple(self._recent):
            if len(before) == len(words) and before.equals(words):
                return known
        known = self._digested(words)
        if len(words) >= LONG:
            self._recent.append((words, known))
        return known

    def _digested(self, words: pa.Array) -> Vocabulary:
        digest = _digest(words)
        with self._turn:
            if digest in self._held:
                self._held.move_to_end(digest)
                return self._held[digest]
        made = _vocabulary(words)
        with self._turn:
            if digest not in self._held:
                self._held[digest] = made
                self._words += len(made.words)
            while len(self._held) > KEPT or (self._words > KEPT_WORDS and len(self._held) > 1):
                _, gone = self._held.popitem(last=False)
                self._words -= len(gone.words)
        return made


_known = _Known()


def _vocabulary(words: pa.Array) -> Vocabulary:
    told = [word or "" for word in words.to_pylist()]
    place: dict[str, int] = {}
    code = np.array([place.setdefault(word, len(place)) for word in told], np.int32)
    return Vocabulary(tuple(place), None if len(place) == len(told) else code)


def _digest(words: pa.Array) -> bytes:
    """Of type, length and bytes of a column of words that begins at its buffers' start."""
    told = hashlib.sha256(f"{words.type} {len(words)}".encode())
    for buffer in words.buffers():
        told.update(b"-" if buffer is None else memoryview(buffer))
    return told.digest()


@dataclass(frozen=True)
class Words:
    """A column of words: labels (N,) · vocabulary · missing (N,): rows that have none."""

    labels: Labels
    vocabulary: Vocabulary
    missing: Bools

    def __len__(self) -> int:
        return len(self.labels)

    def among(self, odd: Bools) -> Bools:
        """The rows that have one of some words (V,), or none: (N,)."""
        return np.asarray(odd[self.labels.code] | self.missing) if odd.any() else self.missing

    def filled(self) -> Labels:
        """The labels, "" in the rows that have none."""
        if not self.missing.any():
            return self.labels
        words = self.labels.words if "" in self.labels.words else (*self.labels.words, "")
        nothing = np.int32(words.index(""))
        return Labels(words, np.where(self.missing, nothing, self.labels.code))


def is_name(word: str) -> bool:
    """Whether a word can name a signal or a unit."""
    return bool(word) and len(word) <= NAME and word.isprintable()


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds words, dictionary-coded or plain."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def words_of(column: pa.Array) -> Words:
    """A text column → words. A word that was met before is not decoded again."""
    if not pa.types.is_dictionary(column.type):
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            column = column.cast(pa.large_string())
        column = column.dictionary_encode()
    dictionary, indices = column.dictionary, column.indices
    if dictionary.offset:
        dictionary = pa.concat_arrays([dictionary])
    if not (pa.types.is_string(dictionary.type) or pa.types.is_large_string(dictionary.type)):
        dictionary = dictionary.cast(pa.large_string())
    vocabulary = _known.of(dictionary) if len(dictionary) else Vocabulary(("",), None)
    missing = np.zeros(len(indices), np.bool_)
    if indices.null_count or dictionary.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        indices = pc.fill_null(indices, 0)
        if dictionary.null_count:
            gone = dictionary.is_null().to_numpy(zero_copy_only=False)
            missing = missing | gone[indices.to_numpy(zero_copy_only=False)]
    code = indices.to_numpy(zero_copy_only=False)
    if vocabulary.place is not None:
        code = vocabulary.place[code]
    return Words(Labels(vocabulary.words, code.astype(np.int32, copy=False)), vocabulary, missing)


def numbers(column: pa.Array) -> tuple[Floats, Bools | None]:
    """A column of numbers → value (N,), and where there is none (N,), None: nowhere."""
    if not pa.types.is_float64(column.type):
        column = column.cast(pa.float64(), safe=False)
    if not column.null_count:
        return column.to_numpy(), None
    missing = column.is_null().to_numpy(zero_copy_only=False)
    return column.to_numpy(zero_copy_only=False), missing


def is_number(kind: pa.DataType) -> bool:
    """Whether a column holds numbers."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def stamps(column: pa.Array) -> tuple[Instants, Bools]:
    """A timestamp column with a zone, or integers of ns → instant (N,), where there is none."""
    step = _STEPS[column.type.unit] if pa.types.is_timestamp(column.type) else 1
    missing = np.zeros(len(column), np.bool_)
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        column = pc.fill_null(column, pa.scalar(0, column.type))
    whole = column.view(pa.int64()).to_numpy()
    if step != 1:
        most = (2**63 - 1) // step  # beyond it lies no year of a plant: quality will say so
        whole = np.clip(whole, -most, most) * step
    return whole, missing


def text_instants(column: pa.Array) -> tuple[Instants, Bools]:
    """ISO 8601 with a zone → instant (N,), and where that cannot be read (N,).

    The same as `clock.parse_instant` a row; usual forms are read together.
    """
    if not len(column):
        return np.zeros(0, np.int64), np.zeros(0, np.bool_)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    words = column.dictionary.cast(pa.string())
    code = pc.fill_null(column.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    each, unread = np.zeros(len(words) + 1, np.int64), np.ones(len(words) + 1, np.bool_)
    if len(words) > FEW:
        each[:-1], unread[:-1] = _usual(words)
    for k in np.flatnonzero(unread[:-1]).tolist():
        word = words[k].as_py()
        try:
            if word is not None and word.isprintable():
                each[k], unread[k] = parse_instant(word), False
        except Invalid:
            pass
    return each[code], unread[code]  # −1, no word, is the last of them


def _usual(words: pa.Array) -> tuple[Instants, Bools]:
    """Words of the form YYYY-MM-DDTHH:MM:SS[.f…]Z → instants (V,), and which are not (V,)."""
    offsets = np.frombuffer(words.buffers()[1], np.int32)[words.offset :][: len(words) + 1]
    data = np.frombuffer(words.buffers()[2] or b"", np.uint8)
    size = np.diff(offsets)
    instant, unread = np.zeros(len(words), np.int64), np.ones(len(words), np.bool_)
    for length in np.unique(size).tolist():
        if length == 20 or 22 <= length <= 30:
            some = np.flatnonzero(size == length)
            text = data[offsets[some][:, None] + np.arange(length)]
            instant[some], good = _read(text.astype(np.int64) - 48)
            unread[some] = ~good
    return instant, unread


def _read(text: Instants) -> tuple[Instants, Bools]:
    """Characters less "0" (V,L) → instants, and which rows have the form."""
    length = text.shape[1]
    marks = {4: "-", 7: "-", 13: ":", 16: ":", length - 1: "Z"} | ({19: "."} if length > 20 else {})
    digits = [k for k in range(length) if k not in marks and k != 10]
    good = (text[:, 10] == ord("T") - 48) | (text[:, 10] == ord(" ") - 48)
    for place, mark in marks.items():
        good &= text[:, place] == ord(mark) - 48
    good &= ((text[:, digits] >= 0) & (text[:, digits] <= 9)).all(axis=1)
    two = [text[:, k] * 10 + text[:, k + 1] for k in (0, 2, 5, 8, 11, 14, 17)]
    year, month, day, hour, minute, second = two[0] * 100 + two[1], *two[2:]
    good &= (two[0] >= 19) & (two[0] <= 21) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= (hour < 24) & (minute < 60) & (second < 60)
    months = np.where(good, (year - 1970) * 12 + month - 1, 0).astype("M8[M]")
    first = months.astype("M8[D]").astype(np.int64)
    good &= day <= (months + 1).astype("M8[D]").astype(np.int64) - first
    seconds = (((first + day - 1) * 24 + hour) * 60 + minute) * 60 + second
    part = text[:, 20 : length - 1] @ _POWERS[: length - 21] if length > 20 else 0
    return np.where(good, seconds * SECOND + part, 0), good


def unwound(
    twin: Labels,
    instant: Instants,
    signals: tuple[str, ...],
    columns: list[tuple[Floats, Bools | None]],
    unit: Labels,
) -> Batch:
    """A wide table of n rows, a column a signal → one row a sample, row by row.

    columns: value (n,), where there is none · unit: of every cell (n S,), or of every signal (S,)
    """
    n, wide = len(instant), len(signals)
    value = np.empty((n, wide))
    for k, (column, _) in enumerate(columns):
        np.add(column, 0.0, out=value[:, k])  # there is one zero
    alike = len(unit) == wide  # in every row
    names = _names(twin.code, wide, unit.code if alike else None)
    batch = Batch(
        Labels(twin.words, names.twin),
        Labels(signals, names.signal),
        np.repeat(instant, wide),
        value.ravel(),
        Labels(unit.words, names.unit) if alike else unit,
        wide if alike else 1,
    )
    if all(missing is None for _, missing in columns):
        return batch
    there = np.ones((n, wide), np.bool_)
    for k, (_, missing) in enumerate(columns):
        if missing is not None:
            there[:, k] = ~missing
    return batch.part(there.ravel())


@dataclass(frozen=True)
class _Names:
    """Of a wide table's rows: code (n,) of twins, units (S,) → code (n S,) of every sample."""

    row: NDArray[np.int32]
    units: NDArray[np.int32]
    twin: NDArray[np.int32]
    signal: NDArray[np.int32]
    unit: NDArray[np.int32]


_repeated: deque[_Names] = deque(maxlen=RECENT)  # a source sends the same list again and again


def _names(row: NDArray[np.int32], wide: int, units: NDArray[np.int32] | None) -> _Names:
    """The same arrays for the same list, so that whoever knows them need not compare them."""
    units = np.zeros(wide, np.int32) if units is None else units
    for known in tuple(_repeated):
        if np.array_equal(known.units, units) and np.array_equal(known.row, row):
            return known
    signal = np.tile(np.arange(wide, dtype=np.int32), len(row))
    made = _Names(row, units, np.repeat(row, wide), signal, np.tile(units, len(row)))
    if len(row) >= LONG:
        _repeated.append(made)
    return made


def as_array(column: Any) -> pa.Array:
    """One array of a column that may come in chunks; its text begins at its buffers' start."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks)
    return column
