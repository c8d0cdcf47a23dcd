"""Runs figures and holds them against their bars.

Owns    the registry of figures, the comparison with `bars.toml`, the table, `build/*.jsonl` and
        `docs/figures.md`.
Never   measures anything: that is what `benchmarks/<area>.py` is for.

    @figure("wind.rotor_rmse", unit="degC", kind="proof")
    def rotor_rmse() -> float: ...

    @figure("wind.table", unit={"wind.rotor_rmse": "degC", "wind.ratio": "1"}, kind="proof")
    def table() -> dict[str, float]: ...      # one expensive run that gives several figures
"""

import importlib
import json
import math
import os
import platform
import re
import sys
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

HERE = Path(__file__).parent
ROOT = HERE.parent
BARS = HERE / "bars.toml"
KINDS = {"bench": "Speed and size", "proof": "Accuracy and robustness"}

Measured = float | int | Mapping[str, float | int]


@dataclass(frozen=True)
class Figure:
    """A function that measures: its name, what it gives (name → unit), and its kind."""

    name: str
    units: dict[str, str]
    kind: str
    measure: Callable[[], Measured]

    def is_asked_for(self, patterns: list[str]) -> bool:
        names = {self.name, *self.units}
        return not patterns or any(
            fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")
            for name in names
            for pattern in patterns
        )


@dataclass(frozen=True)
class Row:
    """One figure as it is kept. `figure` is None when the measuring itself failed."""

    name: str
    figure: float | None
    unit: str
    bar: str
    holds: bool | None
    versus: str
    date: str
    machine: str


REGISTRY: dict[str, Figure] = {}


def figure(
    name: str, *, unit: str | dict[str, str], kind: str
) -> Callable[[Callable[[], Measured]], Callable[[], Measured]]:
    """Register a function as the figure `area.figure`.

    With a dict of units, name → unit, the function returns a dict of those figures.
    """
    if not re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_.]+", name) or kind not in KINDS:
        raise ValueError(f"{name!r} wants to read area.figure, and its kind one of {list(KINDS)}")

    def register(measure: Callable[[], Measured]) -> Callable[[], Measured]:
        if name in REGISTRY:
            raise ValueError(f"two figures are called {name!r}: rename one")
        units = dict(unit) if isinstance(unit, dict) else {name: unit}
        REGISTRY[name] = Figure(name, units, kind, measure)
        return measure

    return register


def discover() -> None:
    """Load every `benchmarks/<area>.py`; each registers its figures."""
    for path in sorted(HERE.glob("*.py")):
        if path.stem not in {"__init__", "__main__", "runner"}:
            importlib.import_module(f"benchmarks.{path.stem}")


def run(kind: str, patterns: list[str]) -> int:
    """Measure and keep. Returns 0 when every bar holds, 1 when one does not, 2 on a bad name."""
    console = Console(stderr=True)
    bars = tomllib.loads(BARS.read_text(encoding="utf-8"))
    budget = bars.pop("budget", {})
    discover()
    of_kind = [wanted for wanted in REGISTRY.values() if wanted.kind == kind]
    chosen = [wanted for wanted in of_kind if wanted.is_asked_for(patterns)]
    if patterns and not chosen:
        known = ", ".join(sorted(wanted.name for wanted in of_kind)) or "none yet"
        console.print(f"no {kind} figure is called {' '.join(patterns)}; there are: {known}")
        return 2

    rows: list[Row] = []
    spent: dict[str, float] = {}
    for wanted in chosen:
        with console.status(f"measuring {wanted.name}"):
            begin = time.perf_counter()
            rows += measure(wanted, bars, console)
        area = wanted.name.split(".")[0]
        spent[area] = spent.get(area, 0.0) + time.perf_counter() - begin

    Console(width=None if sys.stdout.isatty() else 140).print(as_table(KINDS[kind], rows))
    for area, seconds in spent.items():
        if area in budget and seconds > budget[area]:
            console.print(f"{area} took {seconds:.0f} s, over its budget of {budget[area]} s")
    unmeasured = set() if patterns else bars_without_figure(bars)
    for name in sorted(unmeasured):
        console.print(f"bars.toml has a bar for {name}, and no figure has that name")
    keep(kind, rows)
    return 1 if unmeasured or any(row.holds is False for row in rows) else 0


def measure(wanted: Figure, bars: dict[str, dict[str, Any]], console: Console) -> list[Row]:
    """The rows of one figure function. A failure is a row too: a bar that was not reached."""
    try:
        found = wanted.measure()
        values: dict[str, float | int | None]
        values = dict(found) if isinstance(found, Mapping) else {wanted.name: found}
        if set(values) != set(wanted.units):
            raise ValueError(
                f"{wanted.name} gives {sorted(values)} and declares {sorted(wanted.units)}: "
                "name them alike in unit={...}"
            )
    except Exception:
        console.print(escape(traceback.format_exc()))
        values = dict.fromkeys(wanted.units)
    rows = []
    date, on = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), machine()
    for name, unit in wanted.units.items():
        bar = bars.get(name, {})
        value = values[name]
        value = float(value) if value is not None and math.isfinite(value) else None
        text, holds, versus = written(bar), judged(value, bar), str(bar.get("versus", ""))
        rows.append(Row(name, value, unit, text, holds, versus, date, on))
    return rows


def judged(value: float | None, bar: Mapping[str, Any]) -> bool | None:
    """Whether the bar holds; None where there is none. What was not measured holds nothing.

    >>> judged(1.5, {"max": 2.0}), judged(1.5, {"min": 2.0}), judged(None, {"max": 2.0})
    (True, False, False)
    """
    if value is None:
        return False
    if not {"max", "min"} & set(bar):
        return None
    return float(bar.get("min", -math.inf)) <= value <= float(bar.get("max", math.inf))


def written(bar: Mapping[str, Any]) -> str:
    """The bar as people read it: `<= 2.0`."""
    return ", ".join(
        f"{sign} {bar[key]}" for key, sign in (("min", ">="), ("max", "<=")) if key in bar
    )


def bars_without_figure(bars: Mapping[str, Any]) -> set[str]:
    return set(bars) - {name for wanted in REGISTRY.values() for name in wanted.units}


def machine() -> str:
    """What the figure was taken on: processor, cores, memory, Python. Not whose machine it is."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    named = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    cpu = named[1].strip() if named else platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


# --- showing and keeping -------------------------------------------------------------------------

SAYS = {True: "yes", False: "NO", None: "no bar"}


def number(value: float | None) -> str:
    return "failed" if value is None else f"{value:.4g}"


def as_table(title: str, rows: list[Row]) -> Table:
    table = Table("name", "figure", "unit", "bar", "holds", "versus", title=title)
    for row in rows:
        style = "bold red" if row.holds is False else ""
        cells = (row.name, number(row.figure), row.unit, row.bar, SAYS[row.holds], row.versus)
        table.add_row(*(escape(cell) for cell in cells), style=style)
    return table


def keep(kind: str, rows: list[Row]) -> None:
    """Write the rows to `build/<kind>.jsonl` and `docs/figures.md`; other figures stay."""
    lines = ROOT / "build" / f"{kind}.jsonl"
    lines.parent.mkdir(exist_ok=True)
    declared = {name for wanted in REGISTRY.values() for name in wanted.units}
    kept = {row["name"]: row for row in _read_lines(lines) if row["name"] in declared}
    kept |= {row.name: asdict(row) for row in rows}
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept.values())
    lines.write_text(text, encoding="utf-8")

    page = ROOT / "docs" / "figures.md"
    page.parent.mkdir(exist_ok=True)
    shown = _read_page(page)
    shown[kind] |= {row.name: _cells(row) for row in rows}
    page.write_text(_page(shown), encoding="utf-8")


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _cells(row: Row) -> list[str]:
    cells = (number(row.figure), row.unit, row.bar, SAYS[row.holds], row.versus, row.date[:10])
    return [cell.replace("|", "/") for cell in (f"`{row.name}`", *cells, row.machine)]


def _read_page(page: Path) -> dict[str, dict[str, list[str]]]:
    """The rows that the page shows already: it is in the repository, `build/` is not."""
    shown: dict[str, dict[str, list[str]]] = {kind: {} for kind in KINDS}
    kind = ""
    for line in page.read_text(encoding="utf-8").splitlines() if page.exists() else []:
        if line.startswith("## "):
            kind = {title: kind for kind, title in KINDS.items()}.get(line[3:], "")
        elif kind and line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) == len(fields(Row)):
                shown[kind][cells[0].strip("`")] = cells
    return shown


def _page(shown: dict[str, dict[str, list[str]]]) -> str:
    declared = {name for wanted in REGISTRY.values() for name in wanted.units}
    parts = [
        "# Figures\n\nWritten by `make bench` and `make proof`; do not edit. The bars stand in "
        "`benchmarks/bars.toml`.\n"
    ]
    for kind, title in KINDS.items():
        names = sorted(name for name in shown[kind] if name in declared)
        if names:
            head = "| " + " | ".join(field.name for field in fields(Row)) + " |\n"
            rule = "|" + " --- |" * len(fields(Row)) + "\n"
            body = "".join("| " + " | ".join(shown[kind][name]) + " |\n" for name in names)
            parts.append(f"## {title}\n\n{head}{rule}{body}")
    return "\n".join(parts)
