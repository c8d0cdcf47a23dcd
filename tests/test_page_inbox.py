"""The whole loop by the page: a press wears, a proposal is weighed and approved, telemetry confirms
it, and its value is told. And the data that it rests on."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Route, expect
from tests.page import SIZES, watched
from tests.presses import Presses

from gemel.clock import SECOND, format_instant


@pytest.fixture(scope="module")
def presses(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Presses]:
    made = Presses(tmp_path_factory.mktemp("presses"))
    yield made
    made.stop()


@pytest.mark.parametrize("size, scheme", [("desk", "dark"), ("phone", "light")])
def test_a_proposal_is_told_with_its_evidence_its_effect_and_its_options(
    browser: Browser, presses: Presses, size: str, scheme: str
) -> None:
    with watched(browser, presses, size, scheme) as seen:
        page = seen.open("/inbox")
        page.get_by_role("button", name=re.compile("press-2")).click()
        shown = page.get_by_role("article")
        expect(
            shown.get_by_role("heading", name=re.compile("press-2 Set force to"))
        ).to_be_visible()
        expect(shown.get_by_label(re.compile("Health, worn out, foreseen"))).to_have_count(2)
        expect(shown.get_by_text("Do nothing").last).to_be_visible()
        expect(shown.get_by_text(re.compile("'worn out'"))).to_be_visible()
        expect(shown.get_by_text(re.compile(r"h left"))).to_be_visible()
        assert seen.inaccessible() == []
        assert page.evaluate("() => document.documentElement.scrollWidth") <= SIZES[size][0]
        assert seen.jumps() == []
        seen.shoot("inbox")


def test_from_a_degrading_press_to_a_confirmed_command_and_its_value(
    browser: Browser, presses: Presses
) -> None:
    with watched(browser, presses) as seen, watched(browser, presses) as other:
        page = seen.open("/inbox")
        page.get_by_role("button", name=re.compile("press-2")).click()
        beside = other.open(page.url.removeprefix(presses.url))  # a second person looks at it too
        expect(beside.get_by_role("button", name="Approve…")).to_be_enabled()
        page.get_by_role("button", name="Approve…").click()
        expect(page.get_by_text("Give a reason")).to_be_visible()  # nothing is said without one
        argument = page.get_by_label("Argument, kN")
        argument.fill("500")
        expect(page.get_by_text("It may be 10 to 100")).to_be_visible()
        argument.fill("25")
        expect(page.get_by_text("Tried: what is foreseen is of this argument.")).to_be_visible()
        expect(page.get_by_text("your argument")).to_be_visible()
        page.get_by_label("Who you are").fill("Eva")
        page.get_by_label("Why").fill("the shift can spare it")
        page.get_by_role("button", name="Approve…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text(re.compile("Set force to 25.kN goes to press-2"))
        page.keyboard.press("Escape")
        assert presses.host.ledger.invocations() == []  # asked back, and not said
        page.get_by_role("button", name="Approve…").click()
        dialog.get_by_role("button", name="Approve and send").click()
        expect(page.get_by_text("Approved by Eva")).to_be_visible()
        expect(beside.get_by_text("Approved by Eva")).to_be_visible()
        expect(page.get_by_text(re.compile("press-2 showed force 25.kN"))).to_be_visible()
        assert presses.force["press-2"] == 25.0 and len(presses.host.ledger.invocations()) == 1
        seen.shoot("approved")

        page.get_by_role("link", name="I-000001").click()
        steps = page.get_by_role("list", name="Its life")
        for step in ("Proposed", "Approved", "Sending", "Sent", "Acknowledged", "Confirmed"):
            expect(steps.get_by_text(step, exact=True)).to_be_visible()
        expect(page.get_by_text("What confirmed it")).to_be_visible()
        assert seen.inaccessible() == []
        seen.shoot("commands")

        page.get_by_role("link", name="Fleet", exact=True).click()
        expect(page.get_by_text(re.compile("Saved by commands.*1 confirmed"))).to_be_visible()


def test_who_comes_second_is_told_what_the_first_decided(
    browser: Browser, presses: Presses
) -> None:
    [open_] = presses.host.ledger.proposals(status="open", twin="press-3")
    with watched(browser, presses) as seen:
        seen.allow("409 (Conflict)")
        page = seen.open(f"/inbox?p={open_['id']}")
        page.get_by_label("Who you are").fill("Eva")
        page.get_by_label("Why").fill("not now")
        page.get_by_role("button", name="Reject…").click()
        page.route("**/api/v1/proposals/*", lambda route: route.abort())  # it hears of nothing
        seen.allow("ERR_FAILED")
        presses.host.verdict(open_["id"], "rejected", by="Ada", why="it is opened tomorrow")
        page.get_by_role("dialog").get_by_role("button", name="Reject").click()
        expect(page.get_by_text("it is rejected by Ada: it is opened tomorrow")).to_be_visible()
        page.unroute("**/api/v1/proposals/*")
        page.get_by_role("button", name="Close").last.click()
        expect(page.get_by_text("Rejected by Ada")).to_be_visible()
        page.get_by_role("button", name="Decided").click()
        cards = page.get_by_role("list", name="Proposals")
        expect(cards.get_by_text("rejected by Ada")).to_be_visible()
        expect(cards.get_by_text("approved by Eva")).to_be_visible()


def test_the_inbox_of_a_past_instant_holds_what_was_open_then(
    browser: Browser, presses: Presses
) -> None:
    known = presses.host.ledger.life("proposal", "P-000001")[0][1]
    later = format_instant(known + SECOND)[:19] + "Z"
    with watched(browser, presses) as seen:
        page = seen.open(f"/inbox?at={later}&known=then")
        expect(page.get_by_text("It was open then.")).to_be_visible()
        page = seen.open(f"/commands?at={later}")
        expect(page.get_by_text("No command was sent")).to_be_visible()


@pytest.mark.parametrize("size, scheme", [("desk", "light"), ("phone", "dark")])
def test_the_books_balance_and_what_was_refused_is_found(
    browser: Browser, presses: Presses, size: str, scheme: str
) -> None:
    headers = {"Authorization": f"Bearer {presses.token}", "Content-Type": "application/json"}
    where = f"{presses.url}/api/v1/telemetry"
    odd = {"twin": "press-9", "values": {"force": 1.0}}
    with httpx.Client(trust_env=False, headers=headers) as client:
        client.post(where, content=b"not json at all")
        client.post(where, json={**odd, "time": format_instant(presses.host.clock.now())})
    with watched(browser, presses, size, scheme) as seen:
        page = seen.open("/data")
        expect(page.get_by_text("The books balance")).to_be_visible()
        expect(page.get_by_role("row", name=re.compile("^hall mqtt"))).to_contain_text("balance")
        expect(page.get_by_text("hall over time")).to_be_visible()
        expect(page.get_by_role("link", name="press-1")).to_be_visible()  # its oil is silent
        letters = page.get_by_role("grid", name="Dead letters")
        expect(letters.get_by_text("message.json").first).to_be_visible()
        assert seen.inaccessible() == []
        assert page.evaluate("() => document.documentElement.scrollWidth") <= SIZES[size][0]
        assert seen.jumps() == []
        seen.shoot("data")
        page.get_by_label("Find in twin, signal or message").fill("press-9")
        expect(letters.get_by_text("message.json")).to_have_count(0)
        letters.get_by_text("sample.unknown_twin").first.click()
        expect(page.get_by_role("dialog")).to_contain_text("A sample that was refused")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Re-drive…").click()
        page.get_by_role("dialog").get_by_label("Who you are").fill("Eva")
        page.get_by_role("dialog").get_by_label("Why").fill("the rules are other ones now")
        page.get_by_role("button", name="Take in once more").click()
        expect(page.get_by_text(re.compile(r"Taken in once more: \d+ samples"))).to_be_visible()


def test_books_that_do_not_balance_are_shouted(browser: Browser, presses: Presses) -> None:
    """They never should, so what the server says is changed on its way."""

    def lose(route: Route) -> None:
        told = route.fetch().json()
        for book in told["items"]:
            book.update(balanced=False, received=book["received"] + 7)
        route.fulfill(json=told)

    with watched(browser, presses) as seen:
        seen.page.route("**/api/v1/sources?*", lose)
        page = seen.open(f"/data?at={format_instant(presses.host.clock.now())[:19]}Z")
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("The books do not balance.")
        expect(alert).to_contain_text("7 samples of hall are lost")
        expect(page.get_by_role("row", name=re.compile("^hall mqtt"))).to_contain_text("off by 7")
        assert seen.inaccessible() == []
