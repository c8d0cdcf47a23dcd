"""How fast telemetry becomes belief and history, in rows a CPU second: a row is one sample.

Owns    the figures `telemetry.*` of `make bench` on the whole path.
Never   counts the making of the bytes: they are there before the clock starts.
"""

import io
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import peers
from benchmarks.peers import physics
from benchmarks.runner import ROOT, figure
from gemel.clock import SECOND, ManualClock, format_instant
from gemel.connect.decode import decode_telemetry
from gemel.flow.fleet import Plan, compile_plan
from gemel.flow.loop import Loop
from gemel.graph.plantfile import read_plant
from gemel.kernels import estimate
from gemel.records import Entry
from gemel.store.journalfile import SqliteJournal
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger
from gemel.store.snapshots import Snapshots

TWINS, FRAMES, WARM = 100_000, 76, 4
UNITS = {"speed": "1", "load": "1", "oil_temperature": "degC", "vibration": "mm/s"}
NOISE = np.array([0.0, 0.0, *physics.SENSOR_NOISE])
BEGIN, EVERY = 1_000_000_000 * SECOND, 10 * SECOND


def plant(twins: int) -> Plan:
    """A plant of reference bearings, whose estimates enter history every ten minutes."""
    telemetry = {name: {"unit": unit, "range": [-1e6, 1e6]} for name, unit in UNITS.items()}
    raw: dict[str, Any] = {
        "plant": {"name": "bench", "lateness": "10s", "skew": "1min"},
        "interface": {"Machine": {"id": "dtmi:gemel:bench:Machine;1", "telemetry": telemetry}},
        "twin": [{"id": f"m{k:06d}", "interface": "Machine"} for k in range(twins)],
        "binding": [
            {
                "name": "bearing",
                "kernel": "benchmarks.reference:ReferenceBearing",
                "interface": "Machine",
                "every": "10s",
                "keep": "10min",
            }
        ],
    }
    return compile_plan(read_plant(raw, "bench"), Path())


def sound(count: int) -> Any:
    """What a sound machine at nominal speed and load is read as, without noise: (count, 4)."""
    x, u, rows = physics.START, (1.0, 1.0), []
    for _ in range(count):
        x = physics.step(math.exp, x, u, physics.TYPICAL, physics.TICK)
        rows.append([*u, *physics.readings(x, u, physics.TYPICAL)])
    return np.array(rows)


def values(twins: int, count: int) -> Iterator[Any]:
    """What the fleet reads, instant after instant: (twins, 4)."""
    rng, clean = np.random.default_rng(0), sound(count)
    for row in clean:
        yield row + NOISE * rng.standard_normal((twins, len(NOISE)))


def frames(twins: int, count: int) -> list[bytes]:
    """Wide Arrow streams, a row a twin and a column a signal, one instant each."""
    names = pa.array([f"m{k:06d}" for k in range(twins)])
    code = pa.array(np.arange(twins, dtype=np.int32))
    told = []
    for k, told_now in enumerate(values(twins, count), 1):
        columns = {"twin": pa.DictionaryArray.from_arrays(code, names)}
        columns["instant"] = pa.array(np.full(twins, BEGIN + k * EVERY))
        columns |= {name: pa.array(told_now[:, n].copy()) for n, name in enumerate(UNITS)}
        record = pa.record_batch(columns)
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, record.schema) as stream:
            stream.write_batch(record)
        told.append(sink.getvalue())
    return told


def lines(twins: int, count: int) -> list[bytes]:
    """NDJSON, an object a twin with all its signals, one instant each."""
    told = []
    for k, told_now in enumerate(values(twins, count), 1):
        time_ = format_instant(BEGIN + k * EVERY)
        rows = (
            f'{{"twin":"m{n:06d}","time":"{time_}","values":{{"speed":{row[0]:.3f},"load":{row[1]:.3f},'
            f'"oil_temperature":{row[2]:.3f},"vibration":{row[3]:.4f}}}}}\n'
            for n, row in enumerate(told_now.tolist())
        )
        told.append("".join(rows).encode())
    return told


@figure(
    "telemetry.path",
    unit={
        "telemetry.arrow_rows": "1/s",
        "telemetry.arrow_vs_loop": "1",
        "telemetry.filter_share": "1",
    },
    kind="bench",
)
def path() -> dict[str, float]:
    """Arrow frames of 100,000 twins × 4 signals: decode → journal (fsynced) → quality → align →
    EKF → ledger, with history in Delta and snapshots: all that the process does, in CPU seconds."""
    rows, share = _path(frames(TWINS, FRAMES))
    return {
        "telemetry.arrow_rows": rows,
        "telemetry.arrow_vs_loop": rows / peers.rate("json_loop"),
        "telemetry.filter_share": share,
    }


@figure("telemetry.ndjson_rows", unit="1/s", kind="bench")
def ndjson() -> float:
    """The same path, from one JSON object a line."""
    return _path(lines(TWINS, FRAMES // 3))[0]


def _path(told: list[bytes]) -> tuple[float, float]:
    """Rows a CPU second of the whole path, and the filter's share of it."""
    plan = plant(TWINS)
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        loop = _loop(plan, Path(folder))
        began, tracked = 0.0, _Tracked()
        for k, payload in enumerate(told):
            if k == WARM:
                began, tracked.seconds = time.process_time(), 0.0
            now = BEGIN + (k + 1) * EVERY
            decoded = decode_telemetry(
                payload, None, received_at=now, source="bench", limit=1 << 30, count=10**9
            )
            loop.journal.append([Entry("batch", "bench", now, str(k), decoded.batch)])
            loop.step()
        loop.keep()
        spent = time.process_time() - began
        filtered = tracked.close()
        book = loop.memory.books["bench"]
        assert book["stored"] == book["received"] == len(told) * TWINS * len(UNITS)
        instants = loop.memory.fleets["bearing"].estimate.instant
        assert (instants == BEGIN + (len(told) - 1) * EVERY).all()
        assert Lake(Path(folder) / "lake").known("telemetry") == loop.tick
        loop.journal.close()
    return (len(told) - WARM) * TWINS * len(UNITS) / spent, filtered / spent


def _loop(plan: Plan, folder: Path) -> Loop:
    return Loop(
        plan,
        SqliteJournal(folder / "journal.db"),
        Ledger(f"sqlite:///{folder}/ledger.db"),
        Lake(folder / "lake"),
        Snapshots(folder / "snapshots"),
        ManualClock(0),
        {},
        lambda *_: None,
    )


class _Tracked:
    """CPU seconds spent in the filter while it is open."""

    def __init__(self) -> None:
        self.seconds, self._own = 0.0, estimate.update
        estimate.update = self._update

    def _update(self, *given: Any) -> Any:
        began = time.process_time()
        answer = self._own(*given)
        self.seconds += time.process_time() - began
        return answer

    def close(self) -> float:
        estimate.update = self._own
        return self.seconds
