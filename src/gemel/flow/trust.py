"""How far telemetry can be leaned on: scores for people, and a veto for commands.

Owns    who is silent, what a source's clock says, the scores; why no command may follow a belief.
Never   judges a sample, and never lets a command through: it can only say no.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gemel.clock import SECOND, format_duration
from gemel.flow.fleet import Fleet, Plan
from gemel.flow.memory import Memory
from gemel.flow.seats import Numbers
from gemel.intake.clocks import lag_of
from gemel.intake.score import Score
from gemel.records import REASONS, Bools, Floats, Instants

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


@dataclass(frozen=True)
class Trust:
    """What was heard of every twin, as it stood: a copy, worked out when it is asked for.

    now: ns · began: the first sample's `received_at` · good, due (W,): sums of the twins that have
    telemetry, as they were worth at `at` (W,) · heard (E,): newest instants of what has a period
    """

    plan: Plan
    now: int
    began: int
    good: Floats
    due: Floats
    at: Instants
    heard: Instants

    @staticmethod
    def of(plan: Plan, memory: Memory) -> "Trust":
        """As it is now."""
        quality, score = memory.quality, memory.quality.score
        return Trust(
            plan,
            quality.watermark,
            quality.began,
            score.good.copy(),
            score.due.copy(),
            score.at.copy(),
            quality.heard.copy(),
        )

    @cached_property
    def since(self) -> Instants:
        """Since when each signal with a period is silent: (E,) ns, 0 = it is not."""
        return self.plan.rules.periods.silent(self.heard, self.began, self.now)

    @cached_property
    def _twin(self) -> Numbers:
        """The twin of each signal with a period: (E,)."""
        slots = self.plan.rules.periods.slots
        return np.searchsorted(self.plan.seats.first, slots, side="right") - 1

    @cached_property
    def score(self) -> Floats:
        """The share of good samples of every twin: (T,), NaN where nothing was due."""
        seats, periods = self.plan.seats, self.plan.rules.periods
        still = np.flatnonzero(self.since > 0)
        gone = (self.now - self.since[still]) / SECOND
        worth = periods.worth(gone, periods.every[still])
        missing = np.zeros(len(seats.ids))
        np.add.at(missing, self._twin[still], worth)
        score = np.full(len(seats.ids), np.nan)
        score[seats.heard] = Score(self.good, self.due, self.at).share(
            self.now, missing[seats.heard]
        )
        return score

    @cached_property
    def silent(self) -> Bools:
        """The twins of whose signals with a period none is heard: (T,)."""
        count = len(self.plan.seats.ids)
        due = np.bincount(self._twin, minlength=count)
        gone = np.bincount(self._twin[self.since > 0], minlength=count)
        return np.asarray((due > 0) & (due == gone))

    @cached_property
    def partly_silent(self) -> Bools:
        """The twins of whose signals with a period some is not heard: (T,)."""
        gone = np.bincount(self._twin[self.since > 0], minlength=len(self.plan.seats.ids))
        return np.asarray(gone > 0)

    def told(self, number: int) -> dict[str, Any]:
        """The score of one twin, None when nothing was due, and its signals that are silent."""
        slots, signal = self.plan.rules.periods.slots, self.plan.rules.names[1]
        low, high = np.searchsorted(slots, self.plan.seats.first[number : number + 2])
        still = low + np.flatnonzero(self.since[low:high] > 0)
        return {
            "score": _score(self.score[number]),
            "silent": [{"signal": signal[slots[k]], "start": int(self.since[k])} for k in still],
        }


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
