"""The ledger's rows run again from the journal: the way back after a kill, and the proof of it.

Owns    how a row is run again, and what is said of one that cannot be.
Never   writes anything.
"""

import time
from typing import Any

from gemel.errors import Conflict
from gemel.flow.fleet import Plan
from gemel.flow.memory import begin, unpack
from gemel.flow.tick import tick
from gemel.records import Entry, LedgerRow
from gemel.store.journal import Journal
from gemel.store.ledger import Ledger
from gemel.store.snapshots import Snapshots

FORGOTTEN, ERASED = "their entries were let go of", "samples of theirs were erased"


def iter_rows(ledger: Ledger, after: int) -> Any:
    """Every ledger row after a tick, in order."""
    while rows := ledger.rows(after_tick=after, limit=500):
        yield from rows
        after = rows[-1].tick


def entries_of(journal: Journal, row: LedgerRow) -> list[Entry]:
    """The journal entries that one ledger row took in."""
    count = row.journal_to - row.journal_from + 1
    return [e for e in journal.read(row.journal_from - 1, count) if e.sequence <= row.journal_to]


def differs(row: LedgerRow) -> Conflict:
    """The replay of a row gave other bits than were committed."""
    return Conflict(
        "replay.differs",
        f"tick {row.tick} gives other bits than the ledger holds",
        mend="run it with the code and library versions that wrote it, or start a new directory",
    )


def _same_code(plan: Plan, row: LedgerRow) -> None:
    """A row is replayed by what wrote it, or not at all."""
    for name, version in plan.versions().items():
        if row.versions.get(name) != version:
            raise Conflict(
                "replay.other_versions",
                f"tick {row.tick} was written by {row.versions.get(name)}, this is {version}",
                where=name,
                mend="give the plant file and the code that wrote it (they are in the ledger row)",
            )


def verify(plan: Plan, journal: Journal, ledger: Ledger, snapshots: Snapshots) -> dict[str, Any]:
    """Run the ledger again from its first row and compare every digest: exact replay.

    A row whose entries were let go of, or erased in part, cannot be run; it goes on at the next
    snapshot, and `skipped` says {from, to, why} of such ticks.
    """
    began, last = time.monotonic(), ledger.last()
    number, rows, at, memory = 0, 0, 0, begin(plan)
    skipped: list[dict[str, Any]] = []
    while last is not None and number < last.tick:
        why = ""
        for row in iter_rows(ledger, number):
            if why := _cannot(journal, row):
                break
            _same_code(plan, row)
            outcome = tick(plan, memory, entries_of(journal, row))
            if outcome.digest != row.digest:
                raise differs(row)
            number, rows, at = row.tick, rows + 1, row.at
        if why:
            found = snapshots.after(number + 1)
            to = found[0] if found else last.tick
            skipped.append({"from": number + 1, "to": to, "why": why})
            number = to
            if found:
                memory = unpack(plan, found[1], found[2])
    return {
        "rows": rows,
        "same": True,
        "at": at,
        "entries": memory.sequence,
        "skipped": skipped,
        "seconds": round(time.monotonic() - began, 3),
    }


def _cannot(journal: Journal, row: LedgerRow) -> str:
    """Why a row cannot be run again; "" where it can."""
    if row.journal_from < journal.first():
        return FORGOTTEN
    return ERASED if any("erased" in e.body for e in entries_of(journal, row)) else ""
