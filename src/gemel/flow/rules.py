"""From the plant file to what the quality stage judges by.

Owns    the slots: one a declared signal of a twin, in the order of the plant file; their limits.
Never   judges.
"""

import numpy as np

from gemel.clock import SECOND
from gemel.errors import Invalid
from gemel.graph.plantfile import Consistent, PlantFile, Telemetry, Twin
from gemel.intake.drift import Drifts
from gemel.intake.quality import Rules
from gemel.intake.redundant import Relations
from gemel.intake.silence import Periods
from gemel.records import Floats

Index = dict[tuple[str, str], int]


def compile_rules(plant: PlantFile) -> Rules:
    """What is declared of every signal and source, in columns."""
    keys = [
        (t.id, s) for t in plant.twins.values() for s in plant.interfaces[t.interface].telemetry
    ]
    index = {key: k for k, key in enumerate(keys)}
    declared = [plant.interfaces[plant.twins[t].interface].telemetry[s] for t, s in keys]

    def column(name: str) -> Floats:
        return np.array([getattr(d, name) for d in declared], float)

    every, drift = column("every"), column("drift")
    due, bound = np.flatnonzero(np.isfinite(every)), np.flatnonzero(np.isfinite(drift))
    skews = {"": plant.clock_skew} | {
        s.name: s.clock_skew for s in plant.sources.values() if s.clock_skew is not None
    }
    return Rules(
        index,
        frozenset(plant.twins),
        [d.unit for d in declared],
        column("low"),
        column("high"),
        column("rate"),
        column("stuck"),
        int(plant.lateness * SECOND),
        int(plant.skew * SECOND),
        Periods(due, every[due], (column("gap") * every)[due]),
        _relations(plant, index, declared),
        Drifts(bound, drift[bound]),
        {name: int(skew * SECOND) for name, skew in skews.items() if np.isfinite(skew)},
        {
            s.name: frozenset(s.signals)
            for s in plant.sources.values()
            if s.signals is not None and "event" not in s.options
        },
        int(plant.rerun * SECOND),
    )


def _relations(plant: PlantFile, index: Index, declared: list[Telemetry]) -> Relations:
    several = []
    for twin in plant.twins.values():
        for told in plant.interfaces[twin.interface].consistent:
            slots = [_slot(plant, twin, path, index) for path in told.signals]
            units = {declared[slot].unit for slot in slots}
            if len(units) > 1:
                raise _odd(twin, told, f"they are in {' and '.join(sorted(units))}")
            several.append((slots, told.within, told.age))
    return Relations.of(several)


def _slot(plant: PlantFile, twin: Twin, path: str, index: Index) -> int:
    """The slot of `link/link/signal` from a twin."""
    *links, signal = path.split("/")
    end = twin
    for link in links:
        if link not in end.links:
            raise _odd(twin, path, f"twin '{end.id}' has no link '{link}'")
        end = plant.twins[end.links[link]]
    if (end.id, signal) not in index:
        raise _odd(twin, path, f"twin '{end.id}' has no telemetry '{signal}'")
    return index[end.id, signal]


def _odd(twin: Twin, told: Consistent | str, message: str) -> Invalid:
    path = told if isinstance(told, str) else ", ".join(told.signals)
    return Invalid(
        "plant.consistent",
        message,
        where=f"interface {twin.interface} consistent, twin {twin.id}, {path}",
        mend="name declared telemetry of one unit, of the twin or across its links",
    )
