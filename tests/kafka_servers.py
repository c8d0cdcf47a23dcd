"""Apache Kafka on loopback, as real as it gets: one broker, or several with a quorum.

Owns    the brokers' settings, their processes and their data folders, until `stop`.
Never   fetches: `scripts/kafka` did, and `missing` says what to do where it did not.
"""

import logging
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic, PartitionMetadata

ROOT = Path(__file__).resolve().parent.parent
CLUSTER = "Z2VtZWwgdGVzdCBwbGFudA"  # 16 bytes in base64, as Kafka wants it
JAVA = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"]
JAVA += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
JAVA += ["-Dorg.slf4j.simpleLogger.showDateTime=true"]
START_SECONDS = 180.0  # of a busy machine; an idle one takes 3
NOTHING: Mapping[str, str] = MappingProxyType({})
GIVEN: set[int] = set()


def missing() -> str:
    """Why no broker can be started here, and what mends it; '' where one can."""
    found = subprocess.run([ROOT / "scripts/kafka", "check"], capture_output=True, text=True)
    return found.stderr.strip() if found.returncode else ""


def free_port() -> int:
    """A port of 127.0.0.1 below those which the system hands to clients, never given twice.

    A broker that was killed gets its port back, whoever connected somewhere in the meantime.
    """
    for _ in range(1000):
        port = random.SystemRandom().randrange(20_000, 32_000)  # no seed: others draw beside us
        with socket.socket() as sock:
            if port not in GIVEN and sock.connect_ex(("127.0.0.1", port)) != 0:
                GIVEN.add(port)
                return port
    raise RuntimeError("no free port between 20000 and 32000")


def _admin(bootstrap: str) -> AdminClient:
    # A broker that is down is no news here: librdkafka would report it on stderr.
    quiet = logging.Logger("kafka", logging.CRITICAL)
    return AdminClient(
        {"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 200}, logger=quiet
    )


def _brokers_known(address: str) -> set[int]:
    """The brokers that the one at `address` knows. A new client, since an old one asks anyone."""
    return set(_admin(address).list_topics(timeout=2).brokers)


class Broker:
    """One process, broker and controller in one; killed, it starts again on the same data."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number, self.folder = number, folder
        self.port, self.controller_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.settings, self.log = folder / "server.properties", folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the process; `Kafka.wait` says when it answers."""
        assert not self.running, f"broker {self.number} runs already"
        self.process = self._java("kafka.Kafka", self.settings)

    def stop(self) -> None:
        """Stop as an administrator would: leadership is handed over first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End at once, as a crash does."""
        self._end(signal.SIGKILL)

    def format(self) -> subprocess.Popen[bytes]:
        return self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", self.settings)

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def _java(self, *words: str | Path) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            command = [*JAVA, "-cp", f"{ROOT / '.kafka'}/*", *words]
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


class Kafka:
    """A cluster of `count` brokers in `folder`. `settings` are added to those of every broker.

    With three, a topic has three replicas, and a record is acknowledged (`acks=all`) when all that
    are in sync have it, at least two. They have it in memory that the system will write, so that a
    killed process loses nothing; only the power failing on all replicas at once would.
    """

    def __init__(self, folder: Path, count: int = 1, settings: Mapping[str, str] = NOTHING) -> None:
        self.brokers = [Broker(number, folder / str(number)) for number in range(1, count + 1)]
        self.bootstrap = ",".join(broker.address for broker in self.brokers)
        for broker in self.brokers:
            broker.folder.mkdir(parents=True)
            lines = (self._settings(broker) | dict(settings)).items()
            broker.settings.write_text("".join(f"{name}={value}\n" for name, value in lines))
        self._admin: AdminClient | None = None

    def start(self) -> "Kafka":
        """Format the data folders, start every broker, wait until all of them answer."""
        try:
            formats = [(broker, broker.format()) for broker in self.brokers]
            for broker, process in formats:
                if process.wait(START_SECONDS):
                    raise RuntimeError(f"format of {broker.folder} failed:\n{broker.last_words()}")
            for broker in self.brokers:
                broker.start()
            self.wait()
        except BaseException:
            for broker in self.brokers:
                broker.kill()
            raise
        return self

    def stop(self) -> None:
        for broker in self.brokers:
            broker.kill()  # the data goes with the folder: there is nothing to hand over
        self._admin = None

    def wait(self) -> None:
        """Wait until every running broker answers, and knows of all of them and no others."""
        running = self._running()
        there = [broker.address for broker in self.brokers if broker.running]
        self._until(lambda: all(_brokers_known(address) == running for address in there))

    @property
    def admin(self) -> AdminClient:
        if self._admin is None:
            self._admin = _admin(self.bootstrap)
        return self._admin

    def create(self, topic: str, partitions: int = 1, **config: str) -> str:
        """A new topic, on as many brokers as there are; returns its name."""
        new = NewTopic(topic, partitions, len(self.brokers), config=config)
        self.admin.create_topics([new])[topic].result(30)
        self._until(lambda: set(self._partitions(topic)) == set(range(partitions)))
        return topic

    def leader(self, topic: str, partition: int = 0) -> Broker:
        """The broker that leads a partition now."""
        number = -1

        def known() -> bool:
            nonlocal number
            number = self._partitions(topic)[partition].leader
            return number > 0 and self.brokers[number - 1].running

        self._until(known)
        return self.brokers[number - 1]

    def wait_in_sync(self, topic: str, partition: int = 0) -> None:
        """Wait until the replica of every running broker has everything that was acknowledged."""
        self.wait()
        running = self._running()
        self._until(lambda: set(self._partitions(topic)[partition].isrs) == running)

    def _running(self) -> set[int]:
        return {broker.number for broker in self.brokers if broker.running}

    def _partitions(self, topic: str) -> dict[int, PartitionMetadata]:
        return dict(self.admin.list_topics(topic, timeout=5).topics[topic].partitions)

    def _until(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            for broker in self.brokers:
                if broker.process is not None and not broker.running:
                    raise RuntimeError(f"broker {broker.number} ended:\n{broker.last_words()}")
            try:
                if condition():
                    return
            except (KafkaException, KeyError):
                pass  # not there yet
            if time.monotonic() > until:
                words = "\n".join(broker.last_words() for broker in self.brokers)
                raise RuntimeError(f"Kafka was not ready in {START_SECONDS:g} s:\n{words}")
            time.sleep(0.05)

    def _settings(self, broker: Broker) -> dict[str, str]:
        voters = [f"{b.number}@127.0.0.1:{b.controller_port}" for b in self.brokers]
        replicas, enough = str(len(self.brokers)), str(len(self.brokers) // 2 + 1)
        return {
            "process.roles": "broker,controller",
            "node.id": str(broker.number),
            "controller.quorum.voters": ",".join(voters),
            "listeners": f"CLIENT://{broker.address},"
            f"CONTROLLER://127.0.0.1:{broker.controller_port}",
            "advertised.listeners": f"CLIENT://{broker.address}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(broker.folder / "data"),
            "min.insync.replicas": enough,
            "default.replication.factor": replicas,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": enough,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": enough,
            # A misspelt topic is an error, not a new topic.
            "auto.create.topics.enable": "false",
            # A test waits for these. The last: a dead leader is replaced after it, and a broker
            # that starts again may not come back before its former self has timed out.
            "group.initial.rebalance.delay.ms": "0",
            "broker.heartbeat.interval.ms": "300",
            "broker.session.timeout.ms": "3000" if len(self.brokers) > 1 else "1500",
            # Small, for a small heap and a quick start.
            "offsets.topic.num.partitions": "3",
            "transaction.state.log.num.partitions": "3",
            "share.coordinator.state.topic.num.partitions": "3",
            "log.cleaner.dedupe.buffer.size": str(4 << 20),
            "num.network.threads": "2",
            "num.io.threads": "4",
        }
