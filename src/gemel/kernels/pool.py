"""Fit a fleet: what its assets have in common is learned with them, and the poor lean on it.

Owns    the population θ_a ~ N(B z_a, Σ) of a fleet, and each asset's answer under it.
Never   simulates: `kernels/fit.py` does, for the assets whose answer has moved.

Empirical Bayes by expectation–maximisation on Laplace approximations. A fit under the population
so far leaves, of every asset, what its readings alone say near their answer θ₀: a slope g and a
curvature H. On these a better population is found in closed form, without a simulation,

    C_a = (H_a + Σ⁻¹)⁻¹      E θ_a = θ₀ + C_a (g_a − Σ⁻¹ (θ₀ − B z_a)) + δ_a
    B   by least squares, weighted by Σ⁻¹ − Σ⁻¹ C_a Σ⁻¹, what asset a itself knows of its B z_a
    Σ   from S = Σ_a E[(θ_a − B z_a)(θ_a − B z_a)'] = (A − n) Σ + n Σ D⁻¹ Σ

then the assets whose answer has moved are fitted again. A step is kept when it makes the readings
of the whole fleet more likely, else it is shortened.

* δ_a = −½ C_a ∇ log |H_a(θ) + Σ⁻¹|: few samples leave a crooked posterior, whose mean is not its
  mode. Left out, a thousand small biases add up in B.
* The last line is a Wishart prior on Σ whose mode is D, the kernel's declared spreads: a fleet that
  says nothing keeps them, one that says much is S / (A − n), and few assets do not give a
  degenerate Σ. n = (P + 3) / 2, so that the intervals hold for small fleets too, though they take
  Σ for known: 2 for one parameter, as a uniform prior on its variance has it, and more for more,
  since the narrowest direction of several is the one that is underrated. The typical values count
  as one more asset.
* The doubt about B is in Σ, and in every answer.
* How large an asset's residuals are, and how much neighbours resemble each other, leans on the
  fleet in the same manner.

Source: Dempster, Laird, Rubin (1977); Laird & Ware (1982), for B's doubt in Σ; Tierney & Kadane
(1986), for δ; Chung, Gelman, Rabe-Hesketh, Liu, Dorie (2015), for the prior of Σ; Morris & Tang
(2011), for its n; DerSimonian & Laird (1986), for the residuals.
"""

from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gemel.errors import Invalid
from gemel.kernels.base import Kernel
from gemel.kernels.fit import (
    Fit,
    Loss,
    Prior,
    Windows,
    bounds,
    fit,
    natural,
    prior_of,
    transformed,
    unidentified,
)
from gemel.records import Floats

Rows = NDArray[np.int64]

LEANS = 0.1  # the share of an answer that is the fleet's, from which its mean is told from its mode
ASTRAY = 0.02  # posterior stds by which an answer may leave the place it was looked at from
FAR = 4.0  # mean squared spreads from the centre from which an asset may have lost its way
FEW, FINELY = 12, 1e-8  # rounds of a fit that sets out from where it should end, and its `settle`
ENOUGH = 0.05  # a gain in log likelihood, of the whole fleet, that is not worth another round
TURNS = 500  # of the population on the same evidence, at most
UNKNOWN = 1e12  # the variance of what is not known


@dataclass(frozen=True)
class Population:
    """What the assets of a fleet have in common: θ ~ N(B z, Σ), in log where the scale is log.

    effects (P,C): B; its first column belongs to z₁ = 1, the others are per unit of a covariate
    cov (P,P): Σ, how assets scatter · doubt (C,P,C,P): the covariance of B, by column and row

    >>> fleet = Population(np.array([[1.0, 0.5]]), np.array([[0.04]]), np.zeros((2, 1, 2, 1)))
    >>> fleet.prior(np.array([[0.0], [2.0]])).centre
    array([[1.],
           [2.]])
    """

    effects: Floats
    cov: Floats
    doubt: Floats

    def prior(self, covariates: Floats | None = None) -> Prior:
        """What the fleet says of assets that have told nothing yet, given their covariates (A,K).

        Its spread is Σ's, with the doubt about B on top. A fleet without covariates has one prior
        for any number of assets.
        Raises `fit.covariates` when they are not those that the fleet was learned with.
        """
        known = np.zeros((1, 0)) if covariates is None else np.asarray(covariates, np.float64)
        if known.ndim != 2 or known.shape[1] != self.effects.shape[1] - 1:
            raise Invalid(
                "fit.covariates",
                f"the fleet was learned with {self.effects.shape[1] - 1} covariates of an asset, "
                f"and got an array of {known.shape}",
                mend="give one row an asset and one column a covariate, those of the fit",
            )
        z = np.column_stack([np.ones(len(known)), known])
        prior = Prior(z @ self.effects.T, self.cov + _blur(z, self.doubt))
        return prior if covariates is not None else Prior(prior.centre[0], prior.cov[0])


@dataclass(frozen=True)
class FleetFit:
    """The answer of every asset, and what of it is the fleet's.

    values (A,P) · stds (A,P) and cov (A,P,P) of θ · rmse (A,), NaN without a reading · samples (A,)
    shrink (A,P): posterior variance over Σ's, 0 = all the asset's own, 1 = all the fleet's
    lean (A,): the same of the asset as a whole
    unidentifiable: per asset, what its readings say nothing about, in `fit.unidentified`'s words
    rounds: how often assets were fitted again
    """

    values: Floats
    stds: Floats
    cov: Floats
    rmse: Floats
    samples: NDArray[np.int64]
    shrink: Floats
    lean: Floats
    unidentifiable: list[list[str]]
    population: Population
    rounds: int


def fit_fleet(
    kernel: Kernel,
    windows: Windows,
    covariates: Floats | None = None,
    rounds: int = 12,
    *,
    loss: Loss | None = None,
) -> FleetFit:
    """Parameters of every asset, with their uncertainty, each leaning on the others.

    covariates (A,K): what is known of an asset and may move its parameters: its size, age, make
    rounds: how often, at most, assets are fitted again under a population that was learned

    An asset without a reading is what its covariates make of it. A fleet with no more assets than
    B has columns, 1 + K, says nothing of its population: the kernel's own prior stands.

    Raises `fit.no_samples` when no asset has a reading, `fit.covariates` when one is missing.
    """
    z, scaling = _design(covariates, windows.assets)
    readings = np.bincount(windows.asset, windows.mask.sum(axis=(0, 2)), windows.assets)
    rows = np.flatnonzero(readings) if readings.any() else np.arange(windows.assets)
    alone = fit(kernel, windows.only(rows), loss=loss)
    told = _Evidence.none(kernel, windows.assets).renewed(kernel, alone, rows)
    people, done = _declared(kernel, z), 0
    if len(rows) > z.shape[1]:
        fleet = _Fleet(kernel, windows, _leant(windows, alone, rows, loss or Loss()), z)
        told = told.renewed(kernel, fleet.fitted(told.at, prior_of(kernel), rows, 0), rows)
        told = fleet.looked_at(told, people, fleet.astray(told, people))
        people, told, done = fleet.settled(people, told, rounds)
    belief = _believed(kernel, told, z, people)
    cov = belief.cov + belief.pull @ _blur(z, people.doubt) @ belief.pull.swapaxes(1, 2)
    return FleetFit(
        natural(kernel, belief.mean),
        np.sqrt(np.diagonal(cov, axis1=1, axis2=2)),
        cov,
        told.rmse,
        told.samples,
        np.diagonal(belief.cov, axis1=1, axis2=2) / np.diagonal(people.cov),
        _lean(belief),
        unidentified(kernel, told.information),
        _unscaled(people, scaling),
        done,
    )


def population(kernel: Kernel, found: Fit, covariates: Floats | None = None) -> Population:
    """What a fleet's fits say of its next asset, without a simulation; covariates (A,K).

    `fit(kernel, windows, prior=population(kernel, found).prior())` leans a newcomer on its fleet.
    """
    z, scaling = _design(covariates, len(found.values))
    people = _declared(kernel, z)
    if len(z) > z.shape[1]:
        rows = np.arange(len(z))
        told = _Evidence.none(kernel, len(z)).renewed(kernel, found, rows)
        people = _better(kernel, told, z, people)
    return _unscaled(people, scaling)


@dataclass(frozen=True)
class _Evidence:
    """What an asset's readings say: J ≈ misfit − 2 slope'(θ − at) + (θ − at)' information (θ − at).

    misfit (A,) · at, slope (A,P) · information (A,P,P) · shift (A,P): δ, from mode to mean
    sigma (A,Y), fresh (A,): the sizes that these hold for
    """

    at: Floats
    misfit: Floats
    slope: Floats
    information: Floats
    shift: Floats
    sigma: Floats
    fresh: Floats
    rmse: Floats
    samples: NDArray[np.int64]

    @staticmethod
    def none(kernel: Kernel, assets: int) -> "_Evidence":
        """Assets that have told nothing."""
        centre, outputs = prior_of(kernel).centre, len(kernel.layout.outputs)
        count = len(centre)
        return _Evidence(
            at=np.tile(centre, (assets, 1)),
            misfit=np.zeros(assets),
            slope=np.zeros((assets, count)),
            information=np.zeros((assets, count, count)),
            shift=np.zeros((assets, count)),
            sigma=np.ones((assets, outputs)),
            fresh=np.ones(assets),
            rmse=np.full(assets, np.nan),
            samples=np.zeros(assets, np.int64),
        )

    def renewed(self, kernel: Kernel, found: Fit, rows: Rows) -> "_Evidence":
        """This evidence, with some assets' looked at anew; one that ran away keeps what it had."""
        sound = np.isfinite(found.misfit)
        columns = {item.name: getattr(self, item.name).copy() for item in fields(self)}
        for name, column in columns.items():
            if hasattr(found, name):
                column[rows[sound]] = getattr(found, name)[sound]
        columns["at"][rows[sound]] = transformed(kernel, found.values[sound])
        columns["shift"][rows[sound]] = 0.0
        return _Evidence(**columns)

    def taking(self, other: "_Evidence", rows: Rows) -> "_Evidence":
        """This evidence, with that of some assets from another."""
        columns = {item.name: getattr(self, item.name).copy() for item in fields(self)}
        for name, column in columns.items():
            column[rows] = getattr(other, name)[rows]
        return _Evidence(**columns)


@dataclass(frozen=True)
class _Belief:
    """Answers given B: mode, mean (A,P) · cov (A,P,P) · pull (A,P,P) = ∂mode/∂(B z)."""

    mode: Floats
    mean: Floats
    cov: Floats
    pull: Floats


@dataclass(frozen=True)
class _Fleet:
    """Assets that can be looked at again: loss with sigma (A,Y) and fresh (A,) · z (A,C)."""

    kernel: Kernel
    windows: Windows
    loss: Loss
    z: Floats

    def settled(
        self, people: Population, told: _Evidence, rounds: int
    ) -> tuple[Population, _Evidence, int]:
        """Better populations, and looks at the assets under them, until nothing is gained."""
        told = self.bent(told, people, np.flatnonzero(told.samples))
        cost = _cost(self.kernel, told, self.z, people)
        aim, share, done = _better(self.kernel, told, self.z, people), 1.0, 0
        while done < rounds and share > 0.01:
            done += 1
            tried = _between(people, aim, share)
            astray = self.astray(told, tried)
            seen = self.looked_at(told, tried, astray)
            gain = cost - (new := _cost(self.kernel, seen, self.z, tried))
            if not gain > -1e-6 * abs(cost):
                share *= 0.3
                continue
            people, cost, share = tried, new, min(1.0, 2.0 * share)
            told = self.bent(seen, people, astray)
            if gain < ENOUGH:
                break
            aim = _better(self.kernel, told, self.z, people)
        return people, told, done

    def astray(self, told: _Evidence, people: Population) -> Rows:
        """The assets whose answer under `people` is not where they were looked at."""
        belief = _believed(self.kernel, told, self.z, people)
        stds = np.sqrt(np.diagonal(belief.cov, axis1=1, axis2=2))
        moved = (np.abs(belief.mode - told.at) / stds).max(axis=1)
        return np.flatnonzero((moved > ASTRAY) & (told.samples > 0))

    def looked_at(self, told: _Evidence, people: Population, rows: Rows) -> _Evidence:
        """The evidence with some assets fitted again, from where their answer is expected.

        One that ends far from its fleet may have lost its way: it also tries from the centre.
        """
        if not len(rows):
            return told
        centre = self.z @ people.effects.T
        prior = Prior(centre, people.cov).only(np.arange(len(centre)))
        mode = _believed(self.kernel, told, self.z, people).mode
        near = self._cost_at(told.at, prior, rows) < self._cost_at(mode, prior, rows)
        mode[rows[near]] = told.at[rows[near]]
        first = told.renewed(self.kernel, self.fitted(mode, prior, rows), rows)
        far = rows[_away(first.at, prior)[rows] > FAR * centre.shape[1]]
        if not len(far):
            return first
        again = first.renewed(self.kernel, self.fitted(centre, prior, far), far)
        better = again.misfit + _away(again.at, prior) < first.misfit + _away(first.at, prior)
        return first.taking(again, np.flatnonzero(better))

    def fitted(self, start: Floats, prior: Prior, rows: Rows, rounds: int = FEW) -> Fit:
        """Some assets, fitted from `start` (A,P) on; their information by the slope of ψ."""
        found = fit(
            self.kernel,
            self.windows.only(rows),
            rounds,
            loss=self.loss.only(rows),
            prior=prior.only(rows),
            start=natural(self.kernel, start[rows]),
            settle=FINELY,
        )
        return replace(found, information=found.information * _bent(self.loss.bend)[1])

    def _cost_at(self, theta: Floats, prior: Prior, rows: Rows) -> Floats:
        """J of some assets at θ (A,P)."""
        there = self.fitted(theta, prior, rows, 0)
        return np.asarray(there.misfit + _away(theta, prior)[rows])

    def bent(self, told: _Evidence, people: Population, rows: Rows) -> _Evidence:
        """The evidence with δ of those of `rows` that lean: how |H + Σ⁻¹| changes around them.

        With C = L L', δ = −½ L ∂ log |H + Σ⁻¹| / ∂e at θ = at + L e, by central differences; one
        standard deviation at most.
        """
        belief = _believed(self.kernel, told, self.z, people)
        rows = rows[_lean(belief)[rows] > LEANS]
        if not len(rows):
            return told
        precision, root = np.linalg.inv(people.cov), np.linalg.cholesky(belief.cov[rows])
        prior = Prior(people.effects[:, 0], people.cov).only(np.arange(len(told.at)))
        slopes = np.zeros((len(rows), len(precision)))
        for k in range(len(precision)):
            for side in (1.0, -1.0):
                theta = told.at.copy()
                theta[rows] += side * root[:, :, k]
                there = self.fitted(theta, prior, rows, 0)
                size = np.linalg.slogdet(there.information + precision)[1]
                slopes[:, k] += 0.5 * side * np.where(np.isfinite(there.misfit), size, 0.0)
        shift = told.shift.copy()
        shift[rows] = np.einsum("apq,aq->ap", root, np.clip(-0.5 * slopes, -1.0, 1.0))
        return replace(told, shift=shift)


def _believed(kernel: Kernel, told: _Evidence, z: Floats, people: Population) -> _Belief:
    """The expectation step: each asset's evidence and the population, put together."""
    precision = np.linalg.inv(people.cov)
    cov = np.linalg.inv(told.information + precision)
    off = told.at - z @ people.effects.T
    step = np.einsum("apq,aq->ap", cov, told.slope - off @ precision)
    low, high = bounds(kernel)
    mode = np.clip(told.at + step, low, high)
    return _Belief(mode, np.clip(mode + told.shift, low, high), cov, cov @ precision)


def _away(theta: Floats, prior: Prior) -> Floats:
    """How far θ is from the centre, in squared spreads of all directions: (A,)."""
    off = theta - prior.centre
    return np.asarray(np.einsum("ap,apq,aq->a", off, prior.precision, off))


def _lean(belief: _Belief) -> Floats:
    """The share of each answer that is the fleet's: (A,)."""
    return np.asarray(np.trace(belief.pull, axis1=1, axis2=2) / belief.pull.shape[1])


def _better(kernel: Kernel, told: _Evidence, z: Floats, people: Population) -> Population:
    """The population that this evidence speaks for, from a first guess of it."""
    declared, count, columns = prior_of(kernel), len(people.cov), z.shape[1]
    centre = _declared(kernel, z).effects
    for _ in range(TURNS):
        precision = np.linalg.inv(people.cov)
        belief = _believed(kernel, told, z, people)
        off = belief.mean - z @ people.effects.T
        normal = _normal(belief, z, people, declared)
        right = z.T @ off @ precision - (people.effects - centre).T @ declared.precision
        shift = np.linalg.solve(normal, right.ravel()).reshape(columns, count)
        doubt: Floats = np.asarray(np.linalg.inv(normal), np.float64).reshape(
            columns, count, columns, count
        )
        free = np.eye(count) - belief.pull
        off -= np.einsum("apq,aq->ap", free, z @ shift)
        blurred = belief.cov + free @ _blur(z, doubt) @ free.swapaxes(1, 2)
        cov = _scatter(off.T @ off + blurred.sum(axis=0), len(z), declared)
        spread = np.sqrt(np.diagonal(people.cov))
        change = np.abs((cov - people.cov) / np.outer(spread, spread)).max()
        people = Population(people.effects + shift.T, cov, doubt)
        if max(change, np.abs(shift / spread).max()) < 1e-5:
            break
    return people


def _normal(belief: _Belief, z: Floats, people: Population, declared: Prior) -> Floats:
    """How surely B is known, column by column and row by row in each: (C·P, C·P)."""
    precision = np.linalg.inv(people.cov)
    weight = precision - precision @ belief.pull
    known = np.einsum("ac,apq,ad->cpdq", z, weight, z, optimize=True)
    faith = np.einsum("cd,pq->cpdq", np.eye(z.shape[1]), declared.precision)
    return np.asarray((known + faith).reshape(len(precision) * z.shape[1], -1))


def _faith(parameters: int) -> float:
    """n: how many assets the declared spreads count for."""
    return 0.5 * (parameters + 3)


def _scatter(squares: Floats, assets: int, declared: Prior) -> Floats:
    """Σ of S = (A − n) Σ + n Σ D⁻¹ Σ: the positive root, direction by direction.

    >>> np.diag(_scatter(np.diag([50.0, 0.5]), 50, Prior(np.zeros(2), np.eye(2)))).round(2)
    array([1.  , 0.01])
    """
    spread = declared.spread
    scaled = squares / np.outer(spread, spread)
    strength, axes = np.linalg.eigh(0.5 * (scaled + scaled.T))
    faith = _faith(len(spread))
    own = assets - faith
    root = np.sqrt(own**2 + 4.0 * faith * np.maximum(strength, 0.0))
    size = 2.0 * strength / (own + root) if own > 0 else (root - own) / (2.0 * faith)
    return np.asarray((axes * size) @ axes.T * np.outer(spread, spread))


def _cost(kernel: Kernel, told: _Evidence, z: Floats, people: Population) -> float:
    """−log of the likelihood of the whole fleet, by Laplace, and of the population's own prior."""
    declared, belief = prior_of(kernel), _believed(kernel, told, z, people)
    precision = np.linalg.inv(people.cov)
    step, off = belief.mode - told.at, belief.mode - z @ people.effects.T
    misfit = told.misfit - 2.0 * (told.slope * step).sum(axis=1)
    misfit += np.einsum("ap,apq,aq->a", step, told.information, step)
    misfit += np.einsum("ap,pq,aq->a", off, precision, off)
    misfit += np.linalg.slogdet(np.eye(len(precision)) + told.information @ people.cov)[1]
    moved = people.effects - _declared(kernel, z).effects
    ratio = people.cov @ declared.precision
    of_people = np.einsum("pc,pq,qc->", moved, declared.precision, moved)
    of_people += np.linalg.slogdet(_normal(belief, z, people, declared))[1]
    of_people -= _faith(len(ratio)) * (np.linalg.slogdet(ratio)[1] - np.trace(ratio))
    return 0.5 * float(misfit.sum() + of_people)


def _between(people: Population, aim: Population, share: float) -> Population:
    """A share of the way from one population to another."""
    return Population(
        people.effects + share * (aim.effects - people.effects),
        people.cov + share * (aim.cov - people.cov),
        aim.doubt,
    )


def _declared(kernel: Kernel, z: Floats) -> Population:
    """The kernel's own prior, as a population that no covariate moves."""
    prior, columns = prior_of(kernel), z.shape[1]
    count = len(prior.centre)
    effects = np.outer(prior.centre, np.eye(columns)[0])
    return Population(effects, prior.cov, np.zeros((columns, count, columns, count)))


def _design(covariates: Floats | None, assets: int) -> tuple[Floats, Floats]:
    """z (A,C), every covariate with mean 0 and spread 1; and the scaling T (C,C), z = T (1, …)."""
    if covariates is None:
        return np.ones((assets, 1)), np.ones((1, 1))
    given = np.asarray(covariates, np.float64)
    if given.ndim != 2 or len(given) != assets or not np.isfinite(given).all():
        raise Invalid(
            "fit.covariates",
            f"{assets} assets want as many rows of numbers, and got an array of {given.shape}"
            + ("" if np.isfinite(given).all() else " with gaps"),
            mend="give one row an asset and one column a covariate; fill a gap with the mean",
        )
    scale = given.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    scaling = np.diag(np.append(1.0, 1.0 / scale))
    scaling[1:, 0] = -given.mean(axis=0) / scale
    return np.column_stack([np.ones(assets), given]) @ scaling.T, scaling


def _unscaled(people: Population, scaling: Floats) -> Population:
    """The population by the covariates as they were given."""
    doubt = np.einsum("ci,cpdq,dj->ipjq", scaling, people.doubt, scaling)
    return Population(people.effects @ scaling, people.cov, doubt)


def _blur(z: Floats, doubt: Floats) -> Floats:
    """The covariance of B z: (A,P,P)."""
    return np.asarray(np.einsum("ac,cpdq,ad->apq", z, doubt, z, optimize=True))


def _leant(windows: Windows, alone: Fit, rows: Rows, loss: Loss) -> Loss:
    """The residuals' sizes of every asset, leaning on the fleet's where they are not given.

    log σ² is known with variance 2/(degrees of freedom), the neighbours' likeness with 1/samples;
    of an asset that ran away to no number, neither.
    """
    sound = np.isfinite(alone.misfit)
    heard = np.zeros((windows.assets, windows.readings.shape[2]))
    np.add.at(heard, windows.asset, windows.mask.sum(axis=0).astype(float))
    shape = (windows.assets, windows.readings.shape[2])
    sigma, fresh = np.ones(shape), np.ones(windows.assets)
    sigma[rows], fresh[rows] = alone.sigma, alone.fresh
    if loss.fresh is None:
        like = np.where(sound, (alone.fresh - 1.0) / (alone.fresh + 1.0), np.nan)
        like = _common(like, 1.0 / alone.samples)
        fresh[rows] = (1.0 + like) / (1.0 - like)
    if loss.sigma is None:
        used = np.trace(alone.cov @ alone.information, axis1=1, axis2=2)
        left = np.clip(1.0 - used * alone.fresh / alone.samples, 0.1, 1.0)[:, None]
        freedom = np.maximum(heard[rows] / alone.fresh[:, None] * left, 1.0)
        logs = np.where(sound[:, None], np.log(alone.sigma**2 / left) + 1.0 / freedom, np.nan)
        pairs = zip(logs.T, 2.0 / freedom.T, strict=True)
        sigma[rows] = np.exp(0.5 * np.stack([_common(*pair) for pair in pairs], axis=1))
    return Loss(loss.bend, sigma, fresh / _bent(loss.bend)[0])


@cache
def _bent(bend: float) -> tuple[float, float]:
    """What bending does to normal residuals: by what the loss undervalues them, and a curvature.

    With ψ = z / √(1 + (z / bend)²), an estimate has the variance E ψ² / (E ψ')² and its loss, taken
    for a likelihood, 1 / E ψ': the first is E ψ' / E ψ². A fit's `information` is by E ψ / z, and
    not by E ψ', the change of its slope: the second is their ratio.

    >>> [round(part, 2) for part in _bent(2.5)], [round(part, 2) for part in _bent(1e6)]
    ([1.18, 0.9], [1.0, 1.0])
    """
    z, weight = np.polynomial.hermite_e.hermegauss(80)
    weight /= weight.sum()
    root = np.sqrt(1.0 + (z / bend) ** 2)
    squares, slope = (weight * (z / root) ** 2).sum(), (weight / root**3).sum()
    return float(slope / squares), float(slope / (weight / root).sum())


def _common(values: Floats, variances: Floats) -> Floats:
    """Values (A,) known with these variances, each drawn to their centre by what it does not know.

    A value that is no number is not known at all.

    >>> _common(np.array([1.0, 1.0, 4.0]), np.array([0.01, 0.01, 1e9])).round(3)
    array([1., 1., 1.])
    """
    known = np.isfinite(values) & np.isfinite(variances)
    values, variances = np.where(known, values, 0.0), np.where(known, variances, UNKNOWN)
    weight = 1.0 / variances
    centre = (weight * values).sum() / weight.sum()
    beyond = (weight * (values - centre) ** 2).sum() - (known.sum() - 1)
    scatter = max(0.0, beyond) / (weight.sum() - (weight**2).sum() / weight.sum())
    weight = 1.0 / (variances + scatter)
    centre = (weight * values).sum() / weight.sum()
    return np.asarray((values * scatter + centre * variances) / (scatter + variances))
