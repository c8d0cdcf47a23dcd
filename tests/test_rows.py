"""The rows of a fleet and the map from ids to rows."""

import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gemel.errors import Conflict, Invalid, NotFound
from gemel.kernels.rows import ALIGN, LANES, Rows, whole_lanes
from gemel.kernels.slots import Slots

FIELDS = {
    "x.temperature": (np.float32, 60.0),
    "x.wear": (np.float64, 0.0),
    "cov.0": (np.float32, 1.0),
    "instant": (np.int64, 0),
    "mask": (np.uint8, 0),
}

# --- rows ----------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 300), min_size=1, max_size=12))
def test_growth_keeps_values_alignment_and_whole_lanes(steps: list[int]) -> None:
    rows, told = Rows(FIELDS), 0
    for more in steps:
        rows.reach(told + more)
        for name in rows:
            rows[name][told : told + more] = np.arange(told, told + more) % 200
        told += more
        assert rows.count == len(rows) == told and rows.capacity % LANES == 0
        for name, (kind, blank) in FIELDS.items():
            column = rows[name]
            assert column.dtype == kind and column.shape == (rows.capacity,)
            assert column.ctypes.data % ALIGN == 0 and column.flags.c_contiguous
            assert (column[:told] == np.arange(told) % 200).all()
            assert (column[told : rows.lanes] == blank).all()


def test_room_doubles_so_that_a_fleet_grown_one_by_one_is_rarely_moved() -> None:
    rows, moves, last = Rows(FIELDS), 0, 0
    for count in range(1, 4001):
        rows.reach(count)
        moves, last = moves + (rows.capacity != last), rows.capacity
    assert moves == 9 and last == 4096


def test_a_first_step_takes_no_more_room_than_it_needs() -> None:
    rows = Rows(FIELDS)
    rows.reach(1_000_000)
    assert rows.capacity == whole_lanes(1_000_000) and rows.nbytes == 25 * rows.capacity
    rows.reach(10)
    assert rows.count == 1_000_000


@given(st.lists(st.booleans(), max_size=70))
def test_rows_that_stay_move_up_in_order_and_leave_blanks(stays: list[bool]) -> None:
    rows, count = Rows(FIELDS), len(stays)
    rows.reach(count)
    for name in rows:
        rows[name][:count] = np.arange(1, count + 1)
    rows.keep(np.array(stays, np.bool_))
    left = np.flatnonzero(stays) + 1
    assert rows.count == len(left)
    for name, (_, blank) in FIELDS.items():
        assert (rows[name][: rows.count] == left).all()
        assert (rows[name][rows.count : whole_lanes(count)] == blank).all()


def test_columns_are_taken_as_they_are_and_copied_only_when_outgrown() -> None:
    written = Rows(FIELDS)
    written.reach(20)
    written["instant"][:20] = np.arange(20)
    kept = written.columns()
    rows = Rows.of(FIELDS, kept, 20)
    assert rows["instant"] is kept["instant"] and rows.capacity == 32
    rows.reach(33)
    rows["instant"][0] = 99
    assert kept["instant"][0] == 0
    assert rows["instant"][:33].tolist() == [99, *range(1, 20), *[0] * 13]


@pytest.mark.parametrize(
    ("change", "count", "says"),
    [
        ({"x.wear": None}, 20, "'x.wear' is not in both"),
        ({"y": np.zeros(32)}, 20, "'y' is not in both"),
        ({"x.wear": np.zeros(48)}, 20, "different lengths"),
        ({}, 33, "do not hold 33"),
        ({"mask": np.zeros(32, np.int8)}, 20, "'mask' is int8"),
        ({"mask": np.zeros(64, np.uint8)[::2]}, 20, "not one contiguous"),
    ],
)
def test_columns_of_another_fleet_are_refused(change: dict, count: int, says: str) -> None:
    written = Rows(FIELDS)
    written.reach(20)
    columns = {**written.columns(), **change}
    columns = {name: column for name, column in columns.items() if column is not None}
    with pytest.raises(Conflict, match=says) as told:
        Rows.of(FIELDS, columns, count)
    assert told.value.code == "rows.columns"


def test_a_field_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(NotFound, match=r"fields are: x\.temperature") as told:
        Rows(FIELDS)["x.heat"]
    assert told.value.code == "rows.field"


# --- slots ---------------------------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from([f"pump-{k}" for k in range(40)]),
    st.text(min_size=1, max_size=40),  # lone surrogates, NULs and letters of four bytes among them
)


class AgainstAList(RuleBasedStateMachine):
    """Slots answer as a plain list of ids would."""

    def __init__(self) -> None:
        super().__init__()
        self.slots, self.plain = Slots(), list[str]()

    @rule(names=st.lists(NAMES, max_size=30))
    def add(self, names: list[str]) -> None:
        self.plain = list(dict.fromkeys([*self.plain, *names]))
        assert self.slots.add(names).tolist() == [self.plain.index(name) for name in names]

    @rule(names=st.lists(NAMES, max_size=3), part=st.integers(2, 9))
    def discard(self, names: list[str], part: int) -> None:
        here = self.plain[::part]
        rows = [self.plain.index(name) for name in here]
        if unknown := [name for name in names if name not in self.plain]:
            with pytest.raises(NotFound):
                self.slots.discard([*here, *unknown])
        assert self.slots.discard(here).tolist() == rows
        self.plain = [name for name in self.plain if name not in here]

    @rule(names=st.lists(NAMES, max_size=30))
    def find(self, names: list[str]) -> None:
        rows = [self.plain.index(name) if name in self.plain else -1 for name in names]
        assert self.slots.find_many(names).tolist() == rows
        for name, row in zip(names, rows, strict=True):
            assert (name in self.slots) == (row >= 0)
            if row >= 0:
                assert self.slots.find(name) == row and self.slots.name(row) == name

    @rule()
    def restart(self) -> None:
        self.slots = Slots.of(self.slots.arrays())

    @invariant()
    def agrees(self) -> None:
        assert list(self.slots) == self.plain and len(self.slots) == len(self.plain)


TestAgainstAList = AgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=60, stateful_step_count=30)


def _turned(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def ids_of_one_hash(count: int) -> list[str]:
    """Ids of 16 letters with the same hash: the last word makes up for what the first one does."""
    draw, begun, names = random.Random(1), _turned(16 + 0x9E3779B97F4A7C15), []
    while len(names) < count:
        first = bytes(draw.choices(b"abcdefgh", k=8))
        last = _turned(begun ^ int.from_bytes(first, "little")) ^ 0x5AA5
        text = first + last.to_bytes(8, "little")
        if text.isascii():
            names.append(text.decode())
    return names


def test_ids_whose_hashes_are_equal_keep_their_own_rows() -> None:
    names = ids_of_one_hash(40)
    slots = Slots()
    assert slots.add(names[:20]).tolist() == list(range(20))
    assert len(set(slots._hash[:20].tolist())) == 1, "the ids no longer collide: mend the test"
    assert slots.find_many(names).tolist() == [*range(20), *[-1] * 20]
    assert [slots.find(name) for name in names[:20]] == list(range(20))
    slots.discard(names[:20:2])
    assert slots.find_many(names[1:20:2]).tolist() == list(range(10))
    assert slots.add(names[20:]).tolist() == list(range(10, 30))
    assert names[0] not in slots and slots.find(names[20]) == 10


def test_a_text_and_its_longer_sisters_are_different_ids() -> None:
    names = ["a" * n for n in range(1, 40)] + ["a\0", "a\0\0", "\0", "\0" * 8, "\0" * 9]
    slots = Slots()
    assert slots.add(names).tolist() == list(range(len(names)))
    assert list(slots) == names


def test_one_hash_and_many_hashes_are_the_same_function() -> None:
    slots, names = Slots(), ["x" * n + "é€𝄞"[: n % 4] for n in range(1, 60)]
    slots.add(names)
    assert [slots.find(name) for name in names] == slots.find_many(names).tolist()


def test_each_letter_of_an_id_turns_half_of_its_hash() -> None:
    slots = Slots()
    slots.add([f"{k:064b}" for k in [0, *(1 << b for b in range(64))]])
    turned = slots._hash[1:65] ^ slots._hash[0]
    share = np.unpackbits(turned.view(np.uint8)).mean()
    assert abs(share - 0.5) < 0.03  # 4096 bits: 3 standard deviations are 0.023


def test_an_unknown_id_names_those_that_are_near() -> None:
    slots = Slots()
    slots.add([f"turbine-{k:04d}" for k in range(2000)])
    with pytest.raises(NotFound, match="near it: turbine-173") as told:
        slots.find("turbine-173O")
    assert told.value.code == "twin.unknown"
    with pytest.raises(NotFound, match="add it to the fleet first"):
        Slots().find("a")


@pytest.mark.parametrize("odd", [7, None, "", b"pump"])
def test_what_is_no_text_is_no_id_and_nothing_is_added(odd: object) -> None:
    slots = Slots()
    with pytest.raises(Invalid) as told:
        slots.add(["a", odd])
    assert told.value.code == "slots.id" and len(slots) == 0
    if odd != "":
        for ask in (slots.find, lambda one: slots.find_many(["a", one])):
            with pytest.raises(Invalid):
                ask(odd)


def test_coming_and_going_does_not_pile_up() -> None:
    slots = Slots()
    slots.add([f"stays-{k}" for k in range(100)])
    size = slots.nbytes
    for k in range(5000):
        slots.add([f"visitor-{k:08d}"])
        slots.discard([f"visitor-{k:08d}"])
    assert len(slots) == 100 and slots.nbytes < size + 20_000
    assert slots.find("stays-99") == 99


def test_a_million_ids_take_less_than_sixty_megabytes_with_their_text() -> None:
    names = [f"turbine-{k:06d}" for k in range(1_000_000)]
    tracemalloc.start()
    slots = Slots()
    rows = slots.add(names)
    held = tracemalloc.get_traced_memory()[0] - rows.nbytes
    tracemalloc.stop()
    assert held < 60e6 and slots.nbytes < 60e6
    assert (rows == np.arange(1_000_000)).all()
    assert slots.find_many(names[::999]).tolist() == list(range(0, 1_000_000, 999))
    assert slots.find("turbine-765432") == 765_432
