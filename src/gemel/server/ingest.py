"""The route that telemetry comes in by.

Owns    `POST /telemetry`: its status by what became of the samples.
Never   decodes: the host's inlets do.
"""

from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request, Response

from gemel.errors import Invalid
from gemel.flow.host import Host
from gemel.server.answers import BROKEN, UNREAD, Answer
from gemel.server.pages import says

router = APIRouter()
THREADS = 8  # that take in telemetry at once: a flood leaves the others to who asks


@router.post("/telemetry", status_code=202, **says("telemetry", "Send samples; durable at 202"))
async def telemetry(
    request: Request,
    source: Annotated[str, Query(max_length=64, description="of kind http")] = "http",
    topic: Annotated[str, Query(max_length=500, description="what the source's map reads")] = "",
) -> Response:
    host, body = request.app.state.host, await request.body()
    headers = {name.lower(): value for name, value in request.headers.items()}
    threads: CapacityLimiter = request.app.state.ingest
    return await to_thread.run_sync(_ingest, host, body, headers, source, topic, limiter=threads)


def _ingest(host: Host, payload: bytes, headers: dict[str, str], source: str, topic: str) -> Answer:
    """202 when something was taken in; else the first fault, with the rest beside it."""
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
