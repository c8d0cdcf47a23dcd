"""The oracle against Gemel itself: whatever goes wrong on the way, over whichever wire, the books
and the quality are as the truth says, sample by sample."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.kafka_servers import Kafka
from tests.test_mqtt import Mosquitto, Running, order

from gemel.clock import SECOND
from gemel.connect.kafka import Cluster, KafkaSink, KafkaSource
from gemel.connect.link import parse_url
from gemel.connect.mqtt import MqttSource
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.flow.trust import Trust
from gemel.plant.faults import Fault, read_faults
from gemel.plant.oracle import Expected, expect
from gemel.plant.simulator import PlantConfig, Simulator
from gemel.plant.truth import START
from gemel.plant.wires import FRAME, To, ToHttp, ToKafka, read_to
from gemel.server.app import serve

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
STEP, CHUNK, END = 5 * MINUTE, 15 * MINUTE, START + 6 * HOUR
PLANT = """
[plant]
name = "hall"
lateness = "2h"
skew = "5min"

[interface.SteamTurbine.telemetry]
speed = { unit = "rpm", range = [0, 3600], every = "5min" }
load = { unit = "%", range = [0, 120], every = "5min" }
load_limit = { unit = "%", range = [0, 120], every = "5min" }
ambient = { unit = "degC", range = [-30, 60], every = "5min" }

[interface.Bearing.telemetry]
metal_temperature = { unit = "degC", range = [-20, 160], rate = 0.01, stuck = "1h", every = "5min" }
oil_flow = { unit = "L/min", range = [0, 80], rate = 0.01, every = "5min" }
oil_inlet = { unit = "degC", range = [0, 90], every = "5min" }
"""
FAULTS = """
[[fault]]
kind = "duplicate"
twin = "st2-b1"
share = 0.5
[[fault]]
kind = "duplicate"
twin = "st2-b2"
share = 0.5
delay = "20min"
[[fault]]
kind = "correction"
twin = "st1-b3"
share = 0.3
delay = "10min"
[[fault]]
kind = "reorder"
twin = "st1-b4"
delay = "20min"
[[fault]]
kind = "late"
twin = "st2-b4"
share = 0.5
start = "1h"
lasts = "2h"
delay = "3h"
[[fault]]
kind = "outage"
twin = "st1"
start = "1h"
lasts = "80min"
[[fault]]
kind = "clock_offset"
twin = "st2-b3"
size = 3600
start = "2h"
end = "3h"
[[fault]]
kind = "clock_offset"
twin = "st2-b3"
size = -14400
start = "3h"
end = "4h"
[[fault]]
kind = "clock_offset"
twin = "st1-b1"
size = -1800
start = "4h"
end = "5h"
[[fault]]
kind = "clock_drift"
twin = "st2-b2"
size = -60
[[fault]]
kind = "stuck"
twin = "st1-b1"
signal = "metal_temperature"
start = "1h"
end = "4h"
[[fault]]
kind = "drift"
twin = "st1-b2"
signal = "oil_inlet"
size = 20
[[fault]]
kind = "noise"
twin = "st2-b1"
signal = "oil_flow"
size = 5
start = "2h"
[[fault]]
kind = "scale"
twin = "st1"
signal = "ambient"
scale = 1.8
offset = 32
start = "3h"
[[fault]]
kind = "unit"
twin = "st2"
signal = "load"
unit = "kg"
share = 0.2
[[fault]]
kind = "unit"
twin = "st2-b1"
signal = "oil_inlet"
unit = "degF"
share = 0.2
[[fault]]
kind = "not_a_number"
twin = "st1-b2"
signal = "oil_flow"
share = 0.2
[[fault]]
kind = "unknown_twin"
twin = "st1-b4"
share = 0.1
[[fault]]
kind = "unknown_signal"
twin = "st2-b4"
signal = "oil_flow"
share = 0.2
[[fault]]
kind = "dropout"
twin = "st2-b1"
signal = "metal_temperature"
start = "4h"
[[fault]]
kind = "dropout"
twin = "st1-b3"
start = "5h"
[[fault]]
kind = "garbage"
twin = "st1"
share = 0.3
[[fault]]
kind = "flood"
twin = "st2"
size = 20
start = "2h"
end = "3h"
[[fault]]
kind = "dropout"
chance = 0.3
window = "3h"
lasts = "25min"
"""


class HallClock:
    """The plant's clock, set by who drives the hall: nothing hangs on how fast this machine is."""

    speed = 1.0

    def __init__(self) -> None:
        self.at = START

    def now(self) -> int:
        return self.at


class Scene:
    """A Gemel, a hall that sends to it, and one clock."""

    def __init__(self, folder: Path, source: str = "") -> None:
        (folder / "plant.toml").write_text(plant(source))
        (folder / "faults.toml").write_text(FAULTS)
        self.folder, self.clock = folder, HallClock()
        self.plan = load_plan(folder / "plant.toml")
        self.host = Host(self.plan, folder / "data", clock=self.clock).start()

    def run(self, to: To, source: str, faults: tuple[Fault, ...] | None = None) -> Expected:
        """Everything sent over a wire; what the books should say of it."""
        if faults is None:
            faults = read_faults(self.folder / "faults.toml", START)
        hall = Simulator(
            PlantConfig(self.folder / source, to, every=STEP / SECOND, faults=faults, until=END)
        )
        hall.open()
        while not hall.ended:
            self.clock.at += CHUNK
            hall.advance(self.clock.at)
            assert hall.wire.flush(30) == 0
            self.wait(source, hall.record.number)
        hall.close()
        return expect(self.folder / source, self.plan, source, margin=CHUNK / SECOND)

    def books(self, source: str) -> dict[str, int]:
        assert self.host.loop is not None and self.host.failure is None, self.host.failure
        return dict(self.host.loop.memory.books.get(source, {}))

    def wait(self, source: str, count: int) -> None:
        """Until Gemel has taken in so many samples."""
        until = time.monotonic() + 30
        while self.books(source).get("received", 0) < count:
            assert time.monotonic() < until, (self.books(source), count)
            time.sleep(0.005)

    def facts(self) -> list[tuple[Any, ...]]:
        """What history holds: the latest fact of each sample."""
        self.host.stop()
        names = ["twin", "signal", "instant", "value", "fate", "quality", "reason"]
        table = pl.DataFrame(self.host.lake.telemetry())
        return sorted(
            table.select(names).with_columns(pl.col("instant").cast(pl.Int64)).iter_rows()
        )


def plant(source: str) -> str:
    twins = [("SteamTurbine", f"st{g}") for g in (1, 2)]
    twins += [("Bearing", f"st{g}-b{k}") for g in (1, 2) for k in (1, 2, 3, 4)]
    tables = [f'[[twin]]\nid = "{twin}"\ninterface = "{kind}"\n' for kind, twin in twins]
    return "\n".join([PLANT, *tables, source])


@contextmanager
def over_http(folder: Path, rows: int) -> Iterator[tuple[Scene, To]]:
    scene = Scene(folder, '[[source]]\nname = "line"\nkind = "http"\n')
    server = serve(scene.host, 0)
    try:
        yield scene, ToHttp(server.url, scene.host.token, "line", rows)
    finally:
        server.stop()
        scene.host.stop()


@contextmanager
def over_mqtt(folder: Path) -> Iterator[tuple[Scene, To]]:
    if shutil.which("mosquitto") is None:
        pytest.skip("mosquitto is not on PATH; mend: apt-get install mosquitto")
    broker = Mosquitto(folder).start()
    url = (
        f"mqtt://gemel:a%20secret%3A%20with%20%3A%20signs@127.0.0.1:{broker.port}/hall/+/telemetry"
    )
    with Running(MqttSource("line", *parse_url(url))):
        pass  # from here on the broker keeps what is for it
    scene = Scene(folder, f'[[source]]\nname = "line"\nkind = "mqtt"\nurl = "{url}"\n')
    try:
        yield scene, read_to(url)
    finally:
        scene.host.stop()
        broker.stop()


@contextmanager
def over_kafka(folder: Path, kafka: Kafka, rows: int) -> Iterator[tuple[Scene, To]]:
    topic = kafka.create(f"oracle-{rows}", 3)
    form = "arrow" if rows else "json"
    scene = Scene(
        folder,
        f'[[source]]\nname = "line"\nkind = "kafka"\nbrokers = "{kafka.bootstrap}"\n'
        f'topic = "{topic}"\nformat = "{form}"\n',
    )
    try:
        yield scene, ToKafka(Cluster(kafka.bootstrap), topic, rows)
    finally:
        scene.host.stop()


def check(scene: Scene, to: To) -> None:
    """One run: books, samples, spans and silence are as the truth says."""
    expected = scene.run(to, "line")
    other = replace(scene.plan, rules=replace(scene.plan.rules, lateness=5 * HOUR))
    assert expect(scene.folder / "line", other, "line").books != expected.books
    assert expected.doubtful == 0
    assert min(expected.books.values()) > 0, "a fate that nothing here has"
    assert scene.books("line") == expected.books
    assert scene.host.loop is not None
    trust = Trust.of(scene.plan, scene.host.loop.memory)
    said = {twin: trust.told(k)["silent"] for k, twin in enumerate(scene.plan.seats.ids)}
    silent = {twin: sorted(s["signal"] for s in told) for twin, told in said.items() if told}
    assert silent == {t: sorted(s) for t, s in expected.silent(scene.clock.at).items()}
    assert silent["st1-b3"] == ["metal_temperature", "oil_flow", "oil_inlet"]
    facts = expected.samples.filter(pl.col("fate").is_in(["stored", "correction", "late"]))
    last = facts.group_by("twin", "signal", "stated").last()
    names = ["twin", "signal", "stated", "value", "fate", "quality", "reason"]
    assert scene.facts() == sorted(last.select(names).iter_rows())
    told = {(span["twin"], span["signal"], span["reason"]) for span in expected.spans()}
    assert {("st1-b1", "metal_temperature", "stuck"), ("st1", "ambient", "range")} <= told
    assert ("st2-b1", "oil_flow", "rate") in told


def test_over_mqtt_gemel_makes_of_it_what_the_truth_says(tmp_path: Path) -> None:
    with over_mqtt(tmp_path) as (scene, to):
        check(scene, to)


@pytest.mark.parametrize("rows", [0, FRAME])
def test_over_http_gemel_makes_of_it_what_the_truth_says(tmp_path: Path, rows: int) -> None:
    with over_http(tmp_path, rows) as (scene, to):
        check(scene, to)


@pytest.mark.kafka
@pytest.mark.parametrize("rows", [0, FRAME])
def test_over_kafka_gemel_makes_of_it_what_the_truth_says(
    tmp_path: Path, kafka: Kafka, rows: int
) -> None:
    with over_kafka(tmp_path, kafka, rows) as (scene, to):
        check(scene, to)


@pytest.mark.kafka
def test_over_kafka_the_hall_obeys_and_its_reply_comes_back(tmp_path: Path, kafka: Kafka) -> None:
    line, orders, replies = (kafka.create(f"hall-{name}") for name in ("line", "do", "done"))
    url = f"kafka://{kafka.bootstrap}/{line}?commands={orders}&replies={replies}"
    hall = Simulator(PlantConfig(tmp_path, read_to(url), faults=()))
    hall.open()
    sink = KafkaSink(Cluster(kafka.bootstrap), orders)
    sent, until = 0, time.monotonic() + 60
    while hall.hall.flow_target[1] != 55.0:  # what came before it listened is past
        assert time.monotonic() < until
        sink.send(order(f"i{sent}"))
        sent += 1
        for _ in range(50):
            hall.advance(START)
            time.sleep(0.01)
    hall.close()
    again = Simulator(PlantConfig(tmp_path, read_to(url), faults=()))
    assert again.hall.flow_target[1] == 55.0 and set(again.answered) <= {
        f"i{k}" for k in range(sent)
    }
    source = KafkaSource("line", Cluster(kafka.bootstrap), [line], replies=replies)
    with Running(source) as running:  # type: ignore[arg-type]
        while not running.entries and time.monotonic() < until:
            time.sleep(0.01)
    told = [entry.body for entry in running.entries if entry.kind == "reply"]
    assert told[0]["accepted"] and told[0]["invocation"] in again.answered
