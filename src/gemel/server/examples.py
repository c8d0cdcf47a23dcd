"""An answer by example for every route, as the OpenAPI document shows it.

Owns    the examples; a test holds each against its schema.
Never   is needed for an answer.
"""

from typing import Any

AT = "2017-01-14T06:00:00Z"
PROBLEM = {
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
    "instant": AT,
    "in_step": True,
    "stale": False,
    "nis": 1.04,
    "inputs": {"oil_flow": {"value": 35.1, "unit": "L/min"}},
    "states": {"wear": {"mean": 0.31, "std": 0.02, "unit": "1"}},
    "sensors": {
        "metal_temperature": {"measured": 81.2, "foreseen": 81.0, "std": 0.4, "unit": "degC"}
    },
    "health": {"worn out": {"index": 0.69, "std": 0.02}},
    "rul": [_RUL],
    "parameters": {"friction": {"value": 4.4e-4, "std": 0.05, "scale": "log", "unit": "K/s/kW"}},
}
_GOOD = {"quality": "good", "reason": ""}
_TWIN = {
    "id": "st1-b2",
    "interface": "Bearing",
    "properties": {"outage_cost": 9000.0},
    "links": {"part_of": "st1"},
    "latest": {"oil_flow": {"value": 35.1, "unit": "L/min", "instant": AT, **_GOOD}},
    "fleets": {"bearing": _FLEET},
    "findings": ["F-000001"],
    "quality": {"score": 0.982, "silent": []},
    "worst": 0.69,
}
_FINDING = {
    "id": "F-000001",
    "kind": "limit_foreseen",
    "twin": "st1-b2",
    "binding": "bearing",
    "subject": "worn out",
    "instant": AT,
    "severity": "warning",
    "statistic": 0.97,
    "threshold": 0.5,
    "text": "'worn out' is foreseen in 4.2 d (3.1 d to 6.0 d)",
    "evidence": {"rul": _RUL, "health": 0.69, "parameters": "typical"},
    "status": "open",
    "closed_at": None,
}
_FAN = {
    "every": 604_800.0,
    "health": {
        "worn out": {"0.05": [0.66, 0.0, 0.0], "0.5": [0.69, 0.02, 0.0], "0.95": [0.72, 0.11, 0.0]}
    },
}
_TRIAL = {"command": "", "argument": None, "chance": 0.97, "rul": [_RUL], "fan": _FAN}
_PLAN = {"command": "set_oil_flow", "argument": 55.0, "chance": 0.04, "rul": [_RUL], "fan": _FAN}
_SAVING = {"currency": "EUR", "mean": 61_000.0, "low": 58_000.0, "high": 64_000.0}
_FORESEEN: dict[str, Any] = {
    "at": AT,
    "deadline": "2017-01-20T06:00:00Z",
    "target": "st1-b2",
    "without": _TRIAL,
    "with": _PLAN,
    "saving": {**_SAVING, "cost": 120.0, "loss_if_failed": 250_000.0, "price": 41.0},
}
_PROPOSAL = {
    "id": "P-000001",
    "policy": "protect the bearing",
    "twin": "st1-b2",
    "binding": "bearing",
    "command": "set_oil_flow",
    "argument": 55.0,
    "answers": ["F-000001"],
    "foreseen": _FORESEEN,
    "cost": {"currency": "EUR", "mean": 120.0},
    "alternatives": [{**_PLAN, "argument": 45.0, "cost": 60.0, "saving": 48_000.0}],
    "created_at": AT,
    "expires_at": "2017-01-15T06:00:00Z",
    "status": "open",
    "by": "",
    "why": "",
    "decided_at": None,
}
_INVOCATION = {
    "id": "I-000001",
    "proposal": "P-000001",
    "twin": "st1-b2",
    "target": "st1-b2",
    "command": "set_oil_flow",
    "argument": 55.0,
    "status": "confirmed",
    "created_at": AT,
    "expires_at": AT,
    "confirm_by": AT,
    "sent_at": AT,
    "done_at": AT,
    "detail": "",
    "by": "M. Keller",
    "why": "cheaper than the outage",
    "shown": {
        "twin": "st1-b2",
        "signal": "oil_flow",
        "value": 54.8,
        "unit": "L/min",
        "instant": AT,
    },
}
_CALLED = {
    "unit": "L/min",
    "low": 20.0,
    "high": 60.0,
    "confirmed_by": "oil_flow",
    "how": "near",
    "tolerance": 1.0,
    "within": 21_600.0,
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
_STOOD = {
    "version": "R-000001",
    "since": AT,
    "by": "M. Keller",
    "why": "it beats the incumbent: 0.52 against 0.81 on 288 held-out readings",
    "parameters": {"friction": {"value": 4.4e-4, "std": 0.05, "off": 0.32}},
}
_ASSET = {
    "twin": "st1-b2",
    **_STOOD,
    "below": ["typical"],
    "line": [_STOOD],
    "begun": True,
    "in_step": True,
    "stale": False,
    "nis": 1.04,
    "challenger": None,
}
_FIT = {
    "run": "R-000001",
    "status": "done",
    "started_by": "request by M. Keller",
    "created_at": AT,
    "ended_at": AT,
    "kernel": "JournalBearing 1.0 5f0c…",
    "start": AT,
    "cut": AT,
    "end": AT,
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
    "start": AT,
    "end": AT,
    "assets": 8,
    "judged": 1,
    "levels": [0.5, 0.8, 0.9, 0.95],
    "sensors": [
        {
            "sensor": "metal_temperature",
            "unit": "degC",
            "fleet": {**_COVERAGE, "off": 0.01},
            "histogram": [72] * 20,
            "drift": [{"start": AT, **_COVERAGE}],
            "assets": [{"twin": "st1-b2", "version": "R-000001", "nis": 1.04, **_COVERAGE}],
        }
    ],
    "gold": {"source": "Hamrock (2004), ch. 11", "cases": [_GOLD_CASE]},
}
_RUN = {
    "id": "R-000001",
    "definition": "refit",
    "options": {"days": 14.0},
    "created_at": AT,
    "ended_at": None,
    "versions": {"bearing": "JournalBearing 1.0 5f0c…"},
    "result": {},
    "started_by": "request by M. Keller",
    "status": "waiting",
    "waits_for": "ask",
}


_NOW = {"at": AT, "tick": 7201}
_IN_USE = {
    "interface": "Bearing",
    "every": 60.0,
    "modes": ["overheated", "worn out"],
    "begun": 8,
    "in_step": 8,
    "versions": [{"version": "R-000001", "assets": 7}, {"version": "typical", "assets": 1}],
}


def _items(row: dict[str, Any]) -> dict[str, Any]:
    return {"items": [row], "next": None, "at": AT, "tick": 7201}


_MAINTENANCE = {"twin": "st1-b2", "resets": ["wear"], "by": "M. Keller", "why": "new shells"}
_SAVED = {"mean": 61_000.0, "low": 58_000.0, "high": 64_000.0, "proposals": 1, "without_a_price": 0}
_SCORE = {"twin": "st1-b2", "score": 0.982, "silent": [{"signal": "oil_flow", "start": AT}]}
_CLOCK = {"source": "hall", "score": 0.991, "lag": 0.4, "reasons": {"stuck": 211, "range": 3}}
_SAMPLE = {"twin": "st1", "signal": "speed", "instant": AT, "value": 3000.0}
_SUM = {
    "signal": "speed",
    "instant": AT,
    "count": 360,
    "min": 2990.0,
    "max": 3010.0,
    "mean": 3000.1,
}
_ROW = {"twin": "st1", "instant": AT, "speed": 3000.0, "load": 91.5}
_ERASED = {"twin": "st1", "before": AT, "by": "M. Keller", "why": "the test run of the works"}
_RECEIPT = {
    **_ERASED,
    "tick": 7201,
    "journal": {"samples": 8640, "entries": 144, "letters": 0, "how": "blanked in the journal …"},
    "ledger": {"records": 2},
    "snapshots": {"replaced": 3, "by_tick": 7204},
}
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
_TILES = {"at": AT, "tick": 7201, "ids_hash": "0f3a…", "n": 1, "status": "AQ==", "worst": "rQ=="}
_PLANT = {
    "plant": "steam-hall",
    "twins": 10,
    "currency": "EUR",
    "time_zone": "UTC",
    "time_zones": ["Europe/Paris"],
    "lateness": 600.0,
    "speed": 1.0,
    "interfaces": [
        {
            "interface": "Bearing",
            "id": "dtmi:gemel:steam:Bearing;1",
            "twins": 8,
            "signals": {
                "oil_flow": {
                    "unit": "L/min",
                    "low": 0.0,
                    "high": 90.0,
                    "rate": None,
                    "stuck": None,
                    "every": 60.0,
                    "gap": 3.0,
                    "drift": None,
                }
            },
            "properties": {"outage_cost": {"unit": "EUR/h"}},
            "relationships": {"part_of": "SteamTurbine"},
            "commands": {
                "set_oil_flow": {
                    "unit": "L/min",
                    "low": 20.0,
                    "high": 60.0,
                    "at": "",
                    "input": "oil_flow",
                    "confirmed_by": "oil_flow",
                    "within": 1800.0,
                }
            },
        }
    ],
    "bindings": [
        {
            "binding": "bearing",
            "kernel": "JournalBearing 1.0 5f0c…",
            "interface": "Bearing",
            "every": 60.0,
            "horizon": 1_209_600.0,
            "rows": 8,
            "ports": {"speed": "part_of/speed", "oil_flow": "oil_flow"},
            "states": {"wear": "1"},
            "inputs": {"speed": "rpm", "oil_flow": "L/min"},
            "sensors": {"metal_temperature": "degC"},
        }
    ],
}
_BINDING = {"binding": "bearing", "kernel": "JournalBearing 1.0 5f0c…", "every": 60.0}
_FLEETS = {**_BINDING, "rows": 8, "begun": 8, "in_step": 8}
_STATUS = {
    **_NOW,
    "plant": "steam-hall",
    "open_findings": 1,
    "open_proposals": 1,
    "unfinished_invocations": 0,
    "journal_sequence": 61_003,
    "journal_behind": 0,
    "journal": {"where": "journal.db", "first": 1, "last": 61_003, "away": "", "fenced": 0},
    "now": AT,
    "speed": 1.0,
    "running": True,
    "failure": None,
    "epoch": 1,
    "lake_tick": 7190,
    "upkeep": None,
    "counts": _COUNTS,
    "fleets": [_FLEETS],
    "books": {"hall": _BOOK},
    "sources": [_CLOCK],
}
_WHY = {
    **_NOW,
    "twin": "st1-b2",
    "samples": _TWIN["latest"],
    "fleets": {"bearing": {**_FLEET, "equation": "…", "ports": {"speed": "part_of/speed"}}},
    "promotions": [],
    "maintenance": [{"name": "maintenance", "body": "{…}", "instant": AT, "tick": 7000}],
    "findings": [_FINDING],
    "proposals": [_PROPOSAL],
    "invocations": [_INVOCATION],
    "validation": [_RUN],
}
_FACT = {
    **_SAMPLE,
    "quality": 0,
    "reason": "",
    "fate": "stored",
    "source": "hall",
    "received_at": AT,
    "tick": 7201,
}
_VALUE = {
    "currency": "EUR",
    "saved": _SAVED,
    "at_stake": _SAVED,
    "by_proposal": [
        {"proposal": "P-000001", "twin": "st1-b2", "mean": 61e3, "low": 58e3, "high": 64e3}
    ],
}
_LEDGER = {
    **_NOW,
    "shard": 0,
    "epoch": 1,
    "positions": {"hall": "61003"},
    "journal_from": 60_990,
    "journal_to": 61_003,
    "books": {"hall": _BOOK},
    "findings": [],
    "proposals": [],
    "invocations": [],
    "outbox": [],
    "rejects": [],
    "digest": "9b1c…",
    "versions": {"bearing": "JournalBearing 1.0 5f0c…"},
}
_DEAD = {"source": "http", "fate": "dead", "code": "message.json", "at": AT, "sequence": 61_002}

_SERIES = {
    "name": "st1-b2:metal_temperature",
    "kind": "telemetry",
    "twin": "st1-b2",
    "binding": "",
    "subject": "metal_temperature",
    "unit": "degC",
    "count": 2,
    "thinned": False,
    "width": None,
    "times": [1484373540000, 1484373600000],
    "values": [81.1, 81.2],
    "stds": None,
    "low": None,
    "high": None,
    "spans": [
        {
            "start": 1484370000000,
            "end": 1484370120000,
            "kind": "bad",
            "reason": "range",
            "samples": 2,
        }
    ],
}
_LIVED = {
    "start": AT,
    "end": None,
    "kind": "finding",
    "id": "F-000001",
    "title": "limit foreseen: worn out",
    "detail": "'worn out' is foreseen in 4.2 d (3.1 d to 6.0 d)",
    "by": "",
    "why": "",
    "status": "open",
    "binding": "bearing",
    "severity": "warning",
}
_NOBODY: dict[str, Any] = {"total": 0, "items": []}

EXAMPLES: dict[str, Any] = {
    "health": {"ok": True},
    "status": _STATUS,
    "twins": _items(_TWIN),
    "twin": {**_TWIN, **_NOW},
    "why": _WHY,
    "overview": {"items": [_LINE], "total": 1, "counts": _COUNTS, **_NOW},
    "tiles": _TILES,
    "plant": _PLANT,
    "fleets": _items(_FLEETS),
    "kernels": {"items": [_KERNEL], "next": None},
    "kernel": {**_KERNEL, **_IN_USE, **_NOW},
    "kernel-assets": {"items": [_ASSET], "total": 8, **_NOW},
    "kernel-history": {"fits": [_FIT], "changes": [{"at": AT, **_PROMOTED}], "total": 1, **_NOW},
    "kernel-fit": {**_FIT, "items": [_COMPARED], "total": 8},
    "kernel-track": {**_TRACK, **_NOW},
    "promotion": {"binding": "bearing", **_PROMOTED, "journal": 61_010},
    "history": _items(_FACT),
    "estimates": _items({**_ESTIMATE, "instant": AT, "known_at": AT, "tick": 7201}),
    "lines": {**_items(_SAMPLE), "notes": []},
    "series": {"items": [_SERIES], "notes": [], "start": AT, "end": AT, **_NOW},
    "series-export": "series,instant,value,std,unit,quality,reason\n",
    "life": {"items": [_LIVED], **_NOW},
    "neighbours": {"parents": _NOBODY, "children": _NOBODY, "siblings": _NOBODY, **_NOW},
    "latest": _items({**_SAMPLE, "unit": "rpm", **_GOOD}),
    "fleet": {**_items({**_SUM, "mean": 3000.1}), "notes": []},
    "asof": {**_items(_ROW), "notes": []},
    "erasures": _items({**_ERASED, **_NOW, "done": True, "receipt": _RECEIPT}),
    "erase": {**_ERASED, "journal": 61_009},
    "findings": _items(_FINDING),
    "proposals": _items(_PROPOSAL),
    "proposal": {
        **_PROPOSAL,
        **_NOW,
        "label": _CALLED,
        "findings": [_FINDING],
        "invocation": None,
    },
    "trial": {**_FORESEEN, **_NOW, "argument": 50.0},
    "invocation": {
        **_INVOCATION,
        **_NOW,
        "label": _CALLED,
        "life": [{"step": "proposed", "at": AT, "detail": "protect the bearing"}],
    },
    "verdict": {"proposal": {**_PROPOSAL, "status": "approved"}, "invocation": _INVOCATION},
    "invocations": _items(_INVOCATION),
    "value": {**_VALUE, **_NOW},
    "maintenance": {**_MAINTENANCE, "journal": 61_007},
    "telemetry": {"received": 3, "accepted": 3, "rejected": [], "dead": []},
    "events": {"name": "price", "instant": AT, "journal": 61_008},
    "sources": _items({**_CLOCK, "kind": "mqtt", **_BOOK, "balanced": True}),
    "heard": {
        "items": [
            {
                "source": "hall",
                "good": [3600, 3598],
                "uncertain": [0, 2],
                "bad": [0, 0],
                "lag": [0.4, 0.4],
                "reasons": {"stuck": 2},
            }
        ],
        "start": AT,
        "end": AT,
        "every": 1800.0,
        "until": AT,
        **_NOW,
    },
    "quality": {**_items(_SCORE), "sources": [_CLOCK]},
    "dead-letters": _items(_DEAD),
    "redrive": {"late": {"hall": 12}, "rejected": {}},
    "ledger": {**_items(_LEDGER), "next": 7201},
    "runs": _items(_RUN),
    "run": {**_RUN, "steps": {"learn": {}}},
    "start-run": {**_RUN, "status": "running"},
    "run-verdict": {**_RUN, "status": "running"},
}
