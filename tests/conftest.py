"""The servers that tests of several files share. They start when the first test asks for them."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright
from tests import page
from tests.kafka_servers import Kafka, missing

settings.register_profile("gemel", deadline=None)  # no test fails as a machine is busy
settings.load_profile("gemel")


@pytest.fixture(scope="session")
def _kafka_is_here() -> None:
    if text := missing():
        if os.environ.get("GEMEL_CI"):
            pytest.fail(text)
        pytest.skip(text)


@pytest.fixture(scope="session")
def kafka(_kafka_is_here: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One broker. A test makes topics of its own; one that kills it starts it again and waits."""
    made = Kafka(tmp_path_factory.mktemp("kafka"))
    yield made.start()
    made.stop()


@pytest.fixture(scope="module")
def kafka_of_three(
    _kafka_is_here: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kafka]:
    """Three brokers; whoever kills one starts it again and waits."""
    made = Kafka(tmp_path_factory.mktemp("kafka_of_three"), 3)
    yield made.start()
    made.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one file: Playwright holds an event loop, which others in the process need."""
    if text := page.missing():
        if os.environ.get("GEMEL_CI"):
            pytest.fail(text)
        pytest.skip(text)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=page.CHROMIUM, args=page.FLAGS)
        yield made
        made.close()


@pytest.fixture(scope="module")
def ovens_page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[page.Ovens]:
    """A running plant of ovens, for one file."""
    made = page.Ovens(tmp_path_factory.mktemp("ovens_page"))
    yield made
    made.stop()
