"""Limits for the quality stage, proposed from history: lines to paste, each below its evidence.

Owns    where the history comes from (a CSV, a data directory), and how the proposal is told.
Never   writes a plant file: what is declared is a person's to say.
"""

from pathlib import Path
from typing import Any

import polars as pl

from gemel.clock import format_duration, format_instant
from gemel.errors import Invalid, NotFound
from gemel.flow.fleet import Plan
from gemel.intake.limits import QUANTILES, Limits
from gemel.starter.learn import limits_of
from gemel.starter.pages import limits_line
from gemel.starter.sheet import read, tidy
from gemel.store.lake import Lake

MOST = 2_000_000  # samples of a data directory, the newest


def propose(
    path: Path, plan: Plan | None = None, *, signals: list[str] | None = None, zone: str = "UTC"
) -> dict[str, Any]:
    """Limits for the signals of a CSV file or of a data directory's history.

    With a plan, signals are told by interface, in its units. Raises Invalid `quality.no_history`.
    """
    groups = _history(path, plan, signals) if path.is_dir() else _file(path, signals, zone)
    if not groups:
        raise Invalid(
            "quality.no_history",
            "there is no sample to propose limits from",
            where=str(path),
            mend="name a CSV, or a data directory with history; --signal NAME takes its signals",
        )
    told = [
        {
            "interface": interface,
            "signal": name,
            "twins": table["twin"].n_unique(),
            "from": format_instant(int(table["time"].to_physical().to_numpy().min())),
            "to": format_instant(int(table["time"].to_physical().to_numpy().max())),
            **_told(name, unit, limits_of(table, name, unit)),
        }
        for interface, name, unit, table in groups
    ]
    return {"source": str(path), "signals": told}


Group = tuple[str, str, str, pl.DataFrame]  # interface, signal, unit, its samples


def _file(path: Path, wanted: list[str] | None, zone: str) -> list[Group]:
    cells, line = read(path)
    table, signals, _ = tidy(cells, line, path, zone, [])
    return [
        ("Asset", s.name, s.unit, table.select("twin", "time", s.name).drop_nulls())
        for s in signals
        if not wanted or s.name in wanted
    ]


def _history(path: Path, plan: Plan | None, wanted: list[str] | None) -> list[Group]:
    if not (path / "lake").is_dir():
        raise NotFound(
            "data.not_found",
            f"there is no history in {path}",
            mend="name the data directory of a plant that ran, NAME.gemel",
        )
    lake, among = Lake(path / "lake"), {"signal": wanted or None}
    start = lake.reach("telemetry", MOST, among, newest=True)
    found = pl.DataFrame(pl.from_arrow(lake.telemetry(signals=wanted or None, start=start)))
    found = found.with_columns(pl.col("instant").cast(pl.Datetime("ns", "UTC")).alias("time"))
    interface = {} if plan is None else {t.id: t.interface for t in plan.plant.twins.values()}
    kind = pl.col("twin").cast(pl.String).replace_strict(interface, default="Asset")
    found = found.with_columns(kind.alias("interface"), pl.col("signal").cast(pl.String))
    groups = []
    for key, part in sorted(found.group_by("interface", "signal"), key=lambda pair: str(pair[0])):
        of, name = str(key[0]), str(key[1])
        declared = None if plan is None else plan.plant.interfaces.get(of)
        unit = declared.telemetry[name].unit if declared and name in declared.telemetry else "1"
        groups.append((of, name, unit, part.select("twin", "time", pl.col("value").alias(name))))
    return groups


def _told(name: str, unit: str, said: Limits) -> dict[str, Any]:
    shares = [f"{q:.1%}" for q in QUANTILES]
    return {
        "line": limits_line(name, unit, said),
        "samples": said.samples,
        "quantiles": dict(zip(shares, said.quantiles, strict=True)),
        "outside": said.outside,
        "change_usual": said.usual,
        "change_honest": said.honest,
        "spikes": said.spikes,
        "unchanged": said.run,
        "every": said.every,
    }


def evidence(report: dict[str, Any]) -> str:
    """The proposal for people: plant-file lines, the evidence above each as a comment."""
    lines: list[str] = [f"# proposed from {report['source']}: read the evidence, then paste"]
    interface = None
    for row in report["signals"]:
        if row["interface"] != interface:
            interface = row["interface"]
            lines += ["", f"[interface.{interface}.telemetry]"]
        least, low, middle, high, most = (f"{value:.6g}" for value in row["quantiles"].values())
        lines += [
            f"# {row['samples']} samples of {row['twins']} twin(s), {row['from']} to {row['to']}",
            f"#   values {least} to {most}; 99.8 % of them {low} to {high}, median {middle}; "
            f"{row['outside']:.2%} would be out of range",
            f"#   changes a second: largest honest {row['change_honest']:.3g}, "
            f"99.9 % below {row['change_usual']:.3g}, {row['spikes']} of spikes left out",
            f"#   longest without a change {format_duration(row['unchanged'])}",
            row["line"],
        ]
    return "\n".join(lines)
