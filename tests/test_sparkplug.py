"""Sparkplug B edge nodes and AWS-IoT-style things, unmodified."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel.connect.decoded import Decoded
from gemel.connect.formats import decoder_of
from gemel.connect.shadow import (
    decode_shadow,
    encode_accepted,
    encode_delta,
    encode_desired,
    thing_of,
)
from gemel.connect.sparkplug import (
    NODES,
    Metric,
    Payload,
    Sparkplug,
    read_payload,
    rebirth,
    write_payload,
)
from gemel.errors import Invalid
from gemel.testing.decoders import rows

NOW = 1_714_521_600_000_000_000
MS = 1_714_521_610_000
AT = MS * 10**6
HOW: dict[str, Any] = {"received_at": NOW, "source": "line"}


def codes(decoded: Decoded) -> list[str]:
    return [entry.body["code"] for entry in decoded.dead]


class Node:
    """An edge node with one device, as it speaks on the wire."""

    def __init__(self, host: Sparkplug) -> None:
        self.host, self.seq = host, 0

    def say(self, kind: str, *metrics: Metric, seq: int | None = None) -> Decoded:
        self.seq = 0 if kind == "NBIRTH" else (self.seq + 1) % 256 if seq is None else seq
        payload = write_payload(Payload(MS, list(metrics), self.seq))
        end = "/pump" if kind.startswith("D") else ""
        return self.host.decode(f"spBv1.0/hall/{kind}/edge{end}", payload, **HOW)


# ---- Sparkplug ---------------------------------------------------------------------------------


def test_a_birth_names_what_data_tell_by_alias() -> None:
    node = Node(Sparkplug())
    born = node.say(
        "NBIRTH", Metric("bdSeq", datatype=8, value=0), Metric("uptime", 0, datatype=8, value=5)
    )
    assert rows(born.batch) == [("edge", "uptime", AT, 5.0, "")] and born.dead == []
    node.say(
        "DBIRTH",
        Metric("speed", 1, datatype=10, value=2900.0),
        Metric("n", 2, datatype=3, value=-7),
    )
    found = node.say(
        "DDATA",
        Metric(alias=1, timestamp=MS + 5, value=3000.0),
        Metric(alias=2, value=(1 << 32) - 9),
        Metric("running", datatype=11, value=True),
        Metric(alias=1, null=True),
    )
    assert rows(found.batch) == [
        ("pump", "speed", AT + 5 * 10**6, 3000.0, ""),
        ("pump", "n", AT, -9.0, ""),
        ("pump", "running", AT, 1.0, ""),
    ]
    assert found.dead == [] and node.host.rebirths() == []


def test_data_before_their_birth_are_dead_letters_and_ask_for_a_birth_once() -> None:
    node = Node(Sparkplug())
    found = node.say("DDATA", Metric(alias=1, value=1.0), Metric(alias=2, value=2.0))
    assert codes(found) == ["sparkplug.alias"] * 2 and found.received == 2
    node.say("DDATA", Metric(alias=1, value=1.0))
    assert node.host.rebirths() == [("spBv1.0/hall/NCMD/edge", rebirth())]
    assert node.host.rebirths() == []
    asked = read_payload(rebirth()).metrics[0]
    assert (asked.name, asked.value) == ("Node Control/Rebirth", True)
    node.say("NBIRTH")
    node.say("DBIRTH", Metric("speed", 1, datatype=10, value=1.0))
    assert len(node.say("DDATA", Metric(alias=1, value=2.0)).batch) == 1


def test_a_gap_in_the_sequence_asks_for_a_birth_and_255_is_followed_by_0() -> None:
    node = Node(Sparkplug())
    node.say("NBIRTH", Metric("speed", 1, datatype=10, value=1.0))
    for _ in range(600):
        assert len(node.say("NDATA", Metric(alias=1, value=2.0)).batch) == 1
    assert node.host.rebirths() == []
    found = node.say("NDATA", Metric(alias=1, value=3.0), seq=(node.seq + 2) % 256)
    assert len(found.batch) == 1 and len(node.host.rebirths()) == 1


def test_after_a_death_nothing_is_known_of_a_node() -> None:
    node = Node(Sparkplug())
    node.say("NBIRTH", Metric("speed", 1, datatype=10, value=1.0))
    assert node.say("NDEATH").received == 0
    assert codes(node.say("NDATA", Metric(alias=1, value=2.0))) == ["sparkplug.alias"]


def test_a_node_is_forgotten_when_many_others_came() -> None:
    host = Sparkplug()
    for k in range(NODES + 10):
        host.decode(f"spBv1.0/g/NBIRTH/n{k}", write_payload(Payload(MS, [], 0)), **HOW)
    assert len(host._nodes) == NODES


def test_text_of_a_node_is_no_sample_and_says_so() -> None:
    found = Node(Sparkplug()).say("NBIRTH", Metric("version", datatype=12, value="1.2"))
    assert codes(found) == ["sample.type"]


@pytest.mark.parametrize(
    "topic", ["spBv1.0/STATE/host", "spBv1.0/g/NDATA", "a/b/c/d", "spBv1.0/g/DDATA/n"]
)
def test_a_topic_of_another_kind_is_a_dead_letter(topic: str) -> None:
    assert codes(Sparkplug().decode(topic, b"", **HOW)) == ["sparkplug.topic"]


metrics = st.builds(
    Metric,
    st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=9),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.integers(0, 2**63),
    st.integers(1, 19),
    st.just(False),
    st.floats(allow_nan=False) | st.booleans() | st.integers(0, 2**32 - 1) | st.text(max_size=5),
)


@settings(max_examples=100)
@given(
    st.builds(Payload, st.integers(0, 2**63), st.lists(metrics, max_size=4), st.integers(0, 255))
)
def test_a_payload_is_read_as_it_was_written(payload: Payload) -> None:
    read = read_payload(write_payload(payload))
    assert (read.timestamp, read.seq) == (payload.timestamp, payload.seq)
    for found, wrote in zip(read.metrics, payload.metrics, strict=True):
        assert (found.name, found.alias, found.timestamp) == (
            wrote.name,
            wrote.alias,
            wrote.timestamp,
        )
        if wrote.datatype == 9 and isinstance(wrote.value, float):
            close = math.isclose(float(found.value or 0), wrote.value, rel_tol=1e-6, abs_tol=1e-37)
            assert close or abs(wrote.value) > 3e38
        else:
            assert found.value == wrote.value


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(["NBIRTH", "NDATA", "DDATA/d", "DBIRTH/d"]))
def test_no_bytes_make_sparkplug_raise(payload: bytes, kind: str) -> None:
    name, _, device = kind.partition("/")
    topic = "/".join(["spBv1.0/g", name, "n", *filter(None, [device])])
    json.dumps([e.body for e in Sparkplug().decode(topic, payload, **HOW).dead])


# ---- shadows -----------------------------------------------------------------------------------

UPDATE = "$aws/things/pump-7/shadow/update"


def test_what_a_thing_reports_is_samples_at_its_own_time_or_the_present() -> None:
    told = {"state": {"reported": {"speed": 3000, "oil": {"flow": 40.5}, "on": True, "old": None}}}
    found = decode_shadow(UPDATE, json.dumps(told).encode(), **HOW)
    names = [("speed", 3000.0), ("oil.flow", 40.5), ("on", 1.0)]
    assert rows(found.batch) == [("pump-7", name, NOW, value, "") for name, value in names]
    timed = json.dumps({**told, "timestamp": MS // 1000}).encode()
    assert set(decode_shadow(UPDATE, timed, **HOW).batch.instant.tolist()) == {AT}
    whole = json.dumps({"previous": {}, "current": told, "timestamp": MS // 1000}).encode()
    documents = decode_shadow(f"{UPDATE}/documents", whole, **HOW)
    assert rows(documents.batch) == rows(decode_shadow(UPDATE, timed, **HOW).batch)


@pytest.mark.parametrize(
    ("topic", "payload", "wanted"),
    [
        (UPDATE, b'{"state": {"desired": {"speed": 1}}}', []),
        (UPDATE, b'{"state": {"reported": {"name": "x"}}}', ["sample.type"]),
        (UPDATE, b'{"reported": {}}', ["shadow.shape"]),
        (UPDATE, b"{", ["message.json"]),
        ("plant/pump-7", b"{}", ["shadow.topic"]),
        ("$aws/things/no twin/shadow/update", b"{}", ["message.twin"]),
        (f"{UPDATE}/delta", b'{"state": {"speed": 1}}', []),
    ],
)
def test_what_a_thing_says_otherwise(topic: str, payload: bytes, wanted: list[str]) -> None:
    found = decode_shadow(topic, payload, **HOW)
    assert codes(found) == wanted and len(found.batch) == 0


def test_a_command_is_desired_and_told_as_a_delta() -> None:
    topic, payload = encode_desired("pump-7", {"oil_flow": 45.0}, "I-000001")
    assert thing_of(topic) == ("pump-7", "update")
    assert json.loads(payload) == {
        "state": {"desired": {"oil_flow": 45.0}},
        "clientToken": "I-000001",
    }
    topic, payload = encode_delta("pump-7", {"oil_flow": 45.0}, version=3, at=AT, token="I-000001")
    assert thing_of(topic) == ("pump-7", "update/delta")
    told = json.loads(payload)
    assert (told["state"], told["version"], told["timestamp"]) == (
        {"oil_flow": 45.0},
        3,
        MS // 1000,
    )
    topic, payload = encode_accepted("pump-7", {"a": 1, "b": 2}, {"a": 1}, version=4, at=AT)
    assert topic == "$aws/things/pump-7/shadow/get/accepted"
    state = {"desired": {"a": 1, "b": 2}, "reported": {"a": 1}, "delta": {"b": 2}}
    assert json.loads(payload)["state"] == state


def test_a_source_takes_the_decoder_that_its_format_names() -> None:
    for options, topic, payload in (
        ({}, "", b'{"twin": "a", "time": "2024-05-01T00:00:00Z", "values": {"x": 1}}'),
        ({"format": "shadow"}, UPDATE, b'{"state": {"reported": {"x": 1}}}'),
        ({"map": [{"topic": "{twin}", "values": {"x": "x"}}]}, "a", b'{"x": 1}'),
        (
            {"format": "sparkplug"},
            "spBv1.0/g/NBIRTH/n",
            write_payload(Payload(MS, [Metric("x", datatype=10, value=1.0)], 0)),
        ),
    ):
        found = decoder_of(options, "source a").decode(topic, payload, twin=None, **HOW)
        assert found.batch.value.tolist() == [1.0], options
    with pytest.raises(Invalid, match="use one of: json, arrow, sparkplug, shadow"):
        decoder_of({"format": "xml"}, "source a")


def test_a_number_too_large_for_its_type_is_written_as_infinite() -> None:
    metric = Metric("x", None, None, 9, False, 3.5e38)
    read = read_payload(write_payload(Payload(0, [metric], 0)))
    assert read.metrics[0].value == math.inf
