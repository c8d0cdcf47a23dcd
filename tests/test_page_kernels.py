"""The kernels in a browser: who speaks, how well, on what proof, and a person's word on it."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import cast

import pytest
from playwright.sync_api import Browser, Page, expect
from tests import page
from tests.page import SIZES, Watched, watched
from tests.test_kernels_api import HOURS, Ovens, eventually


@dataclass(frozen=True)
class Fitted:
    """Two ovens whose fit is proved and waits, as a page is opened on them."""

    ovens: Ovens
    run: str

    @property
    def url(self) -> str:
        return self.ovens.server.url

    @property
    def token(self) -> str:
        return self.ovens.host.token


@pytest.fixture(scope="module")
def fitted(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fitted]:
    ovens = Ovens(tmp_path_factory.mktemp("fitted"))
    options = {"days": HOURS / 24, "every": 60.0, "warm": 1.0}
    run = ovens.host.start_run("refit", options, started_by="request eva")["id"]
    eventually(lambda: cast(dict[str, str], ovens.host.ledger.run(run))["status"] == "waiting")
    yield Fitted(ovens, run)
    ovens.close()


def seen(
    browser: Browser, fitted: Fitted, size: str = "desk", scheme: str = "light"
) -> AbstractContextManager[Watched]:
    return watched(browser, cast(page.Ovens, fitted), size, scheme)


def test_a_kernel_is_found_with_its_assets_and_their_parameters(
    browser: Browser, fitted: Fitted
) -> None:
    with seen(browser, fitted) as told:
        shown = told.open("/kernels?span=1d")
        expect(shown.get_by_role("row", name=re.compile(r"oven.*Oven 1\.0"))).to_contain_text("°C")
        shown.get_by_role("link", name="oven", exact=True).click()
        table = shown.get_by_role("grid", name="Assets and their versions")
        row = table.get_by_role("row").filter(has_text="hotter")
        expect(row).to_contain_text(re.compile("typical.*better", re.DOTALL))
        expect(row.get_by_role("img", name=re.compile(r"^heat 0\.100 ± .*K.s.kW"))).to_be_visible()
        assert told.jumps() == []
        table.focus()
        shown.keyboard.press("ArrowDown")
        shown.keyboard.press("Enter")
        expect(shown.get_by_role("dialog")).to_contain_text("hotter")
        expect(shown).to_have_url(re.compile("asset=hotter"))
        shown.keyboard.press("Escape")
        expect(shown).not_to_have_url(re.compile("asset="))


@pytest.mark.parametrize("tab", ["assets", "accuracy", "fits", "kernel"])
@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("phone", "dark")])
def test_every_part_is_accessible_and_fits(
    browser: Browser, fitted: Fitted, tab: str, size: str, scheme: str
) -> None:
    words = {
        "assets": "hotter",
        "accuracy": "band promised, %",
        "fits": "R-000001: champion against challenger",
        "kernel": "T' = heat P - loss (T - 20).",
    }
    with seen(browser, fitted, size, scheme) as told:
        shown = told.open(f"/kernels/oven?tab={tab}&span=1d")
        expect(shown.get_by_text(words[tab])).to_be_visible()
        assert told.inaccessible() == []
        width = shown.evaluate("() => document.documentElement.scrollWidth")
        assert width <= SIZES[size][0]
        told.shoot(f"kernels-{tab}")


def test_the_coverage_says_which_doubt_is_honest(browser: Browser, fitted: Fitted) -> None:
    with seen(browser, fitted) as told:
        shown = told.open("/kernels/oven?tab=accuracy&span=1d")
        table = shown.get_by_role("grid", name="Coverage by asset")
        expect(table.get_by_role("row").filter(has_text="hotter")).to_contain_text("too sure")
        expect(table.get_by_role("row").filter(has_text="as-typical")).to_contain_text("honest")
        expect(
            shown.get_by_role("img", name=re.compile("^Observed against nominal"))
        ).to_be_visible()


def test_a_window_without_readings_and_a_binding_that_is_not_there_are_told(
    browser: Browser, fitted: Fitted
) -> None:
    with seen(browser, fitted) as told:
        told.allow("404")
        shown = told.open("/kernels/oven?tab=accuracy&at=2020-01-01T00:00:00Z")
        expect(
            shown.get_by_text("Nothing was foreseen and measured in this window")
        ).to_be_visible()
        told.open("/kernels/none")
        expect(shown.get_by_text("there is no binding 'none'")).to_be_visible()
        assert told.inaccessible() == []


def test_an_instant_of_the_past_shows_who_spoke_then(browser: Browser, fitted: Fitted) -> None:
    with seen(browser, fitted) as told:
        shown = told.open("/kernels/oven?asset=hotter&at=2024-05-01T06:00:00Z")
        dialog = shown.get_by_role("dialog")
        expect(dialog).to_contain_text("typical speaks from the start")
        expect(dialog.get_by_text("No later fit was proved")).to_be_visible()
        expect(dialog.get_by_role("button", name="Promote…")).to_have_count(0)


def decide(shown: Page, button: str, why: str) -> None:
    """Say who and why in the dialog that a button of the asset's dialog opens, and confirm."""
    dialog = shown.get_by_role("dialog")
    dialog.get_by_role("button", name=f"{button}…").first.click()
    expect(dialog.get_by_text("will speak for")).to_be_visible()
    dialog.get_by_label("Who you are").fill("eva")
    dialog.get_by_label("Why").fill(why)
    dialog.get_by_role("button", name=button, exact=True).click()


def test_a_person_promotes_is_refused_and_rolls_back(browser: Browser, fitted: Fitted) -> None:
    run = fitted.run
    with seen(browser, fitted) as told:
        told.allow("409")
        shown = told.open("/kernels/oven?asset=hotter")
        dialog = shown.get_by_role("dialog")
        dialog.get_by_role("button", name="Promote…").click()
        dialog.get_by_role("button", name="Promote", exact=True).click()
        expect(dialog.get_by_text("Give a reason: it is kept for the record")).to_be_visible()
        assert told.inaccessible() == []
        dialog.get_by_label("Who you are").fill("eva")
        dialog.get_by_label("Why").fill("the proof is good")
        fitted.ovens.promote(action="promote", version=run)  # somebody else was faster
        dialog.get_by_role("button", name="Promote", exact=True).click()
        expect(dialog.get_by_text(f"{run} speaks for it already")).to_be_visible()
        expect(dialog.get_by_text("nothing was changed")).to_be_visible()
        told.shoot("kernels-refused")
        dialog.get_by_role("button", name="Back").click()
        expect(dialog.get_by_text(f"{run} speaks since")).to_be_visible()
        decide(shown, "Roll back", "it was the wrong oven")
        expect(dialog.get_by_text("typical speaks for hotter from now on")).to_be_visible()
        dialog.get_by_role("button", name="To hotter").click()
        expect(dialog.get_by_text("typical speaks since")).to_be_visible()
        decide(shown, "Promote", "it was the right one")
        expect(dialog.get_by_text(f"{run} speaks for hotter from now on")).to_be_visible()
        shown.keyboard.press("Escape")
        shown.get_by_role("tab", name="Fits and versions").click()
        expect(shown.get_by_text("eva: it was the wrong oven")).to_be_visible()
        expect(shown.get_by_text("Waits for a person")).to_be_visible()
