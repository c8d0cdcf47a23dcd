"""Why this number: from a twin's picture back to samples, kernel, parameters, proof, approvals.

Owns    gathering the evidence of one twin from view, ledger and lake.
Never   computes a number anew: it shows what was used.
"""

import json
from typing import Any

from gemel.errors import NotFound
from gemel.flow.fleet import Plan
from gemel.flow.view import View
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger


def why(plan: Plan, view: View, ledger: Ledger, lake: Lake, twin: str) -> dict[str, Any]:
    """Everything that stands behind one twin's numbers."""
    picture = view.twin(twin)
    if picture is None:
        raise NotFound(
            "twin.unknown", f"there is no twin '{twin[:64]}'", mend="gemel status lists the twins"
        )
    known = view.tick if view.past else None
    return {
        "twin": twin,
        "at": view.at,
        "tick": view.tick,
        "samples": picture["latest"],
        "fleets": {name: _fleet(plan, name, row) for name, row in picture["fleets"].items()},
        "promotions": _events(lake, "promotion", twin, view.at),
        "maintenance": _events(lake, "maintenance", twin, view.at),
        "findings": ledger.findings(None, twin, known, 20),
        "proposals": ledger.proposals(None, twin, known, 20),
        "invocations": ledger.invocations(None, twin, known, 20),
        "validation": [
            run
            for run in ledger.runs(limit=50)
            if run["definition"] in ("refit", "watch")
            and run["created_at"] <= view.at
            and _tells(run["result"], twin)
        ][:3],
    }


def _fleet(plan: Plan, name: str, row: dict[str, Any]) -> dict[str, Any]:
    kernel = type(plan.fleets[name].kernel)
    return {
        **row,
        "equation": (kernel.__doc__ or "").strip(),
        "ports": plan.plant.bindings[name].ports,
    }


def _tells(result: dict[str, Any], twin: str) -> bool:
    """Whether a fit proved this twin, or a watch gave it a score ("TWIN BINDING SENSOR")."""
    scored = {who.split(" ")[0] for who in result.get("scores", {})}
    return twin in scored or twin in result.get("proofs", {})


def _events(lake: Lake, name: str, twin: str, at: int) -> list[dict[str, Any]]:
    """Events of one name up to an instant that speak of a twin, the latest first."""
    rows = lake.events(name=name, end=at + 1).to_pylist()
    return [row for row in reversed(rows) if json.loads(row["body"]).get("twin") == twin][:10]
