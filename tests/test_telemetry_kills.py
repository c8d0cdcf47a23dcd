"""A short run of the kill proof: MQTT and Kafka feed it, and it is killed where it hurts."""

import os
import shutil
from pathlib import Path

import pytest
from benchmarks.connectors import mosquitto
from benchmarks.telemetry_kills import Kill, Verdict, outcome
from tests.kafka_servers import Kafka

pytestmark = pytest.mark.kafka
PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
KILLS = [
    Kill("mqtt.before_ack", 2),
    Kill("kafka.before_tell", 2),
    Kill("journal.after_commit", 4),
    Kill("ledger.before_commit", 3),
    Kill("lake.before_write", 1),
    Kill("snapshot.before_rename", 1),
]


def test_what_brokers_acknowledged_is_stored_once_whatever_was_killed(
    kafka: Kafka, tmp_path: Path
) -> None:
    if shutil.which("mosquitto", path=PATH) is None:
        text = "mosquitto is not here; mend: apt-get install mosquitto"
        if os.environ.get("GEMEL_CI"):
            pytest.fail(text)
        pytest.skip(text)
    with mosquitto(tmp_path) as port:
        killed, truth, verdict = outcome(KILLS, tmp_path, port, kafka)
    assert {kill.point for kill in KILLS} <= set(killed)
    assert {message.source for message in truth} == {"mqtt", "kafka"}
    assert verdict == Verdict(0, 0, 0, 0)
