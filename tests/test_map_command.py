"""gemel map --try: what a message would become, before it is sent in earnest."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gemel import cli
from gemel.clock import WallClock, format_instant
from gemel.errors import Invalid, NotFound
from gemel.flow.fleet import load_plan
from gemel.flow.trial import try_message

PLANT = """
[plant]
name = "line"
lateness = "60s"
[interface.Oven]
telemetry = { power = { unit = "kW" }, temperature = { unit = "degC", range = [-50, 400] } }
[[twin]]
id = "oven-1"
interface = "Oven"
[[source]]
name = "gateway"
kind = "mqtt"
url = "mqtt://127.0.0.1"
topic = "bakery/#"
[[source.map]]
topic = "bakery/{twin}"
time = "t"
values = { power = "kw", temperature = "deg" }
unit = { temperature = "degF" }
scale = { power = 0.001 }
[[source]]
name = "hall"
kind = "mqtt"
url = "mqtt://127.0.0.1"
topic = "hall/+/telemetry"
commands = false
"""


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    (tmp_path / "plant.toml").write_text(PLANT)
    return tmp_path


def message(**more: Any) -> str:
    return json.dumps({"t": format_instant(WallClock().now()), **more})


def tried(plant: Path, topic: str, text: str, **how: Any) -> tuple[int, Any]:
    words = ["map", "--try", topic, text, "--plant", str(plant), "--json"]
    done = CliRunner().invoke(cli.app, words, **how)
    return done.exit_code, json.loads(done.stdout)


def test_a_message_is_shown_as_it_would_be_kept(plant: Path) -> None:
    status, told = tried(plant, "bakery/oven-1", message(kw=3500, deg=2012, x={"y": 1}))
    assert (status, told["source"], told["rule"], told["dead"]) == (0, "gateway", 0, [])
    power, temperature = told["samples"]
    assert (power["twin"], power["value"], power["unit"]) == ("oven-1", 3.5, "kW")
    assert (power["fate"], power["quality"], power["reason"]) == ("stored", "good", "")
    assert temperature["value"] == pytest.approx(1100) and temperature["unit"] == "degC"
    assert (temperature["quality"], temperature["reason"]) == ("bad", "range")
    assert told["unmapped"] == ["x.y"]


def test_a_message_from_a_file_or_standard_input_is_the_same(plant: Path) -> None:
    text = message(kw=1)
    (plant / "message.json").write_text(text)
    by_file = tried(plant, "bakery/oven-1", f"@{plant / 'message.json'}")
    assert by_file == tried(plant, "bakery/oven-1", "-", input=text)
    assert by_file == tried(plant, "bakery/oven-1", text) and by_file[0] == 0


def test_what_does_not_fit_exits_with_one_and_says_how_to_mend_it(plant: Path) -> None:
    status, told = tried(plant, "bakery/oven-1", message(KW=3500))
    assert (status, told["dead"][0]["code"]) == (1, "map.nothing")
    status, told = tried(plant, "bakery/oven-9", message(kw=3500))
    assert (status, told["samples"][0]["code"]) == (1, "sample.unknown_twin")
    done = CliRunner().invoke(
        cli.app, ["map", "--try", "bakery/oven-9", message(kw=1), "--plant", str(plant)]
    )
    assert "rejected sample.unknown_twin" in done.output and "mend: declare" in done.output
    with pytest.raises(NotFound, match="file"):
        CliRunner().invoke(
            cli.app,
            ["map", "--try", "a", "@nowhere", "--plant", str(plant)],
            catch_exceptions=False,
        )


def test_a_source_without_a_map_is_tried_by_its_name(plant: Path) -> None:
    plan = load_plan(plant / "plant.toml")
    body = {"time": format_instant(WallClock().now()), "values": {"power": 2.0}}
    told = try_message(plan, "hall/oven-1/telemetry", json.dumps(body).encode(), source="hall")
    assert told["samples"][0]["fate"] == "stored" and told["rule"] is None
    with pytest.raises(NotFound, match="no source"):
        try_message(plan, "a", b"{}", source="nobody")


def test_a_plant_of_several_sources_without_a_map_wants_one_named(tmp_path: Path) -> None:
    begin, end = PLANT.index("[[source.map]]"), PLANT.rindex("[[source]]")
    two = PLANT[:begin] + PLANT[end:]
    (tmp_path / "plant.toml").write_text(two)
    with pytest.raises(Invalid, match="gateway, hall"):
        try_message(load_plan(tmp_path / "plant.toml"), "a", b"{}")
