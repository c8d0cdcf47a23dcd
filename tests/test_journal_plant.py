"""A plant whose journal is a topic: fed by MQTT, killed, cut off from its cluster, replayed."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.kafka_servers import Kafka
from tests.test_mqtt import PASSWORD, USER, Mosquitto, Publisher
from typer.testing import CliRunner

from gemel import cli
from gemel.clock import WallClock, format_instant
from gemel.errors import Unavailable
from gemel.server.client import Client, running

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

PLANT = """
[plant]
name = "farm"
lateness = "2s"
[journal]
kind = "kafka"
brokers = "{brokers}"
[interface.Tank.telemetry]
inflow = {{ unit = "m3/h" }}
valve = {{ unit = "1" }}
level = {{ unit = "m" }}
outflow = {{ unit = "m3/h" }}
[[twin]]
id = "t1"
interface = "Tank"
[[binding]]
name = "tank"
kernel = "gemel.kernels.library.tank:Tank"
interface = "Tank"
every = "1s"
ports = {{ opening = "valve", gauge = "level" }}
[[source]]
name = "farm"
kind = "mqtt"
url = "mqtt://127.0.0.1:{port}"
topic = "farm/+/telemetry"
user = "{user}"
password_file = "password"
"""


class Farm:
    """A plant in a process of its own, its broker, and how many samples were sent."""

    def __init__(self, folder: Path, kafka: Kafka, broker: Mosquitto) -> None:
        self.broker, self.data, self.sent = broker, folder / "farm.gemel", 0
        self.plant = folder / "plant.toml"
        (folder / "password").write_text(PASSWORD)
        self.plant.write_text(
            PLANT.format(brokers=kafka.bootstrap, port=broker.port, user=USER), encoding="utf-8"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["run", str(self.plant), "--data", str(self.data), "--port", "0", "--plain"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gemel", *words],
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        self.until(lambda: running(self.data) and self.status()["running"])

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(30)

    def status(self) -> dict[str, Any]:
        with Client(self.data) as asked:
            told: dict[str, Any] = asked.get("status")
            return told

    def send(self, count: int) -> None:
        with Publisher(self.broker) as sender:
            for k in range(self.sent, self.sent + count):
                values = {"inflow": 20.0 + k % 3, "valve": 0.4, "level": 1.0 + k / 1000}
                told = {"time": format_instant(WallClock().now()), "values": values}
                sender.send("farm/t1/telemetry", json.dumps(told).encode())
        self.sent += count

    def all_stored(self) -> bool:
        return self.status()["books"].get("farm", {}).get("stored", 0) == 3 * self.sent

    def until(self, found: Callable[[], Any], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                if found():
                    return
            except Unavailable:
                pass
            assert self.process is not None and self.process.poll() is None, "it ended"
            assert time.monotonic() < end, f"it did not come: {self.status()}"
            time.sleep(0.1)


@pytest.fixture
def farm(tmp_path: Path, kafka: Kafka) -> Iterator[Farm]:
    if shutil.which("mosquitto") is None:
        pytest.skip("mosquitto is not on PATH; mend: apt-get install mosquitto")
    broker = Mosquitto(tmp_path).start()
    made = Farm(tmp_path, kafka, broker)
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()
    broker.stop()


def test_a_plant_on_a_topic_survives_a_kill_and_an_outage_and_replays(
    farm: Farm, kafka: Kafka
) -> None:
    farm.start()
    farm.send(15)
    farm.until(farm.all_stored)
    assert farm.end(signal.SIGKILL) == -signal.SIGKILL
    farm.send(10)
    farm.start()
    farm.until(farm.all_stored)
    before = farm.status()["journal"]["last"]
    kafka.brokers[0].kill()
    try:
        farm.send(10)
        farm.until(lambda: farm.status()["journal"]["away"])
        told = farm.status()
        assert told["running"] and told["journal"]["last"] == before or not farm.all_stored()
        with Client(farm.data) as asked, pytest.raises(Unavailable) as refused:
            body = {"twin": "t1", "time": told["now"], "values": {"level": 1.0}}
            asked.post("telemetry", body)
        assert refused.value.code == "journal.away"
        shown = CliRunner().invoke(cli.app, ["status", "--data", str(farm.data)]).output
        assert "nothing is acknowledged" in " ".join(shown.split())
    finally:
        kafka.brokers[0].start()
        kafka.wait()
    farm.until(farm.all_stored)
    farm.until(lambda: not farm.status()["journal"]["away"])
    kafka.brokers[0].kill()
    try:
        farm.until(lambda: farm.status()["journal"]["away"])
        assert farm.end(signal.SIGINT) == 0  # who stops does not wait for it
    finally:
        kafka.brokers[0].start()
        kafka.wait()
    told = CliRunner().invoke(
        cli.app, ["replay-check", str(farm.data), "--plant", str(farm.plant), "--json"]
    )
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["same"] and json.loads(told.stdout)["rows"] > 5
