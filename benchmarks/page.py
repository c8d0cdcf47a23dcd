"""What the page costs the plant: pictures of 100,000 twins, and what is pushed to 20 that watch.

Owns    the figures `page.*` of `make bench` on the server's side.
Never   counts the reading of the streams or the making of samples: they are in another process.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa

from benchmarks.runner import ROOT, figure
from benchmarks.telemetry import BEGIN, EVERY, UNITS, frames, plant, sound
from gemel.clock import SECOND
from gemel.connect.decode import decode_telemetry
from gemel.flow.fleet import Plan
from gemel.flow.host import Host
from gemel.flow.memory import begin
from gemel.flow.overview import Asked, overview
from gemel.flow.past import past
from gemel.flow.tick import tick
from gemel.flow.view import View, look
from gemel.records import Entry
from gemel.server.app import serve

TWINS, VALUES = 100_000, 10_000  # values that change a second
STREAMS, SPAN, SETTLE = 20, 60.0, 15.0  # s of a window, s before one
TIMES = 9


# ---- a picture --------------------------------------------------------------------------------


@figure(
    "page.views",
    unit={name: "ms CPU" for name in ("page.picture", "page.row", "page.first", "page.next")},
    kind="bench",
)
def views() -> dict[str, float]:
    """Of 100,000 twins: the picture that the tick waits for, one twin in words, the first page of
    the overview of a new picture, and each page after it."""
    plan = plant(TWINS)
    memory = begin(plan)
    for k, payload in enumerate(frames(TWINS, 3), 1):
        at = BEGIN + k * EVERY
        decoded = decode_telemetry(
            payload, None, received_at=at, source="http", limit=1 << 30, count=10**9
        )
        tick(plan, memory, [Entry("batch", "http", at, "", decoded.batch, sequence=k)])
    view = look(plan, memory, 1, 1)
    assert view.columns["bearing"].begun.all()

    def again() -> View:
        return look(plan, memory, 1, 1, view)

    asked, numbers = Asked(), iter(range(0, TWINS, 997))

    def first(fresh: View) -> None:
        assert overview(fresh).page(asked, 0, 60)["total"] == TWINS

    def following() -> None:
        overview(view).page(asked, next(numbers), 60)

    first(view)
    return {
        "page.picture": _median(again),
        "page.row": _median(lambda: view.picture(next(numbers))),
        "page.first": statistics.median(_seconds(first, again()) for _ in range(TIMES)) * 1e3,
        "page.next": _median(following),
    }


def _seconds(work: Callable[..., Any], *given: Any) -> float:
    """CPU seconds, as other work of the machine shall not count."""
    began = time.thread_time()
    work(*given)
    return time.thread_time() - began


def _median(work: Callable[[], Any]) -> float:
    return statistics.median(_seconds(work) for _ in range(TIMES)) * 1e3


@figure("page.past", unit="s CPU", kind="bench")
def of_the_past() -> float:
    """The first page of an instant that is past, of 100,000 twins: out of 2.8 M estimates and
    1.6 M samples in history."""
    plan, frame = plant(TWINS), 600 * SECOND
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        with Host(plan, Path(folder) / "data") as host:
            for k in range(4):
                at = BEGIN + k * frame
                host.lake.append("estimates", _estimates(plan, at, k), k + 1)
                host.lake.append("telemetry", _samples(plan, at, k), k + 1)

            def first() -> None:
                page = overview(past(host, BEGIN + 3 * frame + SECOND, None)).page(Asked(), 0, 60)
                assert page["items"][0]["values"] and page["items"][0]["worst"]

            began = time.process_time()
            first()
            return time.process_time() - began


def _estimates(plan: Plan, at: int, tick: int) -> pa.Table:
    layout = plan.fleets["bearing"].kernel.layout
    names = [*layout.states, *(f"{sensor}.foreseen" for sensor in layout.outputs)]
    words = {"twin": plan.seats.ids, "binding": ["bearing"], "name": [*names, "health.worn out"]}
    numbers = {"mean": 0.5, "std": 0.01}
    return _rows(words, {"instant": at, "known_at": at, "tick": tick + 1}, numbers)


def _samples(plan: Plan, at: int, tick: int) -> pa.Table:
    words = {"twin": plan.seats.ids, "signal": list(UNITS)}
    words |= {"reason": [""], "fate": ["stored"], "source": ["http"]}
    whole = {"instant": at, "received_at": at, "tick": tick + 1}
    table = _rows(words, whole, {"value": 1.0})
    return table.append_column("quality", pa.array(np.zeros(len(table), np.int8)))


def _rows(words: dict[str, list[str]], whole: dict[str, int], real: dict[str, float]) -> pa.Table:
    """A row for every combination of the words, all else alike."""
    codes = np.indices([len(several) for several in words.values()], np.int32)
    columns: dict[str, Any] = {
        name: pa.DictionaryArray.from_arrays(code.ravel(), pa.array(several))
        for (name, several), code in zip(words.items(), codes, strict=True)
    }
    count = codes[0].size
    columns |= {name: np.full(count, value) for name, value in (whole | real).items()}
    return pa.table(columns)


# ---- pushing ----------------------------------------------------------------------------------


@figure("page.push", unit={"page.push_cpu": "% of a core", "page.events": "1/s"}, kind="bench")
def push() -> dict[str, float]:
    """CPU of the server with 20 streams open, less without: 100,000 twins, of which 10,000 values
    change a second; and the events of one stream a second. The threads of tick and upkeep are left
    out, as they work alike with and without, and more than all others."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        start = [sys.executable, "-m", "benchmarks.page", folder]
        host = subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        try:
            assert host.stdin is not None and host.stdout is not None
            port = json.loads(host.stdout.readline())["port"]
            token = (Path(folder) / "data" / "token").read_text().strip()
            with Feed(port, token):
                without = [_share(host)]
                with _Readers(port, token) as readers:
                    watched = _share(host)
                    events = readers.events / STREAMS / (SPAN + SETTLE)
                without.append(_share(host))
        finally:
            host.kill()
            host.wait()
    assert events > 1.0, f"{events} events a second on a stream: it was not pushed to"
    return {
        "page.push_cpu": 100.0 * (watched - statistics.mean(without)),
        "page.events": events,
    }


def _share(host: "subprocess.Popen[bytes]") -> float:
    """Cores that the server used over a window, after a while in which it settles."""
    time.sleep(SETTLE)
    before, began = _used(host), time.monotonic()
    time.sleep(SPAN)
    return (_used(host) - before) / (time.monotonic() - began)


def _used(host: "subprocess.Popen[bytes]") -> float:
    """What the host's process says that it has used."""
    assert host.stdin is not None and host.stdout is not None
    host.stdin.write(b"\n")
    host.stdin.flush()
    return float(json.loads(host.stdout.readline()))


def _serving() -> float:
    """CPU seconds of this process but for the threads of tick and upkeep."""
    own = [t for t in threading.enumerate() if t.name in ("gemel-_loop", "gemel-upkeep")]
    return time.process_time() - sum(_cpu(f"/proc/self/task/{t.native_id}/stat") for t in own)


def _cpu(stat: str) -> float:
    told = Path(stat).read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


class Feed:
    """Sends VALUES values a second: all signals of some twins, other twins each second."""

    def __init__(self, port: int, token: str) -> None:
        self._wire = http.client.HTTPConnection("127.0.0.1", port)
        kind = "application/vnd.apache.arrow.stream"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        rng, values = np.random.default_rng(0), sound(600)[-1]
        count, first = VALUES // len(UNITS), 0
        while not self._stop.wait(1.0 - time.time() % 1.0):
            names = [f"m{(first + k) % TWINS:06d}" for k in range(count)]
            first += count
            columns = {"twin": names, "instant": np.full(count, time.time_ns())}
            for n, signal in enumerate(UNITS):
                columns[signal] = values[n] + 0.01 * rng.standard_normal(count)
            sink = pa.BufferOutputStream()
            record = pa.record_batch(columns)
            with pa.ipc.new_stream(sink, record.schema) as stream:
                stream.write_batch(record)
            self._wire.request("POST", "/api/v1/telemetry", sink.getvalue(), self._headers)
            answer = self._wire.getresponse()
            told = json.loads(answer.read())
            assert answer.status == 202 and told["accepted"] == VALUES, told


class _Readers:
    """Opens the streams that 20 people's pages open: fleets in several orders, assets, lists."""

    def __init__(self, port: int, token: str) -> None:
        self.events = 0
        self._lock, self._wires = threading.Lock(), []
        for k in range(STREAMS):
            wire = http.client.HTTPConnection("127.0.0.1", port)
            wire.request(
                "GET", f"/api/v1/live?{_page(k)}", headers={"Authorization": f"Bearer {token}"}
            )
            self._wires.append(wire)
        self._threads = [threading.Thread(target=self._read, args=(w,)) for w in self._wires]

    def _read(self, wire: http.client.HTTPConnection) -> None:
        answer = wire.getresponse()
        assert answer.status == 200, answer.read()
        for line in answer:
            if line.startswith(b"event: "):
                assert b"problem" not in line, answer.readline()
                with self._lock:
                    self.events += 1

    def __enter__(self) -> "_Readers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for wire in self._wires:
            if wire.sock is not None:
                wire.sock.shutdown(2)
        for thread in self._threads:
            thread.join()


def _page(k: int) -> str:
    """What one of the pages asks for: half look at the fleet, as they like it, half at an asset."""
    if k % 2:
        twin = f"m{k * 4_321 % TWINS:06d}"
        latest = ",".join(f"{twin}:{signal}" for signal in UNITS)
        return urlencode({"sections": "status,inbox,twin,latest", "twin": twin, "latest": latest})
    asked = [{}, {"sort": "rul"}, {"sort": "age"}, {"find": str(k)}, {"offset": 60 * k}][k // 4]
    about = urlencode({"limit": 60, **asked})
    return urlencode({"sections": "status,inbox,overview,sources", "overview": about})


def _host(folder: Path) -> None:
    """The server's process: a line when it is ready, every twin known; one for each asked of it."""
    host = Host(plant(TWINS), folder / "data")
    with host, serve(host, port=0) as server:
        values = sound(600)[-1]
        names = pa.array([f"m{k:06d}" for k in range(TWINS)])
        for k in range(3, 0, -1):
            columns: dict[str, Any] = {"twin": names}
            columns["instant"] = np.full(TWINS, host.clock.now() - k * 10 * SECOND)
            columns |= {name: np.full(TWINS, values[n]) for n, name in enumerate(UNITS)}
            sink = pa.BufferOutputStream()
            record = pa.record_batch(columns)
            with pa.ipc.new_stream(sink, record.schema) as stream:
                stream.write_batch(record)
            kind = {"content-type": "application/vnd.apache.arrow.stream"}
            host.ingest(sink.getvalue().to_pybytes(), kind)
        host.event("price", {"value": 40.0})
        _tell({"port": server.port})
        while sys.stdin.readline():
            _tell(_serving())


def _tell(told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _host(Path(sys.argv[1]))
