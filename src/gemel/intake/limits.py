"""Limits for the quality stage, proposed from what a signal did.

Owns    the proposal, and the evidence that it rests on.
Never   hides the evidence: a person reads both before a limit is declared.

    range   from the 0.1 % to the 99.9 % quantile, and half their distance to spare on either side
    rate    twice the 99.9 % quantile of all changes, or half as much again as the largest honest
            one, whichever is more. A change is honest but for those to and from a spike, a reading
            that is half taken back within RETURNS samples: of spikes only the quantile tells.
    stuck   twice the longest run without a change; none for what stands still at half its samples
    every   the median time between samples, where nine of ten keep to it
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.records import Bools, Floats, Instants

RETURNS = 3  # samples
QUANTILES = (0.0, 0.001, 0.5, 0.999, 1.0)


@dataclass(frozen=True)
class Limits:
    """Limits of one signal; 0 = none is proposed. Times in s, rate in units per second.

    samples · quantiles (5,) of the values at QUANTILES · outside: the share out of the range
    usual, honest: the 99.9 % quantile of the changes, the largest honest one, per second
    spikes: changes to and from one, over twice the usual · run: the longest without a change ·
    change: the median
    """

    low: float
    high: float
    rate: float
    stuck: float
    every: float
    samples: int
    quantiles: tuple[float, ...]
    outside: float
    usual: float
    honest: float
    spikes: int
    run: float
    change: float

    @property
    def middle(self) -> float:
        """The median."""
        return self.quantiles[2]


def propose(asset: NDArray[np.int64], instant: Instants, value: Floats, *, floor: bool) -> Limits:
    """Limits of a signal from its samples on several assets.

    asset (N,), instant (N,) ns, sorted by both · value (N,), N > 0, finite · floor: what was never
    below 0 cannot be

    >>> t = np.arange(1000) * SECOND
    >>> calm = propose(t * 0, t, 20 + np.sin(t / SECOND / 50), floor=True)
    >>> calm.low, calm.high, calm.rate, calm.every
    (18.0, 22.0, 0.04, 1.0)
    """
    quantiles = tuple(float(q) for q in np.quantile(value, QUANTILES))
    least, low, _, high, _ = quantiles
    spare = 0.5 * (high - low) or 0.5 * abs(high) or 1.0
    bottom = 0.0 if floor and least >= 0 else -np.inf
    low, high = rounded(max(low - spare, bottom), -1), rounded(high + spare, 1)
    outside = float(((value < low) | (value > high)).mean())
    order = np.append(True, (asset[1:] != asset[:-1]) | (instant[1:] > instant[:-1]))
    asset, instant, value = asset[order], instant[order], value[order]
    on = np.flatnonzero(asset[1:] == asset[:-1])
    if len(on) < 2:
        return Limits(
            low, high, 0.0, 0.0, 0.0, len(value), quantiles, outside, 0.0, 0.0, 0, 0.0, 0.0
        )
    gone = (instant[on + 1] - instant[on]) / SECOND
    change = np.abs(value[on + 1] - value[on])
    rates, spike = change / gone, _spikes(asset, value, on)
    honest = ~(spike[on] | spike[on + 1])
    usual = float(np.quantile(rates, 0.999))
    largest = float(rates[honest].max(initial=0.0))
    every, run = float(np.median(gone)), _longest_run(asset, instant, value)
    still = float((change == 0).mean()) >= 0.5
    regular = float((np.abs(gone - every) <= 0.1 * every).mean()) >= 0.9
    return Limits(
        low,
        high,
        rounded(max(2 * usual, 1.5 * largest), 1),
        0.0 if still else max(2 * run, 20 * every),
        every if regular else 0.0,
        len(order),
        quantiles,
        outside,
        usual,
        largest,
        int((~honest & (rates > 2 * usual)).sum()),
        run,
        float(np.median(change)),
    )


def _spikes(asset: NDArray[np.int64], value: Floats, on: NDArray[np.int64]) -> Bools:
    """Which samples stand out and are half taken back within a few more: (N,)."""
    change, spike = np.abs(value[on + 1] - value[on]), np.zeros(len(value), np.bool_)
    open_ = change > 0
    for k in range(2, 2 + RETURNS):
        later = np.minimum(on + k, len(value) - 1)
        there = open_ & (on + k < len(value)) & (asset[later] == asset[on])
        back = there & (np.abs(value[later] - value[on]) < 0.5 * change)
        for between in range(1, k):
            spike[on[back] + between] = True
        open_ &= ~back
    return spike


def _longest_run(asset: NDArray[np.int64], instant: Instants, value: Floats) -> float:
    """The longest time without a change, s."""
    new = np.append(True, (asset[1:] != asset[:-1]) | (value[1:] != value[:-1]))
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(value)) - 1
    return float((instant[last] - instant[first]).max()) / SECOND


def rounded(value: float, side: int) -> float:
    """To two digits, outward: side −1 down, 1 up.

    >>> rounded(1234.0, 1), rounded(-0.0123, -1), rounded(0.0, 1)
    (1300.0, -0.013, 0.0)
    """
    if not np.isfinite(value) or value == 0:
        return 0.0 if value == 0 else value
    size = 10.0 ** (np.floor(np.log10(abs(value))) - 1)
    return float(f"{(np.floor if side < 0 else np.ceil)(value / size) * size:.6g}")
