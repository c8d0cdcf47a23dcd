"""The command line: help of every command, exit codes, and a plant from file to answer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gemel import cli
from gemel.console import error_lines, exit_code, find_data
from gemel.errors import (
    Bug,
    Conflict,
    Denied,
    GemelError,
    Invalid,
    NotFound,
    Unavailable,
    catalogue,
)

WAIT = 60.0
GROUP: Any = get_command(cli.app)
COMMANDS = [[name] for name in GROUP.commands] + [["runs", "start"], ["runs", "approve"]]


def gemel(*words: str, folder: Path | None = None, status: int = 0) -> str:
    """Run it as a person does; its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "gemel.cli", *words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert done.returncode == status, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def environment() -> dict[str, str]:
    told = {k: v for k, v in os.environ.items() if k not in ("GEMEL_DATA", "FORCE_COLOR")}
    return {**told, "COLUMNS": "80", "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pump.csv and the plant that `gemel init` made of it, replayed."""
    home = tmp_path_factory.mktemp("home")
    rows = [f"2024-01-0{1 + k // 96}T{k // 4 % 24:02d}:{k % 4 * 15:02d}:00Z" for k in range(400)]
    lines = [f"{when},{40 + k % 9},{20 + k % 7}" for k, when in enumerate(rows)]
    (home / "pump.csv").write_text("\n".join(["time,temp_degC,power_kW", *lines]))
    gemel("init", "--from", "pump.csv", "--to", "pump", folder=home)
    gemel("replay", "pump", "--json", folder=home)
    return home


# ---- help -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_that_fits_eighty_columns(words: list[str]) -> None:
    done = CliRunner().invoke(cli.app, [*words, "--help"], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    assert f"Usage: gemel {' '.join(words)}" in done.output or words == ["runs"]


def test_the_commands_that_the_readme_promises_are_there() -> None:
    wanted = "demo run plant replay status findings proposals approve maintain runs why explain "
    wanted += "init gold accuracy replay-check version"
    assert set(wanted.split()) <= set(GROUP.commands)


def test_help_answers_without_loading_the_engine() -> None:
    code = "import sys, gemel.cli; print([m for m in ('numpy.linalg', 'polars', 'deltalake', "
    code += "'duckdb', 'fastapi', 'scipy') if m in sys.modules and m != 'numpy.linalg'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=WAIT
    )
    assert done.stdout.strip() == "[]"


# ---- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code"),
    [(Invalid, 2), (NotFound, 3), (Conflict, 4), (Denied, 5), (Unavailable, 6), (Bug, 70)],
)
def test_every_class_of_error_has_its_exit_code(kind: type[GemelError], code: int) -> None:
    assert exit_code(kind("a.b", "c", mend="d")) == code


def test_an_error_is_three_lines_on_stderr(tmp_path: Path) -> None:
    told = gemel("run", "nothing.toml", folder=tmp_path, status=3).splitlines()
    assert [line.split(":")[0].strip() for line in told[1:]] == ["mend", "more"]
    assert str(error_lines(Invalid("a.b", "what", where="x", mend="y"))).startswith("x: what")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["status"], 3),
        (["explain", "no.code"], 3),
        (["init", "--from", "nothing.csv"], 3),
        (["approve", "P-1"], 2),
        (["replay", "nothing.toml"], 3),
        (["nonsense"], 2),
    ],
)
def test_what_goes_wrong_has_its_exit_code(words: list[str], status: int, tmp_path: Path) -> None:
    gemel(*words, folder=tmp_path, status=status)


def test_a_closed_pipe_is_quiet() -> None:
    done = subprocess.run(
        f"{sys.executable} -m gemel.cli explain | head -1",
        shell=True,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert done.stderr == ""


# ---- explain, version, gold -------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(catalogue()))
def test_explain_knows_every_code(code: str) -> None:
    done = CliRunner().invoke(cli.app, ["explain", code])
    assert done.exit_code == 0 and done.output.startswith(code)


def test_version_and_codes_as_json() -> None:
    assert json.loads(gemel("version", "--json"))["python"].startswith("3.")
    assert len(json.loads(gemel("explain", "--json"))) == len(catalogue())


def test_the_gold_sets_of_the_library_pass() -> None:
    rows = json.loads(gemel("gold", "--json"))
    assert rows and not [row for row in rows if row["verdict"] == "failed"]


def test_a_kernel_that_fails_its_gold_set_fails_the_command(folder: Path) -> None:
    case = {"name": "far off", "inputs": {"power": [20.0]}, "dt": 60, "tolerance": 1e-9}
    gold = {"cases": [{**case, "expect": {"temp": [1e6]}}]}
    (folder / "pump" / "kernel.gold.json").write_text(json.dumps(gold))
    try:
        done = CliRunner().invoke(cli.app, ["gold", str(folder / "pump")])
        assert done.exit_code == 1 and "failed" in done.output
    finally:
        (folder / "pump" / "kernel.gold.json").unlink()


# ---- a plant ----------------------------------------------------------------------------------


def test_a_csv_goes_to_a_replayed_plant_in_two_commands(folder: Path) -> None:
    told = json.loads(gemel("status", "--json", folder=folder / "pump"))
    assert told["running"] is False and "ago" in told["note"]
    assert told["books"]["file"]["received"] == told["books"]["file"]["stored"] == 800
    assert "not running" in gemel("status", folder=folder / "pump")
    assert json.loads(gemel("findings", "--all", "--json", folder=folder / "pump"))["tick"] > 0


def test_a_replay_gives_the_same_bits_again(folder: Path) -> None:
    told = json.loads(gemel("replay-check", "pump/pump.gemel", "--json", folder=folder))
    assert told["same"] is True and told["rows"] > 0


def test_the_data_directory_is_found_and_a_missing_one_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "pump")
    assert find_data(None).name == "pump.gemel"
    monkeypatch.chdir(folder)
    with pytest.raises(NotFound, match=r"data\.not_found"):
        find_data(None)


def test_a_running_plant_answers_and_ctrl_c_finishes_the_tick(folder: Path) -> None:
    text = (folder / "pump" / "plant.toml").read_text()
    live = folder / "live"
    live.mkdir()
    head, _, tail = text.partition('[[source]]\nname = "file"')
    head = head.replace('{ kind = "data" }', '{ kind = "wall" }')
    (live / "plant.toml").write_text(head + "\n".join(tail.splitlines()[4:]))
    (live / "kernel.py").write_text((folder / "pump" / "kernel.py").read_text())
    command = [sys.executable, "-m", "gemel.cli", "run", ".", "--port", "0", "--plain"]
    process = subprocess.Popen(
        command, cwd=live, env=environment(), stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + WAIT
        while not (live / "pump.gemel" / "server.json").exists() and time.monotonic() < end:
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.05)
        assert json.loads(gemel("status", "--json", folder=live))["running"] is True
        assert "gemel why" in gemel("status", folder=live)
        told = gemel("maintain", "pump", "--why", "new seal", "--reset", "actual", folder=live)
        assert "starts anew" in told
        assert json.loads(gemel("why", "pump", "--json", folder=live))["twin"] == "pump"
        gemel("why", "pump", folder=live)
        gemel("why", "nobody", folder=live, status=3)
        gemel("approve", "P-1", "--why", "x", folder=live, status=3)
        assert "no open proposal" in gemel("proposals", folder=live)
        gemel("findings", folder=live)
        assert "no run yet" in gemel("runs", folder=live)
        gemel("replay-check", "pump.gemel", folder=live, status=4)
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WAIT)
    assert process.returncode == 0, said
    assert "finishing the tick in hand" in said and "Traceback" not in said
    assert not (live / "pump.gemel" / "server.json").exists()
    assert json.loads(gemel("replay-check", "pump.gemel", "--json", folder=live))["same"] is True
