"""The gallery is what its script writes, and shows the whole library."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
MOST = 60_000  # bytes of a plot


@pytest.fixture(scope="module")
def gallery() -> Any:
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_writes(gallery: Any) -> None:
    shipped = gallery.PAGE.read_text(encoding="utf-8")
    assert shipped == gallery.page(), "run: .venv/bin/python docs/gallery.py"


def test_every_kernel_of_the_library_has_its_place_and_its_plot(gallery: Any) -> None:
    library = {path.stem for path in (ROOT / "src/gemel/kernels/library").glob("[a-z]*.py")}
    shown = {kernel.__module__.rsplit(".", 1)[-1] for _, kernel, _ in gallery.GALLERY.values()}
    assert shown == library
    for stem in gallery.GALLERY:
        assert (gallery.IMAGES / f"gallery-{stem}.png").stat().st_size <= MOST
    assert {p.name for p in gallery.IMAGES.glob("gallery-*")} == {
        f"gallery-{stem}.png" for stem in gallery.GALLERY
    }


def test_every_kernel_says_its_equation_and_its_source(gallery: Any) -> None:
    for stem, (title, kernel, _) in gallery.GALLERY.items():
        text = gallery.section(stem, title, kernel)
        assert "```text\n" in text, f"{title} has no equation"
        assert "*Source: " in text, f"{title} has no source"
        assert "```python\n>>> " in text, f"{title} states no fact"
