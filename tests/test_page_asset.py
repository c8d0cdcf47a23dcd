"""The asset in a browser: measured and expected, its limits, and why."""

import re

from playwright.sync_api import Browser, Page, expect
from tests.page import Ovens, Watched, watched

SICK = "/asset/oven-01"


def asset(seen: Watched, path: str = SICK) -> Page:
    """The page with the charts of an asset on it."""
    page = seen.open(path)
    chart = page.get_by_role("img", name=re.compile("thermometer, measured and expected.*ends at"))
    expect(chart).to_be_visible()
    return page


def test_an_asset_is_told_with_its_limits_findings_and_parameters(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        page = asset(seen)
        expect(page.get_by_role("heading", name="oven-01")).to_be_visible()
        expect(page.get_by_role("heading", name="Limits")).to_be_visible()
        finding = page.get_by_role("group").filter(has_text="limit reached")
        expect(finding).to_contain_text("too hot")
        finding.get_by_text("limit reached").click()
        expect(finding).to_contain_text("against a threshold of 0")
        expect(
            page.get_by_role("img", name=re.compile("heat: this asset .* typical"))
        ).to_be_visible()
        expect(page.get_by_role("img", name=re.compile("power, 20.*kW"))).to_be_visible()
        expect(page.get_by_role("heading", name="Life")).to_be_visible()
        assert seen.jumps() == []
        seen.shoot("asset")


def test_why_is_answered_in_one_click_down_to_samples_kernel_and_proof(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        page = asset(seen, "/asset/oven-02")
        page.get_by_role("button", name="Why this number: too hot").click()
        why = page.get_by_role("dialog", name="Why: too hot of oven-02")
        expect(why.get_by_role("link", name="oven-02:temperature")).to_be_visible()
        expect(why).to_contain_text("T' = heat P - loss (T - 20)")
        expect(why).to_contain_text(re.compile(r"Oven 1\.0 [0-9a-f]{8}"))
        expect(why).to_contain_text("readings of thermometer lay in the 90 % band")
        expect(why).to_contain_text("The kernel brings no gold set")
        expect(why).to_contain_text("the plant file; it is where the asset starts")
        assert seen.inaccessible() == []
        seen.shoot("asset-why")
        page.reload()
        expect(why).to_be_visible()
        page.keyboard.press("Escape")
        expect(why).not_to_be_visible()


def test_a_repair_stands_in_the_life_of_its_asset_and_leads_to_its_instant(
    browser: Browser, ovens_page: Ovens
) -> None:
    ovens_page.host.maintain("oven-03", [], by="M. Keller", why="new element")
    with watched(browser, ovens_page) as seen:
        page = asset(seen, "/asset/oven-03")
        event = page.get_by_role("listitem").filter(has_text="by M. Keller: new element")
        expect(event).to_contain_text("every state began anew")
        event.get_by_role("button").click()
        expect(page).to_have_url(re.compile("at=2024-05-01T"))


def test_a_past_instant_is_shown_as_it_was_and_live_again_by_a_button(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        page = asset(seen)
        page.get_by_role("button", name="A quarter window back").click()
        expect(page).to_have_url(re.compile("at="))
        expect(page.get_by_text("Nothing was measured in this window")).to_be_visible()
        page.get_by_role("button", name="Live", exact=True).click()
        asset_ = re.compile("thermometer, measured and expected.*ends at")
        expect(page.get_by_role("img", name=asset_)).to_be_visible()


def test_a_twin_without_a_kernel_shows_its_telemetry_and_one_that_is_not_there_is_told(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        seen.allow("404 (Not Found)")
        page = seen.open("/asset/lamp")
        expect(page.get_by_text("no kernel speaks for this twin")).to_be_visible()
        expect(page.get_by_text("light", exact=True)).to_be_visible()
        page = seen.open("/asset/nobody")
        expect(page.get_by_text("there is no twin 'nobody'")).to_be_visible()
        assert seen.inaccessible() == []
        seen.shoot("asset-nobody")
        page.get_by_role("link", name="To the fleet", exact=True).click()
        expect(page.get_by_role("link", name="oven-01")).to_be_visible()
