"""How a record looks on the wire: instants as ISO 8601, nothing that JSON has no word for.

Owns    the wording of instants, the pages of a list, and reading the two times of a question.
Never   changes a number.
"""

import base64
import json
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import numpy as np
from fastapi.responses import JSONResponse
from pydantic_core import to_json

from gemel.clock import SECOND, format_instant, parse_instant
from gemel.errors import Invalid

INSTANTS = frozenset(
    "at instant start end created_at expires_at closed_at sent_at done_at ended_at decided_at"
    " confirm_by received_at until deadline cut before since known_at".split()
)
BROKEN = ("message.json", "message.encoding", "message.depth", "request.json")  # answered 400
UNREAD = {  # a body of which nothing could be read, not even as a dead letter of its own
    "http.content_type": 415,
    "http.encoding": 415,
    "http.unpacks_too_far": 413,
}
DAY = 86_400 * SECOND
_PLAIN = (str, int, bool, type(None))
EARLIEST = 10**15  # ns; below this (the twelfth day of 1970) a number is no instant of a plant


def worded(record: Any) -> Any:
    """A record with its instants as ISO 8601 (0 becomes null), its NaN and infinities as null."""
    kind = type(record)
    if kind in _PLAIN:
        return record
    if kind is float:
        return record if isfinite(record) else None
    if isinstance(record, dict):
        return {
            key: value if type(value) in _PLAIN and key not in INSTANTS else _entry(key, value)
            for key, value in record.items()
        }
    if isinstance(record, (list, tuple)):
        return [worded(item) for item in record]
    return worded(record.item()) if isinstance(record, np.generic) else record


def _entry(key: str, value: Any) -> Any:
    if key in INSTANTS and isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return format_instant(int(value)) if value > EARLIEST else (None if not value else value)
    return worded(value)


def as_json(record: Any) -> bytes:
    """A record as the API tells it."""
    return to_json(worded(record))


class Answer(JSONResponse):
    """JSON of a record, instants worded."""

    def render(self, content: Any) -> bytes:
        return as_json(content)


def page(
    rows: list[dict[str, Any]], limit: int, after: str | None, key: Callable[[Any], str]
) -> dict[str, Any]:
    """`limit` rows that follow the one whose key is `after`; `next` is null at the end."""
    start = 0
    if after is not None:
        places = [k for k, row in enumerate(rows) if key(row) == after]
        if not places:
            raise _unknown(after)
        start = places[0] + 1
    part = rows[start : start + limit]
    more = start + limit < len(rows)
    return {"items": part, "next": key(part[-1]) if more and part else None}


def write_key(key: Sequence[Any]) -> str:
    """A row's place in a table of the lake, (instant, name …), as a `next` to be handed back."""
    text = json.dumps(key, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_key(after: str, length: int) -> list[Any]:
    """`next` of the page before → (instant, name …), `length` of them or the instant alone."""
    try:
        key = json.loads(base64.urlsafe_b64decode(after.encode() + b"=" * (-len(after) % 4)))
        whole = isinstance(key, list) and len(key) in (1, length)
        fits = whole and type(key[0]) is int and all(isinstance(name, str) for name in key[1:])
    except (ValueError, RecursionError):
        fits = False
    if not fits or not -(2**62) < key[0] < 2**62:
        raise _unknown(after)
    return list(key)


def _unknown(after: str) -> Invalid:
    return Invalid(
        "page.unknown_after",
        f"there is nothing with the key '{after[:80]}' in this list",
        mend="take `after` from `next` of the page before, and ask with the same filters",
    )


def ordered(rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """Rows by a field; a leading minus turns the order round. Null comes last, either way."""
    name, back = sort.removeprefix("-"), sort.startswith("-")
    there = [row for row in rows if row.get(name) is not None]
    there.sort(key=lambda row: row[name], reverse=back)
    return there + [row for row in rows if row.get(name) is None]


def read_valid(text: str | None, at: int) -> tuple[int | None, int | None, bool]:
    """`START/END` (an open side is ..) or one instant → (start, end, is it one instant?).

    Without it: the day before `at`.
    """
    if text is None:
        return at - DAY, at + 1, False
    if "/" not in text:
        return None, parse_instant(text) + 1, True
    start, _, end = text.partition("/")
    low = None if start in ("", "..") else parse_instant(start)
    high = None if end in ("", "..") else parse_instant(end)
    if low is not None and high is not None and high <= low:
        raise Invalid(
            "time.span",
            "the span ends before it starts",
            where=text[:80],
            mend="write valid=START/END with START before END; .. leaves a side open",
        )
    return low, high, False
