"""The error of a kernel that cannot be traced, with the author's own line.

Owns    finding the line: the first frame that is neither NumPy's nor the tracer's; and what no
        traced value can do.
Never   decides what can be traced.
"""

import sys
from typing import Any, NoReturn

from numpy.lib.mixins import NDArrayOperatorsMixin

from gemel.errors import Invalid

FORMS = "use the NumPy form: np.exp, np.where, np.maximum …"
BY_NAME = "a kernel is written for one asset, number by number: a + b, np.maximum(a, b), np.interp"
_INNER = ("/numpy/", *(f"gemel/kernels/{n}.py" for n in ("blame", "dual", "expression", "tables")))


def refusal(what: str, mend: str = FORMS, code: str = "kernel.not_traceable") -> Invalid:
    """`kernel.not_traceable`, naming the line that asked."""
    frame = sys._getframe(1)
    while frame.f_back and any(part in frame.f_code.co_filename for part in _INNER):
        frame = frame.f_back
    name = frame.f_code.co_filename.rsplit("/", 1)[-1]
    where = f"{name} line {frame.f_lineno}, in {frame.f_code.co_name}"
    return Invalid(code, what, where=where, mend=mend)


class Traced(NDArrayOperatorsMixin):
    """Stands for one number of every asset: operators work on it, a look inside does not."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise refusal(
            "a Python `if`, `and`, `or`, `max` or chained comparison looks at one number, "
            "and this is a whole fleet",
            "write np.where(condition, a, b), np.maximum(a, b) or (a < x) & (x < b)",
        )

    def __float__(self) -> NoReturn:
        raise refusal("float, int, round and math take one number, and this is a whole fleet")

    __int__ = __index__ = __float__

    def __round__(self, digits: Any = None) -> NoReturn:
        self.__float__()

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise refusal("a traced value was put into an array or a list", BY_NAME)

    def __getitem__(self, key: Any) -> NoReturn:
        raise refusal("a traced value has no parts to pick or to loop over", BY_NAME)
