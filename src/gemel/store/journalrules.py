"""What the records of a journal's topic amount to: who may write, and what counts.

Owns    the form of a record, and the rules by which every reader comes to the same answer.
Never   reads or writes a topic (`journaltopic.py` does).

An entry's sequence is its record's offset + 1. The log itself says who writes, by three rules that
every reader applies in order:

    claim   {"claim": {"follows": EPOCH}} counts if it follows the epoch in force; its own sequence
            is the epoch from then on. Of two at once the first counts
    record  counts if it carries the epoch in force, and if all of its call came: each says which
            of how many it is. What does not count is read as a beat that says nothing
    mark    {"mark": …} says all that the rules need, positions too; each record names the last
            mark, so that opening reads from there and not from the beginning
"""

import hashlib
import json
import struct
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from gemel.store.journal import Row

HEADER = "gemel"
BLANK: Row = ("beat", "journal", "", 0, None, "")
HEAD = struct.Struct("<QQII")  # epoch, last mark, which of the call, how many: 0 of 0 is our own


@dataclass
class Call:
    """A call of `append`; `keys` tell its records from others: two calls of the same are the same.

    count: of its records · positions: of sources, as of this call
    """

    count: int
    sequences: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    positions: dict[str, str] = field(default_factory=dict)


@dataclass
class Standing:
    """What the records up to `last` amount to.

    voids: ranges of sequences that do not count, both ends included · whole: the calls of the epoch
    in force that were read since somebody looked
    """

    last: int = 0
    epoch: int = 0
    positions: dict[str, str] = field(default_factory=dict)
    voids: list[list[int]] = field(default_factory=list)
    fenced: int = 0
    open: Call | None = None
    whole: list[Call] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The last sequence that is settled: of an open call none is."""
        return self.open.sequences[0] - 1 if self.open else self.last

    def void(self, sequences: list[int]) -> None:
        """These do not count; the order in which they come is nearly that of the log."""
        for sequence in sequences:
            if self.voids and self.voids[-1][1] + 1 == sequence:
                self.voids[-1][1] = sequence
            else:
                self.voids.append([sequence, sequence])
        self.voids.sort()

    def counts(self, sequence: int) -> bool:
        place = bisect_right(self.voids, [sequence, sequence + 1]) - 1
        return place < 0 or self.voids[place][1] < sequence

    def mark(self, plant: str) -> dict[str, Any]:
        told = {"epoch": self.epoch, "positions": self.positions, "voids": self.voids}
        return {"mark": {"plant": plant, **told, "fenced": self.fenced}}

    def begin(self, sequence: int, mark: dict[str, Any]) -> None:
        """Stand where a mark says."""
        self.last, self.epoch, self.fenced = sequence, mark["epoch"], mark["fenced"]
        self.positions, self.voids = dict(mark["positions"]), [list(v) for v in mark["voids"]]

    def take(self, sequence: int, record: "Record") -> None:
        """One more record, by the rules of this page."""
        self.last = sequence
        if record.count == 0:
            claim = record.told.get("claim")
            if claim is not None and claim["follows"] == self.epoch:
                self._break()
                self.epoch = sequence
        elif record.epoch != self.epoch:
            self.fenced += 1
            self.void([sequence])
        else:
            self._data(sequence, record)

    def _data(self, sequence: int, record: "Record") -> None:
        call = self.open
        if record.index == 0:
            self._break()
            self.open = call = Call(record.count)
        elif call is None or len(call.sequences) != record.index or call.count != record.count:
            self._break()
            return self.void([sequence])
        call.sequences.append(sequence)
        call.keys.append(key_of(record.value))
        source, position = record.row[1:3]
        if position:
            call.positions[source] = position
        if len(call.sequences) == call.count:
            self.positions |= call.positions
            self.whole.append(call)
            self.open = None
        return None

    def _break(self) -> None:
        if self.open is not None:
            self.void(self.open.sequences)
            self.open = None


@dataclass(frozen=True)
class Record:
    """One record: its head, its value as bytes, and that read: the entry's columns (`row`) or what
    is our own (`told`)."""

    epoch: int
    mark: int
    index: int
    count: int
    row: Row = BLANK
    told: dict[str, Any] = field(default_factory=dict)
    value: bytes = b""


def key_of(value: bytes) -> bytes:
    """By which a record is known again."""
    return hashlib.sha256(value).digest()


def value_of(row: Row) -> bytes:
    """An entry as a record's value: a line of JSON, then the batch as `encode` wrote it."""
    kind, source, position, received_at, batch, body = row
    told = {"kind": kind, "source": source, "position": position, "received_at": received_at}
    head = json.dumps({**told, "batch": batch is not None}, separators=(",", ":"))
    return f'{head[:-1]},"body":{body or "{}"}}}\n'.encode() + (batch or b"")


def read_record(message: Any) -> Record:
    """A record as it was written; what others wrote counts for nothing."""
    heads = [value for name, value in message.headers() or () if name == HEADER]
    if len(heads) != 1 or len(heads[0]) != HEAD.size:
        return Record(0, 0, 1, 1)
    epoch, mark, index, count = HEAD.unpack(heads[0])
    value = message.value() or b""
    line, _, blob = value.partition(b"\n")
    told = json.loads(line)
    if not count:
        return Record(epoch, mark, 0, 0, BLANK, told)
    body = json.dumps(told["body"], separators=(",", ":")) if told["body"] else ""
    batch = blob if told["batch"] else None
    row = (told["kind"], told["source"], told["position"], told["received_at"], batch, body)
    return Record(epoch, mark, index, count, row, value=value)
