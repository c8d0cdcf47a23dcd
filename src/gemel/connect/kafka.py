"""Kafka: records in, from the position that the journal holds; commands out, replies back.

Owns    which record comes next, in every partition, and what is done when it is gone.
Never   trusts the broker's offsets: they are committed so that lag can be watched, after the
        journal has the records. Never takes a record twice.

    position: {"topic": {"partition": the next offset}} as JSON, in the last entry of a delivery
    record:   key = the twin, or none when the value names it; value = a message of `format`

confluent-kafka is an extra; it is loaded here alone.
"""

import json
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gemel import hooks
from gemel.clock import Clock
from gemel.connect.base import Deliver, command_payload
from gemel.connect.decode import decode_reply
from gemel.connect.formats import Decoder, Ours
from gemel.connect.inbox import Message, read_messages
from gemel.connect.login import Login
from gemel.errors import Conflict, Denied, GemelError, Invalid, NotFound, Unavailable
from gemel.records import Batch, Entry, Invocation

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError
    from confluent_kafka import Message as Record

log = logging.getLogger("gemel.kafka")

GROUP = 500  # records that share one commit, at most
GATHER = 0.02  # s, the longest a record waits for company
IDLE = 0.1  # s between two looks at `stop`
LOOK = 30.0  # s between two looks for new partitions
TELL = 1.0  # s between two commits of what the broker shows as our lag
PATIENCE = 5.0  # s for one question to the broker
DOUBT = 60.0  # s after the last trouble in which every hole in a partition is asked about
AHEAD = 16_384  # KiB that wait in memory, at most: a slow journal slows the reading
GONE = ("earliest", "latest", "stop")
MECHANISM = "SCRAM-SHA-512"

Place = tuple[str, int]  # topic, partition


@dataclass(frozen=True)
class Cluster:
    """Where it is, and who we are to it. mechanism: of SASL, used when there is a user."""

    brokers: str
    login: Login = field(default_factory=Login)
    mechanism: str = MECHANISM

    def __repr__(self) -> str:
        return f"kafka://{self.brokers}"

    def client(self) -> Any:
        """The module confluent_kafka."""
        return load()

    def refusal(self, error: "KafkaError") -> Denied | None:
        """What no waiting mends; None of any other error."""
        return refusal(self, error.str()) if is_denial(load(), error) else None

    def settings(self) -> dict[str, Any]:
        """What librdkafka is told about it."""
        login, tls = self.login, self.login.tls
        security = ("SASL_" if login.user else "") + ("SSL" if tls else "PLAINTEXT")
        told: dict[str, Any] = {
            "bootstrap.servers": self.brokers,
            "security.protocol": security,
            "reconnect.backoff.max.ms": 2_000,
            "socket.keepalive.enable": True,
            "log_level": 0,  # what matters comes by error_cb, and is said once
        }
        if login.user:
            told |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": login.user,
                "sasl.password": login.password,
            }
        if tls:
            paths = {
                "ssl.ca.location": tls.ca,
                "ssl.certificate.location": tls.certificate,
                "ssl.key.location": tls.key,
            }
            told |= {name: path for name, path in paths.items() if path}
        return told


def load() -> Any:
    """The module confluent_kafka; raises `extra.missing`."""
    try:
        import confluent_kafka.admin  # noqa: PLC0415
    except ImportError as problem:
        raise Unavailable(
            "extra.missing",
            "confluent-kafka is not installed",
            mend="pip install 'gemel[kafka]'",
        ) from problem
    return confluent_kafka


class KafkaSource:
    """Records of some topics, in one journal, each once.

    topics: of telemetry · replies: the topic of assets' replies, "" for none
    begin: where the very first start begins, "earliest" | "latest"
    gone: what to do when the next record is not there any more: go on at the "earliest" or the
        "latest" that is, or "stop" with `kafka.gone`. What was lost is told as an event
    keyed: whether a record's key names the twin
    shared: share the partitions with other processes of the same `group`. A partition goes on at
        the later of what our journal and what the group has: nothing is lost, and twice comes only
        the last delivery of a process that was killed before it told the group
    """

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        topics: Sequence[str],
        *,
        decoder: Decoder | None = None,
        replies: str = "",
        group: str = "",
        begin: str = "earliest",
        gone: str = "stop",
        keyed: bool = True,
        shared: bool = False,
    ) -> None:
        self._kafka = load()
        for key, value, known in (("begin", begin, GONE[:2]), ("gone", gone, GONE)):
            if value not in known:
                raise Invalid(
                    "kafka.option",
                    f"{key} = '{value}' is not known",
                    where=f"source {name}",
                    mend=f"use one of: {', '.join(known)}",
                )
        self.name, self.cluster, self.decoder = name, cluster, decoder or Ours()
        self.topics, self.replies = tuple(topics), replies
        self.group, self.begin, self.gone = group or f"gemel-{name}", begin, gone
        self.keyed, self.shared = keyed, shared
        self.connected = False
        self._next: dict[Place, int] = {}  # of every partition that was ever read
        self._ours: set[Place] = set()
        self._passed: set[Place] = set()  # partitions of which a record was passed over
        self._astray = False  # whether a partition waits to be sent to its place again
        self._asked: dict[Place, int] = {}  # where a partition was asked once more for records
        self._holed: set[str] = set()  # topics that do have holes
        self._trouble_at = -DOUBT
        self._refused: GemelError | None = None  # nothing mends it but a person
        self._missing: GemelError | None = None  # a topic that is not there (yet)
        self._said = False

    def run(self, deliver: Deliver, position: str, clock: Clock, stop: threading.Event) -> None:
        """Until `stop`: consume, read, deliver; then tell the broker how far it is.

        Raises `kafka.denied`, `kafka.topic` when a topic is not there at the start, `kafka.gone`.
        """
        self._next, self._ours, self._astray = read_position(position), set(), False
        self._refused, self._missing, self._said = None, None, False
        self._passed, self._asked = set(), {}
        consumer = self._consumer()
        try:
            self._start(consumer, position, deliver, clock, stop)
            looked = told = time.monotonic()
            while not stop.is_set():
                entries = self._take(consumer, clock)
                if entries:
                    deliver([*entries[:-1], self._placed(entries[-1])])
                    hooks.at("kafka.before_tell")
                now = time.monotonic()
                if now - told > TELL or (entries and self.shared):  # others go on from there
                    self._tell(consumer)
                    hooks.at("kafka.after_tell")
                    told = now
                if now - looked > LOOK and not self.shared:
                    self._look(consumer)
                    looked = now
            self._tell(consumer, wait=True)
        finally:
            consumer.close()
            self.connected = False

    # ---- where to read ------------------------------------------------------------------------

    def _consumer(self) -> "Consumer":
        made: Consumer = self._kafka.Consumer(
            self.cluster.settings()
            | {
                "group.id": self.group,
                "client.id": f"gemel-{self.name}",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",  # it comes to `_lost`
                "isolation.level": "read_committed",
                "queued.max.messages.kbytes": AHEAD,
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": 1_000,  # so soon does it learn that others come or go
                "error_cb": self._on_error,
            }
        )
        return made

    @property
    def _all_topics(self) -> tuple[str, ...]:
        return (*self.topics, self.replies) if self.replies else self.topics

    def _start(
        self, consumer: "Consumer", position: str, deliver: Deliver, clock: Clock, stop: Any
    ) -> None:
        """Find every partition and go to its place; waits for a cluster that is away."""
        until = time.monotonic() + PATIENCE
        ends: dict[Place, int] | None = {}
        while True:
            there = self._partitions(consumer, 1.0)
            if there is not None and not position and self.begin == "latest":
                ends = self._ends(consumer, there)
            if there is not None and ends is not None:
                break
            if self._refused:
                raise self._refused
            if self._missing and time.monotonic() > until:
                raise self._missing
            if stop.wait(IDLE):
                return
        if ends:
            self._next |= ends
            deliver([self._placed(Entry("batch", self.name, clock.now(), batch=Batch.of([])))])
        if self.shared:
            consumer.subscribe(
                list(self._all_topics), on_assign=self._on_assign, on_revoke=self._on_revoke
            )
        else:
            consumer.assign([self._from(place) for place in there])
            self._ours = set(there)
        self.connected = True

    def _look(self, consumer: "Consumer") -> None:
        """Partitions that were added meanwhile are read from their beginning."""
        new = [p for p in self._partitions(consumer, IDLE) or [] if p not in self._ours]
        if new:
            consumer.incremental_assign([self._from(place) for place in new])
            self._ours |= set(new)

    def _from(self, place: Place) -> Any:
        offset = self._next.get(place, self._kafka.OFFSET_BEGINNING)
        return self._kafka.TopicPartition(*place, offset)

    def _partitions(self, consumer: "Consumer", seconds: float) -> list[Place] | None:
        """Every partition of our topics; None while the cluster cannot say."""
        found: list[Place] = []
        for topic in self._all_topics:
            try:
                told = consumer.list_topics(topic, timeout=seconds).topics[topic]
            except self._kafka.KafkaException as problem:
                self._outage(str(problem.args[0].str()))
                consumer.poll(0)  # what error_cb has to say of it
                return None
            if told.error is not None:
                self._trouble_of(told.error, topic)
                return None
            found += [(topic, number) for number in sorted(told.partitions)]
        self._missing = None
        self._back()
        return found

    def _ends(self, consumer: "Consumer", places: list[Place]) -> dict[Place, int] | None:
        """Where the latest records end; None while the cluster cannot say."""
        found: dict[Place, int] = {}
        for place in places:
            told = self._range(consumer, place)
            if told is None:
                return None
            found[place] = told[1]
        return found

    def _on_assign(self, consumer: "Consumer", partitions: list[Any]) -> None:
        """Ours now: go on where our journal or the group is, whichever is further."""
        hooks.at("kafka.rebalance")
        try:
            committed = consumer.committed(partitions, timeout=PATIENCE) if partitions else []
        except self._kafka.KafkaException as problem:
            log.warning("%s: what the group has is not known: %s", self.name, problem)
            committed = []
        for one in committed:
            place = (one.topic, one.partition)
            if one.offset > self._next.get(place, -1):  # negative where nothing was committed
                self._next[place] = one.offset
        places = [(one.topic, one.partition) for one in partitions]
        consumer.assign([self._from(place) for place in places])
        self._ours = set(places)

    def _on_revoke(self, consumer: "Consumer", partitions: list[Any]) -> None:
        hooks.at("kafka.rebalance")
        self._tell(consumer, wait=True)
        self._ours = set()

    # ---- what is read -------------------------------------------------------------------------

    def _take(self, consumer: "Consumer", clock: Clock) -> list[Entry]:
        """What waits, as entries; [] when nothing came."""
        records = consumer.consume(1, IDLE)
        if records:
            records += consumer.consume(GROUP - 1, GATHER)
        if self._refused:
            raise self._refused
        entries: list[Entry] = []
        messages: list[Message] = []
        now, moved = clock.now(), False
        for record in records:
            if record.error() is not None:
                entries += self._trouble(consumer, record, now)
            elif self._is_next(record):
                moved = True
                if record.topic() == self.replies:
                    payload = bytes(record.value() or b"")
                    entries.append(decode_reply(payload, received_at=now, source=self.name))
                elif record.value() is not None:  # a tombstone says nothing
                    messages.append(self._message(record))
        if self._astray or self._passed:  # a seek is refused to a partition that stopped
            consumer.assign([self._from(place) for place in self._ours])
            self._astray = False
            self._passed.clear()
        if moved:
            self._back()
        if messages:
            found = read_messages(messages, self.decoder, received_at=now, source=self.name)
            entries = found + entries
        if moved and not entries:
            return [Entry("batch", self.name, now, batch=Batch.of([]))]
        return entries

    def _is_next(self, record: "Record") -> bool:
        """Whether it is ours and was not taken before; from now on it was."""
        place, offset = (str(record.topic()), int(record.partition() or 0)), record.offset() or 0
        wanted = self._next.get(place, 0)
        if place not in self._ours or place in self._passed or offset < wanted:
            return False  # of before a rebalance or a seek
        if offset > wanted and place in self._next and self._doubts(place, wanted):
            self._passed.add(place)
            return False
        self._next[place] = offset + 1
        return True

    def _doubts(self, place: Place, wanted: int) -> bool:
        """Whether to ask once more for a record that did not come before the next one.

        librdkafka passes one over at times, when a broker comes back. Compaction and the marks of
        transactions leave holes, too: a topic that has some is only doubted after trouble.
        """
        if self._asked.get(place) == wanted:
            self._holed.add(place[0])
            return False
        if place[0] in self._holed and time.monotonic() > self._trouble_at + DOUBT:
            return False
        self._asked[place] = wanted
        log.info("%s: %s[%d]: record %d is asked for once more", self.name, *place, wanted)
        return True

    def _message(self, record: "Record") -> Message:
        key = record.key() if self.keyed else None
        twin = None if key is None else bytes(key).decode("utf-8", "replace")
        return Message(bytes(record.value() or b""), twin, str(record.topic()))

    def _placed(self, entry: Entry) -> Entry:
        return replace(entry, position=write_position(self._next))

    # ---- what goes wrong ----------------------------------------------------------------------

    def _trouble(self, consumer: "Consumer", record: "Record", now: int) -> list[Entry]:
        """An error in place of a record: a place that is gone, or one more word of an outage."""
        error, codes = record.error(), self._kafka.KafkaError
        assert error is not None
        if error.code() in (codes._AUTO_OFFSET_RESET, codes.OFFSET_OUT_OF_RANGE):
            return self._lost(consumer, (str(record.topic()), int(record.partition() or 0)), now)
        self._trouble_of(error, str(record.topic()))
        return []

    def _lost(self, consumer: "Consumer", place: Place, now: int) -> list[Entry]:
        """The next record is not there: expired, or the topic was made anew."""
        self._astray = True
        there, wanted = self._range(consumer, place), self._next.get(place, 0)
        if there is None or there[0] <= wanted <= there[1]:
            return []  # away again, or said twice: it is asked once more
        first, end = there
        told = f"{place[0]}[{place[1]}]: record {wanted} is gone, there are {first} to {end - 1}"
        if self.gone == "stop":
            raise NotFound(
                "kafka.gone",
                told,
                where=f"source {self.name}",
                mend='write gone = "earliest" (or "latest") on the source to go on without them, '
                "and keep records longer than Gemel may be away",
            )
        onward = first if self.gone == "earliest" else end
        log.error("%s: %s; going on at %d", self.name, told, onward)
        self._next[place] = onward
        body = {
            "name": "kafka.gone",
            "instant": now,
            "topic": place[0],
            "partition": place[1],
            "wanted": wanted,
            "first": first,
            "end": end,
            "onward": onward,
        }
        return [Entry("event", self.name, now, body=body)]

    def _range(self, consumer: "Consumer", place: Place) -> tuple[int, int] | None:
        """(first, end) of the offsets in a partition, end excluded; None while nobody can say."""
        partition = self._kafka.TopicPartition(*place)
        try:
            first, end = consumer.get_watermark_offsets(partition, timeout=PATIENCE)
        except self._kafka.KafkaException as problem:
            self._outage(str(problem.args[0].str()))
            return None
        return int(first), int(end)

    def _on_error(self, error: "KafkaError") -> None:
        """librdkafka tells of what is no record's: it goes on by itself."""
        self._trouble_of(error, "")

    def _trouble_of(self, error: "KafkaError", topic: str) -> None:
        """Remember what no waiting mends; of the rest say that it is so."""
        self._trouble_at = time.monotonic()
        codes = self._kafka.KafkaError
        if is_denial(self._kafka, error):
            self._refused = refusal(self.cluster, error.str())
        elif error.code() in (codes.UNKNOWN_TOPIC_OR_PART, codes._UNKNOWN_PARTITION):
            self._missing = NotFound(
                "kafka.topic",
                f"there is no topic '{topic}'",
                where=repr(self.cluster),
                mend="make the topic, or mend its name in the source",
            )
            self._outage(self._missing.message)
        elif error.code() != codes._TRANSPORT:  # one broker of several: the others may answer
            self._outage(error.str())

    def _back(self) -> None:
        if self._said:
            log.info("%s: %s is back", self.name, self.cluster)
        self._said = False

    def _outage(self, why: str) -> None:
        """Say an outage once, however many attempts fail."""
        if not self._said:
            log.warning("%s: %s is away (%s); trying on", self.name, self.cluster, why)
        self._said = True

    def _tell(self, consumer: "Consumer", *, wait: bool = False) -> None:
        """Commit how far the journal is, for those who watch our lag."""
        offsets = [
            self._kafka.TopicPartition(*place, self._next[place])
            for place in self._ours
            if place in self._next
        ]
        if not offsets:
            return
        try:
            if wait:
                consumer.commit(offsets=offsets, asynchronous=False)
            else:
                consumer.commit(offsets=offsets, asynchronous=True)
        except self._kafka.KafkaException as problem:
            log.debug("%s: its lag cannot be shown: %s", self.name, problem)


class KafkaSink:
    """Commands as records of one topic: key = the asset, value = the command as JSON."""

    def __init__(self, cluster: Cluster, topic: str, *, timeout: float = 10.0) -> None:
        self._kafka = load()
        self.cluster, self.topic, self.timeout = cluster, topic, timeout

    def send(self, invocation: Invocation) -> None:
        """Produce once and wait until all replicas in sync have it.

        Raises `wire.unavailable` or `kafka.denied` if it surely did not go, and `wire.unanswered`
        (a Conflict) when it went and no answer came: then nobody knows.
        """
        refused: list[GemelError] = []

        def on_error(error: "KafkaError") -> None:
            if is_denial(self._kafka, error):
                refused.append(refusal(self.cluster, error.str()))

        answers: list[Any] = []
        producer = self._kafka.Producer(
            self.cluster.settings()
            | {
                "acks": "all",
                "enable.idempotence": True,
                "message.timeout.ms": int(self.timeout * 1000),
                "error_cb": on_error,
            }
        )
        self._ask(producer, refused)
        hooks.at("wire.before_send")
        producer.produce(
            self.topic,
            command_payload(invocation),
            key=invocation.target,
            on_delivery=lambda error, record: answers.append(error),
        )
        producer.flush(self.timeout + 1.0)
        if not answers or answers[0] is not None:
            raise Conflict(
                "wire.unanswered",
                "the command went on the wire and the cluster did not confirm it",
                where=f"{invocation.target}, invocation {invocation.id}",
                mend="its telemetry will tell whether it acted; do not send it again unseen",
            )
        hooks.at("wire.after_send")

    def _ask(self, producer: Any, refused: list[GemelError]) -> None:
        """Whether the topic is there; nothing has gone yet."""
        why, until = "", time.monotonic() + self.timeout
        while True:
            try:
                told = producer.list_topics(self.topic, timeout=1.0).topics[self.topic]
                if told.error is None:
                    return
                why = told.error.str()
                if is_denial(self._kafka, told.error):
                    refused.append(refusal(self.cluster, why))
            except self._kafka.KafkaException as problem:
                why = str(problem.args[0].str())
            producer.poll(0.05)  # what error_cb has to say of it
            if refused:
                raise refused[0]
            if time.monotonic() > until:
                break
        raise Unavailable(
            "wire.unavailable",
            f"topic '{self.topic}' cannot be reached ({why}); nothing was sent",
            where=repr(self.cluster),
            mend="start the cluster, make the topic, or mend the source in the plant file",
        )


def is_denial(kafka: Any, error: "KafkaError") -> bool:
    """Whether no waiting mends it."""
    codes = kafka.KafkaError
    if error.code() == codes._SSL:  # a broker that dies in a handshake says so too
        return "certificate" in error.str()
    return error.code() in (
        codes._AUTHENTICATION,
        codes.SASL_AUTHENTICATION_FAILED,
        codes.TOPIC_AUTHORIZATION_FAILED,
        codes.CLUSTER_AUTHORIZATION_FAILED,
    )


def refusal(cluster: Cluster, why: str) -> Denied:
    """The cluster does not know us, or may not be trusted."""
    return Denied(
        "kafka.denied",
        f"the cluster and Gemel do not trust each other: {why}",
        where=repr(cluster),
        mend="check user, password, mechanism, ca, certificate and private_key of the source, "
        "and its rights there",
    )


def read_position(text: str) -> dict[Place, int]:
    """The next offset of every partition.

    >>> read_position('{"hall": {"0": 12}}')
    {('hall', 0): 12}
    """
    told = json.loads(text) if text else {}
    return {
        (topic, int(number)): int(offset)
        for topic, partitions in told.items()
        for number, offset in partitions.items()
    }


def write_position(following: dict[Place, int]) -> str:
    """The same as text.

    >>> write_position({("hall", 1): 7, ("hall", 0): 12})
    '{"hall":{"0":12,"1":7}}'
    """
    told: dict[str, dict[str, int]] = {}
    for (topic, number), offset in sorted(following.items()):
        told.setdefault(topic, {})[str(number)] = offset
    return json.dumps(told, separators=(",", ":"))
