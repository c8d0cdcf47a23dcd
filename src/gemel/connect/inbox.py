"""Messages that wait are read together.

Owns    how many small messages become one batch, and that this gives what one by one would give.
Never   reads a format: `decode` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gemel.connect.arrow import read_streams
from gemel.connect.decode import ARROW, decode_telemetry
from gemel.connect.decoded import COUNT, LIMIT, TWIN, Decoded, Letters
from gemel.connect.formats import Decoder, Ours
from gemel.records import Batch, Entry

FEW = 64  # objects that are as quick one by one


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a wire. twin: whom its topic or key names, None when its bytes name it."""

    payload: bytes
    twin: str | None
    topic: str = ""


def read_messages(
    messages: Sequence[Message], decoder: Decoder, *, received_at: int, source: str
) -> list[Entry]:
    """One batch of all their samples, then their dead letters.

    >>> line = b'{"time": "2017-01-09T00:01:00Z", "values": {"speed": 3000.0}}'
    >>> both = [Message(line, "st1"), Message(line, "st2"), Message(b"?", "st3")]
    >>> [e.kind for e in read_messages(both, Ours(), received_at=0, source="hall")]
    ['batch', 'dead']
    """
    decoded = _together(messages, received_at, source) if isinstance(decoder, Ours) else []
    decoded = decoded or [
        decoder.decode(m.topic, m.payload, twin=m.twin, received_at=received_at, source=source)
        for m in messages
    ]
    batch = Batch.joined([item.batch for item in decoded])
    entries = [Entry("batch", source, received_at, batch=batch)] if len(batch) else []
    return entries + [letter for item in decoded for letter in item.dead]


def _together(messages: Sequence[Message], received_at: int, source: str) -> list[Decoded]:
    """Frames of one schema, or plain objects of named twins, read as one.

    [] where one of them is odd: then each is read by itself, so that its letter holds its bytes.
    """
    if len(messages) > 1 and all(m.twin is None and m.payload[:4] == ARROW for m in messages):
        letters = Letters(source, received_at, COUNT * len(messages))
        small = all(len(m.payload) <= LIMIT for m in messages)
        batch = read_streams([m.payload for m in messages], letters) if small else None
        return [] if batch is None else [Decoded(batch, [])]
    lines = [line for line in map(_as_line, messages) if line]
    if len(lines) < max(FEW, len(messages)):
        return []
    decoded = decode_telemetry(
        b"\n".join(lines),
        None,
        received_at=received_at,
        source=source,
        limit=(LIMIT + 100) * len(lines),
        count=COUNT * len(lines),
    )
    return [] if decoded.dead else [decoded]


def _as_line(message: Message) -> bytes:
    """A plain object with its twin inside; b"" of anything else."""
    text, twin = message.payload, message.twin
    if twin is None or not (text.startswith(b"{") and text.endswith(b"}")) or len(text) > LIMIT:
        return b""
    if b"\n" in text or b"\r" in text or b"\\" in text or b'"twin"' in text:
        return b""  # an escape could spell "twin"
    return b'{"twin":"%b",%b' % (twin.encode(), text[1:]) if TWIN.fullmatch(twin) else b""
