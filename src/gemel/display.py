"""What a terminal shows: the fleet worst first, its books, what is proposed, what to type next.

Owns    the live table, and the plain lines where there is no terminal.
Never   asks a person or changes anything: it shows, and names the command to type.

All instants are the plant's.
"""

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gemel.clock import SECOND, WallClock, format_duration, parse_instant
from gemel.flow.commands import command_of
from gemel.flow.host import Host
from gemel.flow.overview import Asked, overview
from gemel.flow.view import View
from gemel.server.value import value_line
from gemel.store.ledger import Ledger

Record = dict[str, Any]
BAR = 8  # characters of a health bar
ROWS = 100  # twins that a picture may show
REFRESH = 0.5  # s of wall time between two pictures
_UNITS = (("d", 86_400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))
_KINDS = (("findings", "finding"), ("proposals", "proposal"), ("invocations", "invocation"))


@dataclass
class State:
    """All that one picture needs; instants are ns, or ISO 8601 when they came over HTTP.

    twins: rows of the overview, the worst first · total: how many twins there are
    """

    plant: str
    at: Any
    tick: int
    twins: list[Record]
    books: dict[str, dict[str, int]]
    findings: list[Record]
    proposals: list[Record]
    invocations: list[Record]
    value: Record
    speed: float = 1.0
    note: str = ""
    live: bool = True
    units: dict[str, str] = field(default_factory=dict)
    sources: list[Record] = field(default_factory=list)
    total: int = 0


def of_host(host: Host) -> State:
    """The picture of a host in this process."""
    view, ledger = host.view(), host.ledger
    proposals, invocations = ledger.proposals(limit=200), ledger.invocations(limit=200)
    note = "" if host.running else "stopped"
    state = State(
        view.status["plant"],
        view.at,
        view.tick,
        [],
        view.books,
        ledger.findings(status="open", limit=200),
        proposals,
        invocations,
        value_line(proposals, invocations),
        host.clock.speed,
        note,
        units={p["id"]: command_of(host.plan, p["twin"], p["command"]).unit for p in proposals},
        sources=view.sources,
    )
    with_twins(state, view)
    return state


def with_twins(state: State, view: View) -> None:
    """Put the worst twins of a picture into a state."""
    page = overview(view).page(Asked(), 0, ROWS)
    state.twins, state.total = page["items"], page["total"]


def instant_of(value: Any) -> int:
    """ns of an instant that is ns, ISO 8601 or nothing."""
    return parse_instant(value) if isinstance(value, str) else int(value or 0)


# ---- words ------------------------------------------------------------------------------------


def clock_words(instant: Any) -> str:
    """An instant to the second, for people.

    >>> clock_words(1_484_373_600_000_000_000)
    '2017-01-14 06:00:00'
    """
    ns = instant_of(instant)
    return f"{datetime.fromtimestamp(ns // SECOND, UTC):%Y-%m-%d %H:%M:%S}" if ns else "not begun"


def rul_words(rul: Record) -> str:
    """A time to a limit: the median with its 5 % and 95 %, or beyond the horizon.

    >>> rul_words({"quantiles": {"0.05": 267840.0, "0.5": 362880.0, "0.95": 518400.0}})
    '4.2 d (3.1–6.0)'
    >>> rul_words({"quantiles": {"0.5": None}, "horizon": 1209600.0, "reached": 0.0})
    '> 14 d'
    """
    low, middle, high = (rul["quantiles"].get(q) for q in ("0.05", "0.5", "0.95"))
    if middle is None:
        share = f" ({rul['reached']:.0%} before)" if rul.get("reached", 0) >= 0.05 else ""
        return f"> {_short(rul['horizon'])}{share}"
    unit, size = next((u for u in _UNITS if middle >= u[1]), _UNITS[-1])
    upper = f"> {rul['horizon'] / size:.0f}" if high is None else f"{high / size:.1f}"
    return f"{middle / size:.1f} {unit} ({(low or 0) / size:.1f}–{upper})"


def _short(seconds: float) -> str:
    return format_duration(seconds).replace(".0 ", " ")


def money(amount: float) -> str:
    """Euro, to three digits.

    >>> money(61234.0), money(-80.0)
    ('61.2 k€', '-80 €')
    """
    for size, sign in ((1e6, "M€"), (1e3, "k€")):
        if abs(amount) >= size:
            return f"{amount / size:.3g} {sign}"
    return f"{amount:.3g} €"


# ---- the picture ------------------------------------------------------------------------------


def picture(state: State, rows: int = 16, data: str = "") -> RenderableType:
    """The whole picture; `rows` of twins at most, `data` the --data that commands need."""
    parts: list[RenderableType] = [_head(state)]
    if state.twins:
        parts.append(fleet_table(state, rows))
    parts += _books(state.books, state.sources)
    shown = [p for p in state.proposals if p["status"] == "open"]
    parts += [Text(), *(proposal_lines(p, state) for p in shown[:3])]
    parts += [invocation_line(i) for i in state.invocations[:3]]
    if state.value.get("saved", {}).get("proposals") or shown:
        parts.append(value_words(state.value))
    return Group(*parts, Text(), next_words(state, data))


def _head(state: State) -> Text:
    text = Text.assemble((state.plant, "bold"), "  ", (clock_words(state.at), "cyan"), " UTC")
    if state.speed not in (1.0, float("inf")):
        text.append(f"  ×{state.speed:g}", "dim")
    text.append(f"  tick {state.tick}", "dim")
    if state.total:
        text.append(f"  {state.total} twin{'s' * (state.total > 1)}", "dim")
    if state.note:
        text.append(f"  {state.note}", "yellow")
    return text


def fleet_table(state: State, rows: int) -> Table:
    """Twins worst first."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", expand=False)
    for name in ("twin", "health", "worst mode", "time to limit", "step", "age", "open"):
        table.add_column(name, no_wrap=True, justify="right" if name == "age" else "left")
    for twin in state.twins[:rows]:
        table.add_row(*_twin_row(twin))
    shown = min(rows, len(state.twins))
    if state.total > shown:
        table.add_row(Text(f"… {state.total - shown} more", "dim"))
    return table


def _twin_row(twin: Record) -> list[Text]:
    worst, rul, age, found = twin["worst"], twin["rul"], twin["age"], twin["findings"]
    step = Text("yes", "green") if twin["in_step"] else Text("no", "yellow")
    return [
        Text(twin["id"][:18], "bold"),
        _health(worst) if worst else Text("–", "dim"),
        Text(worst["mode"][:14] if worst else "", "dim"),
        Text(rul_words(rul) if rul else "", _colour(worst["index"]) if worst else ""),
        step if worst else Text("–", "dim"),
        Text("–" if age is None else format_duration(age), "dim"),
        Text(str(found), "bold red") if found else Text("", "dim"),
    ]


def _health(told: Record) -> Text:
    index = max(0.0, min(1.0, told["index"]))
    full = round(index * BAR)
    text = Text("█" * full, _colour(index))
    text.append("░" * (BAR - full), "dim")
    std = f"{told['std']:.2f}" if told["std"] >= 0.005 else f"{told['std']:.1g}"
    return text.append(f" {told['index']:.2f} ±{std}")


def _colour(index: float) -> str:
    return "red" if index < 0.3 else "yellow" if index < 0.7 else "green"


def _books(books: dict[str, dict[str, int]], sources: list[Record]) -> Iterator[Text]:
    """Received = where every sample went, per source; how many were good of late, if not all."""
    score = {row["source"]: row["score"] for row in sources}
    for source, book in sorted(books.items()):
        parts = {name: n for name, n in book.items() if name != "received" and n}
        line = Text(f"{source}: {book['received']:,} received = ".replace(",", " "), "dim")
        line.append(" + ".join(f"{n:,} {name}".replace(",", " ") for name, n in parts.items()))
        if sum(parts.values()) != book["received"]:
            line.append("  does not balance", "bold red")
        share = score.get(source)
        if share is not None and share < 0.9995:
            line.append(f"  {share:.1%} good", "red" if share < 0.5 else "yellow")
        yield line


def proposal_lines(proposal: Record, state: State) -> Text:
    """A proposal with its foreseen effect, its cost and when it ends."""
    foreseen, unit = proposal["foreseen"], state.units.get(proposal["id"], "")
    text = Text.assemble(
        (proposal["id"], "bold yellow"),
        f" {proposal['twin']}: {proposal['command']} {proposal['argument']:g} {unit}".rstrip(),
    )
    without, planned = foreseen.get("without", {}), foreseen.get("with", {})
    if "chance" in without:
        until = clock_words(foreseen.get("deadline"))[:10]
        text.append(f"\n  limit reached before {until}: {without['chance']:.0%} if nothing is done")
        text.append(f", {planned['chance']:.0%} with it", "green")
    saving = foreseen.get("saving", {})
    if saving.get("mean") is not None:
        low, high = money(saving["low"]), money(saving["high"])
        text.append(f"\n  saves {money(saving['mean'])} ({low} to {high})", "green")
        text.append(f", costs {money(proposal['cost']['mean'])}")
    left = (instant_of(proposal["expires_at"]) - instant_of(state.at)) / SECOND
    return text.append(f", expires in {format_duration(max(left, 0.0))} of plant time", "dim")


def invocation_line(row: Record) -> Text:
    """One invocation."""
    colour = {"confirmed": "green", "failed": "red", "unknown": "red"}.get(row["status"], "yellow")
    text = Text.assemble((row["id"], "bold"), f" {row['target']}: {row['command']} ")
    text.append(f"{row['argument']:g} ").append(row["status"], colour)
    return text.append(
        f"  approved by {row['by']}" + (f": {row['detail']}" if row["detail"] else "")
    )


def value_words(value: Record) -> Text:
    """What was saved, and what hangs on the open proposals."""
    saved, stake = value["saved"], value["at_stake"]
    text = Text("value: ")
    if saved["proposals"]:
        low, high = money(saved["low"]), money(saved["high"])
        text.append("saved ").append(money(saved["mean"]), "bold green")
        text.append(f" ({low} to {high}) by {_count(saved['proposals'], 'confirmed command')}")
    if stake["proposals"]:
        text.append("; " if saved["proposals"] else "")
        text.append(f"{money(stake['mean'])} at stake in ")
        text.append(_count(stake["proposals"], "open proposal"))
    return text


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def program() -> str:
    """How this person calls gemel: by name, or by its path when it is not on the PATH.

    >>> program().endswith("gemel")
    True
    """
    place = Path(sys.argv[0])
    if shutil.which("gemel") or place.name != "gemel":
        return "gemel"
    return min(str(place), os.path.relpath(place), key=len)


def next_words(state: State, data: str = "") -> Text:
    """The command to type now."""
    where = f" --data {data}" if data else ""
    for proposal in state.proposals:
        if proposal["status"] == "open" and state.live:
            return Text.assemble(
                ("type  ", "dim"),
                (f'{program()} approve {proposal["id"]} --why "your reason"{where}', "bold"),
                ("\n   or ", "dim"),
                f'{program()} approve {proposal["id"]} --reject --why "your reason"{where}',
            )
    if not state.live:
        return Text.assemble(("type  ", "dim"), (f"{program()} findings --all{where}", "bold"))
    twin = next((f["twin"] for f in state.findings), None)
    if twin is not None:
        return Text.assemble(("type  ", "dim"), (f"{program()} why {twin}{where}", "bold"))
    return Text.assemble(("all is well; look closer: ", "dim"), f"{program()} why TWIN{where}")


# ---- watching ---------------------------------------------------------------------------------


def watch(
    host: Host,
    stop: threading.Event,
    *,
    plain: bool = False,
    seconds: float | None = None,
    data: str = "",
    console: Console | None = None,
) -> None:
    """Show a host until `stop` is set, the host ends, or `seconds` of wall time are over.

    Where there is no terminal, or `plain`: one line for each finding, proposal and invocation.
    """
    out = console or Console(file=sys.stdout)
    left = float("inf") if seconds is None else seconds
    if plain or not out.is_terminal:
        news = News(lambda line: out.print(line, soft_wrap=True, highlight=False))
        while _more(host, stop, left):
            news.tell(of_host(host))
            stop.wait(REFRESH)
            left -= REFRESH
        news.tell(of_host(host))
        return
    with Live(console=out, auto_refresh=False, transient=False) as live:
        while True:
            rows = max(4, out.height - 16)
            live.update(picture(of_host(host), rows, data), refresh=True)
            if not _more(host, stop, left):
                return
            stop.wait(REFRESH)
            left -= REFRESH


def _more(host: Host, stop: threading.Event, left: float) -> bool:
    return not stop.is_set() and host.running and left > 0


class News:
    """Tells each finding, proposal and invocation once for each status it takes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._known = say, dict[str, str]()

    def tell(self, state: State) -> None:
        """Say what is new in a state."""
        for several, one in _KINDS:
            for row in reversed(getattr(state, several)):
                if self._known.get(row["id"]) != row["status"]:
                    self._known[row["id"]] = row["status"]
                    self._say(f"{clock_words(state.at)} {one} {_line(one, row)}")


def _line(kind: str, row: Record) -> str:
    head = f"{row['id']} {row['twin']} {row['status']}: "
    if kind == "finding":
        return f"{head}{row['text']}"
    told = f"{head}{row['command']} {row['argument']:g}"
    if kind == "invocation":
        return f"{told} to {row['target']}" + (f", {row['detail']}" if row["detail"] else "")
    chance = [row["foreseen"].get(name, {}).get("chance") for name in ("without", "with")]
    if None not in chance:
        told += f", chance of the limit {chance[0]:.0%} without, {chance[1]:.0%} with it"
    if row["status"] == "open":
        told += f', {program()} approve {row["id"]} --why "your reason"'
    return told


# ---- from elsewhere than this process ---------------------------------------------------------


def of_api(client: Any) -> State:
    """The picture of a Gemel in another process, over its API."""
    status = client.get("status")
    if not status["running"]:
        status["note"] = (status["failure"] or {}).get("message", "its loop has stopped")
    elif away := status["journal"]["away"]:
        status["note"] = f"its journal is away ({away}): nothing is acknowledged until it is back"
    twins = client.get("overview", limit=ROWS)
    return State(
        status["plant"],
        status["at"],
        status["tick"],
        twins["items"],
        status["books"],
        client.get("findings", status="open", limit=200)["items"],
        client.get("proposals", limit=200)["items"],
        client.get("invocations", limit=200)["items"],
        client.get("value"),
        float(status["speed"] or float("inf")),
        status.get("note", ""),
        sources=status.get("sources", []),
        total=twins["total"],
    )


def of_store(folder: Path) -> State:
    """The picture of the ledger of a data directory on which nobody runs; it says how old it is."""
    path = folder / "ledger.db"
    ledger = Ledger(f"sqlite:///{path}", readonly=True)
    try:
        row = ledger.last()
        written = max(p.stat().st_mtime for p in folder.glob("ledger.db*"))
        age = format_duration(max(0.0, WallClock().now() / SECOND - written))
        proposals, invocations = ledger.proposals(limit=200), ledger.invocations(limit=200)
        return State(
            folder.name.removesuffix(".gemel"),
            row.at if row else 0,
            row.tick if row else 0,
            [],
            row.books if row else {},
            ledger.findings(limit=500),
            proposals,
            invocations,
            value_line(proposals, invocations),
            live=False,
            note=f"not running: this is the ledger as it was left {age} ago",
        )
    finally:
        ledger.close()


def why_words(told: Record) -> Group:
    """`why` for people: each number with its doubt, and below it where it comes from."""
    parts: list[RenderableType] = [
        Text.assemble((told["twin"], "bold"), f"  at {clock_words(told['at'])} UTC")
    ]
    for name, row in told["samples"].items():
        measured = (
            f"{row['value']:.6g} {row['unit']}, {row['quality']}, {clock_words(row['instant'])}"
        )
        parts.append(Text.assemble(("  measured  ", "dim"), f"{name} = {measured}"))
    for binding, fleet in told["fleets"].items():
        parts += _why_fleet(binding, fleet)
    for name in ("maintenance", "promotions", "validation"):
        for row in told.get(name, []):
            parts.append(Text.assemble((f"  {name}  ", "dim"), _brief(row)))
    parts += [Text(f"  {f['id']} {f['status']}: {f['text']}") for f in told["findings"][:5]]
    for row in told["proposals"][:5]:
        who = f" by {row['by']}: {row['why']}" if row["by"] else ""
        command = f"{row['command']} {row['argument']:g}"
        parts.append(Text(f"  {row['id']} {command} {row['status']}{who}"))
    parts += [Text("  ").append_text(invocation_line(row)) for row in told["invocations"][:5]]
    return Group(*parts)


def _why_fleet(binding: str, fleet: Record) -> Iterator[Text]:
    held = "in step" if fleet["in_step"] else "NOT in step"
    yield Text.assemble((binding, "bold"), f"  kernel {fleet['kernel']}, fit {fleet['version']}")
    yield Text(f"  {held} with its asset: innovation statistic {fleet['nis']:.2f} (1 is right)")
    for name, row in fleet["states"].items():
        yield _number("state", name, row["mean"], row["std"], row["unit"])
    for name, row in fleet["sensors"].items():
        line = _number("foreseen", name, row["foreseen"], row["std"], row["unit"])
        measured = row["measured"]
        yield line.append("" if measured is None else f", measured {measured:.6g}")
    for name, row in fleet["parameters"].items():
        log = " (in log)" if row["scale"] == "log" else ""
        yield _number("parameter", name, row["value"], row["std"], row.get("unit", "")).append(log)
    for name, row in fleet["health"].items():
        yield _number("health", name, row["index"], row["std"], "")
    for rul in fleet["rul"]:
        told = f"{rul['mode']} in {rul_words(rul)}, under: {rul['scenario']}"
        yield Text.assemble(("  time  ", "dim"), told)


def _number(kind: str, name: str, value: float, std: float, unit: str) -> Text:
    shown = f"{name} = {value:.5g} ±{std:.2g}"
    return Text.assemble((f"  {kind}  ", "dim"), shown, "" if unit in ("", "1") else f" {unit}")


def _brief(row: Record) -> str:
    if "body" in row:
        return f"{clock_words(row.get('instant'))} {row['body']}"
    return f"{row.get('id', '')} {row.get('definition', '')} {row.get('status', '')}"
