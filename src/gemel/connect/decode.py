"""Bytes from a wire → samples: the one door to every format (docs/contracts.md §6).

Owns    which decoder reads what, and that none of them raises: what is unreadable is a dead letter.
Never   judges a value: NaN or an unknown twin goes on to the quality stage.
"""

from gemel.connect.arrow import read_arrow
from gemel.connect.base import dead_letter
from gemel.connect.decoded import COUNT, LIMIT, Decoded, Letters, too_large
from gemel.connect.ndjson import is_lines, read_lines
from gemel.connect.objects import Objects, parse
from gemel.errors import Invalid
from gemel.records import Batch, Entry

__all__ = ["COUNT", "LIMIT", "Decoded", "decode_reply", "decode_telemetry", "read_json"]

ARROW = b"\xff\xff\xff\xff"  # how an Arrow stream begins; no JSON does
DOCUMENT = 8 << 20  # bytes of one JSON document; lines of documents may be more


def decode_telemetry(
    payload: bytes,
    twin: str | None,
    *,
    received_at: int,
    source: str,
    limit: int = LIMIT,
    count: int = COUNT,
) -> Decoded:
    """Samples of one message: JSON, NDJSON or an Arrow stream, told apart by its first bytes.

    `twin` is the topic's, None when each object names its own. One bad line, object or value never
    costs the others.

    >>> line = b'{"time": "2017-01-09T00:01:00Z", "values": {"speed": 3000.0, "load": "high"}}'
    >>> decoded = decode_telemetry(line, "st1", received_at=0, source="hall")
    >>> decoded.batch.signal.tolist(), [entry.body["code"] for entry in decoded.dead]
    (['speed'], ['sample.type'])
    """
    letters = Letters(source, received_at, count)
    if len(payload) > limit:
        letters.bury(payload, too_large(len(payload), limit))
        return letters.decoded(Batch.of([]))
    if payload.startswith(ARROW):
        return letters.decoded(read_arrow(payload, twin, letters))
    return letters.decoded(read_json(payload, twin, letters))


def read_json(payload: bytes, twin: str | None, letters: Letters, time: int | None = None) -> Batch:
    """One JSON document; failing that, one a line. `time`: of objects that have none."""
    if is_lines(payload):
        return read_lines(payload, twin, letters, time)
    if len(payload) > DOCUMENT:
        letters.bury(payload, too_large(len(payload), DOCUMENT))
        return Batch.of([])
    try:
        item = parse(payload)
    except Invalid as error:
        if len([line for line in payload.split(b"\n") if line.strip()]) > 1:
            return read_lines(payload, twin, letters, time)
        letters.bury(payload, error)
        return Batch.of([])
    objects = Objects(twin, letters, time)
    objects.items(item, payload)
    return Batch.of(objects.rows)


def decode_reply(payload: bytes, *, received_at: int, source: str) -> Entry:
    """An asset's acknowledgement as a `reply` entry, or a dead letter."""
    try:
        item = parse(payload[: LIMIT + 1])
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
