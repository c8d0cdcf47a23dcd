"""What every command shares: the application, its options, its errors, its data directory.

Owns    the help's frame, the exit codes, what Ctrl-C does, and where a plant's data lies.
Never   does a command's work.

A command loads what it needs when it is called (`load`), so that help answers at once.
"""

import importlib
import json
import os
import signal
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gemel.errors import (
    Bug,
    Conflict,
    Denied,
    GemelError,
    Invalid,
    NotFound,
    Unavailable,
)

EXIT: list[tuple[type[GemelError], int]] = [
    (Invalid, 2),
    (NotFound, 3),
    (Conflict, 4),
    (Denied, 5),
    (Unavailable, 6),
    (Bug, 70),
]
PORT = 8787
STOPPED = 130

app = typer.Typer(
    name="gemel",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The digital-twin engine for Python.\n\n"
    "Begin with [bold]gemel demo[/], or with your own file: [bold]gemel init --from data.csv[/].",
    epilog="Exit codes: 0 done, 1 a check did not pass, 2 what you gave is wrong, 3 not found, "
    "4 it does not fit, 5 not allowed, 6 something is silent, 70 a bug, 130 stopped.",
)
runs_app = typer.Typer(
    help="List runs; start one; answer one that waits.",
    rich_markup_mode="rich",
    epilog='Example: gemel runs start refit --option binding=bearing --option "days=14"',
)
app.add_typer(runs_app, name="runs", rich_help_panel="A running plant")

MAKE, ASK, CHECK = "Start something", "A running plant", "Check and explain"
PlantArgument = Annotated[Path, typer.Argument(help="plant.toml, or its folder", metavar="PLANT")]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="GEMEL_DATA",
        help="the data directory; default: NAME.gemel beside the plant file",
        metavar="DIR",
        show_envvar=True,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Plain = Annotated[bool, typer.Option("--plain", help="lines instead of the live table")]
Port = Annotated[int, typer.Option("--port", help="0 takes a free one", min=0, max=65535)]
Why = Annotated[str, typer.Option("--why", help="your reason, for the record")]
By = Annotated[str, typer.Option("--by", help="who says so; default: your user name")]


def main() -> None:
    """The entry point: one place where an error becomes text and an exit code."""
    try:
        app()
    except GemelError as error:
        stderr().print(error_lines(error), soft_wrap=True)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def exit_code(error: GemelError) -> int:
    """The exit code of an error, by its class."""
    return next(code for kind, code in EXIT if isinstance(error, kind))


def error_lines(error: GemelError) -> Text:
    """An error as three lines: where and what, the mend, where to read on."""
    first, mend, more = str(error).rsplit("\n", 2)
    return Text.assemble((first, "bold red"), f"\n{mend}\n", (more, "dim"))


def load(name: str) -> Any:
    return importlib.import_module(name)


def stdout() -> Console:
    return Console(file=sys.stdout, highlight=False)


def stderr() -> Console:
    return Console(file=sys.stderr, highlight=False)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(load("gemel.server.answers").worded(value), indent=2))


def table(*names: str, wide: str) -> Table:
    """A plain table; the column `wide` takes what is left of the line."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        made.add_column(name, no_wrap=name != wide, overflow="fold")
    return made


def show(made: Table, empty: str) -> None:
    """Print a table, or what to say when it has no row."""
    if made.row_count:
        stdout().print(made)
    elif empty:
        stdout().print(empty, style="dim")


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Ctrl-C sets the event, so that the tick in hand is finished; a second one stops at once."""
    stop = threading.Event()

    def asked(number: int, frame: Any) -> None:
        if stop.is_set():
            os._exit(STOPPED)
        stop.set()
        sys.stderr.write("\nfinishing the tick in hand; Ctrl-C again stops at once\n")

    before = {n: signal.signal(n, asked) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ---- places -----------------------------------------------------------------------------------


def plan_of(plant: Path) -> Any:
    path = plant / "plant.toml" if plant.is_dir() else plant
    return load("gemel.flow.fleet").load_plan(path)


def data_of(plan: Any, data: Path | None) -> Path:
    return data or Path(plan.where) / f"{plan.plant.name}.gemel"


def find_data(data: Path | None) -> Path:
    """The data directory: the one given, that of ./plant.toml, or the only *.gemel here."""
    found = [path for path in sorted(Path().glob("*.gemel")) if path.is_dir()]
    if data is None and Path("plant.toml").is_file():
        data = _named_in(Path("plant.toml"))
    if data is None and len(found) == 1:
        data = found[0]
    if data is not None and (data / "ledger.db").exists():
        return data
    names = ", ".join(path.name for path in found)
    raise NotFound(
        "data.not_found",
        f"there is no data directory {data}" if data else "it is not clear which data is meant",
        mend="name it with --data DIR or in GEMEL_DATA, or go to the plant's folder"
        + (f"; here are: {names}" if names else ""),
    )


def _named_in(path: Path) -> Path | None:
    try:
        name = tomllib.loads(path.read_text(encoding="utf-8"))["plant"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return path.with_name(f"{name}.gemel")


def hint(data: Path) -> str:
    """What --data a later command needs to find this directory again; '' when none."""
    try:
        here = find_data(None).resolve() == data.resolve()
    except NotFound:
        here = False
    beside = os.path.relpath(data)
    return "" if here else min(str(data), beside, key=len)


def client(data: Path | None) -> Any:
    return load("gemel.server.client").Client(find_data(data))
