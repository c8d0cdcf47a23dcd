"""What one tick brings forth: handed to the loop, which alone keeps and sends it.

Owns    the list of what changed in a tick, in order.
Never   is read by a later tick: what must be remembered is in the memory.
"""

from dataclasses import dataclass, field
from typing import Any

from gemel.labels import Labels
from gemel.records import Floats, Instants, Judged


@dataclass(frozen=True)
class Told:
    """One frame's answer of one fleet, for history: names → (mean (A,), std (A,))."""

    binding: str
    twin: Labels
    instant: Instants
    values: dict[str, tuple[Floats, Floats]]


@dataclass
class Outcome:
    """Changes by kind; `outbox` are invocations to send now, `rejects` what was refused."""

    judged: list[Judged] = field(default_factory=list)
    estimates: list[Told] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    proposals: list[dict[str, Any]] = field(default_factory=list)
    invocations: list[dict[str, Any]] = field(default_factory=list)
    outbox: list[str] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    sequence_from: int = 0
    sequence_to: int = 0
    at: int = 0
    digest: str = ""

    def changes(self) -> list[dict[str, Any]]:
        """Everything that changed, for the digest."""
        return [*self.findings, *self.proposals, *self.invocations, *self.rejects]
