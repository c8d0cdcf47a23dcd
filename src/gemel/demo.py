"""The demo: real wind turbines replayed, a steam hall that obeys, one loop from data to command.

Owns    what `gemel demo` sets up: history, fits, the plant's own process, the server.
Never   takes another way than a user's plant would: same sources, same tick, same ledger.
"""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from gemel.clock import ManualClock, PacedClock, format_instant
from gemel.console import hint, stopping
from gemel.display import watch
from gemel.errors import NotFound, Unavailable
from gemel.flow.fleet import Plan, load_plan
from gemel.flow.host import Host
from gemel.graph.plantfile import SourceSpec
from gemel.plant.simulator import PlantConfig, await_plant, history
from gemel.plant.truth import START
from gemel.plant.wires import ToMqtt
from gemel.server.app import serve

DAYS = 8.0  # of history before the demo begins
WIND = "scada"  # the source of the wind example
Say = Callable[[str], None]


def examples() -> Path:
    """The examples' folder: of the installed package, or of the checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "examples", here.parents[1] / "examples"):
        if (folder / "demo" / "plant.toml").exists():
            return folder
    raise NotFound("demo.no_examples", "the examples are not there", mend="reinstall gemel")


def run_demo(
    data: Path,
    port: int,
    speed: float,
    *,
    seconds: float | None = None,
    plain: bool = False,
) -> None:
    """Set up (the first time), run until Ctrl-C or `seconds` are over, and put all away."""
    err = Console(stderr=True)
    began = time.monotonic()

    def say(what: str) -> None:
        head = f"[dim]{time.monotonic() - began:6.1f} s[/]  "
        err.print(head + what, highlight=False, soft_wrap=True)

    plant = PlantProcess()
    host = begin(data, speed, say)
    try:
        with stopping() as asked, serve(host, port) as server:
            plant.run(host)
            _refit(host, say)
            say(f"live: {server.link}")
            watch(host, asked, plain=plain, seconds=seconds, data=hint(data))
    finally:
        try:
            plant.stop()  # first, so that nothing it says is missed
        finally:
            host.stop()
    if host.failure is not None:
        raise host.failure


def begin(data: Path, speed: float, say: Say) -> Host:
    """A running host on the demo's plant; the first time with history replayed and fits made."""
    plan = load_plan(examples() / "demo" / "plant.toml")
    if not (data / "ready").exists():
        learn(plan, data, say)
        (data / "ready").touch()
    clock = {**plan.plant.clock, "speed": speed}
    wind = plan.plant.sources[WIND]
    since = replace(wind, options={**wind.options, "since": format_instant(START)})
    sources = {**plan.plant.sources, WIND: since}
    return Host(
        replace(plan, plant=replace(plan.plant, clock=clock, sources=sources)), data
    ).start()


class PlantProcess:
    """The steam hall in a process of its own, which loads while the host gets ready."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        told, self._tell = spawn.Pipe(duplex=False)
        self._process = spawn.Process(
            target=await_plant, args=(told,), name="gemel-plant", daemon=True
        )
        self._process.start()
        told.close()

    def run(self, host: Host) -> None:
        """On the host's clock, over MQTT."""
        clock, address = host.clock, host.broker_address
        assert isinstance(clock, PacedClock) and address is not None
        at, wall, speed = clock.start, clock.wall, clock.speed
        self._tell.send(PlantConfig(host.data, ToMqtt(address), at=at, wall=wall, speed=speed))

    def stop(self) -> None:
        """End it, saved."""
        self._process.terminate()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            raise Unavailable("demo.plant", "the plant did not stop", mend="start the demo again")


def learn(plan: Plan, data: Path, say: Say, days: float = DAYS) -> None:
    """Replay the days before the demo as fast as the machine can, through the same path."""
    say(f"writing {days:g} days of the steam hall's history")
    data.mkdir(parents=True, exist_ok=True)
    path = _history(plan, data, days).resolve()
    sources = {name: spec for name, spec in plan.plant.sources.items() if spec.options.get("ahead")}
    sources["history"] = SourceSpec("history", "csv", {"path": str(path)})
    past = replace(plan.plant, sources=sources, clock={"kind": "data"}, triggers=[])
    say("replaying it through the same path that live telemetry takes")
    with Host(replace(plan, plant=past), data, clock=ManualClock()) as host:
        _until(host.wait, host)


def _refit(host: Host, say: Say) -> None:
    """By request, once: fit on the older part, prove on the later, promote by rule."""
    if not host.ledger.runs(limit=1):
        options = {"binding": "bearing", "days": DAYS, "approve": "rule"}
        run = host.start_run("refit", options, started_by="request demo")
        say(f"run {run['id']}: every steam bearing is fitted on its history and proved")


def _until(done: Callable[[float], bool], host: Host) -> None:
    while not done(0.2):
        pass
    if host.failure is not None:
        raise host.failure


def _history(plan: Plan, data: Path, days: float) -> Path:
    """Steam history and the wind rows before the demo's start, one wide file in order of time."""
    steam_path, path = data / "steam-history.csv", data / "history.csv"
    history(steam_path, days, end_at=START, every=600.0)
    steam = pl.read_csv(steam_path).with_columns(pl.col("time").str.to_datetime(time_zone="UTC"))
    joined = pl.concat([steam, _wind_before(plan)], how="diagonal_relaxed").sort(
        "time", maintain_order=True
    )
    stamp = pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    joined.with_columns(stamp).write_csv(path, float_precision=4)
    steam_path.unlink()
    return path


def _wind_before(plan: Plan) -> pl.DataFrame:
    """The wind rows of the last days before the start, with our names."""
    options: dict[str, Any] = plan.plant.sources[WIND].options
    columns = {theirs: ours for ours, theirs in options.get("columns", {}).items()}
    table = pl.read_parquet(options["path"]).rename(columns)
    when = pl.col("time").dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    start = pl.lit(format_instant(START)).str.to_datetime(time_zone="UTC")
    table = table.with_columns(when)
    recent = (pl.col("time") <= start) & (pl.col("time") > start - pl.duration(days=4))
    return table.filter(recent)
