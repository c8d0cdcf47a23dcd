"""Takes the pictures of docs/page.md: docs/img/page-*.png, of the page on the running demo.

    make tour                            # the whole loop, on a demo of its own: minutes
    .venv/bin/python docs/tour.py LINK   # of a demo that runs, by the link that it prints

It waits until the twins propose, looks at every view, approves as a person would, and looks again
when telemetry has confirmed the command.
"""

import io
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.page import CHROMIUM, FLAGS, SIZES, look  # noqa: E402

IMAGES = ROOT / "docs/img"
PATIENCE = 20 * 60_000  # ms until the demo's bearing has worn so far that a remedy is proposed
COMMON = 96  # colours of a picture that it keeps exactly
SHARP = 1.5  # pixels of the picture a pixel of the page


def main() -> None:
    if len(sys.argv) > 1:
        tour(sys.argv[1])
        return
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder)) as link:
        tour(link)


@contextmanager
def demo(folder: Path) -> Iterator[str]:
    """The link of a demo that runs in a folder of its own."""
    start = [sys.executable, "-m", "gemel", "demo", "--plain", "--data", str(folder), "--port", "0"]
    done = subprocess.Popen(start, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert done.stderr is not None
    try:
        lines = (re.search(r"live: (\S+)", line) for line in done.stderr)
        link = next((found[1] for found in lines if found), None)
        if link is None:
            raise SystemExit("tour: the demo ended before it was live")
        yield link
    finally:
        done.send_signal(signal.SIGINT)
        done.communicate()


def tour(link: str) -> None:
    """Every picture, in the order of the loop."""
    url, _, token = link.partition("/#token=")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        width, height = SIZES["desk"]
        page = browser.new_page(
            viewport={"width": width, "height": height},
            device_scale_factor=SHARP,
            reduced_motion="reduce",
        )
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.goto(f"{url}/inbox#token={token}")
        approve = page.get_by_role("button", name="Approve…")
        expect(approve.first).to_be_visible(timeout=PATIENCE)
        shoot(page, "inbox")
        phone(page, "inbox-phone")
        twin = asset(page)
        visit(page, f"{url}/asset/{twin}?span=5d")
        shoot(page, "asset")
        page.get_by_role("button", name=re.compile("^Why this number")).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        shoot(page, "why")
        visit(page, f"{url}/")
        shoot(page, "fleet")
        look(page, "desk", "dark")
        shoot(page, "fleet-dark")
        look(page, "desk", "light")
        visit(page, f"{url}/trends?s={twin}:metal_temperature,st1-b3:metal_temperature&span=5d")
        shoot(page, "trends")
        visit(page, f"{url}/kernels/bearing")
        shoot(page, "kernels")
        visit(page, f"{url}/data?source=hall")
        shoot(page, "data")
        command(page, url)
        browser.close()


def asset(page: Page) -> str:
    """The twin of the proposal that is shown."""
    link = page.locator("main a[href^='/asset/']").first.get_attribute("href") or ""
    return link.removeprefix("/asset/").partition("?")[0]


def command(page: Page, url: str) -> None:
    """Approve in the inbox, and see the command confirmed."""
    visit(page, f"{url}/inbox")
    page.get_by_label("Who you are").fill("M. Keller")
    page.get_by_label("Why", exact=True).fill("before the service")
    page.get_by_role("button", name="Approve…").click()
    page.get_by_role("dialog").get_by_role("button", name="Approve and send").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    visit(page, f"{url}/commands")
    expect(page.get_by_text("Confirmed").first).to_be_visible(timeout=PATIENCE)
    time.sleep(15.0)  # s in which the line goes on beyond what confirmed it
    page.get_by_role("row").nth(1).click()
    shoot(page, "commands")


def visit(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("main [class*=skeleton]")).to_have_count(0)


def phone(page: Page, name: str) -> None:
    """The same in the other size and theme."""
    look(page, "phone", "dark")
    shoot(page, name)
    look(page, "desk", "light")


def shoot(page: Page, name: str) -> None:
    """docs/img/page-NAME.png, a small one, once the view stands still."""
    expect(page.locator("main [class*=skeleton]")).to_have_count(0)
    page.mouse.move(2, 2)
    before = b""
    for _ in range(20):  # a chart is drawn in the frames after its data
        now = page.locator("main").screenshot()
        if now == before:
            break
        before = now
        time.sleep(0.3)
    small = few(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    small.save(IMAGES / f"page-{name}.png", optimize=True)
    size = (IMAGES / f"page-{name}.png").stat().st_size
    sys.stderr.write(f"page-{name}.png: {size // 1000} kB\n")


def few(whole: Image.Image) -> Image.Image:
    """In 256 colours: the commonest as they are, the others by those that lie between them."""
    colours, where, counts = np.unique(
        np.asarray(whole).reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    between = whole.quantize(256 - COMMON, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
    common = colours[np.argsort(-counts)[:COMMON]]
    palette = np.concatenate([common, np.array(between).reshape(-1, 3)]).astype(np.int32)
    far = ((colours.astype(np.int32)[:, None] - palette) ** 2).sum(-1)
    shape = whole.height, whole.width
    small = Image.fromarray(far.argmin(1)[where].reshape(shape).astype(np.uint8), "P")
    small.putpalette(palette.astype(np.uint8).tobytes())
    return small


if __name__ == "__main__":
    main()
