"""MQTT as plants have it: certificates, groups, devices made for AWS IoT; the shipped checks."""

import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.plugins.base import BaseTopicPlugin
from tests.certificates import Authority
from tests.kafka_servers import free_port
from tests.test_mqtt import (
    PASSWORD,
    TOPIC,
    USER,
    Mosquitto,
    Publisher,
    Running,
    address,
    order,
    telemetry,
    wait_for,
)

from gemel.clock import WallClock
from gemel.connect.base import Deliver
from gemel.connect.broker import EmbeddedBroker, PasswordPlugin
from gemel.connect.files import FileSource
from gemel.connect.link import Address, begin, connect_client, end
from gemel.connect.login import Tls
from gemel.connect.mqtt import MqttSink, MqttSource, ShadowSink
from gemel.connect.sparkplug import Metric, Payload, rebirth, write_payload
from gemel.connect.things import Things
from gemel.errors import Denied, GemelError, Invalid
from gemel.flow.fleet import Plan, compile_plan
from gemel.flow.sources import connect
from gemel.graph.plantfile import read_plant
from gemel.records import Entry
from gemel.testing import sink_checks, source_checks


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    if shutil.which("mosquitto") is None:
        text = "mosquitto is not on PATH; mend: apt-get install mosquitto"
        if os.environ.get("GEMEL_CI"):
            pytest.fail(text)
        pytest.skip(text)
    made = Mosquitto(tmp_path).start()
    yield made
    made.stop()


# ---- the shipped checks ------------------------------------------------------------------------


class Rows:
    """A file that grows."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        path.write_text("twin,time,signal,value\n")

    def put(self, values: Sequence[object]) -> None:
        with self.path.open("a") as file:
            for value in values:
                self.count += 1
                minute, second = divmod(self.count, 60)
                file.write(f"st1,2017-01-09T00:{minute:02}:{second:02}Z,speed,{value}\n")

    def spoil(self) -> None:
        self.put(["fast"])


def test_a_file_keeps_the_promises_of_a_source(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "hall.csv")
    source_checks(lambda: FileSource("hall", rows.path), rows.put, rows.spoil)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_mqtt_keeps_the_promises_of_a_source(broker: Mosquitto, version: str) -> None:
    with Publisher(broker) as sender:
        source_checks(
            lambda: MqttSource("hall", address(broker, version), TOPIC),
            lambda values: [sender.send("hall/st1/telemetry", telemetry(v)) for v in values],
            lambda: sender.send("hall/st1/telemetry", b"\xff"),
        )


def test_mqtt_keeps_the_promises_of_a_sink(broker: Mosquitto) -> None:
    with Device(broker, "hall/st1/command") as asset:
        sink_checks(
            lambda: MqttSink(address(broker), TOPIC),
            lambda: [payload for _, payload in asset.got],
            lambda: MqttSink(Address("127.0.0.1", free_port()), TOPIC, timeout=2.0),
        )


class Careless(FileSource):
    """Forgets where it was, swallows what `deliver` raises, and skips the first entry."""

    def run(self, deliver: Deliver, position: str, clock: Any, stop: threading.Event) -> None:
        def try_to(entries: list[Entry]) -> None:
            try:
                deliver(entries)
            except GemelError:
                pass

        super().run(try_to, "", clock, stop)


def test_the_checks_find_a_careless_source(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "hall.csv")
    with pytest.raises(Invalid) as caught:
        source_checks(lambda: Careless("hall", rows.path), rows.put, rows.spoil, patience=15.0)
    assert caught.value.code == "testing.source"
    assert "begun again: 20 samples came more than once" in caught.value.message
    assert "the error of `deliver` is not raised" in caught.value.message


# ---- certificates and secrets ------------------------------------------------------------------


def plan_of(folder: Path, **source: Any) -> Plan:
    """A hall of one machine with a command, and one source."""
    return compile_plan(
        read_plant(
            {
                "plant": {"name": "hall", "lateness": "10min"},
                "interface": {
                    "Machine": {
                        "id": "dtmi:gemel:test:Machine;1",
                        "telemetry": {"oil_flow": {"unit": "L/min"}},
                        "commands": {
                            "set_oil_flow": {
                                "argument": {"unit": "L/min", "range": [20, 60]},
                                "acts_on": {"input": "oil_flow", "how": "set"},
                                "confirm": {
                                    "signal": "oil_flow",
                                    "how": "near",
                                    "tolerance": 1.0,
                                    "within": "1min",
                                },
                            }
                        },
                    }
                },
                "twin": [{"id": "st1", "interface": "Machine"}],
                "source": [{"name": "hall", **source}],
            }
        ),
        folder,
    )


def source_of(folder: Path, **source: Any) -> Any:
    return connect(plan_of(folder, **source), folder).telemetry[0]


def test_a_broker_and_gemel_know_each_other_by_certificates(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", "Somebody else")
    certificate, key = ours.issue("broker")
    client, client_key = ours.issue("gemel")
    broker = Mosquitto(
        tmp_path,
        f"cafile {ours.ca}\ncertfile {certificate}\nkeyfile {key}\nrequire_certificate true\n",
    ).start()
    (tmp_path / "password").write_text(PASSWORD + "\n")
    told = {
        "kind": "mqtt",
        "url": f"mqtts://127.0.0.1:{broker.port}/{TOPIC}",
        "user": USER,
        "password_file": "password",
        "ca": "ours/ca.pem",
        "certificate": str(client),
        "private_key": str(client_key),
    }
    try:
        source = source_of(tmp_path, **told)
        tls = Tls(str(ours.ca), str(client), str(client_key))
        sender = Address("127.0.0.1", broker.port, USER, PASSWORD, tls)
        with Running(source) as running, Publisher(broker, sender) as out:
            out.send("hall/st1/telemetry", telemetry(1.0))
            wait_for(lambda: running.values() == [1.0])
        nobody = {k: v for k, v in told.items() if k not in ("certificate", "private_key")}
        for wrong in ({**told, "ca": str(theirs.ca)}, nobody):
            with Running(source_of(tmp_path, **wrong)) as running:
                wait_for(lambda: running.error)
            assert isinstance(running.error, Denied)
            assert running.error.code == "mqtt.untrusted"
            assert "certificate" in running.error.message
        wary = Address("127.0.0.1", broker.port, USER, PASSWORD, Tls(str(theirs.ca)))
        with pytest.raises(Denied, match="certificate"):
            MqttSink(wary, TOPIC).send(order())
    finally:
        broker.stop()


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    source = source_of(tmp_path, kind="mqtt", url="mqtts://127.0.0.1", topic=TOPIC, ca="ca.pem")
    with pytest.raises(Invalid) as caught:
        source.run([].extend, "", WallClock(), threading.Event())
    assert caught.value.code == "login.no_certificate" and "ca.pem" in caught.value.where


def test_a_secret_is_in_no_repr_and_in_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALL_PASSWORD", "do not tell")
    told = {
        "kind": "mqtt",
        "url": "mqtts://127.0.0.1:8883",
        "topic": TOPIC,
        "user": "gemel",
        "password_env": "HALL_PASSWORD",
    }
    source = source_of(tmp_path, **told)
    assert source.address.password == "do not tell" and source.address.tls == Tls()
    assert "do not tell" not in repr(source.address) + repr(plan_of(tmp_path, **told))
    within = {**told, "url": "mqtt://gemel:do%20not%20tell@127.0.0.1"}
    assert "not%20tell" not in repr(plan_of(tmp_path, **within).plant)
    for change, code in (
        ({"password_env": "NOT_SET"}, "login.no_password"),
        ({"ca": "nowhere.pem"}, "login.no_file"),
        ({"private_key": "nowhere.key"}, "login.no_file"),
        ({"certificate": __file__}, "login.half_a_pair"),
        ({"user": "gemel", "brokers": "127.0.0.1:1"}, "source.option"),
        ({"pasword": "do not tell"}, "source.option"),
        ({"format": "xml"}, "source.format"),
    ):
        with pytest.raises(Invalid) as caught:
            source_of(tmp_path, **{**told, **change})
        assert caught.value.code == code and "do not tell" not in str(caught.value)


class NobodyReads(BaseTopicPlugin):  # type: ignore[misc]  # amqtt ships no types
    """An access list of amqtt that grants no subscription."""

    @dataclass
    class Config:
        pass

    async def topic_filtering(self, *, session: Any, topic: Any, action: Any) -> bool:
        return bool(action != Action.SUBSCRIBE)


class Strict(EmbeddedBroker):
    """The embedded broker with that list."""

    async def _open(self) -> None:
        listener = {"type": "tcp", "bind": f"{self.host}:{self.port}"}
        words = f"{PasswordPlugin.__module__}.PasswordPlugin"
        plugins = {words: {"user": USER, "password": PASSWORD}, f"{__name__}.NobodyReads": {}}
        self._broker = Broker({"listeners": {"default": listener}, "plugins": plugins})
        await self._broker.start()
        self.port = self._broker._servers["default"].instance.sockets[0].getsockname()[1]


def test_a_topic_that_a_broker_does_not_let_us_read_is_named() -> None:
    with Strict(user=USER, password=PASSWORD) as broker:
        with Running(MqttSource("hall", address(broker), TOPIC)) as running:
            wait_for(lambda: running.error)
    assert isinstance(running.error, Denied) and running.error.code == "mqtt.not_allowed"
    assert TOPIC in running.error.message


# ---- groups ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_members_of_a_group_share_the_messages(broker: Mosquitto, version: str) -> None:
    def member(name: str) -> MqttSource:
        return MqttSource("hall", address(broker, version), TOPIC, client_id=name, group="two")

    with Running(member("a")) as one, Running(member("b")) as two, Publisher(broker) as sender:
        for k in range(100):
            sender.send("hall/st1/telemetry", telemetry(float(k)))
        wait_for(lambda: len(one.values()) + len(two.values()) == 100)
        assert sorted(one.values() + two.values()) == [float(k) for k in range(100)]
        assert one.values() and two.values()
        sender.send("hall/st1/reply", b'{"invocation": "i1", "accepted": true}')
        wait_for(lambda: all("reply" in {e.kind for e in r.entries} for r in (one, two)))


# ---- an edge node of Sparkplug B ---------------------------------------------------------------


def test_a_node_whose_birth_was_missed_is_asked_to_be_born_again(
    broker: Mosquitto, tmp_path: Path
) -> None:
    (tmp_path / "word").write_text(PASSWORD)
    url = f"mqtt://127.0.0.1:{broker.port}/spBv1.0/#"
    told = {"kind": "mqtt", "url": url, "user": USER, "password_file": "word"}
    source = source_of(tmp_path, **told, format="sparkplug")
    rpm = Metric("speed", 1, datatype=10, value=3000.0)
    with Running(source) as running, Device(broker, "spBv1.0/hall/NCMD/st1") as node:
        late = write_payload(Payload(1, [Metric(alias=1, value=2.0)], 7))
        node.client.publish("spBv1.0/hall/NDATA/st1", late, 1).wait_for_publish(10)
        wait_for(lambda: node.got)
        assert node.got[0][1] == rebirth()
        node.client.publish("spBv1.0/hall/NBIRTH/st1", write_payload(Payload(1, [rpm], 0)), 1)
        wait_for(lambda: running.values() == [3000.0])
    dead = [entry.body["code"] for entry in running.entries if entry.kind == "dead"]
    assert len(dead) == 1, dead  # the data; and not what we said ourselves


# ---- a device made for AWS IoT -----------------------------------------------------------------


class Device:
    """A client that keeps what it hears."""

    def __init__(self, broker: Mosquitto, *topics: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.client = connect_client(address(broker), "", keep=False)
        self.address, self.topics = address(broker), topics
        self.client.on_message = lambda c, d, m: self.got.append((m.topic, bytes(m.payload)))

    def __enter__(self) -> "Device":
        ready = threading.Event()
        self.client.on_connect = lambda c, *_: c.subscribe([(topic, 1) for topic in self.topics])
        self.client.on_subscribe = lambda *_: ready.set()
        begin(self.client, self.address, keep=False)
        assert ready.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        end(self.client)

    def send(self, topic: str, body: object = None) -> None:
        payload = b"" if body is None else json.dumps(body).encode()
        self.client.publish(topic, payload, 1).wait_for_publish(10)

    def hear(self, ending: str) -> Any:
        """The next thing said on a topic of that ending."""
        found: list[Any] = []

        def look() -> bool:
            for k, (topic, payload) in enumerate(self.got):
                if topic.endswith(ending):
                    found.append(json.loads(payload))
                    del self.got[k]
                    return True
            return False

        wait_for(look)
        return found[0]


SHADOW = "$aws/things/st1/shadow"


def shadows(broker: Mosquitto) -> Device:
    words = ("get/accepted", "get/rejected", "update/accepted", "update/delta", "update/rejected")
    return Device(broker, *(f"{SHADOW}/{word}" for word in words))


def test_an_unmodified_device_of_aws_iot_reports_and_obeys(
    broker: Mosquitto, tmp_path: Path
) -> None:
    url = f"mqtt://127.0.0.1:{broker.port}"
    (tmp_path / "word").write_text(PASSWORD)
    told = {"kind": "mqtt", "url": url, "user": USER, "password_file": "word", "format": "shadow"}
    made = connect(plan_of(tmp_path, **told), tmp_path)
    source: Any = made.telemetry[0]
    with Running(source) as running, shadows(broker) as device:
        device.send(f"{SHADOW}/get")
        assert device.hear("/get/rejected")["code"] == 404
        device.send(
            f"{SHADOW}/update", {"state": {"reported": {"oil_flow": 40}}, "clientToken": "t1"}
        )
        accepted = device.hear("/update/accepted")
        assert accepted["clientToken"] == "t1" and accepted["state"]["reported"]["oil_flow"] == 40
        assert running.values() == [40.0]  # durable before it is accepted
        made.sinks[""].send(order(target="st1"))
        delta = device.hear("/update/delta")
        assert delta["state"] == {"oil_flow": 55.0} and delta["version"] > accepted["version"]
        device.send(f"{SHADOW}/update", {"state": {"reported": delta["state"]}})
        device.hear("/update/accepted")
        wait_for(lambda: running.values() == [40.0, 55.0])
        device.send(f"{SHADOW}/get", {"clientToken": "t2"})
        whole = device.hear("/get/accepted")
        assert whole["state"] == {"desired": {"oil_flow": 55.0}, "reported": {"oil_flow": 55.0}}
        assert whole["clientToken"] == "t2" and not device.got
        device.send(f"{SHADOW}/update", [1])
        assert device.hear("/update/rejected")["code"] == 400
        wait_for(lambda: [e.body["code"] for e in running.entries if e.kind == "dead"])
    assert all(e.batch is None or set(e.batch.twin.words) == {"st1"} for e in running.entries)


def test_beside_a_shadow_service_gemel_asks_it_and_answers_nothing(broker: Mosquitto) -> None:
    with Device(broker, f"{SHADOW}/update") as service:
        ShadowSink(address(broker), {"set_oil_flow": "oil_flow"}).send(order(target="st1"))
        asked = service.hear("/update")
    assert asked == {"state": {"desired": {"oil_flow": 55.0}}, "clientToken": "i1"}


def test_a_shadow_merges_as_aws_iot_does() -> None:
    things = Things()
    report: list[Any] = [{"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": None}}, {"d": None}]
    for state in report:
        payload = json.dumps({"state": {"reported": state}}).encode()
        things.take(f"{SHADOW}/update", payload, 10**9)
    ((_, body),) = things.take(f"{SHADOW}/get", b"", 2 * 10**9)
    told = json.loads(body)
    assert told["state"] == {"reported": {"a": {"c": 2}}}
    assert (told["version"], told["timestamp"]) == (3, 2)
    _, delta = things.desire("st1", "a.c", 5.0, "i1", 3 * 10**9)
    assert json.loads(delta)["state"] == {"a.c": 5.0}


def test_what_is_no_document_of_a_shadow_is_rejected_and_never_raises() -> None:
    things = Things()
    large = json.dumps({"state": {"reported": {"a": "x" * 9000}}}).encode()
    wrong = {b"{": 400, b"[]": 400, b'{"state": {"reported": 1}}': 400, large: 413}
    for payload, code in wrong.items():
        ((topic, body),) = things.take(f"{SHADOW}/update", payload, 0)
        assert topic.endswith("/update/rejected") and json.loads(body)["code"] == code
    named = "$aws/things/st1/shadow/name/motor/update"
    for topic in ("hall/st1/telemetry", f"{SHADOW}/update/rejected", "$aws/things/?/x", named):
        assert things.take(topic, b"{", 0) == []
