"""The data dictionary: every record that passes between stages, once.

Owns    names, columns, shapes and units of what flows (docs/contracts.md §2).
Never   computes anything.

Axes: A assets, S signals, X states, U inputs, Y outputs, N samples.
Instants are int64 ns UTC.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.labels import Labels

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]
Bools = NDArray[np.bool_]

GOOD, UNCERTAIN, BAD = 0, 1, 2
FATES = ("stored", "duplicate", "correction", "late", "rejected", "dead")
STORED, DUPLICATE, CORRECTION, LATE, REJECTED = range(5)
REASONS = (
    "",
    "unknown_twin",
    "unknown_signal",
    "unit",
    "not_a_number",
    "ahead_of_clock",
    "far_past",
    "late",
    "range",
    "rate",
    "stuck",
    "schema",
    "clock_skew",
    "inconsistent",
    "drift",
)  # why a sample is not stored and good


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples as they came, one row a sample.

    twin (N,) · signal (N,) · instant (N,) ns · value (N,) · unit (N,), "" = as declared
    wide: so many that follow one another are of one twin and instant, all through with the same
    signals and units; 1: who made it did not say so
    """

    twin: Labels
    signal: Labels
    instant: Instants
    value: Floats
    unit: Labels
    wide: int = 1

    def __len__(self) -> int:
        return len(self.instant)

    def part(self, where: Any) -> "Batch":
        """Some of its rows: a mask, numbers or a slice."""
        return Batch(
            self.twin[where],
            self.signal[where],
            self.instant[where],
            self.value[where],
            self.unit[where],
        )

    @staticmethod
    def of(rows: list[tuple[str, str, int, float, str]]) -> "Batch":
        """A batch from (twin, signal, instant, value, unit) rows."""
        columns: list[Any] = list(zip(*rows, strict=True)) if rows else [[], [], [], [], []]
        return Batch(
            Labels.of(columns[0]),
            Labels.of(columns[1]),
            np.array(columns[2], dtype=np.int64),
            np.array(columns[3], dtype=np.float64),
            Labels.of(columns[4]),
        )

    @staticmethod
    def joined(several: "list[Batch]") -> "Batch":
        """One after the other."""
        if len(several) < 2:
            return several[0] if several else Batch.of([])
        return Batch(
            Labels.joined([batch.twin for batch in several]),
            Labels.joined([batch.signal for batch in several]),
            np.concatenate([batch.instant for batch in several]),
            np.concatenate([batch.value for batch in several]),
            Labels.joined([batch.unit for batch in several]),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One durable fact in the journal. `sequence` is 0 until the journal has given it one."""

    kind: str
    source: str
    received_at: int
    position: str = ""
    batch: Batch | None = None
    body: dict[str, Any] = field(default_factory=dict)
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """A batch after the quality stage, in declared units.

    slot (N,) index into the plan's slots, −1 unknown · quality (N,) 0 good, 1 uncertain, 2 bad
    reason (N,) which of REASONS · fate (N,) which of FATES
    """

    source: str
    received_at: int
    twin: Labels
    signal: Labels
    instant: Instants
    value: Floats
    slot: NDArray[np.int64]
    quality: NDArray[np.int8]
    reason: NDArray[np.int8]
    fate: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Frame:
    """One instant of one fleet: value (A,S), mask (A,S), age (A,S) s; inputs first, then sensors.

    A masked cell holds 0, never NaN.
    """

    binding: str
    instant: int
    value: Floats
    mask: Bools
    age: Floats


@dataclass(slots=True)
class Estimate:
    """Belief of one fleet about its states.

    instant (A,) ns · mean (A,X) · cov (A,X,X) · foreseen (A,Y) sensor reading before correction
    innovation (A,Y) measured − foreseen · innovation_var (A,Y) · mask (A,Y) what was measured
    nis (A,) normalised innovation squared
    """

    instant: Instants
    mean: Floats
    cov: Floats
    foreseen: Floats
    innovation: Floats
    innovation_var: Floats
    mask: Bools
    nis: Floats


@dataclass(slots=True)
class Finding:
    """Something worth a person's attention, with its evidence."""

    id: str
    kind: str
    twin: str
    binding: str
    subject: str
    instant: int
    severity: str
    statistic: float
    threshold: float
    text: str
    evidence: dict[str, Any]
    status: str = "open"
    closed_at: int = 0

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Rul:
    """Time to the first crossing of a limit, s, under a named scenario; censored at the horizon.

    quantiles {"0.05": s, "0.5": s, "0.95": s}, null where that share was not reached
    reached: share of paths that crossed before the horizon
    """

    mode: str
    quantiles: dict[str, float | None]
    reached: float
    horizon: float
    scenario: str

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Proposal:
    """A command worth considering, the findings it answers, what it is foreseen to do."""

    id: str
    policy: str
    twin: str
    binding: str
    command: str
    argument: float
    answers: list[str]
    foreseen: dict[str, Any]
    cost: dict[str, Any]
    alternatives: list[dict[str, Any]]
    created_at: int
    expires_at: int
    status: str = "open"
    by: str = ""
    why: str = ""
    decided_at: int = 0

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Invocation:
    """One approved command for one asset; `confirmed` is given by telemetry alone."""

    id: str
    proposal: str
    twin: str
    target: str
    command: str
    argument: float
    status: str
    created_at: int
    expires_at: int
    confirm_by: int
    by: str
    why: str
    sent_at: int = 0
    done_at: int = 0
    detail: str = ""
    shown: dict[str, Any] | None = None  # the reading that confirmed it: twin signal value instant

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """The commit point of one tick (docs/contracts.md §4)."""

    shard: int
    tick: int
    epoch: int
    at: int
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
