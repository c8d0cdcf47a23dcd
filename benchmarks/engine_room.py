"""What it takes to start the engine and to keep a fleet: seconds and bytes.

Owns    the figures `engine.*` of `make bench` on starting, compiling, snapshots and memory.
Never   runs what a process before it has warmed up where it says "cold" or "fresh".
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.engine import MILLION, million, spent
from benchmarks.reference import ReferenceBearing
from benchmarks.runner import ROOT, figure
from gemel.fleet import Fleet
from gemel.kernels.filters import ekf, ukf
from gemel.kernels.library.electrochemistry import Electrochemistry
from gemel.kernels.native import compile_
from gemel.kernels.program import Program

COLD = """
import gemel
from gemel.fleet import Fleet
from benchmarks.reference import ReferenceBearing
fleet = Fleet(ReferenceBearing, ["pump"])
values = {"speed": 1.0, "load": 1.0, "oil_temperature": 51.0, "vibration": 2.1}
print(fleet.update("pump", 1_000_000_000, values).mean["temperature"])
"""
FRESH = f"""
import resource
import gemel

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

before = resident()
from gemel.fleet import Fleet
from benchmarks.reference import ReferenceBearing
ids = [f"bearing-{{k:07d}}" for k in range({MILLION})]
fleet = Fleet(ReferenceBearing, ids)
del ids
for k in (1, 2):
    fleet.tick(10 * k * 10**9, {{"speed": 1.0, "load": 1.0, "oil_temperature": 51.0,
               "vibration": 2.1}})
assert "bearing-0999999" in fleet
print(resident() - before)
"""


def told(script: str) -> float:
    """The number that a new process prints."""
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(ran.stdout)


@figure("engine.cold_start", unit="s", kind="bench")
def cold_start() -> float:
    """Start Python, import, declare a kernel, take one reading in, and say what is believed: CPU
    seconds of a new process, the median of five."""
    took = []
    for _ in range(5):
        before = _children()
        assert 45 < told(COLD) < 55
        took.append(_children() - before)
    return statistics.median(took)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@figure(
    "engine.compile",
    unit={"engine.compile_reference": "s", "engine.compile_per_5000": "s"},
    kind="bench",
)
def compiling() -> dict[str, float]:
    """CPU seconds to trace, differentiate, emit and compile: the reference filter, once for any
    size of a fleet; and a large program, the unscented filter of seven states, per 5,000
    operations. The median of three."""

    def seconds(program: Callable[[], Program]) -> float:
        return statistics.median(spent(lambda: compile_(program(), "f")).cpu for _ in range(3))

    operations = ukf(Electrochemistry).operations
    return {
        "engine.compile_reference": seconds(lambda: ekf(ReferenceBearing)),
        "engine.compile_per_5000": seconds(lambda: ukf(Electrochemistry)) / operations * 5000,
    }


@figure(
    "engine.snapshots",
    unit={"engine.snapshot": "s", "engine.snapshot_load": "s", "engine.snapshot_size": "MB"},
    kind="bench",
)
def snapshots() -> dict[str, float]:
    """`fleet.save` of a million twins, on the disk and fsynced, and `Fleet.load` with all checksums
    held: by the wall, the median of five."""
    fleet = million().fleet
    with tempfile.TemporaryDirectory(dir=_disk()) as folder:
        path = Path(folder) / "bearings"
        saved = [spent(lambda: fleet.save(path)).wall for _ in range(5)]
        read = [spent(lambda: Fleet.load(path, ReferenceBearing)).wall for _ in range(5)]
        again = Fleet.load(path, ReferenceBearing)
        assert len(again) == MILLION and (again.column("x.wear") == fleet.column("x.wear")).all()
        size = path.stat().st_size
    return {
        "engine.snapshot": statistics.median(saved),
        "engine.snapshot_load": statistics.median(read),
        "engine.snapshot_size": size / 1e6,
    }


def _disk() -> Path:
    """A folder on the disk: /tmp may be memory."""
    place = ROOT / "build"
    place.mkdir(exist_ok=True)
    return place


@figure("engine.memory", unit="MB", kind="bench")
def memory() -> float:
    """What a new process holds with a million twins and the map of their ids, after two ticks,
    beyond what it held after `import gemel`."""
    if not os.path.exists("/proc/self/statm"):
        raise RuntimeError("resident memory is read from /proc, which this system has not")
    return told(FRESH) / 1e6
