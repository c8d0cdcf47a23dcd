"""Each view of the page is walked: two themes, two sizes, keys; what the docs show of it is there.

The views are those of `ui/src/views/index.ts`: a new one is walked too.
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.page import ROOT, SIZES, Ovens, look, watched

INDEX = (ROOT / "ui/src/views/index.ts").read_text(encoding="utf-8")
VIEWS = re.findall(r'\{ route: "([^"]+)", title: "([^"]+)"(?:.*?key: "(\w)")?', INDEX)
ASKED = {  # what a view is walked with, where its bare route would show nothing
    "/trends": "/trends?s=oven-01:temperature,oven-02:temperature&span=15min",
}
TOUR = (ROOT / "docs/page.md").read_text(encoding="utf-8")
IMAGES = ROOT / "docs/img"
MOST = 200_000  # bytes of a picture
STOPS = 150  # of the Tab key in a view, and no more

REACHABLE = """() => [...document.querySelectorAll(
  "a[href], button, input, select, textarea, summary, [tabindex]")].filter((one) =>
  one.tabIndex >= 0 && !one.disabled && one.checkVisibility({visibilityProperty: true})
  && one.getClientRects().length)"""
UNSEEN = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return "nothing";
  one.dataset.walked = "";
  const style = getComputedStyle(one);
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return seen ? "" : one.outerHTML.slice(0, 160);
}"""


def whole(page: Page) -> None:
    """Wait until a view has all that it asked for."""
    expect(page.get_by_text("loading", exact=True)).to_have_count(0)
    expect(page.locator("main [class*=skeleton]")).to_have_count(0)


@pytest.mark.parametrize(("route", "title"), [pytest.param(r, t, id=t) for r, t, _ in VIEWS])
def test_a_view_is_quiet_accessible_and_whole_in_each_theme_and_size(
    browser: Browser, ovens_page: Ovens, route: str, title: str
) -> None:
    bare = route.replace(":id", "oven-01").replace(":binding?", "oven").replace(":binding", "oven")
    with watched(browser, ovens_page) as seen:
        page = seen.open(ASKED.get(route, bare))
        expect(page).to_have_title(re.compile(f"^{title} · ovens · Gemel"))
        whole(page)
        assert seen.jumps(0.1) == []
        walk_by_tab(page)
        for size, scheme, other in (("desk", "light", "dark"), ("phone", "dark", "light")):
            look(page, size, scheme)
            assert seen.inaccessible() == [], size
            sides = page.evaluate("() => document.documentElement.scrollWidth")
            assert sides <= SIZES[size][0], size  # nothing sticks out
            seen.shoot(f"view-{title.lower()}-{size}")
            look(page, size, other)  # the same, in other colours
            assert seen.inaccessible("color-contrast") == [], (size, other)


def walk_by_tab(page: Page) -> None:
    """Tab reaches all that can be used, and where one is, is seen. What came meanwhile is reached
    on the next round."""
    left: list[str] = []
    for _ in range(3):
        page.locator("body").focus()
        for _ in range(STOPS):
            page.keyboard.press("Tab")
            where = page.evaluate(UNSEEN)
            if where == "nothing":
                break
            assert where == "", f"focus is not seen on {where}"
        left = page.evaluate(
            f"() => ({REACHABLE})().filter((one) => !('walked' in one.dataset))"
            ".map((one) => one.outerHTML.slice(0, 160))"
        )
        if not left:
            return
    assert left == []


def test_a_quick_tab_is_not_thrown_back(browser: Browser, ovens_page: Ovens) -> None:
    with watched(browser, ovens_page) as seen:
        page = seen.open("/")
        whole(page)
        field = page.get_by_label("Instant, UTC")
        gone_on = field.evaluate(
            """async (field, next) => {
              const frame = () => new Promise(requestAnimationFrame);
              field.focus();
              next.focus(); // before the next frame is drawn
              await frame(); await frame();
              return document.activeElement === next;
            }""",
            page.get_by_label("A quarter window back").element_handle(),
        )
        assert gone_on
        field.focus()
        page.wait_for_function("() => getSelection().toString().length > 9")  # all, to type over


def test_keys_lead_to_each_view_and_are_listed(browser: Browser, ovens_page: Ovens) -> None:
    with watched(browser, ovens_page) as seen:
        page = seen.open("/nowhere")
        expect(page.get_by_text("There is no such page")).to_be_visible()
        page.keyboard.press("?")
        keys = page.get_by_role("dialog", name="Keys")
        for _, title, key in VIEWS:
            if not key:
                continue
            expect(keys).to_contain_text(f"go to {title}")
        page.keyboard.press("Escape")
        expect(keys).not_to_be_visible()
        for route, title, key in VIEWS:
            if not key:
                continue
            page.keyboard.type(f"g{key}")
            expect(page).to_have_url(re.compile(f"{route.split('/:')[0]}$"))
            here = page.get_by_role("navigation", name="Views").get_by_role("link", name=title)
            expect(here).to_have_attribute("aria-current", "page")
            whole(page)


def test_the_tour_shows_each_view_with_a_picture_that_is_there() -> None:
    shown = re.findall(r"[(\"]img/(page-[\w-]+\.png)[)\"]", TOUR)
    there = {path.name for path in IMAGES.glob("page-*.png")}
    assert set(shown) == there, "run: make tour"
    sections = re.findall(r"^## (.+)$", TOUR, re.MULTILINE)
    for _, title, key in VIEWS:
        assert title in sections and f"page-{title.lower()}.png" in shown
        assert not key or f"`g {key}`" in TOUR.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert len(TOUR.splitlines()) <= 150


@pytest.mark.parametrize("picture", sorted(IMAGES.glob("page-*.png")), ids=lambda path: path.stem)
def test_a_picture_is_small(picture: Path) -> None:
    assert picture.stat().st_size <= MOST
