"""The pages keep their word: their code runs as printed, their files and commands are there.

A block of docs/ that opens with `# name.py` is that file, and later blocks may import it.
A `text` block right below says what it prints, or the error that it ends in. Numbers may differ a
little: they hang on the processor.
"""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gemel import interp2
from gemel.cli import app
from gemel.kernels.emit import LANES, TILE
from gemel.kernels.expression import COMPOSED, UFUNCS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
PAGES = {name: (ROOT / "docs" / name).read_text("utf-8") for name in ("kernels.md", "engine.md")}
PRINTED = [
    pytest.param(block, printed, id=f"{name} {k}")
    for name, text in PAGES.items()
    for k, (block, printed) in enumerate(
        re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", text, re.DOTALL)
    )
]
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


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


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages name."""
    folder = tmp_path_factory.mktemp("page")
    for block in (case.values[0] for case in PRINTED):
        (folder / _name(str(block))).write_text(str(block), encoding="utf-8")
    return folder


def _name(block: str) -> str:
    named = re.match(r"# (\w+\.py)\n", block)
    return named[1] if named else "block.py"


@pytest.mark.parametrize(("block", "printed"), PRINTED)
def test_a_block_of_a_page_prints_what_stands_below_it(
    block: str, printed: str, page: Path
) -> None:
    name = _name(block)
    (page / name).write_text(block, encoding="utf-8")
    tool = ["-m", "pytest", "-q"] if name.startswith("test_") else ["-W", "error"]
    done = subprocess.run([sys.executable, *tool, name], cwd=page, capture_output=True, text=True)
    if done.returncode:
        said = re.split(r"gemel\.errors\.\w+: ", done.stderr)[-1]
    else:
        said = done.stdout if printed else ""
    assert NUMBER.sub("#", said.strip()) == NUMBER.sub("#", printed.strip()), done.stderr
    found, wanted = ([float(n) for n in NUMBER.findall(text)] for text in (said, printed))
    assert found == pytest.approx(wanted, rel=0.1, abs=2e-3)


def test_the_kernels_page_lists_every_function_that_can_be_traced() -> None:
    [inside] = re.findall(
        r"## What may be written inside\n(.*?)\nWhat does not go", PAGES["kernels.md"], re.DOTALL
    )
    listed = set(re.findall(r"`np\.(\w+)`", inside))
    operators = {"bitwise_and", "bitwise_or", "invert"}  # & | ~
    traced = {ufunc.__name__ for ufunc in UFUNCS.keys() | COMPOSED.keys()} - operators
    assert listed == traced | {"where", "clip", "interp"}
    assert f"`gemel.{interp2.__name__}`" in inside


def test_the_engine_page_names_the_sizes_that_the_code_has() -> None:
    assert f"on vectors of {LANES} numbers" in PAGES["engine.md"].replace("\n", " ")
    assert f"a tile of {TILE} lanes, a vector of {LANES}" in PAGES["engine.md"]


def test_the_pictures_of_the_engine_page_show_a_graph_that_folding_makes_smaller() -> None:
    spec = importlib.util.spec_from_file_location("engine_pictures", ROOT / "docs" / "engine.py")
    assert spec and spec.loader
    pictures = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = pictures
    spec.loader.exec_module(pictures)
    before, after = pictures.by_the_book(), pictures.as_traced()
    kept = [item for item in before if item.args and not item.gone]
    assert pictures.operations(before) > pictures.operations(after) == len(kept)
    for name in pictures.PICTURES:
        assert f"(img/engine-{name}.png)" in PAGES["engine.md"]


@pytest.mark.parametrize("name", ["README.md", "docs/kernels.md", "docs/engine.md"])
def test_every_file_that_a_page_links_is_there(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize(
    "command",
    "demo run replay plant status findings proposals approve why maintain runs explain init gold "
    "accuracy replay-check".split(),
)
def test_every_command_the_readme_names_has_a_help(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0, done.output
