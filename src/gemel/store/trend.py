"""One signal of one twin over a span: measured, expected, and what happened meanwhile.

Owns    gathering the parts of such a picture, and the arithmetic that pictures of it share.
Never   makes up a value: expected is what the twin foresaw before it was shown the reading.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtri

from gemel import notebook
from gemel.clock import SECOND, format_duration
from gemel.records import Floats, Instants
from gemel.store.declared import Declared
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger
from gemel.store.series import line, lttb
from gemel.store.wanted import Wanted
from gemel.units import convert

SHOWN = 1200  # points of a line in a picture
FACTS = 500_000  # samples of a span that are looked at one by one


@dataclass(frozen=True)
class Mark:
    """Something that happened: instant ns · kind (finding, maintenance, promotion, command)."""

    instant: int
    kind: str
    text: str


@dataclass(frozen=True)
class Trend:
    """One signal of one twin, start ≤ instant < end, ns UTC; every value in `unit`.

    instant, value (N,), quality (N,) 0 good 1 uncertain 2 bad, reason (N,): the samples
    at, mean, std (M,): foreseen readings, one frame ahead · every: s between frames, 0 not known
    level: of the band · limits: of the signal as the plant declares them · marks: by instant
    """

    twin: str
    signal: str
    unit: str
    start: int
    end: int
    instant: Instants
    value: Floats
    quality: NDArray[np.int8]
    reason: list[str]
    at: Instants
    mean: Floats
    std: Floats
    every: float = 0.0
    level: float = 0.9
    limits: list[float] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def half(self) -> Floats:
        """Half the width of the band (M,)."""
        return np.asarray(ndtri(0.5 + self.level / 2) * self.std)

    def residual(self) -> tuple[Instants, Floats, Floats]:
        """Measured less expected, where a frame has a good sample: instant, off, half the band."""
        good = self.quality == 0
        seen, value = self.instant[good], self.value[good]
        if not len(seen) or not len(self.at):
            return self.at[:0], self.mean[:0], self.std[:0]
        last = np.searchsorted(seen, self.at, side="right") - 1
        near = (last >= 0) & (self.at - seen[np.maximum(last, 0)] < self.every * SECOND)
        return self.at[near], value[last[near]] - self.mean[near], self.half[near]

    def spoiled(self) -> list[tuple[int, int, int, str]]:
        """Runs of samples that are not good: (first, last, worst quality, reason)."""
        runs: list[tuple[int, int, int, str]] = []
        edges = np.flatnonzero(np.diff(self.quality > 0, prepend=False, append=False))
        for begin, end in edges.reshape(-1, 2).tolist():
            reasons = ", ".join(dict.fromkeys(self.reason[begin:end]))
            worst = int(self.quality[begin:end].max())
            runs.append((int(self.instant[begin]), int(self.instant[end - 1]), worst, reasons))
        return runs

    def covered(self) -> tuple[int, int]:
        """How many of the residuals are inside the band, of how many."""
        _, off, half = self.residual()
        return int((np.abs(off) <= half).sum()), len(off)

    def __repr__(self) -> str:
        inside, count = self.covered()
        told = f"Trend {self.twin} {self.signal}: {len(self.value):,} samples"
        return told + (f", {inside / count:.0%} of {count:,} in the band" if count else "")

    def _repr_html_(self) -> str:
        thin = lttb(self.instant, self.value, SHOWN)
        few = lttb(self.at, self.mean, SHOWN)
        left_at, left, band = self.residual()
        some = lttb(left_at, left, SHOWN)
        mean, half = self.mean[few], self.half[few]
        chart = notebook.Chart(
            self.start,
            self.end,
            self.unit,
            self.instant[thin],
            self.value[thin],
            self.quality[thin] == 0,
            self.at[few],
            mean,
            mean - half,
            mean + half,
            left_at[some],
            left[some],
            band[some],
            [(first, last, worst == 2) for first, last, worst, _ in self.spoiled()],
            self.limits,
            [(mark.instant, number + 1) for number, mark in enumerate(self.marks)],
        )
        words = f"{self.twin} {self.signal}, measured and expected"
        return notebook.card(
            f"{self.twin} · {self.signal}",
            self._about(),
            notebook.svg(chart, words),
            *self._legend(),
        )

    def _about(self) -> str:
        span = f"{notebook.when(self.start)} to {notebook.when(self.end)} UTC"
        return f"{span}, {format_duration((self.end - self.start) / SECOND)}"

    def _legend(self) -> list[notebook.Cell]:
        inside, count = self.covered()
        keys = notebook.key("currentColor", f"measured, {len(self.value):,} samples")
        if count:
            share = f"{inside / count:.1%} of {count:,} readings inside"
            told = f"expected one frame ahead, and its {self.level:.0%} band: {share}"
            keys = notebook.Safe(keys + notebook.key(notebook.TWIN, told))
        lines: list[notebook.Cell] = [keys]
        for grade, kind, word in ((1, "warning", "uncertain"), (2, "failed", "bad")):
            where = np.flatnonzero(self.quality == grade).tolist()
            if where:
                reasons = ", ".join(dict.fromkeys(self.reason[k] for k in where))
                told = notebook.status(kind, f"{len(where):,} {word}, shaded: {reasons}")
                lines.append(notebook.line(told))
        lines += [
            f"{number + 1}  {notebook.when(mark.instant)}  {mark.kind}: {mark.text}"
            for number, mark in enumerate(self.marks)
        ]
        return [*lines, *(f"note: {note}" for note in self.notes)]


def measured(
    twin: str, signal: str, rows: pa.Table, start: int, end: int, level: float, **more: Any
) -> Trend:
    """The trend of samples alone: rows with instant, value, and maybe quality and reason."""
    rows = rows.sort_by("instant")
    count, names = len(rows), rows.column_names
    quality = rows["quality"].to_numpy() if "quality" in names else np.zeros(count, np.int8)
    reason = rows["reason"].to_pylist() if "reason" in names else [""] * count
    instant = rows["instant"].cast(pa.int64()).to_numpy()
    told: dict[str, Any] = {"unit": "", "at": instant[:0], "mean": np.zeros(0), "std": np.zeros(0)}
    told |= {"start": start, "end": end, "instant": instant, "value": rows["value"].to_numpy()}
    told |= {"quality": quality.astype(np.int8), "reason": reason, "level": level}
    return Trend(twin, signal, **(told | more))


def trend_of(
    lake: Lake,
    ledger: Ledger,
    declared: Declared,
    wanted: Wanted,
    level: float,
) -> Trend:
    """Of one twin and signal over a span of a plant's history."""
    (twin,), (signal,) = wanted.among["twin"] or (), wanted.among["signal"] or ()
    start, end, known = wanted.start or 0, wanted.end or 0, wanted.known
    told = declared.signal(twin, signal)
    more: dict[str, Any] = {"unit": told.get("unit", ""), "notes": lake.notes([twin], start)}
    more["limits"] = [told[side] for side in ("low", "high") if told.get(side) is not None]
    more["marks"] = _marks(lake, ledger, twin, start, end, known)
    foreseen = declared.foreseen(twin, signal)
    if foreseen is not None:
        binding, sensor, unit, every = foreseen
        name = f"{sensor}.foreseen"
        found = lake.estimates([twin], [name], start, end, known, [binding]).sort_by("instant")
        ends = np.array([0.0, 1.0])
        zero, one = convert(ends, unit, more["unit"]) if more["unit"] else ends
        more["at"], more["every"] = found["instant"].to_numpy(), every
        more["mean"] = found["mean"].to_numpy() * (one - zero) + zero
        more["std"] = found["std"].to_numpy() * abs(one - zero)
    if lake.reach("telemetry", FACTS, wanted.among, start, end, known) is None:
        rows = lake.telemetry([twin], [signal], start, end, known)
    else:
        rows = line(lake, wanted)
        more["notes"] = [*more["notes"], "so long a span is shown without the samples that are bad"]
    return measured(twin, signal, rows, start, end, level, **more)


def _marks(
    lake: Lake, ledger: Ledger, twin: str, start: int, end: int, known: int | None
) -> list[Mark]:
    """What happened to a twin in a span, by instant."""
    marks = [
        Mark(row["instant"], "finding", row["text"])
        for row in ledger.findings(None, twin, known, 1000)
    ]
    marks += [
        Mark(row["sent_at"], "command", f"{row['command']} {row['argument']:g}, {row['status']}")
        for row in ledger.invocations(None, twin, known, 1000)
    ]
    for kind in ("maintenance", "promotion"):
        for row in lake.events(kind, start, end, known).to_pylist():
            body = json.loads(row["body"])
            if body.get("twin") == twin:
                told = body.get("version", ", ".join(body.get("resets", [])))
                marks.append(Mark(row["instant"], kind, f"{told} by {body['by']}: {body['why']}"))
    inside = [mark for mark in marks if start <= mark.instant < end]
    return sorted(inside, key=lambda mark: (mark.instant, mark.kind, mark.text))
