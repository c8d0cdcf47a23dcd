"""What runs of `refit` found, as people are told: champion against challenger, asset by asset.

Owns    turning the steps of those runs into fits and comparisons.
Never   judges: the proofs are the runs' own, kept when they were made.
"""

from collections.abc import Sequence

import numpy as np

from gemel.errors import NotFound
from gemel.flow.desk import Desk, Record
from gemel.flow.fleet import Fleet

RECENT = 5  # fits of a binding among which a challenger of an asset is looked for


def fits(desk: Desk, fleet: Fleet, limit: int, until: int | None = None) -> list[Record]:
    """The latest fits of a binding, each in one record; until: as they stood at that instant."""
    told = []
    for run in _runs(desk, fleet):
        if until is not None and run["created_at"] > until:
            continue
        if until is not None and not 0 < run["ended_at"] <= until:
            told.append(_told(fleet, {**run, "status": "running", "ended_at": 0}, {}))
        else:
            told.append(_told(fleet, run, desk.ledger.steps(run["id"])))
        if len(told) == limit:
            break
    return told


def fit_of(desk: Desk, fleet: Fleet, identity: str) -> tuple[Record, list[Record]]:
    """One fit, and its comparison of every asset. Raises `run.unknown`."""
    run = desk.ledger.run(identity)
    if run is None or not _is_of(desk, fleet, run):
        raise NotFound(
            "run.unknown",
            f"binding {fleet.binding.name} has no fit '{identity[:40]}'",
            mend=f"GET /api/v1/kernels/{fleet.binding.name}/history lists them",
        )
    steps = desk.ledger.steps(identity)
    compared = [_comparison(run, steps, twin) for twin in _proofs(steps)]
    return _told(fleet, run, steps), compared


def challengers(
    desk: Desk,
    fleet: Fleet,
    twins: Sequence[str],
    versions: list[str],
    until: int | None = None,
) -> dict[str, Record]:
    """twin → the latest comparison with what speaks for it (versions (A), of the fleet).

    until: of the runs that had ended at that instant.
    """
    found: dict[str, Record] = {}
    runs = [run for run in _runs(desk, fleet) if until is None or 0 < run["ended_at"] <= until]
    for run in runs[:RECENT]:
        steps = desk.ledger.steps(run["id"])
        proofs = _proofs(steps)
        for twin in set(twins) - set(found):
            now = versions[fleet.row[twin]]
            if twin in proofs and run["id"] != now and proofs[twin].get("incumbent", now) == now:
                found[twin] = _comparison(run, steps, twin)
    return found


def _runs(desk: Desk, fleet: Fleet) -> list[Record]:
    return [run for run in desk.ledger.runs(limit=500) if _is_of(desk, fleet, run)]


def _is_of(desk: Desk, fleet: Fleet, run: Record) -> bool:
    """Whether a run is a fit of this binding; one that names none is of the first."""
    name = run["options"].get("binding") or next(iter(desk.plan.fleets))
    return run["definition"] == "refit" and name == fleet.binding.name


def _proofs(steps: dict[str, Record]) -> dict[str, Record]:
    found: dict[str, Record] = steps.get("judge", {}).get("proofs", {})
    return found


def _told(fleet: Fleet, run: Record, steps: dict[str, Record]) -> Record:
    learn, proofs = steps.get("learn", {}), _proofs(steps)
    units = {sensor.unit for sensor in fleet.kernel.layout.outputs.values()}
    asked = steps.get("ask")
    return {
        "run": run["id"],
        "status": run["status"],
        "started_by": run["started_by"],
        "created_at": run["created_at"],
        "ended_at": run["ended_at"],
        "kernel": learn.get("kernel") or run["versions"].get(fleet.binding.name),
        "start": learn.get("start"),
        "cut": learn.get("cut"),
        "end": learn.get("end"),
        "assets": len(learn.get("learnt", {})),
        "judged": len(proofs),
        "better": sum(bool(proof["promote"]) for proof in proofs.values()),
        "promoted": len(steps.get("promote", {}).get("promoted", [])),
        "unit": units.pop() if len(units) == 1 else None,
        "incumbent_rmse": _median(proofs, "incumbent_rmse"),
        "challenger_rmse": _median(proofs, "challenger_rmse"),
        "coverage": _median(proofs, "coverage"),
        "gold": steps.get("judge", {}).get("gold"),
        "verdict": asked and {name: asked[name] for name in ("verdict", "by", "why")},
        "failure": run["result"] if run["status"] == "failed" else None,
    }


def _median(proofs: dict[str, Record], name: str) -> float | None:
    values = [proof[name] for proof in proofs.values() if proof[name] is not None]
    return float(np.median(values)) if values else None


def _comparison(run: Record, steps: dict[str, Record], twin: str) -> Record:
    proof, learnt = _proofs(steps)[twin], steps["learn"]["learnt"][twin]
    return {
        "run": run["id"],
        "twin": twin,
        **{
            name: proof.get(name)
            for name in (
                "promote",
                "reason",
                "incumbent",
                "incumbent_rmse",
                "challenger_rmse",
                "incumbent_bias",
                "challenger_bias",
                "coverage",
                "count",
            )
        },
        "parameters": {
            name: {"value": value, "std": learnt["stds"][name]}
            for name, value in learnt["parameters"].items()
        },
        "samples": learnt["samples"],
        "not_identified": learnt["not_identified"],
    }
