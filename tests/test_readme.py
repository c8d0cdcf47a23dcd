"""The README keeps its word: its code runs as printed, its files are there, its commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gemel.cli import app

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def _run(block: str, folder: Path) -> str:
    script = folder / "block.py"
    script.write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_ten_line_twin_is_ten_lines_and_is_in_step_with_its_asset(tmp_path: Path) -> None:
    assert len(BLOCKS[0].strip().splitlines()) - 1 <= 10  # one of them is blank
    found = re.search(r"asset ([\d.]+) °C, twin ([\d.]+) ± ([\d.]+)", _run(BLOCKS[0], tmp_path))
    assert found is not None
    asset, twin, doubt = map(float, found.groups())
    assert abs(asset - twin) < 3 * doubt + 0.1


def test_the_first_kernel_follows_three_ovens_and_foresees_the_hot_one(tmp_path: Path) -> None:
    lines = _run(BLOCKS[1], tmp_path).splitlines()
    means = [float(re.split(": | ±", line)[1]) for line in lines[:3]]
    assert means == sorted(means) and all(30 < mean < 130 for mean in means)
    chance = re.search(r"(\d+)%", lines[3])
    assert chance is not None and 5 < int(chance[1]) <= 100


def test_every_file_the_readme_links_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize(
    "command",
    "demo run replay plant status findings proposals approve why maintain runs explain init gold "
    "accuracy replay-check".split(),
)
def test_every_command_the_readme_names_has_a_help(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0, done.output
