"""Every decoder before every hostile message, and before bytes that nobody thought of."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel.clock import parse_instant
from gemel.connect.decode import decode_reply, decode_telemetry
from gemel.connect.decoded import Decoded
from gemel.connect.http import Inlet
from gemel.connect.mapping import Mapping
from gemel.connect.shadow import decode_shadow
from gemel.connect.sparkplug import Metric, Payload, Sparkplug, write_payload
from gemel.errors import GemelError, Invalid
from gemel.records import Batch, Entry
from gemel.testing import decoder_checks
from gemel.testing.decoders import hostile

TIME = "2024-05-01T00:00:00Z"
START = parse_instant(TIME)
HOW: dict[str, Any] = {"received_at": START, "source": "hall"}
MAP = [{"topic": "t/{twin}", "time": "time", "values": "values"}]
BIRTH = Payload(
    1, [Metric("speed", 1, datatype=10, value=1.5), Metric("n", 2, datatype=3, value=-7)], 0
)


def by_http(payload: bytes, **headers: str) -> Decoded:
    """The decoder behind HTTP; a refusal is a dead letter, as the server makes of it."""
    inlet, kept = Inlet(), []
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def keep(decoded: Decoded) -> dict[str, Any]:
        kept.append(decoded)
        return {"received": decoded.received}

    try:
        inlet.take(payload, named, keep, received_at=START)
    except GemelError as error:
        body = error.as_record()
        return Decoded(Batch.of([]), [Entry("dead", "http", START, body=body)])
    return kept[0]


LINE = json.dumps({"twin": "a", "time": TIME, "values": {"x": 1.5}}).encode()
EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": json.loads(LINE)}
DECODERS: dict[str, tuple[Callable[[bytes], Decoded], bytes]] = {
    "json": (lambda raw: decode_telemetry(raw, None, **HOW), LINE),
    "json of a topic": (lambda raw: decode_telemetry(raw, "a", **HOW), LINE),
    "map": (lambda raw: Mapping(MAP).decode("t/a", raw, **HOW), LINE),
    "shadow": (
        lambda raw: decode_shadow("$aws/things/a/shadow/update", raw, **HOW),
        b'{"state": {"reported": {"x": 1.5}}}',
    ),
    "sparkplug": (
        lambda raw: Sparkplug().decode("spBv1.0/g/NBIRTH/a", raw, **HOW),
        write_payload(BIRTH),
    ),
    "http": (lambda raw: by_http(raw), LINE),
    "http, gzip": (lambda raw: by_http(raw, content_encoding="gzip"), gzip.compress(LINE)),
    "http, an event": (
        lambda raw: by_http(raw, content_type="application/cloudevents+json"),
        json.dumps(EVENT).encode(),
    ),
    "http, events": (
        lambda raw: by_http(raw, content_type="application/cloudevents-batch+json"),
        json.dumps([EVENT]).encode(),
    ),
    "http, Arrow": (
        lambda raw: by_http(raw, content_type="application/vnd.apache.arrow.stream"),
        hostile()["half a stream"],
    ),
}


@pytest.mark.parametrize("name", [name for name in DECODERS if name != "http, Arrow"])
def test_a_decoder_survives_every_hostile_message(name: str) -> None:
    decoder_checks(*DECODERS[name])


@settings(max_examples=60)
@given(
    st.binary(max_size=300)
    | st.sampled_from([good for _, good in DECODERS.values()]).flatmap(
        lambda good: st.tuples(st.integers(0, len(good)), st.binary(max_size=9)).map(
            lambda cut: good[: cut[0]] + cut[1] + good[cut[0] + len(cut[1]) :]
        )
    )
)
def test_no_bytes_make_any_decoder_raise(payload: bytes) -> None:
    for decode, _ in DECODERS.values():
        found = decode(payload)
        json.dumps([entry.body for entry in found.dead]).encode()
        assert len(found.batch.twin) == len(found.batch.value)
    decode_reply(payload, received_at=0, source="hall")


def test_the_checks_find_a_decoder_that_breaks_its_promises() -> None:
    def raises(payload: bytes) -> Decoded:
        json.loads(payload)
        return decode_telemetry(payload, None, **HOW)

    def silent(payload: bytes) -> Decoded:
        found = decode_telemetry(payload, None, **HOW)
        return Decoded(found.batch, [Entry("dead", "hall", 1, body={"code": "nobody.knows"})])

    for decode in (raises, silent):
        with pytest.raises(Invalid, match="promise"):
            decoder_checks(decode, LINE)
