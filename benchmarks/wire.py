"""How fast bytes become samples, in rows a CPU second of one core; and what a plain loop does.

Owns    the figures `telemetry.decode_*` of `make bench`.
Never   counts the making of the bytes: they are there before the clock starts.
"""

import gc
import json
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from benchmarks.runner import figure
from gemel.clock import format_instant, parse_instant
from gemel.connect.decode import decode_telemetry

TWINS, FRAMES = 100_000, 5
SIGNALS = ("speed", "load", "ambient", "temperature")
START = parse_instant("2024-05-01T00:00:00Z")
SHORT = 20_000  # lines that the plain loop reads


@figure(
    "telemetry.decode",
    unit={
        "telemetry.decode_arrow": "1/s",
        "telemetry.decode_arrow_long": "1/s",
        "telemetry.decode_ndjson": "1/s",
        "telemetry.decode_arrow_vs_loop": "1",
        "telemetry.decode_ndjson_vs_loop": "1",
    },
    kind="bench",
)
def decode() -> dict[str, float]:
    """100,000 twins × 4 signals a frame: Arrow wide and long, and one JSON object a line."""
    loop = _loop(_lines(SHORT, 0))
    wide = _rate(_wide)
    lines = _rate(lambda k: _lines(TWINS, k))
    return {
        "telemetry.decode_arrow": wide,
        "telemetry.decode_arrow_long": _rate(_long),
        "telemetry.decode_ndjson": lines,
        "telemetry.decode_arrow_vs_loop": wide / loop,
        "telemetry.decode_ndjson_vs_loop": lines / loop,
    }


def _rate(frame: Callable[[int], bytes]) -> float:
    """Rows a CPU second: the best of several frames, the first not counted."""
    best = 0.0
    for k in range(FRAMES + 1):
        payload = frame(k)
        gc.collect()
        began = time.process_time()
        found = decode_telemetry(
            payload, None, received_at=0, source="bench", limit=1 << 30, count=10**9
        )
        spent = time.process_time() - began
        assert len(found.batch) == TWINS * len(SIGNALS) and not found.dead
        best = max(best, len(found.batch) / spent if k else 0.0)
    return best


def _loop(payload: bytes) -> float:
    """Rows a CPU second of json and a dict: the last value of every twin and signal."""
    began = time.process_time()
    latest: dict[tuple[str, str], tuple[int, float]] = {}
    rows = 0
    for line in payload.splitlines():
        item = json.loads(line)
        instant = parse_instant(item["time"])
        for signal, value in item["values"].items():
            latest[item["twin"], signal] = (instant, float(value))
            rows += 1
    return rows / (time.process_time() - began)


def _twins(count: int) -> list[str]:
    return [f"st{k:06d}" for k in range(count)]


def _values(count: int, frame: int) -> np.ndarray:
    rng = np.random.default_rng(frame)
    return np.round(rng.uniform(0.0, 3000.0, (count, len(SIGNALS))), 3)


def _lines(count: int, frame: int) -> bytes:
    when = format_instant(START + frame * 10**9)
    rows = zip(_twins(count), _values(count, frame).tolist(), strict=True)
    return b"".join(
        json.dumps({"twin": t, "time": when, "values": dict(zip(SIGNALS, v, strict=True))}).encode()
        + b"\n"
        for t, v in rows
    )


def _wide(frame: int) -> bytes:
    twin = pa.array(_twins(TWINS)).dictionary_encode()
    instant = pa.array(np.full(TWINS, START + frame * 10**9), pa.timestamp("ns", "UTC"))
    columns = dict(zip(SIGNALS, _values(TWINS, frame).T, strict=True))
    return _stream(pa.record_batch({"twin": twin, "time": instant, **columns}))


def _long(frame: int) -> bytes:
    """Words plain, not dictionary-coded."""
    rows = TWINS * len(SIGNALS)
    columns = {
        "twin": pa.array(np.repeat(np.array(_twins(TWINS), object), len(SIGNALS)), pa.string()),
        "signal": pa.array(list(SIGNALS) * TWINS, pa.string()),
        "instant": np.full(rows, START + frame * 10**9),
        "value": _values(TWINS, frame).ravel(),
    }
    return _stream(pa.record_batch(columns))


def _stream(record: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, record.schema) as stream:
        stream.write_batch(record)
    return bytes(sink.getvalue().to_pybytes())
