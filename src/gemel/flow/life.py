"""The life of an asset: what was found, done, repaired and learnt, on one line of time.

Owns    gathering the events of one twin from ledger and lake, and its neighbours in the graph.
Never   decides what any of them means: each is told as it was recorded.
"""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from gemel.flow.fleet import Plan
from gemel.flow.overview import overview
from gemel.flow.view import View
from gemel.store.ledger import Ledger

MOST = 500  # events of each kind
NEAR = 200  # neighbours that are told
Record = dict[str, Any]
Events = Callable[[str, int | None], pa.Table]  # (name, as known at a tick) → instant, body


def life(
    ledger: Ledger, events: Events, twin: str, since: int, before: int, known: int | None = None
) -> list[Record]:
    """The events of a twin that touch since ≤ t < before, the oldest first.

    {start, end, kind, id, title, detail, by, why, status, binding, severity}; end: null, it has not
    ended, or has no length. kind: finding, command, repair, promotion.
    """
    told = [_finding(row) for row in ledger.findings(twin=twin, as_known_at=known, limit=MOST)]
    told += [_command(row) for row in ledger.invocations(twin=twin, as_known_at=known, limit=MOST)]
    for name, tell in (("maintenance", _repair), ("promotion", _promotion)):
        for row in events(name, known).to_pylist():
            body = json.loads(row["body"])
            if body.get("twin") == twin:
                told.append(tell(row["instant"], body))
    there = [event for event in told if event["start"] < before and _last(event) >= since]
    return sorted(there, key=lambda event: int(event["start"]))


def _last(event: Record) -> int:
    """The instant up to which it lasts."""
    lasts = event["status"] in ("open", "sending", "acknowledged")
    return 2**62 if lasts else int(event["end"] or event["start"])


def _event(start: int, end: int | None, kind: str, body: Record, **more: Any) -> Record:
    names = ("id", "by", "why", "status", "binding", "severity")
    words = {name: str(body.get(name) or "") for name in names}
    return {"start": start, "end": end or None, "kind": kind, **words, **more}


def _finding(row: Record) -> Record:
    title = f"{row['kind'].replace('_', ' ')}: {row['subject']}"
    return _event(row["instant"], row["closed_at"], "finding", row, title=title, detail=row["text"])


def _command(row: Record) -> Record:
    title = f"{row['command']} {row['argument']:g}"
    return _event(
        row["created_at"], row["done_at"], "command", row, title=title, detail=row["detail"]
    )


def _repair(instant: int, body: Record) -> Record:
    resets = ", ".join(body.get("resets") or []) or "every state"
    return _event(instant, None, "repair", body, title="repair", detail=f"{resets} began anew")


def _promotion(instant: int, body: Record) -> Record:
    action = str(body.get("action", "promote")).replace("_", " ")
    over = body.get("over")
    detail = f"{body.get('version', '')} speaks" + (f", over {over}" if over else "")
    return _event(instant, None, "promotion", body, title=action, detail=detail)


def neighbours(plan: Plan, view: View, twin: str) -> Record:
    """Who a twin links to (parents), who links to it (children), who links to the same (siblings).

    Each as {relation, row}, the row as in the overview.
    """
    seats, rows, twins = plan.seats, overview(view), plan.plant.twins
    parents = [(name, other) for name, other in twins[twin].links.items() if other in twins]
    links = [(one.id, name, other) for one in twins.values() for name, other in one.links.items()]
    children = [(name, one) for one, name, other in links if other == twin]
    near = set(parents)
    siblings = [(name, one) for one, name, other in links if (name, other) in near and one != twin]
    return {
        side: {
            "total": len(some),
            "items": [
                {"relation": relation, "row": rows.row(seats.number[other])}
                for relation, other in some[:NEAR]
            ],
        }
        for side, some in (("parents", parents), ("children", children), ("siblings", siblings))
    }
