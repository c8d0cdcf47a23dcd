"""Two presses that wear, one fast: they tell how they are over MQTT, and do what they are told.

Owns    a host whose loop can close: from wear to a finding, a proposal, a command, a reading.
Never   decides anything: that is for a person, by the page.
"""

import json
import threading
import time
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gemel.clock import SECOND, PacedClock, format_instant, parse_instant
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.server.app import Server, serve

START = parse_instant("2024-05-01T06:00:00Z")
SPEED = 120.0
RATE = 4e-7  # of wear, 1/s/kN

PLANT = """
[plant]
name = "presses"
lateness = "3min"
skew = "10min"
[interface.Press.telemetry]
force = { unit = "kN", range = [0, 200] }
gap = { unit = "mm", range = [0, 20] }
oil = { unit = "degC", every = "10s" }
[interface.Press.commands.set_force]
argument = { unit = "kN", range = [10, 100] }
acts_on = { input = "force", how = "set" }
confirm = { signal = "force", how = "near", tolerance = 0.5, within = "2h" }
[[twin]]
id = "press-1"
interface = "Press"
[[twin]]
id = "press-2"
interface = "Press"
[[twin]]
id = "press-3"
interface = "Press"
[[binding]]
name = "press"
kernel = "kernel.py:Press"
interface = "Press"
every = "10s"
foresee = { every = "2min", horizon = "12h", paths = 200 }
[[source]]
name = "hall"
kind = "mqtt"
embedded = true
topic = "hall/+/telemetry"
[[policy]]
name = "spare the press"
binding = "press"
on = "limit_foreseen"
before = "8h"
options = [{ command = "set_force", arguments = [50, 30] }]
expires = "12h"
[value]
repair = 180000
planned_repair = 25000
"""
KERNEL = '''
from gemel.kernels.base import Kernel, parameter, sensor, signal, state


class Press(Kernel):
    """w' = rate F; the gap is 10 w mm."""

    version = "1.0"
    wear = state("1", start=0.1, start_std=0.5, noise=1e-5, precise=True)
    force = signal("kN")
    rate = parameter("1/s/kN", typical=4e-7, spread=0.1, scale="log")
    gap = sensor("mm", noise=0.02)

    def flow(self, x, u, p):
        return {"wear": p.rate * u.force}

    def sense(self, x, u, p):
        return {"gap": 10 * x.wear}

    def limits(self, x, u, p):
        return {"worn out": 1 - x.wear}
'''


class Presses:
    """press-1 is well, press-2 and press-3 will be worn out within hours if nothing is done."""

    def __init__(self, folder: Path) -> None:
        (folder / "plant.toml").write_text(PLANT)
        (folder / "kernel.py").write_text(KERNEL)
        plan = load_plan(folder / "plant.toml")
        self._clock = PacedClock(START, SPEED)
        self.host = Host(plan, folder / "presses.gemel", clock=self._clock).start()
        self.server: Server = serve(self.host, 0)
        self.force = {"press-1": 5.0, "press-2": 100.0, "press-3": 90.0}
        self._wear = dict.fromkeys(self.force, 0.2)
        self._ended = threading.Event()
        self._wire = self._connected()
        self._thread = threading.Thread(target=self._run, name="presses", daemon=True)
        self._thread.start()
        self._wait()

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def token(self) -> str:
        return self.host.token

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._wire.loop_stop()
        self.server.stop()
        self.host.stop()

    def _wait(self) -> None:
        """Until both sick presses have an open proposal."""
        end = time.monotonic() + 60.0
        while len(self.host.ledger.proposals(status="open")) < 2:
            assert self.host.failure is None, self.host.failure
            assert time.monotonic() < end, self.host.view().status
            time.sleep(0.1)

    def _connected(self) -> paho.Client:
        address = self.host.broker_address
        assert address is not None
        wire = paho.Client(CallbackAPIVersion.VERSION2, "presses")
        wire.username_pw_set(address.user, address.password)
        wire.on_message = self._obey
        wire.connect(address.host, address.port)
        wire.subscribe("hall/+/command", 1)
        wire.loop_start()
        return wire

    def _obey(self, wire: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        order, twin = json.loads(message.payload), message.topic.split("/")[1]
        self.force[twin] = float(order["argument"])
        told = {"invocation": order["invocation"], "accepted": True, "detail": "as asked"}
        wire.publish(f"hall/{twin}/reply", json.dumps(told), 1)

    def _run(self) -> None:
        """Each press tells its force and gap, ten plant seconds after ten."""
        last = self._clock.now()
        while not self._ended.wait(10.0 / SPEED):
            now = self._clock.now()
            for twin, force in self.force.items():
                self._wear[twin] += RATE * force * (now - last) / SECOND
                values = {"force": force, "gap": 10.0 * self._wear[twin]}
                told = {"time": format_instant(now), "values": values}
                self._wire.publish(f"hall/{twin}/telemetry", json.dumps(told), 1)
            last = now
