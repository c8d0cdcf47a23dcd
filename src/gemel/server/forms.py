"""What the routes answer, as schemas of the OpenAPI document: the plant's state, insight, control.

Owns    the names and the types of these answers; instants are ISO 8601 in UTC, durations seconds.
Never   computes anything, and no answer waits for a check against it: the tests do that.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

Instant = Annotated[str | None, Field(description="ISO 8601, UTC; null: it has not been")]
Share = Annotated[float | None, Field(ge=0, le=1)]
Status = Literal["failed", "warning", "out_of_step", "silent", "ok"]
Quality = Literal["good", "uncertain", "bad"]
ProposalStatus = Literal["open", "approved", "rejected", "expired"]
InvocationStatus = Literal["sending", "acknowledged", "confirmed", "failed", "unknown"]


class Form(BaseModel, extra="forbid"):
    """Nothing is told that is not declared."""


class Problem(Form):
    """What every error is told as."""

    code: str
    message: str
    where: str
    mend: str
    explain: str


class Now(Form):
    """Of which picture it is."""

    at: Instant
    tick: int


class Page(Now):
    """One page of a list."""

    next: str | None = Field(description="ask again with after=next; null at the end")


class Health(Form):
    ok: Literal[True]


# ---- one twin ---------------------------------------------------------------------------------


class Sample(Form):
    value: float
    unit: str
    instant: Instant
    quality: Quality
    reason: str = Field(description="of the newest sample; empty: it is good")


class Rul(Form):
    """Time to a limit, s: quantiles, null where that share of the paths did not reach it."""

    mode: str
    quantiles: dict[str, float | None] = Field(description='"0.05", "0.5", "0.95"')
    reached: float = Field(description="share of the paths that reached it before the horizon")
    horizon: float
    scenario: str


class InputNow(Form):
    value: float | None
    unit: str


class StateNow(Form):
    mean: float
    std: float
    unit: str


class SensorNow(Form):
    measured: float | None
    foreseen: float
    std: float
    unit: str


class HealthNow(Form):
    index: float = Field(description="1 as new, 0 at the limit")
    std: float


class ParameterNow(Form):
    value: float
    std: float = Field(description="in log where the scale is log")
    scale: Literal["linear", "log"]
    unit: str


class FleetRow(Form):
    """What one kernel believes of one twin."""

    kernel: str
    version: str = Field(description="the fit that speaks")
    instant: Instant
    in_step: bool | None = Field(description="null: not known of then")
    stale: bool
    nis: float | None = Field(description="running: 1 when the doubt is honest")
    inputs: dict[str, InputNow]
    states: dict[str, StateNow]
    sensors: dict[str, SensorNow]
    health: dict[str, HealthNow]
    rul: list[Rul]
    parameters: dict[str, ParameterNow]


class Silent(Form):
    signal: str
    start: Instant


class TwinQuality(Form):
    score: Share = Field(description="of the samples due over the last day the share that was good")
    silent: list[Silent]


class TwinPicture(Form):
    id: str
    interface: str
    properties: dict[str, Any]
    links: dict[str, str]
    latest: dict[str, Sample]
    fleets: dict[str, FleetRow]
    findings: list[str]
    quality: TwinQuality
    worst: float = Field(description="the least health index; 1 where there is none")


class Twin(TwinPicture, Now):
    """One twin, whole."""


class Twins(Page):
    items: list[TwinPicture]


# ---- the fleet --------------------------------------------------------------------------------


class Worst(HealthNow):
    binding: str
    mode: str


class ValueNow(Form):
    value: float
    unit: str
    quality: Quality


class OverviewRow(Form):
    id: str
    interface: str
    status: Status
    worst: Worst | None
    rul: Rul | None = Field(description="the limit that comes first")
    in_step: bool | None
    stale: bool
    age: float | None = Field(description="s since its newest sample")
    findings: int
    quality: Share
    values: dict[str, ValueNow] = Field(description="of its first three signals")


class Counts(Form):
    """Of interface and text, whatever status is asked for."""

    all: int
    failed: int
    warning: int
    out_of_step: int
    silent: int
    ok: int


class Overview(Now):
    total: int
    counts: Counts
    items: list[OverviewRow]


class Tiles(Now):
    """Every twin in the order asked for, a byte each, in base64."""

    ids_hash: str = Field(description="changes when the order does")
    n: int
    status: str = Field(description="0 failed, 1 warning, 2 out_of_step, 3 silent, 4 ok")
    worst: str = Field(description="the least health index × 250; 255: none")


class SignalLabel(Form):
    unit: str
    low: float | None
    high: float | None
    rate: float | None = Field(description="per second")
    stuck: float | None
    every: float | None
    gap: float | None
    drift: float | None = Field(description="per day")


class CommandLabel(Form):
    unit: str
    low: float
    high: float
    at: str = Field(description="the link to the asset that receives it; empty: the twin itself")
    input: str
    confirmed_by: str
    within: float


class InterfaceLabel(Form):
    interface: str
    id: str
    twins: int
    signals: dict[str, SignalLabel]
    properties: dict[str, dict[str, Any]]
    relationships: dict[str, str]
    commands: dict[str, CommandLabel]


class BindingLabel(Form):
    binding: str
    kernel: str
    interface: str
    every: float
    horizon: float
    rows: int
    ports: dict[str, str] = Field(description="port → path of telemetry or property from the twin")
    states: dict[str, str] = Field(description="→ unit")
    inputs: dict[str, str]
    sensors: dict[str, str]


class Plant(Form):
    plant: str
    twins: int
    currency: str
    time_zone: Literal["UTC"] = Field(description="of every instant that is told")
    time_zones: list[str] = Field(description="those that sources declare")
    lateness: float
    speed: float | None = Field(description="plant seconds a second; null: as fast as it can")
    interfaces: list[InterfaceLabel]
    bindings: list[BindingLabel]


class Fleet(Form):
    binding: str
    kernel: str
    rows: int
    begun: int
    in_step: int
    every: float


class Fleets(Page):
    items: list[Fleet]


# ---- insight and control ----------------------------------------------------------------------


class Finding(Form):
    id: str
    kind: Literal["anomaly", "limit_foreseen", "limit_reached", "unconfirmed"]
    twin: str
    binding: str
    subject: str
    instant: Instant
    severity: Literal["warning", "critical"]
    statistic: float | None
    threshold: float | None
    text: str
    evidence: dict[str, Any]
    status: Literal["open", "closed"]
    closed_at: Instant


class Findings(Page):
    items: list[Finding]


class Fan(Form):
    """The health index of every limit from now to the horizon: the spread of the paths."""

    every: float = Field(description="s from point to point")
    health: dict[str, dict[str, list[float]]] = Field(description="mode → quantile → index")


class Trial(Form):
    """One plan tried on copies of the twin; without a command: nothing is done."""

    command: str
    argument: float | None
    chance: float = Field(description="of a limit before the deadline")
    rul: list[Rul]
    fan: Fan | None = Field(None, description="left out in a list")


class Alternative(Trial):
    cost: float | None
    saving: float | None


class Saving(Form):
    """Mean over the paths with its 90 % interval; null where there is no price."""

    currency: str
    mean: float | None
    low: float | None
    high: float | None
    cost: float | None
    loss_if_failed: float | None
    price: float | None


class Foreseen(Form):
    at: Instant = Field(None, description="when it was tried")
    deadline: Instant
    target: str
    without: Trial
    with_: Trial = Field(alias="with")
    saving: Saving


class Cost(Form):
    currency: str
    mean: float | None


class Proposal(Form):
    id: str
    policy: str
    twin: str
    binding: str
    command: str
    argument: float
    answers: list[str] = Field(description="the findings that it answers")
    foreseen: Foreseen
    cost: Cost
    alternatives: list[Alternative]
    created_at: Instant
    expires_at: Instant
    status: ProposalStatus
    by: str
    why: str
    decided_at: Instant


class Proposals(Page):
    items: list[Proposal]


class Shown(Form):
    twin: str
    signal: str
    value: float
    unit: str
    instant: Instant


class Invocation(Form):
    id: str
    proposal: str
    twin: str
    target: str
    command: str
    argument: float
    status: InvocationStatus
    created_at: Instant
    expires_at: Instant
    confirm_by: Instant
    by: str
    why: str
    sent_at: Instant
    done_at: Instant
    detail: str
    shown: Shown | None = Field(None, description="the reading that confirmed it")


class Invocations(Page):
    items: list[Invocation]


class Verdict(Form):
    proposal: Proposal
    invocation: Invocation | None


class ValueSum(Form):
    mean: float
    low: float
    high: float
    proposals: int
    without_a_price: int


class Saved(Form):
    proposal: str
    twin: str
    mean: float | None
    low: float | None
    high: float | None


class ValueLine(Form):
    """Saved: their command was confirmed. At stake: still open."""

    currency: str
    saved: ValueSum
    at_stake: ValueSum
    by_proposal: list[Saved]


class Value(ValueLine, Now):
    """The value line, and of when."""


class Maintained(Form):
    twin: str
    resets: list[str]
    by: str
    why: str
    binding: str | None = None
    journal: int


# ---- the plant's status, its books, its inbox -------------------------------------------------


class Book(Form):
    received: int
    stored: int
    duplicate: int
    correction: int
    late: int
    rejected: int
    dead: int


class SourceQuality(Form):
    source: str
    score: Share
    lag: float | None = Field(description="s by which its clock is behind the plant's")
    reasons: dict[str, int]


class Source(SourceQuality, Book):
    kind: str
    balanced: bool


class Sources(Page):
    items: list[Source]


class QualityRow(TwinQuality):
    twin: str


class Qualities(Page):
    items: list[QualityRow]
    sources: list[SourceQuality]


class Brief(Now):
    """What the head of a page shows."""

    plant: str
    open_findings: int
    open_proposals: int
    unfinished_invocations: int
    journal_sequence: int
    journal_behind: int = Field(description="entries that no tick has taken in yet")
    now: str = Field(description="the plant's clock")
    speed: float | None
    running: bool
    failure: Problem | None
    counts: Counts
    value: ValueLine


class JournalState(Form):
    where: str
    first: int = Field(description="the oldest entry that is still there")
    last: int
    away: str = Field(description="why it cannot be reached now; empty: it can")
    fenced: int = Field(description="entries of former writers, which did not enter")


class PlantStatus(Now):
    plant: str
    open_findings: int
    open_proposals: int
    unfinished_invocations: int
    journal_sequence: int
    journal_behind: int
    journal: JournalState
    now: str
    speed: float | None
    running: bool
    failure: Problem | None
    epoch: int
    lake_tick: int
    upkeep: Problem | None
    counts: Counts
    fleets: list[Fleet]
    books: dict[str, Book]
    sources: list[SourceQuality]


class Run(Form):
    id: str
    definition: str
    options: dict[str, Any]
    started_by: str
    status: Literal["running", "waiting", "done", "failed"]
    created_at: Instant
    ended_at: Instant
    versions: dict[str, str]
    waits_for: str
    result: dict[str, Any]


class Runs(Page):
    items: list[Run]


class RunDetail(Run):
    steps: dict[str, dict[str, Any]]


class Inbox(Now):
    """What waits for a person or for an asset."""

    proposals: list[Proposal]
    invocations: list[Invocation]
    runs: list[Run]


class NewestSample(Sample):
    twin: str
    signal: str


class Newest(Now):
    items: list[NewestSample]


class LiveProblem(Problem):
    section: str


class Live(Form):
    """event → its data: each section that was asked for."""

    status: Brief
    overview: Overview
    twin: Twin
    inbox: Inbox
    sources: Sources
    latest: Newest
    problem: LiveProblem
