"""Random numbers that belong to a twin, not to a thread.

Owns    the counter-based stream: a draw is a pure function of its key.
Never   keeps a state: no order of calls, no cut of the fleet changes a draw.

Key = (seed, twin key, path, step since the fork, draw). So two plans tried on the same twin share
their draws (common random numbers), and their difference is not blurred by luck.

One 64-bit word makes two normal numbers (Box–Muller): its halves are two uniforms, draws 2k and
2k + 1 are the cosine and the sine. 64 words a step, so at most 128 draws.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.errors import Invalid
from gemel.kernels.expression import MEANING, Graph, Symbol
from gemel.records import Floats

Keys = NDArray[np.uint64]
MOST = 128  # draws of one step


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


def normal(graph: Graph, key: Symbol, draw: int) -> Any:
    """One standard normal number of this step, traced.

    Raises `kernel.draws` when a step wants more than it may have.
    """
    if draw >= MOST:
        raise Invalid(
            "kernel.draws",
            f"a step of this kernel wants more than {MOST} random numbers",
            mend="a path draws one for each state and parameter: split the asset into smaller ones",
        )
    word = graph.add("word", (key.index,), "k", draw // 2)
    high, low = graph.add("high", (word.index,), "f"), graph.add("low", (word.index,), "f")
    turn = graph.add("sin_turns" if draw % 2 else "cos_turns", (low.index,), "f")
    return np.sqrt(-2.0 * np.log(high)) * turn


def uniform(graph: Graph, key: Symbol, draw: int) -> Symbol:
    """One uniform number in (0, 1] of this step, traced; it shares its word with `normal`."""
    word = graph.add("word", (key.index,), "k", draw // 2)
    return graph.add("low" if draw % 2 else "high", (word.index,), "f")


def uniforms(lanes: Keys, step: int, draw: int) -> Floats:
    """Uniform numbers in (0, 1), one a lane, for (step, draw), by NumPy."""
    word = MEANING["word"](lanes, np.uint64(step * 64 + draw // 2))
    return np.asarray(MEANING["low" if draw % 2 else "high"](word))


def normals(lanes: Keys, step: int, draw: int) -> Floats:
    """Standard normal numbers, one a lane, for (step, draw), by NumPy.

    >>> lanes = lane_keys(7, np.array([1, 2], np.uint64), 3)
    >>> bool((normals(lanes, 4, 0) == normals(lanes, 4, 0)).all())
    True
    """
    word = MEANING["word"](lanes, np.uint64(step * 64 + draw // 2))
    turn = MEANING["sin_turns" if draw % 2 else "cos_turns"](MEANING["low"](word))
    return np.asarray(np.sqrt(-2.0 * np.log(MEANING["high"](word))) * turn)
