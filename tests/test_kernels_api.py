"""Kernels over HTTP: who speaks for which asset, on what proof, since when, and how well."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.ovens import oven_kernel

from gemel.clock import SECOND, ManualClock, PacedClock, format_instant, parse_instant
from gemel.flow import loop
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.flow.replay import verify
from gemel.graph.plantfile import SourceSpec
from gemel.insight.calibration import LEVELS, calibrate, histogram
from gemel.insight.lifecycle import Change, Version, standing
from gemel.kernels import gold
from gemel.server import kernel_forms as forms
from gemel.server import pages
from gemel.server.app import serve
from gemel.store.snapshots import Snapshots

START = parse_instant("2024-05-01T00:00:00Z")
MINUTE = 60 * SECOND
HOURS = 12
PLANT = """
[plant]
name = "ovens"
lateness = "2min"
[interface.Oven]
telemetry = { power = { unit = "kW" }, temperature = { unit = "degC" } }
[[twin]]
id = "as-typical"
interface = "Oven"
[[twin]]
id = "hotter"
interface = "Oven"
[[binding]]
name = "oven"
kernel = "kernel.py:Oven"
interface = "Oven"
every = "1min"
ports = { thermometer = "temperature" }
"""
HEAT = {"as-typical": 0.1, "hotter": 0.15}
LOSS = 1e-3


def measured() -> str:
    """What two true ovens would send, as a wide CSV: a reading a minute, a new power each hour."""
    rng, lines = np.random.default_rng(5), ["twin,time,power,temperature"]
    decay = np.exp(-LOSS * 60)
    noise = 0.05 * np.sqrt((1 - decay**2) / (2 * LOSS))
    for twin, heat in HEAT.items():
        t, power = 20.0, 0.0
        for minute in range(HOURS * 60):
            if minute % 60 == 0:
                power = float(rng.uniform(2.0, 8.0))
            at = 20 + heat * power / LOSS
            t = at + (t - at) * decay + noise * rng.normal()
            when = format_instant(START + (minute + 1) * MINUTE)
            lines.append(f"{twin},{when},{power:.6f},{t + 0.5 * rng.normal():.6f}")
    return "\n".join(lines) + "\n"


class Ovens:
    """Two ovens whose history was replayed, then a live host, its server, and a client."""

    def __init__(self, folder: Path) -> None:
        (folder / "plant.toml").write_text(PLANT)
        (folder / "kernel.py").write_text(oven_kernel(loss=LOSS, hot=2000.0))
        (folder / "history.csv").write_text(measured())
        self.plan = load_plan(folder / "plant.toml")
        self.data = folder / "ovens.gemel"
        source = SourceSpec("history", "csv", {"path": str(folder / "history.csv")})
        past = replace(self.plan.plant, sources={"history": source}, clock={"kind": "data"})
        with Host(replace(self.plan, plant=past), self.data, clock=ManualClock()) as host:
            assert host.wait(60.0)
        kernel = type(self.plan.fleets["oven"].kernel)
        case: dict[str, Any] = {"name": "steady", "inputs": {"power": [5.0] * 3}, "dt": 600.0}
        answers = gold.run(kernel(), case | {"expect": {}})
        case |= {"tolerance": 1e-9, "expect": {"thermometer": answers["thermometer"].tolist()}}
        (folder / "kernel.gold.json").write_text(json.dumps({"source": "itself", "cases": [case]}))
        self.open()

    def open(self) -> None:
        end = START + HOURS * 60 * MINUTE
        self.host = Host(self.plan, self.data, clock=PacedClock(end, 10.0)).start()
        self.server = serve(self.host, 0)
        self.http = httpx.Client(
            base_url=f"{self.server.url}/api/v1",
            headers={"Authorization": f"Bearer {self.host.token}"},
            timeout=30.0,
            trust_env=False,
        )

    def close(self) -> None:
        self.http.close()
        self.server.stop()
        self.host.stop()

    def get(self, form: type[BaseModel], path: str, **how: Any) -> Any:
        """An answer, which has what its schema declares and nothing else."""
        answer = self.http.get(f"/kernels{path}", params=how)
        assert answer.status_code == 200, answer.text
        form.model_validate(answer.json())
        return answer.json()

    def promote(self, status: int = 200, **body: Any) -> Any:
        asked = {"twin": "hotter", "by": "eva", "why": "the proof is good"} | body
        answer = self.http.post("/kernels/oven/promotion", json=asked)
        assert answer.status_code == status, answer.text
        if status == 200:
            forms.Promoted.model_validate(answer.json())
        return answer.json()

    def assets(self) -> Any:
        return {one["twin"]: one for one in self.get(forms.KernelAssets, "/oven/assets")["items"]}


def eventually(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    until = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return answer


@pytest.fixture(scope="module")
def ovens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ovens]:
    made = Ovens(tmp_path_factory.mktemp("ovens"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def run(ovens: Ovens) -> str:
    """A fit that was proved and waits for a person."""
    options = {"days": HOURS / 24, "every": 60.0, "warm": 1.0}
    started = ovens.host.start_run("refit", options, started_by="request eva")
    identity: str = started["id"]
    ended = eventually(
        lambda: (r := ovens.host.ledger.run(identity)) and r["status"] != "running" and r
    )
    assert ended["status"] == "waiting", ended
    return identity


# ---- what they are ----------------------------------------------------------------------------


def test_a_kernel_is_told_with_its_equations_ports_and_its_parameters_over_the_fleet(
    ovens: Ovens,
) -> None:
    assert [one["binding"] for one in ovens.get(forms.Kernels, "")["items"]] == ["oven"]
    told = ovens.get(forms.KernelDetail, "/oven")
    assert told["about"] == "T' = heat P - loss (T - 20)." and told["modes"] == ["too hot"]
    assert told["sensors"]["thermometer"]["port"] == "temperature"
    assert sum(one["assets"] for one in told["versions"]) == told["rows"] == told["begun"] == 2
    heat = told["parameters"]["heat"]
    assert heat["fleet"]["low"] <= heat["fleet"]["median"] <= heat["fleet"]["high"]
    assert heat["bounds"] == [0.0, None]
    for path, code in (("/none", "binding.unknown"), ("/oven/fits/R-1", "run.unknown")):
        answer = ovens.http.get(f"/kernels{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, code)


# ---- how well ---------------------------------------------------------------------------------


def test_the_track_tells_the_honest_twin_from_the_one_with_the_wrong_parameters(
    ovens: Ovens,
) -> None:
    first, last = format_instant(START), format_instant(START + HOURS * 60 * MINUTE)
    told = ovens.get(forms.KernelTrack, "/oven/track", valid=f"{first}/{last}")
    assert told["levels"] == [0.5, 0.8, 0.9, 0.95] and told["judged"] == told["assets"] == 2
    sensor = told["sensors"][0]
    each = {one["twin"]: one for one in sensor["assets"]}
    honest, wrong = each["as-typical"], each["hotter"]
    assert honest["count"] > 700
    for share, std, level in zip(
        honest["inside"], honest["inside_std"], told["levels"], strict=True
    ):
        assert abs(share - level) < 5 * std
    assert honest["spread"] == pytest.approx(1.0, abs=0.1)
    assert wrong["inside"][2] < honest["inside"][2] - 0.1 and wrong["bias"] > 0.5
    count = sum(one["count"] for one in sensor["assets"])
    assert sum(sensor["histogram"]) == count == sensor["fleet"]["count"]
    assert sum(one["count"] for one in sensor["drift"]) == count
    assert told["gold"]["source"] == "itself" and told["gold"]["cases"][0]["passed"]


def test_the_track_is_of_the_forecasts_and_samples_that_history_holds(ovens: Ovens) -> None:
    start, end = START + 5 * 60 * MINUTE, START + 7 * 60 * MINUTE
    lake, off = ovens.host.lake, []
    readings = {
        row["instant"]: row["value"]
        for row in lake.telemetry(["hotter"], ["temperature"]).to_pylist()
    }
    for row in lake.estimates(["hotter"], ["thermometer.foreseen"], start, end).to_pylist():
        off.append((readings[row["instant"]] - row["mean"]) / row["std"])
    span = f"{format_instant(start)}/{format_instant(end)}"
    told = ovens.get(forms.KernelTrack, "/oven/track", valid=span, twin="hotter")
    asset = told["sensors"][0]["assets"][0]
    assert (asset["count"], told["judged"]) == (len(off), 1) and len(off) == 120
    assert asset["bias"] == pytest.approx(np.mean(off), rel=1e-9)
    assert asset["inside"][3] == np.mean(np.abs(off) <= 1.959963984540054)
    nothing = ovens.get(forms.KernelTrack, "/oven/track", valid="../2020-01-01T00:00:00Z")
    assert nothing["sensors"][0]["fleet"]["count"] == 0
    assert nothing["sensors"][0]["fleet"]["inside"] == [None] * 4


def test_a_watch_doubts_the_twin_whose_intervals_do_not_cover(ovens: Ovens) -> None:
    started = ovens.host.start_run("watch", {}, started_by="request eva")
    done = eventually(
        lambda: (r := ovens.host.ledger.run(started["id"])) and r["status"] == "done" and r
    )
    scores = done["result"]["scores"]
    assert scores["hotter oven thermometer"]["coverage"] < 0.8
    assert scores["as-typical oven thermometer"]["coverage"] == pytest.approx(0.9, abs=0.05)


# ---- who speaks -------------------------------------------------------------------------------


def test_a_challenger_is_shown_against_the_champion_speaks_when_asked_and_can_be_taken_back(
    ovens: Ovens, run: str
) -> None:
    asset = ovens.assets()["hotter"]
    champion = asset["parameters"]["heat"]
    assert (asset["version"], asset["below"], asset["since"]) == ("typical", [], None)
    challenger = asset["challenger"]
    assert (challenger["run"], challenger["incumbent"]) == (run, "typical")
    assert challenger["promote"] and challenger["challenger_rmse"] < challenger["incumbent_rmse"]
    fit = ovens.get(forms.KernelFitDetail, f"/oven/fits/{run}")
    assert (fit["status"], fit["unit"], fit["verdict"]) == ("waiting", "degC", None)
    assert {one["twin"] for one in fit["items"]} == {"as-typical", "hotter"}
    assert [case["passed"] for case in fit["gold"]] == [True]

    told = ovens.promote(action="promote", version=run)
    assert (told["over"], told["version"]) == ("typical", run)
    asset = ovens.assets()["hotter"]
    assert (asset["version"], asset["by"], asset["below"]) == (run, "eva", ["typical"])
    assert asset["parameters"]["heat"]["value"] == pytest.approx(HEAT["hotter"], rel=0.03)
    assert asset["parameters"]["heat"]["off"] > 1.0 and asset["challenger"] is None
    assert [one["version"] for one in asset["line"]] == [run, "typical"]
    assert asset["line"][0]["parameters"] == asset["parameters"]
    assert asset["line"][1]["parameters"]["heat"] == champion
    assert ovens.promote(409, action="promote", version=run)["code"] == "promotion.speaks"

    back = ovens.promote(action="roll_back", why="it was the wrong oven")
    assert (back["over"], back["version"]) == (run, "typical")
    asset = ovens.assets()["hotter"]
    assert (asset["version"], asset["below"]) == ("typical", [])
    assert asset["parameters"]["heat"] == champion
    ovens.promote(action="promote", version=run)  # it is still proved against what speaks now

    history = ovens.get(forms.KernelHistory, "/oven/history", twin="hotter")
    moves = [(one["action"], one["version"], one["over"]) for one in history["changes"]]
    promoted = ("promote", run, "typical")
    assert moves == [promoted, ("roll_back", "typical", run), promoted]
    assert history["changes"][1]["why"] == "it was the wrong oven"
    assert [one["run"] for one in history["fits"]] == [run]
    audited = [row["action"] for row in ovens.host.ledger.audits()]
    assert audited[:3] == ["promote", "roll back", "promote"]
    then = ovens.get(forms.KernelHistory, "/oven/history", known_at=format_instant(START))
    assert (then["changes"], then["fits"]) == ([], [])


def test_a_past_instant_has_the_versions_of_then(ovens: Ovens, run: str) -> None:
    if ovens.assets()["hotter"]["version"] != run:
        ovens.promote(action="promote", version=run)
    then = format_instant(START + HOURS * 30 * MINUTE)
    for asked in ({"valid": then}, {"known_at": then}, {"valid": then, "known_at": then}):
        told = ovens.get(forms.KernelAssets, "/oven/assets", **asked)
        hotter = next(one for one in told["items"] if one["twin"] == "hotter")
        assert (hotter["version"], hotter["challenger"]) == ("typical", None), asked
        assert [one["version"] for one in hotter["line"]] == ["typical"]
        kernel = ovens.get(forms.KernelDetail, "/oven", **asked)
        assert kernel["versions"] == [{"version": "typical", "assets": 2}]
    assert (hotter["nis"], hotter["in_step"], kernel["in_step"]) == (None, None, None)
    assert hotter["begun"] and told["at"] == then
    assert ovens.assets()["hotter"]["version"] == run


def test_a_change_that_does_not_fit_what_is_so_is_refused(ovens: Ovens, run: str) -> None:
    def refused(status: int, **body: Any) -> str:
        code: str = ovens.promote(status, twin="as-typical", **body)["code"]
        return code

    assert refused(409, action="roll_back") == "promotion.nothing_before"
    assert refused(409, action="roll_back", version="R-7") == "promotion.nothing_before"
    assert refused(409, action="roll_back", version="typical") == "promotion.speaks"
    assert refused(404, action="promote", version="R-999999") == "promotion.unknown_version"
    assert refused(422, action="promote") == "promotion.which"
    assert refused(422, action="promote", version=run, why="") == "request.invalid"
    assert ovens.promote(404, twin="nobody", action="roll_back")["code"] == "twin.unknown"
    proof = ovens.host.ledger.steps(run)["judge"]["proofs"]["as-typical"]
    if not proof["promote"]:
        assert refused(409, action="promote", version=run) == "promotion.unproved"


def test_a_promotion_proved_against_another_than_speaks_when_it_comes_is_not_taken(
    ovens: Ovens,
) -> None:
    before = ovens.assets()["as-typical"]
    body = {"binding": "oven", "twin": "as-typical", "version": "R-X", "over": "R-Y"}
    parameters = {"heat": 1.0, "loss": 1.0}
    body |= {"parameters": parameters, "stds": parameters, "cov": [[1, 0], [0, 1]], "kernel": ""}
    ovens.host.submit("promotion", {**body, "by": "eva", "why": "late"})
    after = ovens.assets()["as-typical"]
    assert (after["version"], after["parameters"]) == (before["version"], before["parameters"])


def test_the_run_s_own_promotion_leaves_alone_what_a_person_has_promoted_before(
    ovens: Ovens, run: str
) -> None:
    if ovens.assets()["hotter"]["version"] != run:
        ovens.promote(action="promote", version=run)
    count = ovens.get(forms.KernelHistory, "/oven/history", twin="hotter")["total"]
    ovens.host.run_verdict(run, "approved", by="eva", why="the proofs are good")
    ended = eventually(
        lambda: (r := ovens.host.ledger.run(run)) and r["status"] in ("done", "failed") and r
    )
    assert "hotter" in ended["result"]["promoted"], ended
    assert ovens.get(forms.KernelHistory, "/oven/history", twin="hotter")["total"] == count
    fit = ovens.get(forms.KernelHistory, "/oven/history")["fits"][0]
    assert fit["promoted"] == len(ended["result"]["promoted"])
    assert fit["verdict"] == {"verdict": "approved", "by": "eva", "why": "the proofs are good"}


def test_after_a_restart_the_line_is_the_same_and_the_ledger_replays_to_the_same_bits(
    ovens: Ovens, run: str
) -> None:
    if ovens.assets()["hotter"]["version"] != run:
        ovens.promote(action="promote", version=run)
    names = ("version", "by", "why", "below", "since", "parameters")
    before = {name: ovens.assets()["hotter"][name] for name in names}
    ovens.close()
    ovens.open()
    assert {name: ovens.assets()["hotter"][name] for name in names} == before
    stores = ovens.host.journal, ovens.host.ledger, Snapshots(ovens.host.data / "snapshots")
    assert verify(ovens.plan, *stores)["same"]


def test_what_spoke_before_a_repair_comes_back_as_doubtful_as_the_fleet(
    ovens: Ovens, run: str
) -> None:
    if ovens.assets()["hotter"]["version"] != run:
        ovens.promote(action="promote", version=run)
    sure = ovens.assets()["hotter"]["parameters"]["heat"]["std"]
    ovens.host.maintain("hotter", [], by="eva", why="a new heater")
    ovens.promote(action="roll_back", why="the fit was of the old heater")
    assert ovens.assets()["hotter"]["parameters"]["heat"]["std"] == pytest.approx(0.3)
    assert sure < 0.1


# ---- the document -----------------------------------------------------------------------------


def test_every_answer_about_kernels_is_declared_and_its_example_fits(ovens: Ovens) -> None:
    said = {
        "kernels": forms.Kernels,
        "kernel": forms.KernelDetail,
        "kernel-assets": forms.KernelAssets,
        "kernel-history": forms.KernelHistory,
        "kernel-fit": forms.KernelFitDetail,
        "kernel-track": forms.KernelTrack,
        "promotion": forms.Promoted,
    }
    for noun, form in said.items():
        answer = pages.says(noun, "x")["responses"][200]
        form.model_validate(answer["content"]["application/json"]["example"])
    document = ovens.http.get("/openapi.json").json()
    told = {
        path: way["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        for path, ways in document["paths"].items()
        if path.startswith("/api/v1/kernels")
        for way in ways.values()
    }
    assert {ref.rsplit("/", 1)[1] for ref in told.values()} == {
        form.__name__ for form in said.values()
    }


# ---- laws -------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), max_size=12))
def test_a_roll_back_undoes_every_promotion_above_it(moves: list[int]) -> None:
    """A move k: back over k versions where so many stand above the start, else a promotion."""

    def version(name: str) -> Version:
        return Version(name, 0, "", {}, {}, [])

    told: list[Change] = []
    expected = ["start"]
    for number, k in enumerate(moves):
        if 0 < k < len(expected):
            del expected[-k:]
            told.append(Change("a", "b", "roll_back", version(expected[-1])))
        else:
            expected.append(f"R-{number}")
            told.append(Change("a", "b", "promote", version(expected[-1])))
    assert [one.name for one in standing(version("start"), told)] == expected


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_groups_add_up_to_the_whole_and_white_noise_is_covered_as_it_should_be(
    seed: int, groups: int
) -> None:
    rng = np.random.default_rng(seed)
    z, group = rng.normal(size=4000), rng.integers(0, groups, 4000)
    whole, parts = calibrate(z), calibrate(z, group, groups)
    assert parts.count.sum() == whole.count[0] == histogram(z).sum() == 4000
    together = np.nansum(parts.inside * parts.count[:, None], axis=0) / 4000
    np.testing.assert_allclose(together, whole.inside[0], rtol=1e-12)
    assert (np.abs(whole.inside[0] - LEVELS) < 6 * whole.inside_std[0]).all()
    assert abs(whole.bias[0]) < 6 / np.sqrt(4000) and abs(whole.spread[0] - 1) < 0.1


def test_history_tells_a_change_at_once_though_the_lake_has_it_later(
    ovens: Ovens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "KEEP_EVERY", 3600.0)
    known = ovens.host.lake.known("events")
    before = len(ovens.host.events("price"))
    ovens.host.event("price", {"value": 40.0})
    assert len(ovens.host.events("price")) == before + 1
    monkeypatch.setattr(loop, "KEEP_EVERY", 0.0)
    ovens.host.event("calendar", {"twin": "hotter"})  # a tick, so that history is written
    assert eventually(lambda: ovens.host.lake.known("events") > known)
    assert len(ovens.host.events("price")) == before + 1
