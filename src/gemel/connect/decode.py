"""Bytes from a wire → samples: one JSON object, a list of them, or NDJSON (docs/contracts.md §6).

Owns    the wire's JSON shapes, their limits, and what becomes a dead letter.
Never   raises, and never judges a value: NaN or an unknown twin goes on to the quality stage.

    {"time": "2017-01-09T00:01:00Z", "values": {"speed": 3000.0}, "units": {…}?, "twin": "st1"?}
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from gemel.clock import parse_instant
from gemel.connect.base import dead_letter
from gemel.errors import GemelError, Invalid
from gemel.records import Batch, Entry

LIMIT = 1_000_000  # bytes of one message
COUNT = 20_000  # samples of one message
NAME = 128  # characters of a signal's name or a unit
_TWIN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHAPE = 'send {"time": "2017-01-09T00:01:00Z", "values": {"speed": 3000.0}}'

Row = tuple[str, str, int, float, str]


@dataclass(frozen=True)
class Decoded:
    """The samples that were readable, and a dead letter for each thing that was not."""

    batch: Batch
    dead: list[Entry]


def decode_telemetry(
    payload: bytes,
    twin: str | None,
    *,
    received_at: int,
    source: str,
    limit: int = LIMIT,
    count: int = COUNT,
) -> Decoded:
    """Samples of one message; `twin` is the topic's, None when each object names its own.

    One bad line, object or value never costs the others.

    >>> line = b'{"time": "2017-01-09T00:01:00Z", "values": {"speed": 3000.0, "load": "high"}}'
    >>> decoded = decode_telemetry(line, "st1", received_at=0, source="hall")
    >>> decoded.batch.signal.tolist(), [entry.body["code"] for entry in decoded.dead]
    (['speed'], ['sample.type'])
    """
    reader = _Reader(twin, received_at, source, count)
    if len(payload) > limit:
        reader.bury(
            payload,
            Invalid(
                "message.too_large",
                f"{len(payload)} bytes in one message, at most {limit} are read",
                mend="send fewer samples in one message",
            ),
        )
    else:
        reader.read(payload)
    return Decoded(Batch.of(reader.rows), reader.dead)


def decode_reply(payload: bytes, *, received_at: int, source: str) -> Entry:
    """An asset's acknowledgement as a `reply` entry, or a dead letter."""
    try:
        item = _parse(payload[: LIMIT + 1])
        if not (
            isinstance(item, dict)
            and isinstance(item.get("invocation"), str)
            and isinstance(item.get("accepted"), bool)
        ):
            raise Invalid(
                "reply.shape",
                "a reply needs an invocation and whether it was accepted",
                mend='send {"invocation": ID, "accepted": true, "detail": ""}',
            )
    except Invalid as error:
        return dead_letter(source, received_at, payload, error)
    body = {
        "invocation": item["invocation"],
        "accepted": item["accepted"],
        "detail": str(item.get("detail", ""))[:500],
    }
    return Entry("reply", source, received_at, body=body)


class _Reader:
    """One message on its way through: what was readable so far."""

    def __init__(self, twin: str | None, received_at: int, source: str, count: int) -> None:
        self.twin, self.received_at, self.source, self.left = twin, received_at, source, count
        self.rows: list[Row] = []
        self.dead: list[Entry] = []

    def bury(self, payload: bytes, error: GemelError) -> None:
        self.dead.append(dead_letter(self.source, self.received_at, payload, error))

    def read(self, payload: bytes) -> None:
        """The whole message as one JSON document; failing that, line by line."""
        try:
            item = _parse(payload)
        except Invalid as error:
            lines = [line for line in payload.split(b"\n") if line.strip()]
            if len(lines) < 2 or not any(map(_is_object, lines)):
                self.bury(payload, error)
                return
            for line in lines:
                self._document(line)
            return
        self._items(item, payload)

    def _document(self, line: bytes) -> None:
        try:
            self._items(_parse(line), line)
        except Invalid as error:
            self.bury(line, error)

    def _items(self, item: Any, payload: bytes) -> None:
        if not isinstance(item, list):
            self._object(item, payload)
            return
        for part in item:
            self._object(part, None)

    def _object(self, item: Any, payload: bytes | None) -> None:
        try:
            twin, instant, values, units = self._head(item)
        except Invalid as error:
            self.bury(_bytes(item) if payload is None else payload, error)
            return
        for signal, value in values.items():
            try:
                self.rows.append(_sample(twin, signal, instant, value, units.get(signal, "")))
            except Invalid as error:
                self.bury(_bytes({"twin": twin, "signal": signal, "value": value}), error)

    def _head(self, item: Any) -> tuple[str, int, dict[str, Any], dict[str, Any]]:
        """(twin, instant, values, units) of one object."""
        if not isinstance(item, dict) or not isinstance(item.get("values"), dict):
            raise Invalid("message.shape", "it is not an object with `values`", mend=_SHAPE)
        units = item.get("units") or {}
        if not isinstance(units, dict):
            raise Invalid("message.shape", "`units` is not an object", mend='send {"units": {}}')
        self.left -= max(1, len(item["values"]))
        if self.left < 0:
            raise Invalid(
                "message.count",
                "too many samples in one message",
                mend=f"send at most {COUNT} samples in one message",
            )
        twin = item.get("twin", self.twin)
        if not isinstance(twin, str) or not _TWIN.fullmatch(twin) or twin != (self.twin or twin):
            raise Invalid(
                "message.twin",
                "it names no twin, or another one than its topic",
                mend="name the twin by letters, digits and . _ - (64 at most), as its topic does",
            )
        time = item.get("time")
        if not isinstance(time, str) or not time.isprintable():
            raise Invalid("time.unreadable", "`time` is not an instant", mend=_SHAPE)
        return twin, parse_instant(time), item["values"], units


def _sample(twin: str, signal: str, instant: int, value: Any, unit: Any) -> Row:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Invalid(
            "sample.type",
            f"the value of '{signal[:40]}' is {_KINDS.get(type(value), 'not a number')}",
            mend="send a JSON number; leave the signal out when there is none",
        )
    if not (isinstance(unit, str) and unit.isprintable() and len(unit) <= NAME):
        raise Invalid(
            "sample.unit", "its unit is not a word", mend='send {"units": {"speed": "rpm"}}'
        )
    if not (signal and signal.isprintable() and len(signal) <= NAME):
        raise Invalid(
            "sample.signal",
            "the signal's name is empty, too long or not printable",
            mend=f"name it by at most {NAME} printable characters",
        )
    try:
        return twin, signal, instant, float(value), unit
    except OverflowError:
        raise Invalid(
            "sample.type",
            f"the value of '{signal}' does not fit a float",
            mend="send a JSON number below 1e308",
        ) from None


_KINDS: dict[type, str] = {
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _parse(payload: bytes) -> Any:
    """JSON of bytes; raises `message.encoding`, `message.json` or `message.depth`."""
    try:
        return json.loads(payload.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Invalid(
            "message.encoding",
            f"byte {error.start} is not UTF-8",
            mend="send JSON as UTF-8",
        ) from None
    except RecursionError:
        raise Invalid("message.depth", "it is nested too deeply", mend=_SHAPE) from None
    except json.JSONDecodeError as error:
        raise Invalid(
            "message.json",
            f"it is not JSON: {error.msg} at character {error.pos}",
            mend=_SHAPE,
        ) from None
    except ValueError:  # an integer of thousands of digits
        raise Invalid("message.json", "a number in it is too long", mend=_SHAPE) from None


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(_parse(line), dict)
    except Invalid:
        return False


def _bytes(item: Any) -> bytes:
    """An item of a larger message as bytes of its own, for its dead letter."""
    try:
        return json.dumps(item).encode()
    except (RecursionError, ValueError):
        return repr(type(item)).encode()
