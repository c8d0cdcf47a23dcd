"""Columns from the wire: what is read fast is what would be read slowly, to the last sample."""

import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gemel.clock import parse_instant
from gemel.connect import ndjson
from gemel.connect.columns import text_instants
from gemel.connect.decode import decode_telemetry, read_json
from gemel.connect.decoded import Decoded, Letters
from gemel.connect.objects import Objects, parse
from gemel.errors import Invalid
from gemel.records import Batch

TIME = "2017-01-09T00:01:00Z"
INSTANT = parse_instant(TIME)


def decode(payload: bytes, twin: str | None = None, **limits: Any) -> Decoded:
    return decode_telemetry(payload, twin, received_at=5, source="hall", **limits)


def codes(decoded: Decoded) -> list[str]:
    return [entry.body["code"] for entry in decoded.dead]


def rows(batch: Batch) -> list[tuple[Any, ...]]:
    columns = (batch.twin, batch.signal, batch.instant, batch.value, batch.unit)
    return list(zip(*(c.tolist() for c in columns), strict=True))


# ---- lines of JSON ----------------------------------------------------------------------------


def slowly(payload: bytes, twin: str | None) -> Decoded:
    """The reference: the whole payload as one document, else every line by itself."""
    letters = Letters("hall", 5)
    objects = Objects(twin, letters)
    lines = [line for line in payload.split(b"\n") if line.strip()]
    try:
        objects.items(parse(payload), payload)
    except Invalid as error:
        for line in lines if len(lines) > 1 else []:
            objects.document(line)
        if not objects.met:
            letters.dead.clear()
            letters.bury(payload, error)
    return letters.decoded(Batch.of(objects.rows))


def told(decoded: Decoded) -> tuple[list[tuple[str, ...]], list[dict[str, Any]]]:
    """Samples, and dead letters; a sample as words, so that NaN is NaN and −0 is not 0."""
    samples = [tuple(map(repr, row)) for row in rows(decoded.batch)]
    return sorted(samples), [entry.body for entry in decoded.dead]


words = st.text(max_size=6) | st.sampled_from(["speed", "load", "°C", "\x00", "a\\b", '"', "null"])
numbers = (
    st.integers(-(10**20), 10**20)
    | st.floats()
    | st.sampled_from([0, -0.0, 1, 2**53 + 1, 2**63, 2**64, 10**400, 5e-324, 1e308])
)
values = st.dictionaries(words, numbers, max_size=4)
good_lines = st.fixed_dictionaries(
    {
        "twin": st.sampled_from(["st1", "st2", "st3"]),
        "time": st.sampled_from([TIME, "2017-01-09T00:01:00.5Z", "2017-01-09T01:01:00+01:00"]),
        "values": st.dictionaries(st.sampled_from(["speed", "load", "ambient"]), st.floats(0, 9)),
    },
    optional={
        "units": st.dictionaries(st.sampled_from(["speed", "load"]), st.sampled_from(["rpm", ""]))
    },
)
odd_lines = st.fixed_dictionaries(
    {},
    optional={
        "twin": words | st.just("st1") | st.none() | numbers,
        "time": st.just(TIME) | words | numbers,
        "values": values | st.dictionaries(words, words | st.none() | st.booleans()) | numbers,
        "units": st.dictionaries(words, words | st.none()) | st.none() | words,
        "more": words | numbers | st.none() | values | st.lists(numbers, max_size=2),
    },
)
as_json = st.builds(
    lambda item, ascii_, tight: json.dumps(
        item, ensure_ascii=ascii_, separators=(",", ":") if tight else None
    ).encode("utf-8", "surrogatepass"),
    good_lines | odd_lines,
    st.booleans(),
    st.booleans(),
)
broken = st.sampled_from(
    [
        b"",
        b" ",
        b"{}",
        b"{}{}",
        b'{"values":{',
        b"}",
        b"{",
        b"[]",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"values": {"a": NaN}, "twin": "st1", "time": "2017-01-09T00:01:00Z"}',
        b'{"values": {"a": Inf}, "twin": "st1", "time": "2017-01-09T00:01:00Z"}',
        b'{"values": {"a": 1e999}, "twin": "st1", "time": "2017-01-09T00:01:00Z"}',
        b'{"values": {"a": 1, "a": 2}, "twin": "st1", "time": "2017-01-09T00:01:00Z"}',
        b'{"values": {"a": 1}, "twin": "st1", "twin": "st2", "time": "2017-01-09T00:01:00Z"}',
        b'{"values": {"a": -0}, "twin": "st1", "time": "2017-01-09T00:01:00Z"}\r',
        b'{"values": {"a": 01}, "twin": "st1", "time": "2017-01-09T00:01:00Z"}',
        b'{"twin": "st1", "time": "2017-01-09T00:01:00Z", "values": {"a": 1}} // so',
    ]
)
payloads = st.lists(as_json | broken, max_size=6).map(b"\n".join) | st.lists(
    as_json | good_lines.map(lambda item: json.dumps(item).encode()) | broken, max_size=30
).map(b"\n".join)


@settings(max_examples=300)
@given(payloads, st.sampled_from([None, "st1"]), st.sampled_from([8, 100, 1 << 16]))
@example(b'{"twin": "st1"}\n{"twin": "st1"}', None, 8)
def test_lines_read_by_columns_are_the_lines_read_one_by_one(
    payload: bytes, twin: str | None, block: int
) -> None:
    before, ndjson.BLOCK = ndjson.BLOCK, block
    try:
        fast = decode(payload, twin)
    finally:
        ndjson.BLOCK = before
    slow = slowly(payload, twin)
    assert told(fast) == told(slow)


@settings(max_examples=100)
@given(st.lists(good_lines, min_size=2, max_size=30))
def test_good_lines_are_all_read_by_columns(lines: list[dict[str, Any]]) -> None:
    payload = b"\n".join(json.dumps(line).encode() for line in lines)
    assert ndjson._table(payload) is not None
    assert told(decode(payload)) == told(slowly(payload, None))


def test_a_bad_line_slows_its_own_block_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps({"twin": "st1", "time": TIME, "values": {"speed": 1.5, "load": 2.5}}).encode()
    lines = [line] * 5000
    lines[2500] = b"{broken"
    slow: list[int] = []
    kept = ndjson._Lines._slowly
    monkeypatch.setattr(
        ndjson._Lines, "_slowly", lambda own, block: (slow.append(len(block)), kept(own, block))
    )
    decoded = decode(b"\n".join(lines), count=10**6)
    assert len(decoded.batch) == 2 * 4999 and codes(decoded) == ["message.json"]
    assert len(slow) == 1 and slow[0] <= ndjson.BLOCK


def test_more_lines_than_a_message_may_carry_are_dead_letters_behind_the_limit() -> None:
    line = json.dumps({"twin": "st1", "time": TIME, "values": {"speed": 1.5}}).encode()
    decoded = decode(b"\n".join([line] * 1000), count=990)
    assert len(decoded.batch) == 990 and set(codes(decoded)) == {"message.count"}
    assert decoded.received == 1000


@pytest.mark.parametrize(
    "payload", [b"{}\n" * 30_000, b"[" + b"{}," * 29_999 + b"{}]"], ids=["lines", "list"]
)
def test_a_thousand_faults_are_told_and_every_other_is_counted(payload: bytes) -> None:
    decoded = decode(payload)
    assert decoded.received == 30_000 and len(decoded.dead) == 1001
    assert set(codes(decoded)) == {"message.shape", "message.faults"}


def test_lines_of_ever_other_names_are_all_read() -> None:
    """One name a line: as many columns as lines, if they were read together."""
    lines = [
        json.dumps({"twin": "st1", "time": TIME, "values": {f"s{k}": k}}).encode()
        for k in range(3000)
    ]
    decoded = decode(b"\n".join(lines))
    assert decoded.batch.signal.tolist() == [f"s{k}" for k in range(3000)]
    assert decoded.batch.value.tolist() == list(range(3000))


def test_an_object_without_a_time_takes_the_one_that_its_envelope_has() -> None:
    letters = Letters("hall", 5)
    lines = b'{"twin": "st1", "values": {"a": 1}}\n{"twin": "st2", "values": {"a": 2}}'
    assert read_json(lines, None, letters, time=77).instant.tolist() == [77, 77]


stamps = st.datetimes().map(lambda when: f"{when.isoformat()}Z") | st.from_regex(
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}"
    r"(:[0-9]{2}(\.[0-9]{1,10})?)?(Z|[+-]0[0-9]:?00)?\Z"
)


@settings(max_examples=30)
@given(st.lists(stamps | st.text(max_size=30) | st.none(), min_size=40, max_size=80, unique=True))
def test_times_read_together_are_the_times_read_one_by_one(texts: list[str | None]) -> None:
    instant, unread = text_instants(pa.array(texts, pa.string()))
    for text, found, failed in zip(texts, instant.tolist(), unread.tolist(), strict=True):
        try:
            if text is None or not text.isprintable():
                raise Invalid("time.unreadable", "", mend="")
            assert (parse_instant(text), False) == (found, failed)
        except Invalid:
            assert failed


# ---- Arrow ------------------------------------------------------------------------------------


def stream(*records: pa.RecordBatch, compression: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, records[0].schema, options=options) as out:
        for record in records:
            out.write_batch(record)
    return bytes(sink.getvalue().to_pybytes())


def long(**columns: Any) -> pa.RecordBatch:
    given: dict[str, Any] = {
        "twin": ["st1", "st2"],
        "signal": ["speed", "load"],
        "instant": [INSTANT, INSTANT],
        "value": [1.5, 2.5],
    }
    return pa.record_batch({**given, **columns})


LONG = [("st1", "speed", INSTANT, 1.5, ""), ("st2", "load", INSTANT, 2.5, "")]
UTC = pa.timestamp("ms", "UTC")


@pytest.mark.parametrize(
    "record",
    [
        long(),
        long(twin=pa.array(["st1", "st2"]).dictionary_encode()),
        long(twin=pa.array(["st1", "st2"], pa.large_string())),
        long(twin=pa.array(["st1", "st2"], pa.string_view())),
        long(twin=pa.DictionaryArray.from_arrays([0, 2], ["st1", "st1", "st2"])),
        long(value=pa.array([1.5, 2.5], pa.float32())),
        long(instant=pa.array([INSTANT, INSTANT], pa.timestamp("ns", "Europe/Paris"))),
        pa.record_batch(
            {
                "twin": ["st1", "st2"],
                "signal": ["speed", "load"],
                "time": pa.array([INSTANT // 10**6] * 2, UTC),
                "value": [1.5, 2.5],
            }
        ),
        pa.record_batch(
            {
                "twin": ["st1", "st2"],
                "signal": ["speed", "load"],
                "time": [TIME, "2017-01-09T01:01:00+01:00"],
                "value": [1.5, 2.5],
            }
        ),
        pa.record_batch(
            {
                "twin": ["st1", "st2"],
                "time": [TIME, TIME],
                "speed": [1.5, None],
                "load": [None, 2.5],
            }
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_every_layout_of_a_record_batch_gives_the_same_samples(
    record: pa.RecordBatch, compression: str | None
) -> None:
    decoded = decode(stream(record, compression=compression))
    assert rows(decoded.batch) == LONG and decoded.dead == []


def test_a_wide_frame_is_the_same_samples_as_its_lines() -> None:
    table = {"twin": ["a", "b"], "time": [TIME, TIME], "x": [1.0, 2.0], "y": [3, 4]}
    frame = pa.record_batch(table)
    lines = b"\n".join(
        json.dumps({"twin": t, "time": TIME, "values": {"x": x, "y": y}}).encode()
        for t, x, y in (("a", 1.0, 3), ("b", 2.0, 4))
    )
    assert rows(decode(stream(frame, frame)).batch) == rows(decode(lines).batch) * 2


def test_a_unit_stands_in_a_column_or_in_its_metadata() -> None:
    decoded = decode(stream(long(unit=["rpm", None])))
    assert decoded.batch.unit.tolist() == ["rpm", ""]
    schema = pa.schema(
        [
            ("twin", pa.string()),
            ("time", pa.string()),
            pa.field("speed", pa.float64(), metadata={"unit": "rpm"}),
            ("load", pa.float64()),
        ]
    )
    record = pa.record_batch([["st1"], [TIME], [1.0], [2.0]], schema)
    assert decode(stream(record)).batch.unit.tolist() == ["rpm", ""]


def test_a_topics_twin_stands_in_for_the_column_and_no_other_may_speak() -> None:
    record = pa.record_batch({"time": [TIME], "speed": [1.0]})
    assert rows(decode(stream(record), "st1").batch)[0][0] == "st1"
    assert codes(decode(stream(record))) == ["arrow.columns"]
    other = decode(stream(long()), "st1")
    assert rows(other.batch) == LONG[:1] and codes(other) == ["message.twin"]


def test_rows_that_cannot_be_read_are_one_letter_that_counts_them_all() -> None:
    record = long(
        twin=["st1", None, "no twin", "st1", "st1", "st1"],
        signal=["speed", "speed", "speed", "a\x00b", "s" * 200, "load"],
        instant=[INSTANT, INSTANT, INSTANT, INSTANT, INSTANT, None],
        value=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    )
    decoded = decode(stream(record))
    assert rows(decoded.batch) == [("st1", "speed", INSTANT, 1.0, "")]
    found = {entry.body["code"]: entry.body.get("samples", 1) for entry in decoded.dead}
    assert found == {"time.unreadable": 1, "message.twin": 2, "sample.signal": 2}
    assert decoded.received == 6


def test_a_value_that_is_null_in_a_long_frame_goes_on_as_nan() -> None:
    assert math.isnan(decode(stream(long(value=[1.5, None]))).batch.value[1])


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (long().drop_columns(["twin"]), "arrow.columns"),
        (long().drop_columns(["instant"]), "arrow.columns"),
        (long(twin=[1, 2]), "arrow.columns"),
        (long(value=["a", "b"]), "arrow.columns"),
        (long(value=[True, False]), "arrow.columns"),
        (long(instant=pa.array([INSTANT] * 2, pa.timestamp("ns"))), "arrow.columns"),
        (long(instant=[1.0, 2.0]), "arrow.columns"),
        (pa.record_batch({"twin": ["a"], "time": [TIME], "x": [[1.0]]}), "arrow.columns"),
        (pa.record_batch({"twin": ["a"], "time": [TIME]}), "arrow.columns"),
        (pa.record_batch({"twin": ["a"], "time": [TIME], "": [1.0]}), "sample.signal"),
        (
            pa.record_batch(
                {"twin": ["a"], "time": [TIME], **{f"s{k}": [1.0] for k in range(2500)}}
            ),
            "arrow.columns",
        ),
    ],
)
def test_a_frame_without_the_right_columns_is_one_dead_letter_with_a_mend(
    record: pa.RecordBatch, code: str
) -> None:
    decoded = decode(stream(record))
    assert codes(decoded) == [code] and len(decoded.batch) == 0 and decoded.dead[0].body["mend"]


def test_an_instant_beyond_every_year_is_left_to_the_quality_stage() -> None:
    far = pa.array([2**40, -(2**40)], pa.timestamp("s", "UTC"))
    decoded = decode(stream(long(instant=far)))
    assert decoded.batch.instant[0] > 2**62 and decoded.batch.instant[1] < -(2**62)


def test_a_stream_that_unpacks_to_too_much_is_refused_before_memory_is_taken() -> None:
    packed = stream(long(unit=["x" * (70 << 20), ""]), compression="zstd")
    assert len(packed) < 100_000 and codes(decode(packed)) == ["arrow.too_large"]
    rows_only = pa.record_batch({"twin": pa.nulls(2**24)})
    assert codes(decode(stream(rows_only))) == ["arrow.too_large"]
    lies = bytearray(stream(long(), compression="lz4"))
    place = lies.rfind(b"\x10\x00\x00\x00\x00\x00\x00\x00\x04\x22\x4d\x18")  # a buffer of 16 bytes
    lies[place : place + 8] = (2**46).to_bytes(8, "little")
    assert place > 0 and codes(decode(bytes(lies))) == ["arrow.too_large"]


@settings(max_examples=300)
@given(st.data())
def test_no_byte_of_a_stream_changed_makes_it_raise(data: st.DataObject) -> None:
    whole = bytearray(
        stream(
            long(twin=pa.array(["st1", "st2"]).dictionary_encode()),
            compression=data.draw(st.sampled_from([None, "lz4"])),
        )
    )
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for payload in (bytes(whole), bytes(whole[:cut])):
        decoded = decode(payload)
        "".join(decoded.batch.twin.tolist() + decoded.batch.signal.tolist()).encode()
        json.dumps([entry.body for entry in decoded.dead])
