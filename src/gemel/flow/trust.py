"""How far telemetry can be leaned on: scores for people, and a veto for commands.

Owns    who is silent, what a source's clock says, the scores; why no command may follow a belief.
Never   judges a sample, and never lets a command through: it can only say no.
"""

from typing import Any

import numpy as np

from gemel.clock import SECOND, format_duration
from gemel.flow.fleet import Fleet, Plan
from gemel.flow.memory import Memory
from gemel.intake.clocks import lag_of
from gemel.records import REASONS

LEAST = 0.5  # share of good samples over the last day below which a twin may command nothing
DEAF = 6 * 3600.0  # s without a good reading of any sensor, after which a twin knows too little
DIGITS = 4  # of a score


def doubt(plan: Plan, fleet: Fleet, memory: Memory, row: int, now: int) -> str:
    """Why a row's inputs are not fresh and good at a frame's instant; "" when they are.

    An input's last good sample may be as old as its `max_age`, some sensor must have been heard,
    and most samples of the twins that feed the row must have been good over the last day.
    """
    grid, layout = fleet.grid, fleet.kernel.layout
    held_at = memory.fleets[fleet.binding.name].grid.held_at[row]
    ports = np.flatnonzero(grid.rows == row)
    slot = {int(grid.columns[k]): int(grid.slots[k]) for k in ports}
    for column, (name, signal) in enumerate(layout.inputs.items()):
        if column in slot and (now - held_at[column]) / SECOND > signal.max_age:
            return f"input {name} {_last(int(held_at[column]), now)}{_why(memory, slot[column])}"
    sensors = [column for column in slot if column >= grid.inputs]
    heard = max((int(held_at[column]) for column in sensors), default=now)
    if (now - heard) / SECOND > DEAF:
        return f"its last sensor {_last(heard, now)}"
    names = plan.rules.names[0]
    twins = np.unique(names.code[list(slot.values())])
    score = memory.quality.score.share(memory.quality.watermark, np.zeros(len(twins)), twins)
    for twin, share in zip(twins, score, strict=True):
        if share < LEAST:
            return f"only {share:.0%} of the samples of {names.words[twin]} were good of late"
    return ""


def _last(held_at: int, now: int) -> str:
    if not held_at:
        return "had no good sample yet"
    return f"had its last good sample {format_duration((now - held_at) / SECOND)} ago"


def _why(memory: Memory, slot: int) -> str:
    reason = REASONS[memory.quality.reason[slot]]
    return f" ({reason})" if reason else ""


def twins(plan: Plan, memory: Memory) -> dict[str, dict[str, Any]]:
    """Of every twin: its score, None when nothing was due, and its signals that are silent."""
    rules, quality, now = plan.rules, memory.quality, memory.quality.watermark
    twin, signal = rules.names
    since = rules.periods.silent(quality.heard, quality.began, now)
    still = since > 0
    slot = rules.periods.slots[still]
    worth = rules.periods.worth((now - since[still]) / SECOND, rules.periods.every[still])
    missing = np.zeros(len(twin.words))
    np.add.at(missing, twin.code[slot], worth)
    told: dict[str, dict[str, Any]] = {
        name: {"score": _score(share), "silent": []}
        for name, share in zip(twin.words, quality.score.share(now, missing).tolist(), strict=True)
    }
    for k, start in zip(slot.tolist(), since[still].tolist(), strict=True):
        told[twin[k]]["silent"].append({"signal": signal[k], "start": start})
    return told


def sources(memory: Memory) -> list[dict[str, Any]]:
    """Of every source: its score, the lag of its clock [s], and how often it gave which reason."""
    quality = memory.quality
    return [
        {
            "source": name,
            "score": _score(good / due if due else np.nan),
            "lag": lag_of(quality.lags.get(name, [])) / SECOND,
            "reasons": dict(quality.reasons.get(name, {})),
        }
        for name, (good, due, _) in sorted(quality.score.sources.items())
    ]


def _score(share: float) -> float | None:
    return None if np.isnan(share) else round(float(share), DIGITS)
