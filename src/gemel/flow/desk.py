"""What a step of a run may use.

Owns    the narrow door between runs and the host that carries them.
Never   gives a step the journal itself: it submits, and the tick decides.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from gemel.clock import Clock
from gemel.flow.fleet import Plan
from gemel.flow.speaking import Speaking
from gemel.flow.view import View
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger

Record = dict[str, Any]
WAITING = "waiting"


class Desk(Protocol):
    """What a step may use: the plan, the stores to read, the journal's door to write."""

    plan: Plan
    ledger: Ledger
    lake: Lake
    clock: Clock
    data: Path

    def submit(self, kind: str, body: Record, source: str = ...) -> int:
        """Journal one entry and wait for its tick."""
        ...

    def submit_all(self, kind: str, bodies: Sequence[Record], source: str = ...) -> None:
        """Journal several entries at once and wait for the tick of the last."""
        ...

    def speaking(self, binding: str) -> Speaking:
        """Which parameters speak for the rows of one fleet, now."""
        ...

    def events(self, name: str, known: int | None = None) -> pa.Table:
        """Events of one name, up to now, or as known at a tick."""
        ...

    def view(self) -> View:
        """The latest picture."""
        ...


Step = Callable[[Desk, Record, dict[str, Record]], Record]
"""One step of a run: (desk, the run, what earlier steps recorded) → what it found."""
