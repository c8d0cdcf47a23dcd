"""The route of what each source sent over time.

Owns    what it takes.
Never   counts by itself: that is `store/heard.py`.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gemel.flow.host import Host
from gemel.server.answers import read_valid
from gemel.server.asked import Known, Valid, answer, tick_of, told_by
from gemel.server.pages import says
from gemel.store.heard import heard, seconds

router = APIRouter()

Parts = Annotated[int, Query(ge=1, le=500, description="equal spans to count in")]


@router.get(
    "/sources/history", **says("heard", "What each source sent over time: how much, how good")
)
def history(
    request: Request, valid: Valid = None, parts: Parts = 48, known_at: Known = None
) -> Response:
    host, view = told_by(request)
    low, high, _ = read_valid(valid, view.at)
    end = view.at + 1 if high is None else high
    start = end - 86_400 * 10**9 if low is None else low
    items = heard(host.lake, start, end, parts, tick_of(host, known_at))
    until = min(end, _written(host, view.at))
    width = seconds(start, end, parts)
    told = {"items": items, "start": start, "end": end, "every": width, "until": until}
    return answer(view, told)


def _written(host: Host, now: int) -> int:
    """Up to which instant history holds what came: it may lag behind what is known."""
    if host.loop is None or not host.loop.unwritten:
        return now
    row = next(iter(host.ledger.rows(host.lake.known("telemetry") - 1, 1)), None)
    return row.at if row else now
