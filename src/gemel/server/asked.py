"""What routes share: the parameters that many of them take, and where they find the plant.

Owns    the limits and the words of those parameters.
Never   answers by itself.
"""

from typing import Annotated, Any

from fastapi import Path as PathParameter
from fastapi import Query, Request
from pydantic import Field

from gemel.clock import parse_instant
from gemel.flow.host import Host
from gemel.flow.view import View
from gemel.server.answers import Answer

Record = dict[str, Any]

Name = Annotated[str | None, Query(min_length=1, max_length=64)]
Names = Annotated[list[Annotated[str, Field(max_length=130)]] | None, Query(max_length=50)]
Limit = Annotated[int, Query(ge=1, le=1000, description="rows of one page")]
Wide = Annotated[int, Query(ge=1, le=10_000, description="rows of one page")]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before")]
Known = Annotated[
    str | None, Query(max_length=40, description="an instant: what was known then, and no more")
]
Valid = Annotated[
    str | None,
    Query(
        max_length=90,
        description="when it holds: START/END (.. leaves a side open), or one instant "
        "(of the lake: the last row of each name in the day before it)",
    ),
]
At = Annotated[
    str | None, Query(max_length=40, description="an instant: what held then; default: the present")
]
Id = Annotated[str, PathParameter(min_length=1, max_length=130)]
Who = Annotated[str, Field(min_length=1, max_length=100, description="who says so")]
Why = Annotated[str, Field(min_length=1, max_length=2000, description="for the record")]


def host_of(request: Request) -> Host:
    """The plant that is served."""
    host: Host = request.app.state.host
    return host


def told_by(request: Request) -> tuple[Host, View]:
    """The plant, and its latest picture."""
    host = host_of(request)
    return host, host.view()


def seen(request: Request, valid: str | None, known_at: str | None) -> tuple[Host, View]:
    """The plant, and its picture at an instant, as known at another; the latest of the present."""
    host = host_of(request)
    instant = known_at if valid is None else valid
    if instant is None:
        return host, host.view()
    return host, host.past(parse_instant(instant), tick_of(host, known_at))


def answer(view: View, listed: Record) -> Answer:
    """A list, with the instant and tick that it is of."""
    return Answer({**listed, "at": view.at, "tick": view.tick})


def tick_then(host: Host, valid: str | None, known_at: str | None) -> int | None:
    """The last tick of which both instants know; a span START/END says nothing of that."""
    instants = [valid if valid is None or "/" not in valid else None, known_at]
    ticks = [tick for one in instants if (tick := tick_of(host, one)) is not None]
    return min(ticks, default=None)


def tick_of(host: Host, known_at: str | None) -> int | None:
    """The last tick that was known at an instant; None: everything is known."""
    return None if known_at is None else host.ledger.tick_at(parse_instant(known_at))
