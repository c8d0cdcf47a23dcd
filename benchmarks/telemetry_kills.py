"""Kill Gemel 300 times while MQTT and Kafka feed it, and count what is missing.

Owns    the plant that is fed, the process that is killed and begun again, the comparison with the
        devices' truth and with runs that nobody stopped, and the figures `telemetry.kills` …
Never   forgives: one sample lost or stored twice, one book that does not balance, one bit of an
        estimate fails. Commands are killed at by `kills`.

What is held against what:

* history against the devices' truth, by key: every value that a broker acknowledged is there, the
  corrected ones as corrected, each stored once, and nothing else;
* the books of every tick against themselves, those of Kafka also against the truth, sample by
  sample: a record comes once. A message of MQTT that was on its way at a kill comes twice, so that
  its book may hold more, told as what it is;
* the ledger against a replay of it from the first row (`gemel replay-check`), bit by bit;
* belief and history against a run over the same journal that nobody stopped, bit by bit;
* belief and its history against a run in which every sample came when it was sent, bit by bit: as
  what comes within `rerun` ends where it would have in time, so does what a kill made late.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from tests.kafka_servers import Kafka

from benchmarks import devices
from benchmarks.connectors import mosquitto, scratch
from benchmarks.devices import MARK, REJECTED, WAIT, Devices, Message
from benchmarks.runner import ROOT, figure
from gemel import hooks
from gemel.clock import SECOND, ManualClock
from gemel.connect import kafka
from gemel.connect.link import Address, connect_client
from gemel.flow import loop
from gemel.flow.fleet import Plan, load_plan
from gemel.flow.host import Host
from gemel.flow.memory import begin
from gemel.flow.replay import iter_rows, verify
from gemel.flow.tick import tick
from gemel.records import Batch, Entry
from gemel.store import batchlog, journalfile, upkeep
from gemel.store.journalfile import SqliteJournal
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger
from gemel.store.snapshots import Snapshots

POINTS = [p for p in hooks.POINTS if not p.startswith("wire.") and p != "kafka.rebalance"]
KILLS, EACH = 300, 14  # in all; at each point
START = 1_700_000_000 * SECOND
RATE = 60.0  # messages a second and source
PATIENCE = 20.0  # s until a point is passed
DRAIN = 300.0  # s until the devices' last words are in
PLANT = """
[plant]
name = "tanks"
lateness = "4s"
rerun = "10min"
[interface.Tank]
id = "dtmi:gemel:proof:Tank;1"
[interface.Tank.telemetry]
level = { unit = "m", range = [0, 10] }
outflow = { unit = "m3/h" }
inflow = { unit = "m3/h" }
valve = { unit = "1", range = [0, 1] }
[[binding]]
name = "tank"
kernel = "gemel.kernels.library.tank:Tank"
interface = "Tank"
every = "2s"
ports = { opening = "valve", gauge = "level" }
[history]
rollup = ["1min"]
"""


@dataclass(frozen=True)
class Kill:
    """Die at the `count`-th pass of a point, or, where there is none, after so many seconds;
    gently: stop then, as a person would stop it."""

    point: str = ""
    count: int = 0
    after: float = 0.0
    gently: bool = False


class Gemel:
    """One data directory, on which Gemel is started, killed and started again.

    A start is a fork of a process that has imported Gemel, read the plant file and compiled its
    kernel, and has touched nothing else: what any new process would come to know.
    """

    def __init__(self, plan_file: Path, data: Path) -> None:
        self.plan_file, self.data = plan_file, data
        self.killed: Counter[str] = Counter()
        self._nest = begun("telemetry_kills", plan_file, data)
        self._kill: Kill | None = None

    def begin(self, kill: Kill | None = None) -> None:
        """Start it, to be killed; without a kill, to go on until the devices' marks are in."""
        self._kill = kill
        say_to(self._nest, json.dumps(kill and asdict(kill)))

    def end(self) -> None:
        """Wait until it has ended as it was told to."""
        assert self._nest.stdout is not None
        code, ours = json.loads(self._nest.stdout.readline())
        kill = self._kill
        if code != (0 if kill is None or kill.gently else -signal.SIGKILL):
            raise AssertionError(f"{kill}: Gemel ended by itself with {code}")
        if code:
            self.killed["at random" if ours or kill is None else kill.point] += 1

    def kill(self, kill: Kill) -> None:
        """Start it, and kill it."""
        self.begin(kill)
        self.end()

    def close(self) -> None:
        let_go(self._nest)


class Speaking:
    """The devices, in a process of their own."""

    def __init__(self, folder: Path, port: int, cluster: Kafka, rate: float = RATE) -> None:
        self._truth = folder / "truth.jsonl"
        self._process = begun("devices", port, cluster.bootstrap, rate, 7, self._truth)

    def finish(self) -> list[Message]:
        """They say their last; the truth, once all of it is acknowledged."""
        say_to(self._process, "enough")
        assert self._process.wait(2 * WAIT) == 0, "the devices were not acknowledged"
        return devices.read(self._truth)

    def close(self) -> None:
        let_go(self._process)


def begun(name: str, *words: Any) -> "subprocess.Popen[str]":
    """A process of our own, once it says that it is ready."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *map(str, words)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, start_new_session=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def say_to(process: "subprocess.Popen[str]", line: str) -> None:
    """One line for its stdin."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def let_go(process: "subprocess.Popen[str]") -> None:
    """End it, and what it has begun."""
    with process, suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def nest(plan_file: Path, data: Path) -> None:
    """For each line a start of Gemel; the answer: how it ended, and whether it was killed here."""
    plan = load_plan(plan_file)
    warm(plan)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        told = json.loads(line)
        kill = Kill(**told) if told else None
        child = os.fork()
        if not child:
            code = 1
            try:
                run(plan, data, kill)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        within = (kill.after or PATIENCE) if kill and not kill.gently else DRAIN + PATIENCE
        sys.stdout.write(json.dumps(_ended(child, within)) + "\n")
        sys.stdout.flush()


def _ended(child: int, within: float) -> tuple[int, bool]:
    """The exit code of a child, which is killed after some seconds; and whether it was."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        number, status = os.waitpid(child, os.WNOHANG)
        if number:
            return os.waitstatus_to_exitcode(status), False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), True


def warm(plan: Plan) -> None:
    """Everything that a tick compiles, compiled, and what pyarrow imports by itself, imported."""
    pa.array(["pandas, where it is"])
    at, memory = START, begin(plan)
    for k, source in enumerate(devices.SIGNALS, 1):
        rows = [(*row, "") for m in Devices(source, 0).say(at) for row in m.rows]
        tick(plan, memory, [Entry("batch", source, at, batch=Batch.of(rows), sequence=k)])
    tick(plan, memory, [Entry("beat", "clock", at + 60 * SECOND, sequence=3)])


def plant(*sources: str) -> str:
    """The plant file."""
    twins = (f'[[twin]]\nid = "{twin}"\ninterface = "Tank"\n' for twin in devices.TWINS)
    return PLANT + "".join((*sources, *twins))


def from_mqtt(port: int) -> str:
    """The source that is fed by mosquitto."""
    return (
        f'[[source]]\nname = "mqtt"\nkind = "mqtt"\nurl = "mqtt://127.0.0.1:{port}"\n'
        'topic = "hall/+/telemetry"\ncommands = false\n'
    )


def from_kafka(bootstrap: str, more: str = "") -> str:
    """The source that is fed by Kafka."""
    return (
        f'[[source]]\nname = "kafka"\nkind = "kafka"\nbrokers = "{bootstrap}"\n'
        f'topic = "{devices.TOPIC}"\n{more}'
    )


def subscribe(port: int) -> None:
    """Begin the session that Gemel will go on with: from here on the broker keeps for it."""
    there: list[Any] = []
    client = connect_client(Address("127.0.0.1", port), "gemel-mqtt", keep=True)
    client.on_subscribe = lambda *told: there.append(told)
    client.on_connect = lambda *told: client.subscribe("hall/+/telemetry", 1)
    client.connect("127.0.0.1", port)
    until = time.monotonic() + PATIENCE
    while not there and time.monotonic() < until:
        client.loop(0.1)
    assert there, "the broker did not take the subscription"
    client.disconnect()


def run(plan: Plan, data: Path, kill: Kill | None) -> None:
    """Gemel, until it is killed; without a kill until the devices' marks are in."""
    passed = 0

    def at(name: str) -> None:
        nonlocal passed
        passed += name == kill.point if kill else 0
        if kill and passed == kill.count and name == kill.point:
            os.kill(os.getpid(), signal.SIGKILL)

    if kill and kill.point:
        hooks.set_callback(at)
    # Many small steps: many places to die.
    loop.KEEP_EVERY, loop.SNAPSHOT_SHARE, journalfile.CHECKPOINT = 0.15, 1.0, 1 << 17
    journalfile.LARGE, batchlog.ROLL = 100, 1 << 14
    upkeep.EVERY, kafka.TELL = 0.5, 0.1
    host = Host(plan, data).start()
    if kill is None:
        drain(host)
    elif kill.gently:
        host.wait(kill.after)
    else:
        host.wait()
    host.stop()
    if host.failure is not None:
        raise host.failure


def drain(host: Host) -> None:
    """Until both sources have told their last word and every frame is closed."""
    marks, until = {"mqtt": 2, "kafka": 2 * devices.PARTITIONS}, time.monotonic() + DRAIN
    while True:
        told = host.ledger.dead_letters(fate="rejected", text=MARK)
        found = Counter(str(letter["source"]) for letter in told)
        if all(found[source] >= count for source, count in marks.items()):
            break
        if host.failure is not None or time.monotonic() > until:
            raise AssertionError(f"of the marks there are {found}, {host.failure}")
        time.sleep(0.2)
    time.sleep(1.0)
    end = Entry("beat", "clock", host.clock.now() + 10 * SECOND)
    host._await(host.journal.append([end])[0])


# ---- what is compared --------------------------------------------------------------------------


class Ending:
    """What a finished run left behind, read through the stores alone."""

    def __init__(self, data: Path) -> None:
        self.journal = SqliteJournal(data / "journal.db")
        self.ledger = Ledger(f"sqlite:///{data / 'ledger.db'}")
        self.lake = Lake(data / "lake")
        self.snapshots = Snapshots(data / "snapshots")
        found = self.snapshots.latest()
        last = self.ledger.last()
        assert found is not None and last is not None and found[0] == last.tick
        self.books = last.books
        self.memory = {
            name: array.tobytes()
            for name, array in found[1].items()
            if not name.startswith(("seen.", "recent."))
        }  # in any order
        self.entries = self.journal.read(0, 10**9)
        self.facts = {row[:4]: row[4:] for row in self._facts("value quality")}
        self.estimates = set(_rows(self.lake.estimates(), "twin name instant mean std"))

    def _facts(self, more: str) -> Iterable[tuple[Any, ...]]:
        return _rows(self.lake.telemetry(), f"source twin signal instant {more}")

    def replay(self, plan: Plan) -> None:
        """Run every row of the ledger again: the same bits, or `replay.differs`."""
        told = verify(plan, self.journal, self.ledger, self.snapshots)
        assert not told["skipped"], told

    def written(self) -> "Counter[tuple[Any, ...]]":
        """Every row of history's telemetry, however often it is there."""
        table = DeltaTable(str(self.lake.folder / "telemetry")).to_pyarrow_table()
        return Counter(_rows(table, "source twin signal instant fate value quality reason"))

    def close(self) -> None:
        self.journal.close()
        self.ledger.close()


def _rows(table: pa.Table, names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in names.split()), strict=True)


def expected(truth: list[Message]) -> dict[tuple[Any, ...], float]:
    """What history must hold: of each key the value that was said last."""
    return {
        (message.source, twin, signal, instant): value
        for message in truth
        if message.kind not in REJECTED
        for twin, signal, instant, value in message.rows
    }


def book_of(truth: list[Message]) -> Counter[str]:
    """The book of a source whose every message comes once."""
    fates = {"again": "duplicate", "corrected": "correction", "parked": "late", "dead": "dead"}
    book: Counter[str] = Counter()
    for message in truth:
        fate = "rejected" if message.kind in REJECTED else fates.get(message.kind, "stored")
        book.update({fate: len(message.rows) or 1, "received": len(message.rows) or 1})
    return book


def alone(plan: Plan, entries: Iterable[Entry], data: Path) -> Ending:
    """The ending of a run over some entries that nobody stops."""
    data.mkdir()
    journal = SqliteJournal(data / "journal.db")
    journal.append(list(entries))
    ledger, lake = Ledger(f"sqlite:///{data / 'ledger.db'}"), Lake(data / "lake")
    snapshots = Snapshots(data / "snapshots")
    turning = loop.Loop(
        plan, journal, ledger, lake, snapshots, ManualClock(), {}, lambda *told: None
    )
    while turning.step():
        pass
    turning.keep()
    journal.close()
    ledger.close()
    return Ending(data)


def in_time(truth: list[Message], first: Entry, last: Entry) -> Iterator[Entry]:
    """The truth as it would have come had nothing been held back, killed or late, between the
    first beat of the clock and the last."""
    assert first.kind == last.kind == "beat"
    yield first
    seconds: dict[tuple[int, str], list[Message]] = {}
    for message in truth:
        at = message.rows[0][2] if message.kind in ("swapped", "late") else message.at
        seconds.setdefault((at // SECOND, message.source), []).append(message)
    for (second, source), messages in sorted(seconds.items()):
        rows = [(*row, "") for message in messages for row in message.rows]
        yield Entry("batch", source, (second + 1) * SECOND, batch=Batch.of(rows))
    yield last


def whole(data: Path) -> bool:
    """Whether both databases pass SQLite's own check; reads every entry and row of the lake."""
    for name in ("journal.db", "ledger.db"):
        base = sqlite3.connect(data / name)
        told = base.execute("PRAGMA integrity_check").fetchall()
        base.close()
        if told != [("ok",)]:
            return False
    journal = SqliteJournal(data / "journal.db")
    journal.read(journal.first() - 1, 10**9)  # each batch against its checksum
    journal.close()
    for log in (data / "lake").glob("*/_delta_log"):
        DeltaTable(str(log.parent)).to_pyarrow_table()
    return True


@dataclass(frozen=True)
class Verdict:
    """What is wrong: samples lost, samples stored twice, books, values of belief and history."""

    lost: int
    doubled: int
    unbalanced: int
    wrong: int


def judge(process: Gemel, truth: list[Message], folder: Path) -> Verdict:
    """Hold a finished data directory against the truth, a replay, and two runs left alone."""
    plan, ended = load_plan(process.plan_file), Ending(process.data)
    wanted = expected(truth)
    lost = {k for k, value in wanted.items() if ended.facts.get(k, (None,))[0] != value}
    strange = set(ended.facts) - set(wanted)
    stored = Counter(row[:4] for row in ended.written().elements() if row[4] == "stored")
    twice = {key for key, count in stored.items() if count > 1}
    wrong_books = [*unbalanced(ended), *_against_truth(ended, truth)]
    ended.replay(plan)
    same = alone(plan, ended.entries, folder / "same")
    beats = [entry for entry in ended.entries if entry.kind == "beat"]
    last = max(beats, key=lambda beat: beat.received_at)  # that of `drain`; others may follow it
    timely = alone(plan, in_time(truth, ended.entries[0], last), folder / "timely")
    wrong = _differences(ended, same, "") + _differences(ended, timely, "tank.estimate.")
    wrong += len(ended.written() - same.written()) + len(same.written() - ended.written())
    wrong += not whole(process.data)
    for name, found in (("lost", lost), ("strange", strange), ("twice", twice)):
        if found:
            say(f"{name}: {len(found)}, such as {sorted(found)[:3]}")
    for line in wrong_books[:10]:
        say(line)
    for one in (ended, same, timely):
        one.close()
    return Verdict(len(lost), len(twice) + len(strange), len(wrong_books), wrong)


def _differences(one: Ending, other: Ending, among: str) -> int:
    """How many facts, estimates, and arrays of memory of such names, are not the same bits."""
    names = {name for name in one.memory | other.memory if name.startswith(among)}
    belief = {name for name in names if one.memory.get(name) != other.memory.get(name)}
    facts = set(one.facts.items()) ^ set(other.facts.items())
    if belief or facts or one.estimates != other.estimates:
        say(f"belief {sorted(belief)}, facts {sorted(facts)[:4]}, estimates "
            f"{sorted(one.estimates ^ other.estimates)[:4]}")  # fmt: skip
    return len(belief) + len(facts) + len(one.estimates ^ other.estimates)


def unbalanced(ended: Ending) -> Iterator[str]:
    """Books of any tick that do not balance; in the end they count what the journal holds."""
    for row in iter_rows(ended.ledger, 0):
        for source, book in row.books.items():
            if book["received"] != sum(n for fate, n in book.items() if fate != "received"):
                yield f"tick {row.tick}, {source}: {book}"
    came: Counter[str] = Counter()
    for entry in ended.entries:
        if entry.kind in ("batch", "dead"):
            came[entry.source] += 1 if entry.batch is None else len(entry.batch)
    for source, book in ended.books.items():
        if book["received"] != came[source]:
            yield f"{source}: {book['received']} are in the book, {came[source]} in the journal"


def _against_truth(ended: Ending, truth: list[Message]) -> Iterator[str]:
    """Kafka's book is that of messages which came once; MQTT's holds no less."""
    for source, book in ended.books.items():
        wanted = book_of([message for message in truth if message.source == source])
        for fate, count in wanted.items():
            if book[fate] < count or (source == "kafka" and book[fate] != count):
                yield f"{source}: {book[fate]} {fate} in the book, {count} were sent"


def say(line: str) -> None:
    """One line of progress."""
    sys.stderr.write(line + "\n")


# ---- the proof ---------------------------------------------------------------------------------


@contextmanager
def brokers(count: int = 1) -> Iterator[tuple[Path, int, Kafka]]:
    """A folder, mosquitto's port, and a cluster of Kafka."""
    with scratch() as folder, mosquitto(folder) as port:
        cluster = Kafka(folder / "kafka", count).start()
        try:
            yield folder, port, cluster
        finally:
            cluster.stop()


@contextmanager
def gemel(folder: Path, port: int, cluster: Kafka, data: Path | None = None) -> Iterator[Gemel]:
    """A plant that both brokers feed, and whose clock has beaten: what is old now is late."""
    plan_file = folder / "plant.toml"
    sources = from_mqtt(port), from_kafka(cluster.bootstrap)
    plan_file.write_text(plant(*sources), encoding="utf-8")
    cluster.create(devices.TOPIC, devices.PARTITIONS)
    subscribe(port)
    with closing(Gemel(plan_file, data or folder / "data")) as process:
        process.kill(Kill("ledger.after_commit", 1))
        yield process


def outcome(
    kills: list[Kill], folder: Path, port: int, cluster: Kafka
) -> tuple[Counter[str], list[Message], Verdict]:
    """Run it under these kills while both brokers are spoken to: how often it was killed where,
    what was said, and what became of it."""
    with gemel(folder, port, cluster) as process:
        with closing(Speaking(folder, port, cluster)) as speaking:
            for kill in kills:
                process.kill(kill)
            truth = speaking.finish()
        process.begin()
        process.end()
        return process.killed, truth, judge(process, truth, folder)


@figure(
    "telemetry.killed",
    unit={
        "telemetry.kills": "kills",
        "telemetry.kills_at_a_point": "kills",
        "telemetry.lost": "samples",
        "telemetry.doubled": "samples",
        "telemetry.unbalanced": "books",
        "telemetry.wrong_estimates": "values",
    },
    kind="proof",
)
def killed() -> dict[str, float]:
    """300 kills at every named point and at random, with MQTT and Kafka feeding all the time."""
    draw = random.Random(4)
    kills = [Kill(point, draw.randint(1, 6)) for point in POINTS for _ in range(EACH)]
    kills += [Kill(after=draw.uniform(0.1, 2.0)) for _ in range(KILLS - len(kills))]
    draw.shuffle(kills)
    with brokers() as place:
        count, _, verdict = outcome(kills, *place)
    say(", ".join(f"{point} {number}" for point, number in sorted(count.items())))
    return {
        "telemetry.kills": float(count.total()),
        "telemetry.kills_at_a_point": float(min(count[point] for point in POINTS)),
        "telemetry.lost": float(verdict.lost),
        "telemetry.doubled": float(verdict.doubled),
        "telemetry.unbalanced": float(verdict.unbalanced),
        "telemetry.wrong_estimates": float(verdict.wrong),
    }


if __name__ == "__main__":
    nest(Path(sys.argv[1]), Path(sys.argv[2]))
