"""What the OpenAPI document says of each route: its tag, its summary, its answer.

Owns    the words of the document, and which schema is whose.
Never   is needed for an answer: it only describes them.
"""

from typing import Any

from gemel.server import control_forms, forms, history_forms, kernel_forms, series_forms
from gemel.server.examples import AT, EXAMPLES, PROBLEM

ABOUT = """\
Every request but `GET /api/v1/health` carries `Authorization: Bearer TOKEN`; the token lies in
`DATA/token`. Instants are ISO 8601 in UTC. Every number that was estimated carries its standard
deviation; a time to a limit is quantiles and the share of paths that reached it.

A list is `{items, next, at, tick}`: ask again with `after=next` for the next page. Two times can
be asked for: `valid` (when it holds) and `known_at` (what was known then).

An error is `{code, message, where, mend, explain}`; `gemel explain CODE` knows every code."""

TAGS = [
    {"name": "state", "description": "What the twins believe now."},
    {"name": "history", "description": "What was measured and believed, at any two times."},
    {"name": "insight", "description": "What is worth attention."},
    {"name": "control", "description": "What is proposed, decided, sent and confirmed."},
    {"name": "telemetry", "description": "Data in, and the books that account for it."},
    {"name": "kernels", "description": "What speaks for the assets, since when, and how well."},
    {"name": "runs", "description": "Longer work: fits, reports, watches."},
]

# noun: (tag, the schema of its answer, the statuses of errors it may give)
_SAYS: dict[str, tuple[str, Any, tuple[int, ...]]] = {
    "health": ("state", forms.Health, ()),
    "status": ("state", forms.PlantStatus, ()),
    "twins": ("state", forms.Twins, (422,)),
    "twin": ("state", forms.Twin, (404,)),
    "why": ("state", history_forms.Why, (404,)),
    "overview": ("state", forms.Overview, (422,)),
    "tiles": ("state", forms.Tiles, (422,)),
    "plant": ("state", forms.Plant, ()),
    "fleets": ("state", forms.Fleets, ()),
    "kernels": ("kernels", kernel_forms.Kernels, ()),
    "kernel": ("kernels", kernel_forms.KernelDetail, (404,)),
    "kernel-assets": ("kernels", kernel_forms.KernelAssets, (404, 422)),
    "kernel-history": ("kernels", kernel_forms.KernelHistory, (404, 422)),
    "kernel-fit": ("kernels", kernel_forms.KernelFitDetail, (404, 422)),
    "kernel-track": ("kernels", kernel_forms.KernelTrack, (404, 422)),
    "promotion": ("kernels", kernel_forms.Promoted, (404, 409, 422, 503)),
    "live": ("state", forms.Live, (404, 422, 503)),
    "history": ("history", history_forms.Facts, (422,)),
    "estimates": ("history", history_forms.Estimates, (422,)),
    "lines": ("history", history_forms.Lines, (422,)),
    "series": ("history", series_forms.SeriesLines, (404, 422)),
    "series-export": ("history", str, (404, 422)),
    "life": ("insight", series_forms.Life, (404, 422)),
    "neighbours": ("state", series_forms.Neighbours, (404,)),
    "latest": ("history", history_forms.Newests, (422,)),
    "fleet": ("history", history_forms.Sums, (409, 422)),
    "asof": ("history", history_forms.JoinedRows, (409, 422)),
    "erasures": ("history", history_forms.Erasures, ()),
    "erase": ("history", history_forms.ErasureTaken, (404, 422, 503)),
    "findings": ("insight", forms.Findings, (422,)),
    "proposals": ("control", forms.Proposals, (422,)),
    "proposal": ("control", control_forms.ProposalDetail, (404, 422)),
    "trial": ("control", control_forms.Tried, (404, 409, 422, 503)),
    "verdict": ("control", forms.Verdict, (404, 409, 422, 503)),
    "invocations": ("control", forms.Invocations, (422,)),
    "invocation": ("control", control_forms.InvocationDetail, (404, 422)),
    "value": ("control", forms.Value, ()),
    "maintenance": ("control", forms.Maintained, (404, 422, 503)),
    "telemetry": ("telemetry", history_forms.Taken, (400, 404, 409, 413, 415, 422, 429, 503)),
    "events": ("telemetry", history_forms.EventTaken, (422, 503)),
    "sources": ("telemetry", forms.Sources, ()),
    "heard": ("telemetry", history_forms.Heard, (422,)),
    "quality": ("telemetry", forms.Qualities, (422,)),
    "dead-letters": ("telemetry", history_forms.DeadLetters, (422,)),
    "redrive": ("telemetry", history_forms.Redriven, (422, 503)),
    "ledger": ("history", history_forms.LedgerRows, (422,)),
    "runs": ("runs", forms.Runs, (422,)),
    "run": ("runs", forms.RunDetail, (404,)),
    "start-run": ("runs", forms.Run, (404, 422)),
    "run-verdict": ("runs", forms.Run, (404, 409, 422)),
}

_BODIES: dict[str, Any] = {
    "telemetry": {"twin": "st1", "time": AT, "values": {"speed": 3000.0}},
}
_MEANS = {
    400: "the body is not JSON",
    401: "no token, or another one",
    404: "what was named is not there",
    409: "it does not fit what is already so",
    413: "the body has more than 8 MiB, or unpacks to more than 64",
    415: "a Content-Type or Content-Encoding that is not read",
    422: "what was given is wrong",
    429: "more is sent at once than there is room for; ask again later",
    503: "something is missing or silent; ask again later",
}


def says(noun: str, summary: str) -> dict[str, Any]:
    """The keyword arguments of a route: tag, summary, schema and example of its answer, errors."""
    tag, form, errors = _SAYS[noun]
    ok = 202 if noun in ("telemetry", "events", "start-run", "erase") else 200
    answers: dict[int, Any] = {ok: {"description": summary}}
    if noun == "live":
        answers[ok]["model"] = form
    else:
        answers[ok]["content"] = {"application/json": {"example": EXAMPLES[noun]}}
    for status in sorted({*errors} if noun == "health" else {401, *errors}):
        problem = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": PROBLEM}
        answers[status] = {
            "description": _MEANS[status],
            "content": {"application/json": problem},
        }
        if noun != "live":  # else FastAPI would tell it as an event
            answers[status]["model"] = forms.Problem
    out: dict[str, Any] = {"tags": [tag], "summary": summary, "responses": answers}
    if noun != "live":
        out["response_model"] = form
    if noun in _BODIES:
        body = {"required": True, "content": {"application/json": {"example": _BODIES[noun]}}}
        out["openapi_extra"] = {"requestBody": body}
    return out
