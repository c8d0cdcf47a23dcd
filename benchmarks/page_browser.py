"""What a person at the page feels: first paint, the answer to a key, memory over minutes, its size.

    .venv/bin/python -m benchmarks.page_browser 2     # memory over two minutes, not ten

Owns    the figures `page.*` of `make bench` in the browser.
Never   measures the server: its process, the feed and the browser share the machine, as they would.
"""

import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.page import CHROMIUM, FLAGS, SIZES, size_of

from benchmarks.page import Feed
from benchmarks.runner import ROOT, figure

BUILT = ROOT / "src/gemel/ui"
MINUTES, WARM, EVERY = 10.0, 60.0, 10.0  # of memory; s before it is measured; s between two looks
OPENED = 5  # times that the page is opened
SLACK = 60_000.0  # ms of a busy machine
SEEN = """
window.gemelFirst = 0;
window.gemelSlowest = 0;
new MutationObserver((_, watching) => {
  if (!document.querySelector("[role=gridcell] a")) return;
  watching.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.gemelFirst = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
new PerformanceObserver((list) => {
  for (const one of list.getEntries())
    if (one.interactionId) window.gemelSlowest = Math.max(window.gemelSlowest, one.duration);
}).observe({ type: "event", durationThreshold: 16, buffered: true });
"""


@figure("page.bundle", unit="kB", kind="bench")
def bundle() -> float:
    """All of the page, gzipped as `make ui` tells it: the frame and every view."""
    parts = [*sorted(BUILT.glob("assets/*.js")), *sorted(BUILT.glob("assets/*.css"))]
    if not parts:
        raise FileNotFoundError("the page is not built: make ui")
    whole = b"".join(part.read_bytes() for part in [*parts, BUILT / "index.html"])
    return len(gzip.compress(whole, 9)) / 1e3


@figure(
    "page.browser",
    unit={"page.first_paint": "s", "page.interaction": "ms", "page.memory_slope": "kB/min"},
    kind="bench",
)
def browser() -> dict[str, float]:
    """100,000 twins, of which 10,000 values change a second, and a page open on the fleet: from its
    opening to its first rows on the screen; from an input to the next paint, the slowest of typing,
    sorting, filtering and moving to the end (each the median of OPENED visits); and the growth of
    the heap of the last, collected before each look."""
    return _measured(MINUTES)


def _measured(minutes: float) -> dict[str, float]:
    with _served() as (link, chromium):
        firsts, slowest = [], []
        for visit in range(OPENED):
            page = _open(chromium, link)
            _use(page)
            firsts.append(float(page.evaluate("() => window.gemelFirst")))
            slowest.append(float(page.evaluate("() => window.gemelSlowest")))
            if visit < OPENED - 1:
                page.context.close()
        return {
            "page.first_paint": statistics.median(firsts) / 1e3,
            "page.interaction": statistics.median(slowest),
            "page.memory_slope": _slope(page, minutes),
        }


@contextmanager
def _served() -> Iterator[tuple[str, Browser]]:
    """The link of a fed server with all twins, in a process of its own; and a browser."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        start = [sys.executable, "-m", "benchmarks.page", folder]
        host = subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        try:
            assert host.stdout is not None
            port = json.loads(host.stdout.readline())["port"]
            token = (Path(folder) / "data" / "token").read_text().strip()
            with Feed(port, token), sync_playwright() as playwright:
                made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
                try:
                    yield f"http://127.0.0.1:{port}/#token={token}", made
                finally:
                    made.close()
        finally:
            host.kill()
            host.wait()


def _open(chromium: Browser, link: str) -> Page:
    """The fleet's page, as one who never was here opens it."""
    page = chromium.new_context(viewport=size_of("desk")).new_page()
    page.set_default_timeout(SLACK)
    page.add_init_script(SEEN)
    page.goto(link)
    page.wait_for_function("() => window.gemelFirst > 0")
    return page


def _use(page: Page) -> None:
    """Type, sort, filter, go to the end and back, as tiles too."""
    shown = page.get_by_text("100 000 twins at")
    expect(shown).to_be_visible(timeout=SLACK)
    find = page.get_by_label("Find a twin")
    find.press_sequentially("m0001", delay=120)
    expect(page.get_by_text("100 twins at")).to_be_visible(timeout=SLACK)
    find.fill("")
    expect(shown).to_be_visible(timeout=SLACK)
    for title in ("Age", "Quality", "Twin"):
        page.get_by_role("columnheader", name=title).get_by_role("button").click()
        page.wait_for_timeout(1_000)
    page.get_by_role("grid", name="Twins").focus()
    for key in ("End", "PageUp", "PageUp", "Home", *["PageDown"] * 10, "Home"):
        page.keyboard.press(key)
        page.wait_for_timeout(200)
    page.mouse.move(SIZES["desk"][0] / 2, SIZES["desk"][1] / 2)
    for _ in range(20):
        page.mouse.wheel(0, 2_000)
        page.wait_for_timeout(50)
    for name in ("Tiles", "Table"):
        page.get_by_role("button", name=name).click()
        page.wait_for_timeout(1_500)


def _slope(page: Page, minutes: float) -> float:
    """kB of heap a minute, by least squares, with the page open and nothing done."""
    wire = page.context.new_cdp_session(page)
    page.wait_for_timeout(WARM * 1e3)
    times, sizes = [], []
    ends = time.monotonic() + minutes * 60.0
    while (now := time.monotonic()) < ends:
        wire.send("HeapProfiler.collectGarbage")
        times.append(now / 60.0)
        sizes.append(wire.send("Runtime.getHeapUsage")["usedSize"] / 1e3)
        page.wait_for_timeout(EVERY * 1e3)
    slope, _ = np.polyfit(np.array(times) - times[0], sizes, 1)
    return float(slope)


if __name__ == "__main__":
    told = _measured(float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES)
    sys.stdout.write(json.dumps({"page.bundle": bundle(), **told}, indent=1) + "\n")
