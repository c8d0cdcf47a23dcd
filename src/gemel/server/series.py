"""The routes of charts: series in few points, the life of an asset, its neighbours.

Owns    what each of them takes, and the forms of an export.
Never   reads history by itself: that is `flow/series.py` and `flow/life.py`.
"""

import io
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from gemel.flow.host import Host
from gemel.flow.life import life, neighbours
from gemel.flow.series import Window, find, read, table
from gemel.server import pictures
from gemel.server.answers import read_valid
from gemel.server.asked import Id, Known, Valid, answer, host_of, tick_of, told_by
from gemel.server.pages import says

router = APIRouter()

Wanted = Annotated[
    list[Annotated[str, Field(max_length=200)]],
    Query(min_length=1, max_length=24, description="TWIN:SIGNAL or TWIN:BINDING/SUBJECT"),
]
Points = Annotated[int, Query(ge=4, le=5000, description="of a line, about")]


@router.get(
    "/series",
    **says("series", "Measured, believed and left over, in few points, with quality"),
)
def series(
    request: Request, s: Wanted, valid: Valid = None, points: Points = 800, known_at: Known = None
) -> Response:
    host, view = told_by(request)
    window = _window(host, valid, known_at, points)
    items = read(host.plan, host.lake, s, window)
    notes = host.lake.notes(sorted({item["twin"] for item in items}), window.start)
    ends = {"start": window.start, "end": window.end}
    return answer(view, {"items": items, "notes": notes, **ends})


@router.get("/series/export", **says("series-export", "Every point of some series, as a file"))
def export(
    request: Request,
    s: Wanted,
    valid: Valid = None,
    known_at: Known = None,
    format: Literal["csv", "parquet"] = "csv",
) -> Response:
    host = host_of(request)
    for name in s:
        find(host.plan, name)
    frame = table(host.plan, host.lake, s, _window(host, valid, known_at, 4))
    out = io.BytesIO()
    if format == "csv":
        frame.write_csv(out, datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
        kind = "text/csv; charset=utf-8"
    else:
        frame.write_parquet(out)
        kind = "application/vnd.apache.parquet"
    named = {"Content-Disposition": f'attachment; filename="series.{format}"'}
    return Response(out.getvalue(), media_type=kind, headers=named)


@router.get(
    "/twins/{id}/life",
    **says("life", "What was found, commanded, repaired and learnt of one asset"),
)
def lived(request: Request, id: Id, valid: Valid = None, known_at: Known = None) -> Response:
    host, view = told_by(request)
    pictures.twin(view, id)
    start, end, _ = read_valid(valid or "../..", view.at)
    since, before = start or 0, 2**62 if end is None else end
    items = life(host.ledger, host.events, id, since, before, tick_of(host, known_at))
    return answer(view, {"items": items})


@router.get(
    "/twins/{id}/neighbours",
    **says("neighbours", "The twins that it links to, that link to it, and its siblings"),
)
def beside(request: Request, id: Id) -> Response:
    host, view = told_by(request)
    pictures.twin(view, id)
    return answer(view, neighbours(host.plan, view, id))


def _window(host: Host, valid: str | None, known_at: str | None, points: int) -> Window:
    """From valid=START/END; of one instant, or without it: the day before."""
    at = host.view().at
    start, end, _ = read_valid(valid, at)
    end = at + 1 if end is None else end
    day, _, _ = read_valid(None, end - 1)
    return Window((day or 0) if start is None else start, end, points, tick_of(host, known_at))
