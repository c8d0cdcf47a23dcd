"""The run `refit`: fit per asset, prove on held-out recent data, ask, promote.

Owns    the way of a set of parameters from history to speaking for its asset.
Never   promotes what does not beat the incumbent or fails the gold set, whoever asks.

Options: binding (default: the first) · until, an instant (default: now) · days of history (14)
held_out share (0.25) · every, s, of the grid (600) · warm, hours (6; at least three of the slowest
time constants) · approve: "person" (default) or "rule".
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gemel.clock import SECOND, format_instant, parse_instant
from gemel.errors import Invalid, NotFound
from gemel.flow.desk import WAITING, Desk, Record, Step
from gemel.flow.fleet import Fleet, gold_set, load_kernel
from gemel.flow.history import histories
from gemel.flow.versions import learnt_version, promotion
from gemel.insight.lifecycle import History, prove, verdict, windows
from gemel.kernels import gold
from gemel.kernels.fit import Fit, Windows, fit

JUDGED = 24.0  # hours of a window that are judged


def learn(desk: Desk, run: Record, done: dict[str, Record]) -> Record:
    """Fit every asset on the older part of its history."""
    fleet, told = _fleet(desk, run), _options(run)
    end = parse_instant(told["until"]) if "until" in told else int(run["created_at"])
    start = end - int(told["days"] * 86_400 * SECOND)
    cut = end - int(told["days"] * told["held_out"] * 86_400 * SECOND)
    past = histories(desk.plan, fleet, desk.lake, start, cut, float(told["every"]))
    lanes = [_windows(history, told) for history in past]
    rich = [k for k, one in enumerate(lanes) if one.mask.any()]
    learnt: dict[str, Record] = {}
    if rich:
        together = _windows_of([past[k] for k in rich], told)
        found = apart(_fit, fleet.binding.kernel, desk.plan.where, together)
        names = list(fleet.kernel.layout.parameters)
        learnt = {fleet.twins[k]: _told(found, names, row) for row, k in enumerate(rich)}
    if not learnt:
        raise Invalid(
            "fit.no_samples",
            f"binding {fleet.binding.name} has no usable history before {format_instant(cut)}",
            mend="wait for more of it, or replay a file of history first",
        )
    return {"learnt": learnt, "start": start, "cut": cut, "end": end, "kernel": fleet.identity}


def apart(work: Any, *given: Any) -> Any:
    """Carry out heavy work in a process of its own: the loop keeps its core."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


def _fit(kernel: str, folder: Path, lanes: Windows) -> Fit:
    return fit(load_kernel(kernel, folder)(), lanes)


def _told(found: Fit, names: list[str], row: int) -> Record:
    shrink = zip(names, found.shrink[row], strict=True)
    return {
        "parameters": dict(zip(names, found.values[row].tolist(), strict=True)),
        "stds": dict(zip(names, found.stds[row].tolist(), strict=True)),
        "cov": found.cov[row].tolist(),
        "rmse": float(found.rmse[row]),
        "samples": int(found.samples[row]),
        "not_identified": [name for name, share in shrink if share > 0.8],
    }


def judge(desk: Desk, run: Record, done: dict[str, Record]) -> Record:
    """Challenger against incumbent on the later part, open loop; the gold set for the kernel."""
    fleet, told = _fleet(desk, run), _options(run)
    kernel = type(fleet.kernel)
    try:
        cases = gold.judge(kernel, gold_set(kernel))
    except NotFound:
        cases = []  # then nothing vouches for the kernel, and the verdict says so
    recent = histories(
        desk.plan, fleet, desk.lake, done["learn"]["cut"], done["learn"]["end"], told["every"]
    )
    now = desk.speaking(fleet.binding.name)
    proofs: dict[str, Record] = {}
    for twin, challenger in done["learn"]["learnt"].items():
        held = _windows(recent[fleet.row[twin]], told)
        if not held.mask.any():
            continue
        row, values = fleet.row[twin], np.array(list(challenger["parameters"].values()))
        proof = prove(fleet.kernel, now.values[row], values, held, spread=challenger["rmse"])
        promoted, reason = verdict(proof, cases)
        proofs[twin] = {
            "promote": promoted,
            "reason": reason,
            "incumbent": now.versions[row],
            "incumbent_rmse": proof.incumbent_rmse,
            "challenger_rmse": proof.challenger_rmse,
            "incumbent_bias": proof.incumbent_bias,
            "challenger_bias": proof.challenger_bias,
            "coverage": proof.coverage,
            "count": proof.count,
        }
    return {"proofs": proofs, "gold": [asdict(case) for case in cases]}


def ask(desk: Desk, run: Record, done: dict[str, Record]) -> Record:
    """Wait for a person, unless the run was started with approve = "rule"."""
    worth = [twin for twin, proof in done["judge"]["proofs"].items() if proof["promote"]]
    if run["options"].get("approve", "person") == "rule" or not worth:
        return {"verdict": "approved", "by": "rule", "why": "gold set passed, incumbent beaten"}
    return {"status": WAITING, "promote": worth, "proofs": done["judge"]["proofs"]}


def promote(desk: Desk, run: Record, done: dict[str, Record]) -> Record:
    """The winners speak from here on: one journal entry an asset, none twice.

    An asset for which another version has begun to speak since the proof keeps it.
    """
    proofs, answer = done["judge"]["proofs"], done["ask"]
    if answer["verdict"] != "approved":
        return {"promoted": [], "why": answer["why"], "proofs": proofs}
    fleet = _fleet(desk, run)
    name, versions = fleet.binding.name, desk.speaking(fleet.binding.name).versions
    worth = [twin for twin, proof in proofs.items() if proof["promote"]]
    bodies = [
        promotion(
            name,
            twin,
            "promote",
            learnt_version(run, done, twin),
            over=proofs[twin]["incumbent"],
            by=answer["by"],
            why=proofs[twin]["reason"],
        )
        for twin in worth
        if versions[fleet.row[twin]] != run["id"]
    ]
    if bodies:
        desk.submit_all("promotion", bodies, "runs")
    versions = desk.speaking(name).versions
    promoted = [twin for twin in worth if versions[fleet.row[twin]] == run["id"]]
    return {"promoted": promoted, "version": run["id"], "proofs": proofs}


def _fleet(desk: Desk, run: Record) -> Fleet:
    fleets = desk.plan.fleets
    name = run["options"].get("binding") or next(iter(fleets), "")
    if name not in fleets:
        raise NotFound(
            "binding.unknown",
            f"there is no binding '{str(name)[:40]}'",
            where=f"run {run['id']}",
            mend=f"known are: {', '.join(fleets) or 'none'}",
        )
    return fleets[name]


def _options(run: Record) -> Record:
    told: Record = {"days": 14.0, "held_out": 0.25, "every": 600.0, "warm": 6.0}
    told.update(run["options"])
    return told


def _windows(history: History, told: Record) -> Windows:
    return _windows_of([history], told)


def _windows_of(several: list[History], told: Record) -> Windows:
    steps = 3600.0 / told["every"]
    warm = int(told["warm"] * steps)
    longest = max(len(history.instant) for history in several)
    judged = max(1, min(int(JUDGED * steps), longest - warm))
    return windows(several, told["every"], warm=warm, judged=judged)


REFIT: list[tuple[str, Step]] = [
    ("learn", learn),
    ("judge", judge),
    ("ask", ask),
    ("promote", promote),
]
