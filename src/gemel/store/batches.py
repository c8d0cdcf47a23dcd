"""A batch of samples as bytes, as the journal keeps it.

Owns    its forms: JSON columns when small, else an Arrow stream, of rows or wide.
Never   loses a bit of it: int64 instants, float64 values with NaN and the infinities.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from gemel.labels import Labels
from gemel.records import Batch
from gemel.store.coded import coded

SMALL = 64  # samples; below it JSON is faster than an Arrow stream (measured: 40 µs against 240)
SIGNALS = b"gemel.signals"  # of a wide stream: names and units of the values that a row has


def encode(batch: Batch) -> bytes | memoryview:
    """A batch as bytes. What all rows share is written once. Where each twin tells the same signals
    in the same order and units, of one instant, a row has all its values, and names go in once.

    >>> decode(encode(Batch.of([("a", "x", 2**62 + 1, float("inf"), "")]))).instant.tolist()
    [4611686018427387905]
    """
    if len(batch) < SMALL:
        return json.dumps(
            [
                batch.twin.tolist(),
                batch.signal.tolist(),
                batch.instant.tolist(),
                batch.value.tolist(),
                batch.unit.tolist(),
            ],
            separators=(",", ":"),
        ).encode()
    wide = batch.wide if batch.wide > 1 and not len(batch) % batch.wide else _width(batch)
    instant = batch.instant[::wide]
    columns = {
        "twin": _words(batch.twin[::wide]),
        "instant": _once(instant[:1], len(instant)) if _alike(instant) else pa.array(instant),
        "value": pa.array(batch.value),
    }
    if wide > 1:
        columns["value"] = pa.FixedSizeListArray.from_arrays(columns["value"], wide)
        signals = [batch.signal[:wide].tolist(), batch.unit[:wide].tolist()]
        told = json.dumps(signals, ensure_ascii=False).encode()
        record = pa.record_batch(columns).replace_schema_metadata({SIGNALS: told})
    else:
        columns |= {"signal": _words(batch.signal), "unit": _words(batch.unit)}
        record = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, record.schema) as stream:
        stream.write_batch(record)
    return memoryview(sink.getvalue())


def decode(blob: bytes) -> Batch:
    """The batch that `encode` wrote."""
    if blob[:1] == b"[":
        twin, signal, instant, value, unit = json.loads(blob)
        return Batch(
            Labels.of(twin),
            Labels.of(signal),
            np.array(instant, dtype=np.int64),
            np.array(value, dtype=np.float64),
            Labels.of(unit),
        )
    with pa.ipc.open_stream(blob) as stream:
        record = stream.read_next_batch()
    twins, instants, values = (record[name] for name in ("twin", "instant", "value"))
    if pa.types.is_run_end_encoded(instants.type):
        times = np.full(len(record), instants.values[0].as_py(), np.int64)
    else:
        times = instants.to_numpy(zero_copy_only=False).copy()
    told = (record.schema.metadata or {}).get(SIGNALS)
    if told is None:
        value = values.to_numpy(zero_copy_only=False).copy()
        return Batch(
            _labels(twins), _labels(record["signal"]), times, value, _labels(record["unit"])
        )
    signal, unit = (Labels.of(names) for names in json.loads(told))
    twin, wide, rows = _labels(twins), len(signal), len(record)
    if not wide == len(unit) == getattr(values.type, "list_size", 0):
        raise ValueError("names and values do not go together")
    return Batch(
        Labels(twin.words, np.repeat(twin.code, wide)),
        Labels(signal.words, np.tile(signal.code, rows)),
        np.repeat(times, wide),
        values.flatten().to_numpy(zero_copy_only=False).copy(),
        Labels(unit.words, np.tile(unit.code, rows)),
        wide,
    )


def _width(batch: Batch) -> int:
    """How many samples of one twin and instant follow one another, all through with the same
    signals and units; else 1."""
    signal = batch.signal.code
    wide = 1 + int(np.argmax(signal[1:] == signal[0]))
    if wide == 1 or len(batch) % wide:
        return 1
    for comes_again in (signal, batch.unit.code):
        if not (comes_again[wide:] == comes_again[:-wide]).all():
            return 1
    for stays in (batch.twin.code, batch.instant):
        if not all((stays[k::wide] == stays[::wide]).all() for k in range(1, wide)):
            return 1
    return wide


def _alike(column: Any) -> bool:
    return bool((column == column[0]).all())


def _words(labels: Labels) -> pa.Array:
    """A dictionary with numbers as small as will do; of one word alone, that; of words of which
    each comes once, in order, those."""
    used = labels.compact()
    if len(used.words) == 1:
        return _once(list(used.words), len(used))
    if len(used.words) == len(used) and (used.code == np.arange(len(used))).all():
        return coded(used.words)
    code = used.code.astype(np.min_scalar_type(len(used.words)))
    return pa.DictionaryArray.from_arrays(code, coded(used.words), safe=False)


def _labels(column: pa.Array) -> Labels:
    if pa.types.is_run_end_encoded(column.type):
        return Labels.full(len(column), column.values[0].as_py())
    if pa.types.is_dictionary(column.type):
        code = column.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        return Labels(tuple(column.dictionary.to_pylist()), code)
    return Labels(tuple(column.to_pylist()), np.arange(len(column), dtype=np.int32))


def _once(value: Any, rows: int) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(pa.array([rows], pa.int32()), pa.array(value))
