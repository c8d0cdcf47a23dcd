"""The route of what each source sent over time.

Owns    what it takes.
Never   counts by itself: that is `store/heard.py`.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

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
    told = {"items": items, "start": start, "end": end, "every": seconds(start, end, parts)}
    return answer(view, told)
