"""The live stream: what changed in the picture, as server-sent events.

Owns    `GET /api/v1/live`: the whole picture once, then only what differs from the last told.
Never   holds a tick up: it looks at the latest picture, and a slow reader misses those between.

    event: view      data: {at, tick, status, twins: [all], books, fleets, sources}
    event: change    data: {at, tick, status?, twins?: [those that changed], books?, fleets?, …}
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gemel.errors import Unavailable
from gemel.flow.host import Host
from gemel.flow.view import View
from gemel.server.answers import worded
from gemel.server.pages import says

router = APIRouter()
LOOK = 0.25  # s between two looks
QUIET = 15.0  # s without a change until a comment keeps the line open
MOST = 32  # streams at once
_open = threading.BoundedSemaphore(MOST)


@router.get("/live", **says("live", "Server-sent events: the picture, then its changes"))
async def live(request: Request) -> Response:
    host: Host = request.app.state.host
    host.view()  # an answer of 503 before the stream begins, not in it
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return _Stream(_stream(request, host), 200, headers, "text/event-stream")


class _Stream(StreamingResponse):
    """Holds its permit while it is answered: a client may leave before the first look."""

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


async def _stream(request: Request, host: Host) -> AsyncIterator[str]:
    stopping: threading.Event = request.app.state.stopping
    told: dict[str, str] = {}
    last: View | None = None
    quiet = 0.0
    while not stopping.is_set() and not await request.is_disconnected():
        view = host.view()
        if view is not last:
            yield _event("change" if told else "view", _changes(view, told))
            last, quiet = view, 0.0
        elif (quiet := quiet + LOOK) > QUIET:
            yield ": still here\n\n"
            quiet = 0.0
        await asyncio.sleep(LOOK)


def _changes(view: View, told: dict[str, str]) -> dict[str, Any]:
    """What differs from what was told before; `told` (key → JSON) is brought up to date."""
    out: dict[str, Any] = {"at": view.at, "tick": view.tick}
    for name in ("status", "books", "fleets", "sources"):
        if _new(told, name, getattr(view, name)):
            out[name] = getattr(view, name)
    twins = [twin for twin in view.twins if _new(told, f"twin {twin['id']}", twin)]
    return {**out, "twins": twins} if twins else out


def _new(told: dict[str, str], key: str, value: Any) -> bool:
    text = json.dumps(worded(value))
    changed = told.get(key) != text
    told[key] = text
    return changed


def _event(name: str, body: dict[str, Any]) -> str:
    text = json.dumps(worded(body), separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n"
