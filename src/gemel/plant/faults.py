"""What goes wrong, declared: in the machine, at its instruments, with its clock, and on the way.

Owns    the kinds of faults, their file, and when each holds for whom.
Never   draws from anything but a fault's own key: the same seed gives the same faults, whatever
        wire they are sent over, and however a run is cut.

    [[fault]]
    kind = "dropout"        # one of KINDS
    twin = "st1-b*"         # a pattern; signal = "oil_*" where the kind goes by signals
    start = "8h"            # after the plant's start, or an instant; end = …, or lasts = "2h"
    share = 0.2             # of its messages

    [[fault]]
    kind = "stuck"
    chance = 0.02           # by luck instead: of each twin, in each window, at some time in it
    window = "6h"
    lasts = "30min"
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.clock import SECOND, format_instant, parse_duration, parse_instant
from gemel.errors import GemelError, Invalid
from gemel.kernels.draws import Keys, lane_keys, twin_key, uniforms
from gemel.records import Bools, Floats, Instants

Numbers = NDArray[np.int64]
EVER = 2**63 - 1


@dataclass(frozen=True)
class Kind:
    """about: what happens · size: by default · takes, needs: keys of its own in the file"""

    about: str
    size: float = 0.0
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


_SIZE, _SHARE = ("size", "signal"), ("share", "signal")
KINDS = {
    # the machine
    "wear": Kind("the bearing wears `size` times as fast", 70.0, ("size",)),
    "cooler_fouling": Kind(
        "the oil cooler loses `size` of its effect over two days", 0.6, ("size",)
    ),
    # the instrument
    "stuck": Kind("the reading stays at its last value", 0.0, ("signal",)),
    "drift": Kind("`size` an hour is added to the reading", 0.05, _SIZE),
    "noise": Kind("the reading has `size` more noise (one σ)", 1.0, _SIZE),
    "scale": Kind(
        "another unit than declared, untold: scale · reading + offset",
        0.0,
        ("signal", "scale", "offset"),
    ),
    "unit": Kind("the reading says that it is in `unit`", 0.0, _SHARE, ("unit",)),
    "not_a_number": Kind("NaN in place of a reading", 0.0, _SHARE),
    # the device's clock
    "clock_offset": Kind("the clock is off by `size` s; a jump, where it starts", 60.0, ("size",)),
    "clock_drift": Kind("the clock runs away by `size` s an hour", 10.0, ("size",)),
    # the names
    "unknown_twin": Kind("the message names a twin that is not there", 0.0, ("share",)),
    "unknown_signal": Kind("the message names a signal that is not there", 0.0, _SHARE),
    # the way
    "dropout": Kind("`share` of the messages is never sent", 0.0, _SHARE),
    "duplicate": Kind(
        "`share` of the messages is sent twice, `delay` later", 0.0, (*_SHARE, "delay")
    ),
    "correction": Kind(
        "`share` comes again, `delay` later, with `size` added", 1.0, (*_SHARE, *_SIZE, "delay")
    ),
    "reorder": Kind("each message is held up by up to `delay`", 0.0, ("share",), ("delay",)),
    "late": Kind("each message is held up by `delay`", 0.0, ("share",), ("delay",)),
    "outage": Kind("nothing is sent while it lasts, and all of it after"),
    "garbage": Kind(
        "bytes that nobody can read come beside `share` of the messages", 0.0, ("share",)
    ),
    "flood": Kind("the device sends `size` times as often", 10.0, _SIZE),
}
PHYSICAL = ("wear", "cooler_fouling")
_COMMON = ("kind", "twin", "start", "end", "lasts")
_LUCK = ("chance", "window")


@dataclass(frozen=True)
class Fault:
    """One declared fault: what, on which twins, from when to when [ns], how strong (see KINDS).

    twin, signal: patterns (`*`, `?`) · share: of the messages · delay, window, lasts: s ·
    chance, window: by luck, of each twin in each window, for `lasts`; window 0: from start to end
    """

    kind: str
    twin: str
    start: int = 0
    end: int = EVER
    size: float | None = None
    signal: str = "*"
    share: float = 1.0
    delay: float = 0.0
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    chance: float = 1.0
    window: float = 0.0
    lasts: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise Invalid(
                "fault.unknown",
                f"there is no fault '{self.kind}'",
                where=f"twin {self.twin}",
                mend=f"use one of: {', '.join(KINDS)}",
            )
        by_luck = self.window > 0
        if self.end <= self.start or by_luck and not 0 < self.lasts <= self.window:
            raise self._odd("it lasts no time, or longer than its window")
        if not (0 <= self.share <= 1 and 0 <= self.chance <= 1 and self.delay >= 0):
            raise self._odd("a share or chance is not within 0 and 1, or a delay is negative")
        if self.kind == "flood" and self.strength < 2:
            raise self._odd("a flood sends at least twice as often")

    def _odd(self, why: str) -> Invalid:
        return Invalid(
            "fault.value",
            why,
            where=f"fault {self.kind}, twin {self.twin}",
            mend="mend its times, chance, share, delay or size",
        )

    @property
    def strength(self) -> float:
        return KINDS[self.kind].size if self.size is None else self.size

    def active(self, instant: int) -> bool:
        """Whether an instant lies between its start and end."""
        return self.start <= instant < self.end

    def hits(self, twin: str) -> bool:
        """Whether its pattern fits a twin."""
        return fnmatchcase(twin, self.twin)

    def names(self, signal: str) -> bool:
        """Whether its pattern fits a signal."""
        return fnmatchcase(signal, self.signal)


class Episodes:
    """When one fault holds, for which of some twins.

    twins (A,): all of the plant's · seed: of the plant · number: tells equal faults apart
    """

    def __init__(self, fault: Fault, twins: list[str], seed: int, number: int = 0) -> None:
        self.fault, self._twins = fault, twins
        self.members: Numbers = np.array(
            [a for a, t in enumerate(twins) if fault.hits(t)], np.int64
        )
        what = twin_key(f"{fault.kind} {fault.twin} {fault.signal} {number}")
        keys = np.array([twin_key(twins[a]) for a in self.members.tolist()], np.uint64)
        self._lanes: Keys = lane_keys(seed ^ what, keys, 1)
        self._window = -1
        self._hit = (self.members, np.zeros(0, np.int64), np.zeros(0, np.int64))
        if not len(self.members):
            raise Invalid(
                "fault.twin",
                f"there is no '{fault.twin}' in this plant",
                where=f"fault {fault.kind}",
                mend=f"use a name or a pattern of: {', '.join(twins[:12])}",
            )

    def now(self, instant: int) -> tuple[Numbers, Instants, Instants]:
        """The twins under it at an instant, since when, until when: (K,), (K,), (K,)."""
        fault = self.fault
        if not fault.active(instant):
            return self.members[:0], np.zeros(0, np.int64), np.zeros(0, np.int64)
        if not fault.window:
            same = np.ones_like(self.members)
            return self.members, same * fault.start, same * fault.end
        twins, begin, end = self.window(self._number(instant))
        here = (begin <= instant) & (instant < end)
        return twins[here], begin[here], end[here]

    def lucky(self, twins: Numbers, instant: int) -> Bools:
        """Which of these members `share` falls upon at an instant: (K,)."""
        if self.fault.share >= 1:
            return np.ones(len(twins), np.bool_)
        return self.luck(twins, instant) < self.fault.share

    def luck(self, twins: Numbers, instant: int, draw: int = 0) -> Floats:
        """A uniform number of each of these members at an instant: (K,)."""
        return uniforms(self.lanes(twins), instant // 1000, draw)

    def lanes(self, twins: Numbers) -> Keys:
        """The keys of these members: (K,)."""
        return np.asarray(self._lanes[np.searchsorted(self.members, twins)])

    def begun(self, after: int | None, until: int) -> list[dict[str, Any]]:
        """The records of all that is known at `until` and was not at `after`; None: of all."""
        fault = self.fault
        if not fault.window:
            return [] if after is not None else [self._record(fault.twin, fault.start, fault.end)]
        last = self._number(min(until, fault.end - 1))
        first = last if after is None else self._number(after) + 1
        return [
            self._record(self._twins[twin], begin, end)
            for number in range(max(first, 0), last + 1)
            for twin, begin, end in zip(*(c.tolist() for c in self.window(number)), strict=True)
        ]

    def _record(self, twin: str, start: int, end: int) -> dict[str, Any]:
        return {
            "kind": self.fault.kind,
            "twin": twin,
            "signal": self.fault.signal,
            "start": format_instant(start),
            "end": None if end == EVER else format_instant(end),
            "size": self.fault.strength,
        }

    def window(self, number: int) -> tuple[Numbers, Instants, Instants]:
        """The twins that luck hits in a window, since when, until when."""
        if number != self._window:
            fault = self.fault
            hit = uniforms(self._lanes, number, 0) < fault.chance
            spare = (fault.window - fault.lasts) * SECOND * uniforms(self._lanes[hit], number, 1)
            opens = fault.start + number * round(fault.window * SECOND)
            begin = opens + spare.astype(np.int64)
            self._hit = self.members[hit], begin, begin + round(fault.lasts * SECOND)
            self._window = number
        return self._hit

    def _number(self, instant: int) -> int:
        return (instant - self.fault.start) // round(self.fault.window * SECOND)


def read_faults(path: Path, start: int) -> tuple[Fault, ...]:
    """The faults of a TOML file; durations count from `start` [ns]."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise Invalid(
            "fault.file",
            f"the faults cannot be read: {problem}",
            where=str(path),
            mend="write a TOML file of [[fault]] tables",
        ) from None
    return tuple(
        _fault(body, start, f"{path.name} [[fault]] {k + 1}")
        for k, body in enumerate(raw.get("fault", []))
    )


def _fault(body: Mapping[str, Any], start: int, where: str) -> Fault:
    told = dict(body)
    word = str(told.pop("kind", ""))
    kind = KINDS.get(word) or KINDS[Fault(word, "*").kind]
    known = {*_COMMON, *kind.takes, *kind.needs} | (set() if word in PHYSICAL else set(_LUCK))
    odd = sorted(set(body) - known)
    missing = [key for key in kind.needs if key not in told]
    if "window" in told:
        missing += [key for key in ("chance", "lasts") if key not in told]
    if odd or missing:
        raise Invalid(
            "fault.key",
            f"'{odd[0]}' is not known of {word}" if odd else f"'{missing[0]}' is missing",
            where=where,
            mend=f"a fault of kind {word} has: {', '.join(sorted(known))}",
        )
    try:
        for key in ("delay", "window", "lasts"):
            if key in told:
                told[key] = parse_duration(told[key])
        told["start"] = _instant(told.get("start", 0), start)
        if "end" in told:
            told["end"] = _instant(told["end"], start)
        elif "lasts" in told and "window" not in told:
            told["end"] = told["start"] + round(told["lasts"] * SECOND)
        return Fault(word, str(told.pop("twin", "*")), **told)
    except (GemelError, TypeError) as problem:
        why = problem.message if isinstance(problem, GemelError) else str(problem)
        raise Invalid("fault.value", why, where=where, mend="see gemel.plant.faults") from None


def _instant(told: Any, start: int) -> int:
    """An instant, or a duration after the plant's start."""
    if isinstance(told, str) and "T" in told:
        return parse_instant(told)
    return start + round(parse_duration(told) * SECOND)
