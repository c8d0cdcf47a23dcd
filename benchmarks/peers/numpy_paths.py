"""NumPy's Monte Carlo to the first crossing, in blocks of paths that fit the cache.

float32, in place, SFC64 for the normal numbers: the fastest form found. A step is two normal
numbers, two exponentials and the check of the limit.
"""

from typing import Any

import numpy as np

from benchmarks.peers import physics
from benchmarks.peers.clock import report

PATHS, STEPS = 16_384, 1000


def passage(random: np.random.Generator, p: physics.Row, paths: int, steps: int) -> Any:
    """The step at which each path's wear first reaches 1; `steps` where it does not."""
    friction, thinning, loss, pace, haste = (np.float32(value) for value in p)
    h = np.float32(physics.TICK)
    sizes = [np.float32(noise * physics.TICK**0.5) for noise in physics.WEARING_NOISE]
    temperature, wear = (np.full(paths, start, np.float32) for start in physics.WEARING_START)
    z, thick, rate = (np.empty(paths, np.float32) for _ in range(3))
    first = np.full(paths, steps, np.int32)
    alive = np.ones(paths, np.bool_)
    for k in range(steps):
        np.subtract(np.float32(60.0), temperature, out=thick)
        np.multiply(thick, thinning, out=thick)
        np.exp(thick, out=thick)
        np.multiply(thick, friction * h, out=thick)
        np.subtract(temperature, np.float32(80.0), out=rate)
        np.multiply(rate, haste, out=rate)
        np.exp(rate, out=rate)
        np.multiply(rate, pace * h, out=rate)
        np.add(wear, rate, out=wear)
        np.multiply(temperature, np.float32(1.0) - loss * h, out=temperature)
        np.add(temperature, loss * h * np.float32(25.0), out=temperature)
        np.add(temperature, thick, out=temperature)
        for state, size in ((temperature, sizes[0]), (wear, sizes[1])):
            random.standard_normal(out=z, dtype=np.float32)
            np.multiply(z, size, out=z)
            np.add(state, z, out=state)
        crossed = alive & (wear >= 1.0)
        first[crossed] = k + 1
        alive &= ~crossed
    return first


def main() -> None:
    random = np.random.Generator(np.random.SFC64(1))

    def block() -> None:
        passage(random, physics.WEARING, PATHS, STEPS)

    reached = passage(random, physics.WEARING, PATHS, STEPS)
    assert 0.5 < np.mean(reached < STEPS) < 1.0, "the limit is not where it should be"
    report("numpy_paths", "numpy", "steps/s", PATHS * STEPS, block)


if __name__ == "__main__":
    main()
