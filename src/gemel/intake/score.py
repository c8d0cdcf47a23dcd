"""The score: which share of what came over the last day was good.

Owns    the sums behind the scores of twins and sources, each sample worth exp(−age / day).
Never   judges a sample, and reads no clock but the plant's.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.records import Bools, Floats, Instants

DAY = 86_400.0  # s
Numbers = NDArray[np.int64] | NDArray[np.int32]


@dataclass
class Score:
    """Sums of T twins: good (T,), due (T,) samples as they were worth at `at` (T,) ns.

    sources: name → (good, due, at)
    """

    good: Floats
    due: Floats
    at: Instants
    sources: dict[str, tuple[float, float, int]] = field(default_factory=dict)

    @staticmethod
    def blank(twins: int) -> "Score":
        """Nothing came yet."""
        return Score(np.zeros(twins), np.zeros(twins), np.zeros(twins, np.int64))

    def add(self, twin: Numbers, good: Bools, now: int) -> None:
        """Samples: twin (N,) is the number of each one's twin, good (N,)."""
        touched, place = np.unique(twin, return_inverse=True)
        due = np.bincount(place).astype(np.float64)
        fine = np.bincount(place, good.astype(np.float64), minlength=len(touched))
        self.grow(touched, due, np.asarray(fine, np.float64), now)

    def grow(self, touched: Any, due: Floats, fine: Floats, now: int) -> None:
        """So many samples more of some twins, of which so many are good."""
        kept = np.exp((self.at[touched] - now) / (DAY * SECOND))
        self.good[touched] = self.good[touched] * kept + fine
        self.due[touched] = self.due[touched] * kept + due
        self.at[touched] = now

    def miss(self, twin: Numbers, due: Floats, now: int) -> None:
        """Samples that were due and never came: `due` (N,) of the twins (N,)."""
        touched, place = np.unique(twin, return_inverse=True)
        kept = np.exp((self.at[touched] - now) / (DAY * SECOND))
        self.good[touched] *= kept
        self.due[touched] = self.due[touched] * kept + np.bincount(place, due)
        self.at[touched] = now

    def count(self, source: str, good: int, due: int, now: int) -> None:
        """Samples of a source."""
        before, of, at = self.sources.get(source, (0.0, 0.0, now))
        kept = float(np.exp((at - now) / (DAY * SECOND)))
        self.sources[source] = (before * kept + good, of * kept + due, now)

    def share(self, now: int, missing: Floats, twin: Numbers | None = None) -> Floats:
        """The score of some twins, None: of all: (N,), NaN where nothing was due.

        missing (N,): samples due by `now` of signals that are silent
        """
        which = slice(None) if twin is None else twin
        kept = np.exp((self.at[which] - now) / (DAY * SECOND))
        with np.errstate(invalid="ignore"):
            return np.asarray(self.good[which] * kept / (self.due[which] * kept + missing))
