"""What a person gives, by name: numbers of the shapes that are wanted, or an error that says so.

Owns    what counts as a number, and what is said of a name or a shape that does not fit.
Never   changes anything: what is refused here has touched nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gemel.errors import Invalid
from gemel.kernels.base import Kernel

LIMIT = 1e30  # a number beyond this is none: float32 ends soon after


def there(values: Any) -> Any:
    """Where there is a number: neither NaN nor beyond LIMIT.

    >>> there(np.array([1.0, np.nan, -np.inf])).tolist()
    [True, False, False]
    """
    return np.abs(values) < LIMIT


def whole(values: NDArray[Any]) -> bool:
    """Whether there is a number everywhere; quicker than to ask where.

    >>> whole(np.array([1.0, 2.0])), whole(np.array([1.0, np.nan])), whole(np.zeros(0))
    (True, False, True)
    """
    return not values.size or bool(values.min() > -LIMIT and values.max() < LIMIT)


def number(name: str, value: Any) -> float:
    """One number, NaN for None. Raises Invalid `fleet.number`."""
    try:
        if not isinstance(value, str):
            return float("nan") if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise _no_number(name, value)


def numbers(name: str, value: ArrayLike, *shapes: tuple[int, ...]) -> NDArray[Any]:
    """An array of numbers, NaN for None and for what is masked, of one of some shapes.

    Raises Invalid `fleet.number`, `fleet.shape`.
    """
    if isinstance(value, np.ma.MaskedArray):
        value = np.ma.filled(value.astype(np.float64), np.nan)
    array = np.asarray(value)
    if array.dtype.kind == "O" and not any(isinstance(item, str) for item in array.flat):
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            raise _no_number(name, value) from None
    if array.dtype.kind not in "fiub":
        raise _no_number(name, value)
    if array.shape not in shapes:
        raise Invalid(
            "fleet.shape",
            f"'{name}' has the shape {array.shape}, and {' or '.join(map(str, shapes))} is wanted",
            where="values",
            mend="give one number, or one for every asset in the order of list(fleet); of a "
            "history the instants come first",
        )
    return array


def check_names(kernel: type[Kernel], names: Iterable[str], known: Mapping[str, Any]) -> None:
    """Raises Invalid `fleet.signal` for a name that is not declared."""
    for name in names:
        if name not in known:
            raise Invalid(
                "fleet.signal",
                f"there is no '{name}'",
                where=f"kernel {kernel.__name__}",
                mend=f"declared are: {', '.join(known) or 'none'}",
            )


def _no_number(name: str, value: object) -> Invalid:
    return Invalid(
        "fleet.number",
        f"'{name}' is given what is no number: {value!r:.40}",
        where="values",
        mend="give numbers, NaN or None where there is none; of all assets in the order of "
        "list(fleet): [values[name] for name in fleet]",
    )
