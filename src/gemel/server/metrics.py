"""What Prometheus reads: the books, the lag, the tick, the twins, in its text format 0.0.4.

Owns    the names of the metrics and their meaning (docs/telemetry.md).
Never   changes a name: dashboards and alarms hang on them. Never takes a lock for long: it tells
        the latest picture.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import process_time

from fastapi import APIRouter, Request, Response

from gemel.flow.host import Host
from gemel.flow.overview import STATUSES, Asked, overview
from gemel.flow.timing import BOUNDS, Timing
from gemel.flow.view import View
from gemel.records import FATES
from gemel.server.asked import told_by

router = APIRouter()
TEXT = "text/plain; version=0.0.4; charset=utf-8"
PROC = Path("/proc/self")

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Family:
    """One metric: name, kind (counter, gauge, histogram), help, and (suffix, labels, value)."""

    name: str
    kind: str
    about: str
    rows: list[tuple[str, Labels, float]]

    def lines(self) -> Iterable[str]:
        yield f"# HELP {self.name} {_escaped(self.about, quote=False)}"
        yield f"# TYPE {self.name} {self.kind}"
        for suffix, labels, value in self.rows:
            told = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels.items())
            yield f"{self.name}{suffix}{f'{{{told}}}' if told else ''} {_number(value)}"


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    host, view = told_by(request)
    families = [*_telemetry(view), *_plant(host, view), *_work(host, view), *_process()]
    text = "\n".join(line for family in families if family.rows for line in family.lines())
    return Response(text + "\n", media_type=TEXT)


def _telemetry(view: View) -> list[Family]:
    books, sources = view.books, view.sources
    return [
        Family(
            "gemel_samples_total",
            "counter",
            "Samples by what became of them; over all fates they sum to those received.",
            [
                ("", {"source": source, "fate": fate}, book[fate])
                for source, book in books.items()
                for fate in FATES
            ],
        ),
        _by_source(
            "gemel_received_samples_total",
            "counter",
            "Samples received.",
            {source: book["received"] for source, book in books.items()},
        ),
        Family(
            "gemel_doubted_samples_total",
            "counter",
            "Samples that are not stored and good, by reason.",
            [
                ("", {"source": told["source"], "reason": reason}, count)
                for told in sources
                for reason, count in told["reasons"].items()
            ],
        ),
        _by_source(
            "gemel_lag_seconds",
            "gauge",
            "The plant's clock less the samples' instants: the median over the last entries.",
            {told["source"]: told["lag"] for told in sources},
        ),
        _by_source(
            "gemel_quality_score",
            "gauge",
            "The share of good samples over the last day, 0 to 1.",
            {told["source"]: told["score"] for told in sources if told["score"] is not None},
        ),
        _one(
            "gemel_silent_signals",
            "gauge",
            "Signals with a declared period that are silent.",
            int((view.trust.since > 0).sum()),
        ),
    ]


def _plant(host: Host, view: View) -> list[Family]:
    counts = overview(view).counts(Asked())
    return [
        Family(
            "gemel_twins",
            "gauge",
            "Twins by state.",
            [("", {"state": state}, counts[state]) for state in STATUSES],
        ),
        _one("gemel_open_findings", "gauge", "Findings open.", view.status["open_findings"]),
        _one("gemel_open_proposals", "gauge", "Proposals open.", view.status["open_proposals"]),
        _one(
            "gemel_unfinished_invocations",
            "gauge",
            "Commands sent and not yet confirmed or failed.",
            view.status["unfinished_invocations"],
        ),
        _one(
            "gemel_clock_seconds",
            "gauge",
            "The plant's clock, seconds since 1970.",
            host.clock.now() / 1e9,
        ),
        _one("gemel_running", "gauge", "1 while the loop turns, 0 after.", int(host.running)),
    ]


def _work(host: Host, view: View) -> list[Family]:
    behind = host.journal.last() - int(view.status["journal_sequence"])
    took = Timing() if host.loop is None else host.loop.took
    rows: list[tuple[str, Labels, float]] = [
        ("_bucket", {"le": f"{bound:g}"}, number)
        for bound, number in zip(BOUNDS, took.upto(), strict=True)
    ]
    rows += [("_bucket", {"le": "+Inf"}, took.count), ("_sum", {}, took.sum)]
    return [
        _one(
            "gemel_journal_behind",
            "gauge",
            "Journal entries that no tick has taken in yet.",
            max(behind, 0),
        ),
        _one(
            "gemel_journal_away",
            "gauge",
            "1 while what keeps the journal cannot be reached, and nothing is acknowledged.",
            int(bool(host.journal.away)),
        ),
        _one("gemel_ticks_total", "counter", "Ticks committed, of all time.", view.tick),
        Family(
            "gemel_tick_seconds",
            "histogram",
            "From taking entries to the commit of their tick, since the start.",
            [*rows, ("_count", {}, took.count)],
        ),
        _one(
            "gemel_lake_behind_ticks",
            "gauge",
            "Ticks whose telemetry is not in history yet.",
            max(view.tick - host.lake.known("telemetry"), 0),
        ),
    ]


def _process() -> list[Family]:
    """By the names that every client library uses; what this system does not tell is left out."""
    told = [_one("process_cpu_seconds_total", "counter", "CPU time spent, s.", process_time())]
    try:
        pages = int((PROC / "statm").read_text().split()[1])
        started = float((PROC / "stat").read_text().rpartition(")")[2].split()[19])
        booted = next(
            float(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime ")
        )
        files = len(os.listdir(PROC / "fd"))
    except (OSError, ValueError, IndexError, StopIteration):
        return told
    resident, start = pages * os.sysconf("SC_PAGE_SIZE"), started / os.sysconf("SC_CLK_TCK")
    return [
        *told,
        _one("process_resident_memory_bytes", "gauge", "Memory held, bytes.", resident),
        _one("process_start_time_seconds", "gauge", "Start, seconds since 1970.", booted + start),
        _one("process_open_fds", "gauge", "Files and sockets open.", files),
    ]


def _one(name: str, kind: str, about: str, value: float) -> Family:
    return Family(name, kind, about, [("", {}, value)])


def _by_source(name: str, kind: str, about: str, values: Mapping[str, float]) -> Family:
    return Family(name, kind, about, [("", {"source": s}, v) for s, v in values.items()])


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escaped(text: str, *, quote: bool = True) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text
