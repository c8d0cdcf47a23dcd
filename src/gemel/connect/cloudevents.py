"""CloudEvents 1.0 over HTTP: structured, batched and binary mode → events with our data inside.

Owns    the envelope: its mode, its attributes, its data as bytes or JSON.
Never   reads the data, and never judges: it says what an event is and what it carries.

`source` and `id` together name an event once and for all: the same pair again is the same event.
`subject` names the twin of JSON data that names none, `time` the instant of data that has none.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from gemel.clock import parse_instant
from gemel.connect.decoded import TWIN
from gemel.connect.objects import as_bytes, parse
from gemel.errors import Invalid

ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"
EVENTS, WORD = 10_000, 1_000  # events of one batch; characters of an attribute
_MEND = 'send {"specversion": "1.0", "id": …, "source": …, "type": …, "data": {…}}'


@dataclass(frozen=True)
class Event:
    """One event. data: bytes of the kind `media`, or JSON already read

    twin: its subject, where that can be a twin · time: ns UTC, None where it has none
    """

    key: str
    data: bytes | dict[str, Any] | list[Any]
    media: str
    twin: str | None = None
    time: int | None = None
    subject: str = ""

    def items(self) -> dict[str, Any] | list[Any]:
        """Its JSON, each object with the event's twin where it names none."""
        assert not isinstance(self.data, bytes)
        if self.twin is None:
            return self.data
        told = self.data if isinstance(self.data, list) else [self.data]
        return [{"twin": self.twin, **part} if isinstance(part, dict) else part for part in told]


def is_event(media: str, headers: Mapping[str, str]) -> bool:
    """Whether a request is an event in any of the three modes."""
    return media in (ONE, MANY) or "ce-specversion" in headers


def read_events(
    payload: bytes, media: str, headers: Mapping[str, str]
) -> list[Event | tuple[bytes, Invalid]]:
    """Events of a request, and for each that is none its bytes and what is wrong."""
    try:
        if media == ONE:
            told: Any = [parse(payload)]
        elif media == MANY:
            told = parse(payload)
            if not isinstance(told, list) or len(told) > EVENTS:
                raise _shape(f"a batch is a list of {EVENTS} events at most")
        else:
            return [_binary(payload, media, headers)]
    except Invalid as error:
        return [(payload, error)]
    return [_event(item) for item in told]


def _event(item: Any) -> Event | tuple[bytes, Invalid]:
    try:
        return _structured(item)
    except Invalid as error:
        return as_bytes(item), error


def _structured(item: Any) -> Event:
    if not isinstance(item, dict):
        raise _shape("an event is an object")
    media = item.get("datacontenttype", "application/json")
    if "data_base64" in item:
        try:
            data: Any = base64.b64decode(item["data_base64"], validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise _shape("its data_base64 is not base64") from None
    else:
        data = item.get("data")
        data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if not isinstance(data, bytes | dict | list):
        raise _shape("it carries no data")
    return _made(item, data, media)


def _binary(payload: bytes, media: str, headers: Mapping[str, str]) -> Event:
    told = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    return _made(told, payload, media)


def _made(told: Mapping[str, Any], data: Any, media: object) -> Event:
    words = {
        name: _word(told, name, name not in ("subject", "time"))
        for name in ("specversion", "id", "source", "type", "subject", "time")
    }
    if words["specversion"] != "1.0":
        raise _shape(f"its specversion is '{words['specversion'][:20]}', not 1.0")
    if not isinstance(media, str):
        raise _shape("its datacontenttype is not a word")
    subject = words["subject"]
    return Event(
        f"{words['source']} {words['id']}",
        data,
        media.partition(";")[0].strip().lower(),
        subject if TWIN.fullmatch(subject) else None,
        parse_instant(words["time"]) if words["time"] else None,
        subject,
    )


def _word(told: Mapping[str, Any], name: str, needed: bool) -> str:
    word: object = told.get(name, "")
    if word is None:
        word = ""
    if not isinstance(word, str) or len(word) > WORD or not word.isprintable():
        raise _shape(f"its {name} is not a word")
    if needed and not word:
        raise _shape(f"it has no {name}")
    return word


def _shape(what: str) -> Invalid:
    return Invalid("cloudevent.shape", what, mend=_MEND)
