"""How fast the flow is, as ratios in one run: these machines are noisy.

Owns    the figures `flow.*` of `make bench`.
Never   compares two runs of different days.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.kills import plan_of, write_history
from benchmarks.runner import figure
from gemel.flow.host import Host
from gemel.kernels import estimate
from gemel.kernels.library.journal_bearing import JournalBearing

MINUTE = 60 * 10**9
TWINS, TICKS = 1000, 20
HOURS = 48.0


@figure("flow.fleet_vs_objects", unit="1", kind="bench")
def fleet_vs_objects() -> float:
    """One tick of 1,000 bearings as a fleet, against the same filter called twin by twin."""
    fleet = _seconds(TWINS, TICKS) / (TWINS * TICKS)
    alone = _seconds(1, TICKS) / TICKS
    return alone / fleet


@figure(
    "flow.path",
    unit={"flow.samples_per_second": "1/s", "flow.filter_share": "1"},
    kind="bench",
)
def path() -> dict[str, float]:
    """CSV → journal (fsynced) → quality → align → EKF → ledger → lake; 10 twins, no forecast."""
    with tempfile.TemporaryDirectory() as folder:
        write_history(Path(folder) / "hall.csv", HOURS)
        plan = plan_of(Path(folder))
        quiet = {
            name: replace(fleet, binding=replace(fleet.binding, foresee_every=0.0))
            for name, fleet in plan.fleets.items()
        }
        began = time.perf_counter()
        with Host(replace(plan, fleets=quiet), Path(folder) / "data") as host:
            host.wait()
            wall = time.perf_counter() - began
            samples = host.view().books["hall"]["stored"]
    return {
        "flow.samples_per_second": samples / wall,
        "flow.filter_share": _seconds(8, int(HOURS * 30)) / wall,
    }


def _seconds(twins: int, ticks: int) -> float:
    """CPU seconds of `ticks` updates of `twins` bearings."""
    kernel = JournalBearing()
    belief = estimate.blank(JournalBearing, twins)
    u = np.tile([3000.0, 90.0, 25.0, 35.0, 45.0], (twins, 1))
    p = np.tile(JournalBearing.typical(), (twins, 1))
    yes, no = np.ones(twins, bool), np.zeros(twins, bool)
    y, seen = np.full((twins, 1), 75.0), np.ones((twins, 1), bool)
    began = time.process_time()
    for k in range(1, ticks + 1):
        belief = estimate.update(kernel, belief, k * MINUTE, u, yes, no, y, seen, p)
    return time.process_time() - began
