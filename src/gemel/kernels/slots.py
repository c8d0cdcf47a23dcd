"""Slots: which row of a fleet is which twin.

Owns    the map id → row, and the text of every id. Rows have no gaps: those behind an id that
        leaves move up, as in a list.
Never   holds a twin's numbers (kernels/rows.py), and never takes one id for another.

An open-addressing table of rows with linear probing, at most half full. An id is found by a 64-bit
hash of its UTF-8 bytes and then compared byte for byte, so that ids whose hashes are equal cost one
step more and are never mixed up. A million ids of 14 letters take 45 to 57 MB with their text, by
how they came; a Python dict of them takes 126.

    h₀ = mix(n + γ)    hₖ₊₁ = mix(hₖ ⊕ wₖ)    over the n bytes as 64-bit words wₖ, zeros at the end

`mix` is SplitMix64's finaliser, a bijection in which each bit of the input turns half of the output
(Steele, Lea, Flood 2014); γ is its increment. The hash is the same on every machine. It does not
withstand someone who makes ids in order to slow the table down: a fleet's ids are its owner's.
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gemel.errors import Invalid, NotFound

Places = NDArray[np.int64]
Hashes = NDArray[np.uint64]

EMPTY = -1  # a place of the table without a row
BLOCK = 1 << 16  # ids taken at once: what a bulk call needs in passing stays small
WASTE = 1 << 12  # bytes of discarded text that are not worth a compaction
GAMMA, ALL = 0x9E3779B97F4A7C15, 2**64 - 1
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
PAD = bytes(8)  # behind a text, so that its last word can be read whole


class Slots:
    """The ids of a fleet and their rows.

    A new id gets the next row.

    >>> slots = Slots()
    >>> slots.add(["pump-1", "pump-2", "pump-1"]).tolist()
    [0, 1, 0]
    >>> slots.discard(["pump-1"]).tolist(), slots.find("pump-2"), slots.add(["fan-7"]).tolist()
    ([0], 0, [1])
    >>> list(slots), slots.find_many(["fan-7", "pump-1"]).tolist()
    (['pump-2', 'fan-7'], [1, -1])
    """

    def __init__(self) -> None:
        self._table = np.full(32, EMPTY, np.int32)
        self._hash = np.zeros(16, np.uint64)
        self._start = np.zeros(16, np.int64)
        self._length = np.zeros(16, np.int32)
        self._text = bytearray(PAD)
        self._waste = 0  # bytes of text that belong to no id
        self._count = 0

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """The slots that `arrays()` described."""
        slots = cls()
        length = np.asarray(arrays["length"], np.int32)
        slots._text = bytearray(np.asarray(arrays["text"], np.uint8).data) + PAD
        slots._reserve(len(length))
        rows = np.arange(len(length))
        slots._count = len(rows)
        slots._length[rows] = length
        slots._start[rows] = np.cumsum(length, dtype=np.int64) - length
        slots._hash[rows] = _hashes(slots._text, slots._start[rows], slots._length[rows])
        slots._place(rows)
        return slots

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a snapshot keeps: `text`, all ids in row order; `length` (rows,) bytes of each."""
        self._compact()
        text = np.frombuffer(bytes(self._text[: -len(PAD)]), np.uint8)
        return {"text": text, "length": self._length[: self._count].copy()}

    @property
    def nbytes(self) -> int:
        """Bytes of the table and of every id's text."""
        columns = (self._table, self._hash, self._start, self._length)
        return sum(column.nbytes for column in columns) + self._text.__sizeof__()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        """All ids, in the order of their rows."""
        return map(self.name, range(self._count))

    def __contains__(self, name: str) -> bool:
        return self._locate(_encoded(name)) is not None

    def name(self, row: int) -> str:
        """The id of a row."""
        return self._raw(row).decode("utf-8", "surrogatepass")

    def find(self, name: str) -> int:
        """The row of an id. Raises NotFound `twin.unknown`, with the ids that are near."""
        place = self._locate(_encoded(name))
        if place is None:
            raise self._unknown(name)
        return self._table.item(place)

    def find_many(self, names: Sequence[str]) -> Places:
        """The rows of many ids: (N,); −1 for an id that is not here."""
        rows = np.empty(len(names), np.int64)
        for begin in range(0, len(names), BLOCK):
            text, start, length = _texts(names[begin : begin + BLOCK])
            hashes = _hashes(text, start, length)
            rows[begin : begin + BLOCK] = self._seek(text, start, length, hashes)
        return rows

    def add(self, names: Sequence[str]) -> Places:
        """The rows of many ids: (N,); an id that is new gets the next row.

        Raises Invalid `slots.id` for an id that is no text or is empty; then none is added.
        """
        for name in names:
            if not name or not isinstance(name, str):
                raise _no_id(name)
        rows = np.empty(len(names), np.int64)
        for begin in range(0, len(names), BLOCK):
            block = names[begin : begin + BLOCK]
            found = self.find_many(block)
            missing = np.flatnonzero(found < 0).tolist()
            new = dict.fromkeys(block[k] for k in missing)
            given = dict(zip(new, self._insert(list(new)).tolist(), strict=True))
            found[missing] = [given[block[k]] for k in missing]
            rows[begin : begin + BLOCK] = found
        return rows

    def discard(self, names: Sequence[str]) -> Places:
        """Forget ids, and say which rows they had: (N,). Those behind them have moved up.

        Raises as `find`; then none is forgotten.
        """
        rows = self.find_many(names)
        if (rows < 0).any():
            raise self._unknown(names[int(np.argmax(rows < 0))])
        stays = np.ones(self._count, np.bool_)
        stays[rows] = False
        self._waste += int(self._length[: self._count][~stays].sum())
        self._count, before = int(stays.sum()), self._count
        for column in (self._hash, self._start, self._length):
            column[: self._count] = column[:before][stays]
        self._table[:] = EMPTY
        self._place(np.arange(self._count))
        if self._waste > WASTE + len(self._text) // 2:
            self._compact()
        return rows

    def _raw(self, row: int) -> bytearray:
        start = self._start.item(row)
        return self._text[start : start + self._length.item(row)]

    def _locate(self, text: bytes) -> int | None:
        """Where in the table an id stands."""
        hashed, mask = _hash(text), len(self._table) - 1
        place = hashed & mask
        while (row := self._table.item(place)) != EMPTY:
            if self._hash.item(row) == hashed and self._raw(row) == text:
                return place
            place = (place + 1) & mask
        return None

    def _seek(self, text: bytes, start: Places, length: Places, hashes: Hashes) -> Places:
        """`_locate` for many: the row of each, or −1."""
        rows = np.full(len(hashes), -1, np.int64)
        mask = np.uint64(len(self._table) - 1)
        live, place = np.arange(len(hashes)), (hashes & mask).astype(np.int64)
        while live.size:
            row = self._table[place]
            hit = (row != EMPTY) & (self._hash[row] == hashes[live])
            which, there = live[hit], row[hit]
            same = _equal(
                (text, start[which], length[which]),
                (self._text, self._start[there], self._length[there]),
            )
            hit[hit] = same
            rows[live[hit]] = row[hit]
            on = (row != EMPTY) & ~hit
            live, place = live[on], (place[on] + 1) & int(mask)
        return rows

    def _insert(self, names: list[str]) -> Places:
        """Rows for ids that are all new and all different."""
        rows = np.arange(self._count, self._count + len(names))
        self._count += len(names)
        self._reserve(self._count)
        text, start, length = _texts(names)
        self._start[rows], self._length[rows] = start + len(self._text) - len(PAD), length
        self._hash[rows] = _hashes(text, start, length)
        self._text[-len(PAD) :] = text
        self._place(rows)
        return rows

    def _reserve(self, count: int) -> None:
        """Room for `count` rows."""
        room = len(self._hash)
        if count > room:
            more = max(2 * room, count) - room
            self._hash = np.pad(self._hash, (0, more))
            self._start = np.pad(self._start, (0, more))
            self._length = np.pad(self._length, (0, more))

    def _place(self, rows: Places) -> None:
        """Put rows into the table, a larger one when it would be more than half full.

        Of several rows that want one place, one gets it and the others go on to the next.
        """
        if 2 * len(self) > len(self._table):
            self._table = np.full(1 << (2 * len(self) - 1).bit_length(), EMPTY, np.int32)
            rows = np.arange(self._count)
        mask = len(self._table) - 1
        place = (self._hash[rows] & np.uint64(mask)).astype(np.int64)
        while rows.size:
            free = self._table[place] == EMPTY
            self._table[place[free]] = rows[free]
            lost = self._table[place] != rows
            rows, place = rows[lost], (place[lost] + 1) & mask

    def _compact(self) -> None:
        """Let go of discarded text."""
        if self._waste:
            length = self._length[: self._count]
            self._text = bytearray().join(map(self._raw, range(self._count))) + PAD
            self._start[: self._count] = np.cumsum(length, dtype=np.int64) - length
            self._waste = 0

    def _unknown(self, name: str) -> NotFound:
        near = get_close_matches(name, self._alike(_encoded(name)), n=3)
        return NotFound(
            "twin.unknown",
            f"there is no twin '{name}' in this fleet",
            mend=f"ids near it: {', '.join(near)}" if near else "add it to the fleet first",
        )

    def _alike(self, text: bytes) -> list[str]:
        """The 32 ids that share most letters, place by place, of the first 24 bytes."""
        rows = np.arange(self._count)
        shared = np.zeros(len(rows), np.int64)
        for at in range(0, min(len(text), 24), 8):
            wanted = np.frombuffer(text[at : at + 8].ljust(8, b"\0"), np.uint64)
            words = _words(self._text, self._start[rows], self._length[rows], at)
            same = (words ^ wanted).view(np.uint8).reshape(-1, 8) == 0
            shared += same.sum(axis=1)
        best = np.argsort(-shared, kind="stable")[:32]
        return [self.name(int(row)) for row in rows[best]]


def _encoded(name: str) -> bytes:
    if not isinstance(name, str):
        raise _no_id(name)
    return name.encode("utf-8", "surrogatepass")


def _no_id(name: object) -> Invalid:
    return Invalid("slots.id", f"{name!r} is not an id", mend="give a text with a letter or more")


def _texts(names: Sequence[str]) -> tuple[bytes, Places, Places]:
    """Many ids as one text, and where in it each begins (N,) and how long it is (N,)."""
    try:
        text = "".join(names).encode("utf-8", "surrogatepass")
    except TypeError:
        raise _no_id(next(name for name in names if type(name) is not str)) from None
    length = np.fromiter(map(len, names), np.int64, len(names))
    if len(text) != length.sum():  # a letter of more than one byte is among them
        length = np.fromiter((len(_encoded(name)) for name in names), np.int64, len(names))
    return text + PAD, np.cumsum(length) - length, length


def _words(text: bytes | bytearray, start: Places, length: NDArray[Any], at: int) -> Hashes:
    """The eight bytes of each text from `at` on, as one number (N,); zeros past its end."""
    word = np.ndarray((len(text) - 7,), "<u8", text, strides=(1,))
    left = np.clip(length - at, 0, 8).astype(np.uint64)
    past = (np.uint64(8) - left) * np.uint64(8)  # bits to clear; a shift by 64 would be undefined
    found = word[np.where(left > 0, start + at, 0)]
    kept: Hashes = np.where(left > 0, (found << past % 64) >> past % 64, 0).astype(np.uint64)
    return kept


def _equal(
    one: tuple[bytes, Places, Places], other: tuple[bytearray, Places, NDArray[Any]]
) -> NDArray[np.bool_]:
    """Whether two texts are the same, pair by pair: (N,)."""
    same = one[2] == other[2]
    for at in range(0, int(one[2].max(initial=0)), 8):
        on = np.flatnonzero(same & (one[2] > at))
        left, right = (_words(text, start[on], size[on], at) for text, start, size in (one, other))
        same[on] = left == right
    return np.asarray(same)


def _hashes(text: bytes | bytearray, start: Places, length: NDArray[Any]) -> Hashes:
    """The hash of each text: (N,)."""
    hashed = _mix(length.astype(np.uint64) + np.uint64(GAMMA))
    for at in range(0, int(length.max(initial=0)), 8):
        on = np.flatnonzero(length > at)
        hashed[on] = _mix(hashed[on] ^ _words(text, start[on], length[on], at))
    return hashed


def _mix(z: Hashes) -> Hashes:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
    return z ^ (z >> np.uint64(31))


def _hash(text: bytes) -> int:
    """`_hashes` of one text, in Python: a call of NumPy costs more than these few products."""
    words = (int.from_bytes(text[at : at + 8], "little") for at in range(0, len(text), 8))
    z = 0
    for word in (len(text) + GAMMA, *words):
        z ^= word
        z = ((z ^ (z >> 30)) * FIRST) & ALL
        z = ((z ^ (z >> 27)) * SECOND) & ALL
        z ^= z >> 31
    return z
