"""What is believed, as it is told: of one asset now, of a fleet over time.

Owns    the form of the answer.
Never   moves: it is a picture, and the fleet goes on without it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gemel import notebook

IN_STEP = 3.0  # running NIS per reading above this: the twin does not track its asset


@dataclass(frozen=True)
class Belief:
    """What is believed of one asset: each state's mean and standard deviation, in its unit.

    instant: ns UTC, None until each input has been told once
    nis: normalised innovation squared of the last readings · score: its running mean per reading,
    about 1 while the twin tracks its asset
    """

    id: str
    instant: int | None
    mean: dict[str, float]
    std: dict[str, float]
    nis: float
    score: float

    @property
    def in_step(self) -> bool:
        """Whether the twin tracks its asset: it has begun, and its readings are as foreseen."""
        return self.instant is not None and self.score < IN_STEP

    def _repr_html_(self) -> str:
        rows = [(name, notebook.number(told, self.std[name])) for name, told in self.mean.items()]
        about = f"{notebook.when(self.instant)} UTC" if self.instant else "not begun"
        table = notebook.table(("believed", ""), rows, "lr")
        step = "" if self.instant is None else notebook.in_step(self.in_step)
        return notebook.card(self.id, about, table, notebook.line(step))


@dataclass(frozen=True)
class Track:
    """The belief over time: instant (T,) ns UTC · mean (T,A,X) and std (T,A,X), in float32, each
    state in its unit, states in order."""

    instant: NDArray[np.int64]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    states: tuple[str, ...]

    @staticmethod
    def blank(
        instant: NDArray[np.int64], states: tuple[str, ...], lanes: int, count: int
    ) -> "Track":
        """Room for the compiled loop to write into: states outermost, lanes innermost."""
        size = (len(states), len(instant), lanes)
        mean, std = np.zeros(size, np.float32), np.zeros(size, np.float32)
        inside = (slice(None), slice(0, count))
        return Track(
            instant, mean.transpose(1, 2, 0)[inside], std.transpose(1, 2, 0)[inside], states
        )
