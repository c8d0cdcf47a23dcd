"""How fast messages come through a real broker: from the wire to belief, in one process.

Owns    the figures `telemetry.mqtt_small` and `telemetry.kafka_frames` of `make bench`, and the
        loads: processes of their own, whose messages are bytes before the clock starts.
Never   counts the CPU of a broker or of a load.

    python -m benchmarks.connectors mqtt PORT      the load: publishes what stands on its stdin
    python -m benchmarks.connectors kafka BROKERS
"""

import io
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import Producer
from tests.kafka_servers import Kafka, free_port

from benchmarks.runner import ROOT, figure
from benchmarks.telemetry import BEGIN, EVERY, NOISE, UNITS, plant, sound
from gemel.clock import ManualClock, format_instant
from gemel.connect.kafka import Cluster, KafkaSource
from gemel.connect.link import Address
from gemel.connect.mqtt import MqttSource
from gemel.flow.loop import Loop
from gemel.records import Entry
from gemel.store.journalfile import SqliteJournal
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger
from gemel.store.snapshots import Snapshots

MACHINES, READINGS = 4_000, 25  # by MQTT: a message of four values each
TWINS, FRAMES = 16_000, 24  # by Kafka: instants of all twins ...
SAMPLES = 500  # ... in frames of so many
WARM = 0.1  # of what comes: it is not counted
PATIENCE = 120.0  # s


class _DataClock(ManualClock):
    """Stands where the data is: so that what is taken in is also estimated, at any speed."""

    speed = 1.0


@figure(
    "telemetry.mqtt",
    unit={"telemetry.mqtt_small": "1/s", "telemetry.mqtt_per_cpu": "1/s"},
    kind="bench",
)
def mqtt() -> dict[str, float]:
    """Messages of one twin's four values through mosquitto: QoS 1, acknowledged after the commit,
    judged, estimated, committed. Per second of wall time, and per CPU second of the process."""
    with scratch() as folder, mosquitto(folder) as port:
        source = MqttSource("bench", Address("127.0.0.1", port), "hall/+/telemetry")
        load = _Load("mqtt", str(port), list(_messages()))
        total = READINGS * MACHINES * len(UNITS)
        wall, cpu = _through(folder, source, MACHINES, total, load)
    count = READINGS * MACHINES * (1 - WARM)
    return {"telemetry.mqtt_small": count / wall, "telemetry.mqtt_per_cpu": count / cpu}


@figure(
    "telemetry.kafka",
    unit={"telemetry.kafka_frames": "1/s", "telemetry.kafka_per_cpu": "1/s"},
    kind="bench",
)
def kafka() -> dict[str, float]:
    """Samples in Arrow frames of 500, one partition of Apache Kafka: read from the journal's
    position, judged, estimated, committed. Per second of wall time, and per CPU second."""
    with scratch() as folder:
        cluster = Kafka(folder / "kafka").start()
        try:
            cluster.create("bench")
            _Load("kafka", cluster.bootstrap, list(_frames())).run()
            source = KafkaSource("bench", Cluster(cluster.bootstrap), ["bench"], keyed=False)
            total = FRAMES * TWINS * len(UNITS)
            wall, cpu = _through(folder, source, TWINS, total)
        finally:
            cluster.stop()
    count = total * (1 - WARM)
    return {"telemetry.kafka_frames": count / wall, "telemetry.kafka_per_cpu": count / cpu}


def _through(
    folder: Path, source: Any, twins: int, total: int, load: "_Load | None" = None
) -> tuple[float, float]:
    """(wall, CPU) seconds that all but the first samples took, until a tick has taken them in."""
    clock, stop, drained = _DataClock(BEGIN), threading.Event(), threading.Event()
    journal = SqliteJournal(folder / "journal.db")
    loop = Loop(
        plant(twins),
        journal,
        Ledger(f"sqlite:///{folder}/ledger.db"),
        Lake(folder / "lake"),
        Snapshots(folder / "snapshots"),
        clock,
        {},
        lambda *_: None,
    )

    def deliver(entries: list[Entry]) -> None:
        journal.append(entries)
        for entry in entries:
            if entry.batch is not None and len(entry.batch):
                clock.advance_to(int(entry.batch.instant.max()))

    threads = [
        threading.Thread(target=loop.run, args=(stop, drained)),
        threading.Thread(target=source.run, args=(deliver, "", clock, stop)),
    ]
    for thread in threads:
        thread.start()
    try:
        _wait(lambda: source.connected)
        if load is not None:
            threading.Thread(target=load.run).start()
        _wait(lambda: _taken(loop) >= WARM * total)
        began, cpu, first = time.perf_counter(), time.process_time(), _taken(loop)
        _wait(lambda: _taken(loop) >= total)
        end = clock.now() + loop.plan.rules.lateness
        last = journal.append([Entry("beat", "clock", end)])[0]  # closes what is still open
        _wait(lambda: loop.memory.sequence >= last)
        share = (1 - WARM) * total / (total - first)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    book = loop.memory.books["bench"]
    assert book["stored"] == book["received"] == total, book
    estimated = loop.memory.fleets["bearing"].estimate.instant
    assert (estimated == clock.now()).all(), "not all was estimated"
    journal.close()
    return wall * share, cpu * share


def _taken(loop: Loop) -> int:
    return int(loop.memory.books.get("bench", {}).get("received", 0))


def _wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("it did not come through in time")
        time.sleep(0.01)


@contextmanager
def scratch() -> Iterator[Path]:
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        yield Path(folder)


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """A mosquitto as a plant would set it up: it drops nothing, and sends ahead."""
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise FileNotFoundError("mosquitto is not here; mend: apt-get install mosquitto")
    port, settings = free_port(), folder / "mosquitto.conf"
    settings.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\n"
        "max_queued_messages 0\nmax_inflight_messages 1000\n"
    )
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([found, "-c", str(settings)], stdout=quiet, stderr=quiet)
    try:
        with socket.socket() as sock:
            _wait(lambda: sock.connect_ex(("127.0.0.1", port)) == 0)
        yield port
    finally:
        process.terminate()
        process.wait()


# ---- the loads ---------------------------------------------------------------------------------


class _Load:
    """A process of its own that sends what is encoded already."""

    def __init__(self, kind: str, where: str, messages: list[bytes]) -> None:
        self.words = [sys.executable, "-m", "benchmarks.connectors", kind, where]
        self.told = pickle.dumps(messages)

    def run(self) -> None:
        subprocess.run(self.words, input=self.told, cwd=ROOT, check=True)


def _messages() -> Iterator[bytes]:
    """PUBLISH packets of QoS 1: every twin's values of one instant, then of the next."""
    rng, clean, number = np.random.default_rng(0), sound(READINGS), 0
    for k in range(1, READINGS + 1):
        time_of = format_instant(BEGIN + k * EVERY)
        drawn = rng.standard_normal((MACHINES, len(NOISE)))
        for twin, row in enumerate((clean[k - 1] + NOISE * drawn).tolist()):
            values = ", ".join(f'"{n}": {v:.4f}' for n, v in zip(UNITS, row, strict=True))
            topic = f"hall/m{twin:06d}/telemetry".encode()
            payload = f'{{"time": "{time_of}", "values": {{{values}}}}}'.encode()
            number = number % 65_535 + 1
            body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", number) + payload
            yield b"\x32" + _length(len(body)) + body


def _length(size: int) -> bytes:
    return bytes([size]) if size < 128 else bytes([size % 128 | 128, size // 128])


def _frames() -> Iterator[bytes]:
    """Long Arrow streams of SAMPLES rows: some twins' values of one instant."""
    rng, clean, each = np.random.default_rng(0), sound(FRAMES), SAMPLES // len(UNITS)
    signals = pa.DictionaryArray.from_arrays(
        pa.array(np.tile(np.arange(len(UNITS), dtype=np.int32), each)), pa.array(list(UNITS))
    )
    place = pa.array(np.repeat(np.arange(each, dtype=np.int32), len(UNITS)))
    for k in range(1, FRAMES + 1):
        for first in range(0, TWINS, each):
            names = pa.array([f"m{twin:06d}" for twin in range(first, first + each)])
            values = clean[k - 1] + NOISE * rng.standard_normal((each, len(NOISE)))
            record = pa.record_batch(
                {
                    "twin": pa.DictionaryArray.from_arrays(place, names),
                    "signal": signals,
                    "instant": pa.array(np.full(SAMPLES, BEGIN + k * EVERY)),
                    "value": pa.array(values.ravel()),
                }
            )
            sink = io.BytesIO()
            with pa.ipc.new_stream(sink, record.schema) as stream:
                stream.write_batch(record)
            yield sink.getvalue()


def _publish(port: int, packets: list[bytes]) -> None:
    """All of them as fast as the broker takes them, until each is acknowledged."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        body = b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x04load"
        sock.sendall(b"\x10" + _length(len(body)) + body)
        answers = threading.Thread(target=_count, args=(sock, 4 + 4 * len(packets)))
        answers.start()
        for k in range(0, len(packets), 500):
            sock.sendall(b"".join(packets[k : k + 500]))
        answers.join()


def _count(sock: socket.socket, size: int) -> None:
    while size > 0 and (told := sock.recv(1 << 16)):
        size -= len(told)


def _produce(brokers: str, frames: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": brokers, "acks": "all", "linger.ms": 5})
    for frame in frames:
        while True:
            try:
                producer.produce("bench", frame)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


if __name__ == "__main__":
    sent: Any = pickle.loads(sys.stdin.buffer.read())  # from ourselves
    if sys.argv[1] == "mqtt":
        _publish(int(sys.argv[2]), sent)
    else:
        _produce(sys.argv[2], sent)
