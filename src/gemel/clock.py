"""Time: instants are int64 nanoseconds UTC, durations are seconds.

Owns    the plant's clock in its three kinds, and reading and writing of instants and durations.
Never   is read by the pure packages: they are handed instants.

    WallClock     live
    PacedClock    starts at a given instant and runs `speed` times as fast as the wall
    ManualClock   moves only when told: replay as fast as the machine can, and tests
"""

import re
import threading
import time
from datetime import datetime
from typing import Protocol

import numpy as np

from gemel.errors import Invalid

SECOND = 1_000_000_000
Instant = str | int | datetime
"""ISO 8601 with a zone, int64 ns UTC, or a datetime with a zone."""
_UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


class Clock(Protocol):
    """The plant's clock."""

    speed: float

    def now(self) -> int:
        """The present instant, int64 ns UTC; never goes back."""
        ...


class WallClock:
    """The wall's clock, held from ever stepping back."""

    speed = 1.0

    def __init__(self, not_before: int = 0) -> None:
        self._last = not_before

    def now(self) -> int:
        self._last = max(self._last, time.time_ns())
        return self._last


class PacedClock:
    """Starts at `start` and runs `speed` times as fast as the wall."""

    def __init__(self, start: int, speed: float) -> None:
        self.start, self.speed = start, speed
        self._origin = time.monotonic_ns()
        self.wall = time.time_ns()  # of `start`: what another process needs to agree on the time

    def now(self) -> int:
        return self.start + int((time.monotonic_ns() - self._origin) * self.speed)


class ManualClock:
    """Moves only when told, never back."""

    speed = float("inf")

    def __init__(self, start: int = 0) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> int:
        return self._now

    def advance_to(self, instant: int) -> None:
        with self._lock:
            self._now = max(self._now, instant)


def parse_instant(text: str) -> int:
    """ISO 8601 with an offset or Z → ns UTC. A time without a zone is refused.

    >>> parse_instant("1970-01-01T01:00:00+01:00")
    0
    """
    match = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)\s*(Z|[+-]\d\d:?\d\d)",
        text.strip(),
    )
    try:
        if match is None:
            raise ValueError(text)
        day, hour, zone = match.groups()
        instant = int(np.datetime64(f"{day}T{hour}", "ns").astype(np.int64))
        if not day.startswith(("19", "20", "21")):
            raise ValueError(text)
    except ValueError:
        raise Invalid(
            "time.unreadable",
            f"'{text[:40]}' is not an instant",
            mend="write ISO 8601 with a zone, for example 2026-03-01T12:00:00Z",
        ) from None
    if zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        instant -= sign * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60) * SECOND
    return instant


def nanoseconds(when: Instant) -> int:
    """An instant in any of its forms → int64 ns UTC. Raises Invalid `time.unreadable`."""
    if isinstance(when, int | np.integer):
        return int(when)
    return parse_instant(when.isoformat() if isinstance(when, datetime) else when)


def format_instant(instant: int) -> str:
    """ns UTC → ISO 8601 with Z, as short as is exact.

    >>> format_instant(0)
    '1970-01-01T00:00:00Z'
    """
    text = str(np.datetime64(int(instant), "ns"))
    head, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return f"{head}.{fraction}Z" if fraction else f"{head}Z"


def parse_duration(text: str | float) -> float:
    """'90s', '10min', '6h', '14d', '2w' or a number of seconds → seconds.

    >>> parse_duration("1.5h")
    5400.0
    """
    if isinstance(text, (int, float)):
        return float(text)
    match = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]+)\s*", text)
    if match is None or match[2] not in _UNITS:
        raise Invalid(
            "time.duration",
            f"'{text}' is not a duration",
            mend="write a number and one of ms s min h d w, for example 10min",
        )
    return float(match[1]) * _UNITS[match[2]]


def format_duration(seconds: float) -> str:
    """Seconds → a person's words.

    >>> format_duration(100_000)
    '1.2 d'
    """
    for name, size in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if abs(seconds) >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} s"
