"""The ledger: one commit point, fenced, with its history, on SQLite and on PostgreSQL."""

import json
import os
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel import hooks
from gemel.errors import Conflict, Denied, GemelError
from gemel.records import LedgerRow
from gemel.store.lease import Lease
from gemel.store.ledger import Ledger, engine

POSTGRES = os.environ.get("GEMEL_TEST_POSTGRES", "")


def row(tick: int, epoch: int, shard: int = 0, **parts: Any) -> LedgerRow:
    given: dict[str, Any] = {
        "positions": {"hall": str(tick)},
        "journal_from": tick,
        "journal_to": tick,
        "books": {"hall": {"received": tick, "stored": tick}},
        "findings": [],
        "proposals": [],
        "invocations": [],
        "outbox": [],
        "rejects": [],
        "digest": "00",
        "versions": {"gemel": "1"},
    } | parts
    return LedgerRow(shard=shard, tick=tick, epoch=epoch, at=tick * 10**9, **given)


def finding(id: str, status: str = "open", twin: str = "a", instant: int = 1) -> dict[str, Any]:
    return {"id": id, "status": status, "twin": twin, "instant": instant, "text": f"{id} {status}"}


def command(id: str, status: str, twin: str = "a", created_at: int = 1) -> dict[str, Any]:
    return {"id": id, "status": status, "twin": twin, "created_at": created_at}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    if not POSTGRES:
        text = "no PostgreSQL; mend: set GEMEL_TEST_POSTGRES=postgresql://user@host/database"
        if os.environ.get("GEMEL_CI"):
            pytest.fail(text)
        pytest.skip(text)
    schema = f"test_{uuid.uuid4().hex[:12]}"
    owner = engine(POSTGRES)
    with owner.begin() as base:
        base.execute(sa.schema.CreateSchema(schema))
    address = sa.make_url(POSTGRES).update_query_dict({"options": f"-csearch_path={schema}"})
    yield address.render_as_string(hide_password=False)
    with owner.begin() as base:
        base.execute(sa.schema.DropSchema(schema, cascade=True))
    owner.dispose()


@pytest.fixture
def ledger(url: str):
    ledger = Ledger(url)
    yield ledger
    ledger.close()


def test_a_committed_row_comes_back_whole(ledger: Ledger) -> None:
    epoch = ledger.claim()
    one = row(1, epoch, findings=[finding("f1")], outbox=["i1"], invocations=[command("i1", "s")])
    ledger.commit(one)
    assert ledger.last() == one
    ledger.commit(row(2, epoch))
    assert [r.tick for r in ledger.rows()] == [1, 2]
    assert [r.tick for r in ledger.rows(after_tick=1, limit=1)] == [2]
    assert ledger.last(shard=1) is None
    assert [ledger.tick_at(at) for at in (0, 10**9, 2 * 10**9 - 1, 9 * 10**9)] == [0, 1, 1, 2]


def test_a_writer_with_an_old_epoch_is_fenced_and_leaves_nothing(url: str, ledger: Ledger) -> None:
    zombie = ledger.claim()
    ledger.commit(row(1, zombie))
    successor = Ledger(url)
    epoch = successor.claim()
    assert epoch == zombie + 1
    with pytest.raises(Conflict) as told:
        ledger.commit(row(2, zombie, findings=[finding("ghost")]))
    assert told.value.code == "ledger.fenced"
    successor.commit(row(2, epoch))
    assert ledger.findings() == [] and ledger.last().epoch == epoch
    successor.close()


def test_epochs_of_two_shards_are_their_own(ledger: Ledger) -> None:
    assert (ledger.claim(0), ledger.claim(1), ledger.claim(1)) == (1, 1, 2)
    ledger.commit(row(1, 1, shard=0))
    ledger.commit(row(1, 2, shard=1))


@pytest.mark.parametrize("tick", [1, 3])
def test_a_tick_is_committed_once_and_in_turn(ledger: Ledger, tick: int) -> None:
    epoch = ledger.claim()
    ledger.commit(row(1, epoch))
    with pytest.raises(Conflict) as told:
        ledger.commit(row(tick, epoch))
    assert told.value.code == "ledger.out_of_order"


def test_a_stop_before_the_commit_leaves_nothing_and_after_it_all(ledger: Ledger) -> None:
    epoch = ledger.claim()

    def stop_at(point: str) -> None:
        def stop(here: str) -> None:
            if here == point:
                raise KeyboardInterrupt

        hooks.set_callback(stop)

    try:
        for tick, point in ((0, "ledger.before_commit"), (1, "ledger.after_commit")):
            stop_at(point)
            with pytest.raises(KeyboardInterrupt):
                ledger.commit(row(1, epoch, findings=[finding("f")], rejects=[{"source": "s"}]))
            hooks.set_callback(None)
            known = [ledger.findings(), ledger.dead_letters(), ledger.rows()]
            assert [len(part) for part in known] == [tick] * 3
    finally:
        hooks.set_callback(None)


def test_current_forms_are_filtered_and_newest_first(ledger: Ledger) -> None:
    epoch = ledger.claim()
    three = [finding("f1"), finding("f2", twin="b", instant=5), finding("f3", instant=3)]
    ledger.commit(row(1, epoch, findings=three, proposals=[command("p", "open")]))
    ledger.commit(row(2, epoch, findings=[finding("f1", "closed"), finding("f1", "gone")]))
    assert [f["id"] for f in ledger.findings()] == ["f2", "f3", "f1"]
    assert ledger.findings(status="gone") == [finding("f1", "gone")]
    assert [f["id"] for f in ledger.findings(twin="a", status="open")] == ["f3"]
    assert [f["id"] for f in ledger.findings(limit=1)] == ["f2"]
    assert ledger.findings(twin="a", as_known_at=1, status="open") == [three[2], three[0]]
    assert [p["id"] for p in ledger.proposals(status="open")] == ["p"]
    assert ledger.invocations() == []


changes = st.lists(
    st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from(["open", "closed"])), max_size=4),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25)
@given(ticks=changes)
def test_as_known_at_agrees_with_replaying_a_plain_list(
    tmp_path_factory: pytest.TempPathFactory, ticks: list[list[tuple[str, str]]]
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('l') / 'ledger.db'}")
    epoch = ledger.claim()
    for tick, forms in enumerate(ticks, 1):
        records = [finding(id, status, instant=tick) for id, status in forms]
        ledger.commit(row(tick, epoch, findings=records))
    for known in range(len(ticks) + 2):
        naive: dict[str, dict[str, Any]] = {}
        for tick, forms in enumerate(ticks[:known], 1):
            naive.update({id: finding(id, status, instant=tick) for id, status in forms})
        listed = sorted(naive.values(), key=lambda f: (-f["instant"], f["id"]))
        assert ledger.findings(as_known_at=known) == listed
        still = [f for f in listed if f["status"] == "open"]
        assert ledger.findings("open", as_known_at=known) == still
    assert ledger.findings() == ledger.findings(as_known_at=len(ticks))
    ledger.close()


def test_dead_letters_are_kept_by_source_newest_first(ledger: Ledger) -> None:
    epoch = ledger.claim()
    ledger.commit(row(1, epoch, rejects=[{"source": "a", "code": "x"}, {"source": "b"}]))
    ledger.commit(row(2, epoch, rejects=[{"source": "a", "head": "\x00\ud800"}]))
    assert ledger.dead_letters("a") == [
        {"source": "a", "head": "\x00\ud800"},
        {"source": "a", "code": "x"},
    ]
    assert len(ledger.dead_letters(limit=2)) == 2


def test_a_number_that_is_not_finite_is_kept_as_null(ledger: Ledger) -> None:
    epoch = ledger.claim()
    odd = finding("f") | {"statistic": float("inf"), "evidence": [float("nan"), (1.5,)]}
    ledger.commit(row(1, epoch, findings=[odd]))
    assert ledger.findings()[0]["statistic"] is None
    assert ledger.findings()[0]["evidence"] == [None, [1.5]]


def test_a_record_that_is_not_json_is_refused(ledger: Ledger) -> None:
    with pytest.raises(GemelError) as told:
        ledger.commit(row(1, ledger.claim(), findings=[finding("f") | {"evidence": object()}]))
    assert told.value.code == "ledger.record" and ledger.last() is None


def test_a_step_counts_once_and_its_first_outcome_is_what_everybody_gets(ledger: Ledger) -> None:
    run = {"id": "r", "definition": "refit", "started_by": "timer", "status": "open"}
    ledger.put_run(run | {"created_at": 5})
    assert ledger.put_step("r", "fit", {"rmse": 1.0}) == {"rmse": 1.0}
    assert ledger.put_step("r", "fit", {"rmse": 2.0}) == {"rmse": 1.0}
    ledger.put_step("r", "ask", {"verdict": "approved"})
    assert list(ledger.steps("r").items()) == [
        ("fit", {"rmse": 1.0}),
        ("ask", {"verdict": "approved"}),
    ]
    done = run | {"created_at": 5, "status": "done"}
    ledger.put_run(done)
    assert ledger.run("r") == done and ledger.run("none") is None
    assert ledger.runs("done") == [done] and ledger.runs("open") == []


def test_the_audit_chain_shows_where_it_was_changed(url: str, ledger: Ledger) -> None:
    for number in range(4):
        ledger.audit("ann", "approve", {"proposal": number, "odd": float("nan")}, at=number)
    assert [a["detail"]["proposal"] for a in ledger.audits(limit=2)] == [3, 2]
    assert ledger.audit_break() is None
    forger = engine(url)
    with forger.begin() as base:
        base.execute(sa.text("UPDATE audit SET actor = 'eve' WHERE n = 3"))
    assert ledger.audit_break() == 3
    with forger.begin() as base:
        base.execute(sa.text("UPDATE audit SET actor = 'ann' WHERE n = 3"))
        base.execute(sa.text("DELETE FROM audit WHERE n = 4"))
    assert ledger.audit_break() == 4
    forger.dispose()


def test_many_threads_read_and_write_while_the_loop_commits(ledger: Ledger) -> None:
    epoch, failed, stop = ledger.claim(), [], threading.Event()

    def beside(number: int) -> None:
        try:
            while not stop.is_set():
                seen = ledger.findings(limit=10_000)
                assert len(seen) <= (ledger.last() or row(0, 0)).tick
                ledger.audit("t", "look", {"number": number}, at=0)
                ledger.put_step("r", f"{number}", {})
        except BaseException as problem:
            failed.append(problem)

    threads = [threading.Thread(target=beside, args=(number,)) for number in range(4)]
    [thread.start() for thread in threads]
    for tick in range(1, 41):
        ledger.commit(row(tick, epoch, findings=[finding(f"f{tick}")]))
    stop.set()
    [thread.join() for thread in threads]
    assert not failed and ledger.audit_break() is None
    assert len(ledger.findings()) == 40 and sorted(ledger.steps("r")) == ["0", "1", "2", "3"]


def test_a_ledger_opened_for_reading_reads_on_and_refuses_to_write(
    url: str, ledger: Ledger
) -> None:
    epoch = ledger.claim()
    reader = Ledger(url, readonly=True)
    assert reader.last() is None
    ledger.commit(row(1, epoch))
    assert reader.last().tick == 1
    with pytest.raises(Denied) as told:
        reader.claim()
    assert told.value.code == "ledger.readonly"
    reader.close()


def test_what_is_not_there_is_said_with_a_mend(tmp_path: Path) -> None:
    with pytest.raises(GemelError) as told:
        Ledger(f"sqlite:///{tmp_path / 'none.db'}", readonly=True)
    assert told.value.code == "database.missing" and not (tmp_path / "none.db").exists()
    (tmp_path / "empty.db").touch()
    empty = Ledger(f"sqlite:///{tmp_path / 'empty.db'}", readonly=True)
    with pytest.raises(GemelError) as told:
        empty.last()
    assert told.value.code == "ledger.missing"
    empty.close()
    with pytest.raises(GemelError) as told:
        Ledger("no url at all")
    assert told.value.code == "database.url"


def test_one_data_directory_has_one_writer(tmp_path: Path) -> None:
    assert Lease.holder(tmp_path) is None
    with Lease(tmp_path) as lease:
        lease.note(7)
        assert json.loads((tmp_path / "lease").read_text()) == {"pid": os.getpid(), "epoch": 7}
        with pytest.raises(Conflict) as told:
            Lease(tmp_path)
        assert told.value.code == "lease.held" and str(os.getpid()) in str(told.value)
        assert Lease.holder(tmp_path) == os.getpid()
    assert Lease.holder(tmp_path) is None
    Lease(tmp_path).release()


def test_an_erasure_blanks_what_refused_samples_and_letters_tell_of_a_twin(ledger: Ledger) -> None:
    epoch = ledger.claim()
    sample = {"source": "s", "fate": "rejected", "code": "c", "at": 1, "sequence": 1, "value": "7"}
    mine = [{**sample, "twin": "a", "signal": "x", "instant": instant} for instant in (3, 9)]
    other = {**sample, "twin": "b", "signal": "x", "instant": 3}
    letter = {"source": "s", "fate": "dead", "code": "d", "at": 1, "sequence": 2, "head": "a 7"}
    rejects = [*mine, other, letter]
    ledger.commit(row(1, epoch, rejects=rejects))
    ledger.commit(row(2, epoch, rejects=[mine[0]]))
    assert ledger.erase("a", 5, 1) == 4  # a sample and a letter, in the row and among the letters
    blank = {name: sample[name] for name in ("source", "fate", "code", "at", "sequence")}
    gone = [{**blank, "erased": 1}, mine[1], other]
    gone.append({**blank, "fate": "dead", "code": "d", "sequence": 2, "erased": 1})
    assert [one.rejects for one in ledger.rows()] == [gone, [mine[0]]]
    assert ledger.dead_letters(limit=9) == [mine[0], *reversed(gone)]
    assert ledger.erase("a", 5, 1) == 0
    ledger.audit("gemel", "erased", {"twin": "a", "tick": 1}, 7)
    assert [receipt["detail"]["tick"] for receipt in ledger.receipts()] == [1]
