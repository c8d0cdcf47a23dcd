"""What a decoder promises, and whether it keeps it before messages that mean no good.

Owns    the hostile messages, and what is asked of whatever a decoder makes of one.
Never   knows a format.

    from gemel.testing import decoder_checks

    def test_my_decoder_keeps_its_promises():
        decoder_checks(my_decode, b"a message that it reads")
"""

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from gemel.connect.decoded import NAME, Decoded
from gemel.errors import Invalid, catalogue
from gemel.records import Batch, Entry
from gemel.testing.promises import IN_ORDER, Fault, told


def decoder_checks(decode: Callable[[bytes], Decoded], good: bytes) -> None:
    """Try a decoder on hostile messages, and raise one error that tells of every broken promise.

    It never raises. What it cannot read is a dead letter with a known code and a mend; what it
    reads has whole columns of sound words. `good`, a message that it reads, is read the same before
    and after them.

    Raises Invalid `testing.decoder`.
    """
    before = decode(good)
    broken: dict[str, list[Fault]] = {}
    if not len(before.batch) or before.dead:
        broken["it reads what is good"] = [Fault("it does not read `good`", "give a good message")]
    for name, payload in hostile().items():
        if faults := list(_faults(decode, payload)):
            broken[f"it survives {name}"] = faults
    if rows(decode(good).batch) != rows(before.batch):
        fault = Fault("`good` is read otherwise after them", "let one message not touch the next")
        broken["it is the same after them"] = [fault]
    if broken:
        where = f"decoder {getattr(decode, '__qualname__', decode)}"
        raise Invalid("testing.decoder", told(broken), where=where, mend=IN_ORDER)


def rows(batch: Batch) -> list[tuple[Any, ...]]:
    """A batch as (twin, signal, instant, value, unit) rows."""
    columns = (batch.twin, batch.signal, batch.instant, batch.value, batch.unit)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _faults(decode: Callable[[bytes], Decoded], payload: bytes) -> Iterator[Fault]:
    try:
        found = decode(payload)
    except Exception as error:  # whatever it is, it should not have been
        yield Fault(f"it raised {type(error).__name__}: {error}", "bury it by Letters.bury")
        return
    batch = found.batch
    columns = (batch.twin, batch.signal, batch.instant, batch.value, batch.unit)
    if len({len(column) for column in columns}) != 1:
        yield Fault("its columns are of different lengths", "give every sample all five")
    for labels in (batch.twin, batch.signal, batch.unit):
        codes = labels.code
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(labels.words):
            yield Fault("a code points at no word", "check the codes that came")
        elif not all(w.isprintable() and len(w) <= NAME for w in labels.compact().words):
            yield Fault("a word is not printable, or too long", "see decoded.check_name")
    for letter in found.dead:
        yield from _letter(letter)


def _letter(letter: Entry) -> Iterator[Fault]:
    body = letter.body
    if letter.kind != "dead" or body.get("code") not in catalogue() or not body.get("mend"):
        yield Fault(f"a letter has no known code or no mend: {body}", "raise Invalid with both")
    try:
        json.dumps(body).encode()
    except (TypeError, ValueError) as error:
        yield Fault(f"a letter cannot be kept: {error}", "make it plain JSON")


def hostile() -> dict[str, bytes]:
    """Messages that somebody may send who means no good, by name."""
    when = '"time": "2024-05-01T00:00:00Z"'
    one = f'{{"twin": "a", {when}, "values": {{"x": %s}}}}'
    stream = _stream(pa.record_batch({"twin": ["a", "b"], "instant": [1, 2], "x": [1.0, 2.0]}))
    lying = bytearray(stream)
    place = lying.rfind(struct.pack("<iii", 0, 1, 2))  # the offsets of the words
    lying[place : place + 12] = struct.pack("<iii", 0, 2**30, 2)
    return {
        "nothing": b"",
        "zeros": bytes(1000),
        "bytes that are no text": bytes(range(256)) * 8,
        "text that is not UTF-8": b'{"twin": "\xff\xfe", "values": {}}',
        "half a surrogate": (one % "1").replace("x", "\\ud800").encode(),
        "lists without end": b"[" * 200_000,
        "objects without end": b'{"values":' * 100_000,
        "closed depth": b'{"a":' * 5000 + b"1" + b"}" * 5000,
        "deep lines": b'{"a":' * 900 + b"1" + b"}" * 900 + b"\n{}\n{}",
        "a number of many digits": (one % ("9" * 5000)).encode(),
        "numbers beyond every float": (one % "1e999").encode(),
        "no numbers": b"\n".join((one % w).encode() for w in ("NaN", "Infinity", "-Infinity")),
        "a line of blanks": b" " * 2_000_000,
        "many names": json.dumps({"values": {f"s{k}": k for k in range(30_000)}}).encode(),
        "a name without end": (one % "1").replace("x", "x" * 100_000).encode(),
        "a name that is no word": (one % "1").replace('"x"', '"\\u0000\\u202e"').encode(),
        "many small lines": b"{}\n" * 50_000,
        "a year that is none": (one % "1").replace("2024", "9999").encode(),
        "half a stream": stream[: len(stream) // 2],
        "offsets that lie": bytes(lying),
        "a stream of noise": stream[:64] + bytes(range(256)) * 40,
        "a stream that says it is large": b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(64),
        "a message longer than itself": b"\x12\xff\xff\xff\xff\x0fabc",
        "a number without end": b"\x08" + b"\xff" * 100,
    }


def _stream(record: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, record.schema) as out:
        out.write_batch(record)
    return bytes(sink.getvalue().to_pybytes())
