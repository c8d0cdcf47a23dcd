"""The usual day: what the inputs of each asset are, hour by hour.

Owns    the scenario that a forecast runs under when nobody says otherwise.
Never   foresees the inputs themselves: it repeats the recent past, and is named so.
"""

from dataclasses import dataclass

import numpy as np

from gemel.clock import SECOND
from gemel.records import Bools, Floats

HOUR = 3600 * SECOND


@dataclass
class UsualDay:
    """mean (A,24,U) by hour of the day, UTC · seen (A,24)."""

    mean: Floats
    seen: Bools

    @staticmethod
    def blank(rows: int, inputs: int) -> "UsualDay":
        # an hour's numbers lie side by side, as they are learnt
        return UsualDay(
            np.zeros((rows, 24, inputs), order="F"), np.zeros((rows, 24), np.bool_, order="F")
        )

    def learn(self, instant: int, u: Floats, ready: Bools, every: float) -> None:
        """Move the hour's mean towards what was seen; about half of it is the latest day."""
        hour = instant // HOUR % 24
        weight = np.where(self.seen[:, hour], min(1.0, 0.7 * every / 3600.0), 1.0)
        weight = np.where(ready, weight, 0.0)[:, None]
        self.mean[:, hour] += weight * (u - self.mean[:, hour])
        self.seen[:, hour] |= ready

    def obey(self, row: int, column: int, value: float, cap: bool) -> None:
        """From a confirmed command on a day is as commanded: an input set to `value`, or capped."""
        hours = self.mean[row, :, column]
        hours[:] = np.minimum(hours, value) if cap else value

    def inputs(self, rows: list[int], start: int, dt: float, steps: int) -> Floats:
        """The inputs ahead of some rows: (K, rows, U); an hour never seen gets the day's mean."""
        mean, seen = self.mean[rows], self.seen[rows][..., None]
        day = (mean * seen).sum(axis=1, keepdims=True) / np.maximum(
            seen.sum(axis=1, keepdims=True), 1
        )
        filled = np.where(seen, mean, day)
        instants = start + (np.arange(steps) * dt * SECOND).astype(np.int64)
        return filled[:, instants // HOUR % 24].swapaxes(0, 1)
