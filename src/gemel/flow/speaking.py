"""Which parameters speak for a fleet, at one tick.

Owns    the copy of them that people and runs look at.
Never   is read by the tick: it may be a moment old.
"""

from dataclasses import dataclass

import numpy as np

from gemel.flow.memory import Memory
from gemel.records import Bools, Floats


@dataclass(frozen=True)
class Speaking:
    """What speaks for a fleet's rows at one tick.

    versions (A) · values (A,P) · stds (A,P), in log where the scale is log · nis (A,), running
    begun, stale (A,) · modes: the failure modes whose health is followed
    """

    at: int
    tick: int
    versions: list[str]
    values: Floats
    stds: Floats
    nis: Floats
    begun: Bools
    stale: Bools
    modes: list[str]


def speaking(memory: Memory, tick: int, binding: str) -> Speaking:
    """A copy out of the memory, which must not move meanwhile."""
    held = memory.fleets[binding]
    variance = np.maximum(np.diagonal(held.p_cov, axis1=1, axis2=2), 0.0)
    return Speaking(
        memory.at,
        tick,
        list(held.versions),
        held.p.copy(),
        np.sqrt(variance),
        held.nis.copy(),
        held.estimate.instant > 0,
        held.stale.copy(),
        list(held.health),
    )
