"""How a peer is timed, and the one line it says.

Owns    the repeated blocks, the median, the JSON line.
Never   imports Gemel.
"""

import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Callable

BLOCKS, LONGEST = 9, 20.0  # blocks, and the seconds after which no further one is begun


def report(peer: str, packages: str, unit: str, count: int, block: Callable[[], object]) -> None:
    """Time `block`, which does `count` of `unit`, and print the line.

        {peer, version, flags, figure, unit, n, seconds}

    figure: count over the median CPU seconds of a block · n: counted in all · seconds: in all. CPU
    seconds of the whole process, its threads included: a neighbour on the machine does not count,
    and a peer is not charged for a core that it leaves idle. `wall` is the same by the wall.
    """
    block()  # compiles, fills caches
    cpu: list[float] = []
    wall: list[float] = []
    while len(cpu) < BLOCKS and (len(cpu) < 3 or sum(wall) < LONGEST):
        began, began_wall = time.process_time(), time.perf_counter()
        block()
        cpu.append(time.process_time() - began)
        wall.append(time.perf_counter() - began_wall)
    names = packages.split()
    line = {
        "peer": peer,
        "version": " ".join(f"{name} {importlib.metadata.version(name)}" for name in names),
        "flags": os.environ.get("XLA_FLAGS", "") if "jax" in names else "",
        "figure": count / statistics.median(cpu),
        "unit": unit,
        "n": count * len(cpu),
        "seconds": sum(cpu),
        "wall": count / statistics.median(wall),
    }
    sys.stdout.write(json.dumps(line) + "\n")
