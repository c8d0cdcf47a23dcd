"""What the OpenAPI document says of each route: its tag, its summary, an answer by example.

Owns    the examples and the words of the document.
Never   is needed for an answer: it only describes them.
"""

from typing import Any

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

_AT = "2017-01-14T06:00:00Z"
_PROBLEM = {
    "code": "twin.unknown",
    "message": "there is no twin 'st9'",
    "where": "",
    "mend": "GET /api/v1/twins lists them",
    "explain": "gemel explain twin.unknown",
}
_BOOK = {
    "received": 61_003,
    "stored": 60_990,
    "duplicate": 11,
    "correction": 0,
    "late": 0,
    "rejected": 1,
    "dead": 1,
}
_RUL = {
    "mode": "worn out",
    "quantiles": {"0.05": 267_840.0, "0.5": 362_880.0, "0.95": 518_400.0},
    "reached": 0.97,
    "horizon": 1_209_600.0,
    "scenario": "usual day",
}
_FLEET = {
    "kernel": "JournalBearing 1.0 5f0c…",
    "version": "typical",
    "instant": _AT,
    "in_step": True,
    "nis": 1.04,
    "states": {"wear": {"mean": 0.31, "std": 0.02, "unit": "1"}},
    "sensors": {
        "metal_temperature": {"measured": 81.2, "foreseen": 81.0, "std": 0.4, "unit": "degC"}
    },
    "health": {"worn out": {"index": 0.69, "std": 0.02}},
    "rul": [_RUL],
}
_GOOD = {"quality": "good", "reason": ""}
_TWIN = {
    "id": "st1-b2",
    "interface": "Bearing",
    "links": {"part_of": "st1"},
    "latest": {"oil_flow": {"value": 35.1, "unit": "L/min", "instant": _AT, **_GOOD}},
    "fleets": {"bearing": _FLEET},
    "findings": ["F-000001"],
    "worst": 0.69,
}
_FINDING = {
    "id": "F-000001",
    "kind": "limit_foreseen",
    "twin": "st1-b2",
    "subject": "worn out",
    "instant": _AT,
    "severity": "warning",
    "statistic": 0.97,
    "threshold": 0.5,
    "text": "'worn out' is foreseen in 4.2 d (3.1 d to 6.0 d)",
    "status": "open",
}
_PROPOSAL = {
    "id": "P-000001",
    "policy": "protect the bearing",
    "twin": "st1-b2",
    "command": "set_oil_flow",
    "argument": 55.0,
    "answers": ["F-000001"],
    "foreseen": {
        "without": {"chance": 0.97},
        "with": {"chance": 0.04},
        "saving": {"mean": 61_000.0, "low": 58_000.0, "high": 64_000.0, "currency": "EUR"},
    },
    "cost": {"currency": "EUR", "mean": 120.0},
    "expires_at": "2017-01-15T06:00:00Z",
    "status": "open",
}
_INVOCATION = {
    "id": "I-000001",
    "proposal": "P-000001",
    "twin": "st1-b2",
    "command": "set_oil_flow",
    "argument": 55.0,
    "status": "confirmed",
    "by": "M. Keller",
    "why": "cheaper than the outage",
}
_KERNEL = {
    "binding": "bearing",
    "identity": "JournalBearing 1.0 5f0c…",
    "rows": 8,
    "name": "JournalBearing",
    "version": "1.0",
    "about": "Temperature and wear of one oil-lubricated journal bearing. …",
    "states": {
        "wear": {"unit": "1", "start": 0.0, "start_std": 0.01, "noise": 1e-6, "precise": True}
    },
    "inputs": {"speed": {"unit": "rpm", "max_age": 3600.0, "port": "part_of/speed"}},
    "parameters": {
        "friction": {
            "unit": "K/s/kW",
            "typical": 4e-4,
            "spread": 0.3,
            "scale": "log",
            "bounds": [None, None],
        }
    },
    "sensors": {
        "metal_temperature": {
            "unit": "degC",
            "noise": 0.5,
            "gate": None,
            "port": "metal_temperature",
        }
    },
}
_OWN = {"friction": {"value": 4.4e-4, "std": 0.05}}
_GOLD_CASE = {"case": "steady", "passed": True, "worst": 2e-9, "tolerance": 1e-6, "where": "t[3]"}
_COMPARED = {
    "run": "R-000001",
    "twin": "st1-b2",
    "promote": True,
    "reason": "it beats the incumbent: 0.52 against 0.81 on 288 held-out readings",
    "incumbent": "typical",
    "incumbent_rmse": 0.81,
    "challenger_rmse": 0.52,
    "incumbent_bias": 0.6,
    "challenger_bias": 0.1,
    "coverage": 0.91,
    "count": 288,
    "parameters": _OWN,
    "samples": 864,
    "not_identified": [],
}
_ASSET = {
    "twin": "st1-b2",
    "version": "R-000001",
    "since": _AT,
    "by": "M. Keller",
    "why": "it beats the incumbent: 0.52 against 0.81 on 288 held-out readings",
    "below": ["typical"],
    "begun": True,
    "in_step": True,
    "stale": False,
    "nis": 1.04,
    "parameters": {"friction": {"value": 4.4e-4, "std": 0.05, "off": 0.32}},
    "challenger": None,
}
_FIT = {
    "run": "R-000001",
    "status": "done",
    "started_by": "request by M. Keller",
    "created_at": _AT,
    "ended_at": _AT,
    "kernel": "JournalBearing 1.0 5f0c…",
    "start": _AT,
    "cut": _AT,
    "end": _AT,
    "assets": 8,
    "judged": 8,
    "better": 7,
    "promoted": 7,
    "unit": "degC",
    "incumbent_rmse": 0.81,
    "challenger_rmse": 0.52,
    "coverage": 0.91,
    "gold": [_GOLD_CASE],
    "verdict": {"verdict": "approved", "by": "M. Keller", "why": "the proofs are good"},
    "failure": None,
}
_PROMOTED = {
    "twin": "st1-b2",
    "action": "roll_back",
    "version": "typical",
    "over": "R-000001",
    "by": "M. Keller",
    "why": "the bearing was swapped that day",
}
_COVERAGE = {
    "count": 1440,
    "inside": [0.51, 0.8, 0.9, 0.95],
    "inside_std": [0.013, 0.011, 0.008, 0.006],
    "bias": 0.02,
    "spread": 0.99,
}
_TRACK = {
    "binding": "bearing",
    "start": _AT,
    "end": _AT,
    "assets": 8,
    "judged": 1,
    "levels": [0.5, 0.8, 0.9, 0.95],
    "sensors": [
        {
            "sensor": "metal_temperature",
            "unit": "degC",
            "fleet": {**_COVERAGE, "off": 0.01},
            "histogram": [72] * 20,
            "drift": [{"start": _AT, **_COVERAGE}],
            "assets": [{"twin": "st1-b2", "version": "R-000001", "nis": 1.04, **_COVERAGE}],
        }
    ],
    "gold": {"source": "Hamrock (2004), ch. 11", "cases": [_GOLD_CASE]},
}
_RUN = {
    "id": "R-000001",
    "definition": "refit",
    "started_by": "request by M. Keller",
    "status": "waiting",
    "waits_for": "ask",
}


_NOW = {"at": _AT, "tick": 7201}
_IN_USE = {
    "interface": "Bearing",
    "every": 60.0,
    "modes": ["overheated", "worn out"],
    "begun": 8,
    "in_step": 8,
    "versions": [{"version": "R-000001", "assets": 7}, {"version": "typical", "assets": 1}],
}


def _items(row: dict[str, Any]) -> dict[str, Any]:
    return {"items": [row], "next": None, "at": _AT, "tick": 7201}


_MAINTENANCE = {"twin": "st1-b2", "resets": ["wear"], "by": "M. Keller", "why": "new shells"}
_SAVED = {"mean": 61_000.0, "low": 58_000.0, "high": 64_000.0, "proposals": 1, "without_a_price": 0}
_SCORE = {"twin": "st1-b2", "score": 0.982, "silent": [{"signal": "oil_flow", "start": _AT}]}
_CLOCK = {"source": "hall", "score": 0.991, "lag": 0.4, "reasons": {"stuck": 211, "range": 3}}
_SAMPLE = {"twin": "st1", "signal": "speed", "instant": _AT, "value": 3000.0}
_SUM = {
    "signal": "speed",
    "instant": _AT,
    "count": 360,
    "min": 2990.0,
    "max": 3010.0,
    "mean": 3000.1,
}
_ROW = {"twin": "st1", "instant": _AT, "speed": 3000.0, "load": 91.5}
_ERASED = {"twin": "st1", "before": _AT, "by": "M. Keller", "why": "the test run of the works"}
_ESTIMATE = {"twin": "st1-b2", "binding": "bearing", "name": "wear", "mean": 0.31, "std": 0.02}

_LINE = {
    "id": "st1-b2",
    "interface": "Bearing",
    "status": "warning",
    "worst": {"binding": "bearing", "mode": "worn out", "index": 0.69, "std": 0.02},
    "rul": _RUL,
    "in_step": True,
    "stale": False,
    "age": 30.0,
    "findings": 1,
    "quality": 0.982,
    "values": {"oil_flow": {"value": 35.1, "unit": "L/min", "quality": "good"}},
}
_COUNTS = {"all": 1, "failed": 0, "warning": 1, "out_of_step": 0, "silent": 0, "ok": 0}
_TILES = {"at": _AT, "tick": 7201, "ids_hash": "0f3a…", "n": 1, "status": "AQ==", "worst": "rQ=="}
_PLANT = {"plant": "steam-hall", "currency": "EUR", "time_zone": "UTC", "interfaces": []}

# noun: (tag, an answer by example, the statuses of errors it may give)
_SAYS: dict[str, tuple[str, Any, tuple[int, ...]]] = {
    "status": ("state", {"plant": "steam-hall", "at": _AT, "tick": 7201, "running": True}, ()),
    "twins": ("state", _items(_TWIN), (422,)),
    "twin": ("state", _TWIN, (404,)),
    "why": ("state", {"twin": "st1-b2", "samples": {}, "fleets": {"bearing": _FLEET}}, (404,)),
    "overview": ("state", {**_items(_LINE), "total": 1, "counts": _COUNTS}, (422,)),
    "tiles": ("state", _TILES, (422,)),
    "plant": ("state", _PLANT, ()),
    "fleets": ("state", _items({"binding": "bearing", "rows": 8, "in_step": 8}), ()),
    "kernels": ("kernels", {"items": [_KERNEL], "next": None}, ()),
    "kernel": ("kernels", {**_KERNEL, **_IN_USE, **_NOW}, (404,)),
    "kernel-assets": ("kernels", {"items": [_ASSET], "total": 8, **_NOW}, (404, 422)),
    "kernel-history": (
        "kernels",
        {"fits": [_FIT], "changes": [{"at": _AT, **_PROMOTED}], "total": 1, **_NOW},
        (404, 422),
    ),
    "kernel-fit": ("kernels", {**_FIT, "items": [_COMPARED], "total": 8}, (404, 422)),
    "kernel-track": ("kernels", {**_TRACK, **_NOW}, (404, 422)),
    "promotion": (
        "kernels",
        {"binding": "bearing", **_PROMOTED, "journal": 61_010},
        (404, 409, 422, 503),
    ),
    "live": ("state", None, (404, 422, 503)),
    "history": ("history", _items({**_SAMPLE, "quality": 0, "source": "hall"}), (422,)),
    "estimates": ("history", _items({**_ESTIMATE, "instant": _AT}), (422,)),
    "lines": ("history", {**_items(_SAMPLE), "notes": []}, (422,)),
    "latest": ("history", _items({**_SAMPLE, "unit": "rpm", "quality": "good"}), (422,)),
    "fleet": ("history", {**_items({**_SUM, "mean": 3000.1}), "notes": []}, (409, 422)),
    "asof": ("history", {**_items(_ROW), "notes": []}, (409, 422)),
    "erasures": ("history", _items({**_ERASED, "done": True}), ()),
    "erase": ("history", {**_ERASED, "journal": 61_009}, (404, 422, 503)),
    "findings": ("insight", _items(_FINDING), (422,)),
    "proposals": ("control", _items(_PROPOSAL), (422,)),
    "verdict": (
        "control",
        {"proposal": {**_PROPOSAL, "status": "approved"}, "invocation": _INVOCATION},
        (404, 409, 422, 503),
    ),
    "invocations": ("control", _items(_INVOCATION), (422,)),
    "value": ("control", {"currency": "EUR", "saved": _SAVED}, ()),
    "maintenance": ("control", {**_MAINTENANCE, "journal": 61_007}, (404, 422, 503)),
    "telemetry": (
        "telemetry",
        {"received": 3, "accepted": 3, "rejected": [], "dead": []},
        (400, 404, 409, 413, 415, 422, 429, 503),
    ),
    "events": ("telemetry", {"name": "price", "instant": _AT, "journal": 61_008}, (422, 503)),
    "sources": ("telemetry", _items({"source": "hall", **_BOOK, "balanced": True}), ()),
    "quality": ("telemetry", {**_items(_SCORE), "sources": [_CLOCK]}, (422,)),
    "dead-letters": (
        "telemetry",
        _items({"source": "http", "fate": "dead", "code": "message.json"}),
        (422,),
    ),
    "redrive": ("telemetry", {"late": {"hall": 12}, "rejected": {}}, (422, 503)),
    "ledger": ("history", _items({"tick": 7201, "at": _AT, "digest": "9b1c…"}), (422,)),
    "runs": ("runs", _items(_RUN), (422,)),
    "run": ("runs", {**_RUN, "steps": {"learn": {}}}, (404,)),
    "start-run": ("runs", {**_RUN, "status": "running"}, (404, 422)),
    "run-verdict": ("runs", {**_RUN, "status": "running"}, (404, 409, 422)),
}

_BODIES: dict[str, Any] = {
    "telemetry": {"twin": "st1", "time": _AT, "values": {"speed": 3000.0}},
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
    """The keyword arguments of a route: tag, summary, example and errors."""
    tag, example, errors = _SAYS[noun]
    kind = "text/event-stream" if example is None else "application/json"
    content = {} if example is None else {"example": example}
    ok = 202 if noun in ("telemetry", "events", "start-run", "erase") else 200
    answers: dict[int, Any] = {ok: {"description": summary, "content": {kind: content}}}
    for status in sorted({401, *errors}):
        answers[status] = {
            "description": _MEANS[status],
            "content": {"application/json": {"example": _PROBLEM}},
        }
    out: dict[str, Any] = {"tags": [tag], "summary": summary, "responses": answers}
    if noun in _BODIES:
        body = {"required": True, "content": {"application/json": {"example": _BODIES[noun]}}}
        out["openapi_extra"] = {"requestBody": body}
    return out
