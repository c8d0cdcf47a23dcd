"""The routes of `/api/v1`: every noun of the contract, read from the host, asked of the host.

Owns    what each route takes, its limits, and its page in the OpenAPI document.
Never   changes anything but through the host's own doors.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field, FiniteFloat

from gemel.clock import parse_instant
from gemel.errors import NotFound
from gemel.flow.overview import Asked, overview
from gemel.server import pictures
from gemel.server.answers import (
    Answer,
    ordered,
    page,
    read_valid,
)
from gemel.server.asked import (
    After,
    At,
    Id,
    Known,
    Limit,
    Name,
    Record,
    Valid,
    Who,
    Why,
    answer,
    host_of,
    seen,
    tick_of,
    tick_then,
    told_by,
)
from gemel.server.pages import ABOUT, TAGS, says
from gemel.server.pictures import MOST

router = APIRouter()
NOUNS = (
    "status twins fleets findings proposals invocations sources dead-letters history estimates "
    "kernels runs value ledger telemetry events maintenance live quality erasures overview plant "
    "series"
).split()
__all__ = ["ABOUT", "NOUNS", "TAGS", "router"]


class Verdict(BaseModel, extra="forbid"):
    """A person's answer."""

    verdict: Literal["approved", "rejected"]
    by: Who
    why: Why
    argument: FiniteFloat | None = Field(None, description="another argument than the proposed")


class RunVerdict(BaseModel, extra="forbid"):
    """A person's answer to a run that waits."""

    verdict: Literal["approved", "rejected"]
    by: Who
    why: Why


class Maintenance(BaseModel, extra="forbid"):
    """A repair: the states that start anew; none named: all of them."""

    twin: str = Field(min_length=1, max_length=64)
    resets: list[Annotated[str, Field(max_length=64)]] = Field([], max_length=50)
    by: Who
    why: Why
    binding: str | None = Field(None, max_length=64)


class Event(BaseModel, extra="forbid"):
    """One fact of another stream."""

    name: str = Field(min_length=1, max_length=64)
    time: str | None = Field(None, max_length=40, description="its instant; default: now")
    values: dict[str, FiniteFloat | bool | str] = Field({}, max_length=100)


class Redrive(BaseModel, extra="forbid"):
    """Which samples: of one source, of some span of their instants; none named: all."""

    source: str | None = Field(None, max_length=64)
    start: str | None = Field(None, max_length=40)
    end: str | None = Field(None, max_length=40)
    by: Who
    why: Why


class StartRun(BaseModel, extra="forbid"):
    """A run by request. Definitions are code of the plant; a request names one, with options."""

    definition: str = Field(min_length=1, max_length=64)
    options: dict[str, FiniteFloat | bool | str] = Field({}, max_length=50)
    by: Who


# ---- state ------------------------------------------------------------------------------------


@router.get("/health", **says("health", "Is it there? The one route without a token"))
def health() -> Response:
    return Answer({"ok": True})


@router.get("/status", **says("status", "The plant in one line each: clock, tick, books, counts"))
def status(request: Request) -> Response:
    return Answer(pictures.status(*told_by(request)))


@router.get("/twins", **says("twins", "Every twin with its latest numbers, worst first"))
def twins(
    request: Request,
    interface: Name = None,
    sort: Literal["worst", "-worst", "id", "-id"] = "worst",
    valid: At = None,
    known_at: Known = None,
    limit: Limit = 100,
    after: After = None,
) -> Response:
    _, view = seen(request, valid, known_at)
    ids, order = view.plan.seats.ids, overview(view).order(Asked(interface, sort=sort)).tolist()
    listed = page(order, limit, after, ids.__getitem__)
    return answer(view, {**listed, "items": view.twins(listed["items"])})


@router.get("/twins/{id}", **says("twin", "One twin"))
def twin(request: Request, id: Id, valid: At = None, known_at: Known = None) -> Response:
    _, view = seen(request, valid, known_at)
    return Answer(pictures.twin(view, id))


@router.get("/twins/{id}/why", **says("why", "Every number of one twin, back to its evidence"))
def why(request: Request, id: Id, valid: At = None, known_at: Known = None) -> Response:
    host, view = seen(request, valid, known_at)
    return Answer(host.why(id, view))


@router.get("/fleets", **says("fleets", "One row a binding: kernel, rows, how many are in step"))
def fleets(request: Request, valid: At = None, known_at: Known = None) -> Response:
    _, view = seen(request, valid, known_at)
    return answer(view, {"items": view.fleets, "next": None})


# ---- insight and control ----------------------------------------------------------------------


@router.get("/findings", **says("findings", "What is worth attention, with its evidence"))
def findings(
    request: Request,
    status: Literal["open", "closed"] | None = None,
    twin: Name = None,
    kind: Name = None,
    valid: Valid = None,
    known_at: Known = None,
    sort: Literal["instant", "-instant", "id", "-id", "severity"] = "-instant",
    limit: Limit = 100,
    after: After = None,
) -> Response:
    host, view = told_by(request)
    rows = host.ledger.findings(None, twin, tick_of(host, known_at), MOST)
    if valid is not None:
        start, end, one = read_valid(valid, view.at)
        begun = (end or 2**63 - 1) - 1
        lasts = begun if one else start or 0
        rows = [r for r in rows if r["instant"] <= begun and (r["closed_at"] or 2**63) > lasts]
        if one:  # they were open then, whatever became of them
            rows = [{**row, "status": "open", "closed_at": 0} for row in rows]
    rows = [r for r in rows if kind in (None, r["kind"]) and status in (None, r["status"])]
    return answer(view, page(ordered(rows, sort), limit, after, lambda row: str(row["id"])))


@router.get("/proposals", **says("proposals", "Commands worth considering, tried on the twin"))
def proposals(
    request: Request,
    status: Literal["open", "approved", "rejected", "expired"] | None = None,
    twin: Name = None,
    valid: Valid = None,
    known_at: Known = None,
    sort: Literal["created_at", "-created_at", "expires_at", "-expires_at"] = "-created_at",
    limit: Limit = 100,
    after: After = None,
) -> Response:
    host, view = told_by(request)
    rows = host.ledger.proposals(status, twin, tick_then(host, valid, known_at), MOST)
    rows = ordered(_made(rows, valid, view.at), sort)
    listed = page(rows, limit, after, lambda row: str(row["id"]))
    return answer(view, {**listed, "items": [pictures.in_a_list(row) for row in listed["items"]]})


@router.post("/proposals/{id}/verdict", **says("verdict", "Approve or reject a proposal"))
def verdict(request: Request, id: Id, body: Verdict) -> Response:
    host = host_of(request)
    answered = host.verdict(id, body.verdict, by=body.by, why=body.why, argument=body.argument)
    return Answer(answered)


@router.get("/invocations", **says("invocations", "Approved commands and what became of them"))
def invocations(
    request: Request,
    status: Literal["sending", "acknowledged", "confirmed", "failed", "unknown"] | None = None,
    twin: Name = None,
    valid: Valid = None,
    known_at: Known = None,
    sort: Literal["created_at", "-created_at"] = "-created_at",
    limit: Limit = 100,
    after: After = None,
) -> Response:
    host, view = told_by(request)
    rows = host.ledger.invocations(status, twin, tick_then(host, valid, known_at), MOST)
    rows = ordered(_made(rows, valid, view.at), sort)
    return answer(view, page(rows, limit, after, lambda row: str(row["id"])))


def _made(rows: list[Record], valid: str | None, at: int) -> list[Record]:
    """Those that were made in a span, or up to an instant."""
    if valid is None:
        return rows
    start, end, _ = read_valid(valid, at)
    return [row for row in rows if (start or 0) <= row["created_at"] < (end or 2**63)]


@router.get("/value", **says("value", "What the confirmed commands saved, with its interval"))
def value(request: Request, valid: At = None, known_at: Known = None) -> Response:
    host, view = told_by(request)
    tick = tick_then(host, valid, known_at)
    if tick is None:
        line = host.since_news("value", lambda: pictures.value(host))
    else:
        line = pictures.value(host, tick)
    return Answer({**line, "at": view.at, "tick": view.tick})


@router.post("/maintenance", **says("maintenance", "Record a repair: states start anew"))
def maintenance(request: Request, body: Maintenance) -> Response:
    host = host_of(request)
    told = host.maintain(body.twin, body.resets, by=body.by, why=body.why, binding=body.binding)
    return Answer(told)


# ---- telemetry and its books ------------------------------------------------------------------


@router.post("/events", status_code=202, **says("events", "Send one fact of another stream"))
def events(request: Request, body: Event) -> Response:
    host = host_of(request)
    instant = host.clock.now() if body.time is None else parse_instant(body.time)
    told = host.event(body.name, {**body.values, "instant": instant})
    return Answer({"name": body.name, "instant": instant, "journal": told}, 202)


@router.get("/sources", **says("sources", "The books: every sample received is accounted for"))
def sources(request: Request, known_at: Known = None) -> Response:
    host, view = told_by(request)
    if known_at is None:
        return Answer(pictures.sources(host, view))
    return Answer(pictures.sources_then(host, tick_of(host, known_at) or 0))


@router.get("/quality", **says("quality", "How good telemetry was over the last day, worst first"))
def quality(
    request: Request,
    silent: Annotated[bool, Query(description="those alone that have a silent signal")] = False,
    limit: Limit = 100,
    after: After = None,
) -> Response:
    _, view = told_by(request)
    ids, order = view.plan.seats.ids, overview(view).order(Asked(sort="quality"))
    if silent:
        order = order[view.trust.partly_silent[order]]
    listed = page(order.tolist(), limit, after, ids.__getitem__)
    items = [{"twin": ids[k], **view.trust.told(k)} for k in listed["items"]]
    return answer(view, {**listed, "items": items, "sources": view.sources})


@router.get("/dead-letters", **says("dead-letters", "What was refused or could not be read"))
def dead_letters(
    request: Request,
    source: Name = None,
    code: Name = None,
    fate: Literal["dead", "rejected"] | None = None,
    text: Name = None,
    known_at: Known = None,
    limit: Limit = 100,
) -> Response:
    host, view = told_by(request)
    known = tick_of(host, known_at)
    found = host.ledger.dead_letters(
        source, limit, code=code, fate=fate, text=text, as_known_at=known
    )
    return answer(view, {"items": found, "next": None})


@router.post("/redrive", **says("redrive", "Take in once more what was late or refused"))
def redrive(request: Request, body: Redrive) -> Response:
    start, end = (None if t is None else parse_instant(t) for t in (body.start, body.end))
    return Answer(host_of(request).redrive(body.source, start, end, by=body.by, why=body.why))


@router.get("/ledger", **says("ledger", "The commit points, one row a tick"))
def ledger(
    request: Request,
    after: Annotated[int, Query(ge=0, le=2**62, description="a tick")] = 0,
    limit: Limit = 100,
) -> Response:
    host, view = told_by(request)
    rows = [
        {name: getattr(row, name) for name in row.__slots__}
        for row in host.ledger.rows(after, limit)
    ]
    following = rows[-1]["tick"] if len(rows) == limit else None
    return answer(view, {"items": rows, "next": following})


# ---- runs -------------------------------------------------------------------------------------


@router.get("/runs", **says("runs", "Runs of the orchestration, newest first"))
def runs(
    request: Request,
    status: Literal["running", "waiting", "done", "failed"] | None = None,
    sort: Literal["created_at", "-created_at"] = "-created_at",
    limit: Limit = 100,
    after: After = None,
) -> Response:
    host, view = told_by(request)
    rows = ordered(host.ledger.runs(status, MOST), sort)
    return answer(view, page(rows, limit, after, lambda row: str(row["id"])))


@router.get("/runs/{id}", **says("run", "One run with the outcome of each of its steps"))
def run(request: Request, id: Id) -> Response:
    host = host_of(request)
    found = host.ledger.run(id)
    if found is None:
        raise NotFound(
            "run.unknown", f"there is no run '{id[:40]}'", mend="GET /api/v1/runs lists them"
        )
    return Answer({**found, "steps": host.ledger.steps(id)})


@router.post("/runs", status_code=202, **says("start-run", "Start a run now"))
def start_run(request: Request, body: StartRun) -> Response:
    host = host_of(request)
    told = host.start_run(body.definition, dict(body.options), started_by=f"request by {body.by}")
    return Answer(told, 202)


@router.post("/runs/{id}/verdict", **says("run-verdict", "Answer a run that waits for a person"))
def run_verdict(request: Request, id: Id, body: RunVerdict) -> Response:
    return Answer(host_of(request).run_verdict(id, body.verdict, by=body.by, why=body.why))
