"""The value line: what a caught failure saves, in money, with its interval.

Owns    the sums: price stream × outage + repair, against what the command costs.
Never   invents a price: without a price stream there is no value line.

For each Monte Carlo path, failing before the deadline costs

    loss = outage_hours · power · price + repair − planned_repair

and the saving of a command is E[loss without − loss with] − cost of the command. Both plans share
their random numbers, so the difference is paired.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gemel.clock import SECOND
from gemel.records import Bools, Floats


@dataclass
class ValueMemory:
    """price (24,) EUR/MWh by hour, NaN unknown · service: twin → instants, ns, sorted."""

    price: Floats = field(default_factory=lambda: np.full(24, np.nan))
    service: dict[str, list[int]] = field(default_factory=dict)


def learn_event(
    memory: ValueMemory, config: dict[str, Any], name: str, body: dict[str, Any]
) -> None:
    """Take in one price or one entry of the service calendar; what is neither is left alone."""
    instant, value = body.get("instant"), body.get("value")
    if not isinstance(instant, int):
        return
    if name == config.get("price", "price"):
        if isinstance(value, (int, float)) and np.isfinite(value):
            hour = instant // (3600 * SECOND) % 24
            old = memory.price[hour]
            memory.price[hour] = float(value) if np.isnan(old) else 0.5 * (old + float(value))
    elif name == config.get("calendar", "calendar") and "twin" in body:
        dates = memory.service.setdefault(str(body["twin"]), [])
        if instant not in dates:
            dates.append(instant)
            dates.sort()


def next_service(memory: ValueMemory, twins: list[str], after: int) -> int | None:
    """The first service of any of these twins after an instant."""
    dates = [d for twin in twins for d in memory.service.get(twin, []) if d > after]
    return min(dates) if dates else None


def saving(
    memory: ValueMemory,
    config: dict[str, Any],
    names: list[str],
    start: int,
    dt: float,
    base: Floats,
    plan: Floats,
    fails_base: Bools,
    fails_plan: Bools,
    deadline: float,
) -> dict[str, Any]:
    """What one plan saves against doing nothing, EUR: mean, 5 % and 95 % of that mean, and cost.

    Without a price, a plan that gives up power costs nobody knows what: its sums are None.

    base, plan (K,U): inputs without and with the command · fails (paths,): before the deadline
    """
    steps = np.arange(len(base))
    ahead = steps * dt < deadline
    hours = np.where(ahead, dt / 3600.0, 0.0)
    known = ~np.isnan(memory.price)
    usual = float(memory.price[known].mean()) if known.any() else float("nan")
    hour = (start + (steps * dt * SECOND).astype(np.int64)) // (3600 * SECOND) % 24
    price = np.where(known[hour], memory.price[hour], usual)
    cost, power = 0.0, 0.0
    earns = config.get("earns", {})
    if earns.get("input") in names:
        k = names.index(earns["input"])
        megawatt = float(earns.get("kw", 1.0)) / 1000.0
        given_up = (base[:, k] - plan[:, k]) * megawatt * hours
        cost += float(np.sum(given_up * price)) if known.any() or given_up.any() else 0.0
        power = float(base[:, k].mean()) * megawatt
    for name, rate in config.get("costs", {}).items():
        if name in names:
            k = names.index(name)
            cost += float(np.sum((plan[:, k] - base[:, k]) * rate * hours))
    loss = (
        config.get("outage_hours", 0.0) * power * (usual if known.any() else 0.0)
        + config.get("repair", 0.0)
        - config.get("planned_repair", 0.0)
    )
    per_path = loss * (fails_base.astype(float) - fails_plan.astype(float)) - cost
    mean, spread = float(per_path.mean()), float(per_path.std() / np.sqrt(len(per_path)))
    return {
        "currency": "EUR",
        "mean": _known(mean),
        "low": _known(mean - 1.645 * spread),
        "high": _known(mean + 1.645 * spread),
        "cost": _known(cost),
        "loss_if_failed": loss,
        "price": usual if known.any() else None,
    }


def _known(amount: float) -> float | None:
    return amount if np.isfinite(amount) else None
