"""Rows on their way → messages: JSON of one twin and instant each, or Arrow frames of thousands.

Owns    how a sample is written down, a wrong name, a wrong unit and garbage included.
Never   reorders: messages are in the order of the rows.

An Arrow frame is long (twin, signal, instant, value). What stays from instant to instant, its words
and which row has which, is made once: a frame of sound readings is two columns and a header.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gemel.clock import format_instant
from gemel.plant.faults import Numbers
from gemel.plant.truth import Slots
from gemel.plant.way import GARBAGE, OTHER_SIGNAL, OTHER_TWIN, Rows

GARBLED = (  # what each of a device's bad messages looks like, by turns
    b'{"time": "2017-04-03T00:00:00Z", "values": {"speed": 30',
    b"\x00\x9f\x92\x96 not what you think",
    b'{"time": "noon", "values": {"speed": 3000.0}}',
    b"ERR 17 SENSOR BUS",
)


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message. twin: whom its topic or key names, "" = its bytes do · kind: telemetry | reply |
    garbage · samples that it carries."""

    payload: bytes
    twin: str = ""
    kind: str = "telemetry"
    samples: int = 1


class Writer:
    """Writes the rows of one plant. rows: of an Arrow frame at most, 0: JSON."""

    def __init__(self, slots: Slots, units: list[str], rows: int = 0) -> None:
        self.slots, self.units, self.rows = slots, units, rows
        self._shards = _Shards(slots, rows) if rows else None
        self._garbled = 0

    def parcels(self, rows: Rows) -> Iterator[Parcel]:
        """The messages of some rows, in order."""
        odd = np.flatnonzero(rows.sent_as == GARBAGE)
        begin = 0
        for k in [*odd.tolist(), len(rows)]:
            if k > begin:
                sound = rows if k - begin == len(rows) else rows.part(slice(begin, k))
                yield from (self._json(sound) if self._shards is None else self._frames(sound))
            if k < len(rows):
                self._garbled += 1
                twin = self.slots.twins[int(self.slots.twin[rows.slot[k]])]
                yield Parcel(GARBLED[self._garbled % len(GARBLED)], twin, "garbage")
            begin = k + 1

    def _json(self, rows: Rows) -> Iterator[Parcel]:
        """Neighbours of one twin and instant share a message."""
        slots, twin = self.slots, self.slots.twin[rows.slot]
        other = rows.sent_as == OTHER_TWIN
        new = np.ones(len(rows), np.bool_)
        new[1:] = (
            (twin[1:] != twin[:-1])
            | (rows.stated[1:] != rows.stated[:-1])
            | (other[1:] != other[:-1])
            | (rows.slot[1:] <= rows.slot[:-1])
        )
        cuts = [*np.flatnonzero(new).tolist(), len(rows)]
        names, units = self._signals(rows), rows.unit.tolist()
        values, stated = rows.value.tolist(), rows.stated.tolist()
        for begin, end in zip(cuts[:-1], cuts[1:], strict=True):
            body: dict[str, Any] = {"time": format_instant(stated[begin])}
            body["values"] = dict(zip(names[begin:end], values[begin:end], strict=True))
            told = {names[k]: self.units[units[k]] for k in range(begin, end) if units[k]}
            if told:
                body["units"] = told
            name = slots.twins[int(twin[begin])]
            name = other_twin(name) if other[begin] else name
            yield Parcel(json.dumps(body).encode(), name, samples=end - begin)

    def _signals(self, rows: Rows) -> list[str]:
        words, code = self.slots.signals, self.slots.signal[rows.slot].tolist()
        wrong = (rows.sent_as == OTHER_SIGNAL).tolist()
        return [
            other_signal(words[c]) if odd else words[c] for c, odd in zip(code, wrong, strict=True)
        ]

    def _frames(self, rows: Rows) -> Iterator[Parcel]:
        assert self._shards is not None
        plain = not rows.sent_as.any() and not rows.unit.any()
        if plain and len(rows) > 1 and (np.diff(rows.slot) > 0).all():
            yield from self._shards.frames(rows)
            return
        for begin in range(0, len(rows), self.rows):
            yield self._any(rows.part(slice(begin, begin + self.rows)))

    def _any(self, rows: Rows) -> Parcel:
        """A frame of any rows, with words of its own."""
        twins = [self.slots.twins[k] for k in self.slots.twin[rows.slot].tolist()]
        wrong = (rows.sent_as == OTHER_TWIN).tolist()
        named = [other_twin(t) if odd else t for t, odd in zip(twins, wrong, strict=True)]
        columns = {
            "twin": pa.array(named).dictionary_encode(),
            "signal": pa.array(self._signals(rows)).dictionary_encode(),
            "instant": pa.array(rows.stated),
            "value": pa.array(rows.value),
        }
        if rows.unit.any():
            told = [self.units[k] for k in rows.unit.tolist()]
            columns["unit"] = pa.array(told).dictionary_encode()
        return Parcel(stream(pa.record_batch(columns)), samples=len(rows))


class _Shards:
    """Slots cut into frames, their words written down once."""

    def __init__(self, slots: Slots, rows: int) -> None:
        self._cuts = np.append(np.arange(0, len(slots.twin), rows), len(slots.twin))
        self._words: list[tuple[pa.Array, Any, pa.Array, Any]] = []
        signals = pa.array(slots.signals)
        for begin, end in zip(self._cuts[:-1].tolist(), self._cuts[1:].tolist(), strict=True):
            first, last = int(slots.twin[begin]), int(slots.twin[end - 1])
            names = pa.array(slots.twins[first : last + 1])
            twin = (slots.twin[begin:end] - first).astype(np.int32)
            self._words.append((names, twin, signals, slots.signal[begin:end].astype(np.int32)))

    def frames(self, rows: Rows) -> Iterator[Parcel]:
        """Rows in order of their slots, each once."""
        cuts = np.searchsorted(rows.slot, self._cuts)
        for k, (names, twin, signals, signal) in enumerate(self._words):
            begin, end = int(cuts[k]), int(cuts[k + 1])
            if begin == end:
                continue
            place = rows.slot[begin:end] - self._cuts[k]
            all_ = len(place) == len(twin)
            columns = {
                "twin": _coded(names, twin if all_ else twin[place]),
                "signal": _coded(signals, signal if all_ else signal[place]),
                "instant": pa.array(rows.stated[begin:end]),
                "value": pa.array(rows.value[begin:end]),
            }
            yield Parcel(stream(pa.record_batch(columns)), samples=end - begin)


def _coded(words: pa.Array, code: Numbers) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(code), words)


def stream(record: pa.RecordBatch) -> bytes:
    """One record batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, record.schema) as out:
        out.write_batch(record)
    return bytes(sink.getvalue().to_pybytes())


def other_twin(name: str) -> str:
    """What a misnamed device calls itself; within the 64 characters of a name.

    >>> other_twin("st1-b1")
    'st1-b1.lost'
    """
    return f"{name[:59]}.lost"


def other_signal(name: str) -> str:
    """What a misnamed signal is called."""
    return f"{name}.lost"
