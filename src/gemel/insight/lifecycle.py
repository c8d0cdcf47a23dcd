"""From history to a promotion, and back: cut windows, prove a challenger, say yes or no, undo it.

Owns    how history becomes windows, what a proof holds, the rule of promotion, and an asset's
        version line.
Never   fits (kernels/fit.py does) and never reads a store: it is handed arrays.

    windows(history) ─► fit ─► prove(incumbent, challenger, later windows) ─► verdict
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.errors import Invalid
from gemel.kernels.base import Kernel
from gemel.kernels.fit import Windows, simulate
from gemel.kernels.gold import Verdict
from gemel.records import Floats, Instants

NINETY = 1.645  # of a normal residual, ± so many standard deviations hold 90 %
LEAST = 30  # judged rows below which a proof proves nothing


@dataclass(frozen=True)
class History:
    """One asset on its grid: instant (T,) ns · inputs (T,U) · readings (T,Y) · weight (T,Y).

    A missing value is NaN; weight says how much a reading counts, 0 = not judged.
    """

    instant: Instants
    inputs: Floats
    readings: Floats
    weight: Floats


@dataclass(frozen=True)
class Proof:
    """Two sets of values judged open loop on the same held-out readings.

    rmse, bias in the sensors' unit · coverage: share of the challenger's residuals inside ± 1.645
    trained spreads (0.9 when the spread is honest; NaN when none was given) · count of readings
    """

    incumbent_rmse: float
    challenger_rmse: float
    incumbent_bias: float
    challenger_bias: float
    coverage: float
    count: int


@dataclass(frozen=True)
class Version:
    """Parameters of one asset under one name, who gave them the word, and when (0: the start).

    parameters, stds: by name, stds in log where the scale is log · cov (P,P), in their order
    kernel: the identity that they were fitted for
    """

    name: str
    since: int
    kernel: str
    parameters: dict[str, float]
    stds: dict[str, float]
    cov: list[list[float]]
    by: str = ""
    why: str = ""


@dataclass(frozen=True)
class Change:
    """One event `promotion`: promote puts a version on the line, roll_back goes back."""

    twin: str
    binding: str
    action: str
    version: Version
    over: str = ""


def standing(start: Version, changes: Sequence[Change]) -> list[Version]:
    """An asset's version line: those that stand one on the other, the one that speaks last.

    >>> a, b, c = (Version(name, 0, "", {}, {}, []) for name in "abc")
    >>> moves = (("promote", b), ("promote", c), ("roll_back", b))
    >>> line = [Change("st1", "bearing", action, version) for action, version in moves]
    >>> [version.name for version in standing(a, line)]
    ['a', 'b']
    """
    line = [start]
    for change in changes:
        names = [version.name for version in line]
        if change.action == "roll_back" and change.version.name in names:
            del line[names.index(change.version.name) :]
        line.append(change.version)
    return line


def runs(history: History, every: float) -> list[tuple[int, int]]:
    """Unbroken stretches [first, last): every input there, one grid step between neighbours."""
    whole = np.asarray(np.isfinite(history.inputs).all(axis=1), np.bool_)
    step = np.diff(history.instant, prepend=history.instant[:1])
    regular = np.abs(step - every * SECOND) <= SECOND
    joined = whole & np.r_[False, whole[:-1]] & regular
    number = np.cumsum(~joined)
    edges = [*np.flatnonzero(np.diff(number, prepend=number[:1] - 1)).tolist(), len(number)]
    return [(a, b) for a, b in pairwise(edges) if whole[a]]


def windows(
    histories: Sequence[History],
    every: float,
    *,
    warm: int,
    judged: int,
    first: int | None = None,
    least: int = 6,
) -> Windows:
    """Cut histories into overlapping windows of `warm + judged` rows, side by side as lanes.

    Of each window the first `warm` rows only warm the states up (of a run's first window the first
    `first`), so no reading is judged twice. Windows with fewer than `least` judged rows are left
    out; a short one is padded with its last inputs, unjudged.
    """
    length = warm + judged
    first = warm if first is None else first
    rows: list[NDArray[np.int64]] = []
    keep: list[NDArray[np.bool_]] = []
    asset: list[int] = []
    for number, history in enumerate(histories):
        for start, end in runs(history, every):
            for begin in range(start, max(end - first, start), judged):
                index = np.arange(begin, begin + length)
                counts = (index < end) & (index - begin >= (warm if begin > start else first))
                index = np.minimum(index, end - 1)
                live = counts & (history.weight[index] > 0).any(axis=1)
                if live.sum() >= least:
                    rows.append(index)
                    keep.append(counts)
                    asset.append(number)
    if not rows:
        return _none(histories, length, every)
    return _gather(histories, rows, keep, asset, every)


def _gather(
    histories: Sequence[History],
    rows: list[NDArray[np.int64]],
    keep: list[NDArray[np.bool_]],
    asset: list[int],
    every: float,
) -> Windows:
    picks = list(zip(asset, rows, strict=True))
    inputs = np.stack([histories[a].inputs[index] for a, index in picks], axis=1)
    readings = np.stack([histories[a].readings[index] for a, index in picks], axis=1)
    weight = np.stack([histories[a].weight[index] for a, index in picks], axis=1)
    weight = weight * np.stack(keep, axis=1)[..., None] * np.isfinite(readings)
    readings = np.where(weight > 0, readings, 0.0)
    return Windows(inputs, readings, weight, np.array(asset), every, len(histories))


def _none(histories: Sequence[History], length: int, every: float) -> Windows:
    inputs = histories[0].inputs.shape[1] if histories else 0
    outputs = histories[0].readings.shape[1] if histories else 0
    readings = np.zeros((length, 0, outputs))
    empty = np.zeros(0, np.int64)
    return Windows(np.zeros((length, 0, inputs)), readings, readings, empty, every, len(histories))


def prove(
    kernel: Kernel,
    incumbent: Floats,
    challenger: Floats,
    held_out: Windows,
    *,
    spread: float | None = None,
) -> Proof:
    """Judge two sets of values, (P,) or (A,P), open loop on windows neither was fitted to.

    spread: the challenger's residual standard deviation on what it was fitted to.
    Raises `proof.no_readings` when the windows hold nothing to judge by.
    """
    mask = held_out.mask
    count = int(mask.sum())
    if not count:
        raise Invalid(
            "proof.no_readings",
            "the held-out windows hold no judged reading",
            mend="hold out more history, or wait for more of it",
        )
    shape = (held_out.assets, len(kernel.layout.parameters))
    sets = np.stack([np.broadcast_to(v, shape) for v in (incumbent, challenger)])
    read = simulate(kernel, held_out, sets)
    old, new = (held_out.readings[mask] - read[:, k][mask] for k in (0, 1))
    inside = np.nan if spread is None else float((np.abs(new) <= NINETY * spread).mean())
    return Proof(_rms(old), _rms(new), float(old.mean()), float(new.mean()), inside, count)


def verdict(proof: Proof, gold: Sequence[Verdict]) -> tuple[bool, str]:
    """Promoted only if the gold set passes and the challenger beats the incumbent; and why."""
    failed = [case for case in gold if not case.passed]
    if not gold:
        return False, "there is no gold set: nothing vouches for the kernel"
    if failed:
        worst = max(failed, key=lambda case: case.worst / max(case.tolerance, 1e-300))
        return False, (
            f"the gold set refuses it: {worst.case}, {worst.where} is off by {worst.worst:.3g} "
            f"(tolerance {worst.tolerance:.3g})"
        )
    told = (
        f"{proof.challenger_rmse:.2f} against {proof.incumbent_rmse:.2f} "
        f"on {proof.count} held-out readings"
    )
    if proof.count < LEAST:
        return False, f"too little to judge by: {told}"
    if not proof.challenger_rmse < proof.incumbent_rmse:  # also refuses NaN
        return False, f"it does not beat the incumbent: {told}"
    return True, f"it beats the incumbent: {told}"


def _rms(residual: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(residual))))
