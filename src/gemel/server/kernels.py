"""The routes of kernels: what they are, which fit speaks for which asset, how well, since when.

Owns    what these routes take and the schemas of what they answer.
Never   changes who speaks but through the host's own door, which keeps who asked and why.
"""

from dataclasses import asdict
from functools import lru_cache
from inspect import cleandoc
from typing import Annotated, Any, Literal, cast

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from gemel.clock import parse_instant
from gemel.errors import NotFound
from gemel.flow.fits import challengers, fit_of, fits
from gemel.flow.fleet import Fleet, gold_set
from gemel.flow.host import Host
from gemel.flow.speaking import Speaking
from gemel.flow.track import Residuals, residuals
from gemel.flow.versions import changes, fleet_of, latest, row_of, spoke, start_of
from gemel.insight.calibration import LEVELS, Calibration, calibrate, histogram
from gemel.insight.lifecycle import Change, Version, standing
from gemel.kernels import gold
from gemel.kernels.belief import IN_STEP
from gemel.server.answers import DAY, Answer, read_valid
from gemel.server.asked import Id, Known, Name, Names, Record, Valid, Who, Why, host_of, tick_of
from gemel.server.pages import says

router = APIRouter()
FACTS = 300_000  # forecasts that one look at the track takes into memory
SAMPLE = 200  # assets that stand for a large fleet there
STEPS = 24  # parts of its window in which the drift is told

Offset = Annotated[int, Query(ge=0, le=10**7)]
Few = Annotated[int, Query(ge=1, le=1000)]


class Promotion(BaseModel, extra="forbid"):
    """Who shall speak for one asset from now on.

    promote: the challenger of a refit, named by the run, which was proved against what speaks now
    roll_back: a version that stands below the one that speaks; the one right below where none is
    named.
    """

    twin: str = Field(min_length=1, max_length=64)
    action: Literal["promote", "roll_back"]
    version: str | None = Field(None, min_length=1, max_length=130)
    by: Who
    why: Why


# ---- what they are ----------------------------------------------------------------------------


@router.get(
    "/kernels",
    **says("kernels", "The kernels that speak: equations, units, priors"),
)
def kernels(request: Request) -> Response:
    items = [_kernel(fleet) for fleet in host_of(request).plan.fleets.values()]
    return Answer({"items": items, "next": None})


@router.get(
    "/kernels/{binding}",
    **says("kernel", "One kernel: equations, ports, versions, its parameters over the fleet"),
)
def kernel(request: Request, binding: Id, valid: Valid = None, known_at: Known = None) -> Response:
    host = host_of(request)
    fleet = fleet_of(host, binding)
    now = _speaking(host, binding, valid, known_at)
    names, count = np.unique(np.array(now.versions, np.str_), return_counts=True)
    order = np.argsort(-count, kind="stable")
    told = _kernel(fleet)
    for k, name in enumerate(fleet.kernel.layout.parameters):
        told["parameters"][name]["fleet"] = _spread(now.values[:, k], now.stds[:, k])
    return Answer(
        {
            **told,
            "interface": fleet.binding.interface,
            "every": fleet.binding.every,
            "modes": now.modes,
            "begun": int(now.begun.sum()),
            "in_step": None if np.isnan(now.nis).all() else int(_in_step(now).sum()),
            "versions": [{"version": str(names[k]), "assets": int(count[k])} for k in order],
            "at": now.at,
            "tick": now.tick,
        }
    )


def _kernel(fleet: Fleet) -> Record:
    kernel, ports = type(fleet.kernel), fleet.binding.ports
    layout = kernel.layout
    return {
        "binding": fleet.binding.name,
        "identity": fleet.identity,
        "rows": len(fleet.twins),
        "name": kernel.__name__,
        "version": kernel.version,
        "about": _about(kernel.__doc__ or ""),
        "states": {
            n: {
                "unit": s.unit,
                "start": s.start,
                "start_std": s.start_std,
                "noise": s.noise,
                "precise": s.precise,
            }
            for n, s in layout.states.items()
        },
        "inputs": {
            n: {"unit": s.unit, "max_age": s.max_age, "port": ports.get(n, n)}
            for n, s in layout.inputs.items()
        },
        "parameters": {
            n: {
                "unit": p.unit,
                "typical": p.typical,
                "spread": p.spread,
                "scale": p.scale,
                "bounds": list(p.bounds),
            }
            for n, p in layout.parameters.items()
        },
        "sensors": {
            n: {"unit": s.unit, "noise": s.noise, "gate": s.gate, "port": ports.get(n, n)}
            for n, s in layout.outputs.items()
        },
    }


def _about(docstring: str) -> str:
    """A docstring as people read it: without its margin, and without its tests."""
    parts = cleandoc(docstring).split("\n\n")
    return "\n\n".join(part for part in parts if not part.lstrip().startswith(">>>"))


def _spread(values: Any, stds: Any) -> Record:
    """One parameter over the fleet: where the assets lie, and how surely each is known."""
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95]).tolist()
    return {"low": low, "median": median, "high": high, "std": float(np.median(stds))}


def _speaking(host: Host, binding: str, valid: str | None, known_at: str | None) -> Speaking:
    """What speaks now, or spoke at an instant, as known then or now."""
    instant = known_at if valid is None else valid
    if instant is None:
        return host.speaking(binding)
    known = tick_of(host, known_at)
    return spoke(host, fleet_of(host, binding), host.past(parse_instant(instant), known), known)


def _in_step(now: Speaking) -> Any:
    return now.begun & (now.nis < IN_STEP) & ~now.stale


# ---- who speaks for whom ----------------------------------------------------------------------


@router.get(
    "/kernels/{binding}/assets",
    **says("kernel-assets", "Which version speaks for each asset, and its challenger"),
)
def assets(
    request: Request,
    binding: Id,
    find: Name = None,
    version: Annotated[str | None, Query(max_length=130)] = None,
    sort: Literal["id", "-id", "nis", "-nis"] = "id",
    offset: Offset = 0,
    limit: Few = 60,
    valid: Valid = None,
    known_at: Known = None,
) -> Response:
    host = host_of(request)
    fleet = fleet_of(host, binding)
    now = _speaking(host, binding, valid, known_at)
    past = None if valid is None and known_at is None else now.at
    rows = [
        row
        for row, twin in enumerate(fleet.twins)
        if (find is None or find.lower() in twin.lower()) and version in (None, now.versions[row])
    ]
    nis = np.nan_to_num(now.nis, nan=-1.0)
    key = (lambda row: nis[row]) if sort.endswith("nis") else (lambda row: fleet.twins[row])
    shown = sorted(rows, key=key, reverse=sort.startswith("-"))[offset : offset + limit]
    twins = [fleet.twins[row] for row in shown]
    told = changes(host, binding, twins, tick_of(host, known_at))
    if past is not None:
        told = {twin: [c for c in line if c.version.since <= past] for twin, line in told.items()}
    against = challengers(host, fleet, twins, now.versions, past)
    items = [_asset(fleet, now, row, told, against) for row in shown]
    return Answer({"items": items, "total": len(rows), "at": now.at, "tick": now.tick})


def _asset(
    fleet: Fleet, now: Speaking, row: int, told: dict[str, list[Change]], against: dict[str, Record]
) -> Record:
    twin, layout = fleet.twins[row], fleet.kernel.layout
    line = standing(start_of(fleet, row), told[twin])
    below = [one.name for one in line if one.name != now.versions[row]]
    step = _in_step(now)
    return {
        "twin": twin,
        "version": now.versions[row],
        "since": line[-1].since,
        "by": line[-1].by,
        "why": line[-1].why,
        "below": below,
        "line": [_stood(one, layout) for one in reversed(line)],
        "begun": bool(now.begun[row]),
        "in_step": None if np.isnan(now.nis[row]) else bool(step[row]),
        "stale": bool(now.stale[row]),
        "nis": float(now.nis[row]),
        "parameters": _known(layout, now.values[row].tolist(), now.stds[row].tolist()),
        "challenger": against.get(twin),
    }


def _stood(version: Version, layout: Any) -> Record:
    """One version of an asset's line, with its values as they were when it got the word."""
    names = list(layout.parameters)
    values, stds = ([told[name] for name in names] for told in (version.parameters, version.stds))
    return {
        "version": version.name,
        "since": version.since,
        "by": version.by,
        "why": version.why,
        "parameters": _known(layout, values, stds),
    }


def _known(layout: Any, values: list[float], stds: list[float]) -> Record:
    told = zip(layout.parameters.items(), values, stds, strict=True)
    return {
        name: {"value": value, "std": std, "off": _off(item, value)}
        for (name, item), value, std in told
    }


def _off(item: Any, value: float) -> float:
    """How far a parameter is from the fleet's typical one, in the prior's spreads."""
    if item.scale == "log":
        return float(np.log(value / item.typical) / item.spread)
    return float((value - item.typical) / item.spread)


@router.get(
    "/kernels/{binding}/history",
    **says("kernel-history", "Fits with their proofs; promotions and roll-backs"),
)
def history(
    request: Request,
    binding: Id,
    twin: Name = None,
    known_at: Known = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> Response:
    host = host_of(request)
    fleet, known = fleet_of(host, binding), tick_of(host, known_at)
    until = None if known_at is None else parse_instant(known_at)
    if twin is not None:
        row_of(fleet, twin)
    told, total = latest(host, binding, twin, known, limit)
    now = host.speaking(binding)
    return Answer(
        {
            "fits": fits(host, fleet, limit, until),
            "changes": [_move(change) for change in told],
            "total": total,
            "at": now.at if until is None else until,
            "tick": now.tick if known is None else known,
        }
    )


def _move(change: Change) -> Record:
    version = change.version
    return {
        "at": version.since,
        "twin": change.twin,
        "action": change.action,
        "version": version.name,
        "over": change.over,
        "by": version.by,
        "why": version.why,
    }


@router.get(
    "/kernels/{binding}/fits/{run}",
    **says("kernel-fit", "One fit: champion against challenger on held-out readings, by asset"),
)
def fit(
    request: Request,
    binding: Id,
    run: Id,
    find: Name = None,
    better: bool | None = None,
    offset: Offset = 0,
    limit: Few = 60,
) -> Response:
    host = host_of(request)
    told, compared = fit_of(host, fleet_of(host, binding), run)
    rows = [row for row in compared if better in (None, row["promote"])]
    rows = [row for row in rows if find is None or find.lower() in row["twin"].lower()]
    return Answer({**told, "items": rows[offset : offset + limit], "total": len(rows)})


@router.post(
    "/kernels/{binding}/promotion",
    **says("promotion", "Let a proved challenger speak for an asset, or go back"),
)
def promotion(request: Request, binding: Id, body: Promotion) -> Response:
    host = host_of(request)
    return Answer(
        host.promote(binding, body.twin, body.action, body.version, by=body.by, why=body.why)
    )


# ---- how well ---------------------------------------------------------------------------------


@router.get(
    "/kernels/{binding}/track",
    **says("kernel-track", "How well its intervals cover what came: coverage, bias, drift"),
)
def track(
    request: Request,
    binding: Id,
    twin: Names = None,
    valid: Valid = None,
    known_at: Known = None,
) -> Response:
    host = host_of(request)
    fleet, now = fleet_of(host, binding), host.speaking(binding)
    known, kernel = tick_of(host, known_at), cast(Any, type(fleet.kernel))
    start, end = _window(valid, now.at)
    rows = _looked_at(fleet) if twin is None else sorted({row_of(fleet, one) for one in twin})
    start = _affordable(host, fleet, rows, start, end, known)
    seen = residuals(host.plan, fleet, host.lake, start, end, rows, known)
    return Answer(
        {
            "binding": binding,
            "start": start,
            "end": end,
            "assets": len(fleet.twins),
            "judged": len(rows),
            "levels": list(LEVELS),
            "sensors": [
                _sensor(fleet, now, seen, rows, k, (start, end))
                for k in range(len(fleet.kernel.layout.outputs))
            ],
            "gold": _gold(kernel),
            "at": now.at,
            "tick": now.tick,
        }
    )


def _window(valid: str | None, at: int) -> tuple[int, int]:
    """From valid=START/END; without it, or of one instant: the day before."""
    start, end, _ = read_valid(valid, at)
    end = at + 1 if end is None else end
    return (end - DAY if start is None else start), end


def _looked_at(fleet: Fleet) -> list[int]:
    """All rows, or some that lie evenly among those of a large fleet."""
    count = len(fleet.twins)
    return [k * count // min(count, SAMPLE) for k in range(min(count, SAMPLE))]


def _affordable(
    host: Host, fleet: Fleet, rows: list[int], start: int, end: int, known: int | None
) -> int:
    """The start of the latest part of a window that holds no more than FACTS forecasts."""
    among = {
        "twin": [fleet.twins[row] for row in rows],
        "name": [f"{sensor}.foreseen" for sensor in fleet.kernel.layout.outputs],
        "binding": [fleet.binding.name],
    }
    reach = host.lake.reach("estimates", FACTS, among, start, end, known, newest=True)
    return start if reach is None else reach + 1


def _sensor(
    fleet: Fleet,
    now: Speaking,
    seen: Residuals,
    rows: list[int],
    sensor: int,
    window: tuple[int, int],
) -> Record:
    """One sensor: the fleet together, its drift over the window, and each asset."""
    name = list(fleet.kernel.layout.outputs)[sensor]
    own = seen.sensor == sensor
    z, (start, end) = seen.z[own], window
    wide = max(fleet.grid.every, -(-(end - start) // STEPS))
    parts = -(-(end - start) // wide)
    each = calibrate(z, np.searchsorted(rows, seen.row[own]), len(rows))
    drift = calibrate(z, (seen.instant[own] - start) // wide, parts)
    return {
        "sensor": name,
        "unit": fleet.kernel.layout.outputs[name].unit,
        "fleet": _shares(calibrate(z), 0)
        | {"off": float(seen.off[own].mean()) if own.any() else None},
        "histogram": histogram(z).tolist(),
        "drift": [{"start": start + k * wide} | _shares(drift, k) for k in range(parts)],
        "assets": [
            {"twin": fleet.twins[r], "version": now.versions[r], "nis": float(now.nis[r])}
            | _shares(each, k)
            for k, r in enumerate(rows)
        ],
    }


def _shares(told: Calibration, k: int) -> Record:
    return {
        "count": int(told.count[k]),
        "inside": told.inside[k].tolist(),
        "inside_std": told.inside_std[k].tolist(),
        "bias": float(told.bias[k]),
        "spread": float(told.spread[k]),
    }


@lru_cache(64)
def _gold(kernel: Any) -> Record | None:
    """The gold set beside the kernel, run now; None: there is none, so nothing is promoted."""
    try:
        kept = gold_set(kernel)
    except NotFound:
        return None
    cases = [asdict(case) for case in gold.judge(kernel, kept)]
    return {"source": kept.get("source", ""), "cases": cases}
