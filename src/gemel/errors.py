"""One error tree: where, what, and how to mend it.

Owns    the six error classes and the catalogue of codes (`codes.toml`).
Never   knows HTTP or exit codes: the server and the CLI each hold one table for that.

    GemelError
    ├── Invalid       what you gave is wrong
    ├── NotFound      what you named is not there
    ├── Conflict      it does not fit what is already so
    ├── Denied        you may not
    ├── Unavailable   something outside is missing or silent
    └── Bug           our own invariant broke
"""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


class GemelError(Exception):
    """An error with a stable code, a place and a mend.

    >>> print(Invalid("unit.unknown", "'ell' is not a unit I know", where="twin a", mend="use m"))
    twin a: 'ell' is not a unit I know
      mend: use m
      more: gemel explain unit.unknown
    """

    def __init__(self, code: str, message: str, *, where: str = "", mend: str) -> None:
        super().__init__(code, message)
        self.code, self.message, self.where, self.mend = code, message, where, mend

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}\n  mend: {self.mend}\n  more: gemel explain {self.code}"

    def as_record(self) -> dict[str, Any]:
        """The error as plain data, for the API and for dead letters."""
        return {
            "code": self.code,
            "message": self.message,
            "where": self.where,
            "mend": self.mend,
            "explain": f"gemel explain {self.code}",
        }


class Invalid(GemelError):
    """What was given is wrong."""


class NotFound(GemelError):
    """What was named is not there."""


class Conflict(GemelError):
    """It does not fit what is already so."""


class Denied(GemelError):
    """Not allowed."""


class Unavailable(GemelError):
    """Something outside is missing or silent."""


class Bug(GemelError):
    """Our own invariant broke: please report it."""


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """Every code with its `means` and `mend`, from `codes.toml`."""
    text = files("gemel").joinpath("codes.toml").read_text(encoding="utf-8")
    return {
        f"{noun}.{cause}": entry
        for noun, causes in tomllib.loads(text).items()
        for cause, entry in causes.items()
    }


def explain(code: str) -> str:
    """What a code means and how to mend it, in a few lines.

    >>> print(explain("unit.unknown").splitlines()[0])
    unit.unknown
    """
    entries = catalogue()
    if code not in entries:
        close = [known for known in entries if known.split(".")[0] == code.split(".")[0]]
        raise NotFound(
            "code.unknown",
            f"there is no code '{code}'",
            mend=f"codes near it: {', '.join(close) or 'none'}; gemel explain lists them all",
        )
    entry = entries[code]
    return f"{code}\n  means: {entry['means']}\n  mend:  {entry['mend']}"
