"""Messages read together are what they are one by one."""

import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel.connect import inbox
from gemel.connect.formats import Ours
from gemel.connect.inbox import Message, read_messages
from gemel.records import Entry

OURS = Ours()
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-9, 9)
objects = st.fixed_dictionaries(
    {
        "time": st.sampled_from(["2017-01-09T00:01:00Z", "2017-01-09T01:01:00.5+01:00"]),
        "values": st.dictionaries(st.sampled_from(["speed", "load", "ß"]), numbers, max_size=3),
    },
    optional={"units": st.just({"speed": "rpm"}), "twin": st.sampled_from(["st1", "st2"])},
)
odd = st.sampled_from(
    [
        b"",
        b"{}",
        b"\xff",
        b"{,}",
        b'{"time": "now", "values": {"speed": 1}}',
        b'{"time": "2017-01-09T00:01:00Z", "values": {"speed": "fast"}}',
        b'{"time": "2017-01-09T00:01:00Z", "values": {"speed": 1}, "\\u0074win": "st9"}',
        b'{"time": "2017-01-09T00:01:00Z", "values": {"speed": 1}}\n{"a": 1}',
    ]
)
twins = st.sampled_from(["st1", "st2", "", 'a","twin":"b'])


def told(entries: list[Entry]) -> tuple[list[Any], list[Any]]:
    rows: list[Any] = []
    for entry in entries:
        if entry.batch is not None:
            batch = entry.batch
            words = (batch.twin.tolist(), batch.signal.tolist(), batch.unit.tolist())
            rows += zip(*words, batch.instant.tolist(), batch.value.tolist(), strict=True)
    return sorted(rows), [entry.body for entry in entries if entry.kind == "dead"]


def alike(messages: list[Message]) -> None:
    together = read_messages(messages, OURS, received_at=7, source="hall")
    alone = [read_messages([one], OURS, received_at=7, source="hall") for one in messages]
    assert told(together) == told([entry for entries in alone for entry in entries])


@settings(max_examples=60)
@given(
    st.lists(st.tuples(objects, twins), min_size=1, max_size=12),
    st.lists(st.tuples(odd, twins), max_size=2),
    st.integers(1, 12),
)
def test_objects_read_together_are_what_they_are_one_by_one(
    plain: list[Any], strange: list[Any], again: int
) -> None:
    messages = [Message(json.dumps(item).encode(), twin) for item, twin in plain] * again
    alike([*messages, *(Message(payload, twin) for payload, twin in strange)])


def frame(names: list[str | None], value: float, signal: str = "speed") -> bytes:
    table = pa.table(
        {
            "twin": pa.array(names).dictionary_encode(),
            "instant": pa.array(range(len(names)), pa.int64()),
            signal: pa.array([value + k for k in range(len(names))]),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


names = st.lists(st.sampled_from(["a", "b", "c", None, "no twin!"]), min_size=1, max_size=5)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(names, st.sampled_from(["speed", "load"]), st.sampled_from([0, 40, 9])),
        min_size=1,
        max_size=6,
    )
)
def test_frames_read_together_are_what_they_are_one_by_one(frames: list[Any]) -> None:
    payloads = [frame(own, float(k), signal) for k, (own, signal, _) in enumerate(frames)]
    cut = [p[:-size] if size else p for p, (*_, size) in zip(payloads, frames, strict=True)]
    alike([Message(payload, None) for payload in cut])
    fine = [frame(["a", "b"], float(k)) for k in range(len(frames))]
    alike([Message(payload, None) for payload in fine])
    assert inbox._together([Message(p, None) for p in fine], 7, "hall") or len(fine) == 1
