"""The routes of a fleet at a glance, and what a page needs to label it.

Owns    what each of them takes.
Never   works out an order or a status: that is `flow/overview.py`'s, once a picture for all.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from gemel.flow.described import described
from gemel.flow.fleet import Plan
from gemel.flow.overview import Asked, overview
from gemel.server.answers import Answer
from gemel.server.asked import Record, host_of, seen
from gemel.server.pages import says
from gemel.server.value import CURRENCY

router = APIRouter()

Sort = Literal["worst", "-worst", "id", "-id", "age", "-age", "rul", "-rul", "quality", "-quality"]


class Tiled(BaseModel, extra="forbid"):
    """Which twins, in which order."""

    interface: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    find: Annotated[str, Field(max_length=64, description="a part of the id")] = ""
    status: Literal["failed", "warning", "out_of_step", "silent", "ok"] | None = None
    sort: Sort = "worst"

    def asked(self) -> Asked:
        """The question without its page."""
        return Asked(self.interface, self.find, self.status, self.sort)


class Shown(Tiled):
    """Which of them are told."""

    offset: Annotated[int, Field(ge=0, le=10_000_000, description="rows before the first told")] = 0
    limit: Annotated[int, Field(ge=1, le=1000, description="rows told")] = 60


class Times(BaseModel):
    """Of when: what held at an instant, and what was known at one."""

    valid: Annotated[str | None, Field(max_length=40, description="default: the present")] = None
    known_at: Annotated[str | None, Field(max_length=40, description="what was known then")] = None


class ShownThen(Shown, Times):
    """A page of the overview, of now or then."""


class TiledThen(Tiled, Times):
    """The tiles, of now or then."""


@router.get("/overview", **says("overview", "The fleet at a glance, worst first, and its counts"))
def rows(request: Request, how: Annotated[ShownThen, Query()]) -> Response:
    _, view = seen(request, how.valid, how.known_at)
    return Answer(overview(view).page(how.asked(), how.offset, how.limit))


@router.get("/overview/tiles", **says("tiles", "Status and health of every twin, a byte each"))
def tiles(request: Request, how: Annotated[TiledThen, Query()]) -> Response:
    _, view = seen(request, how.valid, how.known_at)
    return Answer(overview(view).tiles(how.asked()))


@router.get("/plant", **says("plant", "What there is: interfaces, commands, bindings, units"))
def plant(request: Request) -> Response:
    host = host_of(request)
    return Answer({**labels(host.plan), "speed": host.clock.speed})


def labels(plan: Plan) -> Record:
    """What a page labels its numbers with."""
    plant = plan.plant
    zones = {
        str(s.options["time_zone"]) for s in plant.sources.values() if "time_zone" in s.options
    }
    return {
        **described(plan),
        "twins": len(plant.twins),
        "currency": CURRENCY,
        "time_zone": "UTC",
        "time_zones": sorted(zones),
        "lateness": plant.lateness,
    }
