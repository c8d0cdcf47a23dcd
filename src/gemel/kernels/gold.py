"""The gold set: what a kernel must answer before it may speak for an asset.

Owns    the form of a gold set, and the verdict.
Never   bends: a case outside its tolerance refuses the kernel.

A gold set is JSON beside the kernel (`NAME.gold.json`):

    {"kernel": "GE 1.0", "source": "…", "cases": [
      {"name": "…", "parameters": {…}, "inputs": {"rpm": [3000]}, "dt": 60,
       "readings": {"temperature": [201]},          # optional: gives the innovation "delta.NAME"
       "expect": {"temperature": [199], "delta.temperature": [2]},
       "tolerance": 1e-9}]}

The kernel runs open loop from `initial` over the inputs, `dt` seconds apart.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gemel.errors import Invalid
from gemel.kernels import lanes
from gemel.kernels.base import Kernel


@dataclass(frozen=True)
class Verdict:
    """One case: passed or not, and by how much it was off at worst."""

    case: str
    passed: bool
    worst: float
    tolerance: float
    where: str


def judge(kernel: type[Kernel], gold: dict[str, Any]) -> list[Verdict]:
    """Every case of the gold set, run on the kernel."""
    if not gold.get("cases"):
        raise Invalid("gold.empty", "it has no case", where=kernel.__name__, mend="add a case")
    return [_case(kernel(), case) for case in gold["cases"]]


def _case(kernel: Kernel, case: dict[str, Any]) -> Verdict:
    answers = run(kernel, case)
    worst, where = 0.0, ""
    for name, expected in case["expect"].items():
        got = answers[name]
        same = len(got) == len(expected)
        off = np.abs(got - np.array(expected, float)) if same else np.array([np.inf])
        off = np.where(np.isfinite(off), off, np.inf)
        if float(off.max()) >= worst:
            worst, where = float(off.max()), f"{name}[{int(off.argmax())}]"
    return Verdict(case["name"], worst <= case["tolerance"], worst, case["tolerance"], where)


@np.errstate(over="ignore", invalid="ignore")  # a broken kernel may run away: that is a verdict
def run(kernel: Kernel, case: dict[str, Any]) -> dict[str, Any]:
    """Readings, states (`state.NAME`) and deltas of one case: name → (T,)."""
    layout = kernel.layout
    typical = {name: item.typical for name, item in layout.parameters.items()}
    p: list[Any] = [np.array([v]) for v in (typical | case.get("parameters", {})).values()]
    inputs = np.array([case["inputs"][name] for name in layout.inputs], float).T
    out: dict[str, list[float]] = {name: [] for name in layout.outputs}
    out |= {f"state.{name}": [] for name in layout.states}
    x: list[Any] = []
    for t, row in enumerate(inputs):
        u: list[Any] = [np.array([v]) for v in row]
        x = lanes.advance(kernel, x, u, p, case["dt"]) if t else lanes.initial(kernel, u, p, 1)
        for name, read in zip(layout.outputs, lanes.sense(kernel, x, u, p), strict=True):
            out[name].append(float(np.ravel(read)[0]))
        for name, value in zip(layout.states, x, strict=True):
            out[f"state.{name}"].append(float(np.ravel(value)[0]))
    answers = {name: np.array(values) for name, values in out.items()}
    for name, readings in case.get("readings", {}).items():
        answers[f"delta.{name}"] = np.array(readings, float) - answers[name]
    return answers
