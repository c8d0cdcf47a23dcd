"""What Gemel builds on, asked of Apache Kafka itself: acknowledged is kept, once and in order."""

from collections.abc import Iterable
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from tests.kafka_servers import Kafka

pytestmark = pytest.mark.kafka


class Writer:
    """An idempotent producer that waits for all replicas; `acknowledged` is in order of arrival."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self.topic = topic
        self.acknowledged: list[int] = []
        self.producer = Producer(
            {
                "bootstrap.servers": kafka.bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 2,
                "batch.num.messages": 100,  # many small requests, so that a kill cuts some off
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )

    def send(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.producer.produce(self.topic, b"%d" % number, on_delivery=self._delivered)
            self.producer.poll(0)

    def wait(self, seconds: float = 60.0) -> int:
        """How many records are still not acknowledged, after that time at most."""
        return int(self.producer.flush(seconds))

    def _delivered(self, error: Any, message: Any) -> None:
        assert error is None, error
        self.acknowledged.append(int(message.value()))


def consumer(kafka: Kafka, group: str = "reader") -> Consumer:
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": group, "log_level": 0}
    return Consumer(settings | {"enable.auto.commit": False})


def stored(kafka: Kafka, topic: str) -> list[int]:
    """Every number in the topic, from the first to the end that the broker reports."""
    reader = consumer(kafka)
    partition = TopicPartition(topic, 0, 0)
    _, end = reader.get_watermark_offsets(partition, timeout=30)
    reader.assign([partition])
    found: list[int] = []
    while len(found) < end:
        messages = reader.consume(min(1000, end - len(found)), timeout=30)
        assert messages, f"{len(found)} of {end} records came"
        for message in messages:
            assert message.error() is None, message.error()
            found.append(int(message.value()))
    reader.close()
    return found


def test_what_was_acknowledged_is_read_back_once_and_in_order(kafka: Kafka) -> None:
    writer = Writer(kafka, kafka.create("once"))
    writer.send(range(20_000))
    assert writer.wait() == 0
    assert writer.acknowledged == list(range(20_000))
    assert stored(kafka, "once") == writer.acknowledged


def test_a_misspelt_topic_is_an_error_and_not_a_new_topic(kafka: Kafka) -> None:
    with pytest.raises(KafkaException, match="Unknown partition"):
        consumer(kafka).get_watermark_offsets(TopicPartition("onec", 0), timeout=10)


def test_records_and_positions_survive_a_kill(kafka: Kafka) -> None:
    writer = Writer(kafka, kafka.create("kept"))
    writer.send(range(5_000))
    assert writer.wait() == 0
    position = TopicPartition("kept", 0, 1_234)
    consumer(kafka, "kept").commit(offsets=[position], asynchronous=False)

    kafka.brokers[0].kill()
    kafka.brokers[0].start()
    kafka.wait_in_sync("kept")

    assert stored(kafka, "kept") == list(range(5_000))
    (after,) = consumer(kafka, "kept").committed([position], timeout=30)
    assert after.offset == 1_234
    writer.send(range(5_000, 6_000))  # the producer that was there before goes on
    assert writer.wait() == 0
    assert stored(kafka, "kept") == list(range(6_000))


def test_the_leader_dies_while_we_write_and_nothing_is_lost_or_doubled(
    kafka_of_three: Kafka,
) -> None:
    kafka = kafka_of_three
    writer = Writer(kafka, kafka.create("failover"))
    leader = kafka.leader("failover")
    writer.send(range(10_000))
    assert writer.wait() == 0
    writer.send(range(10_000, 20_000))
    leader.kill()
    assert len(writer.acknowledged) < 20_000, "nothing was on its way"
    writer.send(range(20_000, 40_000))
    assert writer.wait() == 0
    assert kafka.leader("failover") is not leader
    assert writer.acknowledged == list(range(40_000))
    assert stored(kafka, "failover") == writer.acknowledged

    leader.start()
    kafka.wait_in_sync("failover")
    assert stored(kafka, "failover") == writer.acknowledged


def test_what_only_one_of_three_has_is_not_acknowledged(kafka_of_three: Kafka) -> None:
    kafka = kafka_of_three
    writer = Writer(kafka, kafka.create("two"))
    writer.send([0])
    assert writer.wait() == 0
    leader = kafka.leader("two")
    others = [broker for broker in kafka.brokers if broker is not leader]
    for broker in others:
        broker.kill()
    writer.send([1])
    assert writer.wait(2) == 1
    for broker in others:
        broker.start()
    assert writer.wait() == 0
    kafka.wait_in_sync("two")
    assert stored(kafka, "two") == [0, 1]
