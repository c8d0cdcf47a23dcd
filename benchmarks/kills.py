"""Kill the process at every named point, start it again, and compare with a run left alone.

Owns    the scenario (20 hours of a hall with a wearing bearing, a command approved on the way), the
        killed child, the comparison, and the figures `kills.*` of `make proof`.
Never   forgives: one sample lost or doubled, one bit of an estimate, one command sent twice fails.

    python -m benchmarks.kills child DATA POINT N     the child; POINT "" runs to the end
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from deltalake import DeltaTable

from benchmarks.runner import figure
from gemel import hooks
from gemel.connect.broker import EmbeddedBroker
from gemel.connect.link import Address
from gemel.connect.mqtt import MqttSink
from gemel.errors import GemelError
from gemel.flow import loop
from gemel.flow.fleet import Plan, load_plan
from gemel.flow.host import Host
from gemel.graph.plantfile import SourceSpec
from gemel.plant.frames import Writer
from gemel.plant.truth import START, SteamHall, demo_faults
from gemel.plant.way import Way
from gemel.store import journalfile

ROOT = Path(__file__).resolve().parent.parent
TOPIC = "hall/+/telemetry"
# A file feeds this plant; brokers feed that of telemetry_kills.
POINTS = [point for point in hooks.POINTS if not point.startswith(("mqtt.", "kafka."))]
STARTS = 40  # of one case at most


@dataclass(frozen=True)
class Ending:
    """What is left when the history is through: compared as a whole."""

    estimates: str
    telemetry: int
    doubles: int
    books: dict[str, dict[str, int]]
    findings: list[str]


class Scene:
    """The data, the broker that counts commands, and the ending of a run left alone."""

    def __init__(self, folder: Path, hours: float = 20.0) -> None:
        self.folder = folder
        self.broker = EmbeddedBroker(user="kill", password="kill-test-only").start()
        self.commands: Counter[str] = Counter()
        self._listen()
        write_history(folder / "hall.csv", hours)
        self.alone = self.run("", 0, "alone")[0]

    def run(self, point: str, count: int, name: str) -> tuple[Ending, int]:
        """Run to the end, killed at the `count`-th pass of `point`; the ending and the kills."""
        data, kills = self.folder / name, 0
        for _ in range(STARTS):
            code = self._child(data, point, count if kills == 0 else 0)
            if code == 0:
                return ending(data), kills
            if code != -signal.SIGKILL:
                raise AssertionError(f"{point} {count}: the child ended with {code}")
            kills += 1
        raise AssertionError(f"{point} {count}: not through after {STARTS} starts")

    def random(self, seed: int, name: str) -> tuple[Ending, int]:
        """Kill three times after a random time, then let it end."""
        data, draw, kills = self.folder / name, random.Random(seed), 0
        for _ in range(3):
            child = self._start(data, "", 0)
            time.sleep(draw.uniform(1.0, 5.0))
            if child.poll() is None:
                child.kill()
                kills += 1
            child.wait()
        ended, _ = self.run("", 0, name)
        return ended, kills

    def close(self) -> None:
        self._client.loop_stop()
        self._client.disconnect()
        self.broker.stop()

    def _child(self, data: Path, point: str, count: int) -> int:
        return self._start(data, point, count).wait(timeout=120)

    def _start(self, data: Path, point: str, count: int) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-m", "benchmarks.kills", "child", str(data), point, str(count)]
        return subprocess.Popen([*words, str(self.broker.port)], cwd=ROOT)

    def _listen(self) -> None:
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="counter")
        client.username_pw_set("kill", "kill-test-only")
        client.on_message = self._count
        client.connect("127.0.0.1", self.broker.port)
        client.subscribe("hall/+/command", qos=1)
        client.loop_start()
        self._client = client

    def _count(self, client: Any, told: Any, message: Any) -> None:
        data = json.loads(message.payload)
        self.commands[data["invocation"]] += 1


def write_history(path: Path, hours: float) -> None:
    """Wide CSV of a hall whose bearing st1-b2 begins to wear after eight hours, every 2 minutes."""
    hall = SteamHall(7, start=START, faults=demo_faults(START))
    way = Way(hall.slots, demo_faults(START), 7)
    writer = Writer(hall.slots, way.units)
    names = ["speed", "load", "load_limit", "ambient", "metal_temperature", "oil_flow", "oil_inlet"]
    with path.open("w", encoding="utf-8") as out:
        out.write(f"twin,time,{','.join(names)}\n")
        for _ in range(int(hours * 30)):
            hall.step(120.0)
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(hall.instant // 10**9))
            for rows in way.take(hall.instant, hall.measured()).blocks:
                for parcel in writer.parcels(rows):
                    values = json.loads(parcel.payload)["values"]
                    cells = [f"{values[n]:.4f}" if n in values else "" for n in names]
                    out.write(f"{parcel.twin},{stamp},{','.join(cells)}\n")


def plan_of(folder: Path) -> Plan:
    """The steam example, fed from the history file as fast as the machine can."""
    plan = load_plan(ROOT / "examples" / "steam" / "plant.toml")
    sources = {n: s for n, s in plan.plant.sources.items() if s.options.get("ahead")}
    sources["hall"] = SourceSpec("hall", "csv", {"path": str(folder / "hall.csv"), "span": 900.0})
    plant = replace(plan.plant, sources=sources, clock={"kind": "data"}, triggers=[])
    return replace(plan, plant=plant)


def child(data: Path, point: str, count: int, port: int) -> None:
    """Run the host to the end of the history; SIGKILL itself at the count-th pass of `point`."""
    passed = Counter[str]()

    def at(name: str) -> None:
        passed[name] += 1
        if name == point and passed[name] == count:
            os.kill(os.getpid(), signal.SIGKILL)

    if point and count:
        hooks.set_callback(at)
    loop.KEEP_EVERY, loop.ENTRIES = 0.3, 3  # many small ticks: many places to die
    journalfile.LARGE = 100
    host = Host(plan_of(data.parent), data).start()
    assert host.loop is not None
    host.loop.sinks[""] = MqttSink(Address("127.0.0.1", port, "kill", "kill-test-only"), TOPIC)
    ended = threading.Event()
    approving = threading.Thread(target=_approve, args=(host, ended))
    approving.start()
    host.wait()
    ended.set()
    approving.join()
    host.stop()
    if host.failure is not None:
        raise host.failure


def _approve(host: Host, ended: threading.Event) -> None:
    """Say yes to every proposal as soon as it is there."""
    while not ended.is_set():
        try:
            for proposal in host.ledger.proposals(status="open"):
                host.verdict(proposal["id"], "approved", by="kill test", why="to be killed at")
        except GemelError:
            pass  # expired or decided meanwhile: the next look tells
        ended.wait(0.02)


def ending(data: Path) -> Ending:
    """Read what a finished run left behind, through the stores alone."""
    host = Host(plan_of(data.parent), data)
    snapshot = loop.Snapshots(data / "snapshots").latest()
    assert snapshot is not None
    telemetry = host.lake.telemetry()
    rows = DeltaTable(str(data / "lake" / "telemetry")).to_pyarrow_dataset().count_rows()
    books = {k: b for k, b in host.ledger.last().books.items() if k == "hall"}  # type: ignore[union-attr]
    arrays = snapshot[1]
    found = Ending(
        b"".join(arrays[f"bearing.estimate.{k}"].tobytes() for k in ("mean", "cov")).hex(),
        telemetry.num_rows,
        rows - telemetry.num_rows,
        books,
        sorted(f"{f['kind']} {f['twin']} {f['subject']}" for f in host.ledger.findings()
               if f["kind"] != "unconfirmed"),
    )  # fmt: skip
    host.stop()
    return found


def compare(scene: Scene, ended: Ending) -> list[str]:
    """What differs from the run left alone; [] when nothing does."""
    wrong = [
        f"{name}: {getattr(ended, name)!s:.80} instead of {getattr(scene.alone, name)!s:.80}"
        for name in Ending.__dataclass_fields__
        if getattr(ended, name) != getattr(scene.alone, name)
    ]
    twice = {k: n for k, n in scene.commands.items() if n > 1}
    return wrong + ([f"sent twice: {twice}"] if twice else [])


def say(line: str) -> None:
    """One line of progress."""
    sys.stderr.write(line + "\n")


@figure("kills.all", unit={"kills.survived": "kills", "kills.wrong": "endings"}, kind="proof")
def kills() -> dict[str, float]:
    """Every hook five times, and five runs killed at random: all must end like the run alone."""
    cases: list[tuple[str, int]] = [(point, n) for point in POINTS for n in (1, 2, 3, 5, 8)]
    cases += [("random", seed) for seed in range(5)]
    with ThreadPoolExecutor(2) as both:  # one scene a core
        ended = list(both.map(_scene, [cases[::2], cases[1::2]]))
    return {
        "kills.survived": float(sum(survived for survived, _ in ended)),
        "kills.wrong": float(sum(wrong for _, wrong in ended)),
    }


def _scene(cases: list[tuple[str, int]]) -> tuple[int, int]:
    """Kills survived and endings that were wrong, of some cases."""
    survived, wrong = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        for point, n in cases:
            scene.commands.clear()
            if point == "random":
                ended, killed = scene.random(n, f"random-{n}")
            else:
                count = 1 if point.startswith("wire") else n  # there is one command to die at
                ended, killed = scene.run(point, count, f"{point}-{n}")
            told = compare(scene, ended)
            survived, wrong = survived + killed, wrong + bool(told)
            say(f"{point} {n}: killed {killed}, {'; '.join(told) or 'equal'}")
        scene.close()
    return survived, wrong


if __name__ == "__main__":
    child(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
