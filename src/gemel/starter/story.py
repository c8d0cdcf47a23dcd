"""What is told of a person's file: its signals, and the story the new plant's pages tell.

Owns    two records that pass between reading, learning and writing.
Never   computes anything.
"""

from dataclasses import dataclass, field

from gemel.intake.limits import Limits


@dataclass
class Signal:
    """One signal: its header, name, unit, how the unit was had, and what its values say."""

    header: str
    name: str
    unit: str
    guess: str
    limits: Limits | None = None

    @property
    def said(self) -> Limits:
        """What its values say; they have been looked at."""
        assert self.limits is not None
        return self.limits


@dataclass
class Story:
    """Everything a page of the new plant tells."""

    name: str
    source: str
    rows: int
    samples: int
    shape: str
    twins: list[str]
    signals: list[Signal]
    start: int
    end: int
    every: float
    lateness: float
    target: str = ""
    inputs: list[str] = field(default_factory=list)
    lag: float = 0.0
    offset: float = 0.0
    gains: dict[str, float] = field(default_factory=dict)
    spreads: dict[str, float] = field(default_factory=dict)
    noise: float = 0.0
    wander: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def signal(self, name: str) -> Signal:
        """One signal by its name."""
        return next(signal for signal in self.signals if signal.name == name)
