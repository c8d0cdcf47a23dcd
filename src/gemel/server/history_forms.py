"""What the routes of history, evidence and intake answer, as schemas of the OpenAPI document.

Owns    the names and the types of these answers.
Never   computes anything.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field

from gemel.server.forms import (
    Finding,
    FleetRow,
    Form,
    Instant,
    Invocation,
    NewestSample,
    Now,
    Page,
    Proposal,
    Run,
    Sample,
)


class Fact(Form):
    """One sample as history has it."""

    twin: str
    signal: str
    instant: str
    value: float | None
    quality: Literal[0, 1, 2] = Field(description="0 good, 1 uncertain, 2 bad")
    reason: str
    fate: Literal["stored", "correction", "late"]
    source: str
    received_at: Instant
    tick: int


class Facts(Page):
    items: list[Fact]


class EstimateFact(Form):
    """One number that was believed: of a state, `SENSOR.foreseen`, or `health.MODE`."""

    twin: str
    binding: str
    name: str
    instant: str
    mean: float | None
    std: float | None
    known_at: Instant
    tick: int


class Estimates(Page):
    items: list[EstimateFact]


class Noted(Page):
    notes: list[str] = Field(description="what was dropped or erased of what was asked for")


class Point(Form):
    twin: str
    signal: str
    instant: str
    value: float | None


class Lines(Noted):
    """In order of twin, signal and instant."""

    items: list[Point]


class Newests(Page):
    items: list[NewestSample]


class Sum(Form):
    twin: str | None = None
    signal: str
    instant: str = Field(description="where the span begins")
    count: int
    min: float | None
    max: float | None
    mean: float | None


class Sums(Noted):
    items: list[Sum]


class Joined(BaseModel, extra="allow"):
    """One instant of a twin: a column a signal, null where there is none."""

    twin: str
    instant: str
    __pydantic_extra__: dict[str, float | None]


class JoinedRows(Noted):
    items: list[Joined]


class Erased(Form):
    twin: str
    before: Instant
    by: str
    why: str


class ErasedEntries(Form):
    samples: int
    entries: int
    letters: int = Field(description="dead letters that named the twin")
    how: str


class Receipt(Erased):
    tick: int
    journal: ErasedEntries
    ledger: dict[str, int]
    snapshots: dict[str, int]


class Erasure(Erased):
    at: Instant
    instant: Instant = None
    tick: int
    done: bool
    receipt: Receipt | None


class Erasures(Page):
    items: list[Erasure]


class ErasureTaken(Erased):
    journal: int


class LakeEvent(Form):
    name: str
    body: str = Field(description="JSON")
    instant: Instant
    tick: int


class Evidence(FleetRow):
    equation: str
    ports: dict[str, str]


class Why(Now):
    """Every number of one twin, back to where it came from."""

    twin: str
    samples: dict[str, Sample]
    fleets: dict[str, Evidence]
    promotions: list[LakeEvent]
    maintenance: list[LakeEvent]
    findings: list[Finding]
    proposals: list[Proposal]
    invocations: list[Invocation]
    validation: list[Run]


class LedgerRow(Form):
    shard: int
    tick: int
    epoch: int
    at: Instant
    positions: dict[str, str]
    journal_from: int
    journal_to: int
    books: dict[str, dict[str, int]]
    findings: list[dict[str, Any]]
    proposals: list[dict[str, Any]]
    invocations: list[dict[str, Any]]
    outbox: list[str]
    rejects: list[dict[str, Any]]
    digest: str
    versions: dict[str, str]


class LedgerRows(Now):
    items: list[LedgerRow]
    next: int | None


class DeadLetter(Form):
    """What was refused (`rejected`, a sample) or could not be read (`dead`, a message)."""

    source: str
    fate: Literal["dead", "rejected"]
    code: str
    at: Instant
    sequence: int
    twin: str | None = None
    signal: str | None = None
    instant: Instant = None
    value: str | None = None
    message: str | None = None
    where: str | None = None
    mend: str | None = None
    explain: str | None = None
    size: int | None = None
    sha256: str | None = None
    head: str | None = None
    samples: int | None = None


class DeadLetters(Page):
    items: list[DeadLetter]


class Refused(Form):
    twin: str
    signal: str
    instant: Instant
    code: str
    message: str
    mend: str


class Taken(Form):
    """What came of a message of telemetry."""

    received: int
    accepted: int
    rejected: list[Refused]
    dead: list[dict[str, Any]]
    repeated: int | None = Field(None, description="samples that were taken in before")


class EventTaken(Form):
    name: str
    instant: Instant
    journal: int


class Redriven(Form):
    """Samples of each source that were taken in once more."""

    late: dict[str, int]
    rejected: dict[str, int]


class SourceHeard(Form):
    """Of each part of the span: samples by quality, and how long they took to come."""

    source: str
    good: list[int]
    uncertain: list[int]
    bad: list[int]
    lag: list[float | None] = Field(description="s from instant to received_at, the mean")
    reasons: dict[str, int] = Field(description="of those that are not good")


class Heard(Now):
    items: list[SourceHeard]
    start: str
    end: str
    every: float = Field(description="s, of each part")
    until: str = Field(description="what is written to history by now: later parts are not whole")
