"""What a decoder gives back, and the limits of one message.

Owns    the samples and dead letters of one message, and how much of it is read at all.
Never   reads a format.
"""

import re
from dataclasses import dataclass, replace

from gemel.connect.base import dead_letter
from gemel.errors import GemelError, Invalid
from gemel.records import Batch, Entry

LIMIT = 1_000_000  # bytes of one message
COUNT = 20_000  # samples of one message
LETTERS = 1_000  # dead letters of one message; what else is wrong in it is counted in one more
NAME = 128  # characters of a signal's name or a unit
TWIN = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Decoded:
    """The samples that were readable, and a dead letter for each thing that was not."""

    batch: Batch
    dead: list[Entry]

    @property
    def received(self) -> int:
        """How many samples it counts for in the books."""
        return len(self.batch) + sum(int(entry.body.get("samples", 1)) for entry in self.dead)


@dataclass
class Letters:
    """The dead letters of one message. left: samples that it may still carry."""

    source: str
    received_at: int
    left: int = COUNT

    def __post_init__(self) -> None:
        self.dead: list[Entry] = []
        self._more = 0  # samples beyond the letters

    def bury(self, payload: bytes, error: GemelError, samples: int = 1) -> None:
        """One letter, which stands for so many samples."""
        if self.full:
            self._more += samples
            return
        letter = dead_letter(self.source, self.received_at, payload, error)
        if samples != 1:
            letter = replace(letter, body={**letter.body, "samples": samples})
        self.dead.append(letter)

    def take(self, samples: int) -> None:
        """Count samples against the limit; raises `message.count` past it."""
        self.left -= samples
        if self.left < 0:
            raise too_many()

    @property
    def full(self) -> bool:
        """Whether what is buried from here on is only counted."""
        return len(self.dead) >= LETTERS

    def forget(self) -> None:
        """Take every letter back: the message is another thing."""
        self.dead.clear()
        self._more = 0

    def decoded(self, batch: Batch) -> Decoded:
        """The samples, with the letters so far."""
        dead = self.dead
        if self._more:
            error = Invalid(
                "message.faults",
                f"{self._more} more faults in one message",
                mend="mend the sender: the letters before this one say what is wrong",
            )
            last = dead_letter(self.source, self.received_at, b"", error)
            dead = [*dead, replace(last, body={**last.body, "samples": self._more})]
        return Decoded(batch, dead)


def too_large(size: int, limit: int) -> Invalid:
    return Invalid(
        "message.too_large",
        f"{size} bytes in one message, at most {limit} are read",
        mend="send fewer samples in one message",
    )


def too_many() -> Invalid:
    return Invalid(
        "message.count",
        "too many samples in one message",
        mend=f"send at most {COUNT} samples in one message, over HTTP a million",
    )


def check_name(name: str, what: str = "signal") -> str:
    """A signal's name that is short and printable, or `sample.signal`."""
    if name and len(name) <= NAME and name.isprintable():
        return name
    raise Invalid(
        "sample.signal",
        f"the {what}'s name is empty, too long or not printable",
        mend=f"name it by at most {NAME} printable characters",
    )


def check_twin(twin: object) -> str:
    """A twin's id, or `message.twin`."""
    if isinstance(twin, str) and TWIN.fullmatch(twin):
        return twin
    raise Invalid(
        "message.twin",
        "it names no twin, or another one than its topic",
        mend="name the twin by letters, digits and . _ - (64 at most), as its topic does",
    )
