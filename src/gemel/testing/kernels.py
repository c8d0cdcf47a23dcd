"""What a kernel promises, and whether it keeps it.

Owns    the promises, how each is tried, and the one error that tells of all that are broken.
Never   judges the physics: that is for the gold set, and for a test that states its laws.

    from gemel.testing import kernel_checks

    def test_my_kernel_keeps_its_promises():
        kernel_checks(MyKernel)
"""

import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.errors import GemelError, Invalid
from gemel.kernels import estimate, filters, lanes
from gemel.kernels.base import Kernel
from gemel.kernels.blame import FORMS
from gemel.kernels.dual import Dual
from gemel.kernels.native import Native
from gemel.testing.answers import (
    answers,
    asked,
    believed,
    compiled,
    filled,
    methods,
    moving,
    same,
    sampled,
    spread,
    sub_step,
    symbols,
    tick,
    traced,
)
from gemel.testing.promises import IN_ORDER, Fault, told
from gemel.testing.samples import COUNT, Ranges, Samples, draw

TIGHT = 1e-9  # float64 against float64, relative
SHARE = 0.01  # of a start_std, of a sensor's noise or of a whole margin: nobody would notice
RUN = 2000  # steps that float32 is followed for
COARSE = 0.02  # of a start_std, and of what a step changes: as good as parameters are known
HALVINGS = 8  # of a step, to find one that is fine enough
NEAR = 1e-3  # of a start_std: how far a difference reaches
ONE = 5  # the asset that something is done to
ALONE = "write it for one asset, number by number: no sum, mean or max over an array"
OURS = "this is a fault of Gemel's own: please report it"

Check = Callable[[Samples], Iterator[Fault]]


@np.errstate(all="ignore")  # what is not finite is a fault, with words
def kernel_checks(kernel: type[Kernel], *, ranges: Ranges | None = None, seed: int = 0) -> None:
    """Try a kernel on plausible assets, and raise one error that tells of every broken promise.

    ranges: input → (lowest, highest); an input without one is drawn from the gold set beside the
    kernel. States are drawn about their start, parameters from their prior.

         1  its declarations make sense            8  compiled code gives Python's answers
         2  it runs on plain numbers               9  float32 is enough for it
         3  it leaves its arguments as they are   10  its derivatives are those of its answers
         4  it can be traced                      11  a missing input ages only its own asset
         5  arrays keep their shape               12  its steps are fine enough
         6  the same question, the same answer    13  limits are margins: 1 as new, 0 failed
         7  no asset feels its neighbours

    Where one of the first eight is broken, those behind it are not tried: they rest on it.

    Raises Invalid `testing.kernel`, or `testing.ranges` when nobody says how large an input can be.

    >>> from gemel.kernels.library.journal_bearing import JournalBearing
    >>> kernel_checks(JournalBearing)
    """
    given: Any = kernel
    if not (isinstance(given, type) and issubclass(given, Kernel)):
        raise Invalid(
            "kernel.not_a_kernel",
            f"{given!r} is no Kernel",
            mend="give the class, not an object of it: kernel_checks(MyKernel)",
        )
    samples = draw(kernel, ranges, seed)
    broken: dict[str, list[Fault]] = {}
    for promise, check, others_rest_on_it in PROMISES:
        if faults := _try(check, samples):
            broken[promise] = faults
            if others_rest_on_it:
                break
    if broken:
        where = f"kernel {kernel.__name__}"
        raise Invalid("testing.kernel", told(broken), where=where, mend=IN_ORDER)


def _try(check: Check, samples: Samples) -> list[Fault]:
    """The faults that a check finds; one that it falls over is a fault too."""
    found: list[Fault] = []
    try:
        found += check(samples)
    except GemelError as error:
        found.append(Fault(f"{error.where}: {error.message}" if error.where else error.message,
                           error.mend))  # fmt: skip
    except Exception as error:  # the author's own code is run: it may raise anything
        found.append(Fault(_told(error, samples.kernel), FORMS))
    return found


def _told(error: Exception, kernel: type[Kernel]) -> str:
    """An error and the author's line."""
    module = sys.modules.get(kernel.__module__)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename == getattr(module, "__file__", None)] or frames
    place = f"{own[-1].filename.rsplit('/', 1)[-1]} line {own[-1].lineno}, in {own[-1].name}"
    return f"{place}: {type(error).__name__}: {error}"


# ---- the promises --------------------------------------------------------------------------------


def declarations_make_sense(s: Samples) -> Iterator[Fault]:
    layout = s.kernel.layout
    for name, item in layout.states.items():
        if not (np.isfinite(item.start) and item.start_std > 0.0 and item.noise >= 0.0):
            yield Fault(
                f"state {name} starts at {item.start} ± {item.start_std}, noise {item.noise}",
                "give a start, a start_std above 0 (how far off it may be), a noise of 0 or more",
            )
    for name, signal in layout.inputs.items():
        if not signal.max_age > 0.0:
            yield Fault(
                f"signal {name} may be held for {signal.max_age} s",
                "give the seconds for which its last value still stands: max_age=900",
            )
    for name, prior in layout.parameters.items():
        low, high = prior.bounds
        if not (low <= prior.typical <= high and prior.spread > 0.0):
            yield Fault(
                f"parameter {name} is {prior.typical} ± {prior.spread}, bounds {prior.bounds}",
                "give a typical value within the bounds, and a spread above 0",
            )
        elif prior.scale == "log" and prior.typical <= 0.0:
            yield Fault(
                f"parameter {name} is {prior.typical}, and its spread is in its logarithm",
                'give a typical value above 0, or leave out scale="log"',
            )
    for name, sensor in layout.outputs.items():
        if not sensor.noise > 0.0:
            yield Fault(
                f"sensor {name} has noise {sensor.noise}: the twin would believe it without doubt",
                "give one standard deviation of a reading: noise=0.5",
            )


def runs_on_plain_numbers(s: Samples) -> Iterator[Fault]:
    for method in methods(s.kernel):
        for lane in range(COUNT):
            faults = list(_plain(s, method, lane))
            yield from faults
            if faults:
                break


def _plain(s: Samples, method: str, lane: int) -> Iterator[Fault]:
    """What is wrong with the answer of one method to plain numbers."""
    layout, at = s.kernel.layout, s.at(lane)
    try:
        told = asked(s, method, *([float(v) for v in part[lane]] for part in (s.x, s.u, s.p)))
    except Exception as error:  # the author's own code
        text = str(error).split("\n")[0] if isinstance(error, GemelError) else ""
        mend = getattr(error, "mend", "") or "call it by hand with these numbers"
        yield Fault(f"{text or _told(error, s.kernel)}; at {at}", mend)
        return
    if not isinstance(told, dict):
        yield Fault(
            f"{method}() returns a {type(told).__name__}",
            'return a dict, a number for each name: {"temperature": …}',
        )
        return
    kind, known = ("sensor", layout.outputs) if method == "sense" else ("state", layout.states)
    for name in told if method != "limits" else ():
        if name not in known:
            yield Fault(
                f"{method}() answers '{name}', which is no {kind}",
                f"declare it, or use one of: {', '.join(known) or 'none'}",
            )
    for name in known if method == "sense" else ():
        if name not in told:
            yield Fault(f"sense() says nothing of sensor {name}", "return a value for every sensor")
    for name, value in told.items():
        if isinstance(value, bool | np.bool_):
            yield Fault(
                f"{method}() answers {value} for {name}", "a number is meant: np.where(…, 1.0, 0.0)"
            )
        elif np.ndim(value) or not isinstance(value, int | float | np.number | np.ndarray):
            yield Fault(
                f"{method}() answers a {type(value).__name__} for {name}", "return one number"
            )
        elif not np.isfinite(value):
            yield Fault(
                f"{method}() answers {float(value)} for {name}, at {at}",
                "hold what goes into a root, a logarithm or a quotient: np.maximum(x.level, 0.0)",
            )


def it_leaves_its_arguments(s: Samples) -> Iterator[Fault]:
    before = sampled(s)
    for method in methods(s.kernel):
        given = s.columns()
        with suppress(Exception):  # the tracer tells better why it does not take arrays
            asked(s, method, *given)
        after = (column for part in given for column in part)
        for (name, old), new in zip(before.items(), after, strict=True):
            if not np.array_equal(old, new):
                yield Fault(
                    f"{method}() writes into {name}",
                    f"make a new number: new = {name} + …, not {name} += …",
                )


def it_can_be_traced(s: Samples) -> Iterator[Fault]:
    traced(s)
    filters.ekf(s.kernel)
    yield from ()


def arrays_keep_their_shape(s: Samples) -> Iterator[Fault]:
    for name, value in answers(s, *s.columns()).items():
        if np.shape(value) not in ((), (COUNT,)):
            yield Fault(f"{name} is {np.shape(value)} for the ({COUNT},) given", ALONE)


def the_same_question_gets_the_same_answer(s: Samples) -> Iterator[Fault]:
    mend = (
        "no random numbers, clock or memory inside: what wanders is declared, as noise of a state; "
        "what lasts is a state"
    )
    first, second = (answers(s, *s.columns()) for _ in range(2))
    for name, value in first.items():
        if not np.array_equal(value, second[name]):
            yield Fault(f"{name} is another number when asked again", mend)
    if traced(s).hash != traced(s).hash:
        yield Fault("traced twice, it is two programs", mend)
    native, whole = compiled(s.kernel), believed(s)
    again, cut, carried = (_copied(whole) for _ in range(3))
    tick(native, whole)
    tick(native, again)
    tick(native, cut, threads=2)
    tick(pickle.loads(pickle.dumps(native)), carried)
    ways = {"again": again, "on two threads": cut, "from a pickle": carried}
    for way, columns in ways.items():
        for name, column in whole.items():
            if not same(column, columns[name]):
                yield Fault(f"{name} has other bits when the filter is run {way}", OURS)


def no_asset_feels_its_neighbours(s: Samples) -> Iterator[Fault]:
    others = np.arange(COUNT) != ONE
    x, u, p = s.columns()
    before = answers(s, x, u, p)
    for column in (*x, *u, *p):
        column[ONE] = column[-1]
    for name, value in answers(s, x, u, p).items():
        was, now = (np.broadcast_to(v, COUNT)[others] for v in (before[name], value))
        if not np.array_equal(was, now):
            yield Fault(f"{name} of an asset changes with another asset's numbers", ALONE)
    alone = believed(s)
    beside = _copied(alone)
    for name, column in beside.items():
        column[ONE] = not column[ONE] if name.startswith("seen.") else 0.5 * column[-1]
    for columns in (alone, beside):
        tick(compiled(s.kernel), columns)
    for name, column in alone.items():
        if not same(column[others], beside[name][others]):
            yield Fault(f"{name} in the filter changes with another asset's numbers", OURS)


def compiled_code_gives_pythons_answers(s: Samples) -> Iterator[Fault]:
    mend = (
        "do not ask what kind of number you were given (isinstance, hasattr, len): the same lines "
        "serve numbers, arrays and traced values"
    )
    for name, got, wanted in _compiled_answers(s, "d"):
        allowed = TIGHT * (np.abs(wanted) + spread(s, name))
        yield from (Fault(what, mend) for what in _off(s, name, got, wanted, allowed))


def float32_is_enough(s: Samples) -> Iterator[Fault]:
    sizes = "add and subtract numbers of one size: not (1e8 + x) - 1e8"
    for name, got, wanted in _compiled_answers(s, "f"):
        allowed = SHARE * spread(s, name) + 1e-6 * np.abs(wanted)
        yield from (Fault(what, sizes) for what in _off(s, name, got, wanted, allowed))
    for name, short, long in _runs(s):
        item = s.kernel.layout.states[name]
        mend = sizes if item.precise else f"declare it: {name} = state(…, precise=True)"
        off = _off(s, f"after {RUN} steps {name}", short, long, SHARE * item.start_std)
        yield from (Fault(what, mend) for what in off)


def _compiled_answers(s: Samples, real: str) -> Iterator[tuple[str, Any, Any]]:
    """Name, compiled and by Python, of every answer."""
    native = Native(traced(s), real)
    columns = filled(native, s)
    native.apply(columns, COUNT)
    for name, value in answers(s, *s.columns()).items():
        yield name, columns[name], value


def _runs(s: Samples) -> Iterator[tuple[str, Any, Any]]:
    """Each state after many steps, in float32 and in float64, of the assets that still live."""
    if not s.kernel.layout.states:
        return
    program, h = moving(s), sub_step(s)
    ends = []
    for native in (Native(program, real) for real in "fd"):
        columns = filled(native, s, h=h)
        native.apply(columns, COUNT, steps=(0, RUN))
        ends.append([columns[name].astype(np.float64) for name, _ in symbols(s)[0]])
    _, u, p = s.columns()
    alive = np.isfinite(lanes.dense(ends[1], COUNT)).all(-1)
    for margin in asked(s, "limits", ends[1], u, p).values():
        alive &= np.broadcast_to(margin > 0.0, COUNT)
    for name, low, high in zip(s.kernel.layout.states, *ends, strict=True):
        yield name, np.where(alive, low, 0.0), np.where(alive, high, 0.0)


def _off(
    s: Samples, name: str, got: Any, wanted: Any, allowed: Any, right: str = "is right"
) -> Iterator[str]:
    """Where two answers are further apart than allowed: the worst asset."""
    got, wanted, allowed = (np.broadcast_to(v, COUNT) for v in (got, wanted, allowed))
    ratio = np.abs(got - wanted) / allowed
    ratio = np.where(got == wanted, 0.0, np.where(np.isnan(ratio), np.inf, ratio))
    lane = int(np.argmax(ratio))
    if ratio[lane] > 1.0:
        yield f"{name} is {got[lane]:.9g}, and {wanted[lane]:.9g} {right}; at {s.at(lane)}"


def derivatives_are_those_of_the_answers(s: Samples) -> Iterator[Fault]:
    x, u, p = s.columns()
    seeded: list[Any] = [Dual(column, {k: 1.0}) for k, column in enumerate(x)]
    exact = answers(s, seeded, u, p)
    here = answers(s, x, u, p)
    for k, (state, item) in enumerate(s.kernel.layout.states.items()):
        far = NEAR * item.start_std
        ahead, behind = (
            answers(s, [column + side * far * (j == k) for j, column in enumerate(x)], u, p)
            for side in (1.0, -1.0)
        )
        for name, dual in exact.items():
            slopes = [(ahead[name] - here[name]) / far, (here[name] - behind[name]) / far]
            low, high = np.minimum(*slopes), np.maximum(*slopes)
            size = np.maximum(np.abs(low), np.abs(high))
            slack = 1e-3 * size + 1e-9 * (np.abs(here[name]) + spread(s, name)) / far
            slope = dual.grad.get(k, 0.0) if isinstance(dual, Dual) else 0.0
            near = np.minimum(np.maximum(slope, low - slack), high + slack)  # NaN stays outside
            slope, near, middle = (
                np.broadcast_to(v, COUNT) for v in (slope, near, 0.5 * (low + high))
            )
            wrong = np.flatnonzero(~(slope == near))
            if len(wrong):
                lane = int(wrong[0])
                yield Fault(
                    f"{name} changes by {middle[lane]:.6g} per unit of {state}, and its derivative "
                    f"says {slope[lane]:.6g}; at {s.at(lane)}",
                    "do not round a state (np.floor), and hold what goes into a root above 0",
                )


def a_missing_input_ages_only_its_own_asset(s: Samples) -> Iterator[Fault]:
    states = list(s.kernel.layout.states)
    if not states or not s.kernel.layout.inputs:
        return
    fresh = believed(s)
    stale = _copied(fresh)
    if "inflate" in stale:  # it is not read where no state has noise
        stale["inflate"][ONE] = estimate.STALE
    for columns in (fresh, stale):
        for name in s.kernel.layout.outputs:
            columns[f"seen.{name}"][:] = False
        tick(compiled(s.kernel), columns)
    others = np.arange(COUNT) != ONE
    for name, column in fresh.items():
        if not same(column[others], stale[name][others]):
            yield Fault(f"{name} of an asset changes when another misses an input", OURS)
    doubt, more = (
        np.diagonal(estimate.covariance(columns, states, COUNT), axis1=1, axis2=2)[ONE]
        for columns in (fresh, stale)
    )
    if not (more > doubt).any():
        yield Fault(
            "an asset that misses an input stays as sure as before: no state has noise to speak of",
            "say how far a state wanders by itself, per √s: state(…, noise=0.02)",
        )


def its_steps_are_fine_enough(s: Samples) -> Iterator[Fault]:
    if not hasattr(s.kernel, "flow"):
        return
    told = bool(np.isfinite(s.kernel.max_step))
    span = s.kernel.max_step if told else s.dt
    parts = 1 if told else round(s.dt / sub_step(s))
    faults = list(_coarse(s, span, parts))
    if not faults:
        return
    finer = (parts * 2**k for k in range(1, HALVINGS))
    fine = next((count for count in finer if not list(_coarse(s, span, count))), None)
    mend = (
        f"declare a step that is fine enough: max_step = {float(f'{span / fine:.2g}'):g}"
        if fine
        else "even much finer steps do not agree: is something in flow() endlessly steep?"
    )
    yield from (Fault(what, mend) for what in faults)


def _coarse(s: Samples, span: float, parts: int) -> Iterator[str]:
    """The states that would be others after `span` s if its `parts` steps were half as long."""
    x, u, p = s.columns()
    ends = []
    for count in (parts, 2 * parts):
        moved = x
        for _ in range(count):
            moved = lanes.integrate(s.kernel(), moved, u, p, span / count)
        ends.append(moved)
    for (name, item), old, coarse, fine in zip(
        s.kernel.layout.states.items(), x, *ends, strict=True
    ):
        allowed = COARSE * (item.start_std + np.abs(fine - old))
        what = f"after {span:.3g} s in {'one step' if parts == 1 else f'{parts} steps'} {name}"
        yield from _off(s, what, coarse, fine, allowed, "with half the step")


def limits_are_margins(s: Samples) -> Iterator[Fault]:
    for mode, margin in asked(s, "limits", *s.columns()).items():
        usual = float(np.median(np.broadcast_to(margin, COUNT)[s.new]))
        if not 0.2 <= usual <= 3.0:
            yield Fault(
                f"the margin '{mode}' of a new asset is {usual:.4g}",
                "divide by how far it is from failing as new: (120 - x.temperature) / 60",
            )


def _copied(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: column.copy() for name, column in columns.items()}


# What is true: others rest on it, so they are not tried where it is broken.
PROMISES: tuple[tuple[str, Check, bool], ...] = (
    ("its declarations make sense", declarations_make_sense, True),
    ("it runs on plain numbers", runs_on_plain_numbers, True),
    ("it leaves its arguments as they are", it_leaves_its_arguments, True),
    ("it can be traced", it_can_be_traced, True),
    ("arrays keep their shape", arrays_keep_their_shape, True),
    ("the same question gets the same answer", the_same_question_gets_the_same_answer, True),
    ("no asset feels its neighbours", no_asset_feels_its_neighbours, True),
    ("compiled code gives Python's answers", compiled_code_gives_pythons_answers, True),
    ("float32 is enough for it", float32_is_enough, False),
    ("its derivatives are those of its answers", derivatives_are_those_of_the_answers, False),
    ("a missing input ages only its own asset", a_missing_input_ages_only_its_own_asset, False),
    ("its steps are fine enough", its_steps_are_fine_enough, False),
    ("limits are margins: 1 as new, 0 failed", limits_are_margins, False),
)
