"""Sparkplug B: birth, data and death of edge nodes and devices → samples.

Owns    the protobuf payload, the names behind aliases, the sequence of each edge node, and the
        request for a new birth.
Never   guesses a name: data whose birth was missed is a dead letter until the node is born again.

    spBv1.0/GROUP/{NBIRTH | NDATA | NDEATH | DBIRTH | DDATA | DDEATH}/NODE[/DEVICE]

The twin is the device, or the node where there is none; the signal is the metric's name. Numbers
are samples, true and false are 1 and 0; a null is none; `bdSeq` and `Node Control/…` are not ours.
"""

import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gemel.connect.decoded import Decoded, Letters, check_twin
from gemel.connect.objects import Row, as_bytes, sample
from gemel.errors import Invalid
from gemel.records import Batch

NODES, METRICS = 10_000, 20_000  # edge nodes remembered; metrics of one payload
MILLISECOND = 10**6  # ns
KINDS = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH")
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}  # data type → bits of what travels as unsigned
_MEND = "send a Sparkplug B payload (org.eclipse.tahu.protobuf.Payload) on its own topic"
Field = tuple[int, int, Any]  # number, wire type, value


@dataclass
class Metric:
    """One metric as it travels. value None: null, or of a kind that is no number."""

    name: str = ""
    alias: int | None = None
    timestamp: int | None = None
    datatype: int = 0
    null: bool = False
    value: float | int | bool | str | bytes | None = None


@dataclass
class Payload:
    """A Sparkplug payload."""

    timestamp: int | None = None
    metrics: list[Metric] = field(default_factory=list)
    seq: int | None = None


@dataclass
class _Node:
    """What is remembered of one edge node: aliases by device ("" is its own), its last seq."""

    names: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    seq: int | None = None
    asked: bool = False  # a new birth is asked for once


class Sparkplug:
    """Payloads of all edge nodes of one source, in order.

    `rebirths()` gives the messages that ask nodes to be born again: who can, publishes them.
    """

    def __init__(self) -> None:
        self._nodes: OrderedDict[tuple[str, str], _Node] = OrderedDict()
        self._rebirths: list[tuple[str, bytes]] = []

    def decode(
        self, topic: str, payload: bytes, *, twin: str | None = None, received_at: int, source: str
    ) -> Decoded:
        """Samples of one message; never raises. The topic names the twin in its own way."""
        letters = Letters(source, received_at)
        rows: list[Row] = []
        try:
            rows = self._read(topic, payload, letters)
        except Invalid as error:
            letters.bury(payload, error)
        return letters.decoded(Batch.of(rows))

    def rebirths(self) -> list[tuple[str, bytes]]:
        """(topic, payload) of every request that is due, each told once."""
        due, self._rebirths = self._rebirths, []
        return due

    def _read(self, topic: str, payload: bytes, letters: Letters) -> list[Row]:
        group, kind, name, device = _topic(topic)
        key = (group, name)
        if kind == "NDEATH":
            self._nodes.pop(key, None)
            return []
        told = read_payload(payload)
        node = self._node(key)
        if kind == "NBIRTH":
            node.names.clear()
            node.seq, node.asked = told.seq, False
        elif not self._follows(node, told.seq):
            self._ask(key, node)
        if kind == "DDEATH":
            return []
        if kind.endswith("BIRTH"):
            for metric in told.metrics:
                if metric.alias is not None and metric.name and len(node.names) < METRICS:
                    node.names[device, metric.alias] = (metric.name, metric.datatype)
        return self._samples(key, node, device, told, letters)

    def _node(self, key: tuple[str, str]) -> _Node:
        node = self._nodes.setdefault(key, _Node())
        self._nodes.move_to_end(key)
        while len(self._nodes) > NODES:
            self._nodes.popitem(last=False)
        return node

    def _follows(self, node: _Node, seq: int | None) -> bool:
        """Whether a message is the next of its node; 255 is followed by 0."""
        before, node.seq = node.seq, seq
        return before is None or seq is None or seq == (before + 1) % 256

    def _ask(self, key: tuple[str, str], node: _Node) -> None:
        if not node.asked:
            node.asked = True
            self._rebirths.append((f"spBv1.0/{key[0]}/NCMD/{key[1]}", rebirth()))

    def _samples(
        self, key: tuple[str, str], node: _Node, device: str, told: Payload, letters: Letters
    ) -> list[Row]:
        rows: list[Row] = []
        twin = check_twin(device or key[1])
        for metric in told.metrics:
            try:
                letters.take(1)
                name, kind = metric.name, metric.datatype
                if metric.alias is not None and not name:
                    name, kind = self._named(key, node, device, metric)
                if name == "bdSeq" or name.startswith("Node Control/") or metric.null:
                    continue
                stamp = metric.timestamp if metric.timestamp is not None else told.timestamp
                rows.append(_sample(twin, name, kind, metric.value, stamp, letters.received_at))
            except Invalid as error:
                named = {"twin": twin, "signal": metric.name, "alias": metric.alias}
                letters.bury(as_bytes(named), error)
        return rows

    def _named(
        self, key: tuple[str, str], node: _Node, device: str, metric: Metric
    ) -> tuple[str, int]:
        found = node.names.get((device, metric.alias or 0))
        if found is None:
            self._ask(key, node)
            raise Invalid(
                "sparkplug.alias",
                f"no birth has told what alias {metric.alias} is called",
                mend="let the node be born again (Node Control/Rebirth); its next data are read",
            )
        return found[0], metric.datatype or found[1]


def _sample(
    twin: str, name: str, kind: int, value: Any, stamp: int | None, received_at: int
) -> Row:
    if isinstance(value, int) and not isinstance(value, bool) and kind in _SIGNED:
        bits = _SIGNED[kind]
        value &= (1 << bits) - 1
        value -= (1 << bits) if value >> (bits - 1) else 0
    value = int(value) if isinstance(value, bool) else value
    instant = received_at if stamp is None else min(stamp * MILLISECOND, 2**62)
    return sample(twin, name, instant, value, "")


def _topic(topic: str) -> tuple[str, str, str, str]:
    """(group, kind, node, device) of a topic; device "" is the node itself."""
    parts = topic.split("/")
    fits = len(parts) in (4, 5) and parts[0] == "spBv1.0" and parts[2] in KINDS
    if not fits or (parts[2][0] == "D") != (len(parts) == 5):
        raise Invalid(
            "sparkplug.topic",
            f"'{topic[:120]}' is no topic of Sparkplug data",
            mend="subscribe to spBv1.0/GROUP/+/NODE/#; births, data and deaths are read",
        )
    return parts[1], parts[2], parts[3], parts[4] if len(parts) == 5 else ""


# ---- protobuf ----------------------------------------------------------------------------------


def read_payload(data: bytes) -> Payload:
    """Bytes → payload. Raises `sparkplug.payload`.

    >>> read_payload(write_payload(Payload(5, [Metric("speed", datatype=10, value=3000.0)], 1)))
    Payload(timestamp=5, metrics=[Metric(name='speed', ..., value=3000.0)], seq=1)
    """
    told = Payload()
    try:
        for number, wire, value in _fields(data):
            if number == 1 and wire == 0:
                told.timestamp = value
            elif number == 2 and wire == 2:
                if len(told.metrics) >= METRICS:
                    raise ValueError(f"more than {METRICS} metrics")
                told.metrics.append(_metric(value))
            elif number == 3 and wire == 0:
                told.seq = value
    except (ValueError, IndexError, struct.error) as problem:
        raise Invalid(
            "sparkplug.payload", f"it is no Sparkplug payload: {problem}", mend=_MEND
        ) from None
    return told


def _metric(data: bytes) -> Metric:
    metric = Metric()
    for number, wire, value in _fields(data):
        if number == 1 and wire == 2:
            metric.name = value.decode("utf-8")
        elif wire == 0 and number in (2, 3, 4):
            setattr(metric, {2: "alias", 3: "timestamp", 4: "datatype"}[number], value)
        elif number == 7 and wire == 0:
            metric.null = bool(value)
        elif number in (10, 11) and wire == 0:
            metric.value = value
        elif number == 12 and wire == 5:
            metric.value = struct.unpack("<f", value)[0]
        elif number == 13 and wire == 1:
            metric.value = struct.unpack("<d", value)[0]
        elif number == 14 and wire == 0:
            metric.value = bool(value)
        elif number == 15 and wire == 2:
            metric.value = value.decode("utf-8")
    return metric


def _fields(data: bytes) -> Iterator[Field]:
    """The fields of one message of protobuf. Raises ValueError, IndexError."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, wire, value
            continue
        if wire == 2:
            size, place = _varint(data, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"a field of wire type {wire}")
        if place + size > len(data):
            raise ValueError("a field that ends behind the message")
        yield number, wire, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), place
    raise ValueError("a number of more than ten bytes")


def write_payload(payload: Payload) -> bytes:
    """A payload as bytes: for tests, for simulated devices, and for a rebirth request."""
    out = b""
    if payload.timestamp is not None:
        out += _whole(1, payload.timestamp)
    for metric in payload.metrics:
        out += _bytes(2, _write_metric(metric))
    if payload.seq is not None:
        out += _whole(3, payload.seq)
    return out


def _write_metric(metric: Metric) -> bytes:
    out = _bytes(1, metric.name.encode()) if metric.name else b""
    for number, told in ((2, metric.alias), (3, metric.timestamp), (4, metric.datatype)):
        if told is not None and (told or number != 4):
            out += _whole(number, told)
    value = metric.value
    if metric.null or value is None:
        return out + _whole(7, 1)
    if isinstance(value, bool):
        return out + _whole(14, int(value))
    if isinstance(value, int):
        return out + _whole(10 if metric.datatype in (1, 2, 3, 5, 6, 7) else 11, value)
    if isinstance(value, float):
        if metric.datatype == 9:
            with np.errstate(over="ignore"):  # what is too large is written as infinite
                return out + _key(12, 5) + np.array(value, "<f4").tobytes()
        return out + _key(13, 1) + struct.pack("<d", value)
    return out + _bytes(15, value if isinstance(value, bytes) else value.encode())


def rebirth() -> bytes:
    """The command by which an edge node is asked for its birth certificates."""
    return write_payload(Payload(metrics=[Metric("Node Control/Rebirth", datatype=11, value=True)]))


def _key(number: int, wire: int) -> bytes:
    return _number(number << 3 | wire)


def _whole(number: int, value: int) -> bytes:
    """An integer field; a negative one as its two's complement of 32 or 64 bits."""
    if value < 0:
        value += 1 << (32 if number == 10 else 64)
    return _key(number, 0) + _number(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _key(number, 2) + _number(len(value)) + value


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
