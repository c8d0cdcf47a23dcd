"""The notebook runs on a data directory like the demo's."""

import json
from pathlib import Path

import pytest

from gemel.demo import examples, learn
from gemel.flow.fleet import load_plan


def test_every_cell_of_the_notebook_runs_on_the_demo_s_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    learn(load_plan(examples() / "demo" / "plant.toml"), tmp_path / "data", said.append, days=2.0)
    monkeypatch.setenv("GEMEL_DATA", str(tmp_path / "data"))
    cells = json.loads((examples() / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert said
    assert "st1-b2" in names["twins"].twins()  # type: ignore[attr-defined]
