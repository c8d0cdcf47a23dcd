"""The page in a browser: its frame, its states, its clock, and the fleet."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.page import COUNT, SIZES, Ovens, Watched, watched


def fleet(seen: Watched, path: str = "/") -> Page:
    """The page with the fleet's rows on it."""
    page = seen.open(path)
    expect(page.get_by_role("link", name="oven-01")).to_be_visible()
    return page


def test_the_fleet_is_shown_worst_first_with_its_counts(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        page = fleet(seen)
        rows = page.get_by_role("grid", name="Twins").get_by_role("row")
        expect(rows.nth(1)).to_contain_text(re.compile("Failed.*oven-01.*Oven.*too hot"))
        expect(rows.nth(2)).to_contain_text(re.compile("Warning.*oven-02"))
        counts = page.get_by_role("group", name="Filter by status")
        expect(counts.get_by_role("button", name="All twins")).to_contain_text(str(COUNT + 1))
        expect(counts.get_by_role("button", name="Failed")).to_contain_text("1")
        expect(counts.get_by_role("button", name="Silent")).to_contain_text("2")
        assert "token" not in page.url
        assert seen.jumps() == []
        seen.shoot("fleet")


@pytest.mark.parametrize("size", ["desk", "phone"])
def test_the_tiles_are_accessible(browser: Browser, ovens_page: Ovens, size: str) -> None:
    with watched(browser, ovens_page, size, "dark") as seen:
        page = seen.open("/?show=tiles")
        label = f"{COUNT + 1} twins as tiles, in the order of the table"
        expect(page.get_by_label(label)).to_be_visible()
        assert seen.inaccessible() == []
        width = page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= SIZES[size][0]  # nothing sticks out to the side
        seen.shoot("fleet-tiles")


def test_filters_are_in_the_address_and_a_link_shows_the_same(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        page = fleet(seen)
        page.keyboard.press("/")
        page.keyboard.type("oven-1")
        expect(page.get_by_text("10 twins at")).to_be_visible()
        page.get_by_role("button", name="OK").click()
        page.get_by_label("Interface").select_option("Oven")
        expect(page.get_by_role("columnheader", name="temperature")).to_be_visible()
        address = page.url
        page.goto("about:blank")
        page.goto(address)
        expect(page.get_by_text("10 twins at")).to_be_visible()
        expect(page.get_by_label("Find a twin")).to_have_value("oven-1")
        page.get_by_label("Find a twin").fill("nothing like it")
        expect(page.get_by_text("No twin fits")).to_be_visible()
        page.get_by_role("button", name="Clear the filters").click()
        expect(page.get_by_text(f"{COUNT + 1} twins at")).to_be_visible()


def test_enter_opens_the_first_twin_of_what_was_typed_however_quickly(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        page = fleet(seen)
        page.keyboard.press("/")
        page.keyboard.type("oven-07")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("/asset/oven-07"))


def test_the_table_is_walked_by_keys_to_its_end(browser: Browser, ovens_page: Ovens) -> None:
    with watched(browser, ovens_page) as seen:
        page = fleet(seen, "/?sort=id")
        table = page.get_by_role("grid", name="Twins")
        table.focus()
        page.keyboard.press("End")
        expect(table.get_by_role("link", name=f"oven-{COUNT}")).to_be_visible()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(f"/asset/oven-{COUNT - 1}$"))


def test_the_picture_is_live(browser: Browser, ovens_page: Ovens) -> None:
    with watched(browser, ovens_page) as seen:
        page = fleet(seen)
        told = page.get_by_text(re.compile(r"twins at .* UTC"))
        first = told.text_content()
        expect(told).not_to_have_text(first or "")


def test_without_its_token_the_page_says_where_it_lies(browser: Browser, ovens_page: Ovens) -> None:
    lies = str(ovens_page.host.data / "token")
    with watched(browser, ovens_page) as seen:
        seen.allow("401 (Unauthorized)")
        page = seen.open("/", "")
        expect(page.get_by_text(lies)).to_be_visible()
        page.goto("about:blank")
        page = seen.open("/", "wrong")
        expect(page.get_by_text(lies)).to_be_visible()
        assert seen.inaccessible() == []
        seen.shoot("token")
        page.get_by_label("Token").fill(ovens_page.token)
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("link", name="oven-01")).to_be_visible()


def test_another_tab_has_the_token_too(browser: Browser, ovens_page: Ovens) -> None:
    with watched(browser, ovens_page) as seen:
        first = fleet(seen)
        second = first.context.new_page()
        second.goto(ovens_page.url)
        expect(second.get_by_role("link", name="oven-01")).to_be_visible()


def test_a_path_that_is_nowhere_is_told(browser: Browser, ovens_page: Ovens) -> None:
    with watched(browser, ovens_page) as seen:
        page = seen.open("/nowhere")
        expect(page.get_by_text("There is no such page")).to_be_visible()
        page.get_by_role("link", name="To the fleet", exact=True).click()
        expect(page.get_by_role("link", name="oven-01")).to_be_visible()


def test_when_the_server_is_gone_the_last_picture_stays_old_and_comes_back(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        seen.allow("ERR_CONNECTION", "ERR_EMPTY", "ERR_INCOMPLETE", "503")
        page = fleet(seen)
        ovens_page.stop()
        try:
            expect(page.get_by_text("Gemel does not answer.")).to_be_visible()
            expect(page.get_by_text("What you see is old")).to_be_visible()
            expect(page.get_by_role("link", name="oven-01")).to_be_visible()
            assert seen.inaccessible() == []
            seen.shoot("old")
        finally:
            ovens_page.start()
        expect(page.get_by_text("Gemel does not answer.")).not_to_be_visible()
        expect(page.get_by_role("link", name="oven-01")).to_be_visible()


def test_every_link_keeps_an_instant_of_the_past(browser: Browser, ovens_page: Ovens) -> None:
    with watched(browser, ovens_page) as seen:
        page = fleet(seen)
        page.get_by_label("Instant, UTC").fill("2024-05-01 00:00:30")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"at=2024-05-01T00:00:30Z"))
        expect(page.get_by_text(re.compile("twins at 2024-05-01 00:00:30 UTC"))).to_be_visible()
        link = page.get_by_role("link", name="oven-01")
        assert "at=2024-05-01T00:00:30Z" in (link.get_attribute("href") or "")
        page.get_by_role("button", name="Live").click()
        expect(page).not_to_have_url(re.compile("at="))


def test_a_theme_that_was_chosen_stays(browser: Browser, ovens_page: Ovens) -> None:
    with watched(browser, ovens_page, scheme="light") as seen:
        page = fleet(seen)
        page.get_by_role("button", name="Dark theme").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_replay_moves_through_the_past_until_it_is_paused(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        page = fleet(seen, "/?at=2024-05-01T00:00:30Z&play=1")
        expect(page).to_have_url(re.compile("at=2024-05-01T00:00:3[3-9]Z&play=1"))
        page.get_by_role("button", name="Pause").click()
        expect(page).not_to_have_url(re.compile("play="))
