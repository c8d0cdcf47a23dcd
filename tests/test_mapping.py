"""Other people's messages by configuration: what a map makes of them, and what it says."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel.clock import parse_instant
from gemel.connect.decoded import Decoded
from gemel.connect.mapping import Mapping, Path
from gemel.errors import Invalid
from gemel.testing.decoders import rows

NOW = parse_instant("2024-05-01T00:00:00Z")
TIME = "2024-05-01T00:00:10Z"
AT = parse_instant(TIME)


def mapped(rule: dict[str, Any], topic: str, item: object) -> Decoded:
    raw = item if isinstance(item, bytes) else json.dumps(item).encode()
    return Mapping([rule]).decode(topic, raw, received_at=NOW, source="hall")


def codes(decoded: Decoded) -> list[str]:
    return [entry.body["code"] for entry in decoded.dead]


CASES: list[tuple[dict[str, Any], str, Any, list[tuple[Any, ...]]]] = [
    (
        {
            "topic": "plant/{area}/{twin}/+",
            "time": "ts",
            "values": {"speed": "payload.rpm", "load": "payload.power[1].kw"},
            "unit": {"speed": "rpm"},
            "scale": {"load": 0.001},
        },
        "plant/north/st1/data",
        {"ts": TIME, "payload": {"rpm": 3000, "power": [0, {"kw": 2500}]}},
        [("st1", "speed", AT, 3000.0, "rpm"), ("st1", "load", AT, 2.5, "")],
    ),
    (  # a bare number; the topic says which signal
        {"topic": "{area}/{twin}/{signal}", "signal": "{signal}", "value": "$"},
        "north/st1/speed",
        3000.5,
        [("st1", "speed", NOW, 3000.5, "")],
    ),
    (  # every number of an object is a signal; text that is a number is one; a switch is 1 or 0
        {"topic": "{twin}", "values": "d", "unit": "kW", "offset": 1},
        "st1",
        {"d": {"a": 1, "b": {"c": "2.5"}, "on": True, "name": "x", "none": None}},
        [("st1", n, NOW, v, "kW") for n, v in (("a", 2.0), ("b.c", 3.5), ("on", 2.0))],
    ),
    (  # a list of readings, each with its time, twin and unit
        {
            "twin": "{rows[*].device.id}",
            "time": "rows[*].t",
            "time_unit": "ms",
            "signal": "{rows[*].name}",
            "value": "rows[*].v",
            "unit": "{rows[*].u}",
        },
        "any/topic",
        {
            "rows": [
                {"device": {"id": 7}, "t": AT // 10**6, "name": "speed", "v": 1, "u": "rpm"},
                {"device": {"id": "b"}, "t": AT // 10**6 + 1, "name": "load", "v": 2, "u": "kW"},
            ]
        },
        [("7", "speed", AT, 1.0, "rpm"), ("b", "load", AT + 10**6, 2.0, "kW")],
    ),
    (  # columns beside a time that they share
        {"topic": "x/{twin}", "time": "at", "time_unit": "s", "values": {"x": "points[*].x"}},
        "x/st1",
        {"at": AT / 10**9, "points": [{"x": 1}, {"x": 2}]},
        [("st1", "x", AT, 1.0, ""), ("st1", "x", AT, 2.0, "")],
    ),
    (
        {"topic": "#", "twin": "{site}-{unit.no}", "values": {"x": 'a["b.c"]'}} | {"twin": "s-{n}"},
        "what/ever",
        {"n": 3, "a": {"b.c": 5}},
        [("s-3", "x", NOW, 5.0, "")],
    ),
]


@pytest.mark.parametrize(("rule", "topic", "item", "wanted"), CASES)
def test_a_message_becomes_what_its_rule_says(
    rule: dict[str, Any], topic: str, item: Any, wanted: list[tuple[Any, ...]]
) -> None:
    decoded = mapped(rule, topic, item)
    assert rows(decoded.batch) == wanted and decoded.dead == []


def test_the_first_rule_whose_topic_fits_is_taken() -> None:
    mapping = Mapping(
        [
            {"topic": "a/{twin}/x", "values": {"first": "v"}},
            {"topic": "a/#", "twin": "b", "values": {"second": "v"}},
        ]
    )
    for topic, signal in (("a/t/x", "first"), ("a/t/y", "second"), ("a", "second")):
        found = mapping.decode(topic, b'{"v": 1}', received_at=NOW, source="hall")
        assert found.batch.signal.tolist() == [signal]


GOOD = {"topic": "p/{twin}", "time": "ts", "values": {"speed": "rpm", "load": "kw"}}


@pytest.mark.parametrize(
    ("topic", "item", "code"),
    [
        ("other/st1", {"rpm": 1}, "map.topic_unknown"),
        ("p/st1/more", {"rpm": 1}, "map.topic_unknown"),
        ("p/no twin", {"ts": TIME, "rpm": 1}, "message.twin"),
        ("p/st1", {"ts": TIME, "speed": 1}, "map.nothing"),
        ("p/st1", [1, 2], "map.nothing"),
        ("p/st1", {"rpm": 1}, "time.unreadable"),
        ("p/st1", {"ts": 1714521610, "rpm": 1}, "time.unreadable"),
        ("p/st1", {"ts": TIME, "rpm": "fast"}, "sample.type"),
        ("p/st1", {"ts": TIME, "rpm": None}, "sample.type"),
        ("p/st1", b"{broken", "message.json"),
        ("p/st1", b"\xff", "message.encoding"),
    ],
)
def test_what_does_not_fit_is_a_dead_letter_that_says_how_to_mend_it(
    topic: str, item: Any, code: str
) -> None:
    decoded = mapped(GOOD, topic, item)
    assert codes(decoded) == [code] and len(decoded.batch) == 0
    assert decoded.dead[0].body["mend"]


def test_a_value_that_is_left_out_costs_nothing_and_an_odd_one_only_itself() -> None:
    assert len(mapped(GOOD, "p/st1", {"ts": TIME, "rpm": 1}).batch) == 1
    odd = mapped(GOOD, "p/st1", {"ts": TIME, "rpm": 1, "kw": [2]})
    assert len(odd.batch) == 1 and codes(odd) == ["sample.type"]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"values": {"x": "a"}, "tpoic": "b"}, "map.key"),
        ({"values": {"x": "a"}, "time_unit": "h"}, "map.key"),
        ({"values": {"x": "a"}, "scale": "2"}, "map.key"),
        ({"values": {"x": "a"}, "scale": {"x": float("nan")}}, "map.key"),
        ({}, "map.values"),
        ({"values": {}}, "map.values"),
        ({"value": "a"}, "map.values"),
        ({"values": {"x": "a"}, "value": "b", "signal": "c"}, "map.values"),
        ({"values": {"x": "a..b"}}, "map.path"),
        ({"values": {"x": "a[b]"}}, "map.path"),
        ({"values": {"x": ".a"}}, "map.path"),
        ({"values": {"x": ""}}, "map.path"),
        ({"values": {"x": 3}}, "map.path"),
        ({"values": {"x": "a[*].b[*]"}}, "map.path"),
        ({"values": {"x": "a[*].b", "y": "c[*].b"}}, "map.path"),
        ({"values": {"x": "a"}, "twin": 3}, "map.template"),
        ({"values": {"x": "a"}, "topic": "a/#/b"}, "map.topic"),
        ({"values": {"x": "a"}, "topic": "a/{b"}, "map.topic"),
        ({"values": {"x": "a"}, "topic": "{a}/{a}"}, "map.topic"),
        ({"values": {"x": "a"}, "unit": {"x": "ell"}}, "unit.unknown"),
        (3, "map.key"),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused_by_name(rule: Any, code: str) -> None:
    with pytest.raises(Invalid) as told:
        Mapping([rule], "source hall map")
    assert told.value.code == code and "source hall map[0]" in told.value.where
    with pytest.raises(Invalid):
        Mapping([], "x")


def test_a_message_is_explained_with_what_was_left_in_it() -> None:
    item = {"ts": TIME, "rpm": 1, "extra": {"a": 1, "b": [2, 3]}}
    told = Mapping([GOOD]).explain(
        "p/st1", json.dumps(item).encode(), received_at=NOW, source="hall"
    )
    assert told.rule == 0 and len(told.decoded.batch) == 1
    assert told.unmapped == ["extra.a", "extra.b[0]", "extra.b[1]"]


names = st.text(
    st.characters(blacklist_characters='.[]"{}', blacklist_categories=["Cs"]), min_size=1
)
documents = st.recursive(
    st.integers(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(names, below),
    max_leaves=9,
)


@settings(max_examples=100)
@given(documents, st.text(max_size=12), st.text(max_size=9))
def test_a_path_finds_or_does_not_and_never_raises(item: Any, text: str, topic: str) -> None:
    try:
        path = Path.read(text)
    except Invalid:
        return
    path.of(item)
    rule = {"twin": "t", "values": {"x": text}}
    mapped(rule, topic, item)


@settings(max_examples=100)
@given(st.lists(names | st.integers(0, 9), min_size=1, max_size=4))
def test_a_path_leads_to_what_was_put_there(steps: list[str | int]) -> None:
    item: Any = 42
    for step in reversed(steps):
        item = {step: item} if isinstance(step, str) else [0] * step + [item]
    text = "$" + "".join(f'["{s}"]' if isinstance(s, str) else f"[{s}]" for s in steps)
    assert Path.read(text).of(item) == 42
