"""What a notebook shows: cards, tables and trends that are whole, escaped, and ask nobody."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ovens import oven_kernel

import gemel
from gemel import Fleet, notebook
from gemel.clock import SECOND, ManualClock, PacedClock, format_instant, parse_instant
from gemel.dataset import Dataset
from gemel.demo import examples, learn
from gemel.errors import Invalid, NotFound
from gemel.flow.fleet import Plan, load_plan
from gemel.flow.host import Host
from gemel.graph.plantfile import SourceSpec
from gemel.kernels.library.journal_bearing import JournalBearing
from gemel.store.declared import FILE
from gemel.store.trend import Trend

START = parse_instant("2024-05-01T00:00:00Z")
MINUTE = 60 * SECOND
MINUTES = 240
EVIL = '<script>alert("&")</script>'
PLANT = """
[plant]
name = "ovens"
lateness = "2min"
[interface.Oven]
telemetry = { power = { unit = "kW" }, temperature = { unit = "degF", range = [0, 180] } }
[[twin]]
id = "oven-1"
interface = "Oven"
[[binding]]
name = "oven"
kernel = "kernel.py:Oven"
interface = "Oven"
every = "1min"
ports = { thermometer = "temperature" }
"""


def told(path: Path) -> None:
    """Four hours in °F: a spike out of range at 60 min, and no sample from 120 to 150 min."""
    rng, t, lines = np.random.default_rng(3), 20.0, ["twin,time,power,temperature"]
    for minute in range(1, MINUTES + 1):
        t = 60.0 + (t - 60.0) * np.exp(-0.06) + 0.3 * rng.normal()
        reading = (t + 0.5 * rng.normal()) * 9 / 5 + 32 + (500 if minute == 60 else 0)
        gone = 120 <= minute < 150
        when = format_instant(START + minute * MINUTE)
        lines.append(f"oven-1,{when},4.0,{'' if gone else f'{reading:.4f}'}")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("ovens")
    (folder / "plant.toml").write_text(PLANT)
    (folder / "kernel.py").write_text(oven_kernel(heat=0.01, loss=1e-3, hot=100.0))
    told(folder / "history.csv")
    return load_plan(folder / "plant.toml")


@pytest.fixture(scope="module")
def ovens(plan: Plan) -> Dataset:
    """The history of an oven that was repaired when it ended, by one who writes HTML."""
    data, end = plan.where / "ovens.gemel", START + MINUTES * MINUTE
    source = SourceSpec("history", "csv", {"path": str(plan.where / "history.csv")})
    past = replace(plan.plant, sources={"history": source}, clock={"kind": "data"})
    with Host(replace(plan, plant=past), data, clock=ManualClock()) as host:
        assert host.wait(60.0)
    with Host(plan, data, clock=PacedClock(end, 1.0)) as host:
        host.maintain("oven-1", ["temperature"], by="eva", why=EVIL)
    return gemel.open(data)


class Whole(HTMLParser):
    """Refuses what is not balanced, runs, or reaches out."""

    EMPTY = {"line", "circle", "rect", "path", "polygon", "br"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        names = {name for name, _ in attrs}
        assert tag not in ("script", "link", "img", "iframe", "object"), tag
        assert not any(name.startswith("on") for name in names), names
        assert not names & {"href", "src", "xlink:href"}, names
        assert all("url(" not in (value or "") for _, value in attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(what: Any) -> str:
    """What a person reads of a thing in a notebook."""
    reader = Whole()
    reader.feed(what._repr_html_())
    reader.close()
    assert reader.open == []
    return reader.text


def trend(ovens: Dataset, **how: Any) -> Trend:
    return ovens.trend("oven-1", "temperature", **how)


def test_a_plant_a_twin_its_lists_and_its_history_show_themselves(ovens: Dataset) -> None:
    plant = seen(ovens)
    assert "ovens" in plant and "1 twin" in plant and "too hot" in plant and ".trend(" in plant
    one = ovens.twin("oven-1")
    twin = seen(one)
    assert "too hot" in twin and "± " in twin and "°F" in twin and "good" in twin and "ago" in twin
    assert one.states["oven"]["temperature"]["unit"] == "degC" and "too hot" in repr(one)
    for several in (ovens.findings(), ovens.proposals(), ovens.invocations()):
        assert isinstance(several, list) and seen(several)
    history = seen(ovens.history("oven-1", "temperature"))
    assert "bad: range" not in history and "good" in history and "UTC" in history
    assert "bad: range" in seen(ovens.history(signals="temperature", start=START + 55 * MINUTE))
    assert seen(ovens.latest()) and seen(ovens.events("maintenance"))
    with pytest.raises(NotFound, match="nobody"):
        ovens.twin("nobody")
    with pytest.raises(NotFound, match="nobody"):
        ovens.trend("nobody", "temperature")


def test_findings_and_proposals_show_what_a_person_must_know() -> None:
    finding = {
        "id": "F-1", "instant": START, "twin": "b1", "severity": "critical", "status": "open",
        "text": EVIL,
    }  # fmt: skip
    shown = seen(gemel.dataset.Records("findings", [finding]))
    assert "critical" in shown and EVIL in shown and "2024-05-01 00:00:00" in shown
    proposal = {
        "id": "P-1", "created_at": START, "twin": "b1", "command": "set_oil", "argument": 45.0,
        "foreseen": {
            "without": {"chance": 0.97}, "with": {"chance": 0.04},
            "saving": {"mean": 61000.0, "low": 58000.0, "high": 64000.0, "currency": "EUR"},
        },
        "status": "rejected", "by": "eva", "why": "no",
    }  # fmt: skip
    shown = seen(gemel.dataset.Records("proposals", [proposal] * 60))
    assert "97% → 4%" in shown and "61,000 (58,000 to 64,000) EUR" in shown and "10 more" in shown
    assert "rejected by eva: no" in shown


def test_a_trend_tells_what_was_measured_expected_spoiled_and_done(ovens: Dataset) -> None:
    whole = trend(ovens)
    assert (whole.unit, whole.limits, whole.every) == ("degF", [0.0, 180.0], 60.0)
    assert len(whole.value) == MINUTES - 30
    assert whole.end - whole.start == 24 * 60 * MINUTE and whole.instant[-1] == whole.end - 1
    spike = START + 60 * MINUTE
    assert whole.spoiled() == [(spike, spike, 2, "range")]
    settled = trend(ovens, start=START + 30 * MINUTE)
    at, off, half = settled.residual()
    assert not set(at.tolist()) & {START + k * MINUTE for k in (60, *range(120, 150))}
    good = settled.quality == 0
    readings = dict(zip(settled.instant[good].tolist(), settled.value[good], strict=True))
    expected = dict(zip(settled.at.tolist(), settled.mean, strict=True))
    np.testing.assert_allclose(off, [readings[t] - expected[t] for t in at.tolist()])
    inside, count = settled.covered()
    assert count == len(at) and inside == (np.abs(off) <= half).sum()
    assert inside / count == pytest.approx(0.9, abs=0.08)  # of a twin whose doubt is honest
    rows = ovens.estimates("oven-1", "thermometer.foreseen").polars()
    std = dict(zip(rows["instant"].cast(int).to_list(), rows["std"], strict=True))
    degrees = [half[k] / 1.6448536269514722 * 5 / 9 for k in range(len(at))]
    np.testing.assert_allclose(degrees, [std[t] for t in at.tolist()])
    assert [mark.kind for mark in trend(ovens, end=whole.end + MINUTE).marks] == ["maintenance"]


def test_a_trend_shows_itself_whole_and_escaped(ovens: Dataset) -> None:
    whole = trend(ovens, end=START + (MINUTES + 5) * MINUTE)
    shown = seen(whole)
    assert "inside" in shown and "range" in shown and EVIL in shown and "measured" in shown
    html = whole._repr_html_()
    assert html.count("<rect") == len(whole.spoiled()) == 1
    assert html.count("<polygon") == 2 and 'aria-label="oven-1 temperature' in html
    lone = trend(ovens, start=START + 119 * MINUTE, end=START + 120 * MINUTE)
    assert len(lone.value) == 1 and seen(lone)
    assert seen(trend(ovens, start=START + 130 * MINUTE, end=START + 140 * MINUTE))


def test_a_file_of_strangers_shows_itself_escaped(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(
        f'twin,time,signal,value\n"{EVIL.replace(chr(34), chr(34) * 2)}",2024-05-01T00:00:00Z,'
        "<b>s</b>,1.5\n"
    )
    data = gemel.open(path)
    assert EVIL in seen(data) and "<b>s</b>" in seen(data.history())
    assert "<b>s</b>" in seen(data.trend(EVIL, "<b>s</b>"))


def test_a_plant_whose_declarations_are_gone_or_broken_says_so_or_does_without(
    ovens: Dataset, tmp_path: Path
) -> None:
    folder = Path(ovens.target)
    for name in ("lake", "ledger.db"):
        (tmp_path / name).symlink_to(folder / name)
    bare = gemel.open(tmp_path)
    assert bare.trend("oven-1", "temperature").unit == "" and seen(bare.twin("oven-1"))
    (tmp_path / FILE).write_text("[")
    with pytest.raises(Invalid, match=r"plant\.json"):
        gemel.open(tmp_path).twin("oven-1")


def test_a_plot_has_the_band_the_shade_the_marks_and_breaks_where_nothing_came(
    ovens: Dataset, tmp_path: Path
) -> None:
    whole = trend(ovens, start=START, end=START + (MINUTES + 5) * MINUTE)
    figure = gemel.plot(whole)
    top, strip = figure.axes
    lines = {line.get_label(): line for line in top.lines}
    values = lines["measured"].get_ydata()
    assert np.isnan(values).sum() == 1 and np.nanmax(values) > 500
    assert top.get_ylim()[1] < 200  # a spike that is not good does not press the rest flat
    words = [text.get_text() for text in top.get_legend().get_texts()]
    assert any("90% band" in word for word in words) and "1 bad" in words
    assert "limit 180" in words and "limit 0" not in words  # only a limit that is near
    assert "1  maintenance" in strip.get_xlabel() and EVIL in strip.get_xlabel()
    assert len(strip.lines) == 2 and "°F" in {text.get_text() for text in top.texts}
    assert figure._repr_png_().startswith(b"\x89PNG")
    dark = gemel.plot(ovens, "oven-1", "power", dark=True)
    dark.savefig(tmp_path / "dark.png")
    assert len(dark.axes) == 1  # nobody foresees the power: there is no residual
    with pytest.raises(Invalid, match="trend already"):
        gemel.plot(whole, "oven-1")


def test_a_fleet_and_a_belief_show_those_least_in_step_first() -> None:
    fleet = Fleet(JournalBearing, [f"b{k}" for k in range(20)])
    u = dict(speed=3000.0, load=90.0, ambient=25.0, oil_flow=35.0, oil_inlet=45.0)
    for minute in range(30):
        readings = np.full(20, 75.0)
        readings[7] += 3.0 * (-1) ** minute
        fleet.tick(START + minute * MINUTE, u | {"metal_temperature": readings})
    shown = seen(fleet)
    assert shown.index("b7") < shown.index("b0") and "of 20" in shown and "wear" in shown
    assert not fleet["b7"].in_step and fleet["b0"].in_step
    assert "out of step" in seen(fleet["b7"]) and "in step" in seen(fleet["b0"])
    assert "not begun" in seen(Fleet(JournalBearing, ["new"])) and seen(Fleet(JournalBearing))


def test_every_cell_of_the_notebook_runs_on_the_demo_s_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    learn(load_plan(examples() / "demo" / "plant.toml"), tmp_path / "data", said.append, days=2.0)
    monkeypatch.setenv("GEMEL_DATA", str(tmp_path / "data"))
    cells = json.loads((examples() / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"]).strip()
            exec(source, names)
            last = source.splitlines()[-1]
            if last.isidentifier():
                assert seen(names[last])
    assert said
    assert "st1-b2" in names["twins"].twins()


# ---- laws -------------------------------------------------------------------------------------

FINITE = st.floats(-1e12, 1e12)


@given(FINITE, st.floats(1e-6, 1e9))
def test_an_axis_has_a_few_round_numbers_inside_it(low: float, room: float) -> None:
    high = low + room
    if high - low > 1e-9 * abs(low):
        told = notebook.ticks(low, high)
        assert 2 <= len(told) <= 7
        assert all(low - 1e-6 * room <= value <= high + 1e-6 * room for value in told)


@given(st.integers(0, 2 * 10**18), st.integers(SECOND, 3 * 10**17))
def test_an_axis_of_time_has_a_few_round_instants_inside_it(start: int, wide: int) -> None:
    told = notebook.hours(start, start + wide)
    assert len(told) <= 8 and all(start <= instant <= start + wide for instant in told)
    assert all(notebook.day(instant, 3600 * SECOND) for instant in told)


@given(st.floats(), st.none() | st.floats(), st.sampled_from(["degC", "1", "kW"]))
def test_any_number_can_be_told(value: float, std: float | None, unit: str) -> None:
    assert 0 < len(notebook.number(value, std, unit)) < 60


@given(st.lists(st.sampled_from([0, 1, 2]), max_size=40))
def test_every_sample_that_is_not_good_is_in_one_run_and_no_good_one_is(grades: list[int]) -> None:
    instant = np.arange(len(grades), dtype=np.int64) * SECOND
    blank = np.zeros(0)
    shown = Trend(
        "t", "s", "", 0, SECOND, instant, instant * 1.0, np.array(grades, np.int8),
        ["" if g == 0 else "stuck" for g in grades], instant[:0], blank, blank,
    )  # fmt: skip
    runs = shown.spoiled()
    inside = [any(first <= t <= last for first, last, *_ in runs) for t in instant.tolist()]
    assert inside == [grade > 0 for grade in grades]
    assert all(worst == max(grades[first // SECOND : last // SECOND + 1])
               for first, last, worst, _ in runs)  # fmt: skip
