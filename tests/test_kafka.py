"""Kafka as a source and a sink, against Apache Kafka itself."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import NewPartitions
from tests.certificates import Authority
from tests.kafka_servers import Kafka, free_port
from tests.test_connectors import plan_of

from gemel import hooks
from gemel.clock import SECOND, WallClock, format_instant
from gemel.connect.kafka import Cluster, KafkaSink, KafkaSource, read_position
from gemel.connect.login import Login, Tls
from gemel.errors import Denied, Invalid, NotFound, Unavailable
from gemel.flow.host import Host
from gemel.records import Batch, Entry, Invocation
from gemel.store.journalfile import SqliteJournal
from gemel.store.ledger import Ledger
from gemel.testing import sink_checks, source_checks

pytestmark = pytest.mark.kafka


@dataclass(frozen=True)
class Door:
    """A second listener of the broker: TLS, and a password."""

    port: int
    ours: Authority
    theirs: Authority

    def settings(self, own: str, folder: Path) -> str:
        """More lines for the broker's own."""
        certificate, key = self.ours.issue("broker")
        pair = folder / "pair.pem"
        pair.write_text(key.read_text() + certificate.read_text())
        told = dict(line.split("=", 1) for line in own.splitlines())
        at = "listener.name.secure"
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        more = {
            "listener.security.protocol.map": "SECURE:SASL_SSL",
            "listeners": f"SECURE://127.0.0.1:{self.port}",
            "advertised.listeners": f"SECURE://127.0.0.1:{self.port}",
        }
        lines = {name: f"{told[name]},{value}" for name, value in more.items()} | {
            "sasl.enabled.mechanisms": "PLAIN",
            f"{at}.plain.sasl.jaas.config": f'{login} user_gemel="do not tell";',
            f"{at}.ssl.keystore.type": "PEM",
            f"{at}.ssl.keystore.location": str(pair),
        }
        return "".join(f"{name}={value}\n" for name, value in lines.items())


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Door:
    folder = tmp_path_factory.mktemp("door")
    theirs = Authority(folder / "theirs", "Somebody else")
    return Door(free_port(), Authority(folder / "ours"), theirs)


@pytest.fixture(scope="module")
def kafka(
    _kafka_is_here: None, door: Door, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kafka]:
    """One broker, as that of conftest, with a second door."""
    folder = tmp_path_factory.mktemp("kafka")
    made = Kafka(folder / "data")
    settings = made.brokers[0].settings
    own = settings.read_text()
    settings.write_text(own + door.settings(own, folder))
    yield made.start()
    made.stop()


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


class Kept:
    """A journal, and the source that fills it, in a thread; killed and begun again at will."""

    def __init__(self, folder: Path, kafka: Kafka, *topics: str, **how: Any) -> None:
        self.journal = SqliteJournal(folder / "journal.db")
        login = how.pop("login", Login())
        self.cluster = Cluster(kafka.bootstrap, login, "PLAIN")
        self.topics, self.how = topics, how
        self.error: BaseException | None = None
        self.stop = threading.Event()
        self.begin()

    def begin(self) -> None:
        self.source = KafkaSource("line", self.cluster, self.topics, **self.how)
        self.stop.clear()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            position = self.journal.position("line")
            self.source.run(self.journal.append, position, WallClock(), self.stop)
        except BaseException as error:  # shown to the test
            self.error = error

    def end(self) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()
        self.journal.close()

    def entries(self) -> list[Entry]:
        return self.journal.read(0, 1_000_000)

    def batches(self) -> list[Batch]:
        return [entry.batch for entry in self.entries() if entry.batch is not None]

    def values(self) -> list[float]:
        return [value for batch in self.batches() for value in batch.value.tolist()]

    def kinds(self) -> set[str]:
        return {entry.kind for entry in self.entries()}


class Writer:
    """Idempotent, and waits for all replicas."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self.topic = topic
        self.producer = Producer(
            {
                "bootstrap.servers": kafka.bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 2,
                "batch.num.messages": 100,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )

    def send(self, numbers: range, partition: int | None = None) -> None:
        for number in numbers:
            self.put(telemetry(float(number)), f"st{number % 7}", partition)

    def put(self, value: bytes | None, key: str | None, partition: int | None = None) -> None:
        where = {} if partition is None else {"partition": partition}
        self.producer.produce(self.topic, value, key, **where)
        self.producer.poll(0)

    def wait(self) -> None:
        assert self.producer.flush(60) == 0


def telemetry(value: float) -> bytes:
    return json.dumps({"time": "2017-01-09T00:01:00Z", "values": {"speed": value}}).encode()


def order(identity: str = "i1", target: str = "st1-b2") -> Invocation:
    late = 4_000_000_000 * 10**9
    return Invocation(
        identity, "p1", target, target, "set_oil_flow", 55.0, "sending", 0, late, 0, "me", "why"
    )


def numbers(count: int) -> list[float]:
    return [float(k) for k in range(count)]


def test_records_of_all_partitions_come_once_with_their_key_as_the_twin(
    kafka: Kafka, tmp_path: Path
) -> None:
    writer, other = Writer(kafka, kafka.create("all", 3)), Writer(kafka, kafka.create("other"))
    writer.send(range(1000))
    other.send(range(1000, 1200))
    writer.wait(), other.wait()
    with Kept(tmp_path, kafka, "all", "other") as kept:
        wait_for(lambda: len(kept.values()) >= 1200)
        writer.send(range(1200, 1500))
        writer.wait()
        wait_for(lambda: len(kept.values()) >= 1500)
        kept.end()
        for batch in kept.batches():
            twins = [f"st{int(value) % 7}" for value in batch.value.tolist()]
            assert batch.twin.tolist() == twins
        assert sorted(kept.values()) == numbers(1500)
        place = read_position(kept.journal.position("line"))
    assert sum(offset for (topic, _), offset in place.items() if topic == "all") == 1300
    assert place["other", 0] == 200
    reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "gemel-line"})
    told = reader.committed([TopicPartition(*one) for one in place], timeout=10)
    assert {(one.topic, one.partition): one.offset for one in told} == place  # for who watches lag
    reader.close()


def test_killed_at_every_point_it_loses_nothing_and_doubles_nothing(
    kafka: Kafka, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    points = ["journal.before_commit", "journal.after_commit", "kafka.before_tell"] * 3
    writer = Writer(kafka, kafka.create("killed", 2))

    def kill(point: str) -> None:
        if points and point == points[0]:
            points.pop(0)
            raise Killed

    with Kept(tmp_path, kafka, "killed") as kept:
        hooks.set_callback(kill)
        try:
            sent = 0
            while points:
                writer.send(range(sent, sent + 50))
                writer.wait()
                sent += 50
                wait_for(lambda: not kept.thread.is_alive())
                assert isinstance(kept.error, Killed)
                kept.begin()
        finally:
            hooks.set_callback(None)
        wait_for(lambda: len(kept.values()) >= sent)
        kept.end()
        assert sorted(kept.values()) == numbers(sent)


def test_kafka_keeps_the_promises_of_a_source(kafka: Kafka) -> None:
    writer, cluster = Writer(kafka, kafka.create("checked", 2)), Cluster(kafka.bootstrap)

    def put(values: Sequence[float]) -> None:
        for value in values:
            writer.put(telemetry(value), "st1" if value % 2 else "st2")
        writer.wait()

    def spoil() -> None:
        writer.put(b"\xff", "st1")
        writer.wait()

    source_checks(lambda: KafkaSource("line", cluster, ["checked"]), put, spoil)


def test_kafka_keeps_the_promises_of_a_sink(kafka: Kafka) -> None:
    cluster, came = Cluster(kafka.bootstrap), []
    asset = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "asset"})
    asset.assign([TopicPartition(kafka.create("orders"), 0, 0)])

    def arrived() -> list[bytes]:
        came.extend(asset.consume(10, 0.05))
        return [record.value() or b"" for record in came]

    sink_checks(
        lambda: KafkaSink(cluster, "orders"),
        arrived,
        lambda: KafkaSink(Cluster(f"127.0.0.1:{free_port()}"), "orders", timeout=0.5),
    )
    asset.close()
    assert [record.key() for record in came] == [b"st1", b"st1"]


def test_a_cluster_and_gemel_know_each_other_by_certificates_and_passwords(
    kafka: Kafka, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(kafka, kafka.create("sealed"))
    writer.send(range(10))
    writer.wait()
    monkeypatch.setattr(kafka, "bootstrap", f"127.0.0.1:{door.port}")
    known = Login("gemel", "do not tell", Tls(str(door.ours.ca)))
    with Kept(tmp_path, kafka, "sealed", login=known) as kept:
        wait_for(lambda: sorted(kept.values()) == numbers(10))
    for wrong in (replace(known, password="told"), replace(known, tls=Tls(str(door.theirs.ca)))):
        with Kept(tmp_path, kafka, "sealed", login=wrong) as kept:
            wait_for(lambda: kept.error)
        assert isinstance(kept.error, Denied) and kept.error.code == "kafka.denied"
        assert "do not tell" not in str(kept.error) + repr(kept.cluster) + repr(wrong)
    away = Cluster(kafka.bootstrap, replace(known, password="told"), "PLAIN")
    with pytest.raises(Denied):
        KafkaSink(away, "sealed").send(order())


def test_a_plant_file_names_a_cluster_and_a_restarted_plant_goes_on(
    kafka: Kafka, tmp_path: Path
) -> None:
    writer = Writer(kafka, kafka.create("hall"))
    told = {"kind": "kafka", "brokers": kafka.bootstrap, "topic": "hall", "commands": "orders"}
    books = []
    for k in (1, 2):
        now = WallClock().now() - 5 * SECOND
        for _ in range(50):
            now += SECOND // 10
            body = {"time": format_instant(now), "values": {"oil_flow": 40.0}}
            writer.put(json.dumps(body).encode(), "st1")
        writer.wait()
        with Host(plan_of(tmp_path, **told), tmp_path / "data") as host:
            wait_for(lambda: host.view().books.get("hall", {}).get("received", 0) >= 50 * k)  # noqa: B023
            assert isinstance(host.loop.sinks[""] if host.loop else None, KafkaSink)
        books.append(host.view().books["hall"])
        row = Ledger(f"sqlite:///{tmp_path}/data/ledger.db").last()
        assert row is not None and row.positions["hall"] == f'{{"hall":{{"0":{50 * k}}}}}'
    assert [(book["received"], book["stored"]) for book in books] == [(50, 50), (100, 100)], books


def test_frames_tombstones_and_what_cannot_be_read(kafka: Kafka, tmp_path: Path) -> None:
    writer = Writer(kafka, kafka.create("mixed"))
    frame = pa.table(
        {
            "twin": [f"st{k % 50}" for k in range(500)],
            "instant": pa.array(range(500), pa.int64()),
            "speed": pa.array(numbers(500)),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, frame.schema) as stream:
        stream.write_table(frame)
    writer.put(sink.getvalue().to_pybytes(), None)
    writer.put(b"\xffnot json", "st1")
    writer.put(None, "st1")
    writer.put(telemetry(500.0), None)  # names no twin
    writer.put(telemetry(500.0), "st1")
    writer.wait()
    with Kept(tmp_path, kafka, "mixed") as kept:
        wait_for(lambda: read_position(kept.journal.position("line")).get(("mixed", 0)) == 5)
        assert sorted(kept.values()) == numbers(501)
        dead = [entry.body["code"] for entry in kept.entries() if entry.kind == "dead"]
    assert dead == ["message.encoding", "message.twin"]


def test_a_killed_broker_comes_back_and_the_stream_goes_on(
    kafka: Kafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(kafka, kafka.create("away"))
    with Kept(tmp_path, kafka, "away") as kept:
        writer.send(range(500))
        writer.wait()
        wait_for(lambda: kept.values())
        kafka.brokers[0].kill()
        writer.send(range(500, 1000))
        wait_for(lambda: kept.source._said)
        kafka.brokers[0].start()
        writer.wait()
        wait_for(lambda: len(kept.values()) >= 1000)
        kept.end()
        assert sorted(kept.values()) == numbers(1000) and kept.error is None
    kafka.wait()
    said = [r for r in caplog.records if r.name == "gemel.kafka" and r.levelname == "WARNING"]
    assert len(said) == 1


def test_the_leader_dies_and_nothing_is_lost_or_doubled(
    kafka_of_three: Kafka, tmp_path: Path
) -> None:
    kafka = kafka_of_three
    writer = Writer(kafka, kafka.create("led"))
    with Kept(tmp_path, kafka, "led") as kept:
        writer.send(range(2000))
        wait_for(lambda: kept.values())
        kafka.leader("led").kill()
        writer.send(range(2000, 4000))
        writer.wait()
        wait_for(lambda: len(kept.values()) >= 4000)
        kept.end()
        assert kept.values() == numbers(4000) and kept.error is None


class Forgetful:
    """A consumer that keeps one record to itself, once."""

    def __init__(self, consumer: Consumer, offset: int) -> None:
        self.consumer, self.offset = consumer, offset

    def __getattr__(self, name: str) -> Any:
        return getattr(self.consumer, name)

    def consume(self, count: int, seconds: float) -> list[Any]:
        records = self.consumer.consume(count, seconds)
        kept = [record for record in records if record.offset() != self.offset]
        if len(kept) < len(records):
            self.offset = -1
        return kept


def test_a_record_that_the_client_passed_over_is_asked_for_once_more(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = KafkaSource._consumer
    monkeypatch.setattr(KafkaSource, "_consumer", lambda self: Forgetful(made(self), 7))
    writer = Writer(kafka, kafka.create("passed"))
    writer.send(range(20))
    writer.wait()
    with Kept(tmp_path, kafka, "passed") as kept:
        wait_for(lambda: len(kept.values()) >= 20)
        writer.send(range(20, 30))
        writer.wait()
        wait_for(lambda: len(kept.values()) >= 30)
        assert kept.values() == numbers(30)


def test_holes_that_transactions_leave_are_passed_over(kafka: Kafka, tmp_path: Path) -> None:
    settings = {"bootstrap.servers": kafka.bootstrap, "transactional.id": "holes", "log_level": 0}
    writer = Producer(settings)
    writer.init_transactions(30)
    kafka.create("holes")
    for first in range(0, 20, 4):
        writer.begin_transaction()
        for number in range(first, first + 4):
            writer.produce("holes", telemetry(float(number)), "st1")
        writer.commit_transaction(30)
        writer.begin_transaction()
        writer.produce("holes", telemetry(-1.0), "st1")
        writer.flush(30)
        writer.abort_transaction(30)
    with Kept(tmp_path, kafka, "holes") as kept:
        wait_for(lambda: len(kept.values()) >= 20)
        kept.end()
        assert kept.values() == numbers(20) and kept.error is None


@pytest.mark.parametrize(("gone", "expected"), [("earliest", [60, 61]), ("latest", [61])])
def test_records_that_are_gone_are_told_and_the_stream_goes_on_as_declared(
    kafka: Kafka, tmp_path: Path, gone: str, expected: list[int]
) -> None:
    topic = kafka.create(f"gone-{gone}")
    writer = Writer(kafka, topic)
    writer.send(range(20))
    writer.wait()
    with Kept(tmp_path, kafka, topic, gone=gone) as kept:
        wait_for(lambda: len(kept.values()) == 20)
        kept.end()
        writer.send(range(20, 61))
        writer.wait()
        place = TopicPartition(topic, 0, 60)
        kafka.admin.delete_records([place])[place].result(20)
        kept.begin()
        wait_for(lambda: "event" in kept.kinds())
        writer.send(range(61, 62))
        writer.wait()
        wait_for(lambda: kept.values()[20:] == [float(k) for k in expected])
        (told,) = [entry.body for entry in kept.entries() if entry.kind == "event"]
    where = {key: told[key] for key in ("wanted", "first", "end", "onward")}
    assert where == {"wanted": 20, "first": 60, "end": 61, "onward": expected[0]}


def test_it_stops_at_records_that_are_gone_unless_told_otherwise(
    kafka: Kafka, tmp_path: Path
) -> None:
    writer = Writer(kafka, kafka.create("strict"))
    writer.send(range(5))
    writer.wait()
    with Kept(tmp_path, kafka, "strict") as kept:
        wait_for(lambda: len(kept.values()) == 5)
        kept.end()
        writer.send(range(5, 10))
        writer.wait()
        place = TopicPartition("strict", 0, 8)
        kafka.admin.delete_records([place])[place].result(20)
        kept.begin()
        wait_for(lambda: kept.error)
        assert isinstance(kept.error, NotFound) and kept.error.code == "kafka.gone"
        assert "record 5 is gone, there are 8 to 9" in kept.error.message


def test_a_start_at_the_latest_is_a_start_that_a_restart_keeps(
    kafka: Kafka, tmp_path: Path
) -> None:
    writer = Writer(kafka, kafka.create("late", 2))
    writer.send(range(100))
    writer.wait()
    with Kept(tmp_path, kafka, "late", begin="latest") as kept:
        wait_for(lambda: kept.journal.position("line"))
        kept.end()
        writer.send(range(100, 110))
        writer.wait()
        kept.begin()
        wait_for(lambda: len(kept.values()) >= 10)
        assert sorted(kept.values()) == [float(k) for k in range(100, 110)]


def test_partitions_that_are_added_are_read_from_their_beginning(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gemel.connect.kafka.LOOK", 0.2)
    writer = Writer(kafka, kafka.create("grown"))
    writer.send(range(10))
    writer.wait()
    with Kept(tmp_path, kafka, "grown") as kept:
        wait_for(lambda: len(kept.values()) == 10)
        kafka.admin.create_partitions([NewPartitions("grown", 3)])["grown"].result(20)
        fresh = Writer(kafka, "grown")
        wait_for(lambda: len(fresh.producer.list_topics("grown").topics["grown"].partitions) == 3)
        fresh.send(range(10, 20), 2)
        fresh.wait()
        wait_for(lambda: len(kept.values()) == 20)


def test_members_of_a_group_share_the_partitions_and_one_takes_over_from_the_other(
    kafka: Kafka, tmp_path: Path
) -> None:
    writer = Writer(kafka, kafka.create("shared", 4))
    how: dict[str, Any] = {"shared": True, "group": "two"}
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    with Kept(tmp_path / "a", kafka, "shared", **how) as one:
        writer.send(range(400))
        wait_for(lambda: len(one.values()) >= 400)
        with Kept(tmp_path / "b", kafka, "shared", **how) as two:
            sent = 400
            while not two.values():
                writer.send(range(sent, sent + 40))
                writer.wait()
                sent += 40
                time.sleep(0.1)
            one.end()
            writer.send(range(sent, sent + 400))
            writer.wait()
            sent += 400
            wait_for(lambda: len(one.values()) + len(two.values()) >= sent)
            two.end()
            one.begin()
            writer.send(range(sent, sent + 100))
            writer.wait()
            sent += 100
            wait_for(lambda: len(one.values()) + len(two.values()) >= sent)
            assert sorted(one.values() + two.values()) == numbers(sent)


def test_a_command_goes_once_and_its_reply_comes_back(kafka: Kafka, tmp_path: Path) -> None:
    kafka.create("commands"), kafka.create("telemetry"), kafka.create("replies")
    cluster, seen = Cluster(kafka.bootstrap), []
    hooks.set_callback(seen.append)
    try:
        KafkaSink(cluster, "commands").send(order())
    finally:
        hooks.set_callback(None)
    assert seen == ["wire.before_send", "wire.after_send"]
    asset = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "asset"})
    asset.assign([TopicPartition("commands", 0, 0)])
    record = asset.poll(20)
    assert record is not None and record.error() is None
    assert record.key() == b"st1-b2" and json.loads(record.value() or b"")["argument"] == 55.0
    assert asset.poll(0.2) is None
    asset.close()
    writer = Writer(kafka, "replies")
    writer.put(b'{"invocation": "i1", "accepted": true}', "st1-b2")
    writer.wait()
    with Kept(tmp_path, kafka, "telemetry", replies="replies") as kept:
        wait_for(lambda: "reply" in kept.kinds())
        (reply,) = [entry.body for entry in kept.entries() if entry.kind == "reply"]
    assert reply == {"invocation": "i1", "accepted": True, "detail": ""}


def test_a_topic_that_is_not_there_is_named(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gemel.connect.kafka.PATIENCE", 0.5)
    with Kept(tmp_path, kafka, "misspelt") as kept:
        wait_for(lambda: kept.error)
    assert isinstance(kept.error, NotFound) and "'misspelt'" in kept.error.message
    with pytest.raises(Unavailable, match="nothing was sent"):
        KafkaSink(Cluster(kafka.bootstrap), "misspelt", timeout=0.2).send(order())


def test_a_cluster_that_is_away_is_waited_for_and_a_command_surely_did_not_go(
    tmp_path: Path,
) -> None:
    away = Cluster(f"127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable, match="nothing was sent"):
        KafkaSink(away, "commands", timeout=0.5).send(order())
    source, stop = KafkaSource("line", away, ["all"]), threading.Event()
    thread = threading.Thread(target=source.run, args=([].extend, "", WallClock(), stop))
    thread.start()
    wait_for(lambda: source._said)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_what_is_missing_or_misspelt_says_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Invalid, match="gone = 'never'"):
        KafkaSource("line", Cluster("127.0.0.1:1"), ["all"], gone="never")
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(Unavailable) as caught:
        KafkaSource("line", Cluster("127.0.0.1:1"), ["all"])
    assert caught.value.mend == "pip install 'gemel[kafka]'"
