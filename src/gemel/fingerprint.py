"""The fingerprint of an array: 16 bytes that tell any two arrays apart.

Owns    which bytes are read, and in which order: columns first, however the array lies in memory.
Never   proves who wrote something: it is quick, not secret. XXH3, 128 bits.
"""

import numpy as np
import xxhash
from numpy.typing import NDArray


def fingerprint(array: NDArray[np.generic]) -> bytes:
    """Of type, shape and every bit.

    >>> a = np.arange(6.0).reshape(3, 2)
    >>> fingerprint(a) == fingerprint(np.asfortranarray(a)), fingerprint(a) == fingerprint(-a)
    (True, False)
    """
    told = xxhash.xxh3_128(f"{array.dtype.str} {array.shape}".encode())
    told.update(np.ascontiguousarray(array.T).reshape(-1).view(np.uint8).data)
    return told.digest()
