"""How long something takes, again and again: counts by bounds, and the sum.

Owns    the histogram of one kind of work.
Never   reads a clock: it is told durations.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

BOUNDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # s


@dataclass
class Timing:
    """count: how many in all · sum: their seconds · upto: how many took no longer than each bound

    >>> timing = Timing()
    >>> timing.add(0.02)
    >>> timing.add(0.5)
    >>> timing.count, timing.upto()[3:7]
    (2, [1, 1, 1, 2])
    """

    count: int = 0
    sum: float = 0.0
    _within: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, seconds: float) -> None:
        """One more."""
        self.count += 1
        self.sum += seconds
        self._within[bisect_left(BOUNDS, seconds)] += 1

    def upto(self) -> list[int]:
        """How many took no longer than each of BOUNDS."""
        told, sofar = [], 0
        for within in self._within[:-1]:
            sofar += within
            told.append(sofar)
        return told
