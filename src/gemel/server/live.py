"""The live stream: sections of the picture as server-sent events.

Owns    `GET /api/v1/live`: which sections there are, and who may still open a stream.
Never   holds a tick up: it tells the latest picture, and a slow reader misses those between.

    event: NAME      data: the whole section, each time it has changed, at most once a second
    event: problem   data: {section, code, message, where, mend, explain}
"""

import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter, ValidationError
from starlette.types import Receive, Scope, Send

from gemel.errors import Invalid, Unavailable
from gemel.flow.host import Host
from gemel.flow.overview import overview as overview_of
from gemel.flow.view import View
from gemel.server import pictures
from gemel.server.board import Board, Question
from gemel.server.overview import Shown
from gemel.server.pages import says

router = APIRouter()
SECTIONS = ("status", "overview", "twin", "inbox", "sources", "latest")
MOST = 32  # streams at once
NAMED = 200  # signals of one stream
_open = threading.BoundedSemaphore(MOST)
_shown = TypeAdapter(Shown)

Sections = Annotated[str, Query(max_length=100, description=f"of {', '.join(SECTIONS)}")]
About = Annotated[str, Query(max_length=500, description="the query of GET /overview, URL-encoded")]
TwinId = Annotated[str | None, Query(min_length=1, max_length=64, description="of section twin")]
Latest = Annotated[str, Query(max_length=26_000, description="of section latest: twin:signal,…")]


class EventStream(StreamingResponse):
    """Holds its permit while it is answered: a client may leave before the first look."""

    media_type = "text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        places = _open
        if not places.acquire(blocking=False):
            raise Unavailable(
                "live.full",
                f"{MOST} streams are open already",
                mend="close one, or ask GET /api/v1/status now and then",
            )
        try:
            await super().__call__(scope, receive, send)
        finally:
            places.release()


@router.get(
    "/live",
    response_class=EventStream,
    **says("live", "Server-sent events: sections of the picture, as they change"),
)
async def live(
    request: Request,
    sections: Sections = "status,overview,inbox",
    overview: About = "",
    twin: TwinId = None,
    latest: Latest = "",
) -> Response:
    host: Host = request.app.state.host
    board: Board = request.app.state.board
    view = host.view()  # an answer of 503 before the stream begins, not in it
    questions = [
        _question(name, view, overview, twin, latest) for name in dict.fromkeys(sections.split(","))
    ]
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventStream(_events(request, board, questions), 200, headers)


def _question(name: str, view: View, query: str, twin: str | None, latest: str) -> Question:
    """What one section is about; what cannot be answered is refused before the stream begins."""
    if name == "status":
        return Question(name, None, pictures.brief)
    if name == "inbox":
        return Question(name, None, pictures.inbox)
    if name == "sources":
        return Question(name, None, pictures.sources)
    if name == "overview":
        shown = _read(query)
        asked, offset, limit = shown.asked(), shown.offset, shown.limit
        return Question(
            name,
            (asked, offset, limit),
            lambda host, view: overview_of(view).page(asked, offset, limit),
        )
    if name == "twin" and twin is not None:
        pictures.twin(view, twin)
        return Question(name, twin, lambda host, view: pictures.twin(view, twin))
    if name == "latest" and latest:
        pairs = tuple(_pair(one) for one in latest.split(",")[:NAMED])
        return Question(name, pairs, lambda host, view: pictures.named(view, pairs))
    raise Invalid(
        "live.section",
        f"section '{name[:40]}' is not there, or lacks what it is about",
        where="sections",
        mend=f"there are {', '.join(SECTIONS)}; twin needs twin=ID, latest latest=twin:signal",
    )


def _read(query: str) -> Shown:
    try:
        return _shown.validate_python(dict(parse_qsl(query)))
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in ("overview", *first["loc"]))
        mend = "write it as GET /api/v1/overview takes it, and encode it once more"
        raise Invalid("request.invalid", str(first["msg"]), where=place, mend=mend) from None


def _pair(text: str) -> tuple[str, str]:
    twin, _, signal = text.partition(":")
    return twin, signal


async def _events(request: Request, board: Board, questions: list[Question]) -> AsyncIterator[Any]:
    if await request.is_disconnected():
        return
    async with aclosing(board.follow(questions)) as events:
        async for event in events:
            if event:
                yield event
            elif await request.is_disconnected():
                return
