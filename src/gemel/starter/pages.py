"""The files of a new plant: plant.toml, kernel.py, README.md, commented for a reader.

Owns    their text.
Never   decides: everything it writes is in the story.
"""

import textwrap
from pathlib import Path

from gemel.clock import format_duration, format_instant
from gemel.intake.limits import Limits
from gemel.starter.story import Signal, Story


def plant_text(story: Story) -> str:
    """plant.toml."""
    warnings = "".join(f"# CHECK: {text}\n" for text in story.warnings)
    twins = "\n".join(f'[[twin]]\nid = "{twin}"\ninterface = "Asset"\n' for twin in story.twins)
    signals = "\n".join(_signal(signal) for signal in story.signals)
    every, lateness = _duration(story.every), _duration(story.lateness)
    return f"""\
# Started by gemel init from {story.source}: {story.rows} rows ({story.shape}),
# {format_instant(story.start)} to {format_instant(story.end)}.
# Every unit and limit below is a guess from that file. Read them once; change what is wrong.
{warnings}
[plant]
name = "{story.name}"
seed = 1
lateness = "{lateness}"    # how long an instant stays open for stragglers
skew = "5min"       # a sample further ahead of the clock than this is rejected
clock = {{ kind = "data" }}    # replays as fast as the machine can; for live data: "wall"

# ---- what an asset measures -----------------------------------------------------------------
# range: values outside are kept but not believed. rate: the largest credible change per second.
# stuck: how long a value may stand still before it is doubted. every: a sample in so long.

[interface.Asset.telemetry]
{signals}

# ---- the assets ------------------------------------------------------------------------------

{twins}
# ---- what speaks for them --------------------------------------------------------------------

[[binding]]
name = "first"
kernel = "kernel.py:{kernel_name(story)}"
interface = "Asset"
every = "{every}"
# once `limits` in kernel.py are yours:
# foresee = {{ every = "6h", horizon = "14d", paths = 200 }}

# ---- where the data comes from -----------------------------------------------------------------

[[source]]
name = "file"
kind = "csv"
path = "telemetry.csv"    # the tidy copy of {story.source}

# Live data comes in over HTTP (POST /api/v1/telemetry) under `gemel run`, or over MQTT:
# [[source]]
# name = "live"
# kind = "mqtt"
# url = "mqtt://user:password@host:1883"
# topic = "plant/+/telemetry"
"""


def _signal(signal: Signal) -> str:
    header = signal.header.replace("\n", " ")[:60]
    remark = f"# '{header}'; unit: {signal.guess}"
    if signal.said.outside > 0:
        remark += f"; {signal.said.outside:.2%} of its samples are outside"
    return f"{remark}\n{limits_line(signal.name, signal.unit, signal.said)}"


def limits_line(name: str, unit: str, said: Limits) -> str:
    """A signal's line of a plant file."""
    parts = [f'unit = "{unit}"', f"range = [{said.low:g}, {said.high:g}]"]
    if said.rate > 0:
        parts.append(f"rate = {said.rate:g}")
    if said.stuck > 0:
        parts.append(f'stuck = "{_duration(said.stuck)}"')
    if said.every > 0:
        parts.append(f'every = "{_exactly(said.every)}"')
    return f"{name} = {{ {', '.join(parts)} }}"


def _duration(seconds: float) -> str:
    """About so long, to a tenth of its unit."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{round(seconds / size, 1):g}{unit}"
    return _exactly(seconds)


def _exactly(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{round(seconds, 3):g}s"


def kernel_name(story: Story) -> str:
    """The kernel's class name."""
    return "".join(part.capitalize() for part in story.target.split("_") if part) + "Lag"


def kernel_text(story: Story) -> str:
    """kernel.py: a first-order lag of the target behind a line in its inputs."""
    target = story.signal(story.target)
    unit, declared = target.unit, "".join(f"    {line}\n" for line in _declared(story))
    settles = " + ".join(["p.offset", *(f"p.gain_{n} * u.{n}" for n in story.inputs)])
    follows = " and ".join(story.inputs) or "its mean"
    begins = f"start={target.said.middle:.6g}, start_std={{std:.3g}}, noise={story.wander:.3g}"
    about = textwrap.fill(
        f"{story.target} follows {follows} with a lag. The constants are a line through the file; "
        "what they mean physically is for you to say. When you change the equations, give it a "
        "new version.",
        99,
    )
    spread = max(3 * story.noise, 0.02 * abs(story.offset), 1e-6)
    signal = ", signal" if story.inputs else ""
    return f'''\
"""A first kernel, started by gemel init from {story.source}. Change it: it is yours.

{about}
"""

from typing import Any

from gemel.kernels.base import Kernel, parameter, sensor{signal}, state


class {kernel_name(story)}(Kernel):
    """T' = (settles - T) / lag, settles = offset + sum of gain * input."""

    version = "0.1"

    # what the asset is: the value to begin with, how sure of it, how much it wanders per sqrt(s)
    actual = state("{unit}", {begins.format(std=3 * spread)})

    # what drives it, and the constants of one asset (typical of the fleet, spread between assets)
{declared}    offset = parameter("{unit}", typical={story.offset:.6g}, spread={spread:.3g})
    lag = parameter("s", typical={story.lag:.6g}, spread=0.5, scale="log", bounds=(1e-3, 1e8))

    # what is measured: one standard deviation of a reading
    {story.target} = sensor("{unit}", noise={story.noise:.3g})

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Time derivatives of the states."""
        settles = {_broken(settles)}
        return {{"actual": (settles - x.actual) / p.lag}}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """What the instruments should read."""
        return {{"{story.target}": x.actual}}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Margin per failure mode: 1 as usual, 0 failed. Put your own limit here."""
        return {{"too high": ({target.said.high:g} - x.actual) / {_margin(target):g}}}
'''


def _declared(story: Story) -> list[str]:
    """The inputs, then the gain of each."""
    unit, age = story.signal(story.target).unit, f"{5 * story.every:g}"
    units = {name: story.signal(name).unit for name in story.inputs}
    signals = [f'{name} = signal("{its}", max_age={age})' for name, its in units.items()]
    return signals + [
        f'gain_{name} = parameter("{unit} per {its}", '
        f"typical={story.gains[name]:.6g}, spread={story.spreads[name]:.3g})"
        for name, its in units.items()
    ]


def _margin(target: Signal) -> float:
    return max(target.said.high - target.said.middle, 1e-9)


def _broken(settles: str) -> str:
    if len(settles) < 80:
        return settles
    return "(\n            " + settles.replace(" + ", "\n            + ") + "\n        )"


def readme_text(story: Story, folder: Path) -> str:
    """README.md: what to type next."""
    warnings = "".join(f"* {text}\n" for text in story.warnings) or "* nothing odd was seen\n"
    every, twin, name = format_duration(story.every), story.twins[0], folder.name
    first = story.signals[0]
    values = f'{{"{first.name}": {first.said.middle:.4g}}}'
    sample = f'{{"twin": "{twin}", "time": "2026-03-01T12:00:00Z", "values": {values}}}'
    counts = f"{len(story.twins)} twin(s), {len(story.signals)} signal(s)"
    follows = ", ".join(story.inputs) or "its mean"
    return f"""\
# {story.name}: a first twin

Started by `gemel init` from `{story.source}`: {counts}, every {every}.

| file | what it is |
| --- | --- |
| `plant.toml` | twins, units, limits, where data comes from; every guess is a comment |
| `kernel.py` | what a twin believes: `{story.target}` follows {follows} |
| `telemetry.csv` | the tidy copy of your file that the plant replays |

What to look at:

{warnings}
## Next, from the folder above

```
gemel replay {name}                 # every sample through the twin, as fast as this machine can
gemel status   --data {name}/{story.name}.gemel
gemel findings --data {name}/{story.name}.gemel
```

Then change `kernel.py`, give it a new version, remove `{story.name}.gemel`, replay again.
For live data set `clock = {{ kind = "wall" }}`, remove the file source, and:

```
gemel run {name}
curl -H "Authorization: Bearer $(cat {name}/{story.name}.gemel/token)" \\
  -d '{sample}' \\
  http://127.0.0.1:8787/api/v1/telemetry
```
"""
