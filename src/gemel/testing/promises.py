"""How broken promises are told: all of them at once, each with its mend.

Owns    a fault, and the message that tells of every fault.
Never   knows what was promised.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

SHOWN = 3  # faults told of one promise
IN_ORDER = "take them in this order, and check again"


class Fault(NamedTuple):
    """What is not as promised, and how to mend it."""

    what: str
    mend: str


def told(broken: Mapping[str, Sequence[Fault]]) -> str:
    """The message of an error; broken: promise → its faults.

    >>> print(told({"it can be traced": [Fault("it cannot", "write it otherwise")]}))
    it breaks a promise
      it can be traced
        - it cannot
          mend: write it otherwise
    """
    lines = [f"it breaks {'a promise' if len(broken) == 1 else f'{len(broken)} promises'}"]
    for promise, faults in broken.items():
        lines.append(f"  {promise}")
        for what, mend in faults[:SHOWN]:
            lines += [f"    - {what}", f"      mend: {mend}"]
        if len(faults) > SHOWN:
            lines.append(f"    - and {len(faults) - SHOWN} more")
    return "\n".join(lines)
