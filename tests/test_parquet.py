"""Files written as memory lies: every reader reads back what was given, to the bit."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder
from hypothesis import given
from hypothesis import strategies as st

from gemel.store import parquet
from gemel.store.coded import plainly, same
from gemel.store.delta import WRITTEN, Table

COUNTS = st.sampled_from([0, 1, 7, 8, 9, 129, 400])
NAMES = (
    "few",
    "many",
    "text",
    "gaps",
    "holes",
    "real",
    "short",
    "long",
    "steps",
    "jumps",
    "once",
    "q",
)


def words(rng: np.random.Generator, several: int, count: int, kind: str) -> pa.Array:
    told = [f"{'ä' * (k % 3)}{k}" for k in range(several)]
    return pa.DictionaryArray.from_arrays(
        rng.integers(0, several, count).astype(kind), pa.array(told)
    )


def chunk(rng: np.random.Generator, count: int, vocabulary: pa.Array) -> pa.Table:
    """A row of every kind; what stays, stays for a while."""
    runs = np.repeat(rng.integers(-(2**62), 2**62, 3), -(-count // 3))[:count]
    reals = rng.standard_normal(count)
    reals[::5] = np.nan
    reals[1::7] = -np.inf
    columns: dict[str, Any] = {
        "few": words(rng, 3, count, "int8"),
        "many": vocabulary.take(pa.array(np.sort(rng.integers(0, len(vocabulary), count)))),
        "text": pa.array([f"t{k}" for k in range(count)], pa.string()),
        "gaps": pa.array([None if k % 3 else k for k in range(count)], pa.int64()),
        "holes": pa.array(
            [None if k % 2 else "x" for k in range(count)], pa.string()
        ).dictionary_encode(),
        "real": pa.array(reals),
        "short": pa.array(reals.astype(np.float32)),
        "long": pa.array(runs),
        "steps": pa.array(int(rng.integers(-9, 9)) + int(rng.integers(-9, 9)) * np.arange(count)),
        "jumps": pa.array(rng.integers(-(2**31), 2**31, count).astype(np.int32)),
        "once": same(int(rng.integers(-(2**62), 2**62)), count),
        "q": pa.array((runs % 3 - 1).astype(np.int8)),
    }
    fields = [pa.field(n, columns[n].type, nullable=n in ("gaps", "holes")) for n in NAMES]
    return pa.Table.from_arrays([columns[name] for name in NAMES], schema=pa.schema(fields))


def pieces(seed: int, counts: list[list[int]]) -> list[pa.Table]:
    """One table a list of counts, in chunks of so many rows, which share a vocabulary."""
    rng, told = np.random.default_rng(seed), []
    for of in counts:
        many = pa.array([f"m{k:05d}" for k in range(rng.integers(1, 700))]).dictionary_encode()
        told.append(pa.concat_tables([chunk(rng, count, many) for count in of]))
    return told


def plain(table: pa.Table) -> pa.Table:
    """The same rows, each column as it is read by who knows nothing of it."""
    columns = []
    for column in table.columns:
        kind = plainly(column.type)
        chunks = [
            pa.array(one.to_pylist(), kind)
            if pa.types.is_run_end_encoded(one.type)
            else one.cast(kind)
            for one in column.chunks
        ]
        columns.append(pa.chunked_array(chunks, kind))
    return pa.table(columns, names=table.column_names).combine_chunks()


def written(told: list[pa.Table]) -> bytes:
    sink = io.BytesIO()
    parquet.write(sink, told)
    return sink.getvalue()


def equal(got: pa.Table, want: pa.Table) -> None:
    assert got.column_names == want.column_names
    for name in want.column_names:
        have, due = got[name].combine_chunks(), want[name].combine_chunks()
        if pa.types.is_floating(due.type):  # NaN is itself
            np.testing.assert_array_equal(have.to_numpy(), due.to_numpy(), name)
            assert have.type == due.type
        else:
            assert have.cast(due.type).equals(due), name


@given(
    seed=st.integers(0, 2**32),
    counts=st.lists(st.lists(COUNTS, min_size=1, max_size=4), min_size=1, max_size=3),
    runs=st.sampled_from([1, 4, parquet.RUNS]),
    short=st.sampled_from([1, parquet.SHORT]),
    group=st.sampled_from([100, parquet.GROUP]),
)
def test_what_is_written_is_read_back(
    seed: int, counts: list[list[int]], runs: int, short: int, group: int
) -> None:
    """Whatever form the sizes make a column take: runs, whole bytes, steps, reals, Arrow's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("RUNS", runs), ("SHORT", short), ("GROUP", group)):
            patch.setattr(parquet, name, value)
        told = pieces(seed, counts)
        data = written(told)
    equal(pq.read_table(io.BytesIO(data)), plain(pa.concat_tables(map(plain, told))))
    meta = pq.read_metadata(io.BytesIO(data))
    assert meta.num_rows == sum(map(sum, counts))


def by_duckdb(path: Path) -> pa.Table:
    return duckdb.sql(f"SELECT * FROM '{path}'").to_arrow_table()


def by_polars(path: Path) -> pa.Table:
    return pl.read_parquet(path).to_arrow()


def by_arrow_by_number(path: Path) -> pa.Table:
    return plain(pq.read_table(path, read_dictionary=["few", "many"]))


@pytest.mark.parametrize("runs", [1, parquet.RUNS])
@pytest.mark.parametrize("reader", [by_duckdb, by_polars, by_arrow_by_number])
def test_other_readers_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Callable[[Path], pa.Table], runs: int
) -> None:
    monkeypatch.setattr(parquet, "RUNS", runs)
    monkeypatch.setattr(parquet, "SHORT", 1)
    told = pieces(7, [[5_000, 1, 70_003], [8]])
    path = tmp_path / "rows.parquet"
    path.write_bytes(written(told))
    equal(reader(path), plain(pa.concat_tables(map(plain, told))))


def test_a_hundred_thousand_words_by_number(tmp_path: Path) -> None:
    """A number that needs more than two bytes, as a large fleet's twins do."""
    many = pa.array([f"m{k:06d}" for k in range(100_000)])
    code = np.tile(np.arange(100_000, dtype=np.int32), 3)
    column = pa.DictionaryArray.from_arrays(code, many)
    table = pa.Table.from_arrays([column], schema=pa.schema([pa.field("twin", column.type, False)]))
    path = tmp_path / "twins.parquet"
    path.write_bytes(written([table]))
    for read in (by_duckdb, by_polars, pq.read_table):
        equal(read(path), plain(table))
    assert path.stat().st_size < 4 * len(code) + 12 * len(many) + 1_000


def test_rust_reads_a_table_of_them(tmp_path: Path) -> None:
    """Delta's own readers: delta-rs, which has another Parquet than Arrow's of C++."""
    told = pieces(3, [[50_000, 40_000]])[0]
    told = told.append_column("row", pa.array(np.arange(len(told))))
    fields = [pa.field(f.name, plainly(f.type)) for f in told.schema]
    table = Table(tmp_path / "facts", pa.schema([*fields, pa.field("tick", pa.int64())]))
    table.append(told.append_column("tick", same(1, len(told))), {WRITTEN: 1})
    engine = QueryBuilder().register("facts", DeltaTable(str(tmp_path / "facts")))
    got = engine.execute("SELECT * EXCLUDE (tick) FROM facts ORDER BY row").read_all()
    equal(pa.table(got), plain(told))


def test_bounds_are_what_the_rows_have(tmp_path: Path) -> None:
    """Of runs and steps the writer knows them; `write` tells no others."""
    told = pieces(5, [[300, 400]])[0]
    bounds = parquet.write(io.BytesIO(), [told])
    assert {"long", "once", "q"} <= set(bounds)
    for name, (low, high) in bounds.items():
        values = plain(told)[name].to_numpy()
        assert (low, high) == (values.min(), values.max()), name


def test_a_step_too_wide_for_its_block_is_left_to_arrow() -> None:
    wide = pa.array([-(2**62), 2**62], pa.int64())
    table = pa.Table.from_arrays([wide], schema=pa.schema([pa.field("x", pa.int64(), False)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "RUNS", 1)
        equal(pq.read_table(io.BytesIO(written([table]))), table)
