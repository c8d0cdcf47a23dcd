"""The servers that tests of several files share. They start when the first test asks for them."""

import os
from collections.abc import Iterator

import pytest
from tests.kafka_servers import Kafka, missing


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
