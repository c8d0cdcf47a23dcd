"""What the routes of kernels answer, as schemas of the OpenAPI document.

Owns    the names and the types of these answers; instants are ISO 8601 in UTC.
Never   computes anything.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Share = Annotated[float | None, Field(ge=0, le=1)]


class _Form(BaseModel, extra="forbid"):
    """Nothing is told that is not declared."""


class KernelState(_Form):
    unit: str
    start: float
    start_std: float
    noise: float = Field(description="standard deviation per √s")
    precise: bool


class KernelInput(_Form):
    unit: str
    max_age: float = Field(description="s that a missing value is held")
    port: str


class KernelSensor(_Form):
    unit: str
    noise: float
    gate: float | None = Field(description="σ up to which it is believed; null: any")
    port: str


class FleetSpread(_Form):
    """One parameter over the fleet: 5 %, 50 %, 95 % of the assets; the median of their stds."""

    low: float
    median: float
    high: float
    std: float


class KernelParameter(_Form):
    unit: str
    typical: float = Field(description="centre of the fleet's prior")
    spread: float = Field(description="standard deviation of the prior; in log where scale is log")
    scale: Literal["linear", "log"]
    bounds: list[float | None]
    fleet: FleetSpread | None = None


class KernelSummary(_Form):
    binding: str
    identity: str
    rows: int
    name: str
    version: str
    about: str = Field(description="its docstring: equations, source")
    states: dict[str, KernelState]
    inputs: dict[str, KernelInput]
    parameters: dict[str, KernelParameter]
    sensors: dict[str, KernelSensor]


class Kernels(_Form):
    items: list[KernelSummary]
    next: None


class VersionCount(_Form):
    version: str
    assets: int


class KernelDetail(KernelSummary):
    interface: str
    every: float = Field(description="s between two frames")
    modes: list[str]
    begun: int
    in_step: int | None = Field(description="null: not known of then")
    versions: list[VersionCount]
    at: str | None
    tick: int


class ParameterOf(_Form):
    """One asset's own; std in log where the scale is log; off: from typical, in prior spreads."""

    value: float
    std: float
    off: float


class Believed(_Form):
    value: float
    std: float


class Comparison(_Form):
    """Champion against challenger, open loop, on the same held-out readings of one asset."""

    run: str
    twin: str
    promote: bool
    reason: str
    incumbent: str | None
    incumbent_rmse: float | None
    challenger_rmse: float | None
    incumbent_bias: float | None
    challenger_bias: float | None
    coverage: Share = Field(description="of the challenger's residuals within ± 1.645 of its own")
    count: int
    parameters: dict[str, Believed]
    samples: int
    not_identified: list[str] = Field(description="of these the history says next to nothing")


class Standing(_Form):
    """One version of an asset's line, with the values that it spoke with."""

    version: str
    since: str | None = Field(description="null: from the start")
    by: str
    why: str
    parameters: dict[str, ParameterOf]


class KernelAsset(_Form):
    twin: str
    version: str
    since: str | None = Field(description="null: from the start")
    by: str
    why: str
    below: list[str] = Field(description="versions that one can roll back to, the last is next")
    line: list[Standing] = Field(description="the versions that stand, the one that speaks first")
    begun: bool
    in_step: bool | None = Field(description="null: not known of then")
    stale: bool
    nis: float | None
    parameters: dict[str, ParameterOf]
    challenger: Comparison | None


class KernelAssets(_Form):
    items: list[KernelAsset]
    total: int
    at: str | None
    tick: int


class GoldCase(_Form):
    case: str
    passed: bool
    worst: float | None
    tolerance: float
    where: str


class RunAnswer(_Form):
    verdict: Literal["approved", "rejected"]
    by: str
    why: str


class KernelFit(_Form):
    """One run of `refit`: fitted from start to cut, proved from cut to end."""

    run: str
    status: Literal["running", "waiting", "done", "failed"]
    started_by: str
    created_at: str
    ended_at: str | None
    kernel: str | None
    start: str | None
    cut: str | None
    end: str | None
    assets: int
    judged: int
    better: int
    promoted: int
    unit: str | None = Field(description="of the errors; null where the sensors' units differ")
    incumbent_rmse: float | None = Field(description="median over the assets")
    challenger_rmse: float | None
    coverage: Share
    gold: list[GoldCase] | None
    verdict: RunAnswer | None
    failure: dict[str, str] | None


class KernelFitDetail(KernelFit):
    items: list[Comparison]
    total: int


class VersionChange(_Form):
    at: str
    twin: str
    action: Literal["promote", "roll_back"]
    version: str
    over: str
    by: str
    why: str


class KernelHistory(_Form):
    fits: list[KernelFit]
    changes: list[VersionChange]
    total: int = Field(description="changes in all")
    at: str | None
    tick: int


class Promoted(_Form):
    binding: str
    twin: str
    action: Literal["promote", "roll_back"]
    version: str
    over: str
    by: str
    why: str
    journal: int


class Coverage(_Form):
    """z = (measured − foreseen) / σ: share of |z| inside the band of each level, mean, std."""

    count: int
    inside: list[Share]
    inside_std: list[float | None]
    bias: float | None
    spread: float | None


class FleetCoverage(Coverage):
    off: float | None = Field(description="mean of measured − foreseen, in the sensor's unit")


class CoverageDrift(Coverage):
    start: str


class AssetCoverage(Coverage):
    twin: str
    version: str
    nis: float = Field(description="running now: 1 when the doubt is honest")


class SensorTrack(_Form):
    sensor: str
    unit: str
    fleet: FleetCoverage
    histogram: list[int] = Field(description="Φ(z) in equal parts: flat when the doubt is honest")
    drift: list[CoverageDrift]
    assets: list[AssetCoverage]


class GoldSet(_Form):
    source: str
    cases: list[GoldCase]


class KernelTrack(_Form):
    """Forecasts of one frame ahead against what was then measured, in history.

    judged: of how many assets; where a fleet is large, of some that lie evenly among them. start
    may be later than asked for: then the window would have held too much.
    """

    binding: str
    start: str
    end: str
    assets: int
    judged: int
    levels: list[float]
    sensors: list[SensorTrack]
    gold: GoldSet | None
    at: str | None
    tick: int
