"""A twin, a plant and its lists, as the stores hold them: to ask, and to look at in a notebook.

Owns    gathering what one look needs from lake and ledger, and which columns a list shows.
Never   computes a belief: it tells the last that history has, and how old it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gemel import notebook
from gemel.clock import SECOND
from gemel.errors import NotFound
from gemel.store.declared import Declared
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger

Record = dict[str, Any]
DAY = 86_400 * SECOND
FEW = 12  # twins that a plant shows of itself


class Records(list[Record]):
    """A list of records that shows itself as a table."""

    def __init__(self, kind: str, rows: Sequence[Record]) -> None:
        super().__init__(rows)
        self.kind = kind

    def _repr_html_(self) -> str:
        heads, cells = _COLUMNS[self.kind]
        shown = notebook.table(heads, [cells(row) for row in self[:50]])
        more = f"{len(self) - 50} more" if len(self) > 50 else ""
        count = str(len(self) or "none")
        return notebook.card(self.kind.capitalize(), count, shown if self else "", more)


@dataclass(frozen=True)
class Twin:
    """One twin as history has it at an instant of the plant, `at`.

    latest: signal → {value, unit, quality, reason, instant}
    states: binding → name → {mean, std, unit, instant} · health: mode → {index, std}
    """

    id: str
    interface: str
    at: int
    latest: dict[str, Record]
    states: dict[str, dict[str, Record]]
    health: dict[str, Record]
    findings: Records

    def __repr__(self) -> str:
        modes = ", ".join(f"{mode} {told['index']:.2f}" for mode, told in self.health.items())
        return f"Twin {self.id} ({self.interface or 'no interface told'})  health: {modes or '–'}"

    def _repr_html_(self) -> str:
        about = f"{self.interface} · {notebook.when(self.at)} UTC".removeprefix(" · ")
        parts: list[notebook.Cell] = []
        if self.health:
            rows = [
                (mode, notebook.bar(told["index"], told["std"]))
                for mode, told in sorted(self.health.items(), key=lambda item: item[1]["index"])
            ]
            parts.append(notebook.table(("health, 1 as new, 0 at the limit", ""), rows))
        measured = [
            (
                signal,
                notebook.number(told["value"], unit=told["unit"]),
                notebook.quality(told["quality"], told["reason"]),
                notebook.age(told["instant"], self.at),
            )
            for signal, told in self.latest.items()
        ]
        parts.append(notebook.table(("measured", "", "", ""), measured, " r"))
        for binding, states in self.states.items():
            believed = [
                (
                    name,
                    notebook.number(told["mean"], told["std"], told["unit"]),
                    notebook.age(told["instant"], self.at),
                )
                for name, told in states.items()
            ]
            parts.append(notebook.table((f"believed by {binding}", "", ""), believed, " r"))
        if self.findings:
            parts.append(notebook.Safe(self.findings._repr_html_()))
        return notebook.card(self.id, about, *parts)


def twin_of(lake: Lake, ledger: Ledger, declared: Declared, twin: str, known: int | None) -> Twin:
    """Raises `twin.unknown`."""
    newest = lake.latest([twin], None, known).to_pylist()
    if not newest and not declared.interface(twin):
        raise NotFound(
            "twin.unknown",
            f"history has no twin '{twin[:64]}'",
            mend="dataset.twins() lists them",
        )
    latest = {
        row["signal"]: {
            **{name: row[name] for name in ("value", "quality", "reason", "instant")},
            "unit": declared.signal(twin, row["signal"]).get("unit", ""),
        }
        for row in newest
    }
    until = max((row["instant"] for row in newest), default=0)
    states: dict[str, dict[str, Record]] = {}
    health: dict[str, Record] = {}
    for row in last_estimates(lake, [twin], until, known):
        if row["name"].startswith("health."):
            mode = row["name"].removeprefix("health.")
            health[mode] = {"index": row["mean"], "std": row["std"], "instant": row["instant"]}
        elif not row["name"].endswith(".foreseen"):
            unit = declared.unit_of_state(row["binding"], row["name"])
            told = {name: row[name] for name in ("mean", "std", "instant")}
            states.setdefault(row["binding"], {})[row["name"]] = {**told, "unit": unit}
    found = ledger.findings("open", twin, known, 20)
    at = max(until, at_of(ledger, known))
    interface = declared.interface(twin)
    return Twin(twin, interface, at, latest, states, health, Records("findings", found))


def last_estimates(
    lake: Lake, twins: Sequence[str], until: int, known: int | None, names: Any = None
) -> list[Record]:
    """The last of each (binding, twin, name) in the day up to an instant."""
    table = lake.estimates(twins, names, until - DAY, until + DAY, known)
    key = ["binding", "twin", "name"]
    last = table.group_by(key).aggregate([("instant", "max")])
    last = last.rename_columns([*key, "instant"])
    found = table.join(last, [*key, "instant"], join_type="inner")
    return list(found.sort_by([(name, "ascending") for name in key]).to_pylist())


def at_of(ledger: Ledger, known: int | None) -> int:
    """The plant's clock at a tick, or now."""
    if known is None:
        row = ledger.last()
        return row.at if row else 0
    rows = ledger.rows(known - 1, 1)
    return rows[0].at if rows else 0


def plant_html(target: str, lake: Lake, ledger: Ledger, declared: Declared) -> str:
    """A plant at a glance: what is open, and the twins that need a look first."""
    newest, at = lake.latest(), at_of(ledger, None)
    found, asked = ledger.findings("open"), ledger.proposals("open")
    troubled = list(dict.fromkeys(row["twin"] for row in found))
    spoken = sorted(newest["twin"].unique().to_pylist())
    shown = [*troubled, *(twin for twin in spoken if twin not in troubled)][:FEW]
    worst: dict[str, Record] = {}
    until = pc.max(newest["instant"]).as_py() or at
    for row in last_estimates(lake, shown, until, None):
        before = worst.get(row["twin"])
        if row["name"].startswith("health.") and (before is None or row["mean"] < before["mean"]):
            worst[row["twin"]] = row
    rows = [_plant_row(twin, newest, worst.get(twin), found, at) for twin in shown]
    more = f"{len(spoken) - len(shown)} more: .twins()" if len(spoken) > len(shown) else ""
    open_ = [_count(len(found), "open finding"), _count(len(asked), "open proposal")]
    about = [_count(len(spoken), "twin"), *open_, f"{notebook.when(at)} UTC"]
    heads = ("twin", "", "worst health", "", "heard from", "findings")
    return notebook.card(
        declared.plant or target,
        " · ".join(about),
        notebook.table(heads, rows),
        more,
        "ask: .twin(id) .trend(id, signal) .history() .estimates() .findings() .proposals()"
        " .latest() .downsample() .asof() .rollup() .fleet() .events()",
    )


def _plant_row(
    twin: str, newest: pa.Table, worst: Record | None, found: list[Record], at: int
) -> list[notebook.Cell]:
    mine = newest.filter(pc.field("twin") == twin)
    open_ = sum(row["twin"] == twin for row in found)
    word = notebook.status("note", "no kernel") if worst is None else notebook.status("ok", "ok")
    if open_:
        word = notebook.status("warning", "look")
    if worst is not None and worst["mean"] <= 0:
        word = notebook.status("failed", "failed")
    return [
        notebook.Safe(f"<b>{notebook.safe(twin)}</b>"),
        word,
        worst["name"].removeprefix("health.") if worst else "",
        notebook.bar(worst["mean"], worst["std"]) if worst else "",
        notebook.age(pc.max(mine["instant"]).as_py(), at),
        str(open_ or ""),
    ]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# ---- lists ------------------------------------------------------------------------------------


def _finding(row: Record) -> list[notebook.Cell]:
    kind = "failed" if row["severity"] == "critical" else "warning"
    state = notebook.status(kind, row["severity"]) if row["status"] == "open" else row["status"]
    return [row["id"], notebook.when(row["instant"]), row["twin"], state, row["text"]]


def _proposal(row: Record) -> list[notebook.Cell]:
    foreseen = row.get("foreseen") or {}
    chance = [foreseen.get(name, {}).get("chance") for name in ("without", "with")]
    effect = "" if None in chance else f"chance of the limit {chance[0]:.0%} → {chance[1]:.0%}"
    saving = foreseen.get("saving") or {}
    saved = ""
    if saving.get("mean") is not None:
        low, mean, high = (f"{saving[name]:,.0f}" for name in ("low", "mean", "high"))
        saved = f"{mean} ({low} to {high}) {saving.get('currency', '')}"
    command = f"{row['command']} {row['argument']:g}"
    who = f" by {row['by']}: {row['why']}" if row["by"] else ""
    return [row["id"], notebook.when(row["created_at"]), row["twin"], command, effect, saved,
            row["status"] + who]  # fmt: skip


def _invocation(row: Record) -> list[notebook.Cell]:
    kinds = {"confirmed": "ok", "failed": "failed", "unknown": "failed"}
    state = notebook.status(kinds.get(row["status"], "note"), row["status"])
    command, sent = f"{row['command']} {row['argument']:g}", notebook.when(row["sent_at"])
    why = f"{row['by']}: {row['why']}"
    return [row["id"], sent, row["target"], command, state, row["detail"] or "", why]


_COLUMNS: dict[str, tuple[Sequence[str], Callable[[Record], list[notebook.Cell]]]] = {
    "findings": (("", "since, UTC", "twin", "", ""), _finding),
    "proposals": (("", "made, UTC", "twin", "command", "foreseen", "saves", ""), _proposal),
    "invocations": (("", "sent, UTC", "asset", "command", "", "", "approved by"), _invocation),
}
