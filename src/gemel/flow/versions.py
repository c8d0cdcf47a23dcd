"""Which fit speaks for which asset: the version line of each, and its moves by a person.

Owns    what stands behind a version, and whether a promotion or a roll-back fits what is so.
Never   writes: it hands back the journal's entry, and the tick takes it only if the same version
        still speaks (`over`).
"""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gemel.errors import Conflict, Invalid, NotFound
from gemel.flow.desk import Desk, Record
from gemel.flow.fleet import Fleet
from gemel.flow.speaking import Speaking
from gemel.flow.view import View
from gemel.insight.lifecycle import Change, Version, standing

_TWIN = r'"twin": "(?P<twin>[^"]+)"'


def fleet_of(desk: Desk, binding: str) -> Fleet:
    """Raises `binding.unknown`."""
    if binding not in desk.plan.fleets:
        raise NotFound(
            "binding.unknown",
            f"there is no binding '{binding[:40]}'",
            mend=f"known are: {', '.join(desk.plan.fleets) or 'none'}",
        )
    return desk.plan.fleets[binding]


def row_of(fleet: Fleet, twin: str) -> int:
    """Raises `twin.unknown`."""
    if twin not in fleet.row:
        raise NotFound(
            "twin.unknown",
            f"binding {fleet.binding.name} has no row for a twin '{twin[:64]}'",
            mend=f"GET /api/v1/kernels/{fleet.binding.name}/assets lists them",
        )
    return fleet.row[twin]


def start_of(fleet: Fleet, row: int) -> Version:
    """What spoke first: the kernel's typical values, or those of the plant's file."""
    names = list(fleet.kernel.layout.parameters)
    cov = fleet.start_cov[row]
    stds = np.sqrt(np.diagonal(cov))
    return Version(
        fleet.start_versions[row],
        0,
        fleet.identity,
        dict(zip(names, fleet.start_parameters[row].tolist(), strict=True)),
        dict(zip(names, stds.tolist(), strict=True)),
        cov.tolist(),
        "plant",
        "where it starts",
    )


def changes(
    desk: Desk, binding: str, twins: Sequence[str], known: int | None = None
) -> dict[str, list[Change]]:
    """twin → its changes of version in one binding, the oldest first, as known at a tick."""
    found: dict[str, list[Change]] = {twin: [] for twin in twins}
    for row in _about(desk.events("promotion", known), twins).to_pylist():
        change = _change(row)
        if change.binding == binding:
            found[change.twin].append(change)
    return found


def latest(
    desk: Desk, binding: str, twin: str | None, known: int | None, limit: int
) -> tuple[list[Change], int]:
    """The latest changes in one binding, newest first, and how many there are."""
    table = desk.events("promotion", known)
    table = table.filter(pc.match_substring(table["body"], f'"binding": {json.dumps(binding)}'))
    table = table if twin is None else _about(table, [twin])
    part = table.slice(max(len(table) - limit, 0)).to_pylist()
    return [_change(row) for row in reversed(part)], len(table)


def _about(table: pa.Table, twins: Sequence[str]) -> pa.Table:
    """The events that speak of some twins, found before they are parsed."""
    named = pc.struct_field(pc.extract_regex(table["body"], _TWIN), "twin")
    return table.filter(pc.is_in(named, pa.array(list(twins), pa.string())))


def _change(row: Record) -> Change:
    body = json.loads(row["body"])
    parts = (body[name] for name in ("kernel", "parameters", "stds", "cov", "by", "why"))
    version = Version(body["version"], row["instant"], *parts)
    action, over = body.get("action", "promote"), body.get("over", "")
    return Change(body["twin"], body["binding"], action, version, over)


def spoke(desk: Desk, fleet: Fleet, view: View, known: int | None) -> Speaking:
    """What spoke for a fleet's rows at the instant of a picture, as known at a tick (None: now)."""
    held, names = view.columns[fleet.binding.name], list(fleet.kernel.layout.parameters)
    versions, values = list(fleet.start_versions), fleet.start_parameters.copy()
    stds = np.sqrt(np.diagonal(fleet.start_cov, axis1=1, axis2=2))
    for twin, told in changes(desk, fleet.binding.name, fleet.twins, known).items():
        spoken = [change.version for change in told if change.version.since <= view.at]
        if spoken:
            row = fleet.row[twin]
            versions[row] = spoken[-1].name
            values[row] = [spoken[-1].parameters[name] for name in names]
            stds[row] = [spoken[-1].stds[name] for name in names]
    begun = held.instant > 0
    modes = list(held.health)
    return Speaking(view.at, view.tick, versions, values, stds, held.nis, begun, held.stale, modes)


def line(desk: Desk, fleet: Fleet, twin: str) -> list[Version]:
    """The versions that stand one on the other, the one that speaks last."""
    told = changes(desk, fleet.binding.name, [twin])[twin]
    return standing(start_of(fleet, row_of(fleet, twin)), told)


def entry(
    desk: Desk, binding: str, twin: str, action: str, version: str | None, by: str, why: str
) -> Record:
    """The journal's `promotion` that a person asks for, or the Conflict that says why not."""
    fleet = fleet_of(desk, binding)
    now = desk.speaking(binding).versions[row_of(fleet, twin)]
    if action == "promote":
        told = _challenger(desk, fleet, twin, version, now)
    else:
        told = _former(desk, fleet, twin, version, now)
    if told.kernel != fleet.identity:
        raise _refused(
            "promotion.other_kernel",
            f"{told.name} was fitted for {told.kernel}, and {fleet.identity} speaks",
            twin,
            "start a refit: parameters mean what they mean in one kernel alone",
        )
    return promotion(binding, twin, action, told, over=now, by=by, why=why)


def promotion(
    binding: str, twin: str, action: str, told: Version, *, over: str, by: str, why: str
) -> Record:
    """The body of a journal entry `promotion`."""
    return {
        "binding": binding,
        "twin": twin,
        "action": action,
        "parameters": told.parameters,
        "stds": told.stds,
        "cov": told.cov,
        "kernel": told.kernel,
        "version": told.name,
        "over": over,
        "by": by,
        "why": why,
    }


def _challenger(desk: Desk, fleet: Fleet, twin: str, version: str | None, now: str) -> Version:
    """What a refit learnt of an asset, if it was proved against what speaks now."""
    if version is None:
        raise Invalid(
            "promotion.which",
            "a promotion names the version that shall speak",
            where=f"twin {twin}",
            mend='give "version": the id of the refit that was proved (GET …/history lists them)',
        )
    if version == now:
        raise _speaks(now, twin)
    run, steps = desk.ledger.run(version), desk.ledger.steps(version)
    learnt = steps.get("learn", {}).get("learnt", {})
    if run is None or run["definition"] != "refit" or twin not in learnt:
        raise NotFound(
            "promotion.unknown_version",
            f"no refit '{version[:40]}' has learnt anything of this asset",
            where=f"twin {twin}",
            mend=f"GET /api/v1/kernels/{fleet.binding.name}/history lists the fits",
        )
    if steps.get("ask", {}).get("verdict") == "rejected":
        told = steps["ask"]
        raise _refused(
            "promotion.rejected",
            f"{told['by']} has rejected that run: {told['why']}",
            twin,
            "the first answer stands; start another run",
        )
    proof = steps.get("judge", {}).get("proofs", {}).get(twin)
    if proof is None or not proof["promote"]:
        reason = proof["reason"] if proof else "it has no proof"
        raise _refused(
            "promotion.unproved", reason, twin, "start a refit on a longer or later history"
        )
    if proof.get("incumbent", now) != now:
        raise _refused(
            "promotion.outdated",
            f"it was proved against {proof['incumbent']}, and {now} speaks now",
            twin,
            "start a refit: it is proved against what speaks then",
        )
    return learnt_version(run, steps, twin)


def learnt_version(run: Record, steps: dict[str, Record], twin: str) -> Version:
    """What a run has learnt of one asset, as a version named after the run."""
    told = steps["learn"]["learnt"][twin]
    return Version(
        run["id"],
        int(run["created_at"]),
        steps["learn"]["kernel"],
        told["parameters"],
        told["stds"],
        told["cov"],
    )


def _former(desk: Desk, fleet: Fleet, twin: str, version: str | None, now: str) -> Version:
    """A version that stands below the one that speaks; of an asset that was repaired since, as
    doubtful as the fleet's."""
    if version == now:
        raise _speaks(now, twin)
    below = [one for one in line(desk, fleet, twin) if one.name != now]
    wanted = [one for one in below if version in (None, one.name)]
    if not wanted:
        what = "nothing spoke for it before" if version is None else f"{version} never spoke for it"
        names = ", ".join(one.name for one in below) or "none"
        raise _refused("promotion.nothing_before", what, twin, f"one can go back to: {names}")
    told = wanted[-1]
    repairs = [
        row["instant"]
        for row in _about(desk.events("maintenance"), [twin]).to_pylist()
        if json.loads(row["body"]).get("binding", fleet.binding.name) == fleet.binding.name
    ]
    if any(instant > told.since for instant in repairs):
        stds = np.sqrt(np.diagonal(fleet.prior_cov)).tolist()
        named = dict(zip(fleet.kernel.layout.parameters, stds, strict=True))
        parts = (told.kernel, told.parameters, named, fleet.prior_cov.tolist())
        return Version(told.name, told.since, *parts)
    return told


def _speaks(now: str, twin: str) -> Conflict:
    return _refused("promotion.speaks", f"{now} speaks for it already", twin, "nothing is to do")


def _refused(code: str, what: str, twin: str, mend: str) -> Conflict:
    return Conflict(code, what, where=f"twin {twin}", mend=mend)
