"""The journal in Apache Kafka: one topic of one partition, of this plant alone.

Owns    the topic, its one producer, and the way back after an outage.
Never   acknowledges what all replicas in sync do not have; never takes a record's word for its
        place: an entry's sequence is its record's offset + 1, always.

The producer is idempotent and has no transactions: those would fence a former writer at the broker
and make a call atomic, but their markers take offsets of their own, and sequence and offset would
part. So the log itself says who writes (`journalrules.py`).

A writer whose time is over learns it from the offset that it gets: it is not the next one.
What is in flight while the cluster is away is sent on until it is there; no caller is told before.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, Protocol

from gemel import hooks
from gemel.errors import Conflict, GemelError, Invalid, NotFound, Unavailable
from gemel.records import Entry
from gemel.store.journal import Erased, Journal, Pending, Row, damaged
from gemel.store.journalrules import (
    BLANK,
    HEAD,
    HEADER,
    Record,
    Standing,
    key_of,
    read_record,
    value_of,
)

PATIENCE = 30.0  # s that opening waits for a cluster that is away
ASK = 5.0  # s for one question to it
QUIET = 2.0  # s without an answer, and the cluster is said to be away
AGAIN = 0.5  # s between two tries
GRACE = 5.0  # s that a stop waits for what is in flight
MARK_BYTES, MARK_RECORDS = 16 << 20, 10_000  # written between two marks
LARGEST = 64 << 20  # bytes of a record, of a topic that we make
AHEAD = 16_384  # KiB that reading takes in advance
MADE = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "max.message.bytes": str(LARGEST),
    "segment.ms": "86400000",  # what is let go of leaves the disks within a day or so
}
NEEDED = {name: MADE[name] for name in ("cleanup.policy", "retention.ms", "retention.bytes")}
log = logging.getLogger("gemel.store")


class Cluster(Protocol):
    """Where it is, who we are to it, and what speaks to it (`connect.kafka.Cluster`)."""

    def client(self) -> Any:
        """The module confluent_kafka."""

    def settings(self) -> dict[str, Any]:
        """What librdkafka is told."""

    def refusal(self, error: Any) -> GemelError | None:
        """The error of what no waiting mends; None of any other."""


class _Away(Exception):
    """The cluster did not do it, and may do it later."""


class KafkaJournal(Journal):
    """The journal of one plant, on a cluster.

    plant: its name, which the topic's marks carry: no other plant's journal is written or read.
    The topic is made where it is not there. One that would lose or change entries is refused with
    Invalid `journal.topic`: several partitions, compaction, a retention of its own. A cluster that
    is away longer than PATIENCE is Unavailable `journal.away`.
    """

    def __init__(self, cluster: Cluster, topic: str, plant: str) -> None:
        super().__init__(f"{cluster!r}/{topic}")
        self.cluster, self.topic, self.plant = cluster, topic, plant
        self._kafka = cluster.client()
        self._refused: GemelError | None = None  # nothing mends it but a person
        self._why = ""  # the last word of librdkafka
        self._reading = threading.Lock()  # guards the consumer and where it stands
        self._at = -1
        self._standing = Standing()
        self._epoch, self._mark, self._first = 0, 0, 1
        self._over = False  # whether our time as a writer is
        self._since = [0, 0]  # bytes and records since the last mark
        self._producer: Any = None
        told = {"error_cb": self._on_error} | cluster.settings()
        self._settings = told
        until = time.monotonic() + PATIENCE
        self._admin = self._kafka.admin.AdminClient(told)
        self._largest = self._fitting(until)
        self._consumer = self._kafka.Consumer(
            told
            | {
                "group.id": f"gemel-journal-{topic}",  # asked for, and never used
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": AHEAD,
                "fetch.wait.max.ms": 50,  # what waits at the end is in the way of the next place
                "message.max.bytes": self._largest,
                "receive.message.max.bytes": 2 * self._largest + (64 << 20),
            }
        )
        with self._reading:
            self._find(until)
        self._leading = True  # our own thread leads, so that no caller has to wait for a cluster
        self._thread = threading.Thread(target=self._run, name="gemel-journal", daemon=True)
        self._thread.start()

    # ---- the topic ------------------------------------------------------------------------------

    def _fitting(self, until: float) -> int:
        """Make the topic where it is not there, and refuse one that does not fit; the largest
        record that it takes."""
        while True:
            try:
                told = self._admin.list_topics(self.topic, timeout=ASK).topics[self.topic]
                if told.error is None:
                    return self._checked(len(told.partitions))
                if told.error.code() != self._kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise _Away(told.error.str())
                self._make()
            except self._kafka.KafkaException as problem:
                self._trouble(problem.args[0])
                self._pause(until)
            except _Away as problem:
                self._lost(str(problem))
                self._pause(until)

    def _make(self) -> None:
        new = self._kafka.admin.NewTopic(self.topic, 1, -1, config=MADE)
        try:
            self._admin.create_topics([new])[self.topic].result(ASK)
        except self._kafka.KafkaException as problem:
            if problem.args[0].code() != self._kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        time.sleep(AGAIN)  # until its leader is known

    def _checked(self, partitions: int) -> int:
        kafka = self._kafka.admin
        resource = kafka.ConfigResource(kafka.ConfigResource.Type.TOPIC, self.topic)
        found = self._admin.describe_configs([resource])[resource].result(ASK)
        config = {name: entry.value for name, entry in found.items()}
        wrong = [f"{n} = {config.get(n)}" for n, good in NEEDED.items() if config.get(n) != good]
        if partitions != 1:
            wrong.append(f"{partitions} partitions")
        if wrong:
            needed = ",".join(f"{name}={value}" for name, value in NEEDED.items())
            raise Invalid(
                "journal.topic",
                f"a journal in this topic would lose entries or their order: {', '.join(wrong)}",
                where=self.where,
                mend=f"give it one partition and {needed}; Gemel itself lets go of what is old",
            )
        self._segment = float(config.get("segment.ms") or 0) / 1e3
        return int(config.get("max.message.bytes") or 1_000_000)

    def _find(self, until: float) -> None:
        """Where the journal stands: the last mark, and every record since."""
        low, high = self._range(until)
        self._first, standing = low + 1, self._standing
        if low == high:
            if high:
                raise self._strange("all its records were deleted, and its positions with them")
            return
        start = low
        for place in range(high - 1, max(low, high - 100) - 1, -1):
            mark = next(self._records(place, place + 1, until)).mark
            if mark > low:
                start = mark - 1
                break
        first = next(self._records(start, start + 1, until))
        if "mark" in first.told:
            standing.begin(start + 1, first.told["mark"])
            self._mark = start + 1
        elif start > 0 or "claim" not in first.told:
            raise self._strange("it holds records that no journal wrote")
        told = first.told.get("mark") or first.told["claim"]
        if told["plant"] != self.plant:
            raise self._strange(f"it is the journal of the plant '{told['plant']}'")
        self._scan(high, until)
        standing.whole.clear()
        self._last, self.fenced = standing.end, standing.fenced

    def _scan(self, end: int, until: float | None = None) -> None:
        """Take in every record before an offset."""
        for record in self._records(self._standing.last, end, until):
            self._standing.take(self._standing.last + 1, record)

    # ---- writing --------------------------------------------------------------------------------

    def _run(self) -> None:
        """Lead every group, until the journal is closed and nobody waits."""
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._waiting or self._closed)
                group, self._waiting = self._waiting, []
                if not group:
                    self._leading = False
                    self._turn.notify_all()
                    return
            try:
                self._lead(group)
            except Exception:
                log.exception("%s: a commit failed, and its callers were told", self.where)
                self._producer = None  # what is in the log is looked at before the next one

    def claim(self) -> None:
        self._join_and_wait(Pending([], []))

    def seal(self) -> None:
        """A mark, now: what is before it can be forgotten to the last entry."""
        self._join_and_wait(Pending([], []))

    def _join_and_wait(self, own: Pending) -> None:
        self._join(own, None)
        if own.error is not None:
            raise own.error

    def _row(self, entry: Entry) -> Row:
        row = super()._row(entry)
        words = len(row[1]) + len(row[2]) + len(row[5])
        size = 500 + 4 * words + len(row[4] or b"")  # a word's letter has four bytes at most
        if size > self._largest:
            raise Invalid(
                "journal.too_large",
                f"an entry of {size} bytes does not fit into a record of {self._largest}",
                where=f"{self.where}, source {entry.source!r}",
                mend="raise max.message.bytes of the topic, or let the source send less at a time",
            )
        return row

    def _write(self, group: list[Pending], first: int) -> None:
        """Send until it is there, whatever the cluster does; claim first where we do not write."""
        left = [pending for pending in group if pending.rows]
        while True:
            if self._over:
                raise self._fenced()
            try:
                if self._producer is None:
                    left = self._take_over(left)
                hooks.at("journal.before_commit")
                while left:
                    left = self._send(left)
                full = self._since[0] > MARK_BYTES or self._since[1] > MARK_RECORDS
                if full or len(group) > sum(1 for pending in group if pending.rows):
                    self._put_mark()
                break
            except Conflict:
                self._over = True
                raise
            except _Away as problem:
                self._lost(str(problem))
                self._producer = None
                if self._released.wait(AGAIN):
                    raise self._gone() from None
        self._back()
        hooks.at("journal.after_commit")

    def _take_over(self, group: list[Pending]) -> list[Pending]:
        """Claim the epoch, and settle what was in flight when we last wrote: of `group`, what is
        not in the log goes on."""
        with self._reading:
            standing = self._standing
            self._scan(self._range()[1])  # what an attempt before found is still in `whole`
            if self._epoch not in (0, standing.epoch):
                raise self._fenced()
            producer = self._kafka.Producer(
                self._settings
                | {
                    "acks": "all",
                    "enable.idempotence": True,
                    "message.timeout.ms": 0,  # for as long as it takes
                    "linger.ms": 0,
                    "compression.type": "lz4",
                    "message.max.bytes": self._largest,
                    "batch.size": min(1_000_000, self._largest),
                    "queue.buffering.max.messages": 1_000_000,
                }
            )
            claim = {"plant": self.plant, "follows": standing.epoch, "by": uuid.uuid4().hex}
            (offset,) = self._produce(producer, [self._own({"claim": claim})])
            self._scan(offset + 1)
            if standing.epoch != offset + 1:
                raise self._fenced()
            if not self._epoch:
                standing.whole.clear()  # of a former writer they are not ours
            self._epoch, self._producer = offset + 1, producer
            with self._turn:
                self._last, self.fenced = standing.end, standing.fenced
                self._tail.clear()
                self._held = 0
            self._put_mark()
        return self._settled(group)

    def _settled(self, group: list[Pending]) -> list[Pending]:
        """What is in the log has its sequences now; the calls that are not, wherever they stood
        among those that are: a record in the middle may have been refused for itself."""
        there, self._standing.whole = self._standing.whole, []
        left = []
        for pending in group:
            keys = [key_of(value_of(row)) for row in pending.rows] if there else []
            call = next((one for one in there if one.keys == keys), None)
            if call is None:
                left.append(pending)
            else:
                there.remove(call)
                pending.sequences = call.sequences
        return left

    def _send(self, group: list[Pending]) -> list[Pending]:
        """Every row of the group as a record, all acknowledged; the calls that did not enter."""
        standing, records = self._standing, []
        for pending in group:
            count = len(pending.rows)
            for index, row in enumerate(pending.rows):
                head = HEAD.pack(self._epoch, self._mark, index, count)
                records.append((value_of(row), head))
        offsets = self._produce(self._producer, records)
        first = standing.last
        if offsets != list(range(first, first + len(offsets))):
            return self._sort_out(group, max(offsets))
        for pending in group:
            pending.sequences = list(range(first + 1, first + 1 + len(pending.rows)))
            first += len(pending.rows)
        with self._turn:
            standing.last = self._last = first
            for pending in group:
                standing.positions |= {row[1]: row[2] for row in pending.rows if row[2]}
        return []

    def _sort_out(self, group: list[Pending], end: int) -> list[Pending]:
        """Somebody else wrote between. If our time is not over, his records count for nothing."""
        with self._reading:
            self._scan(end + 1)
        if self._standing.epoch != self._epoch:
            raise self._fenced()
        with self._turn:
            self._last, self.fenced = self._standing.end, self._standing.fenced
        return self._settled(group)

    def _own(self, told: dict[str, Any]) -> tuple[bytes, bytes]:
        head = HEAD.pack(self._epoch, self._mark, 0, 0)
        return json.dumps(told, separators=(",", ":")).encode(), head

    def _put_mark(self) -> None:
        """All that opening must know, in one record."""
        standing = self._standing
        (offset,) = self._produce(self._producer, [self._own(standing.mark(self.plant))])
        if offset != standing.last:
            raise _Away("somebody else writes into the topic")  # it is looked at once more
        with self._turn:
            standing.last = self._last = self._mark = offset + 1
            self._hold(Entry(BLANK[0], BLANK[1], 0, sequence=self._mark))
        self._since = [0, 0]

    def _produce(self, producer: Any, records: list[tuple[bytes, bytes]]) -> list[int]:
        """Records in order; their offsets once every replica in sync has them."""
        offsets: list[int] = []
        failed: list[Any] = []

        def told(error: Any, record: Any) -> None:
            if error is None:
                offsets.append(record.offset())
            else:
                failed.append(error)

        for value, head in records:
            while True:
                try:
                    producer.produce(
                        self.topic, value, partition=0, headers=[(HEADER, head)], on_delivery=told
                    )
                    break
                except BufferError:
                    producer.poll(0.01)
        began, released = time.monotonic(), 0.0
        while len(offsets) + len(failed) < len(records):
            producer.poll(0.05)
            now = time.monotonic()
            if now - began > QUIET:
                self._lost(self._why or "it does not answer")
            if self._refused:
                raise self._refused
            if self._released.is_set():
                released = released or now
                if self.away or now - released > GRACE:
                    producer.purge()
                    raise self._gone()
        if failed:
            self._trouble(failed[0])
            raise _Away(failed[0].str())
        self._back()
        self._since[0] += sum(len(value) for value, _ in records)
        self._since[1] += len(records)
        return offsets

    # ---- reading --------------------------------------------------------------------------------

    def position(self, source: str) -> str:
        with self._turn:
            return self._standing.positions.get(source, "")

    def first(self) -> int:
        return self._first

    def _fetch(self, after: int, limit: int) -> list[tuple[int, Row]]:
        with self._reading:
            if self._closed:
                raise self._gone()
            end = min(after + limit, self.last())
            rows = enumerate(self._records(after, end), after + 1)
            counts = self._standing.counts
            return [(k, record.row if counts(k) else BLANK) for k, record in rows]

    def _records(self, start: int, end: int, until: float | None = None) -> Iterator[Record]:
        """The records of some offsets, in order; waits for a cluster that is away."""
        codes = self._kafka.KafkaError
        while start < end:
            if self._at != start:
                self._consumer.assign([self._kafka.TopicPartition(self.topic, 0, start)])
                self._at = start
            messages = self._consumer.consume(min(end - start, 1000), AGAIN)
            if not messages:
                self._pause(until, 0.0)
            for message in messages:
                if message.error() is not None:
                    self._at = -1
                    if message.error().code() in (
                        codes._AUTO_OFFSET_RESET,
                        codes.OFFSET_OUT_OF_RANGE,
                    ):
                        raise self._deleted(start)
                    self._trouble(message.error())
                    self._pause(until)
                    break
                if message.offset() != start:
                    self._at = -1
                    raise damaged(self.where, f"record {start} is not there")
                start = self._at = start + 1
                yield read_record(message)
        if end >= self._standing.last:  # nothing more is there to be fetched in advance
            self._consumer.unassign()
            self._at = -1

    def _deleted(self, offset: int) -> NotFound:
        return NotFound(
            "journal.gone",
            f"entry {offset + 1} is not in the topic any more",
            where=self.where,
            mend="see who deletes its records: its retention must be -1, Gemel lets go of them",
        )

    def _range(self, until: float | None = None) -> tuple[int, int]:
        """The first offset, and the one after the last."""
        while True:
            try:
                place = self._kafka.TopicPartition(self.topic, 0)
                low, high = self._consumer.get_watermark_offsets(place, timeout=ASK)
            except self._kafka.KafkaException as problem:
                self._trouble(problem.args[0])
                self._pause(until)
            else:
                if high < self._standing.last:
                    raise self._strange(f"it ends at {high}, and {self._standing.last} was there")
                return int(low), int(high)

    def forget(self, before: int) -> int:
        """Down to the last mark at or before it: the cluster deletes whole segments, later."""
        before = min(before, self.last())
        if before > self._first:
            with self._reading:
                record = next(self._records(before - 1, before))
            mark = before if before == self._mark else record.mark
            if mark > self._first:
                place = self._kafka.TopicPartition(self.topic, 0, mark - 1)
                try:
                    self._admin.delete_records([place])[place].result(PATIENCE)
                except self._kafka.KafkaException as problem:
                    raise Unavailable(
                        "journal.not_forgotten",
                        f"the topic keeps its old entries: {problem.args[0].str()}",
                        where=self.where,
                        mend="give the user the right to delete records of the topic",
                    ) from problem
                self._first = mark
        return self._first

    def erase(self, twin: str, before: int, until: int, held: int) -> Erased | None:
        """A record cannot be changed: all entries up to a mark after `until` are forgotten, once a
        snapshot holds what they came to."""
        if self._mark <= until:
            self.seal()
        if held < self._mark:
            return None
        first = self.forget(self._mark)
        how = (
            f"every entry before {first} can be read no more; the brokers delete their files when"
            f" the segments that hold them close (segment.ms of the topic is {self._segment:g} s)"
            " and are cleaned"
        )
        return Erased(how=how)

    # ---- what goes wrong ------------------------------------------------------------------------

    def _on_error(self, error: Any) -> None:
        """librdkafka tells of what is no record's: it goes on by itself."""
        self._refused = self.cluster.refusal(error) or self._refused
        self._why = str(error.str())

    def _trouble(self, error: Any) -> None:
        self._on_error(error)
        self._lost(self._why)
        if self._refused:
            raise self._refused

    def _lost(self, why: str) -> None:
        """Say an outage once, however many attempts fail."""
        if not self.away:
            log.warning(
                "%s is away (%s): nothing is acknowledged until it is back", self.where, why
            )
        self.away = why

    def _back(self) -> None:
        if self.away:
            log.info("%s is back", self.where)
        self.away = self._why = ""

    def _pause(self, until: float | None, seconds: float = AGAIN) -> None:
        """Between two tries, while there is somebody who waits and time to."""
        if self._refused:
            raise self._refused
        if until is not None and time.monotonic() > until:
            raise Unavailable(
                "journal.away",
                f"the cluster does not answer: {self.away or self._why}",
                where=self.where,
                mend="start it, or mend [journal] in the plant file; whoever sends waits meanwhile",
            )
        if self._released.wait(seconds):
            raise self._gone()

    def _strange(self, what: str) -> Conflict:
        return Conflict(
            "journal.other",
            f"this topic is not the journal of this plant: {what}",
            where=self.where,
            mend="name the plant's own topic under [journal], or one that is empty",
        )

    def _shut(self) -> None:
        with self._reading:
            self._consumer.close()
            self._producer = None
