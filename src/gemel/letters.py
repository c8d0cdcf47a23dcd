"""Commands on what could not be used: `gemel dead`, `gemel redrive`.

Owns    how dead letters are shown and asked for again.
Never   reads the stores: it asks the running server.
"""

import getpass
from typing import Annotated

import typer

from gemel.console import ASK, By, Data, Json, Why, client, print_json, show, stdout, table

letters_app = typer.Typer(rich_markup_mode="rich")
Source = Annotated[str | None, typer.Option(help="of this source only")]


@letters_app.command(rich_help_panel=ASK, epilog="Example: gemel dead --code sample.unknown_twin")
def dead(
    data: Data = None,
    source: Source = None,
    code: Annotated[str | None, typer.Option(help="of this reason: gemel explain CODE")] = None,
    text: Annotated[str | None, typer.Option(help="somewhere in twin, signal or message")] = None,
    limit: Annotated[int, typer.Option(help="the newest so many", min=1, max=1000)] = 50,
    as_json: Json = False,
) -> None:
    """What could not be read or was refused, and why; the newest first."""
    with client(data) as asked:
        found = asked.get("dead-letters", source=source, code=code, text=text, limit=limit)["items"]
    if as_json:
        print_json(found)
        return
    made = table("at", "source", "why", "what", wide="what")
    for letter in found:
        what = ".".join(letter[k] for k in ("twin", "signal") if letter.get(k))
        value = f" = {letter['value']}" if "value" in letter else ""
        head = str(letter.get("message", "")) + "  " + str(letter.get("head", ""))[:60]
        made.add_row(letter.get("at"), letter["source"], letter["code"], (what + value) or head)
    show(made, "nothing was refused, and everything could be read")


@letters_app.command(
    rich_help_panel=ASK,
    epilog='Example: gemel redrive --source hall --why "st9 is in the plant file now"',
)
def redrive(
    why: Why,
    data: Data = None,
    source: Source = None,
    start: Annotated[str | None, typer.Option("--from", help="samples from this instant")] = None,
    end: Annotated[str | None, typer.Option("--to", help="samples before this instant")] = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Take in once more what was parked as late, or refused by rules that have changed since."""
    wanted = {"source": source, "start": start, "end": end}
    body = {key: value for key, value in wanted.items() if value is not None}
    with client(data) as asked:
        told = asked.post("redrive", {**body, "why": why, "by": by or getpass.getuser()})
    if as_json:
        print_json(told)
        return
    late, refused = (sum(told[kind].values()) for kind in ("late", "rejected"))
    stdout().print(f"{late} late and {refused} refused samples are taken in once more")
