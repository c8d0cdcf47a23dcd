"""Take in once more what could not be used when it came.

Owns    which samples that are: parked as late, or refused by rules that have changed since.
Never   changes what was recorded: a re-driven sample is a new fact, and a new line in the books.
"""

from typing import Any

import numpy as np

from gemel.flow.fleet import Plan
from gemel.intake.quality import admit
from gemel.labels import Labels
from gemel.records import Batch, Entry
from gemel.store.journal import Journal
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger

SAMPLES = 5_000  # of one entry
REFUSED = 100_000  # records looked through


def parked(
    plan: Plan, lake: Lake, source: str | None, start: int | None, end: int | None
) -> dict[str, Batch]:
    """By source, the samples that history keeps as late and that nothing has superseded."""
    facts = lake.telemetry(start=start, end=end)
    fate, reason = (np.array(facts[name].to_pylist(), object) for name in ("fate", "reason"))
    rows = np.flatnonzero((fate == "late") & (reason == "late"))
    facts = facts.take(rows)
    twin, signal, of = (Labels.of(facts[n].to_pylist()) for n in ("twin", "signal", "source"))
    batch = Batch(
        twin,
        signal,
        facts["instant"].to_numpy(),
        facts["value"].to_numpy(),
        Labels.full(len(twin), ""),
    )
    names = [name for name in of.words if source in (None, name)]
    return {name: batch.part(of.are(name)) for name in names}


def refused(
    plan: Plan,
    journal: Journal,
    ledger: Ledger,
    lake: Lake,
    source: str | None,
    start: int | None,
    end: int | None,
) -> dict[str, Batch]:
    """By source, the samples that were rejected, are good by today's rules, and not in history."""
    records = ledger.dead_letters(source, REFUSED, fate="rejected")
    found: dict[str, list[Batch]] = {}
    for sequence in sorted({int(record["sequence"]) for record in records}):
        if sequence < journal.first():
            continue  # the journal let go of it
        for entry in journal.read(sequence - 1, 1):
            if entry.sequence != sequence or entry.batch is None or "redrive" in entry.body:
                continue
            _, value, reason = admit(plan.rules, entry.source, entry.batch, entry.received_at)
            wanted = (reason == 0) & _within(entry.batch, start, end)
            if wanted.any():
                wanted[wanted] = ~_known(lake, entry.source, entry.batch.part(wanted))
            batch = entry.batch.part(wanted)
            if len(batch):
                found.setdefault(entry.source, []).append(batch)
    return {name: Batch.joined(batches) for name, batches in found.items()}


def _within(batch: Batch, start: int | None, end: int | None) -> Any:
    low = np.iinfo(np.int64).min if start is None else start
    high = np.iinfo(np.int64).max if end is None else end
    return (batch.instant >= low) & (batch.instant < high)


def _known(lake: Lake, source: str, batch: Batch) -> Any:
    """The rows of a batch that history has: (N,)."""
    facts = lake.telemetry(
        twins=sorted(set(batch.twin)),
        signals=sorted(set(batch.signal)),
        start=int(batch.instant.min()),
        end=int(batch.instant.max()) + 1,
    )
    columns = (facts[name].to_pylist() for name in ("source", "twin", "signal", "instant"))
    known = {key[1:] for key in zip(*columns, strict=True) if key[0] == source}
    keys = zip(batch.twin, batch.signal, batch.instant.tolist(), strict=True)
    return np.array([key in known for key in keys], np.bool_)


def entries(batches: dict[str, Batch], now: int, by: str, why: str) -> list[Entry]:
    """What the journal takes in: who asked for it is part of the record."""
    body = {"redrive": {"by": by, "why": why}}
    return [
        Entry("batch", source, now, batch=batch.part(slice(k, k + SAMPLES)), body=body)
        for source, batch in batches.items()
        for k in range(0, len(batch), SAMPLES)
    ]
