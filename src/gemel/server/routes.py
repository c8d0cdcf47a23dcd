"""The routes of `/api/v1`: every noun of the contract, read from the host, asked of the host.

Owns    what each route takes, its limits, and its page in the OpenAPI document.
Never   changes anything but through the host's own doors.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import polars as pl
import pyarrow as pa
from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field, FiniteFloat
from starlette.concurrency import run_in_threadpool

from gemel.clock import format_instant, parse_instant
from gemel.errors import Invalid, NotFound
from gemel.flow.host import Host
from gemel.flow.view import View
from gemel.kernels.base import Kernel
from gemel.server.answers import (
    BROKEN,
    DAY,
    UNREAD,
    Answer,
    ordered,
    page,
    read_key,
    read_valid,
    write_key,
)
from gemel.server.pages import ABOUT, TAGS, says

router = APIRouter()
Record = dict[str, Any]
MOST = 10_000  # rows of a ledger list that are looked through
FACTS = 300_000  # rows of the lake that one request takes into memory
NOUNS = (
    "status twins fleets findings proposals invocations sources dead-letters history estimates "
    "kernels runs value ledger telemetry events maintenance live quality"
).split()
__all__ = ["ABOUT", "NOUNS", "TAGS", "router", "value_line"]

Name = Annotated[str | None, Query(min_length=1, max_length=64)]
Names = Annotated[list[Annotated[str, Field(max_length=130)]] | None, Query(max_length=50)]
Limit = Annotated[int, Query(ge=1, le=1000, description="rows of one page")]
Wide = Annotated[int, Query(ge=1, le=10_000, description="rows of one page")]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before")]
Known = Annotated[
    str | None, Query(max_length=40, description="an instant: what was known then, and no more")
]
Valid = Annotated[
    str | None,
    Query(
        max_length=90,
        description="when it holds: START/END (.. leaves a side open), or one instant "
        "(of the lake: the last row of each name in the day before it)",
    ),
]
Id = Annotated[str, PathParameter(min_length=1, max_length=130)]
Who = Annotated[str, Field(min_length=1, max_length=100, description="who says so")]
Why = Annotated[str, Field(min_length=1, max_length=2000, description="for the record")]


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


def _host(request: Request) -> Host:
    host: Host = request.app.state.host
    return host


def _told(request: Request) -> tuple[Host, View]:
    host = _host(request)
    return host, host.view()


def _list(view: View, listed: Record) -> Answer:
    return Answer({**listed, "at": view.at, "tick": view.tick})


def _tick(host: Host, known_at: str | None) -> int | None:
    return None if known_at is None else host.ledger.tick_at(parse_instant(known_at))


# ---- state ------------------------------------------------------------------------------------


@router.get("/health", tags=["state"], summary="Is it there? The one route without a token")
def health() -> Response:
    return Answer({"ok": True})


@router.get("/status", **says("status", "The plant in one line each: clock, tick, books, counts"))
def status(request: Request) -> Response:
    host, view = _told(request)
    behind = host.journal.last() - int(view.status["journal_sequence"])
    return Answer(
        {
            **view.status,
            "at": view.at,
            "now": format_instant(host.clock.now()),
            "speed": host.clock.speed,
            "tick": view.tick,
            "epoch": view.epoch,
            "running": host.running,
            "failure": host.failure.as_record() if host.failure else None,
            "journal_behind": behind,
            "lake_tick": host.lake.known("estimates"),
            "fleets": view.fleets,
            "books": view.books,
        }
    )


@router.get("/twins", **says("twins", "Every twin with its latest numbers, worst first"))
def twins(
    request: Request,
    interface: Name = None,
    sort: Literal["worst", "-worst", "id", "-id"] = "worst",
    limit: Limit = 100,
    after: After = None,
) -> Response:
    _, view = _told(request)
    rows = [t for t in view.twins if interface in (None, t["interface"])]
    rows = ordered(sorted(rows, key=lambda twin: str(twin["id"])), sort)
    return _list(view, page(rows, limit, after, lambda twin: str(twin["id"])))


@router.get("/twins/{id}", **says("twin", "One twin"))
def twin(request: Request, id: Id) -> Response:
    _, view = _told(request)
    found = view.twin(id)
    if found is None:
        raise NotFound(
            "twin.unknown", f"there is no twin '{id[:64]}'", mend="GET /api/v1/twins lists them"
        )
    return Answer({**found, "at": view.at, "tick": view.tick})


@router.get("/twins/{id}/why", **says("why", "Every number of one twin, back to its evidence"))
def why(request: Request, id: Id) -> Response:
    return Answer(_host(request).why(id))


@router.get("/fleets", **says("fleets", "One row a binding: kernel, rows, how many are in step"))
def fleets(request: Request) -> Response:
    _, view = _told(request)
    return _list(view, {"items": view.fleets, "next": None})


@router.get("/kernels", **says("kernels", "The kernels that speak: equations, units, priors"))
def kernels(request: Request) -> Response:
    host = _host(request)
    items = [
        {"binding": name, "identity": fleet.identity, "rows": len(fleet.twins)}
        | _kernel(type(fleet.kernel))
        for name, fleet in host.plan.fleets.items()
    ]
    return Answer({"items": items, "next": None})


def _kernel(kernel: type[Kernel]) -> Record:
    layout = kernel.layout
    return {
        "name": kernel.__name__,
        "version": kernel.version,
        "about": (kernel.__doc__ or "").strip(),
        "states": {n: {"unit": s.unit, "start": s.start} for n, s in layout.states.items()},
        "inputs": {n: {"unit": s.unit, "max_age": s.max_age} for n, s in layout.inputs.items()},
        "parameters": {
            n: {"unit": p.unit, "typical": p.typical, "spread": p.spread, "scale": p.scale}
            for n, p in layout.parameters.items()
        },
        "sensors": {n: {"unit": s.unit, "noise": s.noise} for n, s in layout.outputs.items()},
    }


# ---- history ----------------------------------------------------------------------------------


@router.get("/history", **says("history", "Telemetry: what was measured, as known at any time"))
def history(
    request: Request,
    twin: Names = None,
    signal: Names = None,
    valid: Valid = None,
    known_at: Known = None,
    good_only: bool = False,
    sort: Literal["instant", "-instant"] = "instant",
    limit: Wide = 1000,
    after: After = None,
) -> Response:
    host, view = _told(request)
    names, tick = ["twin", "signal", "source"], _tick(host, known_at)
    part = _part(valid, view.at, names, sort, after)
    edge = _edge(host, "telemetry", {"twin": twin, "signal": signal}, tick, part)
    found = host.lake.telemetry(twin, signal, *part.up_to(edge), tick, good_only)
    return _list(view, _rows(found, part, edge, limit))


@router.get("/estimates", **says("estimates", "What was believed: mean and std, at any time"))
def estimates(
    request: Request,
    twin: Names = None,
    name: Names = None,
    binding: Names = None,
    valid: Valid = None,
    known_at: Known = None,
    sort: Literal["instant", "-instant"] = "instant",
    limit: Wide = 1000,
    after: After = None,
) -> Response:
    host, view = _told(request)
    names, tick = ["twin", "binding", "name"], _tick(host, known_at)
    part = _part(valid, view.at, names, sort, after)
    among = {"twin": twin, "name": name, "binding": binding}
    edge = _edge(host, "estimates", among, tick, part)
    found = host.lake.estimates(twin, name, *part.up_to(edge), tick, binding)
    return _list(view, _rows(found, part, edge, limit))


@dataclass(frozen=True)
class _Part:
    """What a page asks of the lake: from `start` to `end`, in order of instant, then `names`.

    one: the last row of each name · after: the key of the last row told, [] at first
    """

    names: list[str]
    start: int | None
    end: int | None
    one: bool
    back: bool
    after: list[Any]

    def up_to(self, edge: int | None) -> tuple[int | None, int | None]:
        """The span (start, end), ended at the instant `edge`, that instant included."""
        if edge is None:
            return self.start, self.end
        return (edge, self.end) if self.back else (self.start, edge + 1)


def _part(valid: str | None, at: int, names: list[str], sort: str, after: str | None) -> _Part:
    start, end, one = read_valid(valid, at)
    key, back = [] if after is None else read_key(after, 1 + len(names)), sort.startswith("-")
    if one and end is not None:
        start = end - 1 - DAY
    elif key:
        whole = len(key) == 1  # every row of that instant is told
        near = key[0] if whole == back else key[0] + 1
        start, end = _cut(start, end, near, back)
    return _Part(names, start, end, one, back, key)


def _cut(start: int | None, end: int | None, at: int, back: bool) -> tuple[int | None, int | None]:
    """The span from `at` on; `back`: up to `at`."""
    if back:
        return start, at if end is None else min(at, end)
    return at if start is None else max(at, start), end


def _edge(host: Host, table: str, among: Any, tick: int | None, part: _Part) -> int | None:
    """Where a page has to stop, because more than FACTS rows lie before; None: there are fewer."""
    edge = host.lake.reach(table, FACTS, among, part.start, part.end, tick, part.back)
    if edge is not None and part.one:
        raise Invalid(
            "history.too_many",
            f"more than {FACTS} rows lie in the day before that instant",
            where="valid",
            mend="name the twins and signals you want, or ask for a short span: valid=START/END",
        )
    return edge


def _rows(found: pa.Table, part: _Part, edge: int | None, limit: int) -> Record:
    """One page of a table of the lake; where `edge` cut it short, it may have fewer rows."""
    frame, key = pl.DataFrame(pl.from_arrow(found)), ["instant", *part.names]
    frame = frame.sort(key, descending=part.back)
    if part.one:
        keep: Literal["first", "last"] = "first" if part.back else "last"
        frame = frame.unique(part.names, keep=keep, maintain_order=True)
    if part.after:
        later = pl.lit(False)  # a row of the same instant and names is the one told last
        for name, told in reversed(list(zip(key, part.after, strict=False))):
            column = pl.col(name)
            beyond = column < told if part.back else column > told
            later = beyond | ((column == told) & later)
        frame = frame.filter(later)
    items = frame.head(limit)
    following = None
    if len(frame) > limit:
        following = write_key(items.select(key).row(-1))
    elif edge is not None:
        following = write_key((edge,))  # every row of that instant is told
    return {"items": items.to_dicts(), "next": following}


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
    host, view = _told(request)
    rows = host.ledger.findings(status, twin, _tick(host, known_at), MOST)
    rows = [row for row in rows if kind in (None, row["kind"])]
    if valid is not None:
        start, end, one = read_valid(valid, view.at)
        begun = (end or 2**63 - 1) - 1
        lasts = begun if one else start or 0
        rows = [r for r in rows if r["instant"] <= begun and (r["closed_at"] or 2**63) > lasts]
    return _list(view, page(ordered(rows, sort), limit, after, lambda row: str(row["id"])))


@router.get("/proposals", **says("proposals", "Commands worth considering, tried on the twin"))
def proposals(
    request: Request,
    status: Literal["open", "approved", "rejected", "expired"] | None = None,
    twin: Name = None,
    known_at: Known = None,
    sort: Literal["created_at", "-created_at", "expires_at", "-expires_at"] = "-created_at",
    limit: Limit = 100,
    after: After = None,
) -> Response:
    host, view = _told(request)
    rows = ordered(host.ledger.proposals(status, twin, _tick(host, known_at), MOST), sort)
    return _list(view, page(rows, limit, after, lambda row: str(row["id"])))


@router.post("/proposals/{id}/verdict", **says("verdict", "Approve or reject a proposal"))
def verdict(request: Request, id: Id, body: Verdict) -> Response:
    host = _host(request)
    told = host.verdict(id, body.verdict, by=body.by, why=body.why, argument=body.argument)
    return Answer(told)


@router.get("/invocations", **says("invocations", "Approved commands and what became of them"))
def invocations(
    request: Request,
    status: Literal["sending", "acknowledged", "confirmed", "failed", "unknown"] | None = None,
    twin: Name = None,
    known_at: Known = None,
    sort: Literal["created_at", "-created_at"] = "-created_at",
    limit: Limit = 100,
    after: After = None,
) -> Response:
    host, view = _told(request)
    rows = ordered(host.ledger.invocations(status, twin, _tick(host, known_at), MOST), sort)
    return _list(view, page(rows, limit, after, lambda row: str(row["id"])))


@router.get("/value", **says("value", "What the confirmed commands saved, with its interval"))
def value(request: Request) -> Response:
    host, view = _told(request)
    line = value_line(host.ledger.proposals(limit=MOST), host.ledger.invocations(limit=MOST))
    return Answer({**line, "at": view.at, "tick": view.tick})


def value_line(proposals: list[Record], invocations: list[Record]) -> Record:
    """Sums over proposals: saved (their command was confirmed) and at stake (still open).

    A saving is that of the proposal: the mean over paths of the loss without the command less the
    loss with it, less what the command costs. Half-widths add in quadrature.
    """
    done = {row["proposal"] for row in invocations if row["status"] == "confirmed"}
    caught = [p for p in proposals if p["id"] in done]
    return {
        "currency": "EUR",
        "saved": _sum(caught),
        "at_stake": _sum([p for p in proposals if p["status"] == "open"]),
        "by_proposal": [
            {"proposal": p["id"], "twin": p["twin"], **_saving(p)}
            for p in caught
            if _saving(p)["mean"] is not None
        ],
    }


def _saving(proposal: Record) -> Record:
    told = (proposal.get("foreseen") or {}).get("saving") or {}
    return {name: told.get(name) for name in ("mean", "low", "high")}


def _sum(proposals: list[Record]) -> Record:
    known = [s for s in map(_saving, proposals) if None not in s.values()]
    mean = sum(s["mean"] for s in known)
    half = sum(((s["high"] - s["low"]) / 2) ** 2 for s in known) ** 0.5
    priced = {"mean": mean, "low": mean - half, "high": mean + half}
    return {**priced, "proposals": len(proposals), "without_a_price": len(proposals) - len(known)}


@router.post("/maintenance", **says("maintenance", "Record a repair: states start anew"))
def maintenance(request: Request, body: Maintenance) -> Response:
    host = _host(request)
    told = host.maintain(body.twin, body.resets, by=body.by, why=body.why, binding=body.binding)
    return Answer(told)


# ---- telemetry and its books ------------------------------------------------------------------


@router.post("/telemetry", status_code=202, **says("telemetry", "Send samples; durable at 202"))
async def telemetry(
    request: Request,
    source: Annotated[str, Query(max_length=64, description="of kind http")] = "http",
    topic: Annotated[str, Query(max_length=500, description="what the source's map reads")] = "",
) -> Response:
    host, body = _host(request), await request.body()
    headers = {name.lower(): value for name, value in request.headers.items()}
    return await run_in_threadpool(_ingest, host, body, headers, source, topic)


def _ingest(host: Host, payload: bytes, headers: dict[str, str], source: str, topic: str) -> Answer:
    try:
        told = host.ingest(payload, headers, source=source, topic=topic)
    except Invalid as error:
        if error.code in UNREAD:
            host.refuse(payload, error, source=source)
        raise
    dead = [{k: v for k, v in letter.items() if k != "head"} for letter in told["dead"]]
    told = {**told, "dead": dead}
    if told["accepted"] or not told["received"]:
        return Answer(told, 202)
    first = [*told["rejected"], *dead][0]
    status = 422 if told["rejected"] or first["code"] not in BROKEN else 400
    where = ".".join(str(first[k]) for k in ("twin", "signal") if first.get(k))
    problem = {k: first[k] for k in ("code", "message", "mend")}
    explain = f"gemel explain {first['code']}"
    return Answer({**problem, "where": where, "explain": explain, **told}, status)


@router.post("/events", status_code=202, **says("events", "Send one fact of another stream"))
def events(request: Request, body: Event) -> Response:
    host = _host(request)
    instant = host.clock.now() if body.time is None else parse_instant(body.time)
    told = host.event(body.name, {**body.values, "instant": instant})
    return Answer({"name": body.name, "instant": instant, "journal": told}, 202)


@router.get("/sources", **says("sources", "The books: every sample received is accounted for"))
def sources(request: Request) -> Response:
    host, view = _told(request)
    declared = {name: spec.kind for name, spec in host.plan.plant.sources.items()}
    items = [
        {"source": name, "kind": declared.get(name, "http"), **book, "balanced": _balanced(book)}
        for name, book in sorted(view.books.items())
    ]
    silent = [
        {"source": name, "kind": kind, "received": 0, "balanced": True}
        for name, kind in declared.items()
        if name not in view.books
    ]
    return _list(view, {"items": items + silent, "next": None})


def _balanced(book: dict[str, int]) -> bool:
    return book["received"] == sum(count for name, count in book.items() if name != "received")


@router.get("/quality", **says("quality", "How good telemetry was over the last day, worst first"))
def quality(request: Request, limit: Limit = 100, after: After = None) -> Response:
    _, view = _told(request)
    rows = [{"twin": twin["id"], **twin["quality"]} for twin in view.twins]
    rows.sort(key=lambda row: (row["score"] is None, row["score"] or 0.0, row["twin"]))
    listed = page(rows, limit, after, lambda row: str(row["twin"]))
    return _list(view, {**listed, "sources": view.sources})


@router.get("/dead-letters", **says("dead-letters", "What was refused or could not be read"))
def dead_letters(
    request: Request,
    source: Name = None,
    code: Name = None,
    fate: Literal["dead", "rejected"] | None = None,
    text: Name = None,
    limit: Limit = 100,
) -> Response:
    host, view = _told(request)
    found = host.ledger.dead_letters(source, limit, code=code, fate=fate, text=text)
    return _list(view, {"items": found, "next": None})


@router.post("/redrive", **says("redrive", "Take in once more what was late or refused"))
def redrive(request: Request, body: Redrive) -> Response:
    start, end = (None if t is None else parse_instant(t) for t in (body.start, body.end))
    return Answer(_host(request).redrive(body.source, start, end, by=body.by, why=body.why))


@router.get("/ledger", **says("ledger", "The commit points, one row a tick"))
def ledger(
    request: Request,
    after: Annotated[int, Query(ge=0, le=2**62, description="a tick")] = 0,
    limit: Limit = 100,
) -> Response:
    host, view = _told(request)
    rows = [
        {name: getattr(row, name) for name in row.__slots__}
        for row in host.ledger.rows(after, limit)
    ]
    following = rows[-1]["tick"] if len(rows) == limit else None
    return _list(view, {"items": rows, "next": following})


# ---- runs -------------------------------------------------------------------------------------


@router.get("/runs", **says("runs", "Runs of the orchestration, newest first"))
def runs(
    request: Request,
    status: Literal["running", "waiting", "done", "failed"] | None = None,
    sort: Literal["created_at", "-created_at"] = "-created_at",
    limit: Limit = 100,
    after: After = None,
) -> Response:
    host, view = _told(request)
    rows = ordered(host.ledger.runs(status, MOST), sort)
    return _list(view, page(rows, limit, after, lambda row: str(row["id"])))


@router.get("/runs/{id}", **says("run", "One run with the outcome of each of its steps"))
def run(request: Request, id: Id) -> Response:
    host = _host(request)
    found = host.ledger.run(id)
    if found is None:
        raise NotFound(
            "run.unknown", f"there is no run '{id[:40]}'", mend="GET /api/v1/runs lists them"
        )
    return Answer({**found, "steps": host.ledger.steps(id)})


@router.post("/runs", status_code=202, **says("start-run", "Start a run now"))
def start_run(request: Request, body: StartRun) -> Response:
    host = _host(request)
    told = host.start_run(body.definition, dict(body.options), started_by=f"request by {body.by}")
    return Answer(told, 202)


@router.post("/runs/{id}/verdict", **says("run-verdict", "Answer a run that waits for a person"))
def run_verdict(request: Request, id: Id, body: RunVerdict) -> Response:
    return Answer(_host(request).run_verdict(id, body.verdict, by=body.by, why=body.why))
