"""What is let go of outside history: old journal entries, and what was erased.

Owns    how long the journal is kept, which snapshots are kept on to replay from, the receipts of
        erasures.
Never   lets go of what a restart may need: an entry goes only when a snapshot is there that was
        taken after it; and a snapshot is taken only when history has what it holds.

Retention (`[history] journal`): four times in its span a snapshot is kept on; the journal before
the newest of them that is older than the span goes. So what is younger can be replayed, and a
quarter more. An erasure takes the journal, the ledger's refused samples and every snapshot from
before it; a receipt in the audit chain says what that came to.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from gemel.clock import SECOND
from gemel.store.journal import Journal
from gemel.store.lake import Lake
from gemel.store.ledger import ERASED, Ledger
from gemel.store.snapshots import Snapshots

PARTS = 4  # snapshots that are kept on in the span of a retention


@dataclass
class Forgetting:
    """Of one data directory, by the one process that writes it. keep: s of the plant's clock."""

    journal: Journal
    ledger: Ledger
    snapshots: Snapshots
    lake: Lake
    keep: float = float("inf")

    def round(self, now: int) -> Iterator[str]:
        """Everything that is due at an instant of the plant's clock; says what it did."""
        yield from self._erase(now)
        if self.keep < float("inf"):
            yield from self._retain(now)

    # ---- retention ------------------------------------------------------------------------------

    def _retain(self, now: int) -> Iterator[str]:
        newest, pins = self.snapshots.ticks()[:1], self.snapshots.pins()
        span = int(self.keep * SECOND)
        if newest and (not pins or self._at(newest[0]) - self._at(pins[0]) >= span // PARTS):
            if self.snapshots.pin(newest[0]):
                self.journal.seal()
                yield f"keeps the snapshot of tick {newest[0]} on"
        old = [tick for tick in pins if self._at(tick) <= now - span]
        if old:
            before, first = self._held(old[0]) + 1, self.journal.first()
            if before > first and (left := self.journal.forget(before)) > first:
                yield f"let go of {left - first} journal entries, before {left}"
            self.snapshots.drop(old[0], only_pins=True)

    def _at(self, tick: int) -> int:
        row = self.ledger.rows(tick - 1, 1)
        return row[0].at if row else 0

    def _held(self, tick: int) -> int:
        row = self.ledger.rows(tick - 1, 1)
        return row[0].journal_to if row else 0

    # ---- erasure --------------------------------------------------------------------------------

    def _erase(self, now: int) -> Iterator[str]:
        """Carry out the erasures that have no receipt yet, once history has carried them out."""
        done = {receipt["detail"]["tick"] for receipt in self.ledger.receipts()}
        for told in self.lake.erasures():
            if told["done"] and told["tick"] not in done:
                if not self._erased(told, now):
                    return  # in their order
                yield f"erased {told['twin']} from journal, ledger and snapshots"

    def _erased(self, told: dict[str, Any], now: int) -> bool:
        """One erasure; False where the time has not come."""
        twin, before, tick = told["twin"], int(told["before"]), int(told["tick"])
        fresh = self.snapshots.latest()  # whole: from now on no restart can begin before it
        if fresh is None or fresh[0] < tick or not self.snapshots.pin(fresh[0]):
            return False
        journal = self.journal.erase(twin, before, self._held(tick), self._held(fresh[0]))
        if journal is None:
            return False
        gone = self.snapshots.drop(fresh[0])
        receipt = {
            **{name: told[name] for name in ("twin", "before", "by", "why", "tick")},
            "journal": asdict(journal),
            "ledger": {"records": self.ledger.erase(twin, before, tick)},
            "snapshots": {"replaced": gone, "by_tick": fresh[0]},
        }
        self.ledger.audit("gemel", ERASED, receipt, now)
        return True
