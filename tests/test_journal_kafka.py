"""The journal in Kafka, against Apache Kafka itself: the same promises, and its own."""

import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource
from tests.kafka_servers import Kafka

from gemel.connect.kafka import Cluster
from gemel.errors import Conflict, Invalid, Unavailable
from gemel.records import Batch, Entry
from gemel.store import journaltopic
from gemel.store.journalrules import HEADER, value_of
from gemel.store.journaltopic import KafkaJournal
from gemel.testing import journal_checks

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

WRITER = """
import sys
from gemel.connect.kafka import Cluster
from gemel.records import Batch, Entry
from gemel.store.journaltopic import KafkaJournal
journal = KafkaJournal(Cluster(sys.argv[1]), sys.argv[2], "hall")
number = int(journal.position("s") or 0)
while True:
    batch = Batch.of([("a", "x", 1, 2.0, "")] * 90)
    pair = [Entry("batch", "s", number + k, str(number + k), batch) for k in (1, 2)]
    journal.append(pair)
    number += 2
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def opened(kafka: Kafka, topic: str, plant: str = "hall") -> KafkaJournal:
    return KafkaJournal(Cluster(kafka.bootstrap), topic, plant)


def event(number: int, source: str = "s", position: str = "") -> Entry:
    return Entry("event", source, number, position, body={"number": number})


def numbers(journal: KafkaJournal) -> list[int]:
    """Of the events, in order."""
    entries = journal.read(journal.first() - 1, 1_000_000)
    assert [e.sequence for e in entries] == list(range(journal.first(), journal.last() + 1))
    return [entry.body["number"] for entry in entries if entry.kind == "event"]


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def test_the_journal_keeps_its_promises(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journaltopic, "MARK_RECORDS", 50)
    journal_checks(lambda: opened(kafka, "promises"))


def test_killed_at_any_moment_it_loses_nothing_acknowledged_and_tears_no_call(
    kafka: Kafka,
) -> None:
    command = [sys.executable, "-c", WRITER, kafka.bootstrap, "killed"]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(9)][-1]
    writer.kill()
    rest = writer.communicate()[0]
    acknowledged = max([acknowledged, *map(int, rest.split("\n")[:-1])])
    journal = opened(kafka, "killed")
    batches = [e for e in journal.read(0, 10**6) if e.kind == "batch"]
    assert [e.received_at for e in batches] == list(range(1, len(batches) + 1))
    assert len(batches) >= acknowledged and len(batches) % 2 == 0
    assert journal.position("s") == str(len(batches))
    journal.close()


def raw(kafka: Kafka, topic: str, epoch: int, index: int, count: int, number: int) -> None:
    """A record as a writer sends it, by hand."""
    row = ("event", "s", str(number), number, None, f'{{"number":{number}}}')
    head = struct.pack("<QQII", epoch, 0, index, count)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic, value_of(row), headers=[(HEADER, head)])
    assert producer.flush(20) == 0


def test_of_a_call_that_is_not_whole_nothing_counts(kafka: Kafka) -> None:
    journal = opened(kafka, "torn")
    journal.append([event(1, position="1")])
    journal.close()
    raw(kafka, "torn", journal._epoch, 0, 3, 2)
    raw(kafka, "torn", journal._epoch, 1, 3, 3)
    again = opened(kafka, "torn")
    assert numbers(again) == [1] and again.last() == journal.last()
    again.append([event(4)])
    assert numbers(again) == [1, 4] and again.position("s") == "1"
    again.close()
    third = opened(kafka, "torn")
    assert numbers(third) == [1, 4]
    third.close()


def test_what_a_writer_had_acknowledged_before_it_was_fenced_counts_and_later_does_not(
    kafka: Kafka,
) -> None:
    journal = opened(kafka, "fenced")
    journal.append([event(1)])
    heir = opened(kafka, "fenced")
    journal.append([event(2, position="two")])  # the heir has looked, and not claimed yet
    heir.claim()
    assert heir.position("s") == "two"
    raw(kafka, "fenced", journal._epoch, 0, 1, 3)
    heir.append([event(4), event(5)])  # a former writer's record stands before it
    with pytest.raises(Conflict) as told:
        journal.append([event(6)])
    assert told.value.code == "journal.fenced"
    assert numbers(heir) == [1, 2, 4, 5] and heir.fenced == 1
    heir.close()
    journal.close()
    again = opened(kafka, "fenced")
    assert numbers(again) == [1, 2, 4, 5] and again.fenced == 2
    again.close()


def test_records_of_strangers_count_for_nothing(kafka: Kafka) -> None:
    journal = opened(kafka, "strangers")
    journal.append([event(1)])
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for k in range(3):
        producer.produce("strangers", f"hello {k}")
    assert producer.flush(20) == 0
    journal.append([event(2), event(3)])
    assert numbers(journal) == [1, 2, 3] and journal.fenced == 3
    journal.close()


@pytest.mark.parametrize(
    ("config", "partitions"),
    [({"cleanup.policy": "compact"}, 1), ({"retention.ms": "3600000"}, 1), ({}, 2)],
)
def test_a_topic_that_would_lose_entries_is_refused(
    kafka: Kafka, config: dict[str, str], partitions: int
) -> None:
    good = {"retention.ms": "-1", "cleanup.policy": "delete"}
    topic = kafka.create(f"wrong-{partitions}-{len(config)}-{config.get('retention.ms')}",
                         partitions, **good | config)  # fmt: skip
    with pytest.raises(Invalid) as told:
        opened(kafka, topic)
    assert told.value.code == "journal.topic" and "retention.ms=-1" in str(told.value.mend)


def test_the_topic_of_another_plant_or_of_other_records_is_refused(kafka: Kafka) -> None:
    journal = opened(kafka, "hall-1", "hall")
    journal.append([event(1)])
    journal.close()
    other = kafka.create("telemetry-of-others", **journaltopic.NEEDED)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(other, b"{}")
    assert producer.flush(20) == 0
    for topic, plant in (("hall-1", "mill"), (other, "hall")):
        with pytest.raises(Conflict) as told:
            opened(kafka, topic, plant)
        assert told.value.code == "journal.other"


def test_an_entry_that_is_too_large_is_refused_and_stops_nobody_else(kafka: Kafka) -> None:
    small = {**journaltopic.NEEDED, "max.message.bytes": "60000"}
    journal = opened(kafka, kafka.create("small", **small))
    large = Batch.of([("a", "x", k, k / 7, "") for k in range(9000)])
    with pytest.raises(Invalid) as told:
        journal.append([event(1), Entry("batch", "s", 1, batch=large)])
    assert told.value.code == "journal.too_large"
    journal.append([event(k) for k in range(500)])
    assert numbers(journal) == list(range(500))
    journal.close()


def test_what_came_of_a_group_before_it_failed_is_neither_lost_nor_doubled(kafka: Kafka) -> None:
    topic = kafka.create("limits", **journaltopic.NEEDED)
    journal = opened(kafka, topic)
    journal.append([event(0)])
    limit(kafka, topic, 20_000)
    noise = np.random.default_rng(5).normal(size=5_000)  # it does not become smaller by lz4
    large = Entry(
        "batch", "s", 9, batch=Batch.of([("a", "x", k, v, "") for k, v in enumerate(noise)])
    )
    calls = [[event(1)], [event(2), large, event(3)], [event(4)]]
    threads = [threading.Thread(target=journal.append, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    wait_for(lambda: "large" in journal.away.lower())
    limit(kafka, topic, 1_000_000)
    for thread in threads:
        thread.join(30)
    assert sorted(numbers(journal)) == [0, 1, 2, 3, 4]
    batches = [e.batch for e in journal.read(0, 1000) if e.batch is not None]
    assert [len(batch) for batch in batches] == [5_000]
    journal.close()
    again = opened(kafka, topic)
    assert sorted(numbers(again)) == [0, 1, 2, 3, 4]
    again.close()


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("fails", [b"", b'{"claim"', b'{"mark"'], ids=["", "claim", "mark"])
def test_a_record_that_is_refused_for_itself_takes_no_call_beside_it_along(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, place: int, fails: bytes
) -> None:
    """Wherever its call stands in the group, and though the next claim or mark fails as well."""
    topic = kafka.create(f"refused-{place}-{fails[2:-1].decode()}", **journaltopic.NEEDED)
    journal = opened(kafka, topic)
    journal.append([event(0)])
    sent, gathered, refused = journal._produce, threading.Event(), [b"2", fails]

    def produce(producer: Any, records: list[tuple[bytes, bytes]]) -> list[int]:
        gathered.wait(30)  # until all calls wait
        kept = [one for one in records if b'"number":2}' not in one[0]]
        if refused[0] and len(kept) < len(records):
            refused[0] = b""
            sent(producer, kept)
            raise journaltopic._Away("Message size too large")
        if refused[1] and not refused[0] and records[0][0].startswith(refused[1]):
            refused[1] = b""
            raise journaltopic._Away("the broker is away")
        return sent(producer, records)

    monkeypatch.setattr(journal, "_produce", produce)
    calls = [[event(5)], [event(4)], [event(6)]]
    calls.insert(place, [event(1), event(2), event(3)])
    threads = [threading.Thread(target=journal.append, args=(call,)) for call in calls]
    for count, thread in enumerate(threads):
        thread.start()  # the first leads alone
        wait_for(lambda count=count: len(journal._waiting) == count and journal._leading)  # type: ignore[misc]
    gathered.set()
    for thread in threads:
        thread.join(60)
    assert refused == [b"", b""]
    assert sorted(numbers(journal)) == [0, 1, 2, 3, 4, 5, 6]
    journal.close()
    again = opened(kafka, topic)
    assert sorted(numbers(again)) == [0, 1, 2, 3, 4, 5, 6]
    again.close()


def limit(kafka: Kafka, topic: str, size: int) -> None:
    """The largest record of a topic, from now on."""
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    kafka.admin.incremental_alter_configs([resource])[resource].result(20)


def test_while_the_cluster_is_away_appends_wait_and_go_on_when_it_is_back(kafka: Kafka) -> None:
    journal = opened(kafka, "away")
    journal.append([event(0)])
    kafka.brokers[0].kill()
    done: list[int] = []

    def work(number: int) -> None:
        journal.append([event(number)])
        done.append(number)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    wait_for(lambda: journal.away)
    with pytest.raises(Unavailable) as told:
        journal.append([event(99)], within=0.1)
    assert told.value.code == "journal.away" and "nothing of this was kept" in str(told.value)
    assert done == []
    assert journal.read(journal.last() - 1)[0].kind == "event"  # what is in memory is read on
    kafka.brokers[0].start()
    kafka.wait()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == [1, 2, 3, 4] and journal.away == ""
    assert sorted(numbers(journal)) == [0, 1, 2, 3, 4]
    journal.close()


def test_who_stops_while_the_cluster_is_away_does_not_wait_for_it(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(kafka, "stopped")
    journal.append([event(0)])
    kafka.brokers[0].kill()
    try:
        codes: list[str] = []

        def work() -> None:
            try:
                journal.append([event(1)])
            except Unavailable as error:
                codes.append(error.code)

        thread = threading.Thread(target=work)
        thread.start()
        wait_for(lambda: journal.away)
        journal.close()
        thread.join(20)
        assert codes == ["journal.closed"]
        monkeypatch.setattr(journaltopic, "PATIENCE", 0.2)
        monkeypatch.setattr(journaltopic, "ASK", 0.2)
        with pytest.raises(Unavailable) as told:
            opened(kafka, "stopped")
        assert told.value.code == "journal.away"
    finally:
        kafka.brokers[0].start()
        kafka.wait()
