"""The records that a route and the live stream tell alike.

Owns    the plant's status, its books, its inbox, one twin, and the newest samples.
Never   knows who asks, or how the answer travels.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from gemel.clock import format_instant
from gemel.errors import NotFound
from gemel.flow.host import Host
from gemel.flow.overview import Asked, overview
from gemel.flow.view import View
from gemel.records import FATES
from gemel.server.value import value_line

Record = dict[str, Any]
MOST = 10_000  # rows of a ledger list that are looked through
UNFINISHED = ("sending", "acknowledged")


def status(host: Host, view: View) -> Record:
    """The plant in one line each: clock, tick, books, counts."""
    upkeep = host.loop.upkeep if host.loop else None
    return {
        **view.status,
        **_clock(host, view),
        "epoch": view.epoch,
        "journal_behind": host.journal.last() - int(view.status["journal_sequence"]),
        "journal": {
            "where": host.journal.where,
            "first": host.journal.first(),
            "last": host.journal.last(),
            "away": host.journal.away,
            "fenced": host.journal.fenced,
        },
        "lake_tick": host.lake.known("estimates"),
        "upkeep": upkeep.failure.as_record() if upkeep and upkeep.failure else None,
        "counts": overview(view).counts(Asked()),
        "fleets": view.fleets,
        "books": view.books,
        "sources": view.sources,
    }


def brief(host: Host, view: View) -> Record:
    """What the head of a page shows: clock, counts, value."""
    return {
        **view.status,
        **_clock(host, view),
        "journal_behind": host.journal.last() - int(view.status["journal_sequence"]),
        "counts": overview(view).counts(Asked()),
        "value": host.since_news("value", lambda: value(host)),
    }


def _clock(host: Host, view: View) -> Record:
    return {
        "at": view.at,
        "now": format_instant(host.clock.now()),
        "speed": host.clock.speed,
        "tick": view.tick,
        "running": host.running,
        "failure": host.failure.as_record() if host.failure else None,
    }


def value(host: Host, known: int | None = None) -> Record:
    """What the confirmed commands saved, as it stood after a tick (None: now)."""
    everyone = (None, None, known, MOST)
    return value_line(host.ledger.proposals(*everyone), host.ledger.invocations(*everyone))


def in_a_list(proposal: Record) -> Record:
    """A proposal as a list tells it: its trials without their fans."""
    foreseen = {
        name: _plain(told) if name in ("without", "with") else told
        for name, told in proposal["foreseen"].items()
    }
    alternatives = [_plain(told) for told in proposal["alternatives"]]
    return {**proposal, "foreseen": foreseen, "alternatives": alternatives}


def _plain(trial: Record) -> Record:
    return {name: told for name, told in trial.items() if name != "fan"}


def inbox(host: Host, view: View) -> Record:
    """What waits for a person or for an asset: open proposals, unfinished invocations, runs."""

    def read() -> Record:
        ledger = host.ledger
        sent = [row for one in UNFINISHED for row in ledger.invocations(one, limit=MOST)]
        return {
            "proposals": [in_a_list(row) for row in ledger.proposals("open", limit=MOST)],
            "invocations": sorted(sent, key=lambda row: str(row["id"]), reverse=True),
        }

    waiting = host.ledger.runs("waiting", MOST)
    return {"at": view.at, "tick": view.tick, **host.since_news("inbox", read), "runs": waiting}


def sources(host: Host, view: View) -> Record:
    """The books of every source, with its score, its clock's lag and its reasons."""
    items = _books(host, view.books, {row["source"]: row for row in view.sources})
    return {"items": items, "next": None, "at": view.at, "tick": view.tick}


def sources_then(host: Host, tick: int) -> Record:
    """The books as they stood at a tick; scores are told of now alone."""
    row = next(iter(host.ledger.rows(tick - 1, 1)), None)
    books = row.books if row else {}
    at = row.at if row else 0
    return {"items": _books(host, books, {}), "next": None, "at": at, "tick": tick}


def _books(host: Host, books: Record, scores: Record) -> list[Record]:
    declared = {name: spec.kind for name, spec in host.plan.plant.sources.items()}
    blank: Record = {"score": None, "lag": None, "reasons": {}}
    items = []
    for name in sorted({*declared, *books}):
        book = books.get(name) or dict.fromkeys(("received", *FATES), 0)
        kept = sum(count for fate, count in book.items() if fate != "received")
        told = {**blank, **scores.get(name, {}), "source": name, "kind": declared.get(name, "http")}
        items.append({**told, **book, "balanced": book["received"] == kept})
    return items


def twin(view: View, identity: str) -> Record:
    """One twin, whole. `twin.unknown` where there is none."""
    found = view.twin(identity)
    if found is None:
        raise NotFound(
            "twin.unknown",
            f"there is no twin '{identity[:64]}'",
            mend="GET /api/v1/twins lists them",
        )
    return {**found, "at": view.at, "tick": view.tick}


def latest(view: View, twins: Iterable[int], signals: list[str] | None = None) -> Iterator[Record]:
    """The newest sample of each signal of some twins, by number, in the order of signals."""
    ids = view.plan.seats.ids
    for number in twins:
        for name, told in sorted(view.latest(number).items()):
            if signals is None or name in signals:
                yield {"twin": ids[number], "signal": name, **told}


def named(view: View, pairs: Iterable[tuple[str, str]]) -> Record:
    """The newest samples of some (twin, signal); those that have none are left out."""
    seats = view.plan.seats
    items = [
        row
        for twin_, signal in pairs
        if twin_ in seats.number
        for row in islice(latest(view, [seats.number[twin_]], [signal]), 1)
    ]
    return {"at": view.at, "tick": view.tick, "items": items}
