"""The devices of a small plant, over MQTT and Kafka at once, and the truth of what they said.

Owns    what is sent and when: mostly in order, and also swapped, late, twice, corrected, ahead of
        time, from strangers, unreadable; and which of it the brokers acknowledged.
Never   sees Gemel: it knows the two brokers alone, and goes on whatever happens behind them.

    python -m benchmarks.devices MQTT_PORT BOOTSTRAP RATE SEED FILE

says that it is ready, and sends RATE messages a second of each source until its stdin says
something; then it says the rest and a mark,
waits for every acknowledgement, and writes what was acknowledged to FILE: a JSON object a message,
in the order of sending.
"""

import heapq
import json
import random
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from confluent_kafka import Producer

from gemel.clock import SECOND, format_instant

TWINS = ("t1", "t2", "t3", "t4")
SIGNALS = {  # of a tank that stands still, by source: (value, noise)
    "mqtt": {"level": (1.0, 0.003), "outflow": (5.01, 0.1)},
    "kafka": {"inflow": (5.01, 0.05), "valve": (0.4, 0.001)},
}
TOPIC, PARTITIONS = "tanks", 2
HOUR = 3600 * SECOND
MARK = "the-end"  # a twin that the plant does not have
KINDS = {  # per mille of what is said
    "fresh": 824,
    "swapped": 100,  # held back for less than the lateness
    "again": 30,
    "corrected": 10,
    "late": 6,  # held back for longer: its span runs again
    "parked": 10,  # an hour old
    "ahead": 5,
    "stranger": 5,
    "dead": 10,
}
REJECTED = ("ahead", "stranger", "mark")
WAIT = 60.0  # s for the last acknowledgements

Row = tuple[str, str, int, float]  # twin, signal, instant, value


@dataclass(frozen=True)
class Message:
    """One message. at: when it was sent, ns."""

    source: str
    kind: str
    twin: str
    at: int
    rows: list[Row] = field(default_factory=list)

    def payload(self) -> bytes:
        if not self.rows:
            return b'{"time": "soon", "values": {"level": 1'
        values = {signal: value for _, signal, _, value in self.rows}
        return json.dumps({"time": format_instant(self.rows[0][2]), "values": values}).encode()


class Devices:
    """What the devices behind one source say next."""

    def __init__(self, source: str, seed: int) -> None:
        self.source, self.draw = source, random.Random(f"{source} {seed}")
        self._said: deque[Message] = deque(maxlen=300)  # what may be said again or corrected
        self._held: list[tuple[int, int, Message]] = []
        self._clock = 0  # ns; no two new messages have one instant

    def say(self, now: int) -> Iterator[Message]:
        """One new message, or one held back now, and those whose time has come."""
        kind = self.draw.choices(list(KINDS), list(KINDS.values()))[0]
        message = self._new(kind, now)
        if kind in ("swapped", "late"):
            wait = self.draw.uniform(*((0.1, 2.0) if kind == "swapped" else (6.0, 20.0)))
            heapq.heappush(self._held, (now + int(wait * SECOND), message.rows[0][2], message))
        else:
            yield self._sent(message, now)
        yield from self.rest(now)

    def rest(self, now: int, until: int | None = None) -> Iterator[Message]:
        """What was held back until then; default: until now."""
        while self._held and self._held[0][0] <= (until or now):
            yield self._sent(heapq.heappop(self._held)[2], now)

    def mark(self, now: int) -> Message:
        """The last word: when it is there, all that was said before it is."""
        return Message(self.source, "mark", MARK, now, self._rows(MARK, now))

    def _new(self, kind: str, now: int) -> Message:
        twin = self.draw.choice(TWINS)
        if kind in ("again", "corrected") and self._said:
            place = self.draw.randrange(len(self._said))
            said = self._said[place]
            if kind == "again":
                return Message(self.source, kind, said.twin, now, said.rows)
            rows = [(twin, s, at, round(value + 0.001, 4)) for twin, s, at, value in said.rows]
            self._said[place] = Message(self.source, kind, said.twin, now, rows)
            return self._said[place]
        twin = "nobody" if kind == "stranger" else twin
        off = {"parked": -HOUR, "ahead": HOUR}.get(kind, 0)
        rows = [] if kind == "dead" else self._rows(twin, now, off)
        return Message(self.source, kind, twin, now, rows)

    def _rows(self, twin: str, now: int, off: int = 0) -> list[Row]:
        self._clock = max(now // 1000 * 1000, self._clock + 1000)
        values = {
            signal: round(self.draw.gauss(value, noise), 4)
            for signal, (value, noise) in SIGNALS[self.source].items()
        }
        return [(twin, signal, self._clock + off, value) for signal, value in values.items()]

    def _sent(self, message: Message, now: int) -> Message:
        if message.kind in ("fresh", "swapped", "late"):
            self._said.append(message)
        return Message(message.source, message.kind, message.twin, now, message.rows)


class Mqtt:
    """A publisher of QoS 1; what it sent is acknowledged by the broker's PUBACK."""

    def __init__(self, port: int) -> None:
        self._sent: list[tuple[Message, paho.MQTTMessageInfo]] = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="devices")
        self._client.max_queued_messages_set(0)
        self._client.max_inflight_messages_set(1000)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def send(self, message: Message) -> None:
        topic = f"hall/{message.twin}/telemetry"
        self._sent.append((message, self._client.publish(topic, message.payload(), qos=1)))

    def acknowledged(self) -> list[Message]:
        until = time.monotonic() + WAIT
        while time.monotonic() < until and not self._sent[-1][1].is_published():
            time.sleep(0.01)
        told = [message for message, answer in self._sent if answer.is_published()]
        assert len(told) == len(self._sent), "the broker did not acknowledge all"
        self._client.disconnect()
        self._client.loop_stop()
        return told


class Kafka:
    """An idempotent producer; what it sent is acknowledged when all replicas in sync have it."""

    def __init__(self, bootstrap: str) -> None:
        self._there: list[Message] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 2,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )

    def send(self, message: Message) -> None:
        for partition in range(PARTITIONS) if message.kind == "mark" else [-1]:
            self._producer.produce(
                TOPIC, message.payload(), message.twin, partition, self._delivered(message)
            )
        self._producer.poll(0)

    def acknowledged(self) -> list[Message]:
        assert self._producer.flush(WAIT) == 0, "the cluster did not acknowledge all"
        return sorted(self._there, key=lambda message: message.at)

    def _delivered(self, message: Message) -> Callable[[Any, Any], None]:
        def told(error: Any, record: Any) -> None:
            if error is None:
                self._there.append(message)

        return told


def run(port: int, bootstrap: str, rate: float, seed: int) -> list[Message]:
    """Speak until the stdin says something; what was acknowledged."""
    wires = {"mqtt": Mqtt(port), "kafka": Kafka(bootstrap)}
    devices = {source: Devices(source, seed) for source in wires}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        due += 1.0 / rate
        for source, wire in wires.items():
            for message in devices[source].say(time.time_ns()):
                wire.send(message)
    for source, wire in wires.items():
        for message in devices[source].rest(time.time_ns(), 1 << 62):
            wire.send(message)
        wire.send(devices[source].mark(time.time_ns()))
    return [message for wire in wires.values() for message in wire.acknowledged()]


def read(path: Path) -> list[Message]:
    """What `run` wrote."""
    told = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Message(**{**one, "rows": [tuple(row) for row in one["rows"]]}) for one in told]


if __name__ == "__main__":
    found = run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
    lines = [json.dumps(asdict(message)) + "\n" for message in found]
    Path(sys.argv[5]).write_text("".join(lines), encoding="utf-8")
