"""Names of many rows: each distinct one is kept once, and every row points at it.

Owns    the dictionary-coded column of words.
Never   knows what the words mean.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

FEW = 64  # words that are soon compared


class Labels:
    """N words: words (V,) are the distinct ones · code (N,) whole numbers, which one a row has.

    A word may stand among `words` without a row. A number gives a word, anything else that an
    array takes gives labels.

    >>> told = Labels.of(["st1", "st2", "st1"])
    >>> told[2], told[1:].tolist(), told.words, told.code.tolist()
    ('st1', ['st2', 'st1'], ('st1', 'st2'), [0, 1, 0])
    """

    __slots__ = ("code", "words")

    def __init__(self, words: tuple[str, ...], code: NDArray[np.signedinteger[Any]]) -> None:
        self.words, self.code = words, code

    @staticmethod
    def of(values: "Iterable[str] | Labels") -> "Labels":
        """From one word a row."""
        if isinstance(values, Labels):
            return values
        place: dict[str, int] = {}
        code = np.array([place.setdefault(word, len(place)) for word in values], np.int32)
        return Labels(tuple(place), code)

    @staticmethod
    def full(count: int, word: str) -> "Labels":
        """The same word in every row."""
        return Labels((word,), np.zeros(count, np.int32))

    @staticmethod
    def joined(several: "Sequence[Labels]") -> "Labels":
        """One after the other."""
        if all(labels.words is several[0].words for labels in several[1:]) and several:
            return Labels(several[0].words, np.concatenate([labels.code for labels in several]))
        place: dict[str, int] = {}
        code = [np.zeros(0, np.int32)]
        for labels in several:
            new = [place.setdefault(word, len(place)) for word in labels.words]
            code.append(np.array(new, np.int32)[labels.code])
        return Labels(tuple(place), np.concatenate(code))

    def compact(self) -> "Labels":
        """The same rows, without the words that none has."""
        if len(self.words) == 1 and len(self.code):
            return self
        used = np.zeros(len(self.words), np.bool_)
        used[self.code] = True
        if used.all():
            return self
        number = np.cumsum(used, dtype=np.int32) - 1
        kept = tuple(self.words[k] for k in np.flatnonzero(used).tolist())
        return Labels(kept, number[self.code].astype(np.int32))

    def same(self, other: "Labels") -> bool:
        """Whether each row has the same word by the same number. Of many words that are equal and
        not the very same it does not know."""
        words = self.words is other.words or (len(self.words) < FEW and self.words == other.words)
        if not words or len(self.code) != len(other.code):
            return False
        return self.code is other.code or bool((self.code == other.code).all())

    def are(self, word: str) -> NDArray[np.bool_]:
        """The rows that have a word: (N,)."""
        if word not in self.words:
            return np.zeros(len(self.code), np.bool_)
        return np.asarray(self.code == self.words.index(word))

    def tolist(self) -> list[str]:
        return [self.words[k] for k in self.code.tolist()]

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> str: ...
    @overload
    def __getitem__(self, key: Any) -> "Labels": ...
    def __getitem__(self, key: Any) -> "str | Labels":
        code = self.code[key]
        return self.words[code] if np.ndim(code) == 0 else Labels(self.words, code)

    def __len__(self) -> int:
        return len(self.code)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tolist())

    def __repr__(self) -> str:
        return f"Labels({self.tolist()!r})" if len(self) < 9 else f"Labels of {len(self)} rows"
