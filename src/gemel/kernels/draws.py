"""Random numbers that belong to a twin, not to a thread.

Owns    the counter-based stream: a draw is a pure function of its key.
Never   keeps a state: no order of calls, no cut of the fleet changes a draw.

Key = (seed, twin key, path, step since the fork, draw). So two plans tried on the same twin share
their draws (common random numbers), and their difference is not blurred by luck.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.records import Floats

Keys = NDArray[np.uint64]


def twin_key(twin: str) -> int:
    """The stable u64 of a twin: the first 8 bytes of SHA-256 of its id."""
    return int.from_bytes(hashlib.sha256(twin.encode()).digest()[:8], "little")


def _mix(z: Any) -> Any:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def lane_keys(seed: int, twins: Keys, paths: int) -> Keys:
    """One key for every (twin, path): (A·paths,), twin-major."""
    with np.errstate(over="ignore"):
        base = _mix(twins ^ _mix(np.uint64(seed % 2**64) + np.uint64(0x9E3779B97F4A7C15)))
        path = np.arange(paths, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)
        mixed: Keys = _mix(base[:, None] + path[None, :]).reshape(-1)
    return mixed


def normals(lanes: Keys, step: int, draw: int) -> Floats:
    """Standard normal numbers, one a lane, for (step, draw): Box–Muller on two uniforms.

    >>> lanes = lane_keys(7, np.array([1, 2], np.uint64), 3)
    >>> bool((normals(lanes, 4, 0) == normals(lanes, 4, 0)).all())
    True
    """
    with np.errstate(over="ignore"):
        counter = np.uint64((step * 64 + draw) % 2**63)
        first = _mix(lanes + counter * np.uint64(0x9E3779B97F4A7C15))
        second = _mix(first + np.uint64(0x632BE59BD9B4E019))
    radius = np.sqrt(-2.0 * np.log(_uniform(first)))
    return np.asarray(radius * np.cos(2.0 * np.pi * _uniform(second)))


def _uniform(bits: Keys) -> Any:
    """(0, 1], never 0, so that its logarithm is finite."""
    return ((bits >> np.uint64(11)).astype(np.float64) + 1.0) * 2.0**-53
