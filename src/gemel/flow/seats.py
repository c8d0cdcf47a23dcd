"""Which number every twin has, and which slots and rows are its own.

Owns    the way from a twin's id to numbers, and the search among ids.
Never   holds what anybody measured or believes: it follows from the plan, and does not change.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gemel.graph.plantfile import PlantFile
from gemel.records import Bools

KEPT = 64  # searches whose answer is remembered: people ask for the same again and again
Numbers = NDArray[np.int64]


class Seats:
    """T twins by number, in the order of the plant file.

    ids (T,) · number: id → its number · interface (T,), which of `interfaces` · first (T+1,): the
    slots of twin k are first[k] … first[k+1]−1, in the order in which its telemetry is declared ·
    heard (W,): the twins that have telemetry · by_id (T,): in the order of ids, rank (T,): the
    place there · rows: fleet → number of the twin of each row (A,)
    """

    def __init__(self, plant: PlantFile, fleets: Mapping[str, Iterable[str]]) -> None:
        twins = plant.twins.values()
        self.ids = [twin.id for twin in twins]
        self.number = {twin: k for k, twin in enumerate(self.ids)}
        self.interfaces = list(plant.interfaces)
        place = {name: k for k, name in enumerate(self.interfaces)}
        self.interface = np.array([place[twin.interface] for twin in twins], np.int32)
        slots = np.array([len(i.telemetry) for i in plant.interfaces.values()], np.int64)
        counts = slots[self.interface] if len(self.ids) else np.zeros(0, np.int64)
        self.first = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        self.heard = np.flatnonzero(counts)
        self.rows = {
            name: np.array([self.number[twin] for twin in rows], np.int64)
            for name, rows in fleets.items()
        }
        self.by_id = np.array(sorted(range(len(self.ids)), key=self.ids.__getitem__), np.int64)
        self.rank = np.empty(len(self.ids), np.int64)
        self.rank[self.by_id] = np.arange(len(self.ids))
        self.found = self._search()

    def _search(self) -> Callable[[str | None, str], Bools]:
        lines: list[str] = []

        def found(interface: str | None, text: str) -> Bools:
            """The twins of an interface whose id holds a text, whatever its case: (T,)."""
            if interface is None:
                among = np.ones(len(self.ids), np.bool_)
            elif interface in self.interfaces:
                among = self.interface == self.interfaces.index(interface)
            else:
                among = np.zeros(len(self.ids), np.bool_)
            if text:
                if not lines:
                    lines.extend(one.lower() for one in self.ids)
                wanted = text.lower()
                among = among & np.array([wanted in line for line in lines], np.bool_)
            return among

        return lru_cache(KEPT)(found)
