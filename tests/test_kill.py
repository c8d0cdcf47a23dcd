"""Killed at a named point and started again, a run ends like one that was left alone."""

from collections.abc import Iterator

import pytest
from benchmarks.kills import Scene, compare


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("kills"))
    yield made
    made.close()


def test_a_run_left_alone_sends_its_command_once_and_balances(scene: Scene) -> None:
    book = scene.alone.books["hall"]
    assert book["received"] == sum(n for fate, n in book.items() if fate != "received")
    assert (scene.alone.telemetry, scene.alone.doubles) == (book["stored"], 0)
    assert list(scene.commands.values()) == [1]


@pytest.mark.parametrize(
    ("point", "count"),
    [
        ("journal.after_commit", 5),
        ("ledger.before_commit", 8),
        ("snapshot.before_rename", 2),
        ("wire.after_send", 1),
    ],
)
def test_a_kill_loses_nothing_doubles_nothing_and_sends_nothing_twice(
    scene: Scene, point: str, count: int
) -> None:
    scene.commands.clear()
    ended, kills = scene.run(point, count, point)
    assert kills == 1
    assert compare(scene, ended) == []
