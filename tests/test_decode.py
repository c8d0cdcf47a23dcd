"""Bytes to samples: what is readable is read, what is not becomes a dead letter, nothing raises."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel.connect.decode import Decoded, decode_reply, decode_telemetry
from gemel.records import Batch

TIME = "2017-01-09T00:01:00Z"
GOOD = {"time": TIME, "values": {"speed": 3000.0}}


def decode(payload: bytes | object, twin: str | None = "st1", **limits: Any) -> Decoded:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decode_telemetry(raw, twin, received_at=5, source="hall", **limits)


def codes(decoded: Decoded) -> list[str]:
    return [entry.body["code"] for entry in decoded.dead]


def rows(batch: Batch) -> list[tuple[Any, ...]]:
    columns = (batch.twin, batch.signal, batch.instant, batch.value, batch.unit)
    return list(zip(*(c.tolist() for c in columns), strict=True))


def test_one_object_is_read_with_its_units() -> None:
    decoded = decode({**GOOD, "units": {"speed": "rpm"}})
    assert rows(decoded.batch) == [("st1", "speed", 1_483_920_060_000_000_000, 3000.0, "rpm")]
    assert decoded.dead == []


def test_a_list_and_ndjson_give_the_same_samples() -> None:
    parts = [{"twin": f"st{k}", **GOOD} for k in (1, 2)]
    lines = b"\n".join(json.dumps(part).encode() for part in parts) + b"\n"
    assert rows(decode(parts, None).batch) == rows(decode(lines, None).batch)
    assert len(decode(lines, None).batch) == 2


def test_one_bad_line_never_costs_the_others() -> None:
    good = json.dumps({"twin": "st1", **GOOD}).encode()
    decoded = decode(b"\n".join([good, b"{broken", b"\xff\xfe", good, b"[1]", good]), None)
    assert len(decoded.batch) == 3
    assert codes(decoded) == ["message.json", "message.encoding", "message.shape"]


@pytest.mark.parametrize("value", ["high", True, None, [1], {"a": 1}, 10**400])
def test_a_value_that_is_no_number_costs_only_itself(value: object) -> None:
    decoded = decode({"time": TIME, "values": {"speed": 3000.0, "load": value, "ambient": 20}})
    assert decoded.batch.signal.tolist() == ["speed", "ambient"]
    assert codes(decoded) == ["sample.type"]
    assert decoded.dead[0].body["mend"] and '"load"' in decoded.dead[0].body["head"]


def test_nan_stays_for_the_quality_stage_to_judge() -> None:
    decoded = decode(b'{"time": "2017-01-09T00:01:00Z", "values": {"speed": NaN}}')
    assert math.isnan(decoded.batch.value[0]) and decoded.dead == []


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\xff\xfe\x00", "message.encoding"),
        (b"{broken", "message.json"),
        (b"", "message.json"),
        (b"1" * 5000, "message.json"),
        (b"[" * 200_000, "message.depth"),
        (b"3", "message.shape"),
        ({"time": TIME}, "message.shape"),
        ({"time": TIME, "values": [1]}, "message.shape"),
        ({**GOOD, "units": 3}, "message.shape"),
        ({**GOOD, "units": {"speed": 3}}, "sample.unit"),
        ({"values": {"speed": 1}}, "time.unreadable"),
        ({**GOOD, "time": 1483920060}, "time.unreadable"),
        ({**GOOD, "time": "yesterday"}, "time.unreadable"),
        ({**GOOD, "time": "2017-01-09T00:01:00"}, "time.unreadable"),
        ({**GOOD, "twin": "st2"}, "message.twin"),
        ({**GOOD, "twin": 3}, "message.twin"),
        ({"time": TIME, "values": {"": 1}}, "sample.signal"),
        ({"time": TIME, "values": {"\ud800": 1}}, "sample.signal"),
    ],
)
def test_what_cannot_be_read_is_one_dead_letter_with_a_code_and_a_mend(
    payload: object, code: str
) -> None:
    decoded = decode(payload)
    assert codes(decoded) == [code] and len(decoded.batch) == 0
    body = decoded.dead[0].body
    assert body["mend"] and len(body["sha256"]) == 64 and decoded.dead[0].received_at == 5


def test_a_huge_message_is_refused_by_its_size_alone() -> None:
    decoded = decode(b" " * 50_000_000)
    assert codes(decoded) == ["message.too_large"]
    assert decoded.dead[0].body["size"] == 50_000_000 and len(decoded.dead[0].body["head"]) <= 2000


def test_more_samples_than_a_message_may_carry_are_one_dead_letter() -> None:
    assert codes(decode({"time": TIME, "values": {str(k): k for k in range(11)}}, count=10)) == [
        "message.count"
    ]


def test_a_message_without_a_topic_must_name_its_twin() -> None:
    assert codes(decode(GOOD, None)) == ["message.twin"]


def test_a_reply_is_read_or_dead() -> None:
    entry = decode_reply(b'{"invocation": "i1", "accepted": true}', received_at=1, source="hall")
    assert entry.kind == "reply"
    assert entry.body == {"invocation": "i1", "accepted": True, "detail": ""}
    for bad in (b"", b"[]", b'{"invocation": 1, "accepted": true}', b'{"accepted": 1}'):
        assert decode_reply(bad, received_at=1, source="hall").kind == "dead"


def balanced(decoded: Decoded) -> bool:
    """Every entry can be written as JSON, every sample is complete."""
    json.dumps([entry.body for entry in decoded.dead]).encode()
    "".join(decoded.batch.twin.tolist() + decoded.batch.signal.tolist()).encode()
    return all(entry.kind == "dead" for entry in decoded.dead)


@settings(max_examples=200)
@given(st.binary(max_size=400), st.sampled_from([None, "st1"]))
def test_no_bytes_make_it_raise(payload: bytes, twin: str | None) -> None:
    assert balanced(decode(payload, twin))
    decode_reply(payload, received_at=0, source="hall")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "twin": json_values | st.just("st1"),
        "time": json_values | st.just(TIME),
        "values": json_values | st.dictionaries(st.text(max_size=8), json_values),
        "units": json_values | st.dictionaries(st.text(max_size=8), json_values),
    },
)


@settings(max_examples=200)
@given(objects | st.lists(objects, max_size=4) | json_values)
def test_no_json_makes_it_raise(item: object) -> None:
    assert balanced(decode(json.dumps(item).encode(), None))
