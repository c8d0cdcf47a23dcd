"""What a step of a run may use.

Owns    the narrow door between runs and the host that carries them.
Never   gives a step the journal itself: it submits, and the tick decides.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from gemel.clock import Clock
from gemel.flow.fleet import Plan
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

    def view(self) -> View:
        """The latest picture."""
        ...


Step = Callable[[Desk, Record, dict[str, Record]], Record]
"""One step of a run: (desk, the run, what earlier steps recorded) → what it found."""
