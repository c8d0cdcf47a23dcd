"""How fast the engine is: against the machine's memory, and against the peers in the same minutes.

Owns    the figures `engine.*` of `make bench`.
Never   compares two runs of different days: a ratio is the median of interleaved pairs.

A peer is counted in CPU seconds (`peers/clock.py`): its best case on a machine that others use too.
"""

import statistics
from collections.abc import Callable

from benchmarks import peers
from benchmarks.peers.triad import Triad
from benchmarks.runner import figure

ROUNDS = 3  # pairs of (a peer, us)


def against(peer: str, ours: Callable[[], float]) -> tuple[float, float]:
    """(ours ÷ the peer's, the peer's rate): medians over interleaved pairs."""
    pairs = [(peers.rate(peer), ours()) for _ in range(ROUNDS)]
    ratio = statistics.median(mine / theirs for theirs, mine in pairs)
    return ratio, statistics.median(theirs for theirs, _ in pairs)


@figure(
    "engine.memory_bandwidth",
    unit={"engine.triad": "GB/s", "engine.triad_one_thread": "GB/s"},
    kind="bench",
)
def memory_bandwidth() -> dict[str, float]:
    """STREAM's triad on two threads and on one: the limit of a tick that fits no cache."""
    return {
        "engine.triad": Triad(threads=2).rate() / 1e9,
        "engine.triad_one_thread": Triad(threads=1).rate() / 1e9,
    }
