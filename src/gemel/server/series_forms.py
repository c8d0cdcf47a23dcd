"""What the routes of charts answer, as schemas of the OpenAPI document.

Owns    the names and the types of these answers; instants are ISO 8601 in UTC, `times` are ms.
Never   computes anything.
"""

from typing import Literal

from pydantic import Field

from gemel.server.forms import Form, Instant, Now, OverviewRow


class SeriesSpan(Form):
    """Samples that were not good, or none at all."""

    start: int = Field(description="ms since 1970, UTC")
    end: int
    kind: Literal["uncertain", "bad", "gap"]
    reason: str
    samples: int


class SeriesLine(Form):
    """One line: a point has a time, a value and, of what is believed, a standard deviation."""

    name: str
    kind: Literal["telemetry", "belief", "residual"]
    twin: str
    binding: str
    subject: str
    unit: str
    count: int = Field(description="points in the window before it was thinned")
    thinned: bool
    width: float | None = Field(description="s that a point stands for; null: an instant")
    times: list[int] = Field(description="ms since 1970, UTC")
    values: list[float | None]
    stds: list[float | None] | None
    low: list[float | None] | None = Field(description="least within `width`")
    high: list[float | None] | None
    spans: list[SeriesSpan]


class SeriesLines(Now):
    items: list[SeriesLine]
    notes: list[str] = Field(description="what was dropped or erased of what was asked for")
    start: Instant
    end: Instant


class LifeEvent(Form):
    start: Instant
    end: Instant
    kind: Literal["finding", "command", "repair", "promotion"]
    id: str
    title: str
    detail: str
    by: str
    why: str
    status: str
    binding: str
    severity: str


class Life(Now):
    items: list[LifeEvent]


class Neighbour(Form):
    relation: str
    row: OverviewRow


class Side(Form):
    total: int
    items: list[Neighbour]


class Neighbours(Now):
    """It links to its parents; its children link to it; its siblings link to the same."""

    parents: Side
    children: Side
    siblings: Side
