"""The routes of one proposal and one command: what speaks for it, and what became of it.

Owns    what each of them tells beside the record itself, and the trial of another argument.
Never   decides or sends: a verdict is `routes.verdict`, and the tick carries it out.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, FiniteFloat

from gemel.errors import NotFound
from gemel.flow.commands import command_of
from gemel.flow.host import Host
from gemel.server.answers import Answer
from gemel.server.asked import Id, Known, tick_of, told_by
from gemel.server.pages import says

router = APIRouter()
Record = dict[str, Any]
UNKNOWN = {"proposal": "proposal.unknown", "invocation": "invocation.unknown"}


class Argument(BaseModel, extra="forbid"):
    """What is to be tried on copies of the twin."""

    argument: FiniteFloat


@router.get("/proposals/{id}", **says("proposal", "One proposal: its findings, its command"))
def proposal(request: Request, id: Id, known_at: Known = None) -> Response:
    host, view = told_by(request)
    tick = tick_of(host, known_at)
    found = _one(host, "proposal", id, tick)
    findings = host.ledger.findings(twin=found["twin"], as_known_at=tick, limit=1000)
    sent = host.ledger.invocations(twin=found["twin"], as_known_at=tick, limit=1000)
    return Answer(
        {
            **found,
            "label": _label(host, found),
            "findings": [one for one in findings if one["id"] in found["answers"]],
            "invocation": next((one for one in sent if one["proposal"] == id), None),
            "at": view.at,
            "tick": view.tick,
        }
    )


@router.post("/proposals/{id}/trial", **says("trial", "Try an argument on copies of the twin"))
def trial(request: Request, id: Id, body: Argument) -> Response:
    host, view = told_by(request)
    told = host.trial(id, body.argument)
    return Answer({**told, "argument": body.argument, "at": view.at, "tick": view.tick})


@router.get("/invocations/{id}", **says("invocation", "One command: each step of its life"))
def invocation(request: Request, id: Id, known_at: Known = None) -> Response:
    host, view = told_by(request)
    tick = tick_of(host, known_at)
    found = _one(host, "invocation", id, tick)
    asked = _one(host, "proposal", found["proposal"], tick)
    forms = [
        (at, form)
        for told, at, form in host.ledger.life("invocation", id)
        if tick is None or told <= tick
    ]
    known = host.ledger.life("proposal", asked["id"])[0][1]  # its own instant is the frame's
    before = [
        {"step": "proposed", "at": known, "detail": asked["policy"]},
        {"step": "approved", "at": asked["decided_at"], "detail": asked["why"]},
    ]
    return Answer(
        {
            **found,
            "label": _label(host, found),
            "life": [*before, *life(forms)],
            "at": view.at,
            "tick": view.tick,
        }
    )


def _one(host: Host, kind: str, identity: str, tick: int | None) -> Record:
    """One record, as it is known now or was known at a tick."""
    forms = host.ledger.life(kind, identity)
    known = [form for at, _, form in forms if tick is None or at <= tick]
    if not known:
        raise NotFound(
            UNKNOWN[kind],
            f"there is no {kind} '{identity[:40]}'" + (" at that instant" if forms else ""),
            mend=f"GET /api/v1/{kind}s lists them",
        )
    return known[-1]


def _label(host: Host, record: Record) -> Record:
    """What the command is called by the plant: its unit and range, and what confirms it."""
    command = command_of(host.plan, record["twin"], record["command"])
    return {
        "unit": command.unit,
        "low": command.low,
        "high": command.high,
        "confirmed_by": command.signal,
        "how": command.confirm,
        "tolerance": command.tolerance,
        "within": command.within,
    }


def life(forms: list[tuple[int, Record]]) -> list[Record]:
    """What each form of an invocation tells. Once it went to the wire, `sending` is `sent`; where
    the asset's answer came before the wire's own word, both are known by the answer."""
    steps: list[Record] = []
    for at, form in forms:
        on_wire = bool(form["sent_at"])
        if on_wire and not any(one["step"] == "sent" for one in steps):
            steps.append({"step": "sent", "at": form["sent_at"], "detail": ""})
        if not (on_wire and form["status"] == "sending"):
            steps.append({"step": form["status"], "at": at, "detail": form["detail"]})
    return steps
