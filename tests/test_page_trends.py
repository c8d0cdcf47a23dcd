"""Trends in a browser: choosing series, holding them against each other, and taking them away."""

import re
from pathlib import Path

import polars as pl
from playwright.sync_api import Browser, Page, expect
from tests.page import Ovens, Watched, watched

TWO = "s=oven-01:temperature,oven-01:oven/thermometer.foreseen&span=15min"


# whether a number is drawn beside the first chart, to the left of what its canvas plots
NUMBERED = """() => {
  const canvas = document.querySelector("figure canvas");
  const over = document.querySelector("figure .u-over");
  const dense = canvas.width / canvas.clientWidth;
  const left = Math.floor((over.offsetLeft - 2) * dense);
  const copy = new OffscreenCanvas(left, Math.floor(over.offsetHeight * dense));
  const ink = copy.getContext("2d", {willReadFrequently: true});
  ink.drawImage(canvas, 0, 0);
  const { data } = ink.getImageData(0, 0, copy.width, copy.height);
  return data.some((byte, k) => k % 4 === 3 && byte > 0);
}"""


def trends(seen: Watched, query: str = TWO) -> Page:
    """The page with its lines drawn."""
    page = seen.open(f"/trends?{query}")
    expect(page.get_by_role("img", name=re.compile("ends at 2")).first).to_be_visible()
    return page


def test_series_are_chosen_by_twin_and_stand_in_the_address(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        page = seen.open("/trends")
        expect(page.get_by_text("Choose what to look at")).to_be_visible()
        page.get_by_role("button", name="Add series").click()
        picker = page.get_by_role("dialog", name="Add series")
        picker.get_by_label("Find a twin").fill("oven-07")
        picker.get_by_role("button", name="oven-07").click()
        picker.get_by_label("temperature", exact=False).first.check()
        picker.get_by_label("health: too hot").check()
        assert seen.inaccessible() == []
        seen.shoot("trends-picker")
        picker.get_by_role("button", name="Done").click()
        expect(page).to_have_url(re.compile(r"s=oven-07:temperature,oven-07:oven/health\.too"))
        rows = page.get_by_role("row").filter(has_text="oven-07")
        expect(rows).to_have_count(2)
        expect(page.get_by_role("figure")).to_have_count(2)  # a chart a unit
        page.get_by_role("button", name="Remove oven-07 health: too hot").click()
        expect(rows).to_have_count(1)


def test_series_are_held_against_another_asset_and_an_earlier_window(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        page = trends(seen)
        page.get_by_label("Compare with an asset").select_option("oven-02")
        expect(page.get_by_role("row").filter(has_text="oven-02")).to_have_count(2)
        expect(page).to_have_url(re.compile("with=oven-02"))
        page.get_by_label("Hold against").select_option("window")
        heading = "newest, the window before"
        expect(page.get_by_role("columnheader", name=heading)).to_be_visible()
        page.get_by_role("button", name="Each").click()
        expect(page.get_by_role("figure")).to_have_count(4)
        seen.shoot("trends")


def test_dragging_zooms_in_and_a_button_out_again(browser: Browser, ovens_page: Ovens) -> None:
    with watched(browser, ovens_page) as seen:
        page = trends(seen)
        over = page.locator(".u-over").first.bounding_box()
        assert over is not None
        page.mouse.move(over["x"] + over["width"] * 0.7, over["y"] + 80)
        page.mouse.down()
        page.mouse.move(over["x"] + over["width"] * 0.9, over["y"] + 80, steps=5)
        page.mouse.up()
        expect(page).to_have_url(re.compile(r"at=2024-05-01T.*span=(3min|1[78]\ds)$"))
        page.get_by_role("button", name="Zoom out").click()
        expect(page).to_have_url(re.compile(r"span=(6min|3[4-6]\ds)$"))


def test_every_sample_of_the_window_is_saved_to_a_file(
    browser: Browser, ovens_page: Ovens, tmp_path: Path
) -> None:
    with watched(browser, ovens_page) as seen:
        page = trends(seen)
        for form, read in (("csv", pl.read_csv), ("parquet", pl.read_parquet)):
            with page.expect_download() as told:
                page.get_by_label("Export").select_option(form)
            told.value.save_as(tmp_path / f"series.{form}")
            frame = read(tmp_path / f"series.{form}")
            assert set(frame["series"]) == set(TWO[2:].split("&")[0].split(","))
            assert frame["value"].null_count() == 0 and frame["quality"].null_count() > 0


def test_a_series_that_is_not_there_is_told(browser: Browser, ovens_page: Ovens) -> None:
    with watched(browser, ovens_page) as seen:
        seen.allow("404 (Not Found)")
        page = seen.open("/trends?s=oven-01:sped")
        expect(page.get_by_text("oven-01 has no signal 'sped'")).to_be_visible()


def test_where_nothing_was_measured_no_scale_is_made_up(
    browser: Browser, ovens_page: Ovens
) -> None:
    with watched(browser, ovens_page) as seen:
        page = seen.open("/trends?s=oven-01:temperature&at=2023-01-01T00:00:00Z&span=15min")
        expect(page.get_by_text("No value in this window")).to_be_visible()
        expect(page.get_by_role("img", name=re.compile("without data"))).to_be_attached()
        assert not page.evaluate(NUMBERED)
        seen.shoot("trends-nothing")
        page.get_by_role("button", name="Live", exact=True).click()
        expect(page.get_by_text("No value in this window")).not_to_be_visible()
        page.wait_for_function(NUMBERED)
