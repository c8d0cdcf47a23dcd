"""The way from a person's file to a folder that runs.

Owns    the order: read, tidy, learn, write; and the report of it.
Never   overwrites a plant, and never touches the person's file.
"""

from pathlib import Path
from typing import Any

import polars as pl

from gemel.clock import format_duration, format_instant
from gemel.errors import Conflict
from gemel.starter.learn import learn, story_of
from gemel.starter.pages import kernel_text, plant_text, readme_text
from gemel.starter.sheet import plain_id, read, tidy


def init(path: Path, to: Path | None = None, *, zone: str = "UTC") -> dict[str, Any]:
    """Write a plant for a CSV file into a new folder; what was guessed is in the report."""
    to = to or Path(plain_id(path.stem) or "plant")
    if (to / "plant.toml").exists():
        raise Conflict(
            "init.exists",
            f"{to / 'plant.toml'} is there already",
            mend="give another folder with --to, or remove this one",
        )
    warnings: list[str] = []
    cells, line = read(path)
    table, signals, shape = tidy(cells, line, path, zone, warnings)
    story = story_of(path, table, signals, shape, warnings)
    learn(story, table)
    to.mkdir(parents=True, exist_ok=True)
    stamp = pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ").str.replace(r"\.0+Z$", "Z")
    table.with_columns(stamp).write_csv(to / "telemetry.csv")
    (to / "kernel.py").write_text(kernel_text(story), encoding="utf-8")
    (to / "plant.toml").write_text(plant_text(story), encoding="utf-8")
    (to / "README.md").write_text(readme_text(story, to), encoding="utf-8")
    return {
        "folder": str(to),
        "files": ["plant.toml", "kernel.py", "telemetry.csv", "README.md"],
        "shape": shape,
        "rows": story.rows,
        "samples": story.samples,
        "twins": story.twins,
        "signals": {s.name: {"unit": s.unit, "header": s.header} for s in story.signals},
        "every": story.every,
        "from": format_instant(story.start),
        "to": format_instant(story.end),
        "target": story.target,
        "inputs": story.inputs,
        "warnings": warnings,
        "next": f"gemel replay {to}",
    }


def words(report: dict[str, Any]) -> str:
    """The report for people."""
    signals = ", ".join(
        f"{name} ({told['unit']})" for name, told in list(report["signals"].items())[:8]
    )
    more = len(report["signals"]) - 8
    lines = [
        f"{report['folder']}: {', '.join(report['files'])}",
        f"  {report['rows']} rows, {report['shape']}, {len(report['twins'])} twin(s): "
        + ", ".join(report["twins"][:6]),
        f"  {report['from']} to {report['to']}, every {format_duration(report['every'])}",
        f"  signals: {signals}" + (f" and {more} more" if more > 0 else ""),
        f"  first kernel: {report['target']} follows {', '.join(report['inputs']) or 'its mean'}",
        *(f"  check: {text}" for text in report["warnings"]),
        f"next: {report['next']}",
    ]
    return "\n".join(lines)
