"""`GET /metrics` as Prometheus reads it: names, types, and books that balance."""

import json
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse
from tests.test_server import Ovens

from gemel.clock import SECOND, format_instant
from gemel.flow.overview import STATUSES
from gemel.records import FATES
from gemel.server.metrics import Family


class Scraped:
    """One answer, parsed by Prometheus' own client."""

    def __init__(self, ovens: Ovens) -> None:
        self.answer = ovens.http.get(f"{ovens.server.url}/metrics")
        self.families: dict[str, Metric] = {m.name: m for m in parse(self.answer.text)}

    def value(self, name: str, **labels: str) -> float:
        samples = [s for family in self.families.values() for s in family.samples]
        (found,) = [s.value for s in samples if s.name == name and s.labels == labels]
        return float(found)

    def of(self, name: str, **labels: str) -> dict[tuple[str, ...], float]:
        """The samples of a name that have these labels, by the other labels."""
        samples = [s for family in self.families.values() for s in family.samples]
        return {
            tuple(v for k, v in s.labels.items() if k not in labels): s.value
            for s in samples
            if s.name == name and labels.items() <= s.labels.items()
        }


@pytest.fixture(scope="module")
def ovens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ovens]:
    made = Ovens(tmp_path_factory.mktemp("metrics"))
    yield made
    made.close()


def settle(ovens: Ovens) -> None:
    """Until a tick has taken in what was sent."""
    ovens.host.event("price", {"value": 40.0})


def test_the_books_are_there_and_balance(ovens: Ovens) -> None:
    soon = format_instant(ovens.host.clock.now() + 200 * SECOND)  # not late on a busy machine
    line = {"twin": "oven-1", "time": soon, "values": {"power": 10.0}}
    for body in (line, line, {**line, "values": {"power": 11.0}}, {**line, "twin": "nobody"}):
        ovens.send(body)
    ovens.send(b"?")
    settle(ovens)
    scraped = Scraped(ovens)
    book = scraped.of("gemel_samples_total", source="http")
    assert book == {
        (fate,): float(count) for fate, count in zip(FATES, (1, 1, 1, 0, 1, 1), strict=True)
    }
    assert scraped.value("gemel_received_samples_total", source="http") == sum(book.values())
    doubted = scraped.of("gemel_doubted_samples_total", source="http")
    assert doubted == {("unknown_twin",): 1.0}
    assert 0 < scraped.value("gemel_quality_score", source="http") < 1
    assert "gemel_lag_seconds" in scraped.families


def test_it_is_prometheus_text_and_its_names_keep_to_open_metrics(ovens: Ovens) -> None:
    settle(ovens)
    scraped = Scraped(ovens)
    assert scraped.answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert all(f.documentation and f.type != "unknown" for f in scraped.families.values())
    assert {f.name for f in scraped.families.values() if not f.name.startswith("gemel_")} == {
        "process_cpu_seconds", "process_resident_memory_bytes", "process_start_time_seconds",
        "process_open_fds",
    }  # fmt: skip
    text = "".join(
        f"{line}\n".replace("_total counter", " counter").replace("_total ", " ", line[:1] == "#")
        for line in scraped.answer.text.splitlines()
    )
    assert {f.name for f in open_metrics(text + "# EOF\n")} == set(scraped.families)


def test_ticks_twins_journal_and_process_are_told(ovens: Ovens) -> None:
    settle(ovens)
    scraped = Scraped(ovens)
    assert scraped.value("gemel_ticks_total") == ovens.host.view().tick > 0
    counts = scraped.of("gemel_tick_seconds_bucket")
    assert list(counts.values()) == sorted(counts.values())
    assert counts["+Inf",] == scraped.value("gemel_tick_seconds_count") > 0
    assert scraped.value("gemel_tick_seconds_sum") > 0
    twins = scraped.of("gemel_twins")
    assert set(twins) == {(state,) for state in STATUSES} and sum(twins.values()) == 2
    assert scraped.value("gemel_journal_behind") >= 0 and scraped.value("gemel_running") == 1
    assert scraped.value("gemel_clock_seconds") > 1.7e9
    assert scraped.value("process_resident_memory_bytes") > 1e7
    assert 1.5e9 < scraped.value("process_start_time_seconds") < 5e9
    before = scraped.value("process_cpu_seconds_total")
    sum(k * k for k in range(200_000))
    assert Scraped(ovens).value("process_cpu_seconds_total") > before


def test_it_wants_the_token_and_a_scraper_can_give_it_from_the_file(ovens: Ovens) -> None:
    with httpx.Client(base_url=ovens.server.url, trust_env=False) as bare:
        assert bare.get("/metrics").status_code == 401
        token = (ovens.data / "token").read_text().strip()
        told = bare.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert told.status_code == 200
    assert "/metrics" not in json.dumps(ovens.get("/openapi.json")["paths"])


def test_a_label_may_hold_anything() -> None:
    odd = 'a "quoted" \\ back\nslash'
    family = Family("gemel_lag_seconds", "gauge", "odd\nhelp \\", [("", {"source": odd}, 0.5)])
    (read,) = parse("\n".join(family.lines()) + "\n")
    assert read.samples[0].labels == {"source": odd} and read.samples[0].value == 0.5
    assert read.documentation == "odd\nhelp \\"
