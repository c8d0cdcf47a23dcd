"""Policies: from a finding to a proposal, each option tried on copies of the twin first.

Owns    which options are tried, and which one is put before a person.
Never   sends, and never says yes: a policy proposes, a guard refuses, a person approves.

Every option runs on a copy of the same twin with the same random numbers as doing nothing, so two
plans are compared by their paired difference.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gemel.kernels.base import Kernel
from gemel.kernels.forecast import Foreseen, foresee
from gemel.records import Floats

LOOKS = 24  # instants of a trial that are kept, from now to the horizon
DIGITS = 3  # of a health index that is kept


@dataclass(frozen=True)
class Option:
    """One thing that could be done: which input it sets or caps, and to what."""

    command: str
    argument: float
    input: str
    how: str


@dataclass(frozen=True)
class Tried:
    """An option after its trial: chance (of a limit before the deadline), inputs (K,U)."""

    option: Option | None
    chance: float
    first: Floats
    inputs: Floats
    foreseen: Foreseen
    row: int


def try_options(
    kernel: Kernel,
    mean: Floats,
    cov: Floats,
    p: Floats,
    p_cov: Floats,
    inputs: Floats,
    dt: float,
    options: list[Option],
    *,
    key: int,
    seed: int,
    paths: int,
    deadline: float,
) -> list[Tried]:
    """Doing nothing first, then every option: the same twin, the same draws.

    mean (X,) · cov (X,X) · p (P,) · p_cov (P,P) · inputs (K,U) ahead · deadline s
    """
    names = list(kernel.layout.inputs)
    plans = [inputs] + [_with(inputs, names, option) for option in options]
    count = len(plans)
    seen = foresee(
        kernel,
        np.tile(mean, (count, 1)),
        np.tile(cov, (count, 1, 1)),
        np.tile(p, (count, 1)),
        np.tile(p_cov, (count, 1, 1)),
        np.stack(plans, axis=1),
        dt,
        keys=np.full(count, key, np.uint64),
        seed=seed,
        paths=paths,
        scenario="usual day",
        looks=LOOKS,
    )
    return [
        Tried(
            option,
            float((seen.first(row) <= deadline).mean()),
            seen.first(row),
            plans[row],
            seen,
            row,
        )
        for row, option in enumerate([None, *options])
    ]


def choose(tried: list[Tried], costs: list[float], chance: float) -> int:
    """The cheapest option that brings the chance under `chance`; else the one that lowers it most.

    0 means: none of them is better than doing nothing.
    """
    enough = [k for k in range(1, len(tried)) if tried[k].chance <= chance]
    if enough:
        return min(enough, key=lambda k: costs[k])
    best = min(range(len(tried)), key=lambda k: (tried[k].chance, costs[k]))
    return best if tried[best].chance < tried[0].chance else 0


def told(tried: Tried) -> dict[str, Any]:
    """One trial as plain data: chance, the time to each limit, and how far it is until then.

    fan: {every: s, health: {mode: {quantile: index (LOOKS + 1,)}}}
    """
    seen = tried.foreseen
    return {
        "command": tried.option.command if tried.option else "",
        "argument": tried.option.argument if tried.option else None,
        "chance": tried.chance,
        "rul": [rul.as_record() for rul in seen.rul(tried.row)],
        "fan": {
            "every": seen.horizon / LOOKS,
            "health": {
                mode: {q: values.round(DIGITS).tolist() for q, values in lines.items()}
                for mode, lines in seen.fan(tried.row).items()
            },
        },
    }


def _with(inputs: Floats, names: list[str], option: Option) -> Floats:
    changed = inputs.copy()
    k = names.index(option.input)
    changed[:, k] = (
        np.minimum(changed[:, k], option.argument) if option.how == "cap" else option.argument
    )
    return changed
