"""An MQTT broker inside the process, so that a laptop needs no service.

Owns    amqtt in a thread with its own event loop, on loopback, behind a password.
Never   is meant for a plant in earnest: use mosquitto or another broker there.

What amqtt (0.12) does not do, and what follows from it:
  · MQTT 3.1.1 only.
  · Sessions live in memory: they die with the process, and so does a message that the broker has
    acknowledged to its sender but a subscriber has not taken yet. A sender that must not lose
    repeats its last seconds after a reconnect (`gemel.plant` does; equal samples are duplicates).
  · A message on its way to a subscriber that drops the connection before acknowledging it, or
    takes longer than 5 s, is not delivered again. Messages that come while a subscriber
    is away are kept for it.
  · A subscriber is never slowed down: all that waits is sent at once.
"""

import asyncio
import hmac
import logging
import threading
from dataclasses import dataclass
from typing import Any

from amqtt.broker import Broker
from amqtt.errors import AMQTTError, BrokerError
from amqtt.plugins.base import BaseAuthPlugin

from gemel.errors import Invalid, Unavailable

_log = logging.getLogger("gemel.mqtt")
PATIENCE = 2.0  # s for connections to close; well below what a sender repeats (`gemel.plant`: 10)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class PasswordPlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt ships no types
    """One user, one password, nobody else."""

    @dataclass
    class Config:
        user: str = ""
        password: str = ""

    async def authenticate(self, *, session: Any) -> bool:
        if not self.config.user or not self.config.password:
            return False
        user = hmac.compare_digest((session.username or "").encode(), self.config.user.encode())
        word = hmac.compare_digest((session.password or "").encode(), self.config.password.encode())
        return user and word


class EmbeddedBroker:
    """MQTT on loopback; `port` 0 takes a free one, which `port` tells after `start()`."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, user: str, password: str) -> None:
        if host not in LOOPBACK:
            raise Invalid(
                "broker.host",
                f"the embedded broker listens on loopback alone, not on '{host}'",
                mend="use 127.0.0.1, or run a broker of your own and name its url in [[source]]",
            )
        if not user or not password:
            raise Invalid(
                "broker.password",
                "the embedded broker lets nobody in without a user and a password",
                mend="give both; `gemel run` makes them itself in DATA/broker.json",
            )
        self.host, self.port, self._user, self._password = host, port, user, password
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._broker: Any = None

    def start(self) -> "EmbeddedBroker":
        """Listen; raises `broker.start` when the port cannot be had."""
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="mqtt-broker", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10.0)
        except (AMQTTError, BrokerError, OSError, TimeoutError) as error:
            self._end()
            raise Unavailable(
                "broker.start",
                f"the embedded broker cannot listen on {self.host}:{self.port}: {error}",
                mend="stop what uses the port, or set port = 0 for a free one",
            ) from None
        return self

    def stop(self) -> None:
        """Close every connection and forget every session. Twice is once."""
        if self._loop is None or self._broker is None:
            return
        try:
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE)
        except TimeoutError:
            _log.warning("some connection of the embedded broker would not close: it is cut")
        finally:
            self._end()

    def __enter__(self) -> "EmbeddedBroker":
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    async def _open(self) -> None:
        plugin = f"{__name__}.{PasswordPlugin.__name__}"
        broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
                "plugins": {plugin: {"user": self._user, "password": self._password}},
            }
        )
        await broker.start()
        self._broker = broker
        # The one way to learn which free port the system gave.
        self.port = broker._servers["default"].instance.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._listen_no_more()  # else who comes back at once is taken in, and its messages lost
        await self._broker.shutdown()

    def _listen_no_more(self) -> None:
        for server in self._broker._servers.values() if self._broker is not None else ():
            if server.instance is not None:
                server.instance.close()

    def _run(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._cut())
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self._loop.close()

    async def _cut(self) -> None:
        """Close what amqtt has left open: now and then its shutdown waits for a client for ever."""
        self._listen_no_more()
        # Of the loop, which alone knows every connection.
        for transport in list(getattr(self._loop, "_transports", {}).values()):
            transport.abort()
        await asyncio.sleep(0.0)  # they close in the next turn

    def _end(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10.0)
        self._loop, self._thread, self._broker = None, None, None
