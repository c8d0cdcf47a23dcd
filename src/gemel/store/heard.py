"""What came of each source over time: how many samples, how good, how late.

Owns    counting the facts of a span by source, part of the span, quality and reason.
Never   takes samples into memory: they are counted where they lie.
"""

from typing import Any

import numpy as np

from gemel.clock import SECOND
from gemel.store.lake import FACT, Lake
from gemel.store.sql import Facts
from gemel.store.wanted import Wanted

GRADES = ("good", "uncertain", "bad")
_COUNT = f"""SELECT source, (instant - $from) // $width AS part, quality, reason, count(*) AS count,
 sum((received_at - instant) / 1e9) AS lag FROM facts WHERE {FACT} GROUP BY ALL"""


def heard(
    lake: Lake, start: int, end: int, parts: int, as_known_at: int | None = None
) -> list[dict[str, Any]]:
    """Samples of start ≤ instant < end, in `parts` equal spans: a record a source, by its name.

    {source, good, uncertain, bad (parts,): samples; lag (parts,): mean of received_at − instant, s,
    None where none came; reasons: of those that are not good, how many of which}
    """
    width = max(1, -(-(end - start) // parts))
    facts = Facts(lake.table("telemetry"), Wanted({}, start, end, known=as_known_at))
    rows = lake.reader.ask(_COUNT, {"facts": facts}, {"from": start, "width": width}).to_pylist()
    told: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: str(row["source"])):
        one = told.setdefault(row["source"], _blank(row["source"], parts))
        part, count = row["part"], row["count"]
        one[GRADES[row["quality"]]][part] += count
        one["lag"][part] += row["lag"]
        if row["quality"]:
            one["reasons"][row["reason"]] = one["reasons"].get(row["reason"], 0) + count
    for one in told.values():
        count = sum(one[grade] for grade in GRADES)
        mean = one["lag"] / np.maximum(count, 1)
        one["lag"] = [float(m) if n else None for m, n in zip(mean, count, strict=True)]
        one |= {grade: one[grade].tolist() for grade in GRADES}
    return list(told.values())


def seconds(start: int, end: int, parts: int) -> float:
    """How long each part is, s."""
    return max(1, -(-(end - start) // parts)) / SECOND


def _blank(source: str, parts: int) -> dict[str, Any]:
    counts = {grade: np.zeros(parts, np.int64) for grade in GRADES}
    return {"source": source, **counts, "lag": np.zeros(parts), "reasons": {}}
