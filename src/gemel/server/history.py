"""The routes of history: what was measured and believed, at any two times, as rows and as pictures.

Owns    what each of them takes, and how much of the lake one request may take into memory.
Never   changes history but by an erasure, through the host's own door.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Literal

import polars as pl
import pyarrow as pa
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from gemel.clock import SECOND, parse_duration, parse_instant
from gemel.errors import Invalid
from gemel.flow.host import Host
from gemel.server import pictures
from gemel.server.answers import DAY, Answer, page, read_key, read_valid, write_key
from gemel.server.asked import (
    After,
    Known,
    Names,
    Record,
    Valid,
    Who,
    Why,
    Wide,
    answer,
    host_of,
    tick_of,
    told_by,
)
from gemel.server.pages import says
from gemel.store.rollups import aggregate
from gemel.store.series import asof, line, lttb, minmax, thin
from gemel.store.wanted import Wanted

router = APIRouter()
FACTS = 300_000  # rows of the lake that one request takes into memory
GRADES = ("good", "uncertain", "bad")
THIN = {"lttb": lttb, "minmax": minmax}
TOLD = 50_000  # rows that one answer tells

Some = Annotated[list[Annotated[str, Field(max_length=130)]], Query(min_length=1, max_length=50)]
Every = Annotated[str, Query(max_length=20, description="a duration: 10min, 1h, 1d")]
Long = Annotated[str | None, Query(max_length=20, description="a duration: 10min, 1h, 1d")]


class Erasure(BaseModel, extra="forbid"):
    """What is to be gone: the telemetry and estimates of a twin from before an instant."""

    twin: str = Field(min_length=1, max_length=64)
    before: str = Field(max_length=40)
    by: Who
    why: Why


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
    host, view = told_by(request)
    names, tick = ["twin", "signal", "source"], tick_of(host, known_at)
    part = _part(valid, view.at, names, sort, after)
    edge = _edge(host, "telemetry", {"twin": twin, "signal": signal}, tick, part)
    found = host.lake.telemetry(twin, signal, *part.up_to(edge), tick, good_only)
    return answer(view, _rows(found, part, edge, limit))


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
    host, view = told_by(request)
    names, tick = ["twin", "binding", "name"], tick_of(host, known_at)
    part = _part(valid, view.at, names, sort, after)
    among = {"twin": twin, "name": name, "binding": binding}
    edge = _edge(host, "estimates", among, tick, part)
    found = host.lake.estimates(twin, name, *part.up_to(edge), tick, binding)
    return answer(view, _rows(found, part, edge, limit))


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


# ---- pictures and sums ------------------------------------------------------------------------


@router.get("/telemetry", **says("lines", "Telemetry as lines for a picture, in few points"))
def lines(
    request: Request,
    twin: Some,
    signal: Names = None,
    valid: Valid = None,
    downsample: Annotated[int, Query(ge=3, le=5000, description="points of a line")] = 500,
    thinned: Annotated[
        Literal["lttb", "minmax"],
        Query(alias="thin", description="to what keeps the look, or to the extremes"),
    ] = "lttb",
    known_at: Known = None,
) -> Response:
    host, view = told_by(request)
    wanted = _wanted(host, twin, signal, valid, known_at)
    rows = thin(line(host.lake, wanted), downsample, THIN[thinned])
    return answer(view, _notable(host, wanted, rows))


@router.get("/telemetry/latest", **says("latest", "The newest sample of each signal of each twin"))
def latest(
    request: Request,
    twin: Names = None,
    signal: Names = None,
    known_at: Known = None,
    limit: Wide = 1000,
    after: After = None,
) -> Response:
    host, view = told_by(request)
    if known_at is None:  # from memory
        seats = view.plan.seats
        known = [one for one in sorted(set(twin or [])) if one in seats.number]
        order = seats.by_id.tolist() if twin is None else [seats.number[one] for one in known]
        last = seats.number.get((after or "").partition(" ")[0])
        order = order[order.index(last) :] if last in order else order
        many = limit + 1 + max(len(i.telemetry) for i in view.plan.plant.interfaces.values())
        rows = list(islice(pictures.latest(view, order, signal), many))
    else:
        found = host.lake.latest(twin, signal, tick_of(host, known_at)).to_pylist()
        rows = [_newest(host, row) for row in found]
    return answer(view, page(rows, limit, after, lambda row: f"{row['twin']} {row['signal']}"))


def _newest(host: Host, row: Record) -> Record:
    """A fact as a newest sample."""
    slot = host.plan.rules.index.get((row["twin"], row["signal"]))
    told = {name: row[name] for name in ("twin", "signal", "instant", "value", "reason")}
    unit = "" if slot is None else host.plan.rules.unit[slot]
    return {**told, "unit": unit, "quality": GRADES[row["quality"]]}


@router.get("/telemetry/fleet", **says("fleet", "Count, min, max and mean per signal and span"))
def fleet(
    request: Request,
    every: Every = "1h",
    twin: Names = None,
    signal: Names = None,
    by: Literal["signal", "twin"] = "signal",
    valid: Valid = None,
    known_at: Known = None,
) -> Response:
    host, view = told_by(request)
    wanted = _wanted(host, twin, signal, valid, known_at)
    width = max(round(parse_duration(every) * SECOND), 1)
    found = aggregate(
        host.lake, wanted, width, ["signal"] if by == "signal" else ["twin", "signal"]
    )
    return answer(view, _notable(host, wanted, found))


@router.get("/telemetry/asof", **says("asof", "Several signals on one time line"))
def joined(
    request: Request,
    twin: Some,
    signal: Some,
    every: Long = None,
    on: Annotated[str | None, Query(max_length=130, description="the signal of that line")] = None,
    tolerance: Long = None,
    valid: Valid = None,
    known_at: Known = None,
) -> Response:
    host, view = told_by(request)
    wanted = _wanted(host, twin, signal, valid, known_at)
    span = [None if t is None else round(parse_duration(t) * SECOND) for t in (every, tolerance)]
    found = asof(line(host.lake, wanted), signal, span[0], on, span[1])
    return answer(view, _notable(host, wanted, found))


def _wanted(host: Host, twin: Any, signal: Any, valid: str | None, known_at: str | None) -> Wanted:
    start, end, one = read_valid(valid, host.view().at)
    if one and end is not None:
        start = end - 1 - DAY
    return Wanted({"twin": twin, "signal": signal}, start, end, known=tick_of(host, known_at))


def _notable(host: Host, wanted: Wanted, found: pa.Table) -> Record:
    """Rows, and what was dropped or erased where they were asked for."""
    if len(found) > TOLD:
        raise Invalid(
            "history.too_many",
            f"the answer has {len(found)} rows, and {TOLD} is the most that is told",
            mend="ask for a shorter span, fewer twins and signals, or wider steps",
        )
    notes = host.lake.notes(wanted.among["twin"], wanted.start)
    return {"items": found.to_pylist(), "next": None, "notes": notes}


# ---- erasure ----------------------------------------------------------------------------------


@router.get("/erasures", **says("erasures", "What was erased of history, by whom and why"))
def erasures(request: Request) -> Response:
    host, view = told_by(request)
    return answer(view, {"items": host.erasures(), "next": None})


@router.post("/erasures", status_code=202, **says("erase", "Erase what a twin told before then"))
def erase(request: Request, body: Erasure) -> Response:
    before = parse_instant(body.before)
    return Answer(host_of(request).erase(body.twin, before, by=body.by, why=body.why), 202)
