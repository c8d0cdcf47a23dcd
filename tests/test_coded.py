"""Columns of words of several vocabularies: joined, written and cut, they stay the same words."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemel.store import coded, delta
from gemel.store.lake import Lake
from gemel.store.upkeep import newest

WORDS = st.sampled_from(["a", "b", "pump-1", "é", ""])
# Parts, each of some rows; its vocabulary is that of its words and of a few that no row has.
PARTS = st.lists(st.lists(WORDS, max_size=5), min_size=1, max_size=5)
SPARE = st.lists(WORDS, unique=True, max_size=3)


def table(words: list[str], spare: list[str]) -> pa.Table:
    vocabulary = [*dict.fromkeys([*spare, *words])]
    number = {word: k for k, word in enumerate(vocabulary)}
    code = pa.array([number[word] for word in words], pa.int32())
    column = pa.DictionaryArray.from_arrays(code, pa.array(vocabulary, pa.string()))
    narrow = code.cast(pa.int8() if len(vocabulary) < 128 else pa.int32())
    few = pa.DictionaryArray.from_arrays(narrow, column.dictionary)
    row = pa.array(range(len(words)), pa.int32())
    return pa.table({"word": column, "few": few, "row": row, "at": coded.same(7, len(words))})


def of(parts: list[list[str]], spare: list[str]) -> list[pa.Table]:
    made = [table(words, spare[: k % 2]) for k, words in enumerate(parts)]
    return [*made, made[0]]  # one vocabulary comes again, at the same place


@given(PARTS, SPARE)
def test_runs_are_the_same_rows_each_with_words_of_one_vocabulary(
    parts: list[list[str]], spare: list[str]
) -> None:
    several = of(parts, spare)
    whole = pa.concat_tables(several)
    pieces = coded.runs(whole)
    assert pa.concat_tables(pieces).to_pylist() == whole.to_pylist()
    for piece in pieces:
        assert len({coded.lies(chunk) for chunk in piece["word"].chunks if len(chunk)}) <= 1


@pytest.mark.parametrize(
    "join", [coded.joined, lambda parts: coded.unified(pa.concat_tables(parts))]
)
@given(PARTS, SPARE)
def test_a_word_has_one_number_in_all_of_a_joined_table(
    join: Callable[[list[pa.Table]], pa.Table], parts: list[list[str]], spare: list[str]
) -> None:
    several = of(parts, spare)
    made = join(several)
    assert made.to_pylist() == [row for part in several for row in part.to_pylist()]
    number: dict[str, int] = {}
    for chunk in made["word"].chunks:
        for word, code in zip(chunk.to_pylist(), chunk.indices.to_pylist(), strict=True):
            assert number.setdefault(word, code) == code


def test_long_parts_keep_their_vocabularies_and_are_read_as_they_were(tmp_path: Path) -> None:
    several = [table([f"{name}{k}" for k in range(coded.APART)], []) for name in "ab"]
    made = coded.joined([*several, *several])
    assert len({coded.lies(chunk) for chunk in made["word"].chunks}) == 2
    action = delta.write(tmp_path, "part", made, ordered=False, changes=True)
    names = ["word", "few", "row"]
    schema = pa.schema([("word", pa.string()), ("few", pa.string()), ("row", pa.int32())])
    read = pa.parquet.read_table(tmp_path / action.path)
    assert read.select(names).cast(schema).equals(made.select(names).cast(schema))
    assert read["at"].unique().to_pylist() == [7]


FACTS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from("xy"),
        st.integers(0, 3),  # instant
        st.integers(0, 3),  # tick
        st.sampled_from(["stored", "correction", "duplicate", "rejected"]),
    ),
    min_size=1,
    max_size=12,
)


@given(FACTS, st.integers(1, 3))
def test_the_newest_facts_are_those_of_a_naive_search(
    facts: list[tuple[str, str, int, int, str]], parts: int
) -> None:
    names = ("twin", "signal", "instant", "tick", "fate", "row")
    rows = [dict(zip(names, (*fact, k), strict=True)) for k, fact in enumerate(facts)]
    naive: dict[tuple[str, str], tuple[int, int, int]] = {}
    for row in rows:
        if row["fate"] in ("stored", "correction"):
            key = (str(row["twin"]), str(row["signal"]))
            one = (int(row["instant"]), int(row["tick"]), int(row["row"]))
            naive[key] = max(one, naive.get(key, one))
    whole = pa.Table.from_pylist(rows)
    for name in ("twin", "signal", "fate"):
        column = whole[name].dictionary_encode()
        whole = whole.set_column(whole.column_names.index(name), name, column)
    found = newest([whole.slice(k * len(rows) // parts, len(rows)) for k in range(parts)])
    told = {
        (row["twin"], row["signal"]): (row["instant"], row["tick"], row["row"])
        for row in found.to_pylist()
    }
    assert told == naive and len(found) == len(naive)


def test_files_with_and_without_the_chance_of_a_null_are_joined(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for tick, body in ((1, "{}"), (2, None)):
        event = {"name": "price", "body": body, "instant": tick, "tick": tick}
        schema = pa.schema(
            [
                ("name", pa.string()),
                ("body", pa.string()),
                ("instant", pa.int64()),
                ("tick", pa.int64()),
            ]
        )
        lake.append("events", pa.Table.from_pylist([event], schema), tick)
    table = lake.table("events")
    assert delta.read(table.folder, table.look().parts, ["name"])["body"].to_pylist() == [
        "{}",
        None,
    ]
