"""A million twins, each heard once a second, on one machine: does it keep up, and hold still?

Owns    the figures `telemetry.million_*`: a host with its server in a process of its own, a
        generator in another that sends frames encoded before, and what the host told each second.
Never   counts the generator's work, nor the first minute and a half, in which buffers are filled
        and the first compaction begins.
"""

import http.client
import io
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.runner import ROOT, figure
from gemel.clock import SECOND, WallClock
from gemel.flow.fleet import Plan, compile_plan
from gemel.flow.host import Host
from gemel.graph.plantfile import read_plant
from gemel.server.app import serve
from gemel.store.delta import REPLACED

TWINS, PART, LASTS, WARM = 1_000_000, 100_000, 300, 90
MARK = 0x1122334455667788  # stands for the instant in a frame until it is sent
LOOKS = 10  # at the lag, a second; the most of them is told, else their phase shows in it
KINDS = 4  # frames of each part, with different values


def plant(twins: int) -> Plan:
    """Vessels that cool, each with one thermometer read every second."""
    raw: dict[str, Any] = {
        "plant": {"name": "million", "lateness": "5s", "skew": "1min"},
        "interface": {
            "Vessel": {
                "id": "dtmi:gemel:bench:Vessel;1",
                "telemetry": {"reading": {"unit": "degC", "range": [-50, 150]}},
            }
        },
        "twin": [{"id": f"v{k:07d}", "interface": "Vessel"} for k in range(twins)],
        "binding": [
            {
                "name": "vessel",
                "kernel": "benchmarks.reference:Vessel",
                "interface": "Vessel",
                "every": "1s",
                "keep": "10min",
            }
        ],
    }
    return compile_plan(read_plant(raw, "million"), Path())


@figure(
    "telemetry.million",
    unit={
        "telemetry.million_lag_slope": "s/min",
        "telemetry.million_memory_slope": "MB/min",
        "telemetry.million_lag": "s",
        "telemetry.million_cpu": "1",
        "telemetry.million_compactions": "1",
    },
    kind="bench",
)
def million() -> dict[str, float]:
    """One sample a second of each of 1,000,000 twins over HTTP, for five minutes: the slope of
    the lag (now less the newest estimate, the most of each second) and of the memory (the most of
    each minute: a compaction takes some, and gives it back), the median lag, the host's CPU in
    cores, and how often its history was compacted meanwhile."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        start = [sys.executable, "-m", "benchmarks.million", folder, str(TWINS)]
        host = subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        try:
            assert host.stdin is not None and host.stdout is not None
            ready = json.loads(host.stdout.readline())
            sent = _send(ready["port"], (Path(folder) / "data" / "token").read_text().strip())
            host.stdin.close()
            told = [json.loads(line) for line in host.stdout]
        finally:
            host.kill()
            host.wait()
    *seconds, end = told
    assert end["stored"] == end["received"] == sent, (end, sent)
    steady = [s for s in seconds if WARM <= s["at"] - seconds[0]["at"] <= WARM + LASTS]
    at, lag, memory, cpu = (np.array([s[k] for s in steady]) for k in ("at", "lag", "rss", "cpu"))
    minute = (at - at[0]) // 60.0
    whole = range(round((at[-1] - at[0]) / 60.0))
    peaks = [float(memory[minute == k].max()) for k in whole]
    return {
        "telemetry.million_lag_slope": float(np.polyfit(at, lag, 1)[0] * 60.0),
        "telemetry.million_memory_slope": float(np.polyfit(whole, peaks, 1)[0] / 1e6),
        "telemetry.million_lag": float(np.median(lag)),
        "telemetry.million_cpu": float((cpu[-1] - cpu[0]) / (at[-1] - at[0])),
        "telemetry.million_compactions": float(end["replaced"]),
    }


def _frames() -> list[list[tuple[bytearray, Any]]]:
    """Of each part of the fleet some frames, and where the instants lie in each."""
    rng, parts = np.random.default_rng(0), []
    for begin in range(0, TWINS, PART):
        names = pa.array([f"v{k:07d}" for k in range(begin, begin + PART)])
        twin = pa.DictionaryArray.from_arrays(np.arange(PART, dtype=np.int32), names)
        frames = []
        for _ in range(KINDS):
            reading = 60.0 + 0.5 * rng.standard_normal(PART)
            columns = {"twin": twin, "instant": np.full(PART, MARK), "reading": reading}
            record = pa.record_batch(columns)
            sink = io.BytesIO()
            with pa.ipc.new_stream(sink, record.schema) as stream:
                stream.write_batch(record)
            payload = bytearray(sink.getvalue())
            place = payload.index(np.full(2, MARK).tobytes())
            frames.append((payload, np.frombuffer(payload, np.int64, PART, place)))
        parts.append(frames)
    return parts


def _send(port: int, token: str) -> int:
    """All twins once a second; how many samples were acknowledged."""
    parts, wire, acknowledged = _frames(), http.client.HTTPConnection("127.0.0.1", port), 0
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/vnd.apache.arrow.stream",
    }
    second, end, told_at = 0, time.time() + LASTS + WARM, [0] * len(parts)
    while second < end:
        time.sleep(max(0.0, second + 1 - time.time()))
        second = max(second + 1, int(time.time()))  # one that comes too late is left out
        for k, frames in enumerate(parts):
            payload, instants = frames[second % KINDS]
            told_at[k] = max(told_at[k] + 1, int(time.time()))  # each is of when it is sent
            instants[:] = told_at[k] * SECOND
            wire.request("POST", "/api/v1/telemetry", payload, headers)
            answer = wire.getresponse()
            told = json.loads(answer.read())
            assert answer.status == 202, told
            acknowledged += told["accepted"]
    return acknowledged


def _host(folder: Path, twins: int) -> None:
    """The host's process: a line when it is ready, one each second, one at the end."""
    host = Host(plant(twins), folder / "data")
    with host, serve(host, port=0) as server:
        _tell({"port": server.port})
        clock, own = WallClock(), os.getpid()
        lags: list[float] = []
        while not _closed():
            assert host.loop is not None and host.failure is None, host.failure
            newest = int(host.loop.memory.fleets["vessel"].estimate.instant[-1])
            lags.append((clock.now() - newest) / SECOND if newest else 0.0)
            if len(lags) < LOOKS:
                continue
            used = resource.getrusage(resource.RUSAGE_SELF)
            _tell(
                {
                    "at": clock.now() / SECOND,
                    "lag": max(lags),  # it rises for a second, and falls by one
                    "rss": _resident(own),
                    "cpu": used.ru_utime + used.ru_stime,
                }
            )
            lags.clear()
        while host.loop.memory.sequence < host.journal.last():
            time.sleep(0.1)
        book = host.loop.memory.books["http"]
        replaced = host.lake.table("telemetry").mark(REPLACED)
        _tell({"stored": book["stored"], "received": book["received"], "replaced": replaced})


def _tell(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _closed() -> bool:
    """Whether the other end has let go, within a part of a second."""
    readable, _, _ = select.select([sys.stdin], [], [], 1.0 / LOOKS)
    return bool(readable) and not sys.stdin.readline()


def _resident(process: int) -> int:
    """Bytes of memory that are in use."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    _host(Path(sys.argv[1]), int(sys.argv[2]))
