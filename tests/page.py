"""A browser that looks at Gemel's page, and a small plant to look at.

Owns    Chromium, what a page must never do (an error in the console, a request to another host, a
        jump of its layout), the accessibility check, and ovens that tell how they are each second.
Never   knows a view: that is for the tests in `test_page*.py`.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    expect,
)
from tests.ovens import oven_kernel

from gemel.clock import PacedClock, format_instant, parse_instant
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.flow.overview import Asked, overview
from gemel.server.app import Server, serve

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "src/gemel/ui/index.html"
AXE = ROOT / "ui/node_modules/axe-core/axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]
SIZES = {"desk": (1280, 800), "phone": (390, 844)}
COUNT = 60
START = parse_instant("2024-05-01T00:00:00Z")
SPEED = 20.0
PATIENCE = 60_000.0  # ms of a busy machine

PLANT = """
[plant]
name = "ovens"
lateness = "10s"
[interface.Oven]
telemetry = {{ power = {{ unit = "kW" }}, temperature = {{ unit = "degC", range = [0, 400] }} }}
[interface.Lamp]
telemetry = {{ light = {{ unit = "lm" }} }}
{twins}
[[twin]]
id = "lamp"
interface = "Lamp"
[[binding]]
name = "oven"
kernel = "kernel.py:Oven"
interface = "Oven"
every = "10s"
ports = {{ thermometer = "temperature" }}
"""


def missing() -> str:
    """Why no browser test can run here, and what mends it; '' where one can."""
    if not CHROMIUM:
        return "Chromium is not here: sudo apt install chromium"
    return "" if BUILT.exists() else "the page is not built: make ui"


def power(k: int) -> float:
    """Of oven k, kW; it is 20 + 10 P degC warm. The first has failed, the second soon will."""
    return (18.5, 14.5)[k] if k < 2 else 2.0 + k / 10.0


class Ovens:
    """A running host of ovens in balance: one failed, one warned of, one silent, the others well.

    `start` after `stop` serves the same data at the same port, as after a restart.
    """

    def __init__(self, folder: Path) -> None:
        names = [f"oven-{k + 1:02d}" for k in range(COUNT)]
        twins = "".join(f'[[twin]]\nid = "{name}"\ninterface = "Oven"\n' for name in names)
        (folder / "plant.toml").write_text(PLANT.format(twins=twins))
        (folder / "kernel.py").write_text(oven_kernel(start=60.0, start_std=50.0))
        self._plan, self._data = load_plan(folder / "plant.toml"), folder / "ovens.gemel"
        self._clock = PacedClock(START, SPEED)
        self._names, self._port = names, 0
        self.start()
        while self.counts()["failed"] == 0 and self.host.failure is None:
            time.sleep(0.1)

    def start(self) -> None:
        self.host = Host(self._plan, self._data, clock=self._clock).start()
        self.server: Server = serve(self.host, self._port)
        self._port = self.server.port
        self._ended = threading.Event()
        self._feeder = threading.Thread(target=self._feed, name="ovens", daemon=True)
        self._feeder.start()

    def stop(self) -> None:
        self._ended.set()
        self._feeder.join()
        self.server.stop()
        self.host.stop()

    def counts(self) -> dict[str, int]:
        """How many ovens have each status."""
        return overview(self.host.view()).counts(Asked())

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def token(self) -> str:
        return self.host.token

    def _feed(self) -> None:
        """Every oven but the last, each half second, in one message."""
        headers = {"content-type": "application/x-ndjson"}
        while not self._ended.wait(0.5):
            now = format_instant(self._clock.now())
            lines = [
                {"twin": name, "time": now, "values": {"power": power(k), "temperature": heat(k)}}
                for k, name in enumerate(self._names[:-1])
            ]
            self.host.ingest("\n".join(map(json.dumps, lines)).encode(), headers)


def heat(k: int) -> float:
    """What oven k's thermometer reads, degC."""
    return 20.0 + 10.0 * power(k)


class Watched:
    """One page, watched. `faults` is what it did that no page may do; `allow` takes some out."""

    def __init__(self, context: BrowserContext, url: str, token: str, name: str) -> None:
        self._url, self._token, self._name = url, token, name
        self._told: list[str] = []
        self._allowed: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self._told.append(f"error: {error}"))
        self.page.on("request", self._request)

    def open(self, path: str = "/", token: str | None = None) -> Page:
        """Go to a path of the page by a link with the token ("": none) and await its view."""
        token = self._token if token is None else token
        self.page.goto(f"{self._url}{path}{f'#token={token}' if token else ''}")
        return self.page

    def allow(self, *texts: str) -> None:
        """What a test brings about: faults that hold one of these texts are none."""
        self._allowed += texts

    @property
    def faults(self) -> list[str]:
        return [told for told in self._told if not any(text in told for text in self._allowed)]

    def jumps(self, most: float = 0.01) -> list[str]:
        """What moved by itself since the page was opened, if it was more than `most` in all."""
        moved: list[str] = self.page.evaluate("() => window.gemelShifts")
        return moved if float(self.page.evaluate("() => window.gemelShift")) > most else []

    def inaccessible(self, *rules: str) -> list[str]:
        """What axe finds, by all its rules or these, that is serious or critical."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        only = {"runOnly": list(rules)} if rules else {}
        found: list[dict[str, Any]] = self.page.evaluate(
            "async (only) => (await axe.run({resultTypes: ['violations'], ...only})).violations",
            only,
        )
        return [
            f"{fault['id']}: {fault['help']}: {fault['nodes'][0]['html'][:200]}"
            for fault in found
            if fault["impact"] in ("serious", "critical")
        ]

    def shoot(self, name: str) -> None:
        """A picture of the page into $GEMEL_SHOTS, where that is set."""
        if folder := os.environ.get("GEMEL_SHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}-{self._name}.png")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._told.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._url, "data:", "blob:")):
            self._told.append(f"outside: {request.url}")


SHIFTS = """
window.gemelShift = 0;
window.gemelShifts = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries())
    if (!one.hadRecentInput) {
      window.gemelShift += one.value;
      for (const { node } of one.sources) window.gemelShifts.push(node?.className ?? "");
    }
}).observe({ type: "layout-shift", buffered: true });
"""


def size_of(size: str) -> ViewportSize:
    width, height = SIZES[size]
    return {"width": width, "height": height}


def look(page: Page, size: str, scheme: str) -> None:
    """Another size and scheme for an open page; it has taken them when this returns."""
    page.set_viewport_size(size_of(size))
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    expect(page.locator("html")).to_have_attribute("data-theme", scheme)


@contextmanager
def watched(
    browser: Browser, plant: Ovens, size: str = "desk", scheme: str = "light"
) -> Iterator[Watched]:
    """A page of its own, of a size (desk, phone) and scheme (light, dark), without faults.

    A context that no page uses is used again, for what it has loaded; it keeps no page's choices.
    """
    context = next((one for one in browser.contexts if not one.pages), None)
    if context is None:
        context = browser.new_context(reduced_motion="reduce")
        context.set_default_timeout(PATIENCE)
        context.add_init_script(SHIFTS)
        expect.set_options(timeout=PATIENCE)
    made = Watched(context, plant.url, plant.token, f"{size}-{scheme}")
    made.page.set_viewport_size(size_of(size))
    made.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    try:
        yield made
        assert made.faults == []
        made.page.evaluate("() => localStorage.clear()")
    finally:
        for page in context.pages:
            page.close()
