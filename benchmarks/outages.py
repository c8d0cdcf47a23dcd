"""What goes wrong around Gemel while devices speak: brokers, members of a group, the disk.

Owns    the figures `telemetry.broker_back`, `leader_lost`, `rebalance_kill`, `disk_full`: 1 where
        it went as promised.
Never   looks away: each ends with the whole comparison of `telemetry_kills`.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tests.kafka_servers import Broker, Kafka

from benchmarks import devices
from benchmarks.devices import Message, Row
from benchmarks.runner import figure
from benchmarks.telemetry_kills import (
    Ending,
    Gemel,
    Kill,
    Speaking,
    Verdict,
    brokers,
    expected,
    from_kafka,
    gemel,
    judge,
    plant,
    say,
    unbalanced,
    whole,
)
from gemel.connect.kafka import GROUP
from gemel.flow.fleet import load_plan
from gemel.records import Entry

FLAWLESS = Verdict(0, 0, 0, 0)
QUIET = 3.0  # s in which all is well
LAST = 40.0  # s for what is left, after the last member was killed
REACH = 60.0  # s until a member that is to die has come to the point
DISK = 64 << 20  # bytes of the small disk
ROOMS = (3 << 20, 2 << 20, 1 << 20)  # bytes that are left of it, in turn
FAST = 200.0  # messages a second and source
PATIENCE = 120.0  # s
REBALANCE, GROUP_NAME, ROUNDS = "kafka.rebalance", "proof", 3


@figure("telemetry.broker_back", unit="1", kind="proof")
def broker_back() -> float:
    """The one broker of Kafka is killed three times and comes back, under a Gemel that goes on."""
    with brokers() as (folder, port, cluster):
        return _under_outages(folder, port, cluster, lambda: cluster.brokers[0])


@figure("telemetry.leader_lost", unit="1", kind="proof")
def leader_lost() -> float:
    """Of three brokers the leader is killed, three times, under a Gemel that goes on."""
    with brokers(3) as (folder, port, cluster):
        return _under_outages(folder, port, cluster, lambda: cluster.leader(devices.TOPIC))


def _under_outages(folder: Path, port: int, cluster: Kafka, which: Callable[[], Broker]) -> float:
    with gemel(folder, port, cluster) as process:
        with closing(Speaking(folder, port, cluster)) as speaking:
            process.begin()
            for _ in range(3):
                time.sleep(QUIET)
                broker = which()
                broker.kill()
                time.sleep(QUIET)
                broker.start()
                cluster.wait()
            time.sleep(QUIET)
            truth = speaking.finish()
        process.end()
        return float(judge(process, truth, folder) == FLAWLESS)


# ---- a group -----------------------------------------------------------------------------------


@figure("telemetry.rebalance_kill", unit="1", kind="proof")
def rebalance_kill() -> float:
    """Two plants share the partitions, and are killed as they let go of some or take them over.

    Together they have all. What the one that was killed had not yet told the group comes to the
    other too; neither takes a record twice.
    """
    with brokers() as (folder, port, cluster), ExitStack() as stack:
        cluster.create(devices.TOPIC, devices.PARTITIONS)
        plan_file = folder / "plant.toml"
        shared = from_kafka(cluster.bootstrap, f'shared = true\ngroup = "{GROUP_NAME}"\n')
        plan_file.write_text(plant(shared), encoding="utf-8")
        one, two = (
            stack.enter_context(closing(Gemel(plan_file, folder / name))) for name in ("one", "two")
        )
        speaking = stack.enter_context(closing(Speaking(folder, port, cluster)))
        for _ in range(ROUNDS):
            one.kill(Kill("kafka.before_tell", 5, REACH))  # its last delivery is not told
            _settled(cluster, 0)
            two.begin(Kill(REBALANCE, 3, REACH))  # takes all over; dies as it takes a half again
            _settled(cluster, 1)
            one.begin(Kill(REBALANCE, 2, REACH))  # takes the other half; dies as it lets go of it
            two.end()
            one.end()
        truth = [m for m in speaking.finish() if m.source == "kafka"]
        for member in (one, two):
            member.begin(Kill(after=LAST, gently=True))
        for member in (one, two):
            member.end()
        died = one.killed + two.killed
        say(", ".join(f"{point} {number}" for point, number in died.items()))
        return float(_shared([one, two], truth, died.total()) and died[REBALANCE] == 2 * ROUNDS)


def _settled(cluster: Kafka, members: int) -> None:
    """Wait until the group has so many members, and each has its part."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        told = cluster.admin.describe_consumer_groups([GROUP_NAME])[GROUP_NAME].result()
        there = [member for member in told.members if member.assignment.topic_partitions]
        if len(there) == len(told.members) == members:
            return
        time.sleep(0.2)
    raise TimeoutError("the group did not settle")


def _shared(members: list[Gemel], truth: list[Message], kills: int) -> bool:
    """Whether members have everything together, and each has it once."""
    wanted, sent = expected(truth), Counter(row for message in truth for row in message.rows)
    faults, facts, more = [], {}, Counter[Row]()
    for member in members:
        ended = Ending(member.data)
        ended.replay(load_plan(member.plan_file))
        faults += [*unbalanced(ended)]
        taken = Counter(row for entry in ended.entries for row in rows_of(entry))
        faults += [f"{row} was taken in twice" for row in taken - sent]
        facts |= {key: value for key, (value, _) in ended.facts.items() if key not in facts}
        more += taken
        ended.close()
        faults += [] if whole(member.data) else [f"{member.data} is damaged"]
    missing = set(wanted) - set(facts)
    again = more - sent
    say(f"{again.total()} samples came to both members")
    faults += [f"{len(missing)} samples are lost"] if missing or sent - more else []
    faults += ["more came again than was on its way"] if again.total() > 2 * GROUP * kills else []
    for fault in faults[:10]:
        say(fault)
    return not faults


def rows_of(entry: Entry) -> list[Row]:
    """twin, signal, instant, value of an entry's samples."""
    batch = entry.batch
    if batch is None:
        return []
    columns = (batch.twin, batch.signal, batch.instant, batch.value)
    return list(zip(*(column.tolist() for column in columns), strict=True))


# ---- a disk ------------------------------------------------------------------------------------


@figure("telemetry.disk_full", unit="1", kind="proof")
def disk_full() -> float:
    """A small disk runs full under `gemel run`, three times: it stops and says what and how to
    mend, also when it is started again; nothing is damaged; with room it goes on, nothing lost."""
    with brokers() as (folder, port, cluster), small_disk(folder / "disk") as disk:
        with gemel(folder, port, cluster, disk / "data") as process:
            with closing(Speaking(folder, port, cluster, FAST)) as speaking:
                clear = [_runs_full(process, disk, room) for room in ROOMS]
                truth = speaking.finish()
            process.begin()
            process.end()
            return float(all(clear) and judge(process, truth, folder) == FLAWLESS)


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    place.mkdir()
    size = f"size={DISK}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "gemel-proof", place], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(
            f"a small disk cannot be mounted: {done.stderr.strip()}; mend: run this as root"
        )
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def _runs_full(process: Gemel, disk: Path, room: int) -> bool:
    """Run Gemel where so many bytes are left, until it stops; start it once more; make room."""
    ballast = disk / "ballast"
    left = os.statvfs(disk)
    ballast.write_bytes(bytes(left.f_bavail * left.f_frsize - room))
    clear = [_stops_clearly(process) for _ in range(2)]
    ballast.unlink()
    if not whole(process.data):
        say("something is damaged")
    return all(clear) and whole(process.data)


def _stops_clearly(process: Gemel) -> bool:
    """Whether `gemel run` ends with an error of ours about the disk."""
    words = [sys.executable, "-m", "gemel", "run", str(process.plan_file), "--plain", "--port", "0"]
    done = subprocess.run(
        [*words, "--data", str(process.data)], capture_output=True, text=True, timeout=PATIENCE
    )
    told = done.stderr.strip()
    say(f"ended with {done.returncode}: {told}")
    full = "full" in told or "No space" in told
    return done.returncode > 0 and full and "mend: " in told and "Traceback" not in told
