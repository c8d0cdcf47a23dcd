"""MQTT over a real wire: the embedded broker, and mosquitto where there is one."""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from gemel import hooks
from gemel.clock import SECOND, WallClock
from gemel.connect.broker import EmbeddedBroker
from gemel.connect.link import Address, begin, connect_client, end
from gemel.connect.mqtt import MqttSink, MqttSource, listen
from gemel.errors import Denied, Invalid, Unavailable
from gemel.plant.simulator import PlantConfig, Simulator
from gemel.plant.truth import DAY, START
from gemel.plant.wires import MqttWire, ToMqtt
from gemel.records import Entry, Invocation

USER, PASSWORD, TOPIC = "gemel", "a secret: with : signs", "hall/+/telemetry"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


class Mosquitto:
    """A real mosquitto on loopback with a password file; it may be killed and started again."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.port, self.folder, self.process = free_port(), folder, None
        words = folder / "passwords"
        subprocess.run(
            ["mosquitto_passwd", "-b", "-c", str(words), USER, PASSWORD],
            check=True,
            capture_output=True,
        )
        as_root = "user root\n" if os.geteuid() == 0 else ""  # else it may not read the folder
        (folder / "mosquitto.conf").write_text(
            f"{as_root}listener {self.port} 127.0.0.1\nallow_anonymous false\n"
            f"password_file {words}\npersistence true\npersistence_location {folder}/\n"
            f"max_queued_messages 0\n{more}"  # by default it drops beyond 1000
        )

    def start(self) -> "Mosquitto":
        self.process = subprocess.Popen(
            ["mosquitto", "-c", str(self.folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._listens)
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(params=["embedded", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Any]:
    if request.param == "embedded":
        made: Any = EmbeddedBroker(port=free_port(), user=USER, password=PASSWORD)
    else:
        if shutil.which("mosquitto") is None:
            text = "mosquitto is not on PATH; mend: apt-get install mosquitto"
            if os.environ.get("GEMEL_CI"):
                pytest.fail(text)
            pytest.skip(text)
        made = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def address(broker: Any, version: str = "3.1.1") -> Address:
    return Address("127.0.0.1", broker.port, USER, PASSWORD, version=version)


class Running:
    """A source in its thread, and everything it delivered."""

    def __init__(self, source: MqttSource, deliver: Any = None) -> None:
        self.source, self.entries, self.stop = source, [], threading.Event()
        self.error: BaseException | None = None
        self.deliver = deliver or self.entries.extend
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.source.run(self.deliver, "", WallClock(), self.stop)
        except BaseException as error:  # shown to the test
            self.error = error

    def values(self) -> list[float]:
        batches = [entry.batch for entry in self.entries if entry.batch is not None]
        return [value for batch in batches for value in batch.value.tolist()]

    def __enter__(self) -> "Running":
        wait_for(lambda: self.source.connected or self.error)
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


def telemetry(value: float) -> bytes:
    return json.dumps({"time": "2017-01-09T00:01:00Z", "values": {"speed": value}}).encode()


class Publisher:
    def __init__(self, broker: Any, own: Address | None = None) -> None:
        self.client = connect_client(own or address(broker), "", keep=False)
        begin(self.client, own or address(broker), keep=False)

    def __enter__(self) -> "Publisher":
        wait_for(self.client.is_connected)
        return self

    def send(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, qos=1).wait_for_publish(10)

    def __exit__(self, *exception: object) -> None:
        end(self.client)


def order(identity: str = "i1", target: str = "st1-b2", argument: float = 55.0) -> Invocation:
    late = START + int(30 * DAY) * SECOND
    return Invocation(
        identity, "p1", target, target, "set_oil_flow", argument, "sending", 0, late, 0, "me", "why"
    )


def test_telemetry_replies_and_dead_letters_come_in(broker: Any) -> None:
    with (
        Running(MqttSource("hall", address(broker), TOPIC)) as running,
        Publisher(broker) as sender,
    ):
        sender.send("hall/st1/telemetry", telemetry(3000.0))
        sender.send("hall/st1/telemetry", b"\xffnot json")
        sender.send("hall/st1/reply", b'{"invocation": "i1", "accepted": true}')
        wait_for(lambda: {e.kind for e in running.entries} == {"batch", "dead", "reply"})
    batch = next(e.batch for e in running.entries if e.batch is not None)
    assert (batch.twin[0], batch.signal[0], batch.value[0]) == ("st1", "speed", 3000.0)
    assert all(e.source == "hall" and e.received_at > 0 for e in running.entries)


def test_many_messages_share_few_deliveries_and_none_is_lost(broker: Any) -> None:
    with (
        Running(MqttSource("hall", address(broker), TOPIC)) as running,
        Publisher(broker) as sender,
    ):
        for k in range(1000):
            sender.client.publish("hall/st1/telemetry", telemetry(float(k)), qos=1)
        wait_for(lambda: len(running.values()) >= 1000, 20)
    assert sorted(running.values()) == [float(k) for k in range(1000)]
    assert len(running.entries) < 500


def test_what_comes_while_gemel_is_away_is_kept_for_it(broker: Any) -> None:
    with Running(MqttSource("hall", address(broker), TOPIC)):
        pass
    with Publisher(broker) as sender:
        for k in range(30):
            sender.send("hall/st1/telemetry", telemetry(float(k)))
    with Running(MqttSource("hall", address(broker), TOPIC)) as running:
        wait_for(lambda: len(running.values()) == 30)
    assert sorted(running.values()) == [float(k) for k in range(30)]


def test_what_is_sent_while_the_connection_is_made_does_not_break_it(broker: Any) -> None:
    """paho would write it before its own CONNECT, and the broker hang up."""
    client, lost, opened = connect_client(address(broker), "", keep=False), [], threading.Event()

    def open_slowly(*_: Any) -> None:
        opened.set()
        time.sleep(0.2)

    client.on_socket_open = open_slowly
    client.on_disconnect = lambda *given: lost.append(given[3])
    with Running(MqttSource("hall", address(broker), TOPIC)) as running:
        begin(client, address(broker), keep=False)
        assert opened.wait(10)
        for k in range(3):
            client.publish("hall/st1/telemetry", telemetry(float(k)), qos=1)
        wait_for(client.is_connected)
        client.publish("hall/st1/telemetry", telemetry(3.0), qos=1).wait_for_publish(10)
        wait_for(lambda: len(running.values()) >= 4)
        assert not lost
        end(client)
    assert sorted(running.values()) == [0.0, 1.0, 2.0, 3.0]


# amqtt forgets a message in flight when its receiver goes: promised with mosquitto alone.
@pytest.mark.parametrize("broker", ["mosquitto"], indirect=True)
def test_a_message_not_yet_durable_is_not_acknowledged_and_comes_again(broker: Any) -> None:
    def fail(entries: list[Entry]) -> None:
        raise OSError("the disk is full")

    with Running(MqttSource("hall", address(broker), TOPIC), fail) as broken:
        with Publisher(broker) as sender:
            sender.send("hall/st1/telemetry", telemetry(1.0))
        wait_for(lambda: broken.error)
    with Running(MqttSource("hall", address(broker), TOPIC)) as running:
        wait_for(lambda: running.values() == [1.0])


def test_the_hook_stands_between_delivery_and_acknowledgement(broker: Any) -> None:
    seen: list[str] = []
    running = Running(
        MqttSource("hall", address(broker), TOPIC), lambda entries: seen.append("deliver")
    )
    hooks.set_callback(seen.append)
    try:
        with running, Publisher(broker) as sender:
            sender.send("hall/st1/telemetry", telemetry(1.0))
            wait_for(lambda: len(seen) == 3)
    finally:
        hooks.set_callback(None)
    assert seen == ["deliver", "mqtt.before_ack", "mqtt.after_ack"]


@pytest.mark.parametrize("broker", ["mosquitto"], indirect=True)
def test_an_outage_is_said_once_and_the_stream_goes_on(
    broker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with Running(MqttSource("hall", address(broker), TOPIC)) as running:
        broker.stop()
        wait_for(lambda: not running.source.connected)
        time.sleep(1.5)
        broker.start()
        wait_for(lambda: running.source.connected)
        with Publisher(broker) as sender:
            sender.send("hall/st1/telemetry", telemetry(2.0))
        wait_for(lambda: running.values() == [2.0])
    said = [r for r in caplog.records if r.name == "gemel.mqtt" and r.levelname == "WARNING"]
    assert len(said) == 1 and running.error is None


def test_a_wrong_password_stops_the_source_and_the_sink_sends_nothing(broker: Any) -> None:
    wrong = Address("127.0.0.1", broker.port, USER, "wrong")
    with Running(MqttSource("hall", wrong, TOPIC)) as running:
        wait_for(lambda: running.error)
    assert isinstance(running.error, Denied) and "wrong" not in str(running.error)
    with pytest.raises(Denied):
        MqttSink(wrong, TOPIC).send(order())
    anonymous = Address("127.0.0.1", broker.port)
    with pytest.raises(Denied):
        MqttSink(anonymous, TOPIC).send(order())


def test_a_command_goes_once_and_the_hooks_stand_around_it(broker: Any) -> None:
    got: list[tuple[str, Any]] = []
    seen: list[str] = []
    client = connect_client(address(broker), "asset", keep=True)
    ready = threading.Event()
    client.on_connect = lambda c, *_: c.subscribe("hall/+/command", 1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda c, d, m: got.append((m.topic, json.loads(m.payload)))
    begin(client, address(broker), keep=True)
    hooks.set_callback(seen.append)
    try:
        assert ready.wait(10)
        MqttSink(address(broker), TOPIC).send(order())
        wait_for(lambda: got)
        time.sleep(0.2)
    finally:
        hooks.set_callback(None)
        end(client)
    body = {
        "invocation": "i1",
        "command": "set_oil_flow",
        "argument": 55.0,
        "expires_at": "2017-05-03T00:00:00Z",
    }
    assert got == [("hall/st1-b2/command", body)]
    assert seen == ["wire.before_send", "wire.after_send"]


def test_a_broker_that_is_not_there_means_the_command_surely_did_not_go() -> None:
    seen: list[str] = []
    hooks.set_callback(seen.append)
    try:
        with pytest.raises(Unavailable, match="nothing was sent"):
            MqttSink(Address("127.0.0.1", free_port()), TOPIC, timeout=5.0).send(order())
    finally:
        hooks.set_callback(None)
    assert seen == []


@pytest.mark.parametrize("broker", ["mosquitto"], indirect=True)  # amqtt speaks 3.1.1 alone
def test_mqtt_5_keeps_the_session_too(broker: Any) -> None:
    with Running(MqttSource("hall", address(broker, "5"), TOPIC)):
        pass
    with Publisher(broker) as sender:
        sender.send("hall/st1/telemetry", telemetry(5.0))
    with Running(MqttSource("hall", address(broker, "5"), TOPIC)) as running:
        wait_for(lambda: running.values() == [5.0])


@pytest.mark.parametrize("broker", ["mosquitto"], indirect=True)
def test_listen_returns_what_was_said_within_the_time(broker: Any) -> None:
    sender = Publisher(broker)
    with sender:
        timer = threading.Timer(
            0.7, sender.client.publish, ("hall/st1/telemetry", telemetry(9.0), 1)
        )
        timer.start()
        url = f"mqtt://{USER}:{PASSWORD.replace(' ', '%20').replace(':', '%3A')}@127.0.0.1"
        batch = listen(f"{url}:{broker.port}/{TOPIC}", 1.5)
        timer.join()
    assert batch.value.tolist() == [9.0]


# So the demo runs: the broker is of Gemel's process and forgets its sessions with it. That a
# session outlives mosquitto is tested above.
@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_the_plant_obeys_replies_and_loses_nothing_while_gemel_is_away(
    broker: Any, tmp_path: Path
) -> None:
    config = PlantConfig(tmp_path, ToMqtt(address(broker)), speed=600.0, faults=())
    plant, stop = Simulator(config), threading.Event()
    wire, told = plant.wire, []
    assert isinstance(wire, MqttWire)
    thread = threading.Thread(target=plant.run, args=(stop,), daemon=True)
    with Running(MqttSource("hall", address(broker), TOPIC)) as running:
        thread.start()
        wait_for(lambda: len(running.values()) > 200)
        MqttSink(address(broker), TOPIC).send(order())
        MqttSink(address(broker), TOPIC).send(order("i2", argument=99.0))
        wait_for(lambda: [e for e in running.entries if e.kind == "reply"][1:])
    told += running.entries
    broker.stop()
    time.sleep(1.0)
    broker.start()
    with Running(MqttSource("hall", address(broker), TOPIC)) as running:
        wait_for(wire.client.is_connected)
        until = plant.hall.instant
        steps = (until - START) // round(config.every * SECOND)
        wait_for(lambda: distinct(told + running.entries, until) == 32 * steps)
        stop.set()
        thread.join(30)
        again = Simulator(config)
        again.open()  # sends what was not taken, if there is any
        assert again.wire.flush(30) == 0
        again.close()
        wait_for(lambda: distinct(told + running.entries) == 32 * plant.hall.steps)
    replies = [e.body for e in told if e.kind == "reply"]
    assert [r["accepted"] for r in replies] == [True, False] and "outside" in replies[1]["detail"]
    assert plant.hall.flow_target[1] == 55.0
    saved = json.loads((tmp_path / "truth.json").read_text())
    assert saved["outbox"] == [] and saved["hall"]["steps"] == plant.hall.steps


def test_a_plant_that_stops_while_the_broker_is_away_keeps_what_it_would_repeat(
    broker: Any, tmp_path: Path
) -> None:
    plant = Simulator(PlantConfig(tmp_path, ToMqtt(address(broker)), faults=()))
    plant.open()
    plant.advance(START + 60 * SECOND)
    assert plant.wire.flush(30) == 0 and plant.wire.unsent() == []
    broker.stop()
    wait_for(plant.wire.unsent)
    plant.close()
    saved = json.loads((tmp_path / "truth.json").read_text())
    assert len(saved["outbox"]) == 10  # one message of each twin


def distinct(entries: list[Entry], until: int = 2**62) -> int:
    """How many different (twin, signal, instant) came; of a step of the hall 2 × 4 + 8 × 3."""
    seen: set[tuple[str, str, int]] = set()
    for entry in entries:
        if entry.batch is not None:
            batch = entry.batch
            columns = (batch.twin.tolist(), batch.signal.tolist(), batch.instant.tolist())
            seen.update(zip(*columns, strict=True))
    return sum(instant <= until for _, _, instant in seen)


@pytest.mark.parametrize("broker", ["mosquitto"], indirect=True)
def test_a_restarted_plant_goes_on_where_it_was_and_keeps_its_orders(
    broker: Any, tmp_path: Path
) -> None:
    config = PlantConfig(tmp_path, ToMqtt(address(broker)), speed=6000.0)
    stop = threading.Event()
    first = Simulator(config)
    first.hall.command("st1-b2", "set_oil_flow", 50.0)
    thread = threading.Thread(target=first.run, args=(stop,))
    thread.start()
    wait_for(lambda: first.hall.steps > 70)
    stop.set()
    thread.join(10)
    second = Simulator(config)
    assert second.hall.state() == first.hall.state()
    rows = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert {row["twin"] for row in rows} == set(first.hall.bearings)
    assert all(0 <= row["wear"] < 1 and "rul_s" in row for row in rows)
    ahead = first.hall.instant + 6 * 3600 * SECOND
    third = Simulator(PlantConfig(tmp_path, ToMqtt(address(broker)), speed=1.0, at=ahead))
    stop.set()
    third.run(stop)
    assert third.hall.instant == ahead


@pytest.mark.parametrize("broker", ["mosquitto"], indirect=True)
def test_an_expired_or_unreadable_command_is_not_obeyed(broker: Any, tmp_path: Path) -> None:
    plant = Simulator(PlantConfig(tmp_path, ToMqtt(address(broker))))
    late = {"invocation": "i", "command": "set_oil_flow", "argument": 50.0}
    late["expires_at"] = "2017-01-08T00:00:00Z"
    answer = plant._answer("st1-b1", json.dumps(late).encode())
    assert answer is not None and not answer["accepted"] and "expired" in answer["detail"]
    for bad in (b"", b"[]", b"\xff", b"3", b'{"command": "set_oil_flow"}', b"[" * 100_000):
        assert plant._answer("st1-b1", bad) is None
    assert plant.hall.flow_target[0] == 35.0


def test_the_embedded_broker_is_for_loopback_and_never_without_a_password() -> None:
    with pytest.raises(Invalid, match="loopback"):
        EmbeddedBroker("0.0.0.0", user="u", password="p")
    with pytest.raises(Invalid, match="password"):
        EmbeddedBroker(user="u", password="")
    with EmbeddedBroker(user=USER, password=PASSWORD) as one:
        assert one.port > 0
        with pytest.raises(Unavailable, match="cannot listen"):
            EmbeddedBroker(port=one.port, user=USER, password=PASSWORD).start()


@pytest.mark.parametrize(
    "topic", ["hall/#", "hall/telemetry", "+/+/telemetry", "hall/a+/telemetry"]
)
def test_a_topic_must_say_where_the_twin_stands(topic: str) -> None:
    with pytest.raises(Invalid, match="twin"):
        MqttSource("hall", Address("127.0.0.1"), topic)


def test_a_bad_topic_from_the_wire_is_an_unknown_twin_and_no_crash() -> None:
    source = MqttSource("hall", Address("127.0.0.1"), TOPIC)
    message = paho.MQTTMessage(topic=b"hall/\xff/telemetry")
    message.payload = telemetry(1.0)
    assert [entry.body["code"] for entry in source._entries([message], 1)] == ["message.twin"]
