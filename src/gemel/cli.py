"""The command line: `gemel COMMAND`.

Owns    the commands and their help.
Never   does a command's work: it asks the running server, or opens what the command needs.
"""

import getpass
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gemel.checks import checks_app
from gemel.clock import (
    SECOND,
    ManualClock,
    WallClock,
    format_instant,
    parse_duration,
    parse_instant,
)
from gemel.console import (
    ASK,
    MAKE,
    PORT,
    STOPPED,
    By,
    Data,
    Json,
    Plain,
    PlantArgument,
    Port,
    Why,
    app,
    client,
    data_of,
    find_data,
    hint,
    load,
    main,
    plan_of,
    print_json,
    runs_app,
    show,
    stderr,
    stdout,
    stopping,
    table,
)
from gemel.errors import Invalid, NotFound
from gemel.letters import letters_app

__all__ = ["app", "main"]

# ---- start something --------------------------------------------------------------------------


@app.command(rich_help_panel=MAKE, epilog="Example: gemel demo --plain --seconds 120")
def demo(
    data: Data = None,
    port: Port = PORT,
    speed: Annotated[float, typer.Option(help="plant seconds a second", min=1)] = 600.0,
    seconds: Annotated[float | None, typer.Option(help="end after so long", min=1)] = None,
    plain: Plain = False,
) -> None:
    """Real wind turbines and a simulated steam hall, live: find, propose, approve, confirm."""
    folder = data or Path("demo.gemel")
    load("gemel.demo").run_demo(folder, port, speed, seconds=seconds, plain=plain)


@app.command(rich_help_panel=MAKE, epilog="Example: gemel run plant.toml --port 8788")
def run(plant: PlantArgument, data: Data = None, port: Port = PORT, plain: Plain = False) -> None:
    """Run a plant: sources, twins, HTTP API on 127.0.0.1, and the live table. Ctrl-C ends it."""
    plan = plan_of(plant)
    folder = data_of(plan, data)
    with (
        stopping() as stop,
        load("gemel.flow.host").Host(plan, folder) as host,
        load("gemel.server.app").serve(host, port) as server,
    ):
        link = f"{plan.plant.name}: {server.link}"
        stderr().print(link, highlight=False, soft_wrap=True)
        load("gemel.display").watch(host, stop, plain=plain, data=hint(folder))
    if host.failure is not None:
        raise host.failure


@app.command(rich_help_panel=MAKE, epilog="Example: gemel replay my-plant --data my-plant.gemel")
def replay(plant: PlantArgument, data: Data = None, as_json: Json = False) -> None:
    """Replay a plant's files as fast as this machine can; ends at the end of the data."""
    plan = _replayed(plan_of(plant))
    folder, began = data_of(plan, data), time.monotonic()
    host_of = load("gemel.flow.host").Host
    ledger = load("gemel.store.ledger").Ledger
    last = _last(ledger, folder)
    with stopping() as stop, host_of(plan, folder, clock=ManualClock(last)) as host:
        _progress(host, plan, stop)
        view, seconds = host.view(), time.monotonic() - began
    if host.failure is not None:
        raise host.failure
    told = {
        "plant": plan.plant.name,
        "data": str(folder),
        "at": view.at,
        "tick": view.tick,
        "seconds": round(seconds, 2),
        "books": view.books,
        "open_findings": view.status["open_findings"],
        "complete": not stop.is_set(),
    }
    if as_json:
        print_json(told)
    else:
        display = load("gemel.display")
        state = display.of_store(folder)
        display.with_twins(state, view)
        state.note = f"the end of the data, in {seconds:.1f} s"
        stdout().print(display.picture(state, data=hint(folder)))
    if stop.is_set():
        raise typer.Exit(STOPPED)


def _replayed(plan: Any) -> Any:
    """The plan with its file sources only, on the data's own clock."""
    files = {n: s for n, s in plan.plant.sources.items() if s.kind in ("csv", "parquet", "delta")}
    if not any("event" not in spec.options for spec in files.values()):
        raise Invalid(
            "replay.no_file",
            "this plant has no file of telemetry to replay",
            where=plan.plant.name,
            mend='add a [[source]] of kind "csv", "parquet" or "delta", or use gemel run',
        )
    clock = {k: v for k, v in plan.plant.clock.items() if k == "start"} | {"kind": "data"}
    return replace(plan, plant=replace(plan.plant, sources=files, clock=clock))


def _last(ledger: Any, folder: Path) -> int:
    if not (folder / "ledger.db").exists():
        return 0
    opened = ledger(f"sqlite:///{folder / 'ledger.db'}", readonly=True)
    row = opened.last()
    opened.close()
    return int(row.at) if row else 0


def _progress(host: Any, plan: Any, stop: threading.Event) -> None:
    """A bar by rows consumed of the telemetry file, until the loop has ended."""
    name, spec = next((n, s) for n, s in plan.plant.sources.items() if "event" not in s.options)
    rows = _rows(Path(plan.where) / str(spec.options["path"]))
    columns = (
        TextColumn("[dim]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr(), transient=True) as bar:
        task = bar.add_task("replaying", total=rows)
        while not host.wait(0.2) and not stop.is_set():
            row = host.ledger.last()
            if row is not None:
                at = format_instant(row.at)[:10] if row.at else ""
                bar.update(
                    task, completed=int(row.positions.get(name) or 0), description=f"replaying {at}"
                )


def _rows(path: Path) -> int:
    """About how many rows a file of telemetry has."""
    if path.suffix in (".parquet", ".pq"):
        return int(load("pyarrow.parquet").read_metadata(path).num_rows)
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1


@app.command(
    rich_help_panel=MAKE,
    epilog="Example: gemel plant --data hall.gemel --to kafka://127.0.0.1:9092/line --format arrow",
)
def plant(
    data: Data = None,
    to: Annotated[str, typer.Option(help="mqtt://… | http://… | kafka://…", metavar="URL")] = "",
    faults: Annotated[
        Path | None, typer.Option(help="what goes wrong: a TOML file; default: the demo's")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="json | arrow")] = "json",
    twins: Annotated[int, typer.Option(help="about so many, five a turbine", min=0)] = 0,
    turbines: Annotated[int, typer.Option(min=1, max=50)] = 2,
    bearings: Annotated[int, typer.Option(min=1, max=16, help="per turbine")] = 4,
    seed: Annotated[int, typer.Option(help="of the truth and of what luck does")] = 7,
    every: Annotated[str, typer.Option(help="between two readings, plant time")] = "1min",
    speed: Annotated[float, typer.Option(help="no Gemel to join: plant seconds a second")] = 600.0,
    start: Annotated[str, typer.Option(help="no Gemel to join: now, or an instant")] = "",
    lasts: Annotated[str, typer.Option("--for", help="end after so long, plant time")] = "",
) -> None:
    """The simulated steam hall: sends telemetry, obeys commands over MQTT, keeps its truth.

    It joins the Gemel that runs on the data directory: its clock, its token, and, without --to,
    its broker. The truth of every sample, and of all that went wrong, is kept in DATA/truth.
    """
    if twins:
        turbines, bearings = max(1, twins // 5), 4
    how: dict[str, Any] = {"seed": seed, "turbines": turbines, "bearings_per_turbine": bearings}
    simulator = load("gemel.plant.simulator")
    running, folder = _joined(data, to)
    begin = simulator.START if start == "" else _instant(start)
    if running is not None:
        begin = parse_instant(running["now"])
        how |= {"at": begin, "wall": WallClock().now()}
        if begin > simulator.START + simulator.FAR:
            how["start"] = begin
    elif start:
        how |= {"at": begin, "start": begin}
    how["speed"] = float((running or {}).get("speed") or speed)
    how["every"] = parse_duration(every)
    if faults is not None:
        how["faults"] = load("gemel.plant.faults").read_faults(faults, begin)
    if lasts:
        how["until"] = begin + round(parse_duration(lasts) * SECOND)
    where = _to(to, folder, form)
    stderr().print(f"the steam hall sends to {where}; Ctrl-C ends it")
    simulator.run_plant(simulator.PlantConfig(folder, where, **how))


def _instant(text: str) -> int:
    return WallClock().now() if text == "now" else parse_instant(text)


def _joined(data: Path | None, to: str) -> tuple[dict[str, Any] | None, Path]:
    """What the Gemel to join says of itself, None when there is none; the folder of the truth."""
    if to and (data is None or load("gemel.server.client").running(data) is None):
        return None, data or Path("steam-truth")
    folder = find_data(data)
    with client(folder) as asked:
        return asked.get("status"), folder


def _to(to: str, folder: Path, form: str) -> Any:
    """Where the hall sends: a URL, or the embedded broker of a data directory."""
    wires = load("gemel.plant.wires")
    if form not in ("json", "arrow"):
        raise Invalid("plant.to", f"'{form}' is no format", mend="use json or arrow")
    if to:
        token = os.environ.get("GEMEL_TOKEN", "")
        if not token and (folder / "token").exists():
            token = (folder / "token").read_text(encoding="utf-8").strip()
        return wires.read_to(to, token=token, arrow=form == "arrow")
    return wires.ToMqtt(_broker(load("gemel.connect.link"), folder))


def _broker(link: Any, folder: Path) -> Any:
    told = load("gemel.flow.sources").read_broker(folder)
    if not told:
        raise NotFound(
            "broker.not_here",
            "this data directory has no embedded broker",
            where=str(folder / "broker.json"),
            mend="start the plant with gemel run first, or give an address with --to",
        )
    return link.Address(told["host"], told["port"], told["user"], told["password"])


@app.command(rich_help_panel=MAKE, epilog="Example: gemel init --from pump.csv --to pump")
def init(
    csv: Annotated[Path, typer.Option("--from", help="your CSV file", metavar="FILE")],
    to: Annotated[Path | None, typer.Option("--to", help="a new folder", metavar="DIR")] = None,
    zone: Annotated[str, typer.Option(help="of times that name none")] = "UTC",
    as_json: Json = False,
) -> None:
    """A first twin from your own CSV: a plant file, a kernel to change, quality limits.

    Guesses the twin column, the time, units from headers, and limits from the data; every guess is
    a comment in the plant file. The file itself is not touched.
    """
    starter = load("gemel.starter")
    report = starter.init(csv, to, zone=zone)
    print_json(report) if as_json else stdout().print(starter.words(report), soft_wrap=True)


# ---- a running plant --------------------------------------------------------------------------


@app.command(rich_help_panel=ASK)
def status(data: Data = None, as_json: Json = False) -> None:
    """The fleet worst first, its books, what is proposed, what to type next."""
    folder = find_data(data)
    if as_json:
        print_json(_answer(folder, "status"))
        return
    display = load("gemel.display")
    stdout().print(display.picture(_state(folder, display), rows=100, data=hint(folder)))


def _state(folder: Path, display: Any) -> Any:
    remote = load("gemel.server.client")
    if remote.running(folder) is None:
        return display.of_store(folder)
    with remote.Client(folder) as asked:
        return display.of_api(asked)


def _answer(folder: Path, noun: str, **how: Any) -> Any:
    """A noun from the running server; when none runs, from the ledger, with its age."""
    remote = load("gemel.server.client")
    if remote.running(folder) is not None:
        with remote.Client(folder) as asked:
            return asked.get(noun, **how)
    state = load("gemel.display").of_store(folder)
    told: dict[str, Any] = {"at": state.at, "tick": state.tick, "running": False}
    told["note"] = state.note
    if noun == "status":
        return {**told, "plant": state.plant, "books": state.books}
    stderr().print(state.note, style="yellow", soft_wrap=True)
    rows = getattr(state, noun) if how.get("status") is None else _still(state, noun, how["status"])
    return {
        **told,
        "items": [r for r in rows if how.get("twin") in (None, r["twin"])],
        "next": None,
    }


def _still(state: Any, noun: str, wanted: str) -> list[dict[str, Any]]:
    return [row for row in getattr(state, noun) if row["status"] == wanted]


@app.command(rich_help_panel=ASK, epilog="Example: gemel findings --twin st1-b2 --all")
def findings(
    data: Data = None,
    twin: Annotated[str | None, typer.Option(help="of this twin")] = None,
    every: Annotated[bool, typer.Option("--all", help="closed ones too")] = False,
    as_json: Json = False,
) -> None:
    """What is worth attention, newest first."""
    wanted = None if every else "open"
    told = _answer(find_data(data), "findings", status=wanted, twin=twin, limit=1000)
    if as_json:
        print_json(told)
        return
    made = table("id", "twin", "since (plant time)", "what", wide="what")
    for row in told["items"]:
        since = load("gemel.display").clock_words(row["instant"])
        mark = "" if row["status"] == "open" else " (closed)"
        made.add_row(row["id"], row["twin"], since, f"{row['text']}{mark}")
    show(made, "no open finding" if wanted else "no finding")


@app.command(rich_help_panel=ASK)
def proposals(
    data: Data = None,
    every: Annotated[bool, typer.Option("--all", help="decided ones too")] = False,
    as_json: Json = False,
) -> None:
    """Commands worth considering, each with its foreseen effect and what to type."""
    folder = find_data(data)
    told = _answer(folder, "proposals", status=None if every else "open", limit=1000)
    if as_json:
        print_json(told)
        return
    display, out = load("gemel.display"), stdout()
    state = display.State("", told["at"], told["tick"], [], {}, [], told["items"], [], {})
    for row in told["items"]:
        out.print(display.proposal_lines(row, state))
        if row["status"] != "open":
            out.print(f"  {row['status']} by {row['by'] or 'the clock'}: {row['why']}", style="dim")
    if told["items"]:
        out.print(display.next_words(state, hint(folder)))
    else:
        out.print("no open proposal" if not every else "no proposal", style="dim")


@app.command(
    rich_help_panel=ASK, epilog='Example: gemel approve P-000001 --why "cheaper than the outage"'
)
def approve(
    proposal: Annotated[str, typer.Argument(help="its id", metavar="ID")],
    why: Why,
    data: Data = None,
    reject: Annotated[bool, typer.Option("--reject", help="say no")] = False,
    argument: Annotated[float | None, typer.Option(help="another argument, in range")] = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Approve a proposal, or reject it. Only then is a command sent, once."""
    body: dict[str, Any] = {"verdict": "rejected" if reject else "approved", "why": why}
    body["by"] = by or getpass.getuser()
    if argument is not None:
        body["argument"] = argument
    with client(data) as asked:
        told = asked.post(f"proposals/{proposal}/verdict", body)
    if as_json:
        print_json(told)
        return
    out, sent = stdout(), told["invocation"]
    out.print(f"{proposal} {told['proposal']['status']} by {body['by']}")
    if sent:
        command = f"{sent['command']} {sent['argument']:g} to {sent['target']}"
        out.print(f"{sent['id']}: {command}, {sent['status']}; telemetry will confirm it")


@app.command(
    rich_help_panel=ASK,
    epilog='Example: gemel maintain st1-b2 --reset wear --why "new bearing shells"',
)
def maintain(
    twin: Annotated[str, typer.Argument(help="the twin that was repaired", metavar="TWIN")],
    why: Why,
    data: Data = None,
    reset: Annotated[
        list[str] | None, typer.Option("--reset", help="a state that starts anew; default: all")
    ] = None,
    binding: Annotated[str | None, typer.Option(help="of this binding only")] = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Record a repair: states start anew, identity and history stay, the twin re-learns."""
    body = {"twin": twin, "resets": reset or [], "why": why, "by": by or getpass.getuser()}
    if binding:
        body["binding"] = binding
    with client(data) as asked:
        told = asked.post("maintenance", body)
    if as_json:
        print_json(told)
        return
    stdout().print(f"{twin}: {', '.join(told['resets']) or 'every state'} starts anew")


@app.command(
    rich_help_panel=ASK,
    epilog='Example: gemel erase --twin st1 --before 2026-01-01T00:00:00Z --why "works test"',
)
def erase(
    twin: Annotated[str, typer.Option(help="whose history")],
    before: Annotated[str, typer.Option(help="an instant: ISO 8601 with a zone")],
    why: Why,
    data: Data = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Erase what a twin told before an instant, from history, journal, ledger and snapshots.

    It is recorded, with a receipt of what that came to (GET /api/v1/erasures).
    """
    body = {"twin": twin, "before": before, "why": why, "by": by or getpass.getuser()}
    with client(data) as asked:
        told = asked.post("erasures", body)
    if as_json:
        print_json(told)
        return
    stdout().print(
        f"{twin} before {told['before']}: it is erased within minutes; a receipt will say so"
    )


@app.command(rich_help_panel=ASK)
def why(
    twin: Annotated[str, typer.Argument(help="a twin", metavar="TWIN")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Every number of a twin, back to samples, kernel, parameters, proof and approvals."""
    with client(data) as asked:
        told = asked.get(f"twins/{twin}/why")
    if as_json:
        print_json(told)
    else:
        stdout().print(load("gemel.display").why_words(told))


@runs_app.callback(invoke_without_command=True)
def runs(context: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """List runs; start one; answer one that waits."""
    context.obj = data
    if context.invoked_subcommand is not None:
        return
    with client(data) as asked:
        told = asked.get("runs")
    if as_json:
        print_json(told)
        return
    made = table("id", "what", "status", "started by", "when (plant time)", wide="started by")
    for row in told["items"]:
        when = load("gemel.display").clock_words(row["created_at"])
        made.add_row(row["id"], row["definition"], row["status"], row["started_by"], when)
    show(made, "no run yet; start one: gemel runs start refit")


@runs_app.command("start", epilog="Example: gemel runs start refit --option days=14")
def runs_start(
    context: typer.Context,
    definition: Annotated[str, typer.Argument(help="refit, report or watch", metavar="DEF")],
    option: Annotated[
        list[str] | None, typer.Option("--option", help="NAME=VALUE; several are fine")
    ] = None,
    data: Data = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Start a run now."""
    options = dict(_option(text) for text in option or [])
    body = {"definition": definition, "options": options, "by": by or getpass.getuser()}
    with client(data or context.obj) as asked:
        told = asked.post("runs", body)
    if as_json:
        print_json(told)
    else:
        stdout().print(f"{told['id']} {told['definition']}: {told['status']}; gemel runs shows it")


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Invalid("run.option", f"'{text}' is no option", mend="write --option NAME=VALUE")
    try:
        return name, float(value)
    except ValueError:
        return name, value


@runs_app.command("approve", epilog='Example: gemel runs approve R-000001 --why "it tracks"')
def runs_approve(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(help="a run that waits", metavar="ID")],
    why: Why,
    reject: Annotated[bool, typer.Option("--reject", help="say no")] = False,
    data: Data = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Answer a run that waits for a person."""
    verdict = "rejected" if reject else "approved"
    body = {"verdict": verdict, "why": why, "by": by or getpass.getuser()}
    with client(data or context.obj) as asked:
        told = asked.post(f"runs/{run_id}/verdict", body)
    print_json(told) if as_json else stdout().print(f"{run_id}: {verdict}; it goes on")


app.add_typer(checks_app)
app.add_typer(letters_app)


if __name__ == "__main__":
    main()
