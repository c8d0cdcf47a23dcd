"""The run `report`: when a finding opens, its evidence is put together for a person.

Owns    one Markdown and one JSON file per finding, in DATA/reports.
Never   changes anything else.
"""

import json

from gemel.clock import format_duration, format_instant
from gemel.errors import NotFound
from gemel.flow.desk import Desk, Record, Step


def gather(desk: Desk, run: Record, done: dict[str, Record]) -> Record:
    """The finding, the twin's picture and its last proposals, as they are now."""
    wanted = run["options"].get("finding", "")
    finding = next((f for f in desk.ledger.findings(limit=10_000) if f["id"] == wanted), None)
    if finding is None:
        raise NotFound(
            "finding.unknown", f"there is no finding '{wanted}'", mend="gemel findings lists them"
        )
    return {
        "finding": finding,
        "twin": desk.view().twin(finding["twin"]),
        "proposals": desk.ledger.proposals(twin=finding["twin"], limit=5),
        "versions": run["versions"],
    }


def write(desk: Desk, run: Record, done: dict[str, Record]) -> Record:
    """The two files; written whole, under the run's name."""
    folder = desk.data / "reports"
    folder.mkdir(exist_ok=True)
    evidence = done["gather"]
    for suffix, text in (
        (".json", json.dumps(evidence, indent=1)),
        (".md", page(evidence)),
    ):
        partial = folder / f".{run['id']}{suffix}"
        partial.write_text(text, encoding="utf-8")
        partial.replace(folder / f"{run['id']}{suffix}")
    return {"report": f"reports/{run['id']}.md", "twin": evidence["finding"]["twin"]}


def page(evidence: Record) -> str:
    """The report as a page."""
    finding, twin = evidence["finding"], evidence["twin"]
    lines = [
        f"# {finding['twin']}: {finding['text']}",
        "",
        f"{finding['id']}, {finding['kind']} of *{finding['subject']}*, "
        f"at {format_instant(finding['instant'])}. "
        f"Statistic {finding['statistic']:.3g}, threshold {finding['threshold']:.3g}.",
        "",
        "| what | value | ± | unit |",
        "| --- | ---: | ---: | --- |",
    ]
    for name, row in (twin or {"fleets": {}})["fleets"].items():
        for state, told in row["states"].items():
            lines.append(
                f"| {name} {state} | {told['mean']:.4g} | {told['std']:.2g} | {told['unit']} |"
            )
        for mode, health in row["health"].items():
            lines.append(f"| health: {mode} | {health['index']:.2f} | {health['std']:.2g} | 1 |")
    rul = finding["evidence"].get("rul")
    if rul:
        middle = rul["quantiles"]["0.5"]
        told = format_duration(middle) if middle else "beyond the horizon"
        lines += ["", f"Time to the limit, if days stay as usual: {told} (median)."]
    return "\n".join([*lines, "", f"Kernels: {evidence['versions']}", ""])


REPORT: list[tuple[str, Step]] = [("gather", gather), ("write", write)]
