"""The error of a kernel that cannot be traced, with the author's own line.

Owns    finding the line: the first frame that is neither NumPy's nor the tracer's.
Never   decides what can be traced.
"""

import sys

from gemel.errors import Invalid

_INNER = (
    "/numpy/",
    "gemel/kernels/dual.py",
    "gemel/kernels/expression.py",
    "gemel/kernels/blame.py",
)


def refusal(what: str, mend: str = "use the NumPy form: np.exp, np.where, np.maximum …") -> Invalid:
    """`kernel.not_traceable`, naming the line that asked."""
    frame = sys._getframe(1)
    while frame.f_back and any(part in frame.f_code.co_filename for part in _INNER):
        frame = frame.f_back
    name = frame.f_code.co_filename.rsplit("/", 1)[-1]
    return Invalid(
        "kernel.not_traceable",
        what,
        where=f"{name} line {frame.f_lineno}, in {frame.f_code.co_name}",
        mend=mend,
    )
