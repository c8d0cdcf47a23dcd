"""This process's own threads: where compiled programs run by default.

Owns    the cut of a fleet into pieces, one a thread.
Never   changes a result: a lane's bits hang on nothing but that lane (tests/test_native.py).

A compiled call lets go of Python's lock, so plain threads are enough. Waking one takes some tens of
microseconds, so small work stays in the thread that asked.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.kernels.emit import LANES
from gemel.kernels.native import Native

WORTH = 40_000  # lanes × steps for which a second thread pays


class Local:
    """Threads of this process.

    threads: how many, this one among them; by default as many as the processor gives us
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or len(os.sched_getaffinity(0))
        self._pool: ThreadPoolExecutor | None = None
        self._owner = 0

    def run(
        self,
        native: Native,
        table: NDArray[np.int64] | int,
        first: int,
        last: int,
        steps: tuple[int, int] = (0, 1),
        every: int = 1,
    ) -> None:
        """`native.run`, cut between the threads where that pays."""
        lanes = last - first
        if self.threads == 1 or lanes * (steps[1] - steps[0]) < WORTH or lanes < 2 * LANES:
            native.run(table, first, last, steps=steps, every=every)
            return
        share = -(-lanes // (self.threads * LANES)) * LANES
        bounds = [(low, min(low + share, last)) for low in range(first, last, share)]

        def piece(low: int, high: int) -> Callable[[], None]:
            return lambda: native.run(table, low, high, steps=steps, every=every)

        self.all([piece(*bound) for bound in bounds])

    def all(self, jobs: list[Callable[[], Any]]) -> None:
        """Do all jobs, dealt out to the threads; the first error is raised when all have ended."""
        hands = [jobs[k :: self.threads] for k in range(self.threads)]
        waiting = [self._executor().submit(_each, hand) for hand in hands[1:] if hand]
        try:
            _each(hands[0])
        finally:
            for other in waiting:
                other.exception()
        for other in waiting:
            other.result()

    def _executor(self) -> ThreadPoolExecutor:
        """The pool; a forked child, which has its parent's pool but not its threads, makes one."""
        if self._pool is None or self._owner != os.getpid():
            self._pool = ThreadPoolExecutor(self.threads - 1 or 1, "gemel-lanes")
            self._owner = os.getpid()
        return self._pool


def _each(jobs: list[Callable[[], Any]]) -> None:
    for job in jobs:
        job()
