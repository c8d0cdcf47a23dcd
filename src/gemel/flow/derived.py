"""What history keeps of each tick, gathered until it is worth a write.

Owns    the rows of the lake's tables (docs/contracts.md §5) between two writes.
Never   is the truth: all of it can be had again from the journal.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from gemel.flow.outcome import Outcome, Told
from gemel.intake.roll import chosen
from gemel.labels import Labels
from gemel.records import CORRECTION, FATES, LATE, REASONS, STORED, Judged
from gemel.store.coded import joined, same, words
from gemel.store.lake import Lake

TABLES = ("telemetry", "estimates", "findings", "events")
_KEPT = np.isin(np.arange(len(FATES)), (STORED, CORRECTION, LATE))  # what becomes history


class Derived:
    """Rows waiting for the lake. After a restart, ticks that the lake already has are left out.

    reach: ns that a sample may be late and still be known again when it comes twice.
    """

    def __init__(self, lake: Lake, reach: int) -> None:
        self._lake, self._reach = lake, reach
        self._known = {table: lake.known(table) for table in TABLES}
        self._rows: dict[str, list[pa.Table]] = {table: [] for table in TABLES}
        self.waiting = 0

    def take(self, tick: int, at: int, outcome: Outcome) -> None:
        """Gather what one tick told."""
        judged = [_telemetry(judged, tick, self._reach) for judged in outcome.judged]
        self._add("telemetry", tick, judged)
        self._add("estimates", tick, [_estimates(told, tick, at) for told in outcome.estimates])
        if outcome.findings:
            self._add("findings", tick, [_findings(outcome.findings, tick)])
        if outcome.events:
            self._add("events", tick, [_events(outcome.events, tick)])

    def write(self, tick: int) -> None:
        """Everything gathered, to the lake, as of `tick`."""
        for table, parts in self._rows.items():
            if parts:
                self._lake.append(table, joined(parts), tick)
                self._rows[table] = []
        self.waiting = 0

    def fresh(self, table: str) -> list[pa.Table]:
        """What the lake may not have yet; any thread may ask."""
        return list(self._rows[table])

    def _add(self, table: str, tick: int, parts: list[pa.Table]) -> None:
        if tick > self._known[table]:
            self._rows[table] += [part for part in parts if part.num_rows]
            self.waiting += sum(part.num_rows for part in parts)


def _telemetry(judged: Judged, tick: int, reach: int) -> pa.Table:
    """Rows of history. What is taken in once more after `reach` is a correction there: of a key,
    `stored` is the first fact and no other."""
    kept = chosen(_KEPT[judged.fate])
    fate, instant = judged.fate[kept], judged.instant[kept]
    count = len(fate)
    if judged.received_at - instant.min(initial=judged.received_at) >= reach:
        again = (fate == STORED) & (judged.received_at - instant >= reach)
        fate = np.where(again, np.int8(CORRECTION), fate)
    return pa.table(
        {
            "twin": words(judged.twin[kept]),
            "signal": words(judged.signal[kept]),
            "instant": pa.array(instant),
            "value": pa.array(judged.value[kept]),
            "quality": pa.array(judged.quality[kept]),
            "reason": words(Labels(REASONS, judged.reason[kept]), few=True),
            "fate": words(Labels(FATES, fate), few=True),
            "source": words(Labels((judged.source,), np.zeros(count, np.int8)), few=True),
            "received_at": same(judged.received_at, count),
            "tick": same(tick, count),
        }
    )


def _estimates(told: Told, tick: int, at: int) -> pa.Table:
    rows, names = len(told.twin), tuple(told.values)
    count = rows * len(names)
    twin = Labels(told.twin.words, np.tile(told.twin.code, len(names)))
    means, stds = ([told.values[name][k] for name in names] or [np.zeros(0)] for k in (0, 1))
    return pa.table(
        {
            "twin": words(twin),
            "binding": words(Labels.full(count, told.binding)),
            "name": words(Labels(names, np.repeat(np.arange(len(names)), rows))),
            "instant": pa.array(np.tile(told.instant, len(names))),
            "mean": pa.array(np.concatenate(means)),
            "std": pa.array(np.concatenate(stds)),
            "known_at": same(at, count),
            "tick": same(tick, count),
        }
    )


def _findings(findings: list[dict[str, Any]], tick: int) -> pa.Table:
    columns: dict[str, Any] = {
        name: pa.array([str(f[name]) for f in findings], pa.string())
        for name in ("id", "kind", "twin", "binding", "subject", "severity", "status", "text")
    }
    for name in ("instant", "closed_at"):
        columns[name] = pa.array([f[name] for f in findings], pa.int64())
    for name in ("statistic", "threshold"):
        columns[name] = pa.array([f[name] for f in findings], pa.float64())
    columns["evidence"] = pa.array([json.dumps(f["evidence"]) for f in findings], pa.string())
    columns["tick"] = pa.array([tick] * len(findings), pa.int64())
    return pa.table(columns)


def _events(events: list[dict[str, Any]], tick: int) -> pa.Table:
    return pa.table(
        {
            "name": pa.array([e["name"] for e in events], pa.string()),
            "instant": pa.array([e["instant"] for e in events], pa.int64()),
            "body": pa.array([json.dumps(e["body"]) for e in events], pa.string()),
            "tick": pa.array([tick] * len(events), pa.int64()),
        }
    )
