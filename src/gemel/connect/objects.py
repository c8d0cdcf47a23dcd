"""JSON objects → samples, one by one: the reference that every faster way is held against.

Owns    the shape of our JSON, and what is said when an object does not have it.
Never   raises on bad input, and never judges a value: NaN goes on to the quality stage.

    {"time": "2017-01-09T00:01:00Z", "values": {"speed": 3000.0}, "units": {…}?, "twin": "st1"?}
"""

import json
from collections.abc import Iterator
from typing import Any

from gemel.clock import parse_instant
from gemel.connect.decoded import NAME, TWIN, Letters, check_name, too_many
from gemel.errors import Invalid

SHAPE = 'send {"time": "2017-01-09T00:01:00Z", "values": {"speed": 3000.0}}'
Row = tuple[str, str, int, float, str]


class Objects:
    """Samples of objects, `rows` so far.

    twin: the topic's, None when each object names its own · time: of an object that has none
    """

    def __init__(self, twin: str | None, letters: Letters, time: int | None = None) -> None:
        self.twin, self.letters, self.time = twin, letters, time
        self.rows: list[Row] = []
        self.met = False  # whether any document was an object

    def document(self, line: bytes) -> None:
        """One document of bytes: an object, or a list of them."""
        try:
            item = parse(line)
        except Invalid as error:
            self.letters.left -= 1
            self.letters.bury(line, error)
            return
        self.items(item, line)

    def items(self, item: Any, payload: bytes) -> None:
        """An object, or a list of them, already parsed."""
        self.met = self.met or isinstance(item, dict)
        if not isinstance(item, list):
            self._object(item, payload)
            return
        for k, part in enumerate(item):
            if self.letters.left < 0:  # what is beyond the limit is not looked at any more
                self.letters.bury(payload, too_many(), len(item) - k)
                return
            self._object(part, None)

    def _object(self, item: Any, payload: bytes | None) -> None:
        try:
            twin, instant, values, units = self._head(item)
        except Invalid as error:
            if error.code != "message.count":
                self.letters.left -= 1
            self.letters.bury(self._told(item) if payload is None else payload, error)
            return
        for signal, value in values.items():
            try:
                self.rows.append(sample(twin, signal, instant, value, units.get(signal, "")))
            except Invalid as error:
                named = {"twin": twin, "signal": signal, "value": value}
                self.letters.bury(self._told(named), error)

    def _told(self, item: Any) -> bytes:
        """What a letter shows of an item; nothing where there will be none."""
        return b"" if self.letters.full else as_bytes(item)

    def _head(self, item: Any) -> tuple[str, int, dict[str, Any], dict[str, Any]]:
        """(twin, instant, values, units) of one object."""
        if not isinstance(item, dict) or not isinstance(item.get("values"), dict):
            raise Invalid("message.shape", "it is not an object with `values`", mend=SHAPE)
        units = item.get("units") or {}
        if not isinstance(units, dict):
            raise Invalid("message.shape", "`units` is not an object", mend='send {"units": {}}')
        self.letters.take(max(1, len(item["values"])))
        twin = item.get("twin", self.twin)
        if not isinstance(twin, str) or not TWIN.fullmatch(twin) or twin != (self.twin or twin):
            raise Invalid(
                "message.twin",
                "it names no twin, or another one than its topic",
                mend="name the twin by letters, digits and . _ - (64 at most), as its topic does",
            )
        if "time" not in item and self.time is not None:
            return twin, self.time, item["values"], units
        time = item.get("time")
        if not isinstance(time, str) or not time.isprintable():
            raise Invalid("time.unreadable", "`time` is not an instant", mend=SHAPE)
        return twin, parse_instant(time), item["values"], units


def sample(twin: str, signal: str, instant: int, value: Any, unit: Any) -> Row:
    """One sample, or Invalid `sample.*`."""
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
    check_name(signal)
    try:
        return twin, signal, instant, float(value) + 0.0, unit  # + 0.0: there is one zero
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


def leaves(item: Any) -> Iterator[tuple[str, Any]]:
    """(name, value) of all that stands in an object of objects; names within are joined by dots.

    >>> list(leaves({"a": 1, "b": {"c": 2}}))
    [('a', 1), ('b.c', 2)]
    """
    open_ = [("", item)]
    while open_:
        name, held = open_.pop()
        if isinstance(held, dict):
            below = [(f"{name}.{key}" if name else key, value) for key, value in held.items()]
            open_ += reversed(below)
        else:
            yield name, held


def parse(payload: bytes) -> Any:
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
        raise Invalid("message.depth", "it is nested too deeply", mend=SHAPE) from None
    except json.JSONDecodeError as error:
        raise Invalid(
            "message.json",
            f"it is not JSON: {error.msg} at character {error.pos}",
            mend=SHAPE,
        ) from None
    except ValueError:  # an integer of thousands of digits
        raise Invalid("message.json", "a number in it is too long", mend=SHAPE) from None


def as_bytes(item: Any) -> bytes:
    """An item of a larger message as bytes of its own, for its dead letter."""
    try:
        return json.dumps(item).encode()
    except (RecursionError, ValueError):
        return repr(type(item)).encode()
