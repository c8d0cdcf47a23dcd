"""Commands that check and explain: `explain`, `quality`, `gold`, `accuracy`, `replay-check`, …

Owns    how a check is told, and that one which does not pass exits with 1.
Never   holds a check itself: those are in `kernels` and `flow`.
"""

import json
import pkgutil
import platform
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Annotated, Any

import typer

from gemel.clock import format_instant
from gemel.console import (
    CHECK,
    Data,
    Json,
    client,
    find_data,
    load,
    plan_of,
    print_json,
    show,
    stderr,
    stdout,
    table,
)
from gemel.errors import NotFound, catalogue
from gemel.errors import explain as explain_code

checks_app = typer.Typer(rich_markup_mode="rich")
quality_app = typer.Typer(
    help="How good telemetry was over the last day; limits from history.",
    rich_markup_mode="rich",
    epilog="Example: gemel quality propose pump.csv",
)
checks_app.add_typer(quality_app, name="quality", rich_help_panel=CHECK)


@checks_app.command(rich_help_panel=CHECK, epilog="Example: gemel openapi > openapi.json")
def openapi() -> None:
    """Print the OpenAPI document of the HTTP API: every route with its schema, as JSON."""
    typer.echo(json.dumps(load("gemel.server.app").describe(), indent=1))


@checks_app.command(rich_help_panel=CHECK, epilog="Example: gemel explain unit.mismatch")
def explain(
    code: Annotated[str | None, typer.Argument(help="a code; none lists all")] = None,
    as_json: Json = False,
) -> None:
    """What an error's code means, and how to mend it."""
    if code is not None:
        text = explain_code(code)
        print_json({"code": code, **catalogue()[code]}) if as_json else typer.echo(text)
        return
    if as_json:
        print_json(catalogue())
        return
    made = table("code", "means", wide="means")
    for name, entry in sorted(catalogue().items()):
        made.add_row(name, entry["means"])
    show(made, "")


@checks_app.command(
    "map",
    rich_help_panel=CHECK,
    epilog="Example: gemel map --try plant/north/st1 @message.json --plant plant.toml",
)
def map_(
    message: Annotated[
        tuple[str, str],
        typer.Option("--try", help="topic and payload; @FILE reads it, - is standard input"),
    ],
    plant: Annotated[Path, typer.Option(help="plant.toml, or its folder")] = Path(),
    source: Annotated[str, typer.Option(help="default: the one with a map")] = "",
    as_json: Json = False,
) -> None:
    """What a source's map would make of a message: each sample, its fate, and what is left."""
    topic, text = message
    told = load("gemel.flow.trial").try_message(
        plan_of(plant), topic, _payload(text), source=source
    )
    if as_json:
        print_json(told)
    else:
        _show_trial(told)
    if told["dead"] or any(row["fate"] == "rejected" for row in told["samples"]):
        raise typer.Exit(1)


def _payload(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    try:
        return Path(text[1:]).read_bytes()
    except OSError as problem:
        raise NotFound(
            "file.missing",
            f"the message cannot be read: {problem.strerror}",
            where=text[1:],
            mend="give the file of one message behind @, - for standard input, or the text itself",
        ) from None


def _show_trial(told: dict[str, Any]) -> None:
    made = table("twin", "signal", "instant", "value", "unit", "fate", "reason", wide="reason")
    for row in told["samples"]:
        quality = "" if row["quality"] == "good" else f", {row['quality']}"
        value = "" if row["value"] is None else f"{row['value']:g}"
        fate = f"{row['fate']}{quality}"
        names = (row["twin"], row["signal"], row["instant"], value, row["unit"], fate)
        made.add_row(*names, row["reason"])
    show(made, "no sample")
    faults = [f"dead letter {letter['code']}: {letter['message']}" for letter in told["dead"]]
    mends = [letter["mend"] for letter in told["dead"]]
    for code in dict.fromkeys(row["code"] for row in told["samples"] if row["code"]):
        faults.append(f"rejected {code}: {catalogue()[code]['means']}")
        mends.append(catalogue()[code]["mend"])
    for fault, mend in zip(faults, mends, strict=True):
        text = f"{fault}\n  mend: {mend}"
        stdout().print(text, style="red", markup=False, soft_wrap=True)
    if told["unmapped"]:
        left = ", ".join(told["unmapped"])
        stdout().print(f"not mapped: {left}", style="dim", markup=False, soft_wrap=True)


@quality_app.callback(invoke_without_command=True)
def quality(context: typer.Context, data: Data = None, as_json: Json = False) -> None:
    """How good telemetry was over the last day, the worst twin first; limits from history."""
    if context.invoked_subcommand is not None:
        return
    with client(data) as asked:
        told = asked.get("quality", limit=1000)
    if as_json:
        print_json(told)
        return
    made = table("twin", "good", "silent", wide="silent")
    for row in told["items"]:
        silent = [f"{one['signal']} since {one['start']}" for one in row["silent"]]
        made.add_row(row["twin"], _share(row["score"]), ", ".join(silent))
    show(made, "there is no twin")
    made = table("source", "good", "lag", "why not", wide="why not")
    for row in told["sources"]:
        why = ", ".join(f"{n} {reason}" for reason, n in row["reasons"].items())
        made.add_row(row["source"], _share(row["score"]), f"{row['lag']:.3g} s", why)
    show(made, "no source has sent anything yet")


def _share(score: float | None) -> str:
    return "–" if score is None else f"{score:.1%}"


@quality_app.command("propose", epilog="Example: gemel quality propose pump.csv")
def propose(
    history: Annotated[Path, typer.Argument(help="a CSV, or a data directory", metavar="DATA")],
    plant: Annotated[
        Path | None, typer.Option("--plant", help="its plant file: interfaces and units")
    ] = None,
    signal: Annotated[
        list[str] | None, typer.Option("--signal", help="this one only; several are fine")
    ] = None,
    zone: Annotated[str, typer.Option(help="of times that name none")] = "UTC",
    as_json: Json = False,
) -> None:
    """Limits from history as lines for the plant file, each below the evidence for it."""
    starter, plan = load("gemel.starter"), None if plant is None else plan_of(plant)
    told = starter.propose(history, plan, signals=signal, zone=zone)
    print_json(told) if as_json else typer.echo(starter.evidence(told))


@checks_app.command(rich_help_panel=CHECK, epilog="Example: gemel gold plant.toml")
def gold(
    plant: Annotated[
        Path | None, typer.Argument(help="of this plant; default: the library", metavar="[PLANT]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the gold set of every kernel; exit 1 when one fails."""
    rows = [row for kernel, folder in _kernels(plant) for row in _judged(kernel, folder)]
    if as_json:
        print_json(rows)
    else:
        made = table("kernel", "case", "off by", "tolerance", "verdict", wide="case")
        for row in rows:
            colour = {"passed": "green", "failed": "bold red"}.get(row["verdict"], "yellow")
            off = (
                ("", "")
                if row["worst"] is None
                else (f"{row['worst']:.3g}", f"{row['tolerance']:g}")
            )
            made.add_row(row["kernel"], row["case"], *off, f"[{colour}]{row['verdict']}[/]")
        show(made, "there is no kernel")
    if any(row["verdict"] == "failed" for row in rows):
        raise typer.Exit(1)


def _kernels(plant: Path | None) -> list[tuple[Any, Path | None]]:
    """Kernel classes with the folder of their plant (None: the library)."""
    if plant is not None:
        plan = plan_of(plant)
        return list({type(f.kernel): Path(plan.where) for f in plan.fleets.values()}.items())
    base, library = load("gemel.kernels.base").Kernel, load("gemel.kernels.library")
    found: list[tuple[Any, Path | None]] = []
    for info in sorted(pkgutil.iter_modules(library.__path__), key=lambda m: m.name):
        module = load(f"gemel.kernels.library.{info.name}")
        for item in vars(module).values():
            if isinstance(item, type) and issubclass(item, base):
                if item.__module__ == module.__name__:
                    found.append((item, None))
    return found


def _judged(kernel: Any, folder: Path | None) -> list[dict[str, Any]]:
    sets = load("gemel.kernels.gold")
    try:
        cases = load("gemel.flow.fleet").gold_set(kernel)
    except NotFound:
        none = {"case": "there is no gold set", "verdict": "none"}
        return [{"kernel": kernel.__name__, **none, "worst": None, "tolerance": None, "where": ""}]
    return [
        {
            "kernel": kernel.__name__,
            "case": verdict.case,
            "verdict": "passed" if verdict.passed else "failed",
            "worst": verdict.worst,
            "tolerance": verdict.tolerance,
            "where": verdict.where,
        }
        for verdict in sets.judge(kernel, cases)
    ]


def _gold_name(kernel: Any) -> str:
    """kernel.py of a plant's folder has its gold set in kernel.gold.json."""
    return f"{kernel.__module__.removeprefix('gemel_plant_')}.gold.json"


@checks_app.command(rich_help_panel=CHECK, epilog="Example: gemel accuracy data/wind --write .")
def accuracy(
    folder: Annotated[
        Path | None, typer.Argument(help="10-minute turbine data; default: shipped")
    ] = None,
    write: Annotated[
        Path | None, typer.Option("--write", help="write fitted.json there", metavar="DIR")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit wind-turbine bearings per turbine, judge later months, compare with a line and ridge."""
    tables = load("gemel.flow.accuracy")
    if folder is None:
        folder = load("gemel.demo").examples() / "wind"
    with stderr().status("reading") as busy:
        told = tables.accuracy_table(folder, tell=busy.update)
    if write is not None:
        stderr().print(f"wrote {tables.write_fitted(told, write)}")
    if as_json:
        print_json(told)
    else:
        tables.print_table(told, stdout())


@checks_app.command(
    "replay-check", rich_help_panel=CHECK, epilog="Example: gemel replay-check hall.gemel"
)
def replay_check(
    data: Annotated[Path, typer.Argument(help="a data directory, not running", metavar="DATA")],
    plant: Annotated[
        Path | None, typer.Option("--plant", help="its plant file; default: beside it")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the whole journal again and compare every digest: the same bits, or exit 4."""
    folder = find_data(data)
    plan = plan_of(plant or folder.resolve().parent)
    replay, stores = load("gemel.flow.replay"), load("gemel.store.ledger")
    snapshots = load("gemel.store.snapshots").Snapshots(folder / "snapshots")
    with load("gemel.store.lease").Lease(folder), stderr().status("replaying the journal"):
        journal = load("gemel.flow.journals").open_journal(plan, folder)
        ledger = stores.Ledger(f"sqlite:///{folder / 'ledger.db'}", readonly=True)
        try:
            told = replay.verify(plan, journal, ledger, snapshots)
        finally:
            journal.close()
            ledger.close()
    if as_json:
        print_json(told)
        return
    for part in told["skipped"]:
        span = f"ticks {part['from']} to {part['to']}"
        stdout().print(f"not replayed: {span}: {part['why']}", style="yellow")
    rows, entries = told["rows"], told["entries"]
    stdout().print(
        f"the same bits: {rows} ticks, {entries} entries, up to {format_instant(told['at'])}, "
        f"in {told['seconds']} s",
        style="green",
    )


@checks_app.command(rich_help_panel=CHECK)
def version(as_json: Json = False) -> None:
    """Versions of Gemel, Python and what the numbers depend on."""
    told = {"gemel": _installed("gemel"), "python": platform.python_version()}
    told |= {name: _installed(name) for name in ("numpy", "scipy", "deltalake", "duckdb")}
    told["machine"] = f"{platform.system()} {platform.machine()}"
    if as_json:
        print_json(told)
    else:
        stdout().print("\n".join(f"{name:10} {value}" for name, value in told.items()))


def _installed(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:
        return "from source"
