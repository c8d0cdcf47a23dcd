"""What one message would become: a trial of a source's format or map, and of the plant's rules.

Owns    the table of a trial: every sample with its fate, every dead letter, what was not mapped.
Never   journals anything, and remembers nothing of it.
"""

from typing import Any

import numpy as np

from gemel.clock import WallClock, format_instant
from gemel.connect.decoded import Decoded
from gemel.connect.formats import Ours, decoder_of
from gemel.connect.mapping import Mapping
from gemel.connect.mqtt import Topics
from gemel.errors import Invalid, NotFound
from gemel.flow.fleet import Plan
from gemel.graph.plantfile import SourceSpec
from gemel.intake.quality import CODES, QualityMemory, judge
from gemel.records import FATES, REASONS, REJECTED, Judged

WIRED = ("mqtt", "kafka", "http")
QUALITY = ("good", "uncertain", "bad")


def try_message(plan: Plan, topic: str, payload: bytes, *, source: str = "") -> dict[str, Any]:
    """What a source of the plant would make of a message; source "": the one that has a map.

    Judged as the first thing ever heard: at the wall's clock, or, in a plant with a clock of its
    own, at the message's own time.

    {source, rule, samples [{twin, signal, instant, value, unit, fate, quality, reason,
    code}], dead, unmapped}. rule: which table of the map was used, null without a map.
    """
    spec = _source(plan, source)
    now = WallClock().now()
    decoder = decoder_of(spec.options, f"source {spec.name}")
    rule, unmapped = None, []
    if isinstance(decoder, Mapping):
        told = decoder.explain(topic, payload, received_at=now, source=spec.name)
        decoded, rule, unmapped = told.decoded, told.rule, told.unmapped
    else:
        twin = _twin(spec, topic) if isinstance(decoder, Ours) else None
        decoded = decoder.decode(topic, payload, twin=twin, received_at=now, source=spec.name)
    return {
        "source": spec.name,
        "rule": None if rule is None or rule < 0 else rule,
        "samples": _samples(plan, spec.name, decoded, now),
        "dead": [entry.body for entry in decoded.dead],
        "unmapped": unmapped,
    }


def _source(plan: Plan, name: str) -> SourceSpec:
    wired = {n: s for n, s in plan.plant.sources.items() if s.kind in WIRED}
    if name and name not in wired:
        raise NotFound(
            "source.unknown",
            f"the plant has no source '{name[:64]}' that messages come by",
            mend=f"name one of: {', '.join(wired) or 'none is declared'}",
        )
    mapped = [n for n, s in wired.items() if "map" in s.options]
    for among in ([name] if name else [], mapped, list(wired)):
        if len(among) == 1:
            return wired[among[0]]
    if not wired:
        return SourceSpec("http", "http", {})
    raise Invalid(
        "source.which",
        f"it is not clear which source is meant: {', '.join(wired)}",
        mend="name it: --source NAME",
    )


def _twin(spec: SourceSpec, topic: str) -> str | None:
    """The twin that our own topics name."""
    if spec.kind != "mqtt":
        return None
    topics = Topics(str(spec.options.get("topic", "+/telemetry")))
    levels = topic.split("/")
    return topics.twin(topic) if len(levels) == len(topics.telemetry.split("/")) else ""


def _samples(plan: Plan, source: str, decoded: Decoded, now: int) -> list[dict[str, Any]]:
    batch = decoded.batch
    if not len(batch):
        return []
    if plan.plant.clock["kind"] != "wall":
        now = int(batch.instant.max())
    memory = QualityMemory.blank(plan.rules)
    memory.watermark = now
    judged = judge(plan.rules, memory, source, now, batch)
    return [_row(batch.unit[k], judged, k, plan) for k in range(len(batch))]


def _row(unit: str, judged: Judged, k: int, plan: Plan) -> dict[str, Any]:
    """One sample as it would be kept, in its declared unit."""
    slot = int(judged.slot[k])
    value = float(judged.value[k])
    return {
        "twin": judged.twin[k],
        "signal": judged.signal[k],
        "instant": format_instant(int(judged.instant[k])),
        "value": value if np.isfinite(value) else None,
        "unit": plan.rules.unit[slot] if slot >= 0 else unit,
        "fate": FATES[judged.fate[k]],
        "quality": QUALITY[judged.quality[k]],
        "reason": REASONS[judged.reason[k]],
        "code": CODES[REASONS[judged.reason[k]]] if judged.fate[k] == REJECTED else "",
    }
